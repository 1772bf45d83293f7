"""Where along the loop a finding is lost: from what is true over report, labels, encoder and draft, label by label.

Each station is a label table of the same studies. Of the studies in which the first station has a finding, the trace
says how many still have it at each later one, where those that lost it did so, and what each station adds that none
before it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from corpora.errors import ConfigError, DataError
from corpora.label_table import LabelMatrix, read_label_matrix
from corpora.statistics.binomial import share
from corpora.statistics.types import Estimate

Uncertain = Literal["positive", "negative"]
#: All labels together, each of a study counted by itself.
ALL: Final = "all labels"


@dataclass(frozen=True, slots=True)
class Station:
    """One station of a label: how many have it, and what became of those that the first station has.

    ``kept``: the share of the first's that have it here. ``through``: the share that has it at every station so far.
    ``lost``: how many had it at every station before and not here. ``right``: the share of those here that the first
    has. ``added``: how many have it here and at no station before.
    """

    station: str
    positive: int
    kept: Estimate
    through: Estimate
    right: Estimate
    lost: int
    added: int


@dataclass(frozen=True, slots=True)
class Trace:
    """What was traced: stations in order, studies that all of them have, studies left out, rows by label."""

    stations: tuple[str, ...]
    studies: int
    left_out: Mapping[str, int]
    uncertain: Uncertain
    labels: Mapping[str, tuple[Station, ...]]


def trace(tables: Mapping[str, Path], uncertain: Uncertain = "positive") -> Trace:
    """Trace the labels that all ``tables`` have, over the studies that all have; at least two tables, in order.

    ``uncertain``: what an uncertain cell counts as; a blank one is negative. Intervals are exact (Clopper-Pearson), by
    study. Raises ``ConfigError`` (``config.value``) for fewer than two stations, and ``DataError``: as
    ``read_label_matrix``, ``trace.studies`` without a study that all have, ``trace.labels`` without such a label.
    """
    if len(tables) < 2:
        raise ConfigError("config.value", "a trace needs two stations at least", hint="name them as NAME=TABLE")
    read = {name: read_label_matrix(path) for name, path in tables.items()}
    spelling = next(iter(read.values())).rows
    read = {name: table.named_as(spelling) for name, table in read.items()}
    first, *others = read.values()
    studies = [study for study in first.ids if all(study in other.rows for other in others)]
    labels = [label for label in first.labels if all(label in other.labels for other in others)]
    if not studies:
        raise DataError("trace.studies", "no study is in all of the tables", hint="are their study ids of one kind?")
    if not labels:
        raise DataError("trace.labels", "no label is in all of the tables", hint="see radloop label map")
    has = np.stack([_positive(table.only(labels), studies, uncertain) for table in read.values()])
    left_out = {name: len(table.ids) - len(studies) for name, table in read.items()}
    rows = {label: tuple(_stations(list(read), has[:, :, at])) for at, label in enumerate(labels)}
    rows[ALL] = tuple(_stations(list(read), has.reshape(len(read), -1)))
    return Trace(tuple(read), len(studies), left_out, uncertain, rows)


def _positive(table: LabelMatrix, studies: Sequence[str], uncertain: Uncertain) -> NDArray[np.bool_]:
    states = table.states[[table.rows[study] for study in studies]]
    found: NDArray[np.bool_] = (states == 1) | ((states == -1) & (uncertain == "positive"))
    return found


def _stations(names: Sequence[str], has: NDArray[np.bool_]) -> Iterator[Station]:
    """The stations of one label; ``has`` [stations, studies]."""
    true = int(has[0].sum())
    through = has[0]
    before = np.zeros_like(has[0])
    for name, here in zip(names, has, strict=True):
        still = through & here
        yield Station(
            name, int(here.sum()), share(int((has[0] & here).sum()), true), share(int(still.sum()), true),
            share(int((has[0] & here).sum()), int(here.sum())), int((through & ~here).sum()),
            0 if name == names[0] else int((here & ~before).sum()),
        )  # fmt: skip
        through, before = still, before | here


def to_json(traced: Trace) -> dict[str, Any]:
    """The trace in JSON's types."""
    return {
        "stations": list(traced.stations), "studies": traced.studies, "left_out": dict(traced.left_out),
        "uncertain": traced.uncertain,
        "labels": {label: [_row(row) for row in rows] for label, rows in traced.labels.items()},
    }  # fmt: skip


def _row(row: Station) -> dict[str, Any]:
    shares = {"kept": row.kept, "through": row.through, "right": row.right}
    return {
        "station": row.station, "positive": row.positive, "lost": row.lost, "added": row.added,
        **{name: {"value": one.value, "lo": one.lo, "hi": one.hi, "n": one.n} for name, one in shares.items()},
    }  # fmt: skip


def to_markdown(traced: Trace) -> str:
    """The trace as a table: per label, of the first station's positives the share that each later one still has."""
    first, *later = traced.stations
    head = ["label", f"{first}, positive", *(f"{name}: kept" for name in later), "lost at", "added at"]
    lines = [f"| {' | '.join(head)} |", f"|---|{'--:|' * (len(head) - 1)}"]
    for label, (begin, *rows) in traced.labels.items():
        lost = ", ".join(f"{row.station} {row.lost}" for row in rows if row.lost)
        added = ", ".join(f"{row.station} {row.added}" for row in rows if row.added)
        cells = [label, str(begin.positive), *(said(row.kept) for row in rows), lost, added]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def said(one: Estimate) -> str:
    """A share for people."""
    return "" if one.value is None else f"{one.value:.3f} [{one.lo:.3f}, {one.hi:.3f}]"
