"""Thousands of AUROC and average-precision values from one set of resamples, drawn by cluster.

A replicate is how often each cluster (patient) was drawn. Nothing is sorted again: the units of one class are summed,
per replicate, between the distinct scores of the other class, by one sparse matrix product for all replicates of a
block; the cumulative sums, looked up at those scores, give the area. The same resamples serve every column, so that a
mean over labels or a difference of two systems has an interval of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from corpora.statistics.resample import replicate_weights

Array = NDArray[np.float64]
_BLOCK_BYTES: Final = 24 << 20
_EXACT_IN_FLOAT32: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Ranked:
    """One column to be ranked: ``truth`` (1 or 0), ``scores`` and ``clusters`` (numbers from 0) of its units."""

    truth: NDArray[np.bool_]
    scores: Array
    clusters: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Resampled:
    """Replicates by column, shape (replicates, columns); NaN where a resample has one class only.

    ``average_precision`` is None unless it was asked for.
    """

    auroc: Array
    average_precision: Array | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """The sums a column needs. ``inside``: units of the looked-up class by distinct score (group, cluster);
    ``between``: those of the other class by the gap or tie of groups they lie in (2 groups + 1, cluster)."""

    inside: Any
    between: Any
    positives_inside: bool


def ranked(truth: ArrayLike, scores: ArrayLike, clusters: ArrayLike) -> Ranked:
    """A column of units; those whose truth is neither 0 nor 1 are left out. All three have shape (units,).

    Raises ``ValueError`` if a score that counts is not finite.
    """
    known = np.isin(np.asarray(truth), (0, 1))
    values = np.asarray(scores, dtype=np.float64)[known]
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite")
    return Ranked(np.asarray(truth)[known] == 1, values, np.asarray(clusters, dtype=np.intp)[known])


def resampled_ranking(
    columns: Sequence[Ranked],
    clusters: int,
    replicates: int,
    seed: int,
    *,
    average_precision: bool = False,
    threads: int = 2,
) -> Resampled:
    """AUROC, and average precision if asked for, of every column in each of ``replicates`` resamples of ``clusters``.

    The resamples are those of ``corpora.statistics.resample`` with the same seed, whatever ``threads`` is.

    >>> column = ranked([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], [0, 1, 2, 3])
    >>> resampled_ranking([column], 4, 6, seed=0).auroc.shape
    (6, 1)
    """
    dtype = np.float32 if _most(columns, clusters) < _EXACT_IN_FLOAT32 else np.float64
    areas = [_plan(column, clusters, dtype, positives=False) for column in columns]
    precisions = [_plan(column, clusters, dtype, positives=True) for column in columns] if average_precision else []
    auroc = np.full((replicates, len(columns)), np.nan)
    precision = np.full((replicates, len(columns)), np.nan) if average_precision else None

    def fill(rows: slice, at: int, weights: NDArray[Any]) -> None:
        if not precisions:
            auroc[rows, at] = _areas(areas[at], weights)
            return
        assert precision is not None
        found = _areas_and_precisions(precisions[at], weights)
        precision[rows, at] = found[1]
        # where positives are the fewer both need the same sums
        auroc[rows, at] = found[0] if areas[at].positives_inside else _areas(areas[at], weights)

    done = 0
    with ThreadPoolExecutor(threads) as pool:
        for block in replicate_weights(clusters, replicates, seed, draws_at_once=_draws_at_once(columns, clusters)):
            weights = np.ascontiguousarray(block.T, dtype=dtype)
            rows = slice(done, done + len(block))
            list(pool.map(lambda at, w=weights, r=rows: fill(r, at, w), range(len(columns))))
            done += len(block)
    return Resampled(auroc, precision)


def _most(columns: Sequence[Ranked], clusters: int) -> int:
    """More than any sum of a resample can be."""
    largest = max((int(np.bincount(column.clusters, minlength=1).max()) for column in columns), default=0)
    return clusters * max(1, largest)


def _draws_at_once(columns: Sequence[Ranked], clusters: int) -> int:
    # what a block needs most of is the sums of the longest column
    longest = max((len(column.truth) for column in columns), default=0)
    rows = max(16, min(512, _BLOCK_BYTES // (8 * max(longest, clusters, 1))))
    return rows * clusters


def _plan(column: Ranked, clusters: int, dtype: Any, *, positives: bool) -> _Plan:
    """``positives`` asks to look up at the positives; else it is done at the class with fewer units."""
    inside_positives = positives or 2 * column.truth.sum() <= len(column.truth)
    chosen = column.truth == inside_positives
    groups, group_of = np.unique(column.scores[chosen], return_inverse=True)
    others = column.scores[~chosen]
    at = np.searchsorted(groups, others)
    tied = np.zeros(len(others), dtype=bool)
    within = at < len(groups)
    tied[within] = groups[at[within]] == others[within]
    inside = _sums(group_of, column.clusters[chosen], (len(groups), clusters), dtype)
    between = _sums(2 * at + tied, column.clusters[~chosen], (2 * len(groups) + 1, clusters), dtype)
    return _Plan(inside, between, inside_positives)


def _sums(rows: NDArray[Any], columns: NDArray[np.intp], shape: tuple[int, int], dtype: Any) -> Any:
    return csr_array((np.ones(len(rows), dtype=dtype), (rows, columns)), shape=shape)


def _cumulated(rows: NDArray[Any]) -> NDArray[Any]:
    # row by row: numpy accumulates along the first axis against the memory's order
    for row in range(1, len(rows)):
        np.add(rows[row], rows[row - 1], out=rows[row])
    return rows


def _areas(plan: _Plan, weights: NDArray[Any]) -> Array:
    inside = plan.inside @ weights
    below = _cumulated(plan.between @ weights)
    return _area(plan, inside, below)


def _area(plan: _Plan, inside: NDArray[Any], below: NDArray[Any]) -> Array:
    """``below``: the other class up to each gap and tie, cumulated; its last row is all of it."""
    midway = below[:-1:2].astype(np.float64) + below[1::2]
    wins = np.einsum("gr,gr->r", inside.astype(np.float64), midway) / 2
    area = _ratio(wins, inside.sum(axis=0, dtype=np.float64) * below[-1])
    return area if plan.positives_inside else 1 - area


def _areas_and_precisions(plan: _Plan, weights: NDArray[Any]) -> tuple[Array, Array]:
    inside = plan.inside @ weights
    below = _cumulated(plan.between @ weights)
    called = _cumulated(inside[::-1].copy())[::-1]
    false = below[-1] - below[:-1:2]
    share = _ratio(called, called + false)
    np.nan_to_num(share, copy=False)
    positives = inside.sum(axis=0, dtype=np.float64)
    precision = _ratio(np.einsum("gr,gr->r", inside.astype(np.float64), share), positives)
    # of positives alone nothing is ranked
    precision[below[-1] == 0] = np.nan
    return _area(plan, inside, below), precision


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Array:
    ratio = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0, dtype=np.float64)
    return ratio
