"""Detections against boxes by label: FROC and average precision, with intervals from a bootstrap by patient.

FROC is read as VinDr-CXR reads it: lesion by lesion, an overlap strictly above 0.4, detections taken by falling score,
one more on a lesion that was hit before counts for nothing (``corpora.statistics.froc``). The mean over labels leaves
"No Finding" out, which is no lesion. Average precision is that of COCO (Lin et al. 2014): ``vision.box_precision``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.statistics.froc import RATES, Detections, match
from corpora.statistics.resample import percentile_estimate, replicate_weights
from corpora.statistics.types import Estimate

Array = NDArray[np.float64]
IOU: Final = 0.4
MEAN: Final = "mean"
#: False positives per image at which curves are drawn.
CURVE: Final = tuple(np.geomspace(1 / 16, 8, 29).round(4).tolist())
_CELLS_AT_ONCE: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Frame:
    """The images that count, and whose they are: ``cluster`` (images,) numbers the patients from 0."""

    images: tuple[str, ...]
    cluster: NDArray[np.int64]

    @property
    def clusters(self) -> int:
        return int(self.cluster.max(initial=-1)) + 1

    @property
    def images_of(self) -> NDArray[np.int64]:
        """How many images each patient has (clusters,)."""
        return np.bincount(self.cluster, minlength=self.clusters)


@dataclass(frozen=True, slots=True)
class Marks:
    """The detections of a label over all images by falling score: what each is (1 hit, 0 false), whose, its score.

    ``lesions`` (clusters,) are the boxes of each patient. Detections that count for nothing are left out.
    """

    kinds: NDArray[np.int8]
    cluster: NDArray[np.int64]
    scores: Array
    lesions: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelFroc:
    """FROC of a label, or of the mean over labels: an estimate at each of ``RATES``, their mean, the curve's points.

    ``curve`` are estimates at each of ``CURVE``. ``lesions`` are boxes, ``images`` all images looked at.
    """

    rates: Mapping[float, Estimate]
    mean: Estimate
    curve: tuple[Estimate, ...]
    lesions: int
    images: int


Weights = Iterable[NDArray[np.int64]]
Drawn = Mapping[str, Mapping[str, Sequence[tuple[float, float, float, float]]]]
Found = Mapping[str, Mapping[str, Detections]]


def no_lesion(label: str) -> bool:
    """Whether a label says that there is nothing, so that it has no place in a mean over lesions.

    >>> no_lesion("No Finding"), no_lesion("no_finding"), no_lesion("Nodule")
    (True, True, False)
    """
    return "".join(letter for letter in label.lower() if letter.isalpha()) in ("nofinding", "nofindings", "normal")


def marks_of(label: str, drawn: Drawn, found: Found, frame: Frame, iou: float = IOU) -> Marks:
    """What the detections of ``label`` are against the boxes drawn, both by image and label."""
    lesions = np.zeros(frame.clusters, dtype=np.int64)
    kinds, scores, cluster = [np.zeros(0, np.int8)], [np.zeros(0)], [np.zeros(0, np.int64)]
    for image, whose in zip(frame.images, frame.cluster.tolist(), strict=True):
        boxes = np.asarray(drawn.get(image, {}).get(label, ()), dtype=np.float64).reshape(-1, 4)
        lesions[whose] += len(boxes)
        seen = found.get(image, {}).get(label)
        if seen is not None and len(seen.scores):
            kinds.append(match(boxes, seen, iou))
            scores.append(np.asarray(seen.scores, dtype=np.float64))
            cluster.append(np.full(len(seen.scores), whose))
    kind, score, of = np.concatenate(kinds), np.concatenate(scores), np.concatenate(cluster)
    order = np.argsort(-score, kind="stable")
    order = order[kind[order] >= 0]
    return Marks(kind[order], of[order], score[order], lesions)


def at_hits(marks: Marks, clusters: int, ends: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Hits and false positives of each patient up to and with each place of ``ends``: both (clusters, ends).

    A resample needs no more than these: what is asked for changes at hits alone. Whole numbers, exact in float32.
    """
    found = []
    for kind in (1, 0):
        places = np.flatnonzero(marks.kinds == kind)
        first = np.searchsorted(ends, places)
        inside = first < len(ends)
        counts = np.zeros((clusters, len(ends)), dtype=np.float32)
        np.add.at(counts, (marks.cluster[places[inside]], first[inside]), 1)
        found.append(np.cumsum(counts, axis=1, dtype=np.float32))
    return found[0], found[1]


def hit_ends(marks: Marks) -> NDArray[np.int64]:
    """The last place of each score that a hit has: a threshold takes equal scores together."""
    scores = np.unique(marks.scores[marks.kinds == 1])[::-1]
    return np.searchsorted(-marks.scores, -scores, side="right").astype(np.int64) - 1


def sensitivities(marks: Marks, frame: Frame, replicates: Weights, rates: Sequence[float]) -> Array:
    """Sensitivity (replicates, rates), of patients counted by blocks of ``replicates``, each (rows, clusters).

    At a rate it is the highest that a threshold reaches with no more false positives per image; NaN without lesions.
    """
    hits, false = at_hits(marks, frame.clusters, hit_ends(marks))
    rows = [np.zeros((0, len(rates)))]
    for weights in replicates:
        lesions, images = weights @ marks.lesions, weights @ frame.images_of
        counted = weights.astype(np.float32)
        hit, wrong = counted @ hits, counted @ false
        reached = [
            np.where(wrong <= (rate * images)[:, None], hit, 0).max(axis=1, initial=0).astype(np.float64)
            for rate in rates
        ]
        found = np.full((len(weights), len(rates)), np.nan)
        np.divide(np.stack(reached, axis=1), lesions[:, None], out=found, where=(lesions > 0)[:, None])
        rows.append(found)
    return np.concatenate(rows)


def blocks(width: int, clusters: int, replicates: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Weights of the replicates in blocks that keep (replicates, width) small; the rows follow from the seed alone."""
    for block in replicate_weights(clusters, replicates, seed):
        step = max(1, _CELLS_AT_ONCE // max(width, clusters, 1))
        for at in range(0, len(block), step):
            yield block[at : at + step]


def froc_by_label(
    labels: Sequence[str], drawn: Drawn, found: Found, frame: Frame, *, iou: float = IOU, replicates: int = 10_000,
    seed: int = 0, confidence: float = 0.95,
) -> dict[str, LabelFroc]:  # fmt: skip
    """FROC of each label, then ``mean`` over those that are lesions and have a box; intervals by patient.

    All labels share the replicates, so the mean's interval is that of the mean in each of them.
    """
    at = (*RATES, *CURVE)
    ones = np.ones((1, frame.clusters), dtype=np.int64)
    points, drawn_again, rows = [], [], {}
    for label in labels:
        marks = marks_of(label, drawn, found, frame, iou)
        point = sensitivities(marks, frame, [ones], at)[0]
        width = int((marks.kinds == 1).sum())
        again = sensitivities(marks, frame, blocks(width, frame.clusters, replicates, seed), at)
        lesions = int(marks.lesions.sum())
        rows[label] = _estimates(point, again, lesions, len(frame.images), confidence)
        if lesions and not no_lesion(label):
            points.append(point)
            drawn_again.append(again)
    if points:
        again, remark = mean_over(np.stack(drawn_again))
        lesions = sum(row.lesions for label, row in rows.items() if not no_lesion(label))
        rows[MEAN] = _estimates(np.mean(points, axis=0), again, lesions, len(frame.images), confidence, remark)
    return rows


def mean_over(values: Array) -> tuple[Array, str]:
    """The mean over labels of replicates (labels, replicates, ...): of those that have a lesion in the replicate."""
    known = ~np.isnan(values)
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0).sum(axis=0)
    means = np.full(counts.shape, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    some = bool((counts < len(values)).any())
    return means, "in some replicates a label has no box and is left out of their mean" if some else ""


def _estimates(point: Array, again: Array, lesions: int, images: int, confidence: float, remark: str = "") -> LabelFroc:
    def estimate(value: float, values: Array) -> Estimate:
        return percentile_estimate(
            value, values, n=lesions, confidence=confidence, unit="patient", undefined="no box of this label",
            remark=remark,
        )  # fmt: skip

    each = [estimate(float(point[k]), again[:, k]) for k in range(len(point))]
    read = len(RATES)
    mean = estimate(float(point[:read].mean()), again[:, :read].mean(axis=1))
    return LabelFroc(dict(zip(RATES, each[:read], strict=True)), mean, tuple(each[read:]), lesions, images)


def to_rows(found: Mapping[str, LabelFroc]) -> dict[str, Any]:
    """FROC in JSON's types, without the curves."""
    from dataclasses import asdict

    return {
        label: {
            "sensitivity": {f"{rate:g}": asdict(e) for rate, e in row.rates.items()}, "froc": asdict(row.mean),
            "lesions": row.lesions, "images": row.images,
        }
        for label, row in found.items()
    }  # fmt: skip
