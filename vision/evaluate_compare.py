"""Two systems on the same units: differences with paired intervals, and which of them hold over all labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from corpora.statistics.auroc_bootstrap import ranked, resampled_ranking
from corpora.statistics.delong import ONE_CLASS, auroc_difference
from corpora.statistics.multiplicity import holm
from corpora.statistics.resample import percentile_estimate
from corpora.statistics.roc import auroc
from corpora.statistics.types import Estimate
from vision.evaluate_input import Cohort
from vision.evaluate_measures import MACRO, MICRO, Settings, macro_of, pooled

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """AUROC of the first system, of the second, and the first minus the second by resampling and by DeLong.

    ``p`` is DeLong's (of resampling for macro and micro), ``p_holm`` that of a label after Holm over the labels; None
    where it is undefined.
    """

    first: float | None
    second: float | None
    difference: Estimate
    delong: Estimate | None
    p: float | None
    p_bootstrap: float | None
    p_holm: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences by label, then ``macro`` and ``micro``, on ``units`` that both systems have."""

    units: int
    rows: Mapping[str, Difference]
    notes: tuple[str, ...]


def paired_cohorts(first: Cohort, second: Cohort) -> tuple[Cohort, Cohort]:
    """Both cohorts on the units and labels that they share; a cell that one has no score for is left out of both.

    Raises ``DataError`` (``data.missing``) if they share none.
    """
    place = {name: at for at, name in enumerate(second.ids)}
    shared = [at for at, name in enumerate(first.ids) if name in place]
    labels = tuple(label for label in first.labels if label in second.labels)
    if not shared or not labels:
        what = "units" if labels else "labels"
        raise DataError("data.missing", f"the two tables of predictions share no {what}", where="--compare")
    ours, theirs = first.take(shared), second.take([place[first.ids[at]] for at in shared])
    a, b = (_only(each, labels) for each in (ours, theirs))
    truth = np.where((a.truth < 0) | (b.truth < 0), -1, a.truth).astype(np.int8)
    return replace(a, truth=truth), replace(b, truth=truth, clusters=a.clusters)


def _only(cohort: Cohort, labels: tuple[str, ...]) -> Cohort:
    at = [cohort.labels.index(label) for label in labels]
    return replace(cohort, labels=labels, truth=cohort.truth[:, at], scores=cohort.scores[:, at])


def compare(first: Cohort, second: Cohort, settings: Settings) -> Comparison:
    """Compare two systems by AUROC. Raises ``DataError`` as ``paired_cohorts``."""
    a, b = paired_cohorts(first, second)
    n = len(a.labels)
    columns = [
        *(ranked(each.truth[:, at], np.nan_to_num(each.scores[:, at]), each.clusters)
          for each in (a, b) for at in range(n)),
        pooled(a), pooled(b),
    ]  # fmt: skip
    drawn = resampled_ranking(columns, a.n_clusters, settings.replicates, settings.seed).auroc
    points = np.array([auroc(column.truth.astype(int), column.scores) for column in columns])
    rows = {label: _of_label(a, b, at, points[[at, n + at]], drawn[:, [at, n + at]], settings)
            for at, label in enumerate(a.labels)}  # fmt: skip
    rows = _holm(rows)
    means = [macro_of(points[part], drawn[:, part]) for part in (slice(0, n), slice(n, 2 * n))]
    macro = np.stack([means[0][1], means[1][1]], axis=1)
    rows[MACRO] = _difference(a, np.array([means[0][0], means[1][0]]), macro, settings, means[0][2])
    rows[MICRO] = _difference(a, points[2 * n :], drawn[:, 2 * n :], settings)
    only = [len(each.ids) - len(a.ids) for each in (first, second)]
    notes = [f"units that only one system has, not compared: {only[0]:,} and {only[1]:,}"] * any(only)
    lacking = sorted({*first.labels, *second.labels} - {*a.labels})
    notes += [f"labels that only one system has, not compared: {', '.join(lacking)}"] * bool(lacking)
    return Comparison(len(a.ids), rows, tuple(notes))


def _of_label(a: Cohort, b: Cohort, at: int, points: Array, drawn: Array, settings: Settings) -> Difference:
    y = a.truth[:, at]
    first, second = (np.nan_to_num(each.scores[:, at]) for each in (a, b))
    paired = auroc_difference(y, first, second, a.clusters, settings.confidence)
    found = _difference(a, points, drawn, settings)
    return replace(found, delong=paired.difference, p=paired.p)


def _difference(cohort: Cohort, points: Array, drawn: Array, settings: Settings, remark: str = "") -> Difference:
    differences = drawn[:, 0] - drawn[:, 1]
    known = int((cohort.truth >= 0).any(axis=1).sum())
    estimate = percentile_estimate(
        float(points[0] - points[1]), differences, n=known, confidence=settings.confidence,
        unit=cohort.cluster, undefined=ONE_CLASS, remark=remark,
    )  # fmt: skip
    p = _two_sided(differences)
    first, second = (None if np.isnan(value) else float(value) for value in points)
    return Difference(first, second, estimate, None, p, p)


def _two_sided(differences: NDArray[Any]) -> float | None:
    """Twice the smaller share of replicates on either side of 0, never below 1 in the number of replicates."""
    defined = differences[~np.isnan(differences)]
    if not len(defined):
        return None
    below, above = (defined <= 0).sum(), (defined >= 0).sum()
    return float(min(1.0, 2 * (min(below, above) + 1) / (len(defined) + 1)))


def _holm(rows: dict[str, Difference]) -> dict[str, Difference]:
    """With p adjusted over the labels that have one (Holm 1979)."""
    adjusted = holm([np.nan if row.p is None else row.p for row in rows.values()])
    return {
        label: row if row.p is None else replace(row, p_holm=float(p))
        for (label, row), p in zip(rows.items(), adjusted, strict=True)
    }
