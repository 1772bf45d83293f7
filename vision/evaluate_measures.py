"""Every number of an evaluation with its interval: by label, their mean (macro), all cells together (micro).

One set of resamples of patients serves all measures of all labels. A macro interval is that of the mean in each
resample, never a mean of bounds; a resample in which a label of the mean is undefined is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.statistics.auroc_bootstrap import Ranked, ranked, resampled_ranking
from corpora.statistics.calibration import recalibration
from corpora.statistics.delong import ONE_CLASS, auroc_estimate
from corpora.statistics.resample import percentile_estimate, replicate_weights, resampled_totals
from corpora.statistics.roc import auroc, average_precision
from corpora.statistics.thresholds import SHARES, Cut, outcome_counts, shares
from corpora.statistics.types import Estimate
from vision.evaluate_input import Cohort

Array = NDArray[np.float64]
Scores = dict[str, Estimate]
MACRO: Final = "macro"
MICRO: Final = "micro"
#: Measures of a threshold, in the order they are printed.
AT_THRESHOLD: Final = ("sensitivity", "specificity", "ppv", "npv", "f1", "fpr", "fnr", "accuracy")
_BINS: Final = 10
_EMPTY: Final = {
    "sensitivity": "no positive", "fnr": "no positive", "specificity": "no negative", "fpr": "no negative",
    "ppv": "nothing is called positive", "npv": "nothing is called negative",
    "f1": "no positive, and nothing is called positive", "accuracy": "no unit with a known truth",
}  # fmt: skip
_ECE_REMARK: Final = "resampling adds noise to the bins, so the interval lies high"


@dataclass(frozen=True, slots=True)
class Settings:
    """How intervals are made."""

    replicates: int = 10_000
    seed: int = 0
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class Measured:
    """One label, or macro or micro: numbers of units, measures, and measures ``at`` each rule of a threshold."""

    positives: int
    negatives: int
    left_out: int
    scores: Mapping[str, Estimate]
    at: Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True, slots=True)
class Table:
    """All of a cohort: by label, then ``macro`` and ``micro``."""

    labels: Mapping[str, Measured]
    macro: Measured
    micro: Measured

    def rows(self) -> dict[str, Measured]:
        return {**self.labels, MACRO: self.macro, MICRO: self.micro}


def measure(cohort: Cohort, cuts: Mapping[str, Sequence[Cut]], settings: Settings) -> Table:
    """Measure a cohort, with the thresholds of each rule (one a label, in order)."""
    columns = [_column(cohort, at) for at in range(len(cohort.labels))]
    ranking = _ranking(cohort, columns, settings)
    errors = _errors(cohort, settings)
    called = _called(cohort, cuts, settings)
    labels = {}
    for at, label in enumerate(cohort.labels):
        y, s = cohort.truth[:, at], cohort.scores[:, at]
        delong = auroc_estimate(y, s, cohort.clusters, settings.confidence)
        scores = ranking[at] | {"auroc_delong": delong} | errors[at] | _slope(y, s, cohort.clusters, settings)
        labels[label] = _measured(y, scores, {rule: rows[at] for rule, rows in called.items()})
    n = len(cohort.labels)
    macro, micro = (
        _measured(cohort.truth, ranking[at] | errors[at], {rule: rows[at] for rule, rows in called.items()})
        for at in (n, n + 1)
    )
    return Table(labels, macro, micro)


def _measured(truth: NDArray[Any], scores: Scores, at: dict[str, Scores]) -> Measured:
    positives, negatives = int((truth == 1).sum()), int((truth == 0).sum())
    return Measured(positives, negatives, truth.size - positives - negatives, scores, at)


def _column(cohort: Cohort, at: int) -> Ranked:
    return ranked(cohort.truth[:, at], np.nan_to_num(cohort.scores[:, at]), cohort.clusters)


def pooled(cohort: Cohort) -> Ranked:
    """All cells of all labels as one column."""
    clusters = np.repeat(cohort.clusters, len(cohort.labels))
    return ranked(cohort.truth.ravel(), np.nan_to_num(cohort.scores).ravel(), clusters)


def _ranking(cohort: Cohort, columns: Sequence[Ranked], settings: Settings) -> list[Scores]:
    """AUROC and average precision of each label, macro, micro."""
    every = [*columns, pooled(cohort)]
    drawn = resampled_ranking(
        every, cohort.n_clusters, settings.replicates, settings.seed, average_precision=True
    )  # fmt: skip
    assert drawn.average_precision is not None
    measures = {"auroc": (auroc, drawn.auroc), "auprc": (average_precision, drawn.average_precision)}
    found: list[Scores] = [{} for _ in range(len(columns) + 2)]
    for name, (function, replicates) in measures.items():
        points = np.array([function(column.truth.astype(int), column.scores) for column in every])
        rows = _with_macro(points, replicates, len(columns))
        for at, (value, values, remark) in enumerate(rows):
            n = _units(cohort, at)
            reason = "defined for no label" if at == len(columns) else ONE_CLASS
            found[at][name] = _estimate(cohort, settings, value, values, n, reason, remark)
    return found


def _units(cohort: Cohort, at: int) -> int:
    """How many units have a known truth for a label; for any label in macro and micro."""
    known = cohort.truth >= 0
    return int(known[:, at].sum() if at < len(cohort.labels) else known.any(axis=1).sum())


def _with_macro(points: Array, replicates: Array, labels: int) -> list[tuple[float, Array, str]]:
    """(value, replicates, remark) of each label, macro, micro; the last column of both arguments is micro."""
    rows = [(float(points[at]), replicates[:, at], "") for at in range(labels)]
    value, values, remark = macro_of(points[:labels], replicates[:, :labels])
    return [*rows, (value, values, remark), (float(points[labels]), replicates[:, labels], "")]


def macro_of(points: Array, replicates: Array) -> tuple[float, Array, str]:
    """The mean over the labels where ``points`` (labels,) is defined, its ``replicates`` (replicates, labels) and a
    remark if any is not."""
    defined = ~np.isnan(points)
    if not defined.any():
        return float("nan"), np.full(len(replicates), np.nan), ""
    remark = "" if defined.all() else f"mean over the {defined.sum()} of {len(points)} labels where it is defined"
    return float(points[defined].mean()), replicates[:, defined].mean(axis=1), remark


def _estimate(
    cohort: Cohort, settings: Settings, value: float, replicates: Array, n: int, undefined: str, remark: str = ""
) -> Estimate:
    return percentile_estimate(
        value, replicates, n=n, confidence=settings.confidence, unit=cohort.cluster, undefined=undefined,
        remark=remark,
    )  # fmt: skip


# probabilities


def _errors(cohort: Cohort, settings: Settings) -> list[Scores]:
    """Brier score and expected calibration error of each label, macro, micro."""
    known = cohort.truth >= 0
    p, y = np.where(known, cohort.scores, 0.0), np.where(known, cohort.truth, 0)
    labels = len(cohort.labels)
    at = np.minimum((p * _BINS + 1e-9).astype(int), _BINS - 1)
    gaps = np.zeros((len(p), labels, _BINS))
    np.put_along_axis(gaps, at[..., None], (p - y)[..., None], axis=2)
    sums = np.concatenate([(p - y) ** 2, known, gaps.reshape(len(p), -1)], axis=1)
    sums[:, :labels] *= known
    totals = np.zeros((cohort.n_clusters, sums.shape[1]))
    np.add.at(totals, cohort.clusters, sums)
    point = _brier_and_ece(totals.sum(axis=0)[None], labels)
    drawn = _brier_and_ece(_weighted(totals, settings), labels)
    found: list[Scores] = [{} for _ in range(labels + 2)]
    for name, remark in (("brier", ""), ("ece", _ECE_REMARK)):
        rows = _with_macro(point[name][0], drawn[name], labels)
        for row, (value, values, more) in enumerate(rows):
            notes = "; ".join(filter(None, (more, remark)))
            n = _units(cohort, row)
            found[row][name] = _estimate(cohort, settings, value, values, n, "no unit with a known truth", notes)
    return found


def _weighted(totals: Array, settings: Settings) -> Array:
    """The sums of ``totals`` (clusters, columns) over the clusters of each replicate."""
    blocks = [weights.astype(np.float64) @ totals
              for weights in replicate_weights(len(totals), settings.replicates, settings.seed)]  # fmt: skip
    return np.concatenate(blocks) if blocks else np.zeros((0, totals.shape[1]))


def _brier_and_ece(sums: Array, labels: int) -> dict[str, Array]:
    """Of sums (replicates, columns): both measures, (replicates, labels + 1), the last one micro."""
    squares, counts = sums[:, :labels], sums[:, labels : 2 * labels]
    gaps = sums[:, 2 * labels :].reshape(len(sums), labels, _BINS)
    n = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)
    squares = np.concatenate([squares, squares.sum(axis=1, keepdims=True)], axis=1)
    wide = np.concatenate([gaps, gaps.sum(axis=1, keepdims=True)], axis=1)
    return {"brier": _ratio(squares, n), "ece": _ratio(np.abs(wide).sum(axis=2), n)}


def _ratio(part: Array, whole: Array) -> Array:
    ratio = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def _slope(y: NDArray[Any], s: Array, clusters: NDArray[Any], settings: Settings) -> Scores:
    """Slope and intercept of the recalibration, with normal intervals."""
    method = "logistic recalibration (Cox 1958), sandwich error by cluster"
    found, n = recalibration(y, np.nan_to_num(s), clusters), int((y >= 0).sum())
    z = NormalDist().inv_cdf((1 + settings.confidence) / 2)
    scores = {}
    for name, value, error in (
        ("slope", found.slope, found.slope_error),
        ("intercept", found.intercept, found.intercept_error),
    ):
        half = None if error is None else z * error
        lo, hi = (None, None) if value is None or half is None else (value - half, value + half)
        scores[name] = Estimate(value, lo, hi, n, method, found.reason)
    return scores


# thresholds


def _called(cohort: Cohort, cuts: Mapping[str, Sequence[Cut]], settings: Settings) -> dict[str, list[Scores]]:
    """For each rule the measures of each label, macro, micro at its thresholds."""
    return {rule: _at_cuts(cohort, chosen, settings) for rule, chosen in cuts.items()}


def _at_cuts(cohort: Cohort, cuts: Sequence[Cut], settings: Settings) -> list[Scores]:
    usable = np.array([cut.threshold is not None for cut in cuts])
    limits = np.array([np.inf if cut.threshold is None else cut.threshold for cut in cuts])
    counts = outcome_counts(np.where(usable, cohort.truth, -1), np.nan_to_num(cohort.scores) >= limits)
    totals = np.zeros((cohort.n_clusters, *counts.shape[1:]), dtype=np.int64)
    np.add.at(totals, cohort.clusters, counts)
    point = _shares(totals.sum(axis=0)[None].astype(np.float64))
    drawn = _shares(resampled_totals(totals, settings.replicates, settings.seed))
    found: list[Scores] = [{} for _ in range(len(cuts) + 2)]
    for name in AT_THRESHOLD:
        for at, (value, values, remark) in enumerate(_with_macro(point[name][0], drawn[name], len(cuts))):
            lacks = cuts[at].reason if at < len(cuts) and not usable[at] else ""
            reason = "defined for no label" if at == len(cuts) else _EMPTY[name]
            found[at][name] = _estimate(
                cohort, settings, value, values, _units(cohort, at), f"no threshold: {lacks}" if lacks else reason,
                remark,
            )  # fmt: skip
    return found


def _shares(counts: Array) -> dict[str, Array]:
    """``SHARES`` and F1 of counts (replicates, labels, 4): each (replicates, labels + 1), the last one micro."""
    assert set(AT_THRESHOLD) == {*SHARES, "f1"}
    return shares(np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1))
