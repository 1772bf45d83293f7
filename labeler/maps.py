"""Labels of one schema told in those of another, as far as they mean the same.

A map (``configs/maps/chest.v1.yaml``) says of the labels of several schemas which mean the same, which labels together
make up a wider one, and which are only a kind of it. A wider label is positive if one of its labels is, uncertain if
one is and none positive, and negative if one is denied and the others are not there; a mere kind of it denies nothing.
What has no counterpart stays blank.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from corpora.config import Document, read_document, validate
from corpora.errors import ConfigError, DataError
from corpora.labels import BLANK, NEGATIVE, POSITIVE, UNCERTAIN, State
from corpora.registry import names
from corpora.resources import config_path
from labeler.schemas import load_schema

#: The map that is used where none is named.
DEFAULT_MAP: Final = "maps/chest.v1.yaml"
_STRONGEST: Final[tuple[State, ...]] = (POSITIVE, UNCERTAIN, NEGATIVE)
_NAMES_AT_ONCE: Final = 5


class Wider(BaseModel):
    """A label that several of another schema are parts or kinds of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: str = Field(alias="schema", description="The schema of the wider label.")
    label: str = Field(description="The wider label.")
    of: str = Field(description="The other schema.")
    parts: list[str] = Field(default_factory=list, description="Its labels that together are the wider one.")
    kinds: list[str] = Field(default_factory=list, description="Its labels that are kinds of it, and not all.")


class MapFile(BaseModel):
    """A map between label sets as written in YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name with its version, such as chest.v1.")
    same: list[dict[str, str]] = Field(
        description="Rows of labels that mean the same: schema -> label, each schema once in a row."
    )
    wider: list[Wider] = Field(
        default_factory=list, description="Labels that are made up of several of another schema."
    )

    def verify(self, document: Document) -> None:
        """What ``radloop validate`` checks beyond the fields: that every schema has the labels named."""
        _check(self, document)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a label comes from: the labels that are it or its parts, and those that are kinds of it."""

    parts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def state(self, parts: Iterable[State], kinds: Iterable[State]) -> State:
        """The label's state by those of its parts and kinds."""
        parts = set(parts)
        said = parts | ({*kinds} - {NEGATIVE})
        return next((state for state in _STRONGEST if state in said), BLANK)


def read_map(path: Path | None = None) -> MapFile:
    """The map in the file at ``path``, or the shipped one. Raises ``ConfigError``."""
    document = read_document(path or config_path(DEFAULT_MAP))
    file = validate(document, MapFile)
    _check(file, document)
    return file


def sources(file: MapFile, source: str, target: str) -> dict[str, Source]:
    """Where each label of the schema ``target`` comes from among those of ``source``; empty where from none."""
    labels = load_schema(target).schema.labels
    if source == target:
        return {label: Source((label,)) for label in labels}
    same = {row[target]: row[source] for row in file.same if source in row and target in row}
    wider = {w.label: w for w in file.wider if (w.schema_, w.of) == (target, source)}
    return {label: _source(label, same, wider) for label in labels}


def _source(label: str, same: dict[str, str], wider: dict[str, Wider]) -> Source:
    own = (same[label],) if label in same else ()
    made_of = wider.get(label)
    if made_of is None:
        return Source(own)
    # with parts of its own, or a label that means the same, the kinds add to it
    return Source((*own, *made_of.parts), tuple(made_of.kinds))


def schema_of(columns: Iterable[str], path: Path, *, sparse: bool = False) -> str:
    """The shipped schema whose labels are ``columns``; with ``sparse`` a table that leaves labels out.

    Raises ``DataError`` (``map.schema``) if it is of none, or may be of several.
    """
    present = set(columns)
    shipped = {name: set(load_schema(name).schema.labels) for name in names("schemas")}
    fitting = [name for name, labels in shipped.items() if (present <= labels if sparse else labels <= present)]
    if len(fitting) == 1:
        return fitting[0]
    message = f"its labels may be those of {' or '.join(fitting)}" if fitting else "its labels are of no shipped schema"
    raise DataError("map.schema", message, where=str(path), hint="name their schema with --from")


def _check(file: MapFile, document: Document) -> None:
    for number, row in enumerate(file.same):
        for schema, label in row.items():
            _check_label(schema, label, document.where("same", str(number)))
    for number, wider in enumerate(file.wider):
        where = document.where("wider", str(number))
        for schema, label in ((wider.schema_, wider.label), *_members(wider)):
            _check_label(schema, label, where)


def _members(wider: Wider) -> Iterator[tuple[str, str]]:
    for label in (*wider.parts, *wider.kinds):
        yield wider.of, label


def _check_label(schema: str, label: str, where: str) -> None:
    labels = load_schema(schema).schema.labels
    if label in labels:
        return
    from difflib import get_close_matches

    near = get_close_matches(label, labels, n=_NAMES_AT_ONCE)
    hint = f"nearest: {', '.join(near)}" if near else f"{schema} has: {', '.join(labels[:_NAMES_AT_ONCE])} ..."
    raise ConfigError("config.label", f"{label!r} is no label of {schema}", where=where, hint=hint)
