"""From films to studies, and how well the scores of a part rank its truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float64]


def pooled(films: Probabilities, study: NDArray[np.int64], studies: int, how: str) -> Probabilities:
    """Probabilities [S, L] of studies from those of their films [N, L]: the mean, or the maximum.

    >>> pooled(np.array([[0.2], [0.6], [0.5]]), np.array([0, 0, 1]), 2, "mean").round(2).tolist()
    [[0.4], [0.5]]
    """
    if how == "max":
        largest = np.zeros((studies, films.shape[1]))
        np.maximum.at(largest, study, films)
        return largest
    total = np.zeros((studies, films.shape[1]))
    np.add.at(total, study, films)
    counts: Probabilities = np.bincount(study, minlength=studies)[:, None].astype(np.float64)
    return total / np.maximum(counts, 1)


def auroc(scores: Probabilities, truth: NDArray[np.int8]) -> float | None:
    """The area under the ROC curve by midranks; None without a positive or a negative. ``truth`` below 0 is left out.

    >>> auroc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([0, 1, 0, 1], dtype=np.int8))
    0.875
    """
    known = truth >= 0
    scores, positive = scores[known], truth[known] == 1
    yes, no = int(positive.sum()), int((~positive).sum())
    if not yes or not no:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    midrank = np.cumsum(counts) - (counts - 1) / 2
    return float((midrank[place][positive].sum() - yes * (yes + 1) / 2) / (yes * no))


def macro_auroc(scores: Probabilities, truth: NDArray[np.int8]) -> float:
    """The mean over the labels that have an AUROC; 0 if none has."""
    found = [area for at in range(truth.shape[1]) if (area := auroc(scores[:, at], truth[:, at])) is not None]
    return float(np.mean(found)) if found else 0.0
