"""Fleiss' kappa as papers print it, with the standard error under no agreement; and from sums, for resampling.

``corpora.statistics.agreement.fleiss_kappa`` has an interval that holds where raters agree.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corpora.statistics.types import Estimate

_NULL: Final = "Fleiss' kappa, standard error under no agreement (Fleiss 1971)"


def rating_counts(ratings: ArrayLike, categories: ArrayLike) -> NDArray[np.int64]:
    """How many raters put each item in each category, from ``ratings`` (raters, items): shape (items, categories).

    >>> rating_counts([[0, 1], [1, 1], [0, 1]], [0, 1]).tolist()
    [[2, 1], [0, 3]]
    """
    given, names = np.asarray(ratings), np.asarray(categories)
    return np.asarray((given[..., None] == names).sum(axis=0), dtype=np.int64)


def fleiss_values(sums: NDArray[Any], items: NDArray[Any], raters: int) -> NDArray[np.float64]:
    """Fleiss' kappa from sums over items: ``sums`` (..., categories + 1) holds the ratings by category and, last, the
    squares of the counts; ``items`` (...,) is their number. NaN where chance agreement is complete.

    The sums are linear in the items, so that a resample needs no copy of the data.
    """
    totals, squares = sums[..., :-1].astype(np.float64), sums[..., -1].astype(np.float64)
    ratings = items * raters
    pairs = items * raters * (raters - 1)
    # by whole numbers, so that 0/0 is found exactly
    chance = (totals**2).sum(axis=-1)
    beyond = ratings.astype(np.float64) ** 2 - chance
    kappa = np.full(np.shape(beyond), np.nan)
    observed = np.divide(squares - ratings, pairs, out=np.zeros(np.shape(beyond)), where=pairs > 0)
    np.divide(observed * ratings.astype(np.float64) ** 2 - chance, beyond, out=kappa, where=beyond > 0)
    return kappa


def fleiss_sums(counts: ArrayLike) -> NDArray[np.int64]:
    """Per item what ``fleiss_values`` sums, of counts (items, categories): shape (items, categories + 1)."""
    counted = np.asarray(counts, dtype=np.int64)
    return np.concatenate([counted, (counted**2).sum(axis=1, keepdims=True)], axis=1)


def fleiss_kappa_printed(counts: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Fleiss' kappa of counts (items, categories), each item rated by the same number of raters, with the interval that
    follows from the standard error under no agreement, as VinDr-CXR prints it; cut off at -1 and 1.

    That interval is a test of chance, not one of kappa: use a bootstrap for the latter. None where all ratings are
    one category. Raises ``ValueError`` if items have different numbers of ratings, or fewer than two.

    >>> e = fleiss_kappa_printed([[3, 0], [0, 3], [2, 1], [3, 0]])
    >>> round(e.value, 3), round(e.lo, 3), e.n
    (0.625, 0.059, 4)
    """
    counted = np.asarray(counts, dtype=np.int64)
    raters = set(counted.sum(axis=1).tolist())
    if counted.ndim != 2 or len(raters) != 1 or min(raters) < 2:
        raise ValueError("Fleiss' kappa takes items with the same number of ratings, two or more")
    m, n = raters.pop(), len(counted)
    value = float(fleiss_values(fleiss_sums(counted).sum(axis=0), np.asarray(n), m))
    if math.isnan(value):
        return Estimate(None, None, None, n, _NULL, "all ratings are one and the same: kappa is 0/0")
    half = NormalDist().inv_cdf((1 + confidence) / 2) * null_standard_error(counted)
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), n, _NULL)


def null_standard_error(counts: ArrayLike) -> float:
    """The standard error of Fleiss' kappa where raters agree by chance only (Fleiss, Nee and Landis 1979).

    For two categories it is sqrt(2 / (items m (m - 1))), whatever their shares.
    """
    counted = np.asarray(counts, dtype=np.float64)
    n, m = len(counted), counted[0].sum()
    p = counted.sum(axis=0) / (n * m)
    q = 1 - p
    spread = float(p @ q)
    root = spread**2 - float((p * q) @ (q - p))
    return math.sqrt(2 * max(0.0, root) / (n * m * (m - 1))) / spread if spread else float("nan")
