"""Reader studies: how far readers of the same films agree, as papers print it and with a bootstrap.

radloop vision readers readings.csv -o agreement

"As printed" is what the tables of VinDr-CXR hold: Cohen's kappa with its asymptotic interval, Fleiss' kappa with the
standard error under no agreement, and a mean over labels whose interval is the mean of the labels' bounds. The
bootstrap resamples patients (or items); its mean has the interval of the mean in each resample.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from corpora.statistics.fleiss import fleiss_kappa_printed, fleiss_sums, fleiss_values, rating_counts
from corpora.statistics.kappa import cohen_kappa, kappa_values
from corpora.statistics.resample import percentile_estimate, resampled_totals
from corpora.statistics.types import Estimate
from vision.evaluate_measures import macro_of
from vision.readers_input import BLANK_AS, Readings, read_readings

Array = NDArray[np.float64]
MEAN: Final = "mean"
_SAME: Final = "both readers give one and the same answer throughout: kappa is 0/0"
_SAME_ALL: Final = "all readers give one and the same answer throughout: kappa is 0/0"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of one label: the share of equal answers, kappa as printed, kappa with a bootstrap.

    ``agreement`` of more than two readers is the share of items on which all agree.
    """

    agreement: Estimate
    printed: Estimate
    bootstrap: Estimate


@dataclass(frozen=True, slots=True)
class ReaderReport:
    """Agreement by pair of readers and label, and of all readers (Fleiss) by label; each ends with ``mean``.

    ``items`` are those read by all of a pair's readers; ``notes`` say what was left out.
    """

    readers: tuple[str, ...]
    labels: tuple[str, ...]
    items: int
    unit: str
    pairs: Mapping[tuple[str, str], Mapping[str, Agreement]]
    fleiss: Mapping[str, Agreement]
    fleiss_raters: int
    notes: tuple[str, ...]
    method: Mapping[str, Any]


def readers(
    table: Path | str,
    *,
    labels: Sequence[str] = (),
    blank: str = "negative",
    replicates: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> ReaderReport:
    """Measure the agreement of readers in a table of readings (see ``read_readings``).

    Raises ``DataError`` as ``read_readings``, and ``readers.pairs`` if no two readers read the same item.
    """
    given = read_readings(table, labels=labels, blank=blank)
    settings = (replicates, seed, confidence)
    pairs: dict[tuple[str, str], Mapping[str, Agreement]] = {}
    for first, second in combinations(range(len(given.readers)), 2):
        both = np.flatnonzero(given.read[first] & given.read[second])
        if len(both):
            names = given.readers[first], given.readers[second]
            pairs[names] = _pair(given, first, second, both, settings)
    if not pairs:
        raise DataError("readers.pairs", "no two readers read the same item", where=str(table))
    fleiss, raters, notes = _fleiss(given, settings)
    method = {"replicates": replicates, "seed": seed, "confidence": confidence, "blank": blank,
              "bootstrap": f"percentile bootstrap by {given.unit}",
              "printed": "Cohen: asymptotic standard error (Fleiss, Cohen and Everitt 1969); Fleiss: standard error "
                         "under no agreement (Fleiss, Nee and Landis 1979); mean: means of the bounds"}  # fmt: skip
    return ReaderReport(
        given.readers, given.labels, len(given.items), given.unit, pairs, fleiss, raters,
        (*given.notes, *notes), method,
    )  # fmt: skip


def _pair(
    given: Readings, first: int, second: int, items: NDArray[np.intp], settings: tuple[int, int, float]
) -> dict[str, Agreement]:
    """Agreement of two readers by label, then the mean."""
    states = np.unique(given.answers)
    codes = np.searchsorted(states, given.answers[:, items])
    k = len(states)
    cells = codes[first] * k + codes[second]
    counts = (cells[..., None] == np.arange(k * k)).astype(np.int64)
    by_cluster = _summed(counts, given.clusters[items])
    drawn = resampled_totals(by_cluster, settings[0], settings[1]).reshape(settings[0], len(given.labels), k, k)
    tables = counts.sum(axis=0).reshape(len(given.labels), k, k)
    values, kappas = kappa_values(tables), kappa_values(drawn)
    same, sames = _same(tables), _same(drawn)
    found = {}
    for at, label in enumerate(given.labels):
        printed = cohen_kappa(tables[at], settings[2])
        found[label] = Agreement(
            _estimate(given, float(same[at]), sames[:, at], len(items), settings, "nothing was read"), printed,
            _estimate(given, float(values[at]), kappas[:, at], len(items), settings, _SAME),
        )  # fmt: skip
    found[MEAN] = _mean(given, found, (same, sames), (values, kappas), len(items), settings)
    return found


def _summed(counts: NDArray[np.int64], clusters: NDArray[np.intp]) -> NDArray[np.int64]:
    _, place = np.unique(clusters, return_inverse=True)
    sums = np.zeros((int(place.max()) + 1, *counts.shape[1:]), dtype=np.int64)
    np.add.at(sums, place, counts)
    return sums


def _same(tables: NDArray[Any]) -> Array:
    n = tables.sum(axis=(-2, -1))
    share = np.full(n.shape, np.nan)
    np.divide(np.trace(tables, axis1=-2, axis2=-1), n, out=share, where=n > 0)
    return share


def _estimate(
    given: Readings, value: float, drawn: Array, n: int, settings: tuple[int, int, float], undefined: str,
    remark: str = "",
) -> Estimate:  # fmt: skip
    return percentile_estimate(
        value, drawn, n=n, confidence=settings[2], unit=given.unit, undefined=undefined, remark=remark
    )  # fmt: skip


def _mean(
    given: Readings, rows: Mapping[str, Agreement], same: tuple[Array, Array], kappa: tuple[Array, Array], n: int,
    settings: tuple[int, int, float],
) -> Agreement:  # fmt: skip
    share, shares, _ = macro_of(*same)
    value, values, remark = macro_of(*kappa)
    return Agreement(
        _estimate(given, share, shares, n, settings, "nothing was read"),
        printed_mean([row.printed for row in rows.values()]),
        _estimate(given, value, values, n, settings, "kappa is defined for no label", remark),
    )


def printed_mean(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of values, with the means of their bounds for an interval, as VinDr-CXR prints it.

    Bounds of labels vary apart, so it is about twice too wide. An estimate without a value is left out, one without an
    interval only from the bounds.
    """
    values = [e.value for e in estimates if e.value is not None]
    bounds = [(e.lo, e.hi) for e in estimates if e.lo is not None and e.hi is not None]
    n = max((e.n for e in estimates), default=0)
    method = "mean of the labels' kappas, interval: means of their bounds"
    if not values:
        return Estimate(None, None, None, n, method, "kappa is defined for no label")
    remark = "" if len(values) == len(estimates) else f"mean over {len(values)} of {len(estimates)} labels"
    lo, hi = (math.fsum(side) / len(bounds) for side in zip(*bounds, strict=True)) if bounds else (None, None)
    return Estimate(math.fsum(values) / len(values), lo, hi, n, method, remark)


def _fleiss(given: Readings, settings: tuple[int, int, float]) -> tuple[dict[str, Agreement], int, tuple[str, ...]]:
    """Fleiss' kappa over the items that have the commonest number of readings, three or more."""
    numbers = Counter(int(n) for n in given.read.sum(axis=0) if n > 2)
    if not numbers:
        return {}, 0, ()
    raters = max(numbers, key=lambda m: (numbers[m], m))
    items = np.flatnonzero(given.read.sum(axis=0) == raters)
    left = len(given.items) - len(items)
    notes = (f"{left:,} items that do not have {raters} readings are left out of Fleiss' kappa",) if left else ()
    states = np.unique(given.answers[given.read])
    answers = np.where(given.read[:, items, None], given.answers[:, items], np.iinfo(np.int8).min)
    counts = np.stack([rating_counts(answers[:, :, at], states) for at in range(len(given.labels))], axis=1)
    sums = np.stack([fleiss_sums(counts[:, at]) for at in range(len(given.labels))], axis=1)
    unanimous = (counts == raters).any(axis=2).astype(np.int64)
    parts = np.concatenate([sums, unanimous[..., None], np.ones_like(unanimous)[..., None]], axis=2)
    totals = _summed(parts, given.clusters[items])
    drawn = resampled_totals(totals, settings[0], settings[1])
    (values, same), (kappas, sames) = (_fleiss_of(each, raters) for each in (totals.sum(axis=0), drawn))
    found = {}
    for at, label in enumerate(given.labels):
        found[label] = Agreement(
            _estimate(given, float(same[at]), sames[:, at], len(items), settings, "nothing was read"),
            fleiss_kappa_printed(counts[:, at], settings[2]),
            _estimate(given, float(values[at]), kappas[:, at], len(items), settings, _SAME_ALL),
        )  # fmt: skip
    found[MEAN] = _mean(given, found, (same, sames), (values, kappas), len(items), settings)
    return found, raters, notes


def _fleiss_of(totals: NDArray[Any], raters: int) -> tuple[Array, Array]:
    """Kappa and the share of unanimous items, of sums (..., labels, categories + 3)."""
    items = totals[..., -1]
    share = np.full(items.shape, np.nan)
    np.divide(totals[..., -2], items, out=share, where=items > 0)
    return fleiss_values(totals[..., :-2], items, raters), share


def to_json(report: ReaderReport) -> dict[str, Any]:
    """The report in JSON's types."""
    from dataclasses import asdict

    def rows(found: Mapping[str, Agreement]) -> dict[str, Any]:
        return {label: asdict(row) for label, row in found.items()}

    return {
        "readers": list(report.readers), "labels": list(report.labels), "items": report.items,
        "resampled_by": report.unit, "blank": BLANK_AS[report.method["blank"]],
        "pairs": [{"readers": list(names), "labels": rows(found)} for names, found in report.pairs.items()],
        "fleiss": {"readers_per_item": report.fleiss_raters, "labels": rows(report.fleiss)},
        "notes": list(report.notes), "method": dict(report.method),
    }  # fmt: skip
