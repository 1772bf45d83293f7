"""Finite lots: exact bounds of how many of N are defective from a sample, and plans to accept a lot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln
from scipy.stats import beta, hypergeom

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
_AT_ONCE: Final = 1 << 20


def count_bounds(x: ArrayLike, n: ArrayLike, size: ArrayLike, confidence: ArrayLike = 0.95) -> tuple[Counts, Counts]:
    """The least and the most of ``size`` units that may be defective when ``x`` of ``n`` drawn without replacement are.

    Element by element. A count is kept when either tail probability of ``x`` is above (1 - confidence) / 2: the exact
    interval, which covers at least as often as it says.

    >>> [int(bound) for bound in count_bounds(3, 50, 500)]
    [8, 80]
    """
    hits, drawn, whole, level = np.broadcast_arrays(x, n, size, confidence)
    hits, drawn, whole = (each.astype(np.int64) for each in (hits, drawn, whole))
    if ((hits < 0) | (hits > drawn) | (drawn > whole)).any():
        raise ValueError("a count of defects lies between 0 and what was drawn, and that is at most the lot")
    tail = (1 - level) / 2
    most = _most(hits, drawn, whole, tail)
    # the defects of one reading are the faultless of the other
    return whole - _most(drawn - hits, drawn, whole, tail), most


def _most(x: Counts, n: Counts, size: Counts, tail: Array) -> Counts:
    """The largest D with P(X <= x | D) > tail, by bisection; P falls as D rises."""
    shape = x.shape
    cases, back = np.unique(np.stack([*(each.ravel() for each in (x, n, size)), tail.ravel()]), axis=1,
                            return_inverse=True)  # fmt: skip
    hits, drawn, whole = (each.astype(np.int64) for each in cases[:3])
    logs = gammaln(np.arange(int(whole.max(initial=0)) + 2, dtype=np.float64) + 1)
    lo, hi = hits.copy(), whole - drawn + hits
    near, step = _guess(hits, drawn, whole, cases[3])
    for place in (near - step, near + step):
        place = np.clip(place, lo, hi)
        kept = _cdf(hits, drawn, whole, place, logs) > cases[3]
        lo = np.where(kept, np.maximum(lo, place), lo)
        hi = np.where(~kept, np.minimum(hi, place - 1), hi)
    while (lo < hi).any():
        open_ = np.flatnonzero(lo < hi)
        middle = (lo[open_] + hi[open_] + 1) // 2
        kept = _cdf(hits[open_], drawn[open_], whole[open_], middle, logs) > cases[3][open_]
        lo[open_] = np.where(kept, middle, lo[open_])
        hi[open_] = np.where(kept, hi[open_], middle - 1)
    return lo[back.ravel()].reshape(shape)


def _guess(x: Counts, n: Counts, size: Counts, tail: Array) -> tuple[Counts, Counts]:
    """About where the bound is, and how far from it surely: from the bound of a share without end of units."""
    most = np.where(x < n, beta.isf(tail, x + 1, np.maximum(n - x, 1)), 1.0)
    seen = np.divide(x, n, out=np.zeros(x.shape), where=n > 0)
    left = np.sqrt(np.maximum(1 - n / np.maximum(size, 1), 0))
    near = size * (seen + (most - seen) * left)
    return np.rint(near).astype(np.int64), (4 + 0.1 * size * (most - seen) * left).astype(np.int64)


def _cdf(x: Counts, n: Counts, size: Counts, defects: Counts, logs: Array) -> Array:
    """P(X <= x): the terms from x downwards, as many as count in double precision."""
    share = defects / np.maximum(size, 1)
    width = int(np.ceil(12 * np.sqrt((n * share * (1 - share)).max(initial=0.0)))) + 40
    found = np.empty(len(x))
    rows = max(1, _AT_ONCE // width)
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        found[part] = _terms(*(each[part, None] for each in (x, n, size, defects)), np.arange(width), logs)
    return found


def _terms(x: Counts, n: Counts, size: Counts, defects: Counts, down: Counts, logs: Array) -> Array:
    # far above what is likely, the terms from x downwards are all there is of importance only from the mode on
    mode = ((n + 1) * (defects + 1)) // (size + 2)
    top = np.minimum(x, mode + len(down) // 2)
    k = top - down
    possible = (k >= 0) & (k <= defects) & (n - k >= 0) & (n - k <= size - defects)
    k = np.where(possible, k, np.clip(k, np.maximum(0, n - size + defects), np.minimum(n, defects)))
    log = (
        logs[defects] - logs[k] - logs[defects - k] + logs[size - defects] - logs[n - k] - logs[size - defects - n + k]
        - logs[size] + logs[n] + logs[size - n]
    )  # fmt: skip
    return np.minimum(np.where(possible, np.exp(log), 0.0).sum(axis=1), 1.0)


@dataclass(frozen=True, slots=True)
class AcceptancePlan:
    """Read ``n`` of a lot, accept it with at most ``c`` defects; the chances of acceptance of a good and a bad lot."""

    n: int
    c: int
    accepts_good: float | None
    accepts_bad: float


def acceptance(size: int, defects: int, n: int, c: int) -> float:
    """The operating characteristic: the chance that a lot of ``size`` with ``defects`` shows at most ``c`` in ``n``.

    >>> round(acceptance(2000, 100, 130, 3), 4)
    0.098
    """
    return float(hypergeom.cdf(c, size, defects, n))


def acceptance_plan(size: int, good: float, bad: float, *, alpha: float = 0.05, beta: float = 0.1) -> AcceptancePlan:
    """The smallest sample, then the smallest number of defects, that accepts a lot with the share ``good`` of defects
    with at least 1 - ``alpha`` and one with ``bad`` with at most ``beta``.

    Raises ``ValueError`` for shares out of order, or if not even reading all tells the two apart.

    >>> plan = acceptance_plan(500, 0.02, 0.08)
    >>> plan.n, plan.c
    (94, 4)
    """
    if not 0 <= good < bad <= 1:
        raise ValueError("the good share of defects is below the bad one, both between 0 and 1")
    few, many = round(size * good), round(size * bad)
    for n in range(1, size + 1):
        # the smallest c that a good lot passes: the quantile of its defects
        c = int(hypergeom.ppf(1 - alpha, size, few, n))
        if (missed := acceptance(size, many, n, c)) <= beta:
            return AcceptancePlan(n, c, acceptance(size, few, n, c), missed)
    raise ValueError("no sample tells such lots apart")


def zero_acceptance_plan(size: int, bad: float, *, beta: float = 0.05) -> AcceptancePlan:
    """The smallest sample that, without any defect in it, speaks against a lot with the share ``bad`` of defects.

    >>> zero_acceptance_plan(2000, 0.05).n
    58
    """
    many = round(size * bad)
    if many < 1:
        raise ValueError("the bad lot has no defect")
    lo, hi = 1, size - many + 1
    while lo < hi:
        middle = (lo + hi) // 2
        lo, hi = (lo, middle) if acceptance(size, many, middle, 0) <= beta else (middle + 1, hi)
    return AcceptancePlan(lo, 0, None, acceptance(size, many, lo, 0))
