"""Boxes, the images they lie on, and what a box must be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from corpora.specs.facts import StudyFacts

Corners = tuple[float, float, float, float]

#: How far over the edge of its image a box may reach: half a pixel, which is what rounding does.
_SLACK: Final = 0.5


@dataclass(frozen=True, slots=True)
class Box:
    """A finding on an image. ``corners`` are x_min, y_min, x_max, y_max in pixels of the native image; None if the
    label is of the whole image. ``reader`` is who drew it; ``where`` the file and row it was read from, if any."""

    image_id: str
    label: str
    corners: Corners | None = None
    reader: str | None = None
    where: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class BoxImage:
    """An image that boxes may lie on; None for what is not known of it."""

    image_id: str
    width: int | None = None
    height: int | None = None
    file_name: str | None = None


@dataclass(frozen=True, slots=True)
class BoxLayer:
    """Boxes in order, the images they lie on, and the ids of the labels where the source gives them (``class_id``)."""

    boxes: tuple[Box, ...]
    images: tuple[BoxImage, ...] = ()
    class_ids: tuple[tuple[str, int], ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*(name for name, _ in self.class_ids), *(box.label for box in self.boxes))))


@dataclass(frozen=True, slots=True)
class BoxProblem:
    """What is wrong with one entry: ``boxes.*``, a message, and where (row or annotation)."""

    code: str
    message: str
    where: str
    image_id: str = ""


Found = tuple[BoxLayer, list[BoxProblem]]


def checked(
    image_id: str, label: str, corners: tuple[float, ...] | None, reader: str | None, where: str
) -> Box | BoxProblem:
    """The box, or what is wrong with it whatever its image."""
    if not image_id or not label or any(map(_unwritable, (image_id, label, reader or ""))):
        return BoxProblem("boxes.name", "an id or class name is empty or holds a control character", where, image_id)
    if corners is None:
        return Box(image_id, label, None, reader, where)
    x, y, right, bottom = corners
    if not all(map(math.isfinite, corners)):
        return BoxProblem("boxes.number", "a coordinate is not a finite number", where, image_id)
    if right <= x or bottom <= y:
        return BoxProblem("boxes.size", "the box has no positive width and height", where, image_id)
    if x < -_SLACK or y < -_SLACK:
        return BoxProblem("boxes.outside", "the box begins outside its image", where, image_id)
    return Box(image_id, label, (x, y, right, bottom), reader, where)


def _unwritable(text: str) -> bool:
    return any(
        ord(character) < 32 or 0x7F <= ord(character) < 0xA0 or 0xD800 <= ord(character) < 0xE000 for character in text
    )


def inside_image(box: Box, image: BoxImage, where: str) -> BoxProblem | None:
    """What is wrong with a box that reaches over the edge of its image; None if nothing is known to be."""
    if box.corners is None or image.width is None or image.height is None:
        return None
    if box.corners[2] <= image.width + _SLACK and box.corners[3] <= image.height + _SLACK:
        return None
    message = f"the box reaches outside its image of {image.width} x {image.height} pixels"
    return BoxProblem("boxes.outside", message, where, box.image_id)


def corpus_images(studies: Iterable[StudyFacts]) -> dict[str, BoxImage]:
    """The images of a corpus by everything that a file of boxes may call them: image id, path, file name with and
    without its ending; a name that two images share is not in it."""
    found: dict[str, BoxImage | None] = {}
    for study in studies:
        for image in study.images:
            path = Path(image.path)
            ours = BoxImage(image.image_id or path.stem, image.columns, image.rows, path.name)
            for name in filter(None, {image.image_id, image.path, path.name, path.stem}):
                found[name] = ours if name not in found else None
    return {name: image for name, image in found.items() if image is not None}


def against_corpus(layer: BoxLayer, images: Mapping[str, BoxImage], source: str) -> Found:
    """``layer`` with the images' sizes and file names as the corpus has them, and the boxes that do not fit it."""
    kept: list[Box] = []
    problems: list[BoxProblem] = []
    for number, box in enumerate(layer.boxes, 1):
        where = box.where or f"{source}, box {number}"
        image = images.get(box.image_id)
        if image is None:
            problems.append(BoxProblem("boxes.image", "the corpus has no such image", where, box.image_id))
        elif problem := inside_image(box, image, where):
            problems.append(problem)
        else:
            kept.append(box)
    listed = dict.fromkeys((*(image.image_id for image in layer.images), *(box.image_id for box in kept)))
    # under the name that the file of boxes uses
    ours = [replace(images[name], image_id=name) for name in listed if name in images]
    return BoxLayer(tuple(kept), tuple(ours), layer.class_ids), problems
