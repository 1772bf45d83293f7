"""What several raters make of units nobody knows the truth of: Dawid and Skene's model, run until it stands still.

Dawid and Skene (1979), "Maximum likelihood estimation of observer error-rates using the EM algorithm". The start is
the share of votes; nothing is smoothed. Stopping early leaves posteriors wrong in the third digit, so it runs on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """``posterior`` [N, q] of each unit's true category, ``priors`` [q], ``errors`` [M, q, q]: true by rated.

    A rater's row is NaN for a true category that none of the units he rated can have.
    """

    posterior: Array
    priors: Array
    errors: Array
    iterations: int
    converged: bool


def dawid_skene(
    ratings: ArrayLike, categories: int, *, tolerance: float = 1e-12, most_iterations: int = 20_000
) -> DawidSkene:
    """Fit the model to ``ratings`` [N, M]: categories from 0, or -1 where a rater did not rate a unit.

    It has converged when no posterior moves by more than ``tolerance``. Raises ``ValueError`` if a unit has no rating.

    >>> found = dawid_skene([[0, 0, 1], [1, 1, 1], [0, 0, 0], [1, 1, 0]], 2)
    >>> found.posterior.argmax(axis=1).tolist(), found.converged
    ([0, 1, 0, 1], True)
    """
    given = np.asarray(ratings)
    votes = np.stack([given == k for k in range(categories)], axis=2).astype(np.float64)
    if not votes.any(axis=(1, 2)).all():
        raise ValueError("every unit needs a rating")
    posterior = votes.sum(axis=1)
    posterior /= posterior.sum(axis=1, keepdims=True)
    for iteration in range(1, most_iterations + 1):
        priors, errors = _maximise(posterior, votes)
        moved = _expect(priors, errors, votes)
        step, posterior = float(np.abs(moved - posterior).max()), moved
        if step <= tolerance:
            return DawidSkene(posterior, *_maximise(posterior, votes), iteration, True)
    return DawidSkene(posterior, *_maximise(posterior, votes), most_iterations, False)


def _maximise(posterior: Array, votes: Array) -> tuple[Array, Array]:
    errors = np.einsum("nt,nmk->mtk", posterior, votes)
    whole = errors.sum(axis=2, keepdims=True)
    shares = np.divide(errors, whole, out=np.full(errors.shape, np.nan), where=whole > 0)
    return posterior.mean(axis=0), shares


def _expect(priors: Array, errors: Array, votes: Array) -> Array:
    with np.errstate(divide="ignore"):
        log_errors, log_priors = np.log(np.nan_to_num(errors, nan=1.0)), np.log(priors)
    # the least that log can give stands for 0, so that 0 votes times it are 0
    like = log_priors + np.einsum("nmk,mtk->nt", votes, np.maximum(log_errors, -1e6))
    like -= like.max(axis=1, keepdims=True)
    posterior = np.exp(like)
    normal: Array = posterior / posterior.sum(axis=1, keepdims=True)
    return normal
