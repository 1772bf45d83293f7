"""Find boxes on films by a trained detector, and write them in the forms that others read.

radloop vision detect RUN SOURCE -o OUT

OUT/detections.json     COCO, every annotation with a score; its images are all films that were looked at
OUT/detections.csv      the layout of VinDr-CXR with a column ``score``
OUT/overlays/*.png      films with the boxes drawn, of scores of at least ``draw``
OUT/sr/*.dcm            a DICOM structured report for each DICOM film, if asked for
OUT/failures.jsonl      films that could not be read or reported on, if any
OUT/manifest.json       last of all

What a batch of films came to is noted in OUT/partial, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from corpora.errors import ConfigError, DataError, RadloopError
from corpora.images.files import read_any
from corpora.images.fit import Transform, fit
from corpora.label_table import read_label_matrix
from corpora.readers.columns import fold
from corpora.runs import (
    OutputTarget,
    atomic_writer,
    begin,
    discard_work,
    hash_input,
    output_target,
    write_manifest,
    writing,
)  # fmt: skip
from corpora.types import Provenance, Reject
from vision.box_overlay import drawn_film
from vision.detect_journal import DetectBatch, Journal, finished, replaced
from vision.detections import Detection, Looked, detections_coco, detections_csv
from vision.detector import FilmDetector, boxes_found, load_detector
from vision.explain_source import FilmFile, films_of
from vision.rejects import write_rejects

_PACKAGES: Final = ("torch", "transformers", "numpy", "pydicom", "pillow")
_BATCH: Final = 16
OVERLAYS, REPORTS = "overlays", "sr"


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
    """What was found: the folder, films looked at, boxes written, boxes drawn, structured reports, rejects.

    ``untouched``: the run was complete already, and nothing was done.
    """

    folder: Path
    films: int
    boxes: int
    drawn: int
    reports: int
    rejected: int
    seconds: float
    untouched: bool = False


def detect(
    run: Path | str, source: Path | str, out: Path | str, *, asked: Finding = Finding(), resume: bool = False,
    command: Iterable[str] = (), watch: Callable[[int, int], None] = lambda done, total: None,
) -> DetectSummary:  # fmt: skip
    """Find boxes on the films of ``source`` (a corpus, a folder, one film) and write them into the folder ``out``.

    A film that cannot be read is rejected. ``resume`` goes on with a run that was stopped. Raises as ``load_detector``
    and ``vision.explain_source.films_of``; ``DataError`` (``image.none``) if no film can be read; ``ConfigError``
    (``config.value``) for numbers out of range; ``RunError`` (``run.changed``, ``run.damaged``).
    """
    clock = time.monotonic()
    if not (0 <= asked.least <= 1 and 0 <= asked.draw <= 1 and 0 < asked.nms <= 1 and asked.most > 0):
        raise ConfigError("config.value", "a score or an overlap lies between 0 and 1, and a number of boxes above 0",
                          where="--least, --draw, --nms, --most")  # fmt: skip
    model, weights = load_detector(run), Path(run) / "model.safetensors"
    films = films_of(source, model.config.views, asked.part)
    normal = set() if asked.normal is None else normal_studies(asked.normal, films)
    target = output_target(out, "detections.csv")
    if not target.is_folder:
        raise ConfigError("config.value", "detections go into a folder, not a table", where=str(out))
    config = {"run": str(run), "source": str(source), **_settings(asked)}
    inputs = [weights, *([asked.normal] if asked.normal else [])]
    if resume and target.complete and target.table.is_file():
        return _summary(target, finished(target, config, inputs), clock, untouched=True)
    begin(target, resume=resume)
    digest = hash_input(weights)["sha256"]
    key = _key(digest, asked, films, normal)
    journal = Journal(target.work / "found.jsonl", key, datetime.now().isoformat(), resume=resume)
    made_by = Path(run).resolve().name
    desk = _Desk(model, films, asked, normal, target.work, made_by, digest, datetime.fromisoformat(journal.begun))
    while journal.read < len(films):
        journal.add(desk.batch(journal.read))
        watch(journal.read, len(films))
    made = _gathered(journal.batches)
    write_rejects(target.failures, made.rejects)
    if not made.looked:
        raise DataError("image.none", f"none of the {len(films):,} films could be read", where=str(source))
    _write(target, made, model.config.label_names, made_by)
    counts = {"films": len(made.looked), "boxes": len(made.found), "drawn": made.drawn, "reports": made.reports,
              "rejected": len(made.rejects)}  # fmt: skip
    write_manifest(
        target.manifest, command=list(command), config=config, inputs=inputs,
        wall_seconds=time.monotonic() - clock, packages=_PACKAGES, counts=counts,
    )  # fmt: skip
    with writing(target.work):
        discard_work(target)
    return _summary(target, counts, clock)


def _summary(
    target: OutputTarget, counts: Mapping[str, int], clock: float, *, untouched: bool = False
) -> DetectSummary:
    return DetectSummary(
        target.out, counts["films"], counts["boxes"], counts["drawn"], counts["reports"], counts["rejected"],
        time.monotonic() - clock, untouched,
    )  # fmt: skip


def _settings(asked: Finding) -> dict[str, object]:
    return asdict(asked) | {"normal": str(asked.normal) if asked.normal else None}


def _key(digest: str, asked: Finding, films: Sequence[FilmFile], normal: Container[str | None]) -> str:
    rows = [[film.image_id, str(film.path), film.study_id, film.patient_id, film.study_id in normal] for film in films]
    said = json.dumps([digest, _settings(asked), rows])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


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


def _gathered(batches: Sequence[DetectBatch]) -> DetectBatch:
    return DetectBatch(
        batches[-1].read if batches else 0,
        tuple(each for batch in batches for each in batch.looked),
        tuple(each for batch in batches for each in batch.found),
        tuple(each for batch in batches for each in batch.rejects),
        sum(batch.drawn for batch in batches), sum(batch.reports for batch in batches),
    )  # fmt: skip


_Read = tuple[FilmFile, NDArray[np.uint16], NDArray[np.uint16], Transform]


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where films become boxes, overlays and reports, in the folder ``work``; ``digest`` is that of the weights."""

    model: FilmDetector
    films: Sequence[FilmFile]
    asked: Finding
    normal: Container[str | None]
    work: Path
    made_by: str
    digest: str
    now: datetime

    def batch(self, at: int) -> DetectBatch:
        """What is on the next films from place ``at``: as many as can be read at once."""
        read: list[_Read] = []
        rejects: list[Reject] = []
        while at < len(self.films) and len(read) < _BATCH:
            self._read(self.films[at], read, rejects)
            at += 1
        found: list[Detection] = []
        drawn = reports = 0
        by_network = iter(self._boxes([each for each in read if each[0].study_id not in self.normal]))
        for film, pixels, _, _ in read:
            boxes = [] if film.study_id in self.normal else next(by_network)
            found += boxes
            drawn += self._draw(film, pixels, boxes)
            reports += self._report(film, boxes, rejects) if self.asked.reports else 0
        looked = tuple(_looked(film, pixels) for film, pixels, _, _ in read)
        return DetectBatch(at, looked, tuple(found), tuple(rejects), drawn, reports)

    def _read(self, film: FilmFile, read: list[_Read], rejects: list[Reject]) -> None:
        try:
            pixels = read_any(film.path)
            square, transform = fit(pixels, self.model.config.image_size)
        except RadloopError as error:
            rejects.append(Reject(error.code, error.message, Provenance(str(film.path)), film.study_id))
        else:
            read.append((film, pixels, square, transform))

    def _boxes(self, read: Sequence[_Read]) -> list[list[Detection]]:
        if not read:
            return []
        # rounded as in training, so that a film has the boxes it has there
        squares = np.rint(np.stack([square for _, _, square, _ in read]) / 257).astype(np.float32) / 255
        with torch.inference_mode():
            out = self.model(torch.from_numpy(squares)[:, None].to(self.model.device))
        logits, shares = out.logits.float().cpu().numpy(), out.pred_boxes.float().cpu().numpy()
        asked, labels = self.asked, self.model.config.label_names
        return [
            [
                Detection(film.image_id, labels[label], box, score)
                for label, box, score in boxes_found(
                    logits[at], shares[at], transform, most=asked.most, least=asked.least, nms=asked.nms
                )
            ]
            for at, (film, _, _, transform) in enumerate(read)
        ]

    def _draw(self, film: FilmFile, pixels: NDArray[np.uint16], boxes: Sequence[Detection]) -> int:
        shown = [each for each in boxes if each.score >= self.asked.draw]
        if shown:
            _put(self.work / OVERLAYS / f"{_name(film)}.png", drawn_film(pixels, shown, longest=self.asked.longest))
        return len(shown)

    def _report(self, film: FilmFile, boxes: Sequence[Detection], rejects: list[Reject]) -> int:
        from vision.box_sr import is_dicom, structured_report

        if not is_dicom(film.path):
            return 0
        try:
            made = structured_report(film.path, boxes, made_by=self.made_by, digest=self.digest, now=self.now)
        except DataError as error:
            rejects.append(Reject(error.code, error.message, Provenance(str(film.path)), film.study_id))
            return 0
        _put(self.work / REPORTS / f"{_name(film)}.dcm", made)
        return 1


def _looked(film: FilmFile, pixels: NDArray[np.uint16]) -> Looked:
    rows, columns = pixels.shape
    return Looked(film.image_id, columns, rows, film.path.name, film.study_id, film.patient_id)


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


def _write(target: OutputTarget, made: DetectBatch, labels: Sequence[str], made_by: str) -> None:
    coco = json.dumps(detections_coco(made.found, made.looked, labels), ensure_ascii=False, indent=1) + "\n"
    _put(target.out / "detections.json", coco.encode())
    # what an earlier run drew and reported is not of these
    for name, count in ((OVERLAYS, made.drawn), (REPORTS, made.reports)):
        replaced(target.work / name, target.out / name, count)
    _put(target.table, detections_csv(made.found, made_by).encode())
