"""Intervals and tests of metrics that are functions of summed rows: every replicate is one row of a matrix product.

The bootstrap draws reports with replacement; approximate randomisation swaps the two systems' scores of a report with
probability one half (Noreen 1989). Both look at all metrics at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from corpora.statistics.resample import percentile_estimate, replicate_weights
from corpora.statistics.types import Estimate
from reportgen.metrics.finish import finish
from reportgen.types import Array, Scored

_CELLS: Final = 1 << 22


def drawn(scored: Sequence[Scored], replicates: int, seed: int) -> list[Array]:
    """The value of each metric in each replicate of the bootstrap over reports."""
    if not scored:
        return []
    sums, ends = _stacked(scored)
    n = len(sums)
    totals = np.zeros((replicates, sums.shape[1]))
    done = 0
    for weights in replicate_weights(n, replicates, seed, draws_at_once=_CELLS) if n else ():
        totals[done : done + len(weights)] = weights.astype(np.float64) @ sums
        done += len(weights)
    return [
        finish(one.finisher)(totals[:, start:end])
        for one, start, end in zip(scored, ends[:-1], ends[1:], strict=True)
    ]  # fmt: skip


def estimates(scored: Sequence[Scored], replicates: int, seed: int, confidence: float = 0.95) -> list[Estimate]:
    """Each metric with the percentile interval of its bootstrap; what cannot be scored has its reason."""
    can = [one for one in scored if not one.reason]
    replicated = dict(zip(map(id, can), drawn(can, replicates, seed), strict=True))
    return [_estimate(one, replicated.get(id(one)), replicates, confidence) for one in scored]


def _estimate(one: Scored, replicated: Array | None, replicates: int, confidence: float) -> Estimate:
    n = len(one.values)
    if replicated is None:
        return Estimate(None, None, None, n, "not scored", one.reason)
    missing = f"{one.unscored} of {n} reports have no score of their own" if one.unscored else ""
    estimate = percentile_estimate(
        one.total(), replicated, n=n, confidence=confidence, unit="report", undefined="undefined: nothing to count",
        remark=missing,
    )  # fmt: skip
    return estimate


def randomised(some: Sequence[Scored], others: Sequence[Scored], replicates: int, seed: int) -> list[float | None]:
    """The p value of each metric's difference between two systems, scored on the same reports in the same order.

    Two-sided, never 0: (1 + replicates at least as far apart) / (1 + replicates). None where either has no value.
    """
    pairs = [(a, b) for a, b in zip(some, others, strict=True) if not a.reason and not b.reason]
    if not pairs:
        return [None for _ in some]
    first, ends = _stacked([a for a, _ in pairs])
    second, _ = _stacked([b for _, b in pairs])
    difference, start = second - first, first.sum(axis=0)
    total = start + second.sum(axis=0)
    observed = [_apart(a.finisher, a.sums.sum(axis=0), b.sums.sum(axis=0)) for a, b in pairs]
    at_least = np.zeros(len(pairs), dtype=np.int64)
    rng = np.random.default_rng(seed)
    done = 0
    step = max(1, _CELLS // max(len(first), 1))
    while done < replicates:
        rows = min(step, replicates - done)
        swapped = _coins(rng, rows, len(first))
        moved = start + swapped @ difference
        for at, (a, _) in enumerate(pairs):
            part = slice(ends[at], ends[at + 1])
            apart = _apart(a.finisher, moved[:, part], total[part] - moved[:, part])
            # rounding must not make a tie a loss
            at_least[at] += int((apart >= observed[at] - 1e-12).sum())
        done += rows
    values = {id(a): (1 + int(count)) / (1 + replicates) for (a, _), count in zip(pairs, at_least, strict=True)}
    undefined = {id(a) for (a, _), apart in zip(pairs, observed, strict=True) if np.isnan(apart)}
    return [None if id(a) in undefined else values.get(id(a)) for a in some]


def _coins(rng: np.random.Generator, rows: int, n: int) -> Array:
    bits: NDArray[np.uint8] = np.unpackbits(rng.integers(256, size=(rows, -(-n // 8)), dtype=np.uint8), axis=1)
    return bits[:, :n].astype(np.float64)


def _apart(finisher: str, one: Array, other: Array) -> Array:
    return np.abs(finish(finisher)(one) - finish(finisher)(other))


def holm(values: Sequence[float | None]) -> list[float | None]:
    """P values adjusted by Holm's step-down procedure (1979); None stays None and does not count.

    >>> holm([0.01, 0.04, None])
    [0.02, 0.04, None]
    """
    order = sorted((value, at) for at, value in enumerate(values) if value is not None)
    adjusted: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (value, at) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * value))
        adjusted[at] = highest
    return adjusted


def _stacked(scored: Sequence[Scored]) -> tuple[Array, list[int]]:
    ends = np.cumsum([0, *(one.sums.shape[1] for one in scored)]).tolist()
    return np.hstack([one.sums for one in scored]), ends
