"""The counts that estimates of an audit are made from, and the measures as ratios of them.

A cell is a pair of states, truth by machine: number 4 t + m, states in the order positive, negative, uncertain, blank.
Per label and stratum the cells hold texts, reports, and squared reports; every measure is a ratio y/x of weighted cell
totals, so that values, variances and bounds of all labels come from small tables, however many texts were read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.statistics.survey import spread, stratum_scale
from labeler.audit.types import Sample

Array = NDArray[np.float64]
STATES: Final = ("positive", "negative", "uncertain", "blank")
CELLS: Final = 16
#: The place of each code of ``labeler.audit.types`` (from -1) among the states; 4 is unread.
_PLACE: Final = np.array([2, 1, 0, 3, 4], dtype=np.int8)


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure as the ratio of ``y`` and ``x`` [16]: what is counted, of what; why it may be undefined."""

    name: str
    y: Array
    x: Array
    undefined: str


def _measures() -> tuple[Measure, ...]:
    truth, machine = (grid.ravel() for grid in np.indices((4, 4)))
    every, positive = np.ones(CELLS), 0
    found: list[Measure] = []
    for state, name in enumerate(STATES):
        is_, said = (truth == state).astype(float), (machine == state).astype(float)
        prefix = "" if state == positive else f"{name}_"
        found += [
            Measure(f"{prefix}precision", is_ * said, said, f"the machine is never {name} where it was read"),
            Measure(f"{prefix}recall", is_ * said, is_, f"no reader found {name}"),
            Measure(f"{prefix}f1", 2 * is_ * said, is_ + said, f"neither machine nor reader is ever {name}"),
            Measure(f"{prefix}prevalence", is_, every, "nothing was read"),
        ]
    not_is, not_said = (truth != positive).astype(float), (machine != positive).astype(float)
    found += [
        Measure("specificity", not_is * not_said, not_is, "readers found it in every text"),
        Measure("npv", not_is * not_said, not_said, "the machine is always positive"),
        Measure("exact", (truth == machine).astype(float), every, "nothing was read"),
    ]
    return tuple(found)


MEASURES: Final = _measures()
NAMES: Final = tuple(measure.name for measure in MEASURES)
Y: Final = np.stack([measure.y for measure in MEASURES])
X: Final = np.stack([measure.x for measure in MEASURES])


def places(codes: NDArray[Any]) -> NDArray[np.int8]:
    """Codes as places among ``STATES``, 4 where unread."""
    found: NDArray[np.int8] = _PLACE[np.asarray(codes, dtype=np.int64) + 1]
    return found


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts by label, stratum and cell, [L, H, 16]: ``texts``, ``reports``, and ``squares`` of reports a text.

    ``sizes`` [H] count the texts of the strata. ``left`` [L, H, 4] counts texts that nobody read by the machine's
    state; without a frame it is 1 for the states that were seen in what was read.
    """

    texts: Array
    reports: Array
    squares: Array
    sizes: Array
    left: Array

    @property
    def read(self) -> Array:
        """Texts read, by label and stratum [L, H]."""
        return self.texts.sum(axis=-1)

    @property
    def weights(self) -> Array:
        """How many texts one that was read stands for [L, H]; 0 where none was read."""
        read = self.read
        return np.divide(self.sizes, read, out=np.zeros(read.shape), where=read > 0)

    @property
    def totals(self) -> Array:
        """Estimated reports in each cell [L, 16]."""
        found: Array = np.einsum("lh,lhc->lc", self.weights, self.reports)
        return found

    @property
    def df(self) -> Array:
        """Degrees of freedom of variances [L]."""
        read = self.read
        return read.sum(axis=1) - (read > 0).sum(axis=1)


def cells_of(sample: Sample, machine: NDArray[Any] | None = None, frame_texts: NDArray[Any] | None = None) -> Cells:
    """The cells of a sample; ``machine`` [R, L] in place of the sample's own.

    ``frame_texts`` [L, H, 4] counts the texts of the whole frame by the machine's state, in the order of ``STATES``.
    """
    truth, said = places(sample.truth), places(sample.machine if machine is None else machine)
    strata, labels = len(sample.strata), len(sample.labels)
    sizes = np.array([each.size for each in sample.strata], dtype=np.float64)
    reports = np.asarray(sample.reports, dtype=np.float64)
    tables = np.zeros((3, labels, strata, CELLS))
    for at in range(labels):
        read = truth[:, at] < 4
        cell = sample.stratum[read] * CELLS + truth[read, at].astype(np.int64) * 4 + said[read, at]
        for power in range(3):
            summed = np.bincount(cell, weights=reports[read] ** power, minlength=strata * CELLS)
            tables[power, at] = summed.reshape(strata, CELLS)
    texts = tables[0]
    by_machine = texts.reshape(labels, strata, 4, 4).sum(axis=2)
    if frame_texts is None:
        open_ = (sizes - texts.sum(axis=-1) > 0)[..., None]
        # where nothing was read, nothing is known
        left = (((by_machine > 0) | (texts.sum(axis=-1) == 0)[..., None]) & open_).astype(np.float64)
    else:
        left = np.maximum(frame_texts - by_machine, 0)
    return Cells(texts, tables[1], tables[2], sizes, left)


def ratios(totals: Array, y: Array = Y, x: Array = X) -> tuple[Array, Array, Array]:
    """Values [..., K], what they are shares of [..., K], and gradients [..., K, 16] in the totals [..., 16]; NaN for
    0/0."""
    part, whole = totals @ y.T, totals @ x.T
    value = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        gradient = (y - value[..., None] * x) / whole[..., None]
    return value, whole, gradient


def variances(cells: Cells, gradient: Array) -> Array:
    """Variances [L, K] of statistics with these gradients [L, K, 16]."""
    first = np.einsum("lkc,lhc->lkh", gradient, cells.reports)
    second = np.einsum("lkc,lhc->lkh", gradient**2, cells.squares)
    scale = stratum_scale(cells.read, cells.sizes)
    found: Array = (scale[:, None, :] * spread(first, second, cells.read[:, None, :])).sum(axis=-1)
    return found


def unseen(cells: Cells, y: Array = Y, x: Array = X, *, pooled: bool = False) -> tuple[Array, Array]:
    """How many reports one text in a stratum would stand for that shows what nobody saw there: misses and hits [L, K].

    A stratum in which no miss was found may hold some: its variance of 0 says nothing. One more text read there, a
    miss, would have counted this much; over strata the root of the sum of squares, with the finite population's
    correction. A stratum of which nothing was read counts whole. Strata that are read whole, or hold no text in which
    it could be, add nothing. ``pooled``: [1, K], what no label shows.
    """
    mass = unseen_mass(cells)
    may = (cells.left > 0)[..., np.arange(CELLS) % 4].astype(np.float64)
    shown = cells.texts
    if pooled:
        mass, may, shown = mass.max(axis=0)[None], may.sum(axis=0)[None], shown.sum(axis=0)[None]

    def missing(wanted: NDArray[np.bool_]) -> Array:
        seen = np.einsum("lhc,kc->lkh", shown, wanted.astype(float)) > 0
        could = np.einsum("lhc,kc->lkh", may, wanted.astype(float)) > 0
        found: Array = np.sqrt((mass[:, None, :] * (could & ~seen)).sum(axis=-1))
        return found

    return missing((x > 0) & (y < x)), missing(y > 0)


def unseen_mass(cells: Cells) -> Array:
    """The squared reports [L, H] that one text of a stratum stands for, times what was not read of the stratum."""
    read = cells.read
    per_text = np.where(read > 0, cells.reports.sum(axis=-1) / np.maximum(read, 1), 1.0)
    rest = np.maximum(1 - read / np.maximum(cells.sizes, 1), 0)
    found: Array = (np.where(read > 0, cells.weights, cells.sizes) * per_text) ** 2 * rest
    return found


def in_doubt(cells: Cells, y: Array = Y, x: Array = X) -> NDArray[np.bool_]:
    """Whether the truth of some text that nobody read would change a measure [L, K]."""
    grid = np.stack([y, x]).reshape(2, len(y), 4, 4)
    varies = (grid != grid[:, :, :1]).any(axis=(0, 2))
    left = cells.left.sum(axis=1) > 0
    found: NDArray[np.bool_] = np.einsum("lm,km->lk", left.astype(int), varies.astype(int)) > 0
    return found
