"""Maps drawn over films, in the coordinates of the film; and sheets of many of them."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from corpora.images.fit import Transform

_STRONGEST: Final = 0.55
_BOX: Final = (40, 220, 120)
_PEAK: Final = (255, 255, 255)
_TILE, _CAPTION, _GAP, _ACROSS = 256, 30, 6, 6
_PAGE: Final = (24, 26, 29)
_TEXT: Final = (232, 234, 237)


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture for a sheet, and the lines below it."""

    picture: Image.Image
    lines: tuple[str, ...]


def overlay(
    film: NDArray[np.uint16],
    values: NDArray[np.float32],
    transform: Transform,
    *,
    boxes: ArrayLike = (),
    peak: tuple[float, float] | None = None,
    longest: int = 0,
) -> Image.Image:
    """A film (rows, columns) in grey with the map (h, w) over the network's square laid back on it.

    ``boxes`` (n, 4) and ``peak`` (x, y) are in pixels of the film. ``longest`` bounds the longer side of the picture, 0
    leaves it at the film's size.
    """
    rows, columns = film.shape
    scale = 1.0 if not longest else min(1.0, longest / max(rows, columns))
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    grey = np.asarray(Image.fromarray(_display(film)).resize(size, Image.Resampling.BOX), dtype=np.float32)
    heat = Image.fromarray(transform_to_film(values, transform, size))
    strength = np.clip(np.asarray(heat, dtype=np.float32), 0, 1)
    coloured = _colours(strength)
    alpha = (_STRONGEST * strength)[..., None]
    mixed = (1 - alpha) * grey[..., None] + alpha * coloured
    picture = Image.fromarray(np.rint(mixed).astype(np.uint8))
    _mark(picture, np.asarray(boxes, dtype=np.float64).reshape(-1, 4), peak, size[0] / columns, size[1] / rows)
    return picture


def transform_to_film(values: NDArray[np.float32], transform: Transform, size: tuple[int, int]) -> NDArray[np.float32]:
    """A map over the square as one over the film, at ``size`` (width, height) instead of the film's own."""
    height, width = values.shape
    left, top = transform.left * width / transform.size, transform.top * height / transform.size
    box = (left, top, left + transform.width * width / transform.size,
           top + transform.height * height / transform.size)  # fmt: skip
    shown = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(shown.resize(size, Image.Resampling.BILINEAR, box=box), dtype=np.float32)


def _display(film: NDArray[np.uint16]) -> NDArray[np.uint8]:
    low, high = np.percentile(film[:: max(1, len(film) // 512)], [0.5, 99.5])
    span = max(1.0, float(high - low))
    return np.asarray(np.rint(np.clip((film.astype(np.float32) - low) / span, 0, 1) * 255), dtype=np.uint8)


def _colours(strength: NDArray[np.float32]) -> NDArray[np.float32]:
    from matplotlib import colormaps

    table: NDArray[Any] = colormaps["inferno"](np.linspace(0.15, 1, 256))[:, :3] * 255
    return np.asarray(table[np.rint(strength * 255).astype(int)], dtype=np.float32)


def _mark(
    picture: Image.Image, boxes: NDArray[np.float64], peak: tuple[float, float] | None, x: float, y: float
) -> None:
    pen = ImageDraw.Draw(picture)
    width = max(1, round(max(picture.size) / 300))
    for box in boxes:
        pen.rectangle([box[0] * x, box[1] * y, box[2] * x - 1, box[3] * y - 1], outline=_BOX, width=width)
    if peak is not None:
        reach = 3 * width
        at = peak[0] * x, peak[1] * y
        pen.line([at[0] - reach, at[1], at[0] + reach, at[1]], fill=_PEAK, width=width)
        pen.line([at[0], at[1] - reach, at[0], at[1] + reach], fill=_PEAK, width=width)


def sheet(tiles: Sequence[Tile]) -> Image.Image:
    """Pictures side by side, each in a square with its lines below."""
    across = min(_ACROSS, len(tiles))
    down = math.ceil(len(tiles) / across)
    step_x, step_y = _TILE + _GAP, _TILE + _CAPTION + _GAP
    page = Image.new("RGB", (across * step_x + _GAP, down * step_y + _GAP), _PAGE)
    pen = ImageDraw.Draw(page)
    for number, tile in enumerate(tiles):
        x, y = _GAP + (number % across) * step_x, _GAP + (number // across) * step_y
        small = tile.picture.copy()
        small.thumbnail((_TILE, _TILE), Image.Resampling.BOX)
        page.paste(small, (x + (_TILE - small.width) // 2, y + (_TILE - small.height) // 2))
        for line, text in enumerate(tile.lines):
            pen.text((x + 2, y + _TILE + 2 + 13 * line), _plain(text), fill=_TEXT)
    return page


def _plain(text: str) -> str:
    # the font that comes with Pillow has no other letters
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:42]


def png(picture: Image.Image) -> bytes:
    """A picture as the bytes of a PNG file."""
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()


def data_uri(picture: bytes) -> str:
    """The bytes of a PNG file as an address that a page can hold."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode('ascii')}"
