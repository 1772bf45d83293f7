"""Agreement of raters who each rated some of the units with one of q categories: AC1, Fleiss, Krippendorff and others.

Ratings are an array [N, M] of N units by M raters, a category as a number from 0 to q - 1, and -1 where a rater did not
rate a unit. Standard errors are those of Gwet (2014, "Handbook of Inter-Rater Reliability"), over units.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corpora.statistics.types import Estimate

Array = NDArray[np.float64]
_LEAST: Final = 1e-12


def counts_of(ratings: ArrayLike, categories: int) -> Array:
    """How many raters put each unit into each category: [N, q].

    >>> counts_of([[0, 1, 1], [2, -1, 2]], 3).tolist()
    [[1.0, 2.0, 0.0], [0.0, 0.0, 2.0]]
    """
    given = np.asarray(ratings)
    return np.stack([(given == k).sum(axis=1) for k in range(categories)], axis=1).astype(np.float64)


def gwet_ac1(counts: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Gwet's AC1 of counts [N, q]: chance agreement is that of raters who guess on hard units only."""
    table = _rated(counts)

    def chance(prior: Array, shares: Array) -> tuple[float, Array]:
        q = table.shape[1]
        return float((prior * (1 - prior)).sum()) / (q - 1), shares @ (1 - prior) / (q - 1)

    return _beyond_chance(table, chance, "Gwet's AC1", confidence)


def fleiss_kappa(counts: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Fleiss' kappa of counts [N, q]; units may have been rated by different numbers of raters."""

    def chance(prior: Array, shares: Array) -> tuple[float, Array]:
        return float((prior**2).sum()), shares @ prior

    return _beyond_chance(_rated(counts), chance, "Fleiss' kappa", confidence)


def _rated(counts: ArrayLike) -> Array:
    table = np.asarray(counts, dtype=np.float64)
    return table[table.sum(axis=1) > 0]


def _beyond_chance(table: Array, chance: Any, name: str, confidence: float) -> Estimate:
    method = f"{name}, standard error over units (Gwet 2014)"
    raters = table.sum(axis=1)
    several = raters >= 2
    pairs = int(several.sum())
    if not pairs:
        return Estimate(None, None, None, 0, method, "no unit was rated by two")
    by_unit = np.zeros(len(table))
    by_unit[several] = _agreement(table[several])
    observed = float(by_unit.sum()) / pairs
    shares = table / raters[:, None]
    by_chance, chance_by_unit = chance(shares.mean(axis=0), shares)
    if 1 - by_chance < _LEAST:
        return Estimate(None, None, None, pairs, method, "all ratings are of one category: 0/0")
    value = (observed - by_chance) / (1 - by_chance)
    own = (len(table) / pairs) * (by_unit - by_chance * several) / (1 - by_chance)
    own -= 2 * (1 - value) * (chance_by_unit - by_chance) / (1 - by_chance)
    return _with_interval(value, own, pairs, method, confidence)


def krippendorff_alpha(counts: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Krippendorff's alpha for categories without order, of counts [N, q]; units rated once do not count."""
    method = "Krippendorff's alpha (nominal), standard error over units (Gwet 2014)"
    table = np.asarray(counts, dtype=np.float64)
    table = table[table.sum(axis=1) >= 2]
    n = len(table)
    if not n:
        return Estimate(None, None, None, 0, method, "no unit was rated by two")
    raters = table.sum(axis=1)
    mean = float(raters.mean())
    prior = (table / mean).mean(axis=0)
    by_chance = float((prior**2).sum())
    if 1 - by_chance < _LEAST:
        return Estimate(None, None, None, n, method, "all ratings are of one category: 0/0")
    pairs = (table * (table - 1)).sum(axis=1) / (mean * (raters - 1))
    once, plain = 1 / raters.sum(), float(pairs.mean())
    observed = (1 - once) * plain + once
    value = (observed - by_chance) / (1 - by_chance)
    uneven = (raters - mean) / mean
    # the variance is that of the statistic without its term for small samples
    large = (plain - by_chance) / (1 - by_chance)
    chance_by_unit = table @ prior / mean - by_chance * uneven
    own = pairs - observed * uneven - by_chance - 2 * (1 - large) * (chance_by_unit - by_chance)
    own = own / (1 - by_chance) + value - large
    return _with_interval(value, own, n, method, confidence)


def specific_agreement(counts: ArrayLike) -> Array:
    """Of the ratings that put a unit into a category, the share of other ratings of it that do too: [q].

    NaN for a category nobody used (on units rated twice). For two raters, 2a / (2a + b + c).

    >>> pairs = [[2, 0]] * 5 + [[1, 1]] * 5 + [[0, 2]] * 290
    >>> specific_agreement(pairs).round(3).tolist()
    [0.667, 0.991]
    """
    table = np.asarray(counts, dtype=np.float64)
    raters = table.sum(axis=1, keepdims=True)
    same, all_ = (table * (table - 1)), table * (raters - 1)
    weight = np.divide(1.0, raters - 1, out=np.zeros(raters.shape), where=raters > 1)
    top, bottom = (same * weight).sum(axis=0), (all_ * weight).sum(axis=0)
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)


def agreement_share(counts: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The share of pairs of ratings of a unit that agree, averaged over the units rated twice or more."""
    from corpora.statistics.binomial import beta_bounds

    table = np.asarray(counts, dtype=np.float64)
    table = table[table.sum(axis=1) >= 2]
    method = "share of agreeing pairs, Clopper-Pearson by unit"
    if not len(table):
        return Estimate(None, None, None, 0, method, "no unit was rated by two")
    value = float(_agreement(table).mean())
    lo, hi = beta_bounds(value, len(table), confidence)
    return Estimate(value, float(lo), float(hi), len(table), method)


def _agreement(table: Array) -> Array:
    raters = table.sum(axis=1)
    agreeing: Array = (table * (table - 1)).sum(axis=1) / (raters * (raters - 1))
    return agreeing


def _with_interval(value: float, own: Array, n: int, method: str, confidence: float) -> Estimate:
    from scipy.stats import t

    units = len(own)
    if units < 2:
        return Estimate(value, None, None, n, method, "no interval from a single unit")
    error = math.sqrt(float(((own - value) ** 2).sum()) / (units * (units - 1)))
    if error < _LEAST:
        return Estimate(value, None, None, n, method, "no interval: the standard error is 0")
    half = float(t.isf((1 - confidence) / 2, units - 1)) * error
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), n, method)


def weighted_kappa(table: ArrayLike, weights: str = "linear") -> tuple[float, float]:
    """Cohen's weighted kappa of ordered categories, with its asymptotic standard error.

    ``weights``: ``linear`` or ``quadratic`` in the distance. Fleiss, Cohen and Everitt (1969).
    """
    p = np.asarray(table, dtype=np.float64)
    n, k = p.sum(), len(p)
    p = p / n
    distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / (k - 1)
    credit = 1 - distance ** {"linear": 1, "quadratic": 2}[weights]
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed, chance = float((credit * p).sum()), float(rows @ credit @ columns)
    value = (observed - chance) / (1 - chance)
    given = (credit @ columns)[:, None] + (rows @ credit)[None, :]
    inside = float((p * (credit - given * (1 - value)) ** 2).sum()) - (value - chance * (1 - value)) ** 2
    return value, math.sqrt(max(inside, 0.0) / n) / (1 - chance)


def pabak(table: ArrayLike) -> float:
    """Kappa adjusted for prevalence and bias: agreement against chance of one in k (Byrt et al. 1993)."""
    p = np.asarray(table, dtype=np.float64)
    return float((np.trace(p) / p.sum() * len(p) - 1) / (len(p) - 1))
