"""Boxes as VinDr-CXR and PediCXR have them: a CSV with a row for each box and reader.

image_id, rad_id (may be missing), class_name, x_min, y_min, x_max, y_max, class_id (may be missing); a row without
coordinates says something of the whole image ("No finding").
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Final

from corpora.boxes.layer import Box, BoxImage, BoxLayer, BoxProblem, Found, checked
from corpora.errors import DataError

COLUMNS: Final = ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max")
COORDINATES: Final = COLUMNS[2:]


def parse_csv(text: str, source: str) -> Found:
    """The boxes in a text in the layout of VinDr-CXR. Raises ``DataError`` as ``read_boxes``."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    names = {name.strip().lower(): name for name in rows.fieldnames or () if name}
    lacking = [name for name in COLUMNS if name not in names]
    if lacking:
        raise DataError(
            "data.columns", f"no column {', '.join(lacking)}", where=source, hint=f"needs {', '.join(COLUMNS)}"
        )
    boxes: list[Box] = []
    problems: list[BoxProblem] = []
    class_ids: dict[str, int] = {}
    try:
        for number, row in enumerate(rows, 1):
            cells = {name: row[spelled] or "" for name, spelled in names.items()}
            found = _csv_box(cells, f"{source}, row {number}")
            if isinstance(found, Box) and cells.get("class_id", "").strip():
                found = _note_class(found, cells["class_id"], class_ids, f"{source}, row {number}")
            boxes.append(found) if isinstance(found, Box) else problems.append(found)
    except csv.Error as error:
        raise DataError("data.csv", f"not CSV: {error}", where=source) from error
    images = tuple(BoxImage(name) for name in dict.fromkeys(box.image_id for box in boxes))
    return BoxLayer(tuple(boxes), images, tuple(class_ids.items())), problems


def _csv_box(cells: Mapping[str, str], where: str) -> Box | BoxProblem:
    image_id, label = cells["image_id"], cells["class_name"]
    given = [cells[name].strip() for name in COORDINATES]
    try:
        corners = tuple(map(float, given)) if any(given) else None
    except ValueError:
        return BoxProblem("boxes.number", "a coordinate is missing or not a number", where, image_id)
    return checked(image_id, label, corners, cells.get("rad_id") or None, where)


def _note_class(box: Box, text: str, class_ids: dict[str, int], where: str) -> Box | BoxProblem:
    try:
        number = int(float(text))
    except (ValueError, OverflowError):
        return BoxProblem("boxes.class", "class_id is not a number", where, box.image_id)
    other = next((name for name, used in class_ids.items() if used == number and name != box.label), None)
    if class_ids.setdefault(box.label, number) != number or other is not None:
        return BoxProblem("boxes.class", f"class_id {number} and class_name do not go together", where, box.image_id)
    return box


def to_csv(layer: BoxLayer) -> str:
    """A layer in the layout of VinDr-CXR; ``rad_id`` and ``class_id`` are columns where any box has them."""
    readers, class_ids = any(box.reader for box in layer.boxes), dict(layer.class_ids)
    names = ["image_id", *(["rad_id"] if readers else []), *COLUMNS[1:], *(["class_id"] if class_ids else [])]
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for box in layer.boxes:
        corners = ["", "", "", ""] if box.corners is None else [_number(value) for value in box.corners]
        reader = [box.reader or ""] if readers else []
        writer.writerow(
            [box.image_id, *reader, box.label, *corners, *([class_ids.get(box.label, "")] if class_ids else [])]
        )
    return out.getvalue()


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
