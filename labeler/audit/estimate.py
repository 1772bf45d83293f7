"""How good a label table is, estimated from the readings of an audit.

Everything follows from how texts were drawn: a text counts as often as its stratum was sampled, times the reports it
stands for. Values are ratios of estimated totals (Hajek), variances those of stratified sampling without replacement;
cells that nobody could judge are taken as missing by chance within their stratum. Each measure has two intervals:
`labeler.audit.intervals` says which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.statistics.survey import kappa_gradient, mcc_gradient
from corpora.statistics.types import Estimate
from labeler.audit.cells import (
    CELLS,
    MEASURES,
    NAMES,
    Cells,
    X,
    cells_of,
    in_doubt,
    ratios,
    unseen,
    variances,
)
from labeler.audit.intervals import Uncertainty, domain, exact_bounds, share_bounds, signed_bounds
from labeler.audit.pooled import Difference, differences, macro, micro
from labeler.audit.types import UNREAD, Sample

Array = NDArray[np.float64]
SURVEY: Final = "stratified ratio, Korn-Graubard interval, finite population correction"
EXACT: Final = "hypergeometric bounds of distinct texts, Bonferroni over strata"
SIGNED: Final = "stratified, Korn-Graubard interval moved to [-1, 1], finite population correction"
ASSISTED: Final = "regression on the machine's labels of the whole frame, Korn-Graubard interval"


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """What is known of the whole frame, by label, stratum and the machine's state [L, H, 4]: ``texts``, ``reports``.

    ``differing`` [L, H] counts texts to which a second labeler gave another state.
    """

    texts: Array
    reports: Array
    differing: Array | None = None


@dataclass(frozen=True, slots=True)
class LabelEstimates:
    """One label: its measures with Korn and Graubard's interval (``scores``) and with exact bounds (``exact``).

    ``counts`` [4, 4] are texts read, truth by machine, and ``reports`` [4, 4] the reports that these are estimated to
    stand for, in the order of `labeler.audit.cells.STATES`.
    """

    scores: Mapping[str, Estimate]
    exact: Mapping[str, Estimate]
    counts: tuple[tuple[int, ...], ...]
    reports: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class AuditEstimates:
    """All that follows from a sample: per label, over labels (``micro_``, ``macro_``), between two labelers; notes."""

    texts: int
    read: int
    strata: tuple[Mapping[str, Any], ...]
    per_label: Mapping[str, LabelEstimates]
    overall: Mapping[str, Estimate]
    differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    confidence: float = 0.95


def estimate(sample: Sample, frame: FrameCounts | None = None, *, confidence: float = 0.95) -> AuditEstimates:
    """Estimate everything from ``sample``; with ``frame`` what the machine said of unread texts is put to use.

    Raises ``ValueError`` for a confidence that does not lie between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError("the confidence lies between 0 and 1")
    cells = cells_of(sample, frame_texts=None if frame is None else frame.texts)
    remarks = _remarks(sample, cells)
    scores = scores_of(cells, remarks, confidence)
    if frame is not None:
        for at, found in enumerate(_assisted(sample, cells, frame, confidence)):
            scores[at]["prevalence_assisted"] = found
    exact = _exact(cells, sample, frame is not None, confidence)
    return AuditEstimates(
        texts=int(sum(each.size for each in sample.strata)),
        read=int((sample.truth != UNREAD).any(axis=1).sum()),
        strata=_strata(sample, cells),
        per_label={
            label: LabelEstimates(scores[at], exact[at], *_tables(cells, at)) for at, label in enumerate(sample.labels)
        },
        overall=micro(sample, cells, confidence) | macro(sample, cells, confidence),
        differences=differences(sample, frame.differing if frame else None, confidence),
        notes=_notes(sample, cells),
        confidence=confidence,
    )  # fmt: skip


def scores_of(cells: Cells, remarks: Sequence[str], confidence: float = 0.95) -> list[dict[str, Estimate]]:
    """The measures of each label by name, with Korn and Graubard's interval; ``remarks`` [L] go with each."""
    value, whole, gradient = ratios(cells.totals)
    variance = variances(cells, np.nan_to_num(gradient))
    misses, hits = unseen(cells)
    n = domain(cells)
    safe = np.where(whole > 0, whole, 1)
    known = Uncertainty(variance, n, cells.df[:, None], misses / safe, hits / safe, ~in_doubt(cells))
    lo, hi = share_bounds(value, known, confidence)
    found = []
    for at, remark in enumerate(remarks):
        row = {
            measure.name: _one(value[at, k], lo[at, k], hi[at, k], n[at, k], SURVEY, measure.undefined, remark)
            for k, measure in enumerate(MEASURES)
        }
        found.append(row)
    for name, values in _signed(cells, confidence).items():
        for at, (point, low, high, count) in enumerate(values):
            undefined = "truth and machine hold one and the same state throughout, or one of them never the label: 0/0"
            found[at][name] = _one(point, low, high, count, SIGNED, undefined, remarks[at])
    return found


def _one(value: float, lo: float, hi: float, n: float, method: str, undefined: str, remark: str) -> Estimate:
    if math.isnan(value):
        return Estimate(None, None, None, int(n), method, undefined)
    return Estimate(float(value), min(float(lo), float(value)), max(float(hi), float(value)), int(n), method, remark)


def _signed(cells: Cells, confidence: float) -> dict[str, NDArray[Any]]:
    """``kappa`` over the four states and ``mcc`` of the positive one: value, bounds, n, each [L, 4]."""
    totals = cells.totals
    value, slope = kappa_gradient(totals.reshape(-1, 4, 4))
    found = {"kappa": (value, slope.reshape(-1, CELLS), cells.read.sum(axis=1))}
    truth, machine = (grid.ravel() == 0 for grid in np.indices((4, 4)))
    fold = np.stack([truth & machine, ~truth & machine, truth & ~machine, ~truth & ~machine], axis=1).astype(float)
    value, slope = mcc_gradient(totals @ fold)
    found["mcc"] = (value, slope @ fold.T, domain(cells, X[NAMES.index("f1")][None])[:, 0])
    differ = ~np.eye(4, dtype=bool).ravel()
    return {name: _bounded(cells, *each, differ, confidence) for name, each in found.items()}


def _bounded(
    cells: Cells, value: Array, slope: Array, n: Array, differ: NDArray[np.bool_], confidence: float
) -> NDArray[Any]:
    slope = np.nan_to_num(slope)
    variance = variances(cells, slope[:, None, :])[:, 0]
    one = unseen(cells, np.zeros((1, CELLS)), differ.astype(float)[None])[0][:, 0]
    steepest = np.abs(slope[:, differ]).max(axis=1)
    share = np.where(np.isnan(value), 1.0, (value + 1) / 2)
    misses = np.divide(one * steepest / 2, share, out=np.zeros(len(share)), where=share > 0)
    known = Uncertainty(variance, n, cells.df, misses, np.zeros(len(n)), ~(cells.left > 0).any(axis=(1, 2)))
    lo, hi = signed_bounds(value, known, confidence)
    return np.stack([value, lo, hi, n], axis=1)


def _assisted(sample: Sample, cells: Cells, frame: FrameCounts, confidence: float) -> list[Estimate]:
    from corpora.statistics.survey import greg_total
    from labeler.audit.cells import places

    truth, machine = places(sample.truth), places(sample.machine)
    found = []
    for at in range(len(sample.labels)):
        read = truth[:, at] < 4
        reports = sample.reports[read].astype(float)
        groups = np.stack([machine[read, at] == 0, machine[read, at] != 0], axis=1) * reports[:, None]
        known = frame.reports[at].sum(axis=0)
        totals_ = np.array([known[0], known[1:].sum()])
        seen = groups.any(axis=0)
        if not read.any() or (totals_[~seen] > 0).any():
            reason = "a state of the machine occurs in the frame and not in what was read"
            found.append(Estimate(None, None, None, int(read.sum()), ASSISTED, reason))
            continue
        y = (truth[read, at] == 0) * reports
        total, variance = greg_total(y, groups[:, seen], totals_[seen], sample.stratum[read], cells.sizes)
        found.append(_assisted_share(total / known.sum(), variance / known.sum() ** 2, cells, at, confidence))
    return found


def _assisted_share(share: float, variance: float, cells: Cells, at: int, confidence: float) -> Estimate:
    share = min(1.0, max(0.0, share))
    n, whole = cells.read[at].sum(), max(float(cells.totals[at].sum()), 1.0)
    misses, hits = (each[at, NAMES.index("prevalence")] / whole for each in unseen(cells))
    known = Uncertainty(*(np.array([each]) for each in (variance, n, cells.df[at], misses, hits)))
    lo, hi = share_bounds(np.array([share]), known, confidence)
    return _one(share, lo[0], hi[0], n, ASSISTED, "", "")


def _exact(cells: Cells, sample: Sample, framed: bool, confidence: float) -> list[dict[str, Estimate]]:
    bounds = exact_bounds(cells, framed=framed, confidence=confidence)
    texts = np.einsum("lh,lhc->lc", cells.weights, cells.texts)
    value = ratios(texts)[0]
    n = domain(cells)
    remark = "of distinct texts, not of reports" if (sample.reports != 1).any() else ""
    found: list[dict[str, Estimate]] = []
    for at in range(len(sample.labels)):
        row = {}
        for k, measure in enumerate(MEASURES):
            lo, hi = (each[at] for each in bounds[measure.name])
            row[measure.name] = _one(value[at, k], lo, hi, n[at, k], EXACT, measure.undefined, remark)
        found.append(row)
    return found


def _tables(cells: Cells, at: int) -> tuple[Any, Any]:
    counts = cells.texts[at].sum(axis=0).reshape(4, 4).astype(int).tolist()
    reports = cells.totals[at].reshape(4, 4).tolist()
    return tuple(map(tuple, counts)), tuple(map(tuple, reports))


def _strata(sample: Sample, cells: Cells) -> tuple[Mapping[str, Any], ...]:
    most = cells.read.max(axis=0)
    return tuple(
        {"name": each.name, "size": each.size, "reports": each.reports, "drawn": each.drawn, "read": int(most[at])}
        for at, each in enumerate(sample.strata)
    )


def _remarks(sample: Sample, cells: Cells) -> list[str]:
    """What is to be said of every estimate of a label: cells missing, strata nobody read."""
    drawn = np.bincount(sample.stratum, minlength=len(sample.strata))
    remarks = []
    for read in cells.read:
        without = int((drawn - read).sum())
        absent = f"{without:,} drawn texts have no answer: taken as missing by chance within the stratum"
        said = [absent] * bool(without)
        empty = [each.name for each, n in zip(sample.strata, read, strict=True) if each.size and not n]
        said += [f"nothing was read of {', '.join(empty)}: the value is that of the others"] * bool(empty)
        remarks.append("; ".join(said))
    return remarks


def _notes(sample: Sample, cells: Cells) -> tuple[str, ...]:
    notes = []
    lonely = [each.name for h, each in enumerate(sample.strata) if each.size > 1 and (cells.read[:, h] == 1).any()]
    if lonely:
        notes.append(f"a single text was read of {', '.join(lonely)}: its spread is its squared residual")
    if (sample.reports != 1).any():
        notes.append("texts stand for several reports: values are of reports, exact bounds of distinct texts")
    return tuple(notes)
