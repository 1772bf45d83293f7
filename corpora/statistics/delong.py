"""Variance of areas under ROC curves and of their differences, without resampling.

DeLong, DeLong and Clarke-Pearson (1988), by midranks (Sun and Xu 2014); for units that come in clusters, such as the
films of a patient, Obuchowski (1997), which is the same where every cluster has one unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from corpora.statistics.types import Estimate

Array = NDArray[np.float64]
_METHOD: Final = "DeLong 1988"
_CLUSTERED: Final = "DeLong 1988, by cluster (Obuchowski 1997)"
ONE_CLASS: Final = "only one class occurs: no ROC curve"


@dataclass(frozen=True, slots=True)
class Areas:
    """Areas of several systems on the same units, shape (systems,), and their covariance (systems, systems).

    ``positives`` and ``negatives`` are numbers of units. The covariance is NaN where a class, or the clusters that
    hold it, are fewer than two.
    """

    areas: Array
    covariance: Array
    positives: int
    negatives: int
    method: str


@dataclass(frozen=True, slots=True)
class AreaDifference:
    """The area of one system minus that of another, its z and two-sided p; None where the variance is 0 or unknown."""

    difference: Estimate
    z: float | None
    p: float | None


def delong(truth: ArrayLike, scores: Sequence[ArrayLike], clusters: ArrayLike | None = None) -> Areas:
    """Areas of systems whose ``scores`` are each of the shape of ``truth`` (units,), and their covariance.

    Units whose truth is neither 0 nor 1 are left out. ``clusters`` are numbers or names, shape (units,). Raises
    ``ValueError`` if a class is missing, a score is not finite, or shapes differ.
    """
    y, s = np.asarray(truth), np.asarray(scores, dtype=np.float64)
    if s.ndim != 2 or y.shape != s.shape[1:]:
        raise ValueError(f"truth of shape {y.shape} and scores of shape {s.shape}")
    positive, negative = s[:, y == 1], s[:, y == 0]
    m, n = positive.shape[1], negative.shape[1]
    if not m or not n:
        raise ValueError(ONE_CLASS)
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        raise ValueError("a score is not finite")
    wins, losses = _placements(positive, negative)
    areas = wins.mean(axis=1)
    if clusters is None:
        return Areas(areas, _covariance(wins) / m + _covariance(losses) / n, m, n, _METHOD)
    names = np.asarray(clusters)
    return Areas(areas, _clustered(wins - areas[:, None], losses - areas[:, None], names[y == 1], names[y == 0]),
                 m, n, _CLUSTERED)  # fmt: skip


def _placements(positive: Array, negative: Array) -> tuple[Array, Array]:
    """For each positive the share of negatives below it, for each negative the share of positives above it."""
    m, n = positive.shape[1], negative.shape[1]
    together = rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    wins = (together[:, :m] - rankdata(positive, axis=1)) / n
    losses = 1 - (together[:, m:] - rankdata(negative, axis=1)) / m
    return wins, losses


def _covariance(values: Array) -> Array:
    if values.shape[1] < 2:
        return np.full((len(values), len(values)), np.nan)
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray(centred @ centred.T / (values.shape[1] - 1))


def _clustered(wins: Array, losses: Array, of_positives: NDArray[Any], of_negatives: NDArray[Any]) -> Array:
    """Obuchowski's covariance from placements less the area, summed within clusters."""
    names, place = np.unique(np.concatenate([of_positives, of_negatives]), return_inverse=True)
    m, n = len(of_positives), len(of_negatives)
    positives, negatives = place[:m], place[m:]
    holding = [len(np.unique(part)) for part in (positives, negatives)]
    if min(holding) < 2:
        return np.full((len(wins), len(wins)), np.nan)
    sums = [np.stack([np.bincount(where, row, minlength=len(names)) for row in values])
            for where, values in ((positives, wins), (negatives, losses))]  # fmt: skip
    s10, s01 = (
        held / ((held - 1) * units) * (part @ part.T) for held, units, part in zip(holding, (m, n), sums, strict=True)
    )
    s11 = len(names) / (len(names) - 1) * (sums[0] @ sums[1].T)
    return np.asarray(s10 / m + s01 / n + (s11 + s11.T) / (m * n))


def auroc_estimate(
    truth: ArrayLike, scores: ArrayLike, clusters: ArrayLike | None = None, confidence: float = 0.95
) -> Estimate:
    """The AUROC with its normal interval, cut off at 0 and 1; ``n`` is the number of units whose truth is known.

    The value is None where a class is missing. A perfect separation has variance 0: its interval is given, with the
    remark that it says nothing.

    >>> e = auroc_estimate([0, 0, 0, 1, 1], [0.1, 0.5, 0.3, 0.4, 0.9])
    >>> round(e.value, 3), round(e.lo, 3), e.hi
    (0.833, 0.371, 1.0)
    """
    y = np.asarray(truth)
    known = int(np.isin(y, (0, 1)).sum())
    if not (y == 1).any() or not (y == 0).any():
        return Estimate(None, None, None, known, _METHOD, ONE_CLASS)
    found = delong(y, [scores], clusters)
    value, variance = float(found.areas[0]), float(found.covariance[0, 0])
    lo, hi, reason = _interval(value, variance, confidence)
    lo, hi = (None if lo is None else max(0.0, lo)), (None if hi is None else min(1.0, hi))
    return Estimate(value, lo, hi, known, found.method, reason)


def auroc_difference(
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    clusters: ArrayLike | None = None,
    confidence: float = 0.95,
) -> AreaDifference:
    """The AUROC of ``first`` minus that of ``second`` on the same units, with DeLong's paired test.

    >>> d = auroc_difference([0, 0, 0, 0, 1, 1, 1], [1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 6, 5, 4, 7])
    >>> round(d.difference.value, 4), round(d.z, 4), round(d.p, 4)
    (0.1667, 0.8944, 0.3711)
    """
    y = np.asarray(truth)
    known = int(np.isin(y, (0, 1)).sum())
    if not (y == 1).any() or not (y == 0).any():
        return AreaDifference(Estimate(None, None, None, known, _METHOD, ONE_CLASS), None, None)
    found = delong(y, [first, second], clusters)
    c = found.covariance
    value, variance = float(found.areas[0] - found.areas[1]), float(c[0, 0] + c[1, 1] - 2 * c[0, 1])
    # rounding leaves about 1e-18 where the two rank alike
    variance = 0.0 if variance < 1e-15 else variance
    lo, hi, reason = _interval(value, variance, confidence)
    estimate = Estimate(value, lo, hi, known, found.method, reason)
    if not variance > 0:
        return AreaDifference(estimate, None, None)
    z = value / math.sqrt(variance)
    return AreaDifference(estimate, z, float(2 * norm.sf(abs(z))))


def _interval(value: float, variance: float, confidence: float) -> tuple[float | None, float | None, str]:
    if math.isnan(variance):
        return None, None, "no interval: a class has a single unit or cluster"
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(max(0.0, variance))
    reason = "" if half else "interval: the variance is 0, so its width says nothing of the precision"
    return value - half, value + half, reason
