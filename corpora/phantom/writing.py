"""What is written into a film: the letter of its side, and lines of text that a device burns in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from corpora.phantom.plane import Map

#: Height of burned text as a share of the film's, and the least one that can be read, pixels.
_TEXT: Final = 0.02
_LEAST: Final = 10
_MARKER: Final = 0.055


@dataclass(frozen=True, slots=True)
class Burned:
    """What to write. ``inside`` is left, top, right, bottom of the film without its border."""

    marker: str
    view: str
    lines: tuple[str, ...]
    inside: tuple[int, int, int, int]


Box = tuple[int, int, int, int]


def burn(values: Map, burned: Burned, rng: np.random.Generator) -> tuple[tuple[str, Box], ...]:
    """Write into the film, which changes; gives back each line of text with its box (x_min, y_min, x_max, y_max)."""
    rows, _ = values.shape
    left, top, right, bottom = burned.inside
    if burned.marker:
        ink = _ink(burned.marker, max(14, round(_MARKER * rows)))
        # the patient's left is on the right of a frontal film; a lateral one is marked in front
        on_left = burned.marker == "R" or burned.view == "LATERAL"
        x = left + 6 if on_left else right - ink.shape[1] - 6
        _press(values, ink, x, top + round(rows * rng.uniform(0.02, 0.07)), 0.97)
    height = max(_LEAST, round(_TEXT * rows))
    low = bool(rng.random() < 0.5)
    at = bottom - round(1.35 * height) * len(burned.lines) - 4 if low else top + round(0.14 * rows)
    texts = []
    for number, line in enumerate(burned.lines):
        ink = _ink(line, height)
        box = _press(values, ink, left + 4, at + round(1.35 * height) * number, 1.0)
        texts.append((line, box))
    return tuple(texts)


def _press(values: Map, ink: Map, x: int, y: int, white: float) -> Box:
    rows, columns = values.shape
    x, y = max(0, min(x, columns - 1)), max(0, min(y, rows - 1))
    part = values[y : y + ink.shape[0], x : x + ink.shape[1]]
    cut = ink[: part.shape[0], : part.shape[1]]
    part[:] = part * (1 - cut) + np.float32(white) * cut
    return x, y, x + part.shape[1], y + part.shape[0]


def _ink(text: str, height: int) -> Map:
    """Coverage, 0 to 1, of a line of text, cut to its letters."""
    from PIL import Image, ImageDraw

    font = _font(height)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    canvas = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(canvas).text((-left, -top), text, fill=255, font=font)
    return np.asarray(canvas, np.float32) / np.float32(255)


@cache
def _font(height: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=height)
