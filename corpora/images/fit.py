"""A film in the square that a model reads, and the way back.

Coordinates are continuous: a pixel with index i spans i to i + 1, so that a box of a whole film is (0, 0, columns,
rows), and scaling needs no half pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Transform:
    """How a film of ``rows`` x ``columns`` lies in a square of ``size``.

    It is scaled by ``scale_x`` and ``scale_y``, which are equal but for rounding to whole pixels, with ``left`` and
    ``top`` pixels of padding before it.
    """

    rows: int
    columns: int
    size: int
    scale_x: float
    scale_y: float
    left: int
    top: int

    @property
    def height(self) -> int:
        """Rows of the square that the film fills."""
        return round(self.rows * self.scale_y)

    @property
    def width(self) -> int:
        """Columns of the square that the film fills."""
        return round(self.columns * self.scale_x)

    def to_model(self, boxes: ArrayLike) -> Boxes:
        """Boxes (x_min, y_min, x_max, y_max), shape (..., 4), from the film to the square."""
        return np.asarray(boxes, dtype=np.float64) * self._scales() + self._offsets()

    def to_image(self, boxes: ArrayLike) -> Boxes:
        """Boxes, shape (..., 4), from the square back to the film; cut off at its edges."""
        found = (np.asarray(boxes, dtype=np.float64) - self._offsets()) / self._scales()
        return np.clip(found, 0, [self.columns, self.rows, self.columns, self.rows])

    def map_to_image(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """A map over the square, of any resolution, as one over the film: shape (rows, columns), bilinear."""
        height, width = values.shape
        left, top = self.left * width / self.size, self.top * height / self.size
        box = (left, top, left + self.width * width / self.size, top + self.height * height / self.size)
        shown = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
        resized = shown.resize((self.columns, self.rows), Image.Resampling.BILINEAR, box=box)
        return np.asarray(resized, dtype=np.float32)

    def _scales(self) -> Boxes:
        return np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y])

    def _offsets(self) -> Boxes:
        return np.array([self.left, self.top, self.left, self.top], dtype=np.float64)


def transform_of(rows: int, columns: int, size: int) -> Transform:
    """How a film is fitted to a square: its longer side fills it, the shorter one is padded on both sides.

    Raises ``ValueError`` for a side that is not positive.
    """
    if min(rows, columns, size) < 1:
        raise ValueError(f"a film of {rows} x {columns} does not fit a square of {size}")
    scale = size / max(rows, columns)
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    return Transform(rows, columns, size, width / columns, height / rows, (size - width) // 2, (size - height) // 2)


def fit(film: NDArray[Any], size: int) -> tuple[NDArray[np.uint16], Transform]:
    """A film of shape (rows, columns), padded with black and resized to (size, size), and the way back.

    Shrinking averages over what becomes one pixel, so that nothing aliases; 16 bits are kept.
    """
    rows, columns = film.shape
    transform = transform_of(rows, columns, size)
    square = np.zeros((size, size), dtype=np.uint16)
    inside = square[transform.top : transform.top + transform.height, transform.left : transform.left + transform.width]
    if (rows, columns) == inside.shape:
        inside[:] = film
    else:
        inside[:] = _resized(film, inside.shape[0], inside.shape[1])
    return square, transform


def _resized(film: NDArray[Any], height: int, width: int) -> NDArray[np.uint16]:
    # whole-number shrinking first, by means of blocks: ten times as fast as the filter, which does the rest
    step = min(film.shape[0] // (2 * height), film.shape[1] // (2 * width))
    box = None
    values: NDArray[Any] = film
    if step > 1:
        rows, columns = -(-film.shape[0] // step), -(-film.shape[1] // step)
        box = (0.0, 0.0, film.shape[1] / step, film.shape[0] / step)
        values = _block_means(film, step, rows, columns)
    shown = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    resized = np.asarray(shown.resize((width, height), Image.Resampling.BILINEAR, box=box))
    return np.asarray(np.rint(np.clip(resized, 0, 65_535)), dtype=np.uint16)


def _block_means(film: NDArray[Any], step: int, rows: int, columns: int) -> NDArray[np.float32]:
    padded = np.pad(film, ((0, rows * step - film.shape[0]), (0, columns * step - film.shape[1])), mode="edge")
    # the sums of whole numbers are exact, and fast
    sums = np.zeros((rows, columns), dtype=np.uint32 if film.dtype.kind in "bu" else np.float64)
    for row in range(step):
        for column in range(step):
            sums += padded[row::step, column::step]
    return (sums / np.float32(step * step)).astype(np.float32)
