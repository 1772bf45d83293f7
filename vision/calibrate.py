"""Temperatures that make probabilities mean what they say, and thresholds; both found on the validation part.

Guo et al., "On calibration of modern neural networks", ICML 2017: a temperature per label, of least log loss over the
studies. The threshold of a label is Youden's: most sensitivity + specificity - 1 (Youden, Cancer 1950).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vision.pooling import Probabilities, auroc, pooled

COOLEST, HOTTEST = 0.1, 10.0
_BINS: Final = 15
_TINY: Final = 1e-7


def sigmoid(logits: NDArray[Any]) -> Probabilities:
    """Probabilities of logits of any shape."""
    return 1 / (1 + np.exp(-np.clip(np.asarray(logits, dtype=np.float64), -60, 60)))


def study_probabilities(
    logits: NDArray[np.float32], study: NDArray[np.int64], studies: int, temperatures: list[float], how: str
) -> Probabilities:
    """Calibrated probabilities [S, L] of studies from the logits [N, L] of their films."""
    return pooled(sigmoid(logits / np.array(temperatures)), study, studies, how)


def temperatures(
    logits: NDArray[np.float32], study: NDArray[np.int64], truth: NDArray[np.int8], how: str,
    written: Mapping[int, Probabilities] = MappingProxyType({}),
) -> list[float]:  # fmt: skip
    """For each label the temperature of least log loss over studies, between .1 and 10; 1 where nothing can be told.

    ``logits`` [N, L] of films, ``study`` [N] their study, ``truth`` [S, L] 1, 0, or -1 for not known. ``written`` are
    noise-aware labels by place: how likely what a machine wrote of each study [S, 2] is of a positive and of a negative
    one. By what is written alone, a network that rightly contradicts it would be called too sure.
    """
    return [_temperature(logits[:, [at]], study, truth[:, at], how, written.get(at)) for at in range(truth.shape[1])]


def _temperature(
    logits: NDArray[np.float32], study: NDArray[np.int64], truth: NDArray[np.int8], how: str,
    written: Probabilities | None,
) -> float:  # fmt: skip
    known = truth >= 0 if written is None else written.sum(axis=1) > 0
    if written is None and len(np.unique(truth[known])) < 2:
        return 1.0

    def loss(log_temperature: float) -> float:
        found = study_probabilities(logits, study, len(truth), [math.exp(log_temperature)], how)[:, 0]
        if written is not None:
            likely = found * written[:, 0] + (1 - found) * written[:, 1]
            return float(-np.log(np.maximum(likely[known], _TINY)).mean())
        return log_loss(found[known], truth[known])

    from scipy.optimize import minimize_scalar

    best = minimize_scalar(loss, bounds=(math.log(COOLEST), math.log(HOTTEST)), method="bounded")
    return float(math.exp(best.x))


def log_loss(probabilities: Probabilities, truth: NDArray[np.int8]) -> float:
    """Mean negative log likelihood of truths 1 and 0."""
    inside = np.clip(probabilities, _TINY, 1 - _TINY)
    return float(-np.mean(np.where(truth == 1, np.log(inside), np.log(1 - inside))))


def expected_error(probabilities: Probabilities, truth: NDArray[np.int8]) -> float | None:
    """The expected calibration error over 15 equal bins; None without any truth."""
    known = truth >= 0
    if not known.any():
        return None
    said, positive = probabilities[known], (truth[known] == 1).astype(np.float64)
    bins = np.minimum((said * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=positive - said, minlength=_BINS)
    return float(np.abs(gaps).sum() / known.sum())


def youden(probabilities: Probabilities, truth: NDArray[np.int8]) -> float | None:
    """The threshold of most sensitivity + specificity - 1, halfway to the next lower score; None without both classes.

    >>> youden(np.array([0.1, 0.2, 0.8]), np.array([0, 0, 1], dtype=np.int8))
    0.5
    """
    known = truth >= 0
    scores, positive = probabilities[known], truth[known] == 1
    if positive.all() or not positive.any():
        return None
    values, place = np.unique(scores, return_inverse=True)
    yes = np.bincount(place, weights=positive, minlength=len(values))[::-1].cumsum()[::-1]
    no = np.bincount(place, weights=~positive, minlength=len(values))[::-1].cumsum()[::-1]
    best = int(np.argmax(yes / positive.sum() - no / (~positive).sum()))
    return float(values[best] if best == 0 else (values[best] + values[best - 1]) / 2)


def validation_table(
    labels: list[str], before: Probabilities, after: Probabilities, truth: NDArray[np.int8], found: list[float]
) -> dict[str, Any]:
    """Per label: studies, positives, AUROC, temperature, calibration error without and with it, threshold."""
    return {
        label: {
            "studies": int((truth[:, at] >= 0).sum()),
            "positive": int((truth[:, at] == 1).sum()),
            "auroc": auroc(after[:, at], truth[:, at]),
            "temperature": found[at],
            "ece_before": expected_error(before[:, at], truth[:, at]),
            "ece_after": expected_error(after[:, at], truth[:, at]),
            "threshold": youden(after[:, at], truth[:, at]),
        }
        for at, label in enumerate(labels)
    }
