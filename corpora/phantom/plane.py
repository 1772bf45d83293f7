"""The film as a plane: where each pixel looks at the patient, and how points and shapes of the patient fall on it.

Lengths are centimetres of the patient. A frontal film has x (the patient's left) to the right and y (towards the feet)
downward, a lateral one has the back to the right. A map is an array of shape (rows, columns), float32, that holds the
length of a ray inside something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter, zoom

#: float32, of shape (rows, columns).
Map = NDArray[Any]
#: float64, of shape (n, 2) or (n, 3).
Points = NDArray[Any]

#: A blur wider than this many pixels is done on a smaller film.
_WIDE: Final = 6.0
_TABLE: Final = np.linspace(-16.0, 48.0, 2049)


@dataclass(frozen=True, slots=True)
class Plane:
    """A film of ``rows`` x ``columns`` pixels of ``pixel`` cm; ``u`` and ``v`` are the patient's coordinates of each.

    ``turn`` is the rotation of the patient on the film in radians, ``middle`` the patient's coordinates at its middle.
    """

    rows: int
    columns: int
    pixel: float
    turn: float
    middle: tuple[float, float]
    u: Map
    v: Map

    def pixels(self, points: Points) -> Points:
        """Pixel coordinates (column, row) of points (n, 2) of the patient; may lie outside."""
        across, down = points[:, 0] - self.middle[0], points[:, 1] - self.middle[1]
        cos, sin = np.cos(self.turn) / self.pixel, np.sin(self.turn) / self.pixel
        place = np.empty_like(points)
        # spelled out: a matrix product may round otherwise with another number of threads
        place[:, 0] = cos * across + sin * down + (self.columns - 1) / 2
        place[:, 1] = cos * down - sin * across + (self.rows - 1) / 2
        return place

    def zeros(self) -> Map:
        """An empty map."""
        return np.zeros((self.rows, self.columns), np.float32)


def plane(rows: int, columns: int, height: float, turn: float, middle: tuple[float, float]) -> Plane:
    """A film that is ``height`` cm high."""
    pixel = height / rows
    across = (np.arange(columns, dtype=np.float32) - (columns - 1) / 2) * pixel
    down = ((np.arange(rows, dtype=np.float32) - (rows - 1) / 2) * pixel)[:, None]
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    u = cos * across - sin * down + np.float32(middle[0])
    v = sin * across + cos * down + np.float32(middle[1])
    return Plane(rows, columns, pixel, turn, middle, u.astype(np.float32), v.astype(np.float32))


class Profile:
    """A smooth curve through knots (y, value), constant beyond them; called with a map or numbers of y."""

    __slots__ = ("table",)

    def __init__(self, table: NDArray[np.float32]) -> None:
        self.table = table

    def __call__(self, y: Any) -> Any:
        place = (np.asarray(y) - _TABLE[0]) * ((len(_TABLE) - 1) / (_TABLE[-1] - _TABLE[0]))
        return self.table[np.clip(place, 0, len(_TABLE) - 1).astype(np.int32)]

    def __mul__(self, factor: float) -> Profile:
        return Profile(self.table * np.float32(factor))

    def __add__(self, more: float) -> Profile:
        return Profile(self.table + np.float32(more))


def profile(*knots: tuple[float, float]) -> Profile:
    """The curve through ``knots``, which are in order of y."""
    return Profile(_curve(knots))


@cache
def _curve(knots: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
    y, value = np.array(knots).T
    return np.asarray(PchipInterpolator(y, value)(np.clip(_TABLE, y[0], y[-1])), np.float32)


def chord(part: Any) -> Any:
    """Half the chord of a circle of radius 1 at distance ``part`` from its middle; 0 outside."""
    return np.sqrt(np.maximum(1 - part * part, 0))


def ellipse(plane: Plane, middle: tuple[float, float], half: tuple[float, float], tilt: float = 0.0) -> Map:
    """Half chord, 0 to 1, of an ellipse with half axes ``half``, the first turned clockwise by ``tilt`` radians."""
    across, down = plane.u - np.float32(middle[0]), plane.v - np.float32(middle[1])
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    first = (cos * across + sin * down) / np.float32(half[0])
    second = (cos * down - sin * across) / np.float32(half[1])
    return np.sqrt(np.maximum(1 - first * first - second * second, np.float32(0)))


def fourth(map_: Map) -> Map:
    """The fourth power, without the slow general one."""
    square: Map = map_ * map_
    power: Map = square * square
    return power


def union(*maps: Map) -> Map:
    """The thickness of organs that share space: nearly the largest, without a seam (the 4-norm)."""
    total = np.zeros_like(maps[0])
    for each in maps:
        total += fourth(each)
    return np.asarray(np.sqrt(np.sqrt(total)), np.float32)


def smooth(map_: Map, pixels: float) -> Map:
    """The map blurred by a Gaussian; a wide one is done on a smaller map."""
    if pixels < 0.2:
        return map_
    if pixels <= _WIDE:
        return np.asarray(gaussian_filter(map_, pixels, truncate=3.0))
    step = int(pixels / _WIDE * 2)
    rows, columns = (max(1, length // step) for length in map_.shape)
    if rows < 4 or columns < 4:
        return np.full_like(map_, map_.mean())
    small = map_[: rows * step, : columns * step].reshape(rows, step, columns, step).mean(axis=(1, 3))
    return resized(gaussian_filter(small, pixels / step, truncate=3.0, mode="nearest"), map_.shape)


def resized(small: Map, shape: tuple[int, ...]) -> Map:
    """A map brought to ``shape`` by linear interpolation between the middles of its pixels."""
    factors = [to / of for to, of in zip(shape, small.shape, strict=True)]
    return zoom(small, factors, order=1, mode="nearest", grid_mode=True).astype(np.float32)  # type: ignore[no-any-return]


def splat(plane: Plane, points: Points, volume: Any, blur: float = 0.0) -> Map:
    """The thickness in cm of a cloud of points (n, 2), each of so many cubic centimetres, blurred by ``blur`` cm."""
    column, row = plane.pixels(points).T
    left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    right, low = column - left, row - top
    volume = np.broadcast_to(np.asarray(volume, np.float64), column.shape) / plane.pixel**2
    kept = (left >= 0) & (left < plane.columns - 1) & (top >= 0) & (top < plane.rows - 1)
    if not kept.all():
        left, top, right, low, volume = (each[kept] for each in (left, top, right, low, volume))
    place = top * plane.columns + left
    pixels = plane.rows * plane.columns
    total = np.bincount(place, volume * (1 - right) * (1 - low), pixels)
    total += np.bincount(place + 1, volume * right * (1 - low), pixels)
    total += np.bincount(place + plane.columns, volume * (1 - right) * low, pixels)
    total += np.bincount(place + plane.columns + 1, volume * right * low, pixels)
    return smooth(total.reshape(plane.rows, plane.columns).astype(np.float32), blur / plane.pixel)


def tube(plane: Plane, path: Points, radius: float) -> Map:
    """The chord in cm of a tube of ``radius`` along a path of points (n, 2) on the film, near enough to each other."""
    out = plane.zeros()
    corners = plane.pixels(path)
    reach = radius / plane.pixel + 2
    left, top = np.floor(corners.min(axis=0) - reach).astype(int).clip(0)
    right, low = np.ceil(corners.max(axis=0) + reach).astype(int) + 1
    part = (slice(top, max(low, top)), slice(left, max(right, left)))
    x, y = plane.u[part], plane.v[part]
    if not x.size:
        return out
    nearest = np.full(x.shape, np.float32(radius * radius))
    for (ax, ay), (bx, by) in zip(path[:-1].astype(np.float32), path[1:].astype(np.float32), strict=True):
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, np.float32(1e-9)), 0, 1)
        nearest = np.minimum(nearest, (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2)
    out[part] = 2 * np.sqrt(np.float32(radius * radius) - nearest)
    return out


def bend(*knots: Sequence[float], count: int = 24) -> Points:
    """A smooth path of ``count`` points through ``knots`` in two or three dimensions."""
    through = np.array(knots, float)
    at = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(through, axis=0), axis=1))])
    return np.asarray(PchipInterpolator(at, through)(np.linspace(0, at[-1], count)))


def clouds(plane: Plane, rng: np.random.Generator, sizes: Sequence[float]) -> Map:
    """Smooth noise of mean 0 and deviation about 1: the sum of layers of which one grain is ``sizes`` cm."""
    total = plane.zeros()
    for size in sizes:
        rows, columns = (max(2, round(length * plane.pixel / size)) for length in (plane.rows, plane.columns))
        grains = rng.standard_normal((min(rows, plane.rows), min(columns, plane.columns)), np.float32)
        total += resized(grains, (plane.rows, plane.columns))
    return total / np.float32(0.6 * np.sqrt(len(sizes)))
