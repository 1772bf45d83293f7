"""Lines of characters in a picture, found by their shape.

Stamped characters are small, of one grey, and stand in a line; anatomy is none of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Greys = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom

_MOST_LINES: Final = 60
_SHORTEST: Final = 6
_TALLEST: Final = 140
_TINY: Final = 12
_CONTRAST: Final = 0.16


@dataclass(frozen=True, slots=True)
class Line:
    """A line of characters: its box (left, top, right, bottom; right and bottom not in it), how many characters."""

    left: int
    top: int
    right: int
    bottom: int
    characters: int
    verdict: str = "text"
    shown: str = ""


class Pieces(NamedTuple):
    """Components of a mask: numbered from 1 in a picture of shape (rows, columns), and the box of each."""

    labels: NDArray[np.int32]
    boxes: list[Box]


def find_lines(grey: Greys) -> list[Line]:
    """Lines of characters in a picture of shape (rows, columns), brighter or darker than what is around them."""
    from scipy import ndimage

    found: list[Line] = []
    for size in _sizes(grey.shape):
        for hat in (ndimage.white_tophat(grey, size=size), ndimage.black_tophat(grey, size=size)):
            lines = _lines(_characters(_pieces(hat > 255 * _CONTRAST), grey))
            # half the contrast, for a line that runs on over bright anatomy
            faint = _pieces(hat > 255 * _CONTRAST / 2).boxes if lines else []
            found += [_grown(line, faint) for line in lines]
    return merged(found)


def _sizes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Windows of the top-hat: a little wider than the strokes of small and of large characters."""
    return (9, 21) if max(shape) > 1200 else (7, 13)


def _pieces(mask: NDArray[np.bool_]) -> Pieces:
    """The components of a mask; none where they are so many that they are noise."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=np.ones((3, 3), dtype=int))
    boxes = ndimage.find_objects(labels) if 0 < count <= 60_000 else []
    return Pieces(labels, [(box[1].start, box[0].start, box[1].stop, box[0].stop) for box in boxes])


def _characters(pieces: Pieces, grey: Greys) -> list[Box]:
    """Boxes of components that could be characters: small, not solid, of one grey."""
    areas = np.bincount(pieces.labels.ravel())
    boxes = []
    for number, (left, top, right, bottom) in enumerate(pieces.boxes, 1):
        height, width = bottom - top, right - left
        if not (_SHORTEST <= height <= _TALLEST and 1 <= width <= 2.2 * height and areas[number] >= 6):
            continue
        part = pieces.labels[top:bottom, left:right] == number
        fill = areas[number] / (height * width)
        if not 0.12 <= fill <= (1.0 if width * 3 <= height else 0.85):
            continue
        inside = grey[top:bottom, left:right][part].astype(np.float32)
        # strokes of a pixel are smoothed into greys of all kinds
        if _one_grey(inside) >= (0.45 if height > _TINY else 0.12):
            boxes.append((left, top, right, bottom))
    return boxes


def _grown(line: Line, pieces: Sequence[Box]) -> Line:
    """A line with what stands on its row beside it: characters that touch, and what is too small to be one."""
    tall = line.bottom - line.top
    row = [
        (left, right) for left, top, right, bottom in pieces
        if top >= line.top - 0.3 * tall and bottom <= line.bottom + 0.4 * tall and right - left <= 12 * tall
    ]  # fmt: skip
    left, right = line.left, line.right
    for start, stop in sorted(row):
        if stop > right and start - right <= 1.2 * tall:
            right = stop
    for start, stop in sorted(row, key=lambda each: -each[1]):
        if start < left and left - stop <= 1.2 * tall:
            left = start
    return replace(line, left=left, right=right)


def _one_grey(inside: NDArray[np.float32]) -> float:
    """The share of a component's pixels that nearly have its most frequent grey."""
    counts = np.bincount(inside.astype(np.int64), minlength=256)
    near = np.convolve(counts, np.ones(7, dtype=np.int64), mode="same")
    return float(near.max() / max(len(inside), 1))


def _lines(characters: Sequence[Box]) -> list[Line]:
    """Characters of like height that stand beside each other."""
    left = sorted(characters)
    lines: list[list[Box]] = []
    for box in left:
        height, middle = box[3] - box[1], (box[1] + box[3]) / 2
        for line in reversed(lines):
            last = line[-1]
            tall = max(last[3] - last[1], height)
            apart = box[0] - max(each[2] for each in line)
            if apart > 1.6 * tall:
                continue
            alike = min(last[3] - last[1], height) >= 0.45 * tall
            if alike and abs(middle - (last[1] + last[3]) / 2) < 0.45 * tall and apart > -0.5 * tall:
                line.append(box)
                break
        else:
            lines.append([box])
    kept = []
    for line in lines:
        # two characters name nobody, and ribs that cross look like them
        if len(line) >= 3 and _is_even(line):
            kept.append(
                Line(
                    min(box[0] for box in line), min(box[1] for box in line), max(box[2] for box in line),
                    max(box[3] for box in line), len(line),
                )
            )  # fmt: skip
    return kept


def _is_even(line: Sequence[Box]) -> bool:
    """Whether characters stand on one base and are of one height, as print is and noise is not."""
    heights = np.array([box[3] - box[1] for box in line])
    bottoms = np.array([box[3] for box in line])
    usual = float(np.median(heights))
    close = np.abs(heights - usual) <= 0.25 * usual
    based = np.abs(bottoms - np.median(bottoms)) <= max(1.5, 0.15 * usual)
    share = float((close & based).mean())
    return share >= (0.99 if len(line) < 4 else 0.6)


def merged(lines: Iterable[Line]) -> list[Line]:
    """Lines without doubles: those that overlap become one."""
    result: list[Line] = []
    for line in sorted(lines, key=lambda line: (line.top, line.left)):
        for at, other in enumerate(result):
            if (
                line.left < other.right + 2
                and other.left < line.right + 2
                and line.top < other.bottom
                and other.top < line.bottom
            ):
                result[at] = Line(
                    min(line.left, other.left), min(line.top, other.top), max(line.right, other.right),
                    max(line.bottom, other.bottom), max(line.characters, other.characters),
                )  # fmt: skip
                break
        else:
            result.append(line)
    return sorted(result, key=lambda line: -line.characters)[:_MOST_LINES]
