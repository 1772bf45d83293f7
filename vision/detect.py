"""Find boxes on films by a trained detector, and write them in the forms that others read.

radloop vision detect RUN SOURCE -o OUT

OUT/detections.json     COCO, every annotation with a score; its images are all films that were looked at
OUT/detections.csv      the layout of VinDr-CXR with a column ``score``
OUT/overlays/*.png      films with the boxes drawn, of scores of at least ``draw``
OUT/sr/*.dcm            a DICOM structured report for each DICOM film, if asked for
OUT/failures.jsonl      films that could not be read, if any
OUT/manifest.json       last of all
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from corpora.accelerating import quiet
from corpora.errors import ConfigError, DataError, RadloopError
from corpora.images.files import read_any
from corpora.images.fit import Transform, fit
from corpora.label_table import read_label_matrix
from corpora.readers.columns import fold
from corpora.runs import OutputTarget, atomic_writer, begin, discard_work, output_target, write_manifest, writing
from corpora.types import Provenance, Reject
from vision.box_overlay import drawn_film
from vision.detections import Detection, Looked, detections_coco, detections_csv
from vision.detector import FilmDetector, FilmDetectorConfig, boxes_found
from vision.explain_source import FilmFile, films_of
from vision.rejects import write_rejects

_PACKAGES: Final = ("torch", "transformers", "numpy", "pydicom", "pillow")
_BATCH: Final = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """How boxes are found and written: the least score written and drawn, the most boxes of a film, the overlap from
    which the surer of two boxes of a label stands alone, the longer side of overlays (0 for the film's), the part of a
    corpus' split, whether structured reports are written. ``normal`` is a label table whose studies with No Finding get
    no boxes: a first stage that passes on what it does not take for normal, as in VinDr-CXR."""

    least: float = 0.01
    draw: float = 0.3
    most: int = 100
    nms: float = 0.5
    longest: int = 1024
    part: str = ""
    reports: bool = False
    normal: Path | None = None


@dataclass(frozen=True, slots=True)
class DetectSummary:
    """What was found: the folder, films looked at, boxes written, boxes drawn, structured reports, rejects."""

    folder: Path
    films: int
    boxes: int
    drawn: int
    reports: int
    rejected: int
    seconds: float


def load_detector(run: Path | str, device: str | None = None) -> FilmDetector:
    """The detector of a run, on the GPU if there is one. Raises ``ConfigError``: ``model.missing``, ``model.kind``,
    ``model.damaged``."""
    folder = Path(run)
    hint = "radloop vision train-detector makes one"
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except OSError as error:
        raise ConfigError("model.missing", "no trained detector is here", where=str(run), hint=hint) from error
    except ValueError as error:
        raise ConfigError("model.damaged", "its config.json is not JSON", where=str(run)) from error
    if kind != FilmDetectorConfig.model_type:
        raise ConfigError("model.kind", f"this is a {kind}, not a detector", where=str(run), hint=hint)
    quiet()
    try:
        model: FilmDetector = FilmDetector.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # safetensors, torch and transformers raise their own kinds for damaged files
        raise ConfigError(
            "model.damaged", "its files cannot be read, or do not fit each other", where=str(run), hint="train it again"
        ) from error
    torch.nn.Module.to(model, torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    model.train(False)
    return model


def detect(
    run: Path | str, source: Path | str, out: Path | str, *, asked: Finding = Finding(), command: Iterable[str] = (),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> DetectSummary:  # fmt: skip
    """Find boxes on the films of ``source`` (a corpus, a folder, one film) and write them into the folder ``out``.

    A film that cannot be read is rejected. Raises as ``load_detector`` and ``vision.explain_source.films_of``;
    ``DataError`` (``image.none``) if no film can be read; ``ConfigError`` (``config.value``) for numbers out of range.
    """
    began = time.monotonic()
    if not (0 <= asked.least <= 1 and 0 <= asked.draw <= 1 and 0 < asked.nms <= 1 and asked.most > 0):
        raise ConfigError("config.value", "a score or an overlap lies between 0 and 1, and a number of boxes above 0",
                          where="--least, --draw, --nms, --most")  # fmt: skip
    model = load_detector(run)
    films = films_of(source, model.config.views, asked.part)
    normal = set() if asked.normal is None else normal_studies(asked.normal, films)
    target = output_target(out, "detections.csv")
    if not target.is_folder:
        raise ConfigError("config.value", "detections go into a folder, not a table", where=str(out))
    begin(target)
    rejects: list[Reject] = []
    looked: list[Looked] = []
    found: list[Detection] = []
    drawn = reports = 0
    for film, pixels, boxes in _found(model, films, asked, normal, rejects):
        looked.append(_looked(film, pixels))
        found += boxes
        drawn += _draw(target, film, pixels, boxes, asked)
        reports += _report(target, film, boxes, Path(run), rejects) if asked.reports else 0
        watch(min(len(looked) + len(rejects), len(films)), len(films))
    write_rejects(target.failures, rejects)
    if not looked:
        raise DataError("image.none", f"none of the {len(films):,} films could be read", where=str(source))
    _write(target, found, looked, model.config.label_names, Path(run).name)
    seconds = time.monotonic() - began
    write_manifest(
        target.manifest, command=list(command), config={"run": str(run), "source": str(source)},
        inputs=[Path(run) / "model.safetensors", *([asked.normal] if asked.normal else [])],
        wall_seconds=seconds, packages=_PACKAGES,
        counts={"films": len(looked), "boxes": len(found), "drawn": drawn, "reports": reports,
                "rejected": len(rejects)},
    )  # fmt: skip
    with writing(target.work):
        discard_work(target)
    return DetectSummary(target.out, len(looked), len(found), drawn, reports, len(rejects), seconds)


def normal_studies(table: Path, films: Sequence[FilmFile]) -> set[str]:
    """The studies of ``films`` that a label table calls No Finding.

    Raises ``DataError`` as ``read_label_matrix``, ``data.column`` without such a label, ``vision.no_match`` if no film
    is of a study in the table.
    """
    studies = {film.study_id for film in films if film.study_id}
    found = read_label_matrix(table).named_as(studies)
    label = next((name for name in found.labels if fold(name) == "no_finding"), None)
    if label is None:
        raise DataError("data.column", "the table has no label No Finding", where=str(table))
    if not studies & found.rows.keys():
        raise DataError("vision.no_match", "no film is of a study in the table", where=str(table),
                        hint="radloop vision predict CLASSIFIER SOURCE --decide TABLE makes one")  # fmt: skip
    states = found.only([label]).states[:, 0]
    return {study for study in studies if study in found.rows and states[found.rows[study]] == 1}


_Ready = tuple[FilmFile, NDArray[np.uint16], NDArray[np.uint16], Transform]


def _found(
    model: FilmDetector, films: Sequence[FilmFile], asked: Finding, normal: Container[str | None], rejects: list[Reject]
) -> Iterator[tuple[FilmFile, NDArray[np.uint16], list[Detection]]]:
    read = _read(films, model.config.image_size, rejects)
    while batch := list(islice(read, _BATCH)):
        boxes = iter(_boxes(model, [one for one in batch if one[0].study_id not in normal], asked))
        for film, pixels, _, _ in batch:
            yield film, pixels, [] if film.study_id in normal else next(boxes)


def _boxes(model: FilmDetector, batch: Sequence[_Ready], asked: Finding) -> list[list[Detection]]:
    if not batch:
        return []
    labels = model.config.label_names
    # rounded as in training, so that a film has the boxes it has there
    squares = np.rint(np.stack([square for _, _, square, _ in batch]) / 257).astype(np.float32) / 255
    with torch.inference_mode():
        out = model(torch.from_numpy(squares)[:, None].to(model.device))
    logits, shares = out.logits.float().cpu().numpy(), out.pred_boxes.float().cpu().numpy()
    return [
        [
            Detection(film.image_id, labels[label], box, score)
            for label, box, score in boxes_found(
                logits[at], shares[at], transform, most=asked.most, least=asked.least, nms=asked.nms
            )
        ]
        for at, (film, _, _, transform) in enumerate(batch)
    ]


def _read(films: Sequence[FilmFile], side: int, rejects: list[Reject]) -> Iterator[_Ready]:
    for film in films:
        try:
            pixels = read_any(film.path)
            square, transform = fit(pixels, side)
        except RadloopError as error:
            rejects.append(Reject(error.code, error.message, Provenance(str(film.path)), film.study_id))
        else:
            yield film, pixels, square, transform


def _looked(film: FilmFile, pixels: NDArray[np.uint16]) -> Looked:
    rows, columns = pixels.shape
    return Looked(film.image_id, columns, rows, film.path.name, film.study_id, film.patient_id)


def _draw(
    target: OutputTarget, film: FilmFile, pixels: NDArray[np.uint16], boxes: Sequence[Detection], asked: Finding
) -> int:
    shown = [each for each in boxes if each.score >= asked.draw]
    if shown:
        _put(target.out / "overlays" / f"{_name(film)}.png", drawn_film(pixels, shown, longest=asked.longest))
    return len(shown)


def _report(target: OutputTarget, film: FilmFile, boxes: Sequence[Detection], run: Path, rejects: list[Reject]) -> int:
    from vision.box_sr import is_dicom, structured_report

    if not is_dicom(film.path):
        return 0
    try:
        made = structured_report(film.path, boxes, made_by=run.name)
    except DataError as error:
        rejects.append(Reject(error.code, error.message, Provenance(str(film.path)), film.study_id))
        return 0
    _put(target.out / "sr" / f"{_name(film)}.dcm", made)
    return 1


def _name(film: FilmFile) -> str:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", film.image_id):
        return film.image_id
    # a path, or what a file name cannot hold
    plain = re.sub(r"[^A-Za-z0-9]+", "_", film.image_id)[:60].strip("_")
    return f"{plain}-{hashlib.sha256(film.image_id.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _put(path: Path, content: bytes) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(path, "wb") as file:
        file.write(content)


def _write(
    target: OutputTarget, found: Sequence[Detection], looked: Sequence[Looked], labels: Sequence[str], made_by: str
) -> None:
    coco = json.dumps(detections_coco(found, looked, labels), ensure_ascii=False, indent=1) + "\n"
    _put(target.out / "detections.json", coco.encode())
    _put(target.table, detections_csv(found, made_by).encode())
