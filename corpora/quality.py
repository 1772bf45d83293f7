"""Is it a usable frontal chest film? Measures on the pixels alone, each of which can be wrong and can be checked.

    clipped     share of the film, inside its collimation, that is stuck at the lowest or highest value
    chest       correlation with the pattern of a frontal chest: two dark lungs beside a bright mediastinum
    polarity    how much better that pattern fits the film than its negative; below 0 the film is inverted
    border      share of the film that is a uniform margin: collimator blades, or padding

On 599 frontal films of ChestX-ray14 polarity was right on 597 (the difference of the zones' medians on 583). Left-right
symmetry is not among the measures: it tells good films from bad no better than chance. Rotation, inspiration and motion
need a reader or a trained net.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]

_SIDE: Final = 64
#: A margin is a run of rows or columns at the edge that vary less than this share of the film's range.
_FLAT: Final = 0.04
_SHIFTS: Final = (-6, -3, 0, 3, 6)
#: Correlation of fingerprints from which two films are one.
SAME: Final = 0.9


@dataclass(frozen=True, slots=True)
class FilmMeasures:
    """The measures of one film; None where one cannot be taken (a film of one value)."""

    clipped: float | None
    polarity: float | None
    chest: float | None
    border: float | None


def measure(image: NDArray[Any]) -> FilmMeasures:
    """The measures of a film of shape (rows, columns), greyscale with bones white.

    Raises ``ValueError`` for an array of another shape, without pixels, or with values that are not finite.
    """
    if image.ndim != 2 or 0 in image.shape:
        raise ValueError(f"a film has rows and columns, not the shape {image.shape}")
    film = image.astype(np.float64)
    if not np.isfinite(film).all():
        raise ValueError("the film has values that are not finite")
    if film.min() == film.max():
        return FilmMeasures(1.0, None, None, 1.0)
    small = shrink(film, 4 * _SIDE)
    top, bottom, left, right = _inside(small)
    border = 1 - (bottom - top) * (right - left) / small.size
    rows, columns = film.shape[0] / small.shape[0], film.shape[1] / small.shape[1]
    inner = film[int(top * rows) : max(int(bottom * rows), 1), int(left * columns) : max(int(right * columns), 1)]
    thumb = _square(small[top:bottom, left:right])
    chest = _chest(thumb)
    return FilmMeasures(_clipped(inner, film), chest - _chest(1 - thumb), chest, float(border))


def shrink(film: Image, side: int) -> Image:
    """The film with both sides at most ``side`` pixels, by the mean of blocks."""
    step_y, step_x = (max(1, -(-length // side)) for length in film.shape)
    rows, columns = film.shape[0] // step_y, film.shape[1] // step_x
    blocks = film[: rows * step_y, : columns * step_x].reshape(rows, step_y, columns, step_x)
    small: Image = blocks.mean(axis=(1, 3))
    return small


def _inside(small: Image) -> tuple[int, int, int, int]:
    """Where the film proper is: top, bottom, left, right without the flat margins."""
    span = float(np.ptp(np.percentile(small, (1, 99)))) or float(np.ptp(small))
    top, bottom = _run(np.ptp(np.percentile(small, (5, 95), axis=1), axis=0) > _FLAT * span)
    left, right = _run(np.ptp(np.percentile(small[top:bottom], (5, 95), axis=0), axis=0) > _FLAT * span)
    return top, bottom, left, right


def _run(busy: NDArray[np.bool_]) -> tuple[int, int]:
    where = np.flatnonzero(busy)
    return (int(where[0]), int(where[-1]) + 1) if len(where) else (0, len(busy))


def _square(part: Image) -> Image:
    rows = np.linspace(0, part.shape[0] - 1, _SIDE).round().astype(int)
    columns = np.linspace(0, part.shape[1] - 1, _SIDE).round().astype(int)
    low, high = np.percentile(part, (2, 98))
    scaled: Image = np.clip((part[np.ix_(rows, columns)] - low) / ((high - low) or 1.0), 0, 1)
    return scaled


def _clipped(inner: Image, film: Image) -> float:
    low, high = float(film.min()), float(film.max())
    return float(max((inner == low).mean(), (inner == high).mean()))


@cache
def _pattern() -> Image:
    """Two dark ellipses on a bright ground, the air beside the neck and the shoulders left grey."""
    y, x = np.mgrid[0:_SIDE, 0:_SIDE] / (_SIDE - 1)
    pattern = np.full((_SIDE, _SIDE), 0.6)
    for middle, width in ((0.29, 0.155), (0.72, 0.145)):
        ellipse = ((x - middle) / width) ** 2 + ((y - 0.42) / 0.33) ** 2
        pattern -= 0.6 / (1 + np.exp(12 * (ellipse - 1)))
    pattern += 0.35 * np.exp(-(((x - 0.52) / 0.07) ** 2)) + 0.3 * (y > 0.75)
    return pattern


def _chest(thumb: Image) -> float:
    core = thumb[8:-8, 8:-8]
    best = -1.0
    for down in _SHIFTS:
        for across in _SHIFTS:
            place = _pattern()[8 + down : _SIDE - 8 + down, 8 + across : _SIDE - 8 + across]
            best = max(best, _correlation(core, place))
    return best


def _correlation(first: Image, second: Image) -> float:
    a, b = first - first.mean(), second - second.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / size) if size else 0.0


def fingerprint(image: NDArray[Any]) -> NDArray[np.float64]:
    """The detail of a film at 64 x 64 pixels without its broad shades: a vector of length 1 (0 for a flat film).

    On 599 films of ChestX-ray14 the correlation of two different ones is at most 0.79, and that of one with a copy of
    it (JPEG of quality 40, other size, other contrast) at least 0.97. Raises ``ValueError`` as ``measure``.
    """
    from scipy.ndimage import gaussian_filter

    if image.ndim != 2 or 0 in image.shape:
        raise ValueError(f"a film has rows and columns, not the shape {image.shape}")
    film = _resized(image.astype(np.float64))
    detail = film - gaussian_filter(film, 4)
    detail = (detail - detail.mean()).ravel()
    length = float(np.linalg.norm(detail))
    unit: NDArray[np.float64] = detail / length if length > 1e-9 * (float(np.abs(film).max()) or 1.0) else 0 * detail
    return unit


def same_film(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Whether two fingerprints are of one film, or of a film and its negative."""
    return abs(float(first @ second)) >= SAME


def _resized(film: Image) -> Image:
    """64 x 64 means over areas; the aspect is lost, which copies share."""
    rows, columns = (_weights(length) for length in film.shape)
    small: Image = rows @ film @ columns.T
    return small


def _weights(length: int) -> Image:
    edges = np.linspace(0, length, _SIDE + 1)
    cells = np.arange(length)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    weights: Image = np.clip(overlap, 0, None) * (_SIDE / length)
    return weights
