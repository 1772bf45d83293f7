"""The same films read twice by the same readers, alone and with a system's help, say: what their agreement gains.

radloop vision readers alone.csv --compare helped.csv

As in the reader study of VinDr-CXR: Cohen's kappa of each pair and Fleiss' of all, in both readings, over the films
that all readers read in both. Differences have intervals from the same draws of patients (or items) for both readings.
A system that is a reader in the tables is compared with each reader as they are with each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from corpora.statistics.fleiss import fleiss_sums, fleiss_values, rating_counts
from corpora.statistics.kappa import kappa_values
from corpora.statistics.resample import percentile_estimate, resampled_totals
from corpora.statistics.types import Estimate
from vision.evaluate_measures import macro_of
from vision.readers import MEAN
from vision.readers_input import Readings, read_readings

Array = NDArray[np.float64]
_UNDEFINED = "kappa is 0/0 in one of the readings"


@dataclass(frozen=True, slots=True)
class Change:
    """Kappa of one label in the first and the second reading, and the second less the first."""

    first: Estimate
    second: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """Changes by pair of readers and label, and of all readers (three or more) by label; each ends with ``mean``."""

    readers: tuple[str, ...]
    labels: tuple[str, ...]
    items: int
    unit: str
    pairs: Mapping[tuple[str, str], Mapping[str, Change]]
    fleiss: Mapping[str, Change]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The report in JSON's types."""

        def rows(found: Mapping[str, Change]) -> dict[str, Any]:
            return {label: asdict(row) for label, row in found.items()}

        return {
            "readers": list(self.readers), "labels": list(self.labels), "items": self.items, "resampled_by": self.unit,
            "pairs": [{"readers": list(names), "labels": rows(found)} for names, found in self.pairs.items()],
            "fleiss": rows(self.fleiss), "notes": list(self.notes),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Both:
    """Answers (2, readers, items, labels) to the same films, and whose films they are."""

    readers: tuple[str, ...]
    labels: tuple[str, ...]
    answers: NDArray[np.int8]
    clusters: NDArray[np.intp]
    unit: str


def compare_readings(
    first: Path | str,
    second: Path | str,
    *,
    labels: Sequence[str] = (),
    blank: str = "negative",
    replicates: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> ChangeReport:
    """What the agreement of readers in ``second`` is less that in ``first``, tables as ``read_readings`` has them.

    Raises ``DataError`` as ``read_readings``, and ``readers.pairs`` if the tables do not share two readers, a label,
    and films that these readers read in both.
    """
    given = [read_readings(path, labels=labels, blank=blank) for path in (first, second)]
    both = _aligned(given[0], given[1], f"{first}, {second}")
    states = np.unique(both.answers)
    settings = (replicates, seed, confidence)
    pairs = {
        (both.readers[a], both.readers[b]): _rows(both, *_cohen(both, states, a, b, replicates, seed), settings)
        for a, b in combinations(range(len(both.readers)), 2)
    }
    fleiss = _rows(both, *_fleiss(both, states, replicates, seed), settings) if len(both.readers) > 2 else {}
    left = max(len(one.items) for one in given) - len(both.clusters)
    notes = (f"{left:,} films that not all of these readers read in both tables are left out",) if left else ()
    return ChangeReport(both.readers, both.labels, len(both.clusters), both.unit, pairs, fleiss, notes)


def _aligned(first: Readings, second: Readings, where: str) -> _Both:
    readers = tuple(name for name in first.readers if name in second.readers)
    labels = tuple(name for name in first.labels if name in second.labels)
    shared = [item for item in first.items if item in set(second.items)]
    parts = []
    for one in (first, second):
        who, of = [one.readers.index(name) for name in readers], [one.labels.index(name) for name in labels]
        places = {item: at for at, item in enumerate(one.items)}
        films = [places[item] for item in shared]
        parts.append((one.answers[np.ix_(who, films, of)], one.read[np.ix_(who, films)], one.clusters[films]))
    read = np.flatnonzero(parts[0][1].all(axis=0) & parts[1][1].all(axis=0))
    if len(readers) < 2 or not labels or not len(read):
        message = "the tables do not share two readers, a label, and films that these read in both"
        raise DataError("readers.pairs", message, where=where)
    answers = np.stack([part[0][:, read] for part in parts])
    return _Both(readers, labels, answers, parts[0][2][read], first.unit)


def _cohen(
    both: _Both, states: NDArray[np.int8], first: int, second: int, replicates: int, seed: int
) -> tuple[Array, Array]:
    """Kappas (2, labels) of a pair in both readings, and of each draw (replicates, 2, labels)."""
    codes = np.searchsorted(states, both.answers)
    k = len(states)
    cells = codes[:, first] * k + codes[:, second]
    counts = (cells[..., None] == np.arange(k * k)).astype(np.int64)
    totals, drawn = _totals(both, counts, replicates, seed)
    return kappa_values(totals.reshape(*totals.shape[:-1], k, k)), kappa_values(drawn.reshape(*drawn.shape[:-1], k, k))


def _fleiss(both: _Both, states: NDArray[np.int8], replicates: int, seed: int) -> tuple[Array, Array]:
    """As ``_cohen``, of all readers."""
    sums = np.stack(
        [
            np.stack([fleiss_sums(rating_counts(reading[..., at], states)) for at in range(len(both.labels))], axis=1)
            for reading in both.answers
        ]
    )
    parts = np.concatenate([sums, np.ones_like(sums[..., :1])], axis=-1)
    totals, drawn = _totals(both, parts, replicates, seed)
    raters = len(both.readers)
    return (
        fleiss_values(totals[..., :-1], totals[..., -1], raters),
        fleiss_values(drawn[..., :-1], drawn[..., -1], raters),
    )


def _totals(both: _Both, parts: NDArray[np.int64], replicates: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sums over the films of ``parts`` (2, items, labels, numbers), and over those of each draw, both readings drawn
    alike."""
    _, place = np.unique(both.clusters, return_inverse=True)
    by_cluster = np.zeros((int(place.max()) + 1, 2, *parts.shape[2:]), dtype=np.int64)
    np.add.at(by_cluster, place, np.moveaxis(parts, 1, 0))
    drawn = resampled_totals(by_cluster, replicates, seed)
    return by_cluster.sum(axis=0), drawn.reshape(replicates, *by_cluster.shape[1:])


def _rows(both: _Both, values: Array, drawn: Array, settings: tuple[int, int, float]) -> dict[str, Change]:
    found = {label: _change(both, values[:, at], drawn[:, :, at], settings) for at, label in enumerate(both.labels)}
    means = [macro_of(values[at], drawn[:, at]) for at in range(2)]
    value, draws = np.array([mean[0] for mean in means]), np.stack([mean[1] for mean in means], axis=1)
    return found | {MEAN: _change(both, value, draws, settings, means[0][2] or means[1][2])}


def _change(both: _Both, values: Array, drawn: Array, settings: tuple[int, int, float], remark: str = "") -> Change:
    first, second, difference = (
        percentile_estimate(
            float(value), draws, n=len(both.clusters), confidence=settings[2], unit=both.unit, undefined=_UNDEFINED,
            remark=remark,
        )
        for value, draws in (
            (values[0], drawn[:, 0]), (values[1], drawn[:, 1]), (values[1] - values[0], drawn[:, 1] - drawn[:, 0])
        )
    )  # fmt: skip
    return Change(first, second, difference)
