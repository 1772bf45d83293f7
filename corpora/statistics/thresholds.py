"""Where to cut a score, and what follows from a cut.

A threshold is chosen on one set of units (validation) and applied to another: chosen on the units that are counted, it
flatters. A unit is called positive if its score is at least the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corpora.statistics.roc import RocCurve, roc_curve, two_classes

Array = NDArray[np.float64]

#: Shares of a 2 x 2 table: name -> (what is counted, out of what), as indices into (tp, fp, fn, tn).
SHARES: Final = {
    "sensitivity": ((0,), (0, 2)),
    "specificity": ((3,), (1, 3)),
    "ppv": ((0,), (0, 1)),
    "npv": ((3,), (2, 3)),
    "fpr": ((1,), (1, 3)),
    "fnr": ((2,), (0, 2)),
    "accuracy": ((0, 3), (0, 1, 2, 3)),
}


@dataclass(frozen=True, slots=True)
class Cut:
    """A threshold and how it came; None where there is none, and ``reason`` says why.

    ``sensitivity`` and ``specificity`` are those on the units that it was chosen on.
    """

    threshold: float | None
    rule: str
    sensitivity: float | None = None
    specificity: float | None = None
    reason: str = ""


def youden_cuts(truth: ArrayLike, scores: ArrayLike) -> list[Cut]:
    """Every threshold at which sensitivity + specificity - 1 (J) is greatest, ascending.

    pROC prints the same thresholds, and calls J + 1 "youden". Where no threshold is better than chance they are -inf
    and inf. Raises ``ValueError`` if a class is missing.

    >>> [cut.threshold for cut in youden_cuts([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8])]
    [0.2, 0.6000000000000001]
    """
    curve = roc_curve(truth, scores)
    j = curve.sensitivity + curve.specificity - 1
    # shares of equal counts may differ in the last bit
    return [_cut(curve, int(at), "youden") for at in np.flatnonzero(j >= j.max() - 1e-12)]


def choose(truth: ArrayLike, scores: ArrayLike, rule: str, target: float | None = None) -> Cut:
    """One threshold by ``rule``: ``youden``, or ``sensitivity`` or ``specificity`` of at least ``target``.

    Of several equally good by Youden it is the lowest, which has the highest sensitivity. Of those that reach a
    target it is the one with the best other share. None where a class is missing, by Youden nothing beats chance, or
    a target is reached only by calling everything, or nothing, positive.
    """
    name = rule if target is None else f"{rule} {target:g}"
    positive, negative = two_classes(truth, scores)
    if not len(positive) or not len(negative):
        missing = "positive" if len(negative) else "negative" if len(positive) else "unit with a known truth"
        return Cut(None, name, reason=f"no {missing} to choose a threshold on")
    if rule == "youden":
        best = youden_cuts(truth, scores)[0]
        if best.threshold is None or not np.isfinite(best.threshold):
            return Cut(None, name, reason="no threshold is better than chance")
        return best
    curve = roc_curve(truth, scores)
    reached = getattr(curve, rule) >= (target or 0.0) - 1e-12
    # thresholds ascend: sensitivity falls along them and specificity rises
    at = int(np.flatnonzero(reached)[-1 if rule == "sensitivity" else 0])
    if not np.isfinite(curve.thresholds[at]):
        every = "everything" if rule == "sensitivity" else "nothing"
        return Cut(None, name, reason=f"only calling {every} positive reaches the target")
    return _cut(curve, at, name)


def _cut(curve: RocCurve, at: int, rule: str) -> Cut:
    return Cut(
        float(curve.thresholds[at]), rule, float(curve.sensitivity[at]), float(curve.specificity[at])
    )  # fmt: skip


def outcome_counts(truth: NDArray[Any], called: NDArray[Any]) -> NDArray[np.int64]:
    """True positive, false positive, false negative, true negative of each cell: shape (..., 4), all 0 where the truth
    is neither 0 nor 1."""
    yes, no = truth == 1, truth == 0
    return np.stack([yes & called, no & called, yes & ~called, no & ~called], axis=-1).astype(np.int64)


def shares(counts: NDArray[Any]) -> dict[str, Array]:
    """``SHARES`` and ``f1`` of counts (..., 4); NaN for a share of nothing.

    >>> {name: round(float(value), 3) for name, value in shares(np.array([8, 2, 1, 9])).items()}["f1"]
    0.842
    """
    counts = np.asarray(counts, dtype=np.float64)
    found = {
        name: _ratio(counts[..., list(part)].sum(axis=-1), counts[..., list(whole)].sum(axis=-1))
        for name, (part, whole) in SHARES.items()
    }
    tp, wrong = counts[..., 0], counts[..., 1] + counts[..., 2]
    return found | {"f1": _ratio(2 * tp, 2 * tp + wrong)}


def _ratio(part: Array, whole: Array) -> Array:
    ratio = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio
