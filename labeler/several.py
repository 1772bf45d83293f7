"""Several label sets in one pass: a report is read from its source once, and labeled by each.

    radloop label run reports.csv -o labels.csv --schema chexpert14,vindr28

writes ``labels.chexpert14.v1.csv`` and ``labels.vindr28.v1.csv``, each as a run of its own would.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain
from pathlib import Path
from typing import Final, NamedTuple

from corpora.errors import ConfigError
from corpora.labels import State
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.base import DEFAULT_LANGUAGE, Labeler, load
from labeler.types import LabelVector

_ROWS: Final = "rows"


class Table(NamedTuple):
    """One table of a run: its part of the journal, its schema where there are several, and which states are its."""

    part: str
    schema: str
    labels: tuple[str, ...]
    states: slice

    def path(self, table: Path) -> Path:
        """Where it lies if the run's output is ``table``."""
        return table.with_name(f"{table.stem}.{self.schema}{table.suffix}") if self.schema else table


class SeveralLabeler:
    """Labelers of several schemas as one, whose states are theirs one behind the other."""

    def __init__(self, labelers: Sequence[Labeler]) -> None:
        self.labelers = tuple(labelers)
        self.made_by = self.labelers[0].made_by
        names = [labeler.schema.name for labeler in self.labelers]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError("config.value", f"schema {name} is named twice", where="--schema")
        schemas = [labeler.schema for labeler in self.labelers]
        labels = tuple(f"{schema.name}: {label}" for schema in schemas for label in schema.labels)
        self.schema = LabelSchema(",".join(names), labels)

    def __call__(self, report: str | Report, sections: str = "findings,impression") -> LabelVector:
        """Label one report by all; the mentions are those of all, each with the name its label has here."""
        report = Report("", report) if isinstance(report, str) else report
        vectors = self.vectors(report, sections)
        states = tuple(chain.from_iterable(vector.states for vector in vectors))
        mentions = tuple(
            replace(mention, label=f"{vector.schema}: {mention.label}")
            for vector in vectors
            for mention in vector.mentions
        )
        return LabelVector(report.study_id, self.schema.name, self.schema.labels, states, mentions, self.made_by)

    def vectors(self, report: Report, sections: str) -> list[LabelVector]:
        """What each gives the report."""
        return [labeler(report, sections) for labeler in self.labelers]

    def states(self, reports: Sequence[Report], sections: str = "findings,impression") -> list[tuple[State, ...]]:
        """The states alone."""
        found = zip(*(labeler.states(reports, sections) for labeler in self.labelers), strict=True)
        return [tuple(chain.from_iterable(states)) for states in found]


def schemas_in(named: str) -> tuple[str, ...]:
    """The schemas of ``--schema``: separated by commas, unless that is the name of a file.

    >>> schemas_in("chexpert14,vindr28")
    ('chexpert14', 'vindr28')
    """
    return (named,) if "," not in named or Path(named).is_file() else tuple(map(str.strip, named.split(",")))


def load_for(name: str, named: str, language: str = DEFAULT_LANGUAGE, *, hierarchy: bool = False) -> Labeler:
    """The labeler of a run: that of one schema, or one for each that ``named`` names.

    Raises as ``labeler.base.load`` and ``labeler.hierarchy.with_parents``, and ``ConfigError`` (``config.value``) for a
    schema that is named twice.
    """
    labelers = [_one(name, schema, language, hierarchy) for schema in schemas_in(named)]
    return labelers[0] if len(labelers) == 1 else SeveralLabeler(labelers)


def _one(name: str, schema: str, language: str, hierarchy: bool) -> Labeler:
    from labeler.hierarchy import with_parents

    labeler = load(name, schema, language)
    return with_parents(labeler, schema) if hierarchy else labeler


def tables_of(labeler: Labeler) -> tuple[Table, ...]:
    """The tables of a run with this labeler."""
    if not isinstance(labeler, SeveralLabeler):
        return (Table(_ROWS, "", labeler.schema.labels, slice(None)),)
    return tuple(_tables(labeler))


def _tables(several: SeveralLabeler) -> Iterator[Table]:
    schemas = [labeler.schema for labeler in several.labelers]
    ends = accumulate(len(schema.labels) for schema in schemas)
    for number, (schema, end) in enumerate(zip(schemas, ends, strict=True)):
        part = f"{_ROWS}.{number}" if number else _ROWS
        yield Table(part, schema.name, schema.labels, slice(end - len(schema.labels), end))
