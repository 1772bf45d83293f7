"""Schemas: a label set with the lexicons that find it. Shipped ones by name, a researcher's own by file.

base: chexpert14.v1
name: ours.v1
labels:
  Hiatal Hernia:
    findings: [(hiatal|hiatus) hernia, large hernia]
  Pneumothorax:
    findings: [pneumo]          # besides the phrases of the lexicon

A label has the phrases of the lexicons' entry of its own name, or of those that ``same_as`` names: what a finding is
called is written once, and each schema calls it by the name it has there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from corpora.config import Document, load_yaml, read_document, validate
from corpora.errors import ConfigError
from corpora.registry import find, names
from corpora.resources import config_path
from corpora.schema import LabelSchema
from labeler.base import DEFAULT_LANGUAGE
from labeler.languages import Language, load_language
from labeler.rules.lexicon import CueLexicon, FindingLexicon, LabelPhrases
from labeler.rules.phrases import expand


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


class SchemaLabel(LabelPhrases):
    """A label of a schema: where its phrases are, and what it is a kind of."""

    same_as: list[str] = Field(
        default_factory=list, description="Entries of the finding lexicons whose phrases it has, if not its own name's."
    )
    parent: str | None = Field(default=None, description="The label that it is a kind of; filled by --hierarchy only.")
    group: str = Field(default="", description="The group that it belongs to, in a schema that has several.")


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
    findings: Annotated[list[str], BeforeValidator(_several)] = Field(
        description="Finding lexicon, or several: names of shipped ones, or files."
    )
    cues: str = Field(description="Cue lexicon: the name of a shipped one, or a file.")
    languages: dict[str, Lexicons] = Field(
        default_factory=dict, description="Lexicons for reports in other languages, by ISO 639-1 code."
    )
    no_finding: str | None = Field(default=None, description="The label that means that nothing was found.")
    beside_no_finding: list[str] = Field(default_factory=list, description="Labels that do not stand in its way.")
    unlabeled: list[str] = Field(
        default_factory=list,
        description="Entries of the lexicons that are no label here and stand in No Finding's way.",
    )
    labels: dict[str, SchemaLabel] = Field(
        description="Labels in column order, each with phrases of its own besides those of the finding lexicon."
    )

    def verify(self, document: Document) -> None:
        """What ``radloop validate`` checks beyond the fields: the lexicons, and the labels' names and phrases."""
        for language in (DEFAULT_LANGUAGE, *self.languages):
            _resolve(self, document, language, verifying=True)


@dataclass(frozen=True, slots=True)
class RulesSchema:
    """A schema with its lexicons read: all that the rule labeler needs.

    ``parents``: the label that a label is a kind of. ``groups``: the group of each label that has one. ``entries``: the
    entries of the lexicons that a label's phrases are from. ``shared``: whether a phrase may stand for two things.
    """

    schema: LabelSchema
    beside_no_finding: frozenset[str]
    phrases: dict[str, LabelPhrases]
    lexicon: FindingLexicon
    cues: CueLexicon
    files: tuple[Path, ...]
    parents: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    entries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    shared: bool = False
    language: Language | None = None
    others: tuple[str, ...] = ()


def load_schema(name: str, language: str = DEFAULT_LANGUAGE) -> RulesSchema:
    """The shipped schema called ``name``, or the one in the file of that name, with the lexicons of ``language``.

    A name without its version is that of the first.

    Raises ``RegistryError`` for an unknown name, ``ConfigError`` naming file, line and field for a mistake in a file,
    or if the schema has no lexicons of that language (``config.language``).
    """
    if language != DEFAULT_LANGUAGE:
        return in_language(load_schema(name), language)
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return read_schema(path)
    first = f"{name}.v1"
    loader = find("schemas", first if first in names("schemas") else name).load()
    schema: RulesSchema = loader()
    return schema


@cache
def chexpert14_v1() -> RulesSchema:
    """The 14 observations of CheXpert."""
    return read_schema(config_path("schemas/chexpert14.v1.yaml"))


@cache
def deepmrdtr_v1() -> RulesSchema:
    """The 20 abnormalities and 8 diseases of DeepMRDTR."""
    return read_schema(config_path("schemas/deepmrdtr.v1.yaml"))


@cache
def nih14_v1() -> RulesSchema:
    """The 14 labels of ChestX-ray14, and No Finding."""
    return read_schema(config_path("schemas/nih14.v1.yaml"))


@cache
def padchest_top_v1() -> RulesSchema:
    """The most frequent labels of PadChest."""
    return read_schema(config_path("schemas/padchest-top.v1.yaml"))


@cache
def pedicxr52_v1() -> RulesSchema:
    """The 36 findings of PediCXR, its diagnoses, and No finding."""
    return read_schema(config_path("schemas/pedicxr52.v1.yaml"))


@cache
def vindr28_v1() -> RulesSchema:
    """The 22 findings and 6 impressions of VinDr-CXR."""
    return read_schema(config_path("schemas/vindr28.v1.yaml"))


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


def _resolve(
    file: SchemaFile, document: Document, language: str = DEFAULT_LANGUAGE, *, verifying: bool = False
) -> RulesSchema:
    """The schema with its lexicons of a language, every name in it looked up.

    ``verifying``: a label that the schema adds in words of its own, which are English, may lack words of the language.
    """
    other = file.languages.get(language)
    names = (file.findings, file.cues) if other is None else ([other.findings], other.cues)
    findings = [_lexicon_path("findings", name, document) for name in names[0]]
    cues = _lexicon_path("cues", names[1], document)
    if not findings:
        raise ConfigError("config.label", "no finding lexicon is named", where=document.where("findings"))
    lexicon = _joined([load_yaml(path, FindingLexicon) for path in findings])
    _check_names(file, lexicon, document)
    entries = {label: tuple(own.same_as) or (label,) for label, own in file.labels.items()}
    # phrases in the schema itself are English
    phrases = {
        label: _phrases(own if other is None else None, entries[label], lexicon) for label, own in file.labels.items()
    }
    for label, found in phrases.items():
        added = verifying and other is not None and file.labels[label].findings
        if label != file.no_finding and not (added or found.findings or found.structures or found.located):
            raise ConfigError(
                "config.label", f"label {label!r} has no phrases", where=document.where("labels", label),
                hint=f"give it findings here, or in {findings[0].name}",
            )  # fmt: skip
    used = [entry for named in entries.values() for entry in named if entry in lexicon.labels]
    return RulesSchema(
        LabelSchema(file.name, tuple(file.labels), file.no_finding),
        frozenset(file.beside_no_finding),
        phrases,
        _with_unlabeled(lexicon, file.unlabeled),
        _weighing(load_yaml(cues, CueLexicon), lexicon, file.unlabeled),
        (*document.files, *findings, cues, *([] if other is None else [config_path(f"languages/{language}.yaml")])),
        parents={label: own.parent for label, own in file.labels.items() if own.parent is not None},
        groups={label: own.group for label, own in file.labels.items() if own.group},
        entries=entries,
        shared=bool(file.unlabeled) or len(used) > len(set(used)),
        language=None if other is None else load_language(language),
        others=tuple(file.languages),
    )


def _check_names(file: SchemaFile, lexicon: FindingLexicon, document: Document) -> None:
    """Every label and entry that the schema speaks of is there, and no label is its own ancestor."""
    for name in (*([file.no_finding] if file.no_finding is not None else []), *file.beside_no_finding):
        if name not in file.labels:
            field_ = "no_finding" if name == file.no_finding else "beside_no_finding"
            raise _no_label(name, document.where(field_))
    for name in file.unlabeled:
        if name not in lexicon.labels:
            raise _no_entry(name, document.where("unlabeled"))
    for label, own in file.labels.items():
        for entry in own.same_as:
            if entry not in lexicon.labels:
                raise _no_entry(entry, document.where("labels", label, "same_as"))
        _check_ancestors(label, file.labels, document)


def _check_ancestors(label: str, labels: Mapping[str, SchemaLabel], document: Document) -> None:
    line = [label]
    while (parent := labels[line[-1]].parent) is not None:
        where = document.where("labels", line[-1], "parent")
        if parent not in labels:
            raise _no_label(parent, where)
        if parent in line:
            circle = " > ".join([*line[line.index(parent) :], parent])
            raise ConfigError(
                "config.parent_cycle", f"the parents lead back to a label: {circle}", where=where,
                hint="a label is no kind of itself: take one of these parents away",
            )  # fmt: skip
        line.append(parent)


def _no_label(name: str, where: str) -> ConfigError:
    return ConfigError("config.label", f"{name!r} is none of the labels", where=where, hint="list it in labels")


def _no_entry(name: str, where: str) -> ConfigError:
    message = f"{name!r} is no entry of the finding lexicons"
    return ConfigError("config.label", message, where=where, hint="write its phrases in a finding lexicon")


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


def _joined(lexicons: list[FindingLexicon]) -> FindingLexicon:
    """Several finding lexicons as one; an entry that two have, has the phrases of both."""
    labels: dict[str, LabelPhrases] = {}
    for lexicon in lexicons:
        for name, phrases in lexicon.labels.items():
            labels[name] = _merged(labels[name], phrases) if name in labels else phrases
    return lexicons[0].model_copy(
        update={
            "labels": labels,
            **{
                name: _each_once(phrase for lexicon in lexicons for phrase in getattr(lexicon, name))
                for name in ("other_findings", "normal_statements", "subjects")
            },
        }
    )


def _with_unlabeled(lexicon: FindingLexicon, names: Iterable[str]) -> FindingLexicon:
    others = [phrase for name in names for phrase in lexicon.labels[name].findings]
    return lexicon.model_copy(update={"other_findings": _each_once([*lexicon.other_findings, *others])})


def _weighing(cues: CueLexicon, lexicon: FindingLexicon, names: Iterable[str]) -> CueLexicon:
    """``cues`` with findings that are no label among what a label may be weighed against ("edema or pneumonia")."""
    others = [phrase for name in names for phrase in lexicon.labels[name].findings]
    return cues.model_copy(update={"alternatives": _each_once([*cues.alternatives, *others])}) if others else cues


def _each_once(phrases: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(phrases))


def _phrases(own: SchemaLabel | None, entries: Iterable[str], lexicon: FindingLexicon) -> LabelPhrases:
    """The phrases of a label's entries, and those that the schema adds."""
    parts = [lexicon.labels[entry] for entry in entries if entry in lexicon.labels]
    merged = LabelPhrases()
    for part in parts:
        merged = _merged(merged, part)
    if len(parts) > 1:
        # what one entry sets apart may be what another means
        meant = {plain for phrase in merged.findings for plain in expand(phrase)}
        ignored = [plain for phrase in merged.ignore for plain in expand(phrase) if plain not in meant]
        merged = merged.model_copy(update={"ignore": ignored})
    return merged if own is None else _merged(merged, own)


def _merged(shipped: LabelPhrases, own: LabelPhrases) -> LabelPhrases:
    # lists of phrases add up; a yes of either is a yes
    def both(name: str) -> Any:
        first, second = getattr(shipped, name), getattr(own, name)
        return first or second if isinstance(first, bool) else [*first, *second]

    return LabelPhrases.model_validate({name: both(name) for name in LabelPhrases.model_fields})
