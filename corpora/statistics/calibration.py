"""Whether probabilities are right: Brier score, expected calibration error, slope and intercept, reliability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
_EDGE: Final = 1e-7
_STEPS: Final = 100


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins of predicted probability, empty ones left out: mean prediction, share of positives, number of units."""

    predicted: Array
    observed: Array
    counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recalibration:
    """Logistic regression of the truth on the logit of the probability: a calibrated one has intercept 0, slope 1.

    ``in_the_large`` is the intercept when the slope is held at 1. The standard errors are sandwich ones, by cluster
    where there are clusters. None where nothing can be fitted; ``reason`` says why.
    """

    intercept: float | None
    slope: float | None
    in_the_large: float | None
    reason: str = ""
    intercept_error: float | None = None
    slope_error: float | None = None


def brier(truth: ArrayLike, probabilities: ArrayLike) -> float:
    """The mean squared difference of probability and truth; NaN without units.

    >>> round(brier([1, 0], [0.8, 0.4]), 3)
    0.1
    """
    y, p = _known(truth, probabilities)
    return float(np.mean((p - y) ** 2)) if len(y) else float("nan")


def reliability(truth: ArrayLike, probabilities: ArrayLike, bins: int = 10, *, equal: str = "width") -> Reliability:
    """Units in ``bins`` of equal ``width`` of probability, or of equal ``count``. A probability on an edge belongs to
    the bin above it, 1 to the last one."""
    y, p = _known(truth, probabilities)
    # not linspace, whose third of ten is above 0.3
    inner = np.arange(1, bins) / bins
    if equal == "count" and len(p):
        inner = np.quantile(p, inner)
    at = np.searchsorted(inner, p, side="right")
    counts = np.bincount(at, minlength=bins)
    held = counts > 0
    sums = [np.bincount(at, values, minlength=bins)[held] / counts[held] for values in (p, y)]
    return Reliability(sums[0], sums[1], counts[held])


def expected_calibration_error(truth: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> float:
    """The mean distance of prediction and observed share over bins of equal width, by their numbers of units.

    NaN without units.

    >>> round(expected_calibration_error([1, 0, 1, 1], [0.9, 0.2, 0.8, 0.3]), 3)
    0.3
    """
    found = reliability(truth, probabilities, bins)
    total = int(found.counts.sum())
    return float(found.counts @ np.abs(found.predicted - found.observed) / total) if total else float("nan")


def recalibration(truth: ArrayLike, probabilities: ArrayLike, clusters: ArrayLike | None = None) -> Recalibration:
    """Cox's (1958) recalibration of probabilities, by Newton's method; they are first held to [1e-7, 1 - 1e-7].

    ``clusters`` are names or numbers, shape (units,).
    """
    y, p = _known(truth, probabilities)
    if not len(y) or y.min() == y.max():
        return Recalibration(None, None, None, "only one class occurs")
    held = np.clip(p, _EDGE, 1 - _EDGE)
    logits = np.log(held) - np.log1p(-held)
    large = _fit(np.ones((len(y), 1)), y, logits)
    in_the_large = None if large is None else float(large[0])
    if logits.min() == logits.max():
        return Recalibration(None, None, in_the_large, "every probability is the same: no slope")
    design = np.stack([np.ones_like(logits), logits], axis=1)
    found = _fit(design, y, np.zeros_like(logits))
    yes, no = logits[y == 1], logits[y == 0]
    if found is None or yes.min() >= no.max() or no.min() >= yes.max():
        return Recalibration(None, None, in_the_large, "the classes are separated: the slope has no finite value")
    known = np.isin(np.asarray(truth), (0, 1))
    names = np.arange(len(y)) if clusters is None else np.asarray(clusters)[known]
    errors = _sandwich(design, y, found, names)
    return Recalibration(float(found[0]), float(found[1]), in_the_large, "", float(errors[0]), float(errors[1]))


def _sandwich(design: Array, y: Array, beta: Array, clusters: NDArray[Any]) -> Array:
    """Standard errors that hold whatever the model, from scores summed by cluster."""
    fitted = _logistic(design @ beta)
    bread = np.linalg.inv((design * (fitted * (1 - fitted))[:, None]).T @ design)
    _, place = np.unique(clusters, return_inverse=True)
    sums = np.stack([np.bincount(place, column) for column in (design * (y - fitted)[:, None]).T], axis=1)
    return np.asarray(np.sqrt(np.diag(bread @ (sums.T @ sums) @ bread)))


def _fit(design: Array, y: Array, offset: Array) -> Array | None:
    """Maximum likelihood of a logistic regression; None where it has no finite one."""
    beta = np.zeros(design.shape[1])
    score = _log_likelihood(design @ beta + offset, y)
    for _ in range(_STEPS):
        fitted = _logistic(design @ beta + offset)
        gradient = design.T @ (y - fitted)
        hessian = (design * (fitted * (1 - fitted))[:, None]).T @ design
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            return None
        beta, score, moved = _stepped(design, y, offset, beta, np.asarray(step, dtype=np.float64), score)
        if np.abs(beta).max() > 1e3:
            return None
        if moved < 1e-10 * (1 + np.abs(beta).max()):
            return beta
    return None


def _stepped(
    design: Array, y: Array, offset: Array, beta: Array, step: Array, score: float
) -> tuple[Array, float, float]:
    """``beta`` moved along ``step``, halved until the likelihood does not fall; its likelihood; how far it moved."""
    for _ in range(40):
        tried = beta + step
        likelihood = _log_likelihood(design @ tried + offset, y)
        if likelihood >= score - 1e-12 * abs(score):
            return tried, likelihood, float(np.abs(step).max())
        step = step / 2
    return beta, score, 0.0


def _log_likelihood(linear: Array, y: Array) -> float:
    return float((y * linear - np.logaddexp(0, linear)).sum())


def _logistic(linear: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0, -linear)), dtype=np.float64)


def _known(truth: ArrayLike, probabilities: ArrayLike) -> tuple[Array, Array]:
    y, p = np.asarray(truth), np.asarray(probabilities, dtype=np.float64)
    known = np.isin(y, (0, 1))
    if not ((p[known] >= 0) & (p[known] <= 1)).all():
        raise ValueError("a probability lies outside 0 to 1")
    return y[known].astype(np.float64), p[known]
