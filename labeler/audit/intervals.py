"""Intervals that hold when few errors are found, or none.

Wald's interval of a recall covered .82 and .42 instead of .95 in oversampled designs. Two others are given:
Korn and Graubard's at the effective sample size, never above what was read and lowered for strata in which no error
was seen; and exact bounds of counts, which need no theory of large samples and are wider.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpora.statistics.binomial import beta_bounds
from corpora.statistics.hypergeometric import count_bounds
from labeler.audit.cells import CELLS, STATES, Cells, X

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """What an interval is made from, element by element: ``variance`` of a share, ``n`` texts that it rests on, ``df``.

    ``misses`` and ``hits`` are what `labeler.audit.cells.unseen` gives, as shares of the denominator;
    ``certain``: all that could differ was read.
    """

    variance: Array
    n: Array
    df: Array
    misses: Array
    hits: Array
    certain: NDArray[np.bool_] | bool = False

    def widened(self, share: Array) -> tuple[Array, Array]:
        """The share moved towards what was not seen, and the variance with it."""
        moved = (share + self.hits) / (1 + self.misses + self.hits)
        return moved, self.variance + (share * self.misses) ** 2 + ((1 - share) * self.hits) ** 2


def share_bounds(share: Array, known: Uncertainty, confidence: float) -> tuple[Array, Array]:
    """Korn and Graubard's interval of shares, capped; a point where all that could differ was read."""
    from scipy.stats import t

    moved, variance = known.widened(share)
    tail = (1 - confidence) / 2
    shrink = (t.isf(tail, np.maximum(known.n - 1, 1)) / t.isf(tail, np.maximum(known.df, 1))) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        effective = np.where(variance > 0, moved * (1 - moved) / variance, np.inf) * np.minimum(shrink, 1)
    lo, hi = beta_bounds(share, np.minimum(effective, known.n), confidence)
    return np.where(known.certain, share, lo), np.where(known.certain, share, hi)


def signed_bounds(value: Array, known: Uncertainty, confidence: float) -> tuple[Array, Array]:
    """The same for what lies between -1 and 1, as kappa does: moved to between 0 and 1 and back."""
    moved = Uncertainty(known.variance / 4, known.n, known.df, known.misses, known.hits, known.certain)
    lo, hi = share_bounds((value + 1) / 2, moved, confidence)
    return 2 * lo - 1, 2 * hi - 1


def exact_bounds(cells: Cells, *, framed: bool, confidence: float) -> dict[str, tuple[Array, Array]]:
    """Exact bounds [L] of measures of distinct texts, by name: hypergeometric, joined by Bonferroni.

    Counts of a stratum are bounded each by itself, at a level that the counts in doubt share; strata read whole are
    not in doubt. ``framed``: ``cells.left`` counts the texts that nobody read by the machine's state; then what the
    machine said is known of every text, and only the truth within it is in doubt.
    """
    truth, machine = (grid.ravel() for grid in np.indices((4, 4)))
    bounds: dict[str, tuple[Array, Array]] = {}
    for state, name in enumerate(STATES):
        is_, said = truth == state, machine == state
        parts = [cells.texts[..., where].sum(axis=-1) for where in (is_ & said, ~is_ & said, is_ & ~said, ~is_ & ~said)]
        left = (cells.left[..., state], cells.left.sum(axis=-1) - cells.left[..., state]) if framed else None
        prefix = "" if state == 0 else f"{name}_"
        for measure, pair in _of_state(parts, left, cells, confidence, binary=state == 0).items():
            bounds[prefix + measure] = pair
    bounds["exact"] = _share_of_all(cells.texts[..., truth == machine].sum(axis=-1), cells, confidence)
    return bounds


def _of_state(
    parts: list[Array], left: tuple[Array, Array] | None, cells: Cells, confidence: float, *, binary: bool
) -> dict[str, tuple[Array, Array]]:
    tp, fp, fn, tn = parts
    side = (left[0], left[0], left[1], left[1]) if left else ((cells.sizes - cells.read),) * 4
    among = (tp + fp, tp + fp, fn + tn, fn + tn) if left else (cells.read,) * 4

    def at(*used: int) -> list[tuple[Array, Array]]:
        # with the frame known tp and fp are one doubt, and so are fn and tn
        doubts = {place // 2 if left else place for place in used}
        in_doubt = sum((side[place * 2 if left else place] > 0).sum(axis=-1) for place in doubts)
        level = 1 - (1 - confidence) / np.maximum(in_doubt, 1)[:, None]
        return [
            tuple(each.sum(axis=-1).astype(float) for each in count_bounds(
                parts[i], among[i], among[i] + side[i], np.broadcast_to(level, parts[i].shape)))  # type: ignore[misc]
            if i in used else (parts[i].sum(axis=-1),) * 2
            for i in range(4)
        ]  # fmt: skip

    def share(hit: int, *others: int, twice: bool = False) -> tuple[Array, Array]:
        found = at(hit, *others)
        weight = 2 if twice else 1
        worst = weight * found[hit][0], sum(found[i][1] for i in others)
        best = weight * found[hit][1], sum(found[i][0] for i in others)
        return _divide(*worst), _divide(*best)

    pairs = {"precision": share(0, 1), "recall": share(0, 2), "f1": share(0, 1, 2, twice=True)}
    pairs["prevalence"] = _share_of_all(tp + fn, cells, confidence)
    if binary:
        pairs |= {"specificity": share(3, 1), "npv": share(3, 2)}
    return pairs


def _share_of_all(count: Array, cells: Cells, confidence: float) -> tuple[Array, Array]:
    in_doubt = (cells.sizes > cells.read).sum(axis=-1)
    level = 1 - (1 - confidence) / np.maximum(in_doubt, 1)[:, None]
    size = np.broadcast_to(cells.sizes, count.shape)
    lo, hi = count_bounds(count, cells.read, size, np.broadcast_to(level, count.shape))
    return lo.sum(axis=-1) / cells.sizes.sum(), hi.sum(axis=-1) / cells.sizes.sum()


def _divide(hits: Array, others: Array) -> Array:
    whole = hits + others
    return np.divide(hits, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def domain(cells: Cells, x: Array = X) -> Array:
    """How many texts each measure rests on [L, K]."""
    counted: Array = np.einsum("lhc,kc->lk", cells.texts, (x > 0).reshape(-1, CELLS).astype(float))
    return counted
