"""ROC curves, areas under them, average precision. A higher score speaks for the positive class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RocCurve:
    """One point a distinct decision, from "all positive" to "none": ``thresholds`` ascending, -inf and inf at the ends.

    A unit is called positive if its score is at least the threshold; a threshold lies midway between two scores.
    All have shape (distinct scores + 1,).
    """

    thresholds: Array
    sensitivity: Array
    specificity: Array


def two_classes(truth: ArrayLike, scores: ArrayLike) -> tuple[Array, Array]:
    """The scores of the positive and of the negative units; units whose truth is neither 1 nor 0 are left out.

    Raises ``ValueError`` if the shapes differ or a score that counts is not finite.
    """
    y, s = np.asarray(truth), np.asarray(scores, dtype=np.float64)
    if y.shape != s.shape or y.ndim != 1:
        raise ValueError(f"truth of shape {y.shape} and scores of shape {s.shape}: both are lists of one length")
    positive, negative = s[y == 1], s[y == 0]
    if not (np.isfinite(positive).all() and np.isfinite(negative).all()):
        raise ValueError("a score is not finite")
    return positive, negative


def auroc(truth: ArrayLike, scores: ArrayLike) -> float:
    """The area under the ROC curve, ties counting half; NaN where a class is missing.

    >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    0.875
    """
    positive, negative = two_classes(truth, scores)
    m, n = len(positive), len(negative)
    if not m or not n:
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))
    return float((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))


def average_precision(truth: ArrayLike, scores: ArrayLike) -> float:
    """The area under the precision-recall curve as a sum of steps, without interpolation; NaN where a class is missing.

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    positive, negative = two_classes(truth, scores)
    if not len(positive) or not len(negative):
        return float("nan")
    positive, negative = np.sort(positive), np.sort(negative)
    at_least = len(positive) - np.searchsorted(positive, positive, side="left")
    false = len(negative) - np.searchsorted(negative, positive, side="left")
    return float((at_least / (at_least + false)).mean())


def roc_curve(truth: ArrayLike, scores: ArrayLike) -> RocCurve:
    """The ROC curve through every distinct score. Raises ``ValueError`` if a class is missing, and as ``two_classes``.

    >>> curve = roc_curve([0, 1, 1], [0.2, 0.2, 0.9])
    >>> curve.thresholds.tolist(), curve.sensitivity.tolist(), curve.specificity.tolist()
    ([-inf, 0.55, inf], [1.0, 0.5, 0.0], [0.0, 1.0, 1.0])
    """
    positive, negative = two_classes(truth, scores)
    if not len(positive) or not len(negative):
        raise ValueError("a ROC curve needs units of both classes")
    distinct = np.unique(np.concatenate([positive, negative]))
    midway = distinct[:-1] + np.diff(distinct) / 2
    # two neighbouring floats have no midpoint: the upper of them keeps them apart
    midway = np.where(midway > distinct[:-1], midway, distinct[1:])
    thresholds = np.concatenate([[-np.inf], midway, [np.inf]])
    return RocCurve(thresholds, _at_least(positive, thresholds), 1 - _at_least(negative, thresholds))


def _at_least(scores: Array, thresholds: Array) -> Array:
    below: NDArray[Any] = np.searchsorted(np.sort(scores), thresholds, side="left")
    return np.asarray(1 - below / len(scores), dtype=np.float64)
