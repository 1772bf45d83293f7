"""Detections against boxes: FROC, the sensitivity for lesions at given numbers of false positives per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
#: False positives per image at which VinDr-CXR and LUNA16-like challenges read the curve, without 1/8.
RATES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes found on one image, (x_min, y_min, x_max, y_max) of shape (found, 4), and their scores (found,)."""

    boxes: Array
    scores: Array


@dataclass(frozen=True, slots=True)
class Froc:
    """``sensitivity`` at each of ``rates`` (false positives per image), and the curve by falling threshold.

    All values are None where there is no lesion.
    """

    rates: tuple[float, ...]
    sensitivity: tuple[float | None, ...]
    mean: float | None
    lesions: int
    images: int
    curve: tuple[tuple[float, float], ...]


def iou_matrix(first: ArrayLike, second: ArrayLike) -> Array:
    """Intersection over union of boxes (n, 4) and (m, 4): shape (n, m); 0 for boxes without area.

    >>> iou_matrix([[0, 0, 10, 10]], [[0, 0, 4, 10]]).tolist()
    [[0.4]]
    """
    a = np.asarray(first, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(second, dtype=np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = np.clip(sides, 0, None).prod(axis=-1)
    areas = [np.clip(each[..., 2:] - each[..., :2], 0, None).prod(axis=-1) for each in (a, b)]
    union = areas[0] + areas[1] - common
    found = np.zeros(np.broadcast_shapes(common.shape, union.shape))
    np.divide(common, union, out=found, where=union > 0)
    return found


def match(lesions: ArrayLike, detections: Detections, iou: float = 0.4) -> NDArray[np.int8]:
    """What each detection of an image is: 1 a hit, 0 a false positive, -1 one more on a lesion that was hit before.

    Detections are taken by falling score. Each goes to the lesion it overlaps most among those strictly above ``iou``.
    """
    overlaps = iou_matrix(detections.boxes, lesions)
    kinds = np.zeros(len(detections.scores), dtype=np.int8)
    hit: set[int] = set()
    for at in np.argsort(-detections.scores, kind="stable"):
        above = [int(each) for each in np.flatnonzero(overlaps[at] > iou)]
        free = [each for each in above if each not in hit]
        if free:
            hit.add(max(free, key=lambda each: overlaps[at, each]))
            kinds[at] = 1
        elif above:
            kinds[at] = -1
    return kinds


def froc(
    lesions: Mapping[str, ArrayLike],
    detections: Mapping[str, Detections],
    images: Sequence[str],
    *,
    iou: float = 0.4,
    rates: Sequence[float] = RATES,
) -> Froc:
    """FROC over ``images``; an image that is in neither mapping has nothing on it.

    The sensitivity at a rate is the highest that a threshold reaches with no more false positives per image.
    """
    total, scores, kinds = 0, [np.zeros(0)], [np.zeros(0, dtype=np.int8)]
    for image in images:
        boxes = np.asarray(lesions.get(image, ()), dtype=np.float64).reshape(-1, 4)
        total += len(boxes)
        if image in detections:
            scores.append(np.asarray(detections[image].scores, dtype=np.float64))
            kinds.append(match(boxes, detections[image], iou))
    if not total or not images:
        return Froc(tuple(rates), (None,) * len(rates), None, total, len(images), ())
    curve = _curve(np.concatenate(scores), np.concatenate(kinds), total, len(images))
    reached = [max((hit for false, hit in curve if false <= rate), default=0.0) for rate in rates]
    return Froc(tuple(rates), tuple(reached), float(np.mean(reached)), total, len(images), curve)


def _curve(scores: Array, kinds: NDArray[np.int8], lesions: int, images: int) -> tuple[tuple[float, float], ...]:
    """(false positives per image, sensitivity) at every distinct score, from none to all."""
    order = np.argsort(-scores, kind="stable")
    scores, kinds = scores[order], kinds[order]
    last = np.flatnonzero(np.append(scores[:-1] != scores[1:], len(scores) > 0))
    false = np.cumsum(kinds == 0)[last] / images
    hit = np.cumsum(kinds == 1)[last] / lesions
    return ((0.0, 0.0), *zip(false.tolist(), hit.tolist(), strict=True))
