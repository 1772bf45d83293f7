"""Many tests at once, and the exact test of paired answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
_Step = Callable[[Array, int], Array]


def holm(p: ArrayLike) -> Array:
    """Holm's step-down adjustment: holds the chance of any false finding. NaN is no test and does not count.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    return _adjusted(p, lambda ordered, m: np.maximum.accumulate((m - np.arange(m)) * ordered))


def benjamini_hochberg(p: ArrayLike) -> Array:
    """The step-up adjustment that holds the expected share of false findings (Benjamini, Hochberg 1995).

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    return _adjusted(p, lambda ordered, m: np.minimum.accumulate((m / np.arange(1, m + 1) * ordered)[::-1])[::-1])


def _adjusted(p: ArrayLike, step: _Step) -> Array:
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    if len(order):
        adjusted[order] = np.minimum(1.0, step(values[order], len(order)))
    return adjusted


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's test of ``b`` against ``c`` discordant pairs: exact, and as chi squared with and without correction."""

    b: int
    c: int
    exact_p: float
    chi2: float | None
    chi2_p: float | None
    corrected: float | None
    corrected_p: float | None


def mcnemar(b: int, c: int) -> McNemar:
    """Whether discordant pairs lean to one side; the chi squared forms are None without any such pair.

    >>> round(mcnemar(25, 11).exact_p, 4)
    0.0288
    """
    from scipy import stats

    if not b + c:
        return McNemar(b, c, 1.0, None, None, None, None)
    exact = min(1.0, 2 * float(stats.binom.cdf(min(b, c), b + c, 0.5)))
    plain, corrected = (b - c) ** 2 / (b + c), max(0, abs(b - c) - 1) ** 2 / (b + c)
    tails = (float(stats.chi2.sf(value, 1)) for value in (plain, corrected))
    return McNemar(b, c, exact, plain, next(tails), corrected, next(tails))
