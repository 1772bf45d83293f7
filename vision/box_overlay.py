"""Films with the boxes that were found drawn on them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vision.detections import Detection

#: Colours that people with any colour vision tell apart (Okabe and Ito), on grey.
_COLOURS: Final = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")


def drawn_film(film: NDArray[np.uint16], boxes: Sequence[Detection], *, longest: int = 0) -> bytes:
    """A film (rows, columns) with boxes, each with its label and score, as the bytes of a PNG.

    ``longest`` bounds the longer side of the picture; 0 leaves it at the film's size.
    """
    rows, columns = film.shape
    scale = min(1.0, longest / max(rows, columns)) if longest else 1.0
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    low, high = np.percentile(film, (0.5, 99.5))
    grey = np.clip((film.astype(np.float32) - low) / max(float(high - low), 1.0), 0, 1) * 255
    picture = Image.fromarray(np.rint(grey).astype(np.uint8)).resize(size, Image.Resampling.BOX).convert("RGB")
    pen, width = ImageDraw.Draw(picture), max(1, round(max(size) / 400))
    font = ImageFont.load_default(size=max(9, round(max(size) / 60)))
    names = {label: at for at, label in enumerate(sorted({each.label for each in boxes}))}
    for each in sorted(boxes, key=lambda each: each.score):
        colour = _COLOURS[names[each.label] % len(_COLOURS)]
        x, y, right, bottom = (corner * scale for corner in each.corners)
        pen.rectangle([x, y, max(right - 1, x), max(bottom - 1, y)], outline=colour, width=width)
        said = f"{_plain(each.label)} {each.score:.2f}"
        left, top, end, low_edge = pen.textbbox((0, 0), said, font=font)
        at = min(x, max(size[0] - (end - left) - 2, 0)), max(y - (low_edge - top) - 4, 0)
        pen.rectangle([at[0], at[1], at[0] + end - left + 2, at[1] + low_edge - top + 3], fill="black")
        pen.text((at[0] + 1 - left, at[1] + 1 - top), said, fill=colour, font=font)
    out = io.BytesIO()
    picture.save(out, format="PNG")
    return out.getvalue()


def _plain(label: str) -> str:
    # the built-in font has no more
    return "".join(letter if 32 <= ord(letter) < 127 else "?" for letter in label)[:40]
