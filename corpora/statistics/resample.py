"""The bootstrap by cluster: whole studies, or all studies of a patient, are drawn with replacement.

A statistic that is a function of summed counts needs no copy of the data per replicate: a replicate is how often each
cluster was drawn, and its sums are one row of a matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpora.statistics.types import Estimate

_DRAWS_AT_ONCE = 1 << 22
_EXACT_IN_FLOAT32 = 1 << 24


def by_cluster(counts: NDArray[Any], clusters: Sequence[Hashable]) -> NDArray[Any]:
    """The rows of ``counts`` summed by the cluster each belongs to; clusters keep the order they first occur in.

    >>> by_cluster(np.array([[1, 0], [2, 5], [4, 1]]), ["p1", "p2", "p1"]).tolist()
    [[5, 1], [2, 5]]
    """
    place = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros((len(place), *counts.shape[1:]), dtype=np.result_type(counts.dtype, np.int64))
    np.add.at(sums, [place[name] for name in clusters], counts)
    return sums


def replicate_weights(
    clusters: int, replicates: int, seed: int, *, draws_at_once: int = _DRAWS_AT_ONCE
) -> Iterator[NDArray[np.int64]]:
    """How often each of ``clusters`` is drawn in each replicate, as blocks of rows (replicate, cluster).

    Each row is a multinomial count that sums to ``clusters``. The rows depend on the seed alone; ``draws_at_once``
    bounds the memory of a block and changes none of them.

    >>> [int(row.sum()) for block in replicate_weights(5, 3, seed=0) for row in block]
    [5, 5, 5]
    """
    rng = np.random.default_rng(seed)
    step = max(1, draws_at_once // clusters)
    for start in range(0, replicates, step):
        rows = min(step, replicates - start)
        drawn = rng.integers(clusters, size=(rows, clusters)) + clusters * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters)


def resampled_totals(counts: NDArray[Any], replicates: int, seed: int) -> NDArray[np.float64]:
    """The sum of ``counts`` (cluster, ...) over the clusters drawn, for each replicate: (replicate, ...).

    ``counts`` has at least one cluster; it holds whole numbers, none negative, so that the sums are exact in any
    order of addition.
    """
    clusters, shape = counts.shape[0], counts.shape[1:]
    totals = np.zeros((replicates, math.prod(shape)))
    dtype = np.dtype(np.float32 if clusters * int(counts.max(initial=0)) < _EXACT_IN_FLOAT32 else np.float64)
    flat: NDArray[Any] = counts.reshape(clusters, -1).astype(dtype)
    done = 0
    for weights in replicate_weights(clusters, replicates, seed):
        totals[done : done + len(weights)] = weights.astype(dtype) @ flat
        done += len(weights)
    return totals.reshape(replicates, *shape)


def percentile_estimate(
    value: float,
    replicates: NDArray[np.float64],
    *,
    n: int,
    confidence: float,
    unit: str,
    undefined: str = "",
    remark: str = "",
) -> Estimate:
    """An ``Estimate`` with the percentile interval of the ``replicates`` of ``value``; NaN is undefined.

    ``unit`` names what was drawn (``study``). The reason is ``undefined`` where ``value`` is NaN, else ``remark`` and
    what is to be said of the interval: replicates that are NaN are dropped and counted.

    >>> e = percentile_estimate(2.0, np.array([1.0, 2.0, 3.0, np.nan]), n=9, confidence=0.5, unit="study")
    >>> e.value, e.lo, e.hi, e.method
    (2.0, 1.5, 2.5, 'percentile bootstrap by study, 4 replicates')
    >>> e.reason
    'interval: undefined in 1 of 4 replicates, which are dropped'
    """
    method = f"percentile bootstrap by {unit}, {len(replicates)} replicates"
    if np.isnan(value):
        return Estimate(None, None, None, n, method, undefined)
    defined = replicates[~np.isnan(replicates)]
    reason = "; ".join(filter(None, [remark, _interval_remark(replicates, defined)]))
    if not len(defined):
        return Estimate(float(value), None, None, n, method, reason)
    lo, hi = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(value), float(lo), float(hi), n, method, reason)


def _interval_remark(replicates: NDArray[np.float64], defined: NDArray[np.float64]) -> str:
    if not len(replicates):
        return "no interval: no replicates were asked for"
    if not len(defined):
        return f"no interval: undefined in all {len(replicates)} replicates"
    remarks = []
    if len(defined) < len(replicates):
        dropped = len(replicates) - len(defined)
        remarks.append(f"undefined in {dropped} of {len(replicates)} replicates, which are dropped")
    if defined.min() == defined.max():
        remarks.append("every replicate has the same value, so its width says nothing of the precision")
    return f"interval: {'; '.join(remarks)}" if remarks else ""
