"""Whether maps lie on the boxes that people drew: the pointing game and the overlap.

A map is over the square that the network sees; boxes are in pixels of the film, and are taken into the square.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from corpora.images.fit import Transform
from corpora.statistics.froc import iou_matrix
from corpora.statistics.resample import percentile_estimate, resampled_totals
from corpora.statistics.types import Estimate
from vision.evaluate_measures import macro_of

#: Share of its highest value from which a map counts as marked.
MARKED: Final = 0.5
MEAN: Final = "mean"


@dataclass(frozen=True, slots=True)
class Scored:
    """One map against the boxes of its label: a ``hit`` of the pointing game, the overlap of the marked pixels with the
    boxes, and of the box around the largest marked region with the box it fits best.

    ``peak`` is the highest point in pixels of the film, None where nothing speaks for the label; that is no hit.
    """

    image_id: str
    label: str
    cluster: str
    probability: float
    peak: tuple[float, float] | None
    hit: bool
    pixel_iou: float
    box_iou: float


def inside(shape: tuple[int, int], transform: Transform) -> NDArray[np.bool_]:
    """Where in a square map of ``shape`` the film is, and not padding."""
    height, width = shape
    y, x = (np.arange(height) + 0.5) * transform.size / height, (np.arange(width) + 0.5) * transform.size / width
    rows = (y >= transform.top) & (y < transform.top + transform.height)
    columns = (x >= transform.left) & (x < transform.left + transform.width)
    return rows[:, None] & columns[None, :]


def peak(values: NDArray[np.float32], transform: Transform) -> tuple[float, float] | None:
    """The highest point (x, y) of a map (S, S) in pixels of the film; the middle of several equal ones.

    None where the map is 0 throughout.
    """
    film = np.where(inside(values.shape, transform), values, 0)
    highest = film.max(initial=0)
    if highest <= 0:
        return None
    rows, columns = np.nonzero(film >= highest)
    middle = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    scale_y, scale_x = (transform.size / side for side in values.shape)
    x, y = (columns[middle] + 0.5) * scale_x, (rows[middle] + 0.5) * scale_y
    at = transform.to_image([x, y, x, y])
    return float(at[0]), float(at[1])


def score(
    values: NDArray[np.float32], boxes: ArrayLike, transform: Transform
) -> tuple[tuple[float, float] | None, bool, float, float]:
    """(peak, hit, pixel IoU, box IoU) of a map (S, S) against boxes (n, 4) in pixels of the film."""
    drawn = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    top = peak(values, transform)
    hit = top is not None and bool(
        ((drawn[:, 0] <= top[0]) & (top[0] <= drawn[:, 2]) & (drawn[:, 1] <= top[1]) & (top[1] <= drawn[:, 3])).any()
    )
    if top is None:
        return top, False, 0.0, 0.0
    film = np.where(inside(values.shape, transform), values, 0)
    marked = film >= MARKED * film.max()
    square = transform.to_model(drawn) * (values.shape[0] / transform.size)
    return top, hit, _pixel_iou(marked, square), _box_iou(marked, square)


def _pixel_iou(marked: NDArray[np.bool_], boxes: NDArray[np.float64]) -> float:
    y, x = (np.arange(side) + 0.5 for side in marked.shape)
    covered = np.zeros(marked.shape, dtype=bool)
    for left, top, right, bottom in boxes:
        covered |= ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))[None, :]
    union = int((marked | covered).sum())
    return float((marked & covered).sum() / union) if union else 0.0


def _box_iou(marked: NDArray[np.bool_], boxes: NDArray[np.float64]) -> float:
    from scipy.ndimage import find_objects, label

    regions, count = label(marked)
    if not count:
        return 0.0
    largest = int(np.argmax(np.bincount(regions.ravel())[1:]))
    rows, columns = find_objects(regions)[largest]
    found = [columns.start, rows.start, columns.stop, rows.stop]
    return float(iou_matrix([found], boxes).max(initial=0.0))


def summary(
    scored: Sequence[Scored], *, replicates: int = 10_000, seed: int = 0, confidence: float = 0.95
) -> dict[str, Mapping[str, Estimate]]:
    """By label, then ``mean`` over labels: the share of hits (``pointing``) and mean overlaps, with bootstrap intervals
    by cluster; the mean has the interval of the mean in each resample. Empty without maps to score."""
    if not scored:
        return {}
    labels = list(dict.fromkeys(each.label for each in scored))
    names = {name: at for at, name in enumerate(dict.fromkeys(each.cluster for each in scored))}
    measures = ("pointing", "pixel_iou", "box_iou")
    # whole numbers, so that sums of resamples are exact
    sums = np.zeros((len(names), len(labels), len(measures) + 1), dtype=np.int64)
    for each in scored:
        parts = (round(value * _UNITS) for value in (float(each.hit), each.pixel_iou, each.box_iou))
        sums[names[each.cluster], labels.index(each.label)] += [*parts, 1]
    points, drawn = _means(sums.sum(axis=0)), _means(resampled_totals(sums, replicates, seed))
    found: dict[str, dict[str, Estimate]] = {label: {} for label in [*labels, MEAN]}
    for m, name in enumerate(measures):
        value, values, remark = macro_of(points[:, m], drawn[:, :, m])
        rows = [*((float(points[at, m]), drawn[:, at, m], "") for at in range(len(labels))), (value, values, remark)]
        numbers = [int(n) for n in sums[..., -1].sum(axis=0)]
        for label, n, row in zip(found, [*numbers, len(scored)], rows, strict=True):
            found[label][name] = percentile_estimate(
                row[0], row[1], n=n, confidence=confidence, unit="patient", remark=row[2]
            )  # fmt: skip
    return {label: dict(row) for label, row in found.items()}


_UNITS: Final = 1_000_000


def _means(sums: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    counts = np.broadcast_to(sums[..., -1:], sums[..., :-1].shape)
    means = np.full(counts.shape, np.nan)
    np.divide(sums[..., :-1] / _UNITS, counts, out=means, where=counts > 0)
    return means
