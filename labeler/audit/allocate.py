"""How many texts of each stratum to read: Neyman's rule in whole numbers, exactly."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def wright(
    sizes: ArrayLike, spreads: ArrayLike, n: int, *, floors: ArrayLike = 0, caps: ArrayLike | None = None
) -> NDArray[np.int64]:
    """The allocation of ``n`` draws to strata that makes the variance of an estimated total least.

    ``sizes`` [H] counts the units of each stratum, ``spreads`` [H] is the standard deviation within it (for a share p,
    sqrt(p(1-p))). Every stratum gets at least its floor and at most its cap, which is its size if none is given. Each
    draw goes where it lowers the sum of N^2 S^2 / n most, which is optimal in whole numbers (Wright 2012, "The
    equivalence of Neyman optimum allocation for sampling and equal proportions for apportioning the U.S. House of
    Representatives"). Of equal strata the first is served first; strata without spread come last.

    Raises ``ValueError`` if the floors need more than ``n``, the caps allow less, or a floor is above its cap.

    >>> wright([40, 60, 300], [0.46, 0.5, 0.3], 60, floors=2).tolist()
    [8, 13, 39]
    """
    size = np.asarray(sizes, dtype=np.float64)
    spread = np.broadcast_to(np.asarray(spreads, dtype=np.float64), size.shape)
    most = np.asarray(size if caps is None else np.broadcast_to(caps, size.shape)).astype(np.int64)
    given = np.broadcast_to(np.asarray(floors), size.shape).astype(np.int64)
    _check(size, spread, given, most, n)
    return _raise_to(n, given.copy(), most, size * spread)


def variance_of_total(sizes: ArrayLike, spreads: ArrayLike, drawn: ArrayLike) -> float:
    """The variance of an estimated total under simple random sampling in each stratum; infinite where none is drawn.

    >>> round(variance_of_total([40, 60, 300], [0.46, 0.5, 0.3], [8, 13, 39]), 6)
    268.779077
    """
    size, spread, n = (np.asarray(values, dtype=np.float64) for values in (sizes, spreads, drawn))
    inside = size * spread**2
    with np.errstate(divide="ignore"):
        terms = np.where(inside > 0, size * np.divide(1.0, n) - 1, 0.0)
    return float((inside[inside > 0] * terms[inside > 0]).sum())


def _check(size: Array, spread: Array, floors: NDArray[Any], caps: NDArray[Any], n: int) -> None:
    if (size < 0).any() or (spread < 0).any() or (floors < 0).any():
        raise ValueError("sizes, spreads and floors are not negative")
    if (floors > caps).any() or (caps > size).any():
        raise ValueError("a floor lies above its cap, or a cap above the size of its stratum")
    if not floors.sum() <= n <= caps.sum():
        raise ValueError(f"{n} draws: the floors need {int(floors.sum())}, the caps allow {int(caps.sum())}")


def _raise_to(n: int, drawn: NDArray[np.int64], caps: NDArray[np.int64], weight: Array) -> NDArray[np.int64]:
    def entry(stratum: int) -> tuple[float, int]:
        k = int(drawn[stratum])
        gain = float(weight[stratum]) ** 2
        return (-(gain / (k * (k + 1)) if k else (np.inf if gain else 0.0)), stratum)

    heap = [entry(stratum) for stratum in _open(drawn, caps)]
    heapq.heapify(heap)
    for _ in range(n - int(drawn.sum())):
        stratum = heap[0][1]
        drawn[stratum] += 1
        if drawn[stratum] < caps[stratum]:
            heapq.heapreplace(heap, entry(stratum))
        else:
            heapq.heappop(heap)
    return drawn


def _open(drawn: NDArray[np.int64], caps: NDArray[np.int64]) -> Sequence[int]:
    return [int(stratum) for stratum in np.flatnonzero(drawn < caps)]
