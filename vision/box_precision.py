"""Average precision of detections as COCO has it (Lin et al. 2014, and its evaluation code).

In an image, detections of a label are taken by falling score, at most 100; each goes to the free box it overlaps most,
if by at least the threshold, else it is false. Precision is made to fall with recall and read at 101 recalls. ``ap`` is
the mean over the thresholds .50, .55 ... .95, ``ap50`` that at .50 alone. Areas and crowds, which chest films do not
have, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corpora.statistics.froc import Detections, iou_matrix
from corpora.statistics.resample import percentile_estimate
from corpora.statistics.types import Estimate
from vision.froc import MEAN, Array, Drawn, Found, Frame, Marks, Weights, at_hits, blocks, mean_over, no_lesion

THRESHOLDS: Final = tuple(round(0.5 + 0.05 * at, 2) for at in range(10))
RECALLS: Final = np.linspace(0, 1, 101)
_MOST: Final = 100


def coco_match(boxes: ArrayLike, detections: Detections, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Whether each detection of an image, by falling score and at most 100, is a hit: (thresholds, detections)."""
    order = np.argsort(-detections.scores, kind="stable")[:_MOST]
    overlaps = iou_matrix(np.asarray(detections.boxes).reshape(-1, 4)[order], boxes)
    found = np.zeros((len(thresholds), len(order)), dtype=bool)
    for row, threshold in enumerate(thresholds):
        free = np.ones(overlaps.shape[1], dtype=bool)
        for at in range(len(order)):
            left = np.where(free, overlaps[at], -1.0)
            if len(left) and left.max() >= threshold:
                found[row, at] = True
                # of equal overlaps COCO's code takes the last
                free[len(left) - 1 - int(left[::-1].argmax())] = False
    return found


def precision_marks(label: str, drawn: Drawn, found: Found, frame: Frame) -> list[Marks]:
    """The detections of ``label`` by falling score, for each of ``THRESHOLDS``."""
    lesions = np.zeros(frame.clusters, dtype=np.int64)
    hits, scores, cluster = [np.zeros((len(THRESHOLDS), 0), bool)], [np.zeros(0)], [np.zeros(0, np.int64)]
    for image, whose in zip(frame.images, frame.cluster.tolist(), strict=True):
        boxes = np.asarray(drawn.get(image, {}).get(label, ()), dtype=np.float64).reshape(-1, 4)
        lesions[whose] += len(boxes)
        seen = found.get(image, {}).get(label)
        if seen is not None and len(seen.scores):
            hits.append(coco_match(boxes, seen, THRESHOLDS))
            scores.append(np.sort(np.asarray(seen.scores, dtype=np.float64))[::-1][:_MOST])
            cluster.append(np.full(len(scores[-1]), whose))
    hit, score, of = np.concatenate(hits, axis=1), np.concatenate(scores), np.concatenate(cluster)
    order = np.argsort(-score, kind="stable")
    return [Marks(row[order].astype(np.int8), of[order], score[order], lesions) for row in hit]


def average_precision(marks: Marks, frame: Frame, replicates: Weights) -> Array:
    """Average precision (replicates,) of patients counted by blocks of ``replicates``; NaN without boxes.

    Precision is highest at hits, so that it is looked at there alone.
    """
    hits, false = at_hits(marks, frame.clusters, np.flatnonzero(marks.kinds == 1))
    rows = [np.zeros(0)]
    for weights in replicates:
        lesions = (weights @ marks.lesions).astype(np.float64)
        found = np.where(lesions > 0, 0.0, np.nan)
        if hits.shape[1]:
            counted = weights.astype(np.float32)
            hit, wrong = ((counted @ each).astype(np.float64) for each in (hits, false))
            precision = np.divide(hit, hit + wrong, out=np.zeros(hit.shape), where=hit + wrong > 0)
            precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
            for row in np.flatnonzero(lesions > 0):
                # the quotients are rounded as in COCO's code, so that the values are its own to the last digit
                at = np.searchsorted(hit[row] / lesions[row], RECALLS, side="left")
                found[row] = np.where(at < hit.shape[1], precision[row, np.minimum(at, hit.shape[1] - 1)], 0).mean()
        rows.append(found)
    return np.concatenate(rows)


def precision_by_label(
    labels: Sequence[str], drawn: Drawn, found: Found, frame: Frame, *, replicates: int = 1000, seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Mapping[str, Estimate]]:  # fmt: skip
    """``ap`` and ``ap50`` of each label, then ``mean`` over the lesions; intervals by patient."""
    ones = np.ones((1, frame.clusters), dtype=np.int64)
    rows: dict[str, tuple[Array, Array, int]] = {}
    for label in labels:
        marks = precision_marks(label, drawn, found, frame)
        width = int((marks[0].kinds == 1).sum())
        point = np.array([average_precision(each, frame, [ones])[0] for each in marks])
        again = np.stack(
            [average_precision(each, frame, blocks(width, frame.clusters, replicates, seed)) for each in marks], axis=1
        )
        rows[label] = (_both(point[None])[0], _both(again), int(marks[0].lesions.sum()))
    counted = [row for label, row in rows.items() if row[2] and not no_lesion(label)]
    if counted:
        again, _ = mean_over(np.stack([row[1] for row in counted]))
        rows[MEAN] = (np.mean([row[0] for row in counted], axis=0), again, sum(row[2] for row in counted))
    return {
        label: {
            name: percentile_estimate(
                float(point[at]), again[:, at], n=n, confidence=confidence, unit="patient",
                undefined="no box of this label",
            )
            for at, name in enumerate(("ap", "ap50"))
        }
        for label, (point, again, n) in rows.items()
    }  # fmt: skip


def _both(values: Array) -> Array:
    """The mean over thresholds and that at .50: (replicates, 2)."""
    return np.stack([values.mean(axis=1), values[:, 0]], axis=1)
