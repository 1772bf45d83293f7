"""Measures over all labels, and of two labelers on the same readings: a text's labels are not independent.

Each text contributes one residual, the sum over its labels; its variance is that of a total over stratified texts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.statistics.multiplicity import holm
from corpora.statistics.survey import kappa_gradient, residual_variance
from corpora.statistics.types import Estimate
from labeler.audit.cells import (
    CELLS,
    MEASURES,
    NAMES,
    Cells,
    X,
    Y,
    cells_of,
    in_doubt,
    places,
    ratios,
    unseen,
    unseen_mass,
)
from labeler.audit.intervals import Uncertainty, domain, share_bounds, signed_bounds
from labeler.audit.types import Sample

Array = NDArray[np.float64]
_MICRO: Final = "counts pooled over labels, stratified ratio over texts, Korn-Graubard interval"
_MACRO: Final = "mean over labels of stratified ratios, variance over texts, Korn-Graubard interval"
_PAIRED: Final = "paired difference over the same texts, stratified, t interval"
_COMPARED: Final = (
    "precision", "recall", "f1", "specificity", "negative_f1", "uncertain_f1", "blank_f1", "exact",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """The first labeler's measure less the second's; ``first`` and ``second`` are the values, ``p`` two-sided.

    ``adjusted`` is Holm's p over the labels.
    """

    difference: Estimate
    first: float | None
    second: float | None
    p: float | None = None
    adjusted: float | None = None


def micro(sample: Sample, cells: Cells, confidence: float) -> dict[str, Estimate]:
    """Every measure with the counts of all labels together."""
    value, whole, gradient = (each[0] for each in ratios(cells.totals.sum(axis=0)[None]))
    slopes = np.broadcast_to(np.nan_to_num(gradient), (len(sample.labels), *gradient.shape))
    variance = _variance(sample, _residuals(sample, sample.machine, slopes))
    misses, hits = (each[0] for each in unseen(cells, pooled=True))
    n, safe = domain(cells).sum(axis=0), np.where(whole > 0, whole, 1)
    known = Uncertainty(
        variance, n, np.full(len(n), _df(sample)), misses / safe, hits / safe, ~in_doubt(cells).any(axis=0)
    )
    lo, hi = share_bounds(value, known, confidence)
    return {
        f"micro_{measure.name}": _estimate(value[k], lo[k], hi[k], n[k], _MICRO, measure.undefined)
        for k, measure in enumerate(MEASURES)
    }


def macro(sample: Sample, cells: Cells, confidence: float) -> dict[str, Estimate]:
    """The mean over labels of every measure, and of kappa, over those labels where it is defined."""
    totals = cells.totals
    value, whole, gradient = ratios(totals)
    misses, hits = unseen(cells)
    safe = np.where(whole > 0, whole, 1)
    mean, variance, defined = _mean(sample, value, gradient)
    count = np.maximum(defined.sum(axis=0), 1)
    missed, hit = (np.sqrt((np.where(defined, each / safe, 0) ** 2).sum(axis=0)) / count for each in (misses, hits))
    n = domain(cells).sum(axis=0)
    lo, hi = share_bounds(
        mean,
        Uncertainty(variance, n, np.full(len(n), _df(sample)), missed, hit, ~in_doubt(cells).any(axis=0)),
        confidence,
    )
    found = {
        f"macro_{name}": _estimate(mean[k], lo[k], hi[k], n[k], _MACRO, "defined for no label", _used(defined[:, k]))
        for k, name in enumerate(NAMES)
    }
    return found | {"macro_kappa": _macro_kappa(sample, cells, confidence)}


def _macro_kappa(sample: Sample, cells: Cells, confidence: float) -> Estimate:
    value, slope = kappa_gradient(cells.totals.reshape(-1, 4, 4))
    mean, variance, defined = _mean(sample, value[:, None], slope.reshape(-1, 1, CELLS))
    n, zero = np.array([cells.read.sum()]), np.zeros(1)
    known = Uncertainty(variance, n, np.array([_df(sample)]), zero, zero, not (cells.left > 0).any())
    lo, hi = signed_bounds(mean, known, confidence)
    return _estimate(mean[0], lo[0], hi[0], n[0], _MACRO, "defined for no label", _used(defined[:, 0]))


def _mean(sample: Sample, value: Array, gradient: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    defined = ~np.isnan(value)
    count = defined.sum(axis=0)
    mean = np.divide(
        np.nansum(value, axis=0), count, out=np.full(len(count), np.nan), where=count > 0
    )  # fmt: skip
    slopes = np.where(defined[..., None], np.nan_to_num(gradient), 0) / np.maximum(count, 1)[:, None]
    return mean, _variance(sample, _residuals(sample, sample.machine, slopes)), defined


def _used(defined: NDArray[np.bool_]) -> str:
    if defined.all():
        return ""
    return f"mean over the {int(defined.sum())} of {len(defined)} labels where it is defined"


def _estimate(value: float, lo: float, hi: float, n: float, method: str, undefined: str, remark: str = "") -> Estimate:
    if math.isnan(value):
        return Estimate(None, None, None, int(n), method, undefined)
    return Estimate(float(value), float(lo), float(hi), int(n), method, remark)


def _residuals(sample: Sample, machine: NDArray[Any], slopes: Array, *, by_label: bool = False) -> Array:
    """What each text adds to statistics with gradients ``slopes`` [L, K, 16]: [R, K], or [R, L, K] by label."""
    truth, said = places(sample.truth).astype(np.int64), places(machine).astype(np.int64)
    read = truth < 4
    any_read = read.any(axis=1)
    strata = len(sample.strata)
    whole = np.bincount(sample.stratum[any_read], minlength=strata).astype(np.float64)
    reports = sample.reports.astype(np.float64)
    parts = []
    for at, slope in enumerate(slopes):
        padded = np.concatenate([slope, np.zeros((len(slope), 1))], axis=1)
        cell = np.where(read[:, at], truth[:, at] * 4 + said[:, at], CELLS)
        own = np.bincount(sample.stratum[read[:, at]], minlength=strata)
        # where others have an answer and this label has none, its texts count for more
        factor = np.divide(whole, own, out=np.zeros(strata), where=own > 0)[sample.stratum] * reports
        parts.append(padded.T[cell] * factor[:, None])
    return np.stack(parts, axis=1) if by_label else np.asarray(sum(parts))


def _variance(sample: Sample, residuals: Array) -> Array:
    read = (places(sample.truth) < 4).any(axis=1)
    sizes = [each.size for each in sample.strata]
    flat = residuals[read].reshape(int(read.sum()), -1)
    return residual_variance(flat, sample.stratum[read], sizes).reshape(residuals.shape[1:])


def _df(sample: Sample) -> int:
    read = (places(sample.truth) < 4).any(axis=1)
    return int(read.sum()) - len(np.unique(sample.stratum[read]))


# two labelers


def differences(sample: Sample, differing: Array | None, confidence: float) -> Mapping[str, Mapping[str, Difference]]:
    """By label, then measure: the first labeler less the second on the same readings; empty without a second.

    ``differing`` [L, H] counts the texts of the frame to which the two gave different states, if that is known.
    """
    if sample.second is None:
        return {}
    rows = [NAMES.index(name) for name in _COMPARED]
    tables = [cells_of(sample), cells_of(sample, sample.second)]
    found = [ratios(table.totals, Y[rows], X[rows]) for table in tables]
    residuals = [
        _residuals(sample, said, np.nan_to_num(each[2]), by_label=True)
        for said, each in zip((sample.machine, sample.second), found, strict=True)
    ]
    whole = np.minimum(*(np.where(each[1] > 0, each[1], np.inf) for each in found))
    variance = _variance(sample, residuals[0] - residuals[1])
    variance += _unseen_difference(sample, tables[0], differing, X[rows] > Y[rows]) / whole**2
    # texts that both get wrong, in strata where none was read, change what both are shares of
    missed = unseen(tables[0], Y[rows], X[rows])[0]
    variance += ((found[0][0] - found[1][0]) * missed / whole) ** 2
    return _table(sample, found[0][0], found[1][0], variance, tables[0], confidence)


def _unseen_difference(sample: Sample, cells: Cells, differing: Array | None, wrong: NDArray[np.bool_]) -> Array:
    """What is added to the squared residuals of differences [L, K], for texts the labelers answer differently.

    Few of them decide: one more is added in every stratum that may hold some unread, and one more for each of the two
    labelers whose errors alone were not seen there. ``wrong`` [K, 16] are the cells that are errors.
    """
    assert sample.second is not None
    truth, first, second = (places(each).astype(np.int64) for each in (sample.truth, sample.machine, sample.second))
    read, strata = truth < 4, len(sample.strata)
    apart = _by_stratum((first != second) & read, sample.stratum, strata)
    could = np.full(apart.shape, True) if differing is None else differing > apart
    mass = unseen_mass(cells) * could
    added = np.empty((len(sample.labels), len(wrong)))
    for k, errors in enumerate(wrong):
        one, other = (errors[np.where(read, truth * 4 + said, 0)] & read for said in (first, second))
        kinds = sum(
            (_by_stratum(each, sample.stratum, strata) == 0).astype(int) for each in (one & ~other, other & ~one)
        )
        added[:, k] = (mass * (1 + kinds)).sum(axis=1)
    return added


def _by_stratum(flags: NDArray[np.bool_], stratum: NDArray[Any], strata: int) -> NDArray[np.int64]:
    return np.stack([np.bincount(stratum[row], minlength=strata) for row in flags.T])


def _table(
    sample: Sample, first: Array, second: Array, variance: Array, cells: Cells, confidence: float
) -> Mapping[str, Mapping[str, Difference]]:
    from scipy.stats import t

    error, df, gap = np.sqrt(variance), np.maximum(cells.df, 1)[:, None], first - second
    half = t.isf((1 - confidence) / 2, df) * error
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.where(error > 0, 2 * t.sf(np.abs(gap) / error, df), np.where(gap == 0, 1.0, np.nan))
    p[np.isnan(gap)] = np.nan
    adjusted = np.stack([holm(column) for column in p.T], axis=1)
    n = cells.read.sum(axis=1)

    def one(at: int, k: int) -> Difference:
        if math.isnan(gap[at, k]):
            none = Estimate(None, None, None, int(n[at]), _PAIRED, "undefined for one of the two")
            return Difference(none, _or_none(first[at, k]), _or_none(second[at, k]))
        lo, hi = max(-1.0, gap[at, k] - half[at, k]), min(1.0, gap[at, k] + half[at, k])
        found = Estimate(float(gap[at, k]), float(lo), float(hi), int(n[at]), _PAIRED)
        values = (_or_none(each[at, k]) for each in (first, second, p, adjusted))
        return Difference(found, *values)

    return {
        label: {name: one(at, k) for k, name in enumerate(_COMPARED)} for at, label in enumerate(sample.labels)
    }  # fmt: skip


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
