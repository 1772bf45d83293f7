"""Boxes as COCO JSON: images, annotations with ``bbox`` (x, y, width, height), categories.

What COCO has no place for is in keys that other programs pass over: ``image_labels``, a list beside ``annotations``,
for labels of whole images; ``rad_id`` and ``class_id``; and ``corners`` where x + width is not exactly x_max in floats.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from corpora.boxes.layer import Box, BoxImage, BoxLayer, BoxProblem, Corners, Found, checked, inside_image
from corpora.errors import DataError

Entry = TypeVar("Entry")

_LONGEST: Final = 40


def parse_coco(text: str, source: str) -> Found:
    """The boxes in a COCO JSON text. Raises ``DataError`` as ``read_boxes``."""
    data = _object(text, source)
    problems: list[BoxProblem] = []
    images = _by_id(data["images"], f"{source}, images", _coco_image, problems)
    names = _by_id(data["categories"], f"{source}, categories", _coco_name, problems)
    boxes: dict[int, Box] = {}
    for part in ("annotations", "image_labels"):
        parse = partial(_coco_box, images, names, part == "image_labels")
        found = _by_id(data.get(part, []), f"{source}, {part}", parse, problems)
        twice = found.keys() & boxes.keys()
        problems += [
            BoxProblem("boxes.duplicate", f"id {number} occurs twice", f"{source}, {part}") for number in twice
        ]
        boxes |= found
    class_ids = _class_ids(data["categories"])
    return BoxLayer(tuple(boxes[number] for number in sorted(boxes)), tuple(images.values()), class_ids), problems


def _class_ids(categories: list[Any]) -> tuple[tuple[str, int], ...]:
    found = {each["name"]: each.get("class_id") for each in categories if isinstance(each, dict) and _named(each)}
    return tuple((name, number) for name, number in found.items() if isinstance(number, int) and _is_int(number))


def _named(entry: dict[str, Any]) -> bool:
    return isinstance(entry.get("name"), str) and bool(entry["name"])


def _object(text: str, source: str) -> dict[str, Any]:
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError("data.json", "the file is not JSON", where=source) from error
    keys = ("images", "annotations", "categories")
    if not isinstance(data, dict):
        raise DataError(
            "data.json", "not COCO: it is not an object", where=source, hint=f"with lists {', '.join(keys)}"
        )
    lacking = [key for key in keys if not isinstance(data.get(key), list)]
    if lacking:
        raise DataError("data.json", f"not COCO: it has no list {', no list '.join(lacking)}", where=source)
    if not isinstance(data.get("image_labels", []), list):
        raise DataError("data.json", "image_labels is not a list", where=source)
    return data


def _by_id(
    entries: Iterable[Any], source: str, parse: Callable[[dict[str, Any], str], Any], problems: list[BoxProblem]
) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for number, entry in enumerate(entries, 1):
        where = f"{source}, entry {number}"
        if not isinstance(entry, dict) or not _is_int(entry.get("id")):
            problems.append(BoxProblem("boxes.id", "it has no whole number as id", where))
            continue
        if entry["id"] in found:
            problems.append(BoxProblem("boxes.duplicate", f"id {entry['id']} occurs twice", where))
            continue
        value = parse(entry, where)
        if isinstance(value, BoxProblem):
            problems.append(value)
        else:
            found[entry["id"]] = value
    return found


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _coco_image(entry: dict[str, Any], where: str) -> BoxImage | BoxProblem:
    name = entry.get("image_id", entry.get("file_name"))
    if not isinstance(name, str) or not name:
        return BoxProblem("boxes.image", "the image has no file_name", where)
    width, height = entry.get("width"), entry.get("height")
    if any(size is not None and (not _is_int(size) or size < 1) for size in (width, height)):
        return BoxProblem("boxes.size", "width or height of the image is not a positive whole number", where, name)
    file_name = entry.get("file_name")
    return BoxImage(name, width, height, file_name if isinstance(file_name, str) else None)


def _coco_name(entry: dict[str, Any], where: str) -> str | BoxProblem:
    return entry["name"] if _named(entry) else BoxProblem("boxes.class", "the category has no name", where)


def _coco_box(
    images: Mapping[int, BoxImage], names: Mapping[int, str], whole: bool, entry: dict[str, Any], where: str
) -> Box | BoxProblem:
    image, label = _found(images, entry.get("image_id")), _found(names, entry.get("category_id"))
    if image is None:
        return BoxProblem("boxes.image", f"image_id {_shown(entry.get('image_id'))} is none of the images", where)
    if label is None:
        message = f"category_id {_shown(entry.get('category_id'))} is none of the categories"
        return BoxProblem("boxes.class", message, where, image.image_id)
    if entry.get("iscrowd"):
        message = "it is a crowd (iscrowd): a region of several findings, not the box of one"
        return BoxProblem("boxes.crowd", message, where, image.image_id)
    corners = None if whole else _coco_corners(entry)
    if corners is None and not whole:
        return BoxProblem("boxes.number", "bbox is not four numbers", where, image.image_id)
    reader = entry.get("rad_id")
    box = checked(image.image_id, label, corners, reader if isinstance(reader, str) and reader else None, where)
    return inside_image(box, image, where) or box if isinstance(box, Box) else box


def _found(entries: Mapping[int, Entry], number: object) -> Entry | None:
    return entries.get(number) if isinstance(number, int) and _is_int(number) else None


def _shown(value: object) -> str:
    return repr(value)[:_LONGEST]


def _coco_corners(entry: dict[str, Any]) -> Corners | None:
    bbox, corners = _four(entry.get("bbox")), _four(entry.get("corners"))
    if bbox is None:
        return None
    x, y, width, height = bbox
    made = (x, y, x + width, y + height)
    # a program that moves a box leaves its corners behind
    if corners is None or not all(map(_close, corners, made)):
        return made
    return corners


def _close(first: float, second: float) -> bool:
    return math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-9)


def _four(value: object) -> Corners | None:
    if not isinstance(value, list) or len(value) != 4 or not all(_is_int(v) or isinstance(v, float) for v in value):
        return None
    try:
        first, second, third, fourth = map(float, value)
    except OverflowError:  # JSON's whole numbers have no end
        return None
    return first, second, third, fourth


def to_coco(layer: BoxLayer) -> dict[str, Any]:
    """A layer as COCO: images, annotations, categories; and ``image_labels`` where boxes have no corners."""
    known = {image.image_id: image for image in layer.images}
    images = [
        *known.values(),
        *(BoxImage(name) for name in dict.fromkeys(box.image_id for box in layer.boxes) if name not in known),
    ]
    image_number = {image.image_id: number for number, image in enumerate(images, 1)}
    class_ids = dict(layer.class_ids)
    label_number = {label: number for number, label in enumerate(layer.labels, 1)}
    annotations, whole = [], []
    for number, box in enumerate(layer.boxes, 1):
        entry: dict[str, Any] = {
            "id": number, "image_id": image_number[box.image_id], "category_id": label_number[box.label],
        }  # fmt: skip
        entry |= {"rad_id": box.reader} if box.reader else {}
        if box.corners is None:
            whole.append(entry)
        else:
            annotations.append(entry | _coco_shape(box.corners))
    categories = [
        {"id": number, "name": label} | ({"class_id": class_ids[label]} if label in class_ids else {})
        for label, number in label_number.items()
    ]
    coco = {"images": [_image_entry(image, image_number[image.image_id]) for image in images]}
    coco |= {"annotations": annotations, "categories": categories}
    return coco | ({"image_labels": whole} if whole else {})


def _coco_shape(corners: Corners) -> dict[str, Any]:
    x, y, right, bottom = corners
    width, height = right - x, bottom - y
    exact = x + width == right and y + height == bottom
    shape = {"bbox": [x, y, width, height], "area": width * height, "iscrowd": 0}
    return shape if exact else shape | {"corners": list(corners)}


def _image_entry(image: BoxImage, number: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": number, "file_name": image.file_name or image.image_id, "image_id": image.image_id}
    sizes = {"width": image.width, "height": image.height}
    return entry | {name: size for name, size in sizes.items() if size is not None}
