"""Intervals of a share: simple random samples, and shares from a complex survey. scipy's distributions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from corpora.statistics.types import Estimate

Array = NDArray[np.float64]
Bounds = tuple[float, float]


def wilson(x: int, n: int, confidence: float = 0.95, *, continuity: bool = False) -> Bounds:
    """Wilson's score interval of x in n, with the continuity correction of Newcombe (1998) if asked.

    >>> tuple(round(bound, 4) for bound in wilson(3, 50))
    (0.0206, 0.1622)
    """
    _check(x, n)
    z = float(stats.norm.isf((1 - confidence) / 2))
    p, yates = x / n, min(0.5, abs(x - n / 2)) if continuity else 0.0
    centre, scale = x + z * z / 2, n + z * z

    def half(shift: float) -> float:
        moved = p + shift / n
        return z * math.sqrt(max(0.0, z * z / 4 + n * moved * (1 - moved)))

    lo = (centre - yates - half(-yates)) / scale if x else 0.0
    hi = (centre + yates + half(yates)) / scale if x < n else 1.0
    return max(0.0, lo), min(1.0, hi)


def clopper_pearson(x: float, n: float, confidence: float = 0.95) -> Bounds:
    """The exact interval of x in n; both may be fractions, as those of an effective sample are.

    >>> tuple(round(bound, 4) for bound in clopper_pearson(3, 50))
    (0.0125, 0.1655)
    """
    _check(x, n)
    lo, hi = beta_bounds(np.asarray(x / n), np.asarray(n), confidence)
    return float(lo), float(hi)


def jeffreys(x: int, n: int, confidence: float = 0.95) -> Bounds:
    """The equal-tailed interval of the posterior under Jeffreys' prior, without a rule for 0 and n.

    >>> tuple(round(bound, 4) for bound in jeffreys(3, 50))
    (0.0172, 0.1515)
    """
    _check(x, n)
    tail = (1 - confidence) / 2
    lo, hi = stats.beta.ppf([tail, 1 - tail], x + 0.5, n - x + 0.5)
    return float(lo), float(hi)


def share(x: int, n: int, confidence: float = 0.95) -> Estimate:
    """x in n with its exact interval; undefined where n is 0.

    >>> share(0, 0).reason
    'nothing was counted'
    """
    method = "Clopper-Pearson"
    if not n:
        return Estimate(None, None, None, 0, method, "nothing was counted")
    return Estimate(x / n, *clopper_pearson(x, n, confidence), n, method)


def beta_bounds(shares: ArrayLike, sizes: ArrayLike, confidence: float = 0.95) -> tuple[Array, Array]:
    """Clopper-Pearson bounds of ``shares`` of samples of the (effective) ``sizes``, element by element."""
    p, n = np.broadcast_arrays(np.asarray(shares, dtype=np.float64), np.asarray(sizes, dtype=np.float64))
    tail = (1 - confidence) / 2
    hits, rest = n * p, n * (1 - p)
    with np.errstate(invalid="ignore"):
        lo = np.where(hits > 0, stats.beta.ppf(tail, np.maximum(hits, 1e-300), rest + 1), 0.0)
        hi = np.where(rest > 0, stats.beta.isf(tail, hits + 1, np.maximum(rest, 1e-300)), 1.0)
    return np.where(np.isnan(p), np.nan, lo), np.where(np.isnan(p), np.nan, hi)


def korn_graubard(
    p: ArrayLike, variance: ArrayLike, n: ArrayLike, df: ArrayLike, confidence: float = 0.95, *, capped: bool = True
) -> tuple[Array, Array]:
    """The interval of a share ``p`` whose design-based ``variance`` is known: exact, at the effective sample size.

    The effective size p(1-p)/variance is lowered for the degrees of freedom ``df`` of the variance; ``n`` is how many
    units the share rests on. ``capped``: the effective size is at most n, so that the interval stands where the
    variance is 0 (Korn and Graubard 1998, "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data"). Not capped, it is ``survey::svyciprop(method="beta")``.
    """
    share_, var, size, free = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (p, variance, n, df)))
    tail = (1 - confidence) / 2
    inside = share_ * (1 - share_)
    effective = np.full(share_.shape, np.inf)
    np.divide(inside, var, out=effective, where=(var > 0) & (inside > 0))
    shrink = (stats.t.isf(tail, np.maximum(size - 1, 1)) / stats.t.isf(tail, np.maximum(free, 1))) ** 2
    effective = effective * np.minimum(shrink, 1.0) if capped else effective * shrink
    if capped:
        effective = np.minimum(effective, size)
    return beta_bounds(share_, effective, confidence)


def rogan_gladen(x: int, n: int, sensitivity: float, specificity: float, confidence: float = 0.95) -> Estimate:
    """True prevalence from x positive in n by a test whose sensitivity and specificity are known (Rogan, Gladen 1978).

    The bounds are Wilson's of the apparent prevalence, carried over. They may lie outside 0 and 1: the reason says
    so. Undefined where the test tells nothing (sensitivity + specificity = 1).

    >>> e = rogan_gladen(150, 1000, 0.92, 0.97)
    >>> round(e.value, 4), round(e.lo, 4), round(e.hi, 4)
    (0.1348, 0.1115, 0.1612)
    """
    method, informative = "Rogan-Gladen, Wilson bounds", sensitivity + specificity - 1
    if abs(informative) < 1e-12:
        return Estimate(None, None, None, n, method, "the test is no better than chance")
    value, lo, hi = ((p + specificity - 1) / informative for p in (x / n, *wilson(x, n, confidence)))
    reason = "" if 0 <= value <= 1 else "below 0 or above 1: fewer are positive than the test's errors alone explain"
    return Estimate(value, min(lo, hi), max(lo, hi), n, method, reason)


def _check(x: Any, n: Any) -> None:
    if not 0 <= x <= n or not n > 0:
        raise ValueError(f"{x} of {n} is no share")
