"""Schemas: a label set with the lexicons that find it. Shipped ones by name, a researcher's own by file.

base: chexpert14.v1
name: ours.v1
labels:
  Hiatal Hernia:
    findings: [(hiatal|hiatus) hernia, large hernia]
  Pneumothorax:
    findings: [pneumo]          # besides the phrases of the lexicon
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from corpora.config import Document, load_yaml, read_document, validate
from corpora.errors import ConfigError
from corpora.registry import find
from corpora.resources import config_path
from corpora.schema import LabelSchema
from labeler.languages import DEFAULT_LANGUAGE, Language, load_language
from labeler.rules.lexicon import CueLexicon, FindingLexicon, LabelPhrases


class Lexicons(BaseModel):
    """What a label set is called in one language."""

    model_config = ConfigDict(extra="forbid")

    findings: str = Field(description="Finding lexicon: the name of a shipped one, or a file.")
    cues: str = Field(description="Cue lexicon: the name of a shipped one, or a file.")


class SchemaFile(BaseModel):
    """A schema as written in YAML."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Name with its version, such as chexpert14.v1.")
    description: str = Field(default="", description="One line for people.")
    findings: str = Field(description="Finding lexicon: the name of a shipped one, or a file.")
    cues: str = Field(description="Cue lexicon: the name of a shipped one, or a file.")
    languages: dict[str, Lexicons] = Field(
        default_factory=dict, description="Lexicons for reports in other languages, by ISO 639-1 code."
    )
    no_finding: str | None = Field(default=None, description="The label that means that nothing was found.")
    beside_no_finding: list[str] = Field(default_factory=list, description="Labels that do not stand in its way.")
    labels: dict[str, LabelPhrases] = Field(
        description="Labels in column order, each with phrases of its own besides those of the finding lexicon."
    )

    def verify(self, document: Document) -> None:
        """What ``radloop validate`` checks beyond the fields: the lexicons, and the labels' names and phrases."""
        for language in (DEFAULT_LANGUAGE, *self.languages):
            _resolve(self, document, language)


@dataclass(frozen=True, slots=True)
class RulesSchema:
    """A schema with its lexicons read: all that the rule labeler needs."""

    schema: LabelSchema
    beside_no_finding: frozenset[str]
    phrases: dict[str, LabelPhrases]
    lexicon: FindingLexicon
    cues: CueLexicon
    files: tuple[Path, ...]
    language: Language | None = None
    others: tuple[str, ...] = ()


def load_schema(name: str, language: str = DEFAULT_LANGUAGE) -> RulesSchema:
    """The shipped schema called ``name``, or the one in the file of that name, with the lexicons of ``language``.

    Raises ``RegistryError`` for an unknown name, ``ConfigError`` naming file, line and field for a mistake in a file,
    or if the schema has no lexicons of that language (``config.language``).
    """
    if language != DEFAULT_LANGUAGE:
        return in_language(load_schema(name), language)
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return read_schema(path)
    loader = find("schemas", name).load()
    schema: RulesSchema = loader()
    return schema


@cache
def chexpert14_v1() -> RulesSchema:
    """The 14 observations of CheXpert."""
    return read_schema(config_path("schemas/chexpert14.v1.yaml"))


def read_schema(path: Path) -> RulesSchema:
    """The schema in the YAML file at ``path``. Raises ``ConfigError``."""
    document = read_document(path)
    return _resolve(validate(document, SchemaFile), document)


@cache
def _by_language(path: Path, language: str) -> RulesSchema:
    document = read_document(path)
    return _resolve(validate(document, SchemaFile), document, language)


def in_language(schema: RulesSchema, language: str) -> RulesSchema:
    """``schema`` with its lexicons of another language. Raises ``ConfigError`` (``config.language``) if it has none."""
    if language not in schema.others:
        load_language(language)
        known = ", ".join((DEFAULT_LANGUAGE, *schema.others))
        raise ConfigError(
            "config.language", f"schema {schema.schema.name!r} has no lexicons for {language!r}; it has {known}",
            where="language", hint="docs/languages.md says how to add one",
        )  # fmt: skip
    return _by_language(schema.files[0], language)


def _resolve(file: SchemaFile, document: Document, language: str = DEFAULT_LANGUAGE) -> RulesSchema:
    """The schema with its lexicons of a language, every name in it looked up."""
    own = file.languages.get(language)
    names = (file.findings, file.cues) if own is None else (own.findings, own.cues)
    findings, cues = (
        _lexicon_path(field, name, document) for field, name in zip(("findings", "cues"), names, strict=True)
    )
    lexicon = load_yaml(findings, FindingLexicon)
    _check_names(file, document)
    # phrases in the schema itself are English
    phrases = {
        label: _merged(lexicon.labels.get(label, LabelPhrases()), LabelPhrases() if own else english)
        for label, english in file.labels.items()
    }
    for label, found in phrases.items():
        if label != file.no_finding and not (found.findings or found.structures or found.located):
            raise ConfigError(
                "config.label", f"label {label!r} has no phrases", where=document.where("labels", label),
                hint=f"give it findings here, or in {findings.name}",
            )  # fmt: skip
    schema = LabelSchema(file.name, tuple(file.labels), file.no_finding)
    files = (*document.files, findings, cues, *([] if own is None else [config_path(f"languages/{language}.yaml")]))
    return RulesSchema(
        schema, frozenset(file.beside_no_finding), phrases, lexicon, load_yaml(cues, CueLexicon), files,
        None if own is None else load_language(language), tuple(file.languages),
    )  # fmt: skip


def _check_names(file: SchemaFile, document: Document) -> None:
    for field, names in (("no_finding", [file.no_finding]), ("beside_no_finding", file.beside_no_finding)):
        for name in names:
            if name is not None and name not in file.labels:
                message = f"{name!r} is none of the labels"
                raise ConfigError("config.label", message, where=document.where(field), hint="list it in labels")


def _lexicon_path(field: str, name: str, document: Document) -> Path:
    """A file beside the schema, or the shipped lexicon of that name."""
    home = document.files[0].parent if document.files else Path()
    if (home / name).is_file():
        return home / name
    try:
        return config_path(f"lexicons/{name}")
    except ConfigError as error:
        where = f"{document.where(field)}: {field}"
        raise ConfigError(error.code, error.message, where=where, hint=error.hint) from None


def _merged(shipped: LabelPhrases, own: LabelPhrases) -> LabelPhrases:
    first, second = shipped.model_dump(), own.model_dump()
    # lists of phrases add up; a yes of either is a yes
    return LabelPhrases.model_validate(
        {
            key: value or second[key] if isinstance(value, bool) else [*value, *second[key]]
            for key, value in first.items()
        }
    )
