"""Which texts to look at first: how little a network's probabilities support the labels a table gives them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def self_confidence(labels: ArrayLike, probabilities: ArrayLike) -> Array:
    """The probability of what each label says [N, L]: p where it is given, 1 - p where it is not."""
    given, p = np.asarray(labels, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    return np.where(given, p, 1 - p)


def quality_scores(labels: ArrayLike, probabilities: ArrayLike, *, alpha: float = 0.8) -> Array:
    """One score a text [N], low where some label is doubtful: the moving average of its confidences, worst last.

    As cleanlab scores several labels at once (Thyagarajan et al. 2022, "Identifying Incorrect Annotations in
    Multi-Label Classification Data").

    >>> quality_scores([[1, 0, 0]], [[0.9, 0.1, 0.2]]).round(3).tolist()
    [0.82]
    """
    ordered = -np.sort(-self_confidence(labels, probabilities), axis=1)
    score = ordered[:, 0]
    for column in ordered.T[1:]:
        score = alpha * column + (1 - alpha) * score
    return score
