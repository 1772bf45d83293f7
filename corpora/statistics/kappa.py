"""Cohen's kappa of two ratings: agreement beyond what their marginals give by chance."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corpora.statistics.types import Estimate

_METHOD = "Cohen's kappa, asymptotic standard error (Fleiss, Cohen and Everitt 1969)"


def kappa_values(tables: NDArray[Any]) -> NDArray[np.float64]:
    """Cohen's kappa of each square count table in ``tables`` (..., k, k); NaN where chance agreement is complete.

    The marginals are compared as counts, so that 0/0 (both raters gave one and the same answer throughout, or
    the table is empty) is found exactly.

    >>> kappa_values(np.array([[[20, 5], [10, 15]], [[9, 0], [0, 0]]])).round(3).tolist()
    [0.4, nan]
    """
    counts = np.asarray(tables, dtype=np.float64)
    n = counts.sum(axis=(-2, -1))
    observed = n * np.trace(counts, axis1=-2, axis2=-1)
    chance = (counts.sum(axis=-1) * counts.sum(axis=-2)).sum(axis=-1)
    beyond = n * n - chance
    kappa = np.full(n.shape, np.nan)
    np.divide(observed - chance, beyond, out=kappa, where=beyond > 0)
    return kappa


def cohen_kappa(table: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Cohen's kappa of one square table of counts (rows one rater, columns the other), with its delta-method interval.

    The value is None where kappa is 0/0. The interval is None where the standard error is 0 (complete agreement, or a
    rater with one answer only), and is cut at -1 and 1. Raises ``ValueError`` for a table that is not square or has a
    negative cell.

    >>> e = cohen_kappa([[20, 5], [10, 15]])
    >>> round(e.value, 3), round(e.lo, 3), round(e.hi, 3), e.n
    (0.4, 0.151, 0.649, 50)
    """
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not (counts >= 0).all():
        raise ValueError("kappa takes a square table of counts that are not negative")
    n = round(float(counts.sum()))
    kappa = float(kappa_values(counts))
    if math.isnan(kappa):
        reason = "both ratings hold one and the same value throughout: kappa is 0/0" if n else "nothing was rated"
        return Estimate(None, None, None, n, _METHOD, reason)
    error = _standard_error(counts / n, kappa, n)
    if not error:
        return Estimate(kappa, None, None, n, _METHOD, "no interval: the asymptotic standard error is 0")
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Estimate(kappa, max(-1.0, kappa - half), min(1.0, kappa + half), n, _METHOD)


def _standard_error(shares: NDArray[np.float64], kappa: float, n: int) -> float:
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    chance = float(rows @ columns)
    weight = -(1 - kappa) * (columns[:, None] + rows[None, :])
    np.fill_diagonal(weight, 1 - (rows + columns) * (1 - kappa))
    variance = float((shares * weight**2).sum()) - (kappa - chance * (1 - kappa)) ** 2
    # rounding leaves about 1e-16 where the variance is exactly 0
    return math.sqrt(variance / n) / (1 - chance) if variance > 1e-14 else 0.0
