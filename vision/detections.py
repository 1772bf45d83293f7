"""Files of detections: boxes with a score on the films that were looked at.

COCO JSON   images (``image_id``, ``file_name``, ``study_id``, ``patient_id``), categories, annotations with ``score``;
            the images are all that were looked at, also those on which nothing was found
CSV         the layout of VinDr-CXR with a column ``score``; ``rad_id`` says whose detections they are
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from corpora.boxes import to_coco
from corpora.boxes.layer import Box, BoxImage, BoxLayer, BoxProblem, checked
from corpora.errors import ConfigError, DataError
from corpora.statistics.froc import Detections
from corpora.types import Provenance, Reject

_COLUMNS: Final = ("image_id", "class_name", "score", "x_min", "y_min", "x_max", "y_max")
Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Looked:
    """A film that was looked at: its id, size, and whose it is."""

    image_id: str
    width: int | None = None
    height: int | None = None
    file_name: str | None = None
    study_id: str | None = None
    patient_id: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What a file of boxes may call it."""
        if not self.file_name:
            return (self.image_id,)
        return self.image_id, self.file_name, Path(self.file_name).name, Path(self.file_name).stem


@dataclass(frozen=True, slots=True)
class Detection:
    """One box found: corners x_min, y_min, x_max, y_max in pixels of the film, and its score, the higher the surer."""

    image_id: str
    label: str
    corners: Corners
    score: float


@dataclass(frozen=True, slots=True)
class DetectionFile:
    """Detections, the films looked at (empty if the file does not say), labels in order, and what could not be read."""

    path: Path
    detections: tuple[Detection, ...]
    looked: tuple[Looked, ...]
    labels: tuple[str, ...]
    rejects: tuple[Reject, ...] = ()

    def by_image(self) -> dict[str, dict[str, Detections]]:
        """Detections by image and label."""
        rows: dict[str, dict[str, list[Detection]]] = {}
        for each in self.detections:
            rows.setdefault(each.image_id, {}).setdefault(each.label, []).append(each)
        return {
            image: {label: Detections(np.array([e.corners for e in found]), np.array([e.score for e in found]))
                    for label, found in of.items()}
            for image, of in rows.items()
        }  # fmt: skip


def read_detections(path: Path | str) -> DetectionFile:
    """The detections in a ``.json`` (COCO) or ``.csv`` file, or in the folder of ``radloop vision detect``.

    One that is not well formed is rejected. Raises ``DataError``: ``data.missing``, ``data.encoding``, ``data.json``,
    ``data.columns``; ``ConfigError`` (``config.value``) for another kind of file.
    """
    file = Path(path)
    file = file / "detections.json" if file.is_dir() else file
    if file.suffix.lower() not in (".json", ".csv"):
        raise ConfigError("config.value", "detections are read from .csv and .json (COCO)", where=str(path))
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        message = error.strerror or "it cannot be read"
        raise DataError("data.missing", f"no file of detections: {message}", where=str(file)) from error
    except UnicodeDecodeError as error:
        raise DataError("data.encoding", "the file of detections is not UTF-8", where=str(file)) from error
    return _from_csv(text, file) if file.suffix.lower() == ".csv" else _from_coco(text, file)


def _from_csv(text: str, path: Path) -> DetectionFile:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    names = {name.strip().lower(): name for name in rows.fieldnames or () if name}
    lacking = [name for name in _COLUMNS if name not in names]
    if lacking:
        raise DataError("data.columns", f"no column {', '.join(lacking)}", where=str(path),
                        hint=f"needs {', '.join(_COLUMNS)}")  # fmt: skip
    found: list[Detection | Reject] = []
    try:
        for number, row in enumerate(rows, 1):
            cells = {name: (row[spelled] or "").strip() for name, spelled in names.items()}
            corners = [cells[name] for name in _COLUMNS[3:]]
            found.append(_checked(cells["image_id"], cells["class_name"], corners, cells["score"], path, number))
    except csv.Error as error:
        raise DataError("data.csv", f"not CSV: {error}", where=str(path)) from error
    return _file(path, found, ())


def _from_coco(text: str, path: Path) -> DetectionFile:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError("data.json", "the file is not JSON", where=str(path)) from error
    parts = ("images", "categories", "annotations")
    if not isinstance(data, dict) or not all(isinstance(data.get(part), list) for part in parts):
        raise DataError("data.json", f"not COCO: it has no lists {', '.join(parts)}", where=str(path),
                        hint="a list of results alone does not say which films were looked at")  # fmt: skip
    images = {each["id"]: _looked(each) for each in data["images"] if _has_id(each)}
    labels = {
        each["id"]: each["name"] for each in data["categories"] if _has_id(each) and isinstance(each.get("name"), str)
    }
    found: list[Detection | Reject] = []
    for number, entry in enumerate(data["annotations"], 1):
        entry = entry if isinstance(entry, dict) else {}
        image, label = (_get(of, entry.get(key)) for of, key in ((images, "image_id"), (labels, "category_id")))
        bbox = entry.get("bbox")
        corners = _corners(bbox) if isinstance(bbox, list) else []
        found.append(_checked(image.image_id if image else "", label or "", corners, entry.get("score"), path, number))
    return _file(path, found, tuple(image for image in images.values() if image), tuple(labels.values()))


def _has_id(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("id"), int | str)


def _get(of: Mapping[Any, Any], key: object) -> Any:
    return of.get(key) if isinstance(key, int | str) else None


def _looked(entry: Mapping[str, Any]) -> Looked | None:
    def text(key: str) -> str | None:
        value = entry.get(key)
        return value if isinstance(value, str) and value else None

    name = text("image_id") or text("file_name")
    width, height = (entry.get(key) if isinstance(entry.get(key), int) else None for key in ("width", "height"))
    return Looked(name, width, height, text("file_name"), text("study_id"), text("patient_id")) if name else None


def _corners(bbox: list[Any]) -> list[Any]:
    try:
        x, y, width, height = map(float, bbox)
    except (TypeError, ValueError, OverflowError):
        return []
    return [x, y, x + width, y + height]


def _checked(image: str, label: str, corners: Sequence[Any], score: Any, path: Path, number: int) -> Detection | Reject:
    where = f"{path}, entry {number}"
    try:
        numbers, value = tuple(map(float, corners)), float(score)
    except (TypeError, ValueError, OverflowError):
        numbers, value = (), math.nan
    if len(numbers) != 4 or not math.isfinite(value):
        return Reject("boxes.number", "its corners or score are not numbers", Provenance(str(path), number))
    box = checked(image, label, numbers, None, where)
    if isinstance(box, BoxProblem) or box.corners is None:
        problem = box if isinstance(box, BoxProblem) else BoxProblem("boxes.number", "it has no corners", where)
        return Reject(problem.code, problem.message, Provenance(str(path), number))
    return Detection(image, label, box.corners, value)


def _file(
    path: Path, found: Iterable[Detection | Reject], looked: tuple[Looked, ...], labels: tuple[str, ...] = ()
) -> DetectionFile:
    every = list(found)
    kept = tuple(each for each in every if isinstance(each, Detection))
    names = tuple(dict.fromkeys((*labels, *(each.label for each in kept))))
    return DetectionFile(path, kept, looked, names, tuple(each for each in every if isinstance(each, Reject)))


def detections_coco(detections: Sequence[Detection], looked: Sequence[Looked], labels: Sequence[str]) -> dict[str, Any]:
    """Detections as COCO JSON: annotations with ``score``, and every film that was looked at."""
    layer = BoxLayer(
        tuple(Box(each.image_id, each.label, each.corners) for each in detections),
        tuple(BoxImage(each.image_id, each.width, each.height, each.file_name) for each in looked),
        tuple((label, number) for number, label in enumerate(labels)),
    )  # fmt: skip
    coco = to_coco(layer)
    for entry, each in zip(coco["annotations"], detections, strict=True):
        entry["score"] = round(each.score, 6)
    for entry, film in zip(coco["images"], looked, strict=True):
        whose = {"study_id": film.study_id, "patient_id": film.patient_id}
        entry |= {key: value for key, value in whose.items() if value}
    return coco


def detections_csv(detections: Sequence[Detection], made_by: str) -> str:
    """Detections in the layout of VinDr-CXR with a column ``score``; ``rad_id`` is ``made_by``."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image_id", "rad_id", *_COLUMNS[1:]])
    for each in detections:
        corners = [f"{value:.2f}" for value in each.corners]
        writer.writerow([each.image_id, made_by, each.label, f"{each.score:.6f}", *corners])
    return out.getvalue()
