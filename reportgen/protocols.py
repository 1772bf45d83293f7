"""Protocols: all that decides a number and is not the system, under one name.

A protocol says which references it is for (by hash), how texts become words, which metrics count, how uncertain
labels are read. ``prepare`` turns pairs as they were read into the words of the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from corpora.config import config_sha256, load_yaml
from corpora.errors import ConfigError, DataError
from corpora.registry import unknown
from corpora.resources import config_path, config_root
from reportgen.inputs import Texts
from reportgen.join import ids_sha256, texts_sha256
from reportgen.tokens import Vocabulary, clean, is_decoded, one_line
from reportgen.types import Pair

Cleaning = Literal["r2gen-iu", "r2gen-mimic", "lower", "spaced", "ptb", "words", "as-is"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReferenceSet(_Strict):
    """A set of references that a protocol is for."""

    name: str = Field(description="What the set is called.")
    form: Literal["written", "decoded"] = Field(
        default="written", description="Whether the reports are as written, or words that were cleaned and cut before."
    )
    count: int = Field(description="Number of reports.")
    texts_sha256: str = Field(description="SHA-256 of the sorted texts, white space made one blank.")
    ids_sha256: str | None = Field(default=None, description="SHA-256 of the sorted study ids; not asked of rows.")


class Cut(_Strict):
    """What R2Gen's tokenizer leaves of a reference."""

    at_least: int = Field(ge=1, description="A word of the training reports is known if it occurs this often.")
    length: int = Field(ge=2, description="Longest sequence, its start mark included.")


class Convention(_Strict):
    """How labels are read for the clinical scores."""

    labeler: str = Field(default="rules.v1", description="Labeler of drafts, and of references without labels.")
    label_schema: str = Field(default="chexpert14.v1", description="Label schema.")
    uncertain: Literal["positive", "negative"] = Field(
        default="positive", description="What an uncertain label counts as in F1."
    )


class Protocol(_Strict):
    """A protocol as written in YAML."""

    name: str = Field(description="Name of the protocol.")
    description: str = Field(description="One line: whose numbers it gives.")
    references: list[ReferenceSet] = Field(
        default_factory=list, description="The only references it takes; any if there are none."
    )
    sections: str = Field(default="findings,impression", description="Sections of sources that have sections.")
    cleaning: Cleaning = Field(description="How a text becomes words.")
    cut: Cut | None = Field(default=None, description="What the references lose: rare words, and their end.")
    drafts: Literal["auto", "clean", "decoded"] = Field(
        default="clean",
        description="Whether drafts are cleaned, or words already; auto: words if all of them look like it.",
    )
    metrics: list[str] = Field(description="Registered metrics, in the order of the table.")
    labels: Convention = Field(default_factory=Convention, description="Convention of labels.")


@dataclass(frozen=True, slots=True)
class Prepared:
    """Pairs as the metrics get them, and what was done to the texts, in words."""

    tokens: list[Pair]
    done: dict[str, str]


def protocol_names() -> list[str]:
    """The protocols that are shipped."""
    return sorted(path.stem for path in (config_root() / "protocols").glob("*.yaml"))


def load_protocol(name: str, overrides: Sequence[str] = ()) -> Protocol:
    """The shipped protocol called ``name``, or the one in the file of that name.

    Raises ``ConfigError``: ``bench.protocol`` with the nearest names, ``config.*`` for a mistake in a file.
    """
    if Path(name).suffix in (".yaml", ".yml"):
        return load_yaml(Path(name), Protocol, overrides)
    if name not in protocol_names():
        error = unknown("bench.protocol", "protocol", name, protocol_names())
        raise ConfigError(error.code, error.message, hint="`radloop bench protocols` lists them")
    return load_yaml(config_path(f"protocols/{name}.yaml"), Protocol, overrides)


def protocol_sha256(protocol: Protocol) -> str:
    """What two tables must share to be compared: the SHA-256 of the resolved protocol."""
    return config_sha256(protocol)


def reference_set(protocol: Protocol, references: Texts, *, any_references: bool = False) -> ReferenceSet | None:
    """Which of the protocol's sets these references are; None where any set will do.

    Raises ``DataError`` (``bench.references``) where they are none of them.
    """
    found = texts_sha256(references.texts)
    for known in protocol.references:
        if known.texts_sha256 == found and _same_ids(known, references):
            return known
    if not protocol.references or any_references:
        return None
    expected = " or ".join(f"{known.name} ({known.count} reports, {known.form})" for known in protocol.references)
    raise DataError(
        "bench.references",
        f"these {len(references.ids)} references are not those of {protocol.name}: {expected}; "
        f"their hash is {found[:16]}",
        where=references.path,
        hint="--any-references scores them all the same, as numbers that are not comparable with published ones",
    )


def _same_ids(known: ReferenceSet, references: Texts) -> bool:
    return known.ids_sha256 is None or references.numbered or known.ids_sha256 == ids_sha256(references.ids)


def prepare(
    protocol: Protocol, pairs: Sequence[Pair], train: Mapping[str, str], known: ReferenceSet | None
) -> Prepared:
    """The pairs as words.

    ``train`` holds the training reports that a cut needs. Raises ``DataError`` (``bench.train``) without them.
    """
    reference, done = _reference_cleaner(protocol, train, known)
    decoded = protocol.drafts == "decoded" or (protocol.drafts == "auto" and is_decoded(p.hypothesis for p in pairs))
    done["drafts"] = "lower case, one blank between words" if decoded else f"cleaned: {protocol.cleaning}"
    draft = _decoded if decoded else lambda text: clean(protocol.cleaning, text)
    tokens = [
        Pair(
            pair.study_id, draft(pair.hypothesis) if pair.hypothesis.strip() else "",
            tuple(map(reference, pair.references)),
        )
        for pair in pairs
    ]  # fmt: skip
    return Prepared(tokens, done)


def _decoded(text: str) -> str:
    return one_line(text.lower())


def _reference_cleaner(protocol: Protocol, train: Mapping[str, str], known: ReferenceSet | None):  # type: ignore[no-untyped-def]
    if known is not None and known.form == "decoded":
        return one_line, {"references": "decoded before"}

    def cleaned(text: str) -> str:
        return clean(protocol.cleaning, text)

    if protocol.cut is None:
        return cleaned, {"references": f"cleaned: {protocol.cleaning}"}
    if not train:
        raise DataError(
            "bench.train", f"{protocol.name} cuts references by the words of the training reports, which are not here",
            hint="give them with --train: R2Gen's annotation.json, or a table",
        )  # fmt: skip
    vocabulary = Vocabulary.of(map(cleaned, train.values()), protocol.cut.at_least)
    length = protocol.cut.length
    done = f"cleaned: {protocol.cleaning}; {len(vocabulary.words) + 1} words known, cut at {length}"
    return lambda text: vocabulary.cut(cleaned(text), length), {"references": done}
