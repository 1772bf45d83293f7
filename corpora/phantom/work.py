"""A part of a corpus: some studies drawn, written as DICOM, and noted for the tables. Parts are made by any process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final
from unicodedata import normalize

import numpy as np

from corpora.dicom import read_image
from corpora.errors import RunError
from corpora.images import phash
from corpora.phantom.film import FRONTAL, draw_plan, render
from corpora.phantom.headers import Object, dicom_object, draw_coding, image_ref, planted, said_of_burning
from corpora.phantom.model import ChestModel, PeopleModel
from corpora.phantom.patients import Cohort, Visit
from corpora.phantom.reports import Reporter, Written
from corpora.phantom.settings import Settings, grammar_of
from corpora.pool import end_with_parent
from corpora.runs import atomic_writer, writing
from corpora.sections import split_sections
from corpora.store import to_row
from corpora.types import ImageRef, Report, Study

#: Studies in a part.
PART: Final = 10
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One part: studies ``start`` to ``stop`` of the corpus in ``folder``, noted in ``note``."""

    settings: Settings
    folder: Path
    start: int
    stop: int
    note: Path


def make_part(task: Task) -> None:
    """Write the films of a part, then its note. Raises ``RunError`` as ``corpora.runs.writing``."""
    maker = _maker(task.settings)
    records = [maker.study(visit, task.folder) for visit in maker.cohort.visits(task.start, task.stop)]
    with atomic_writer(task.note) as file:
        json.dump(records, file, ensure_ascii=False)


def read_part(note: Path) -> list[Record]:
    """The records of a part that is done."""
    loaded: list[Record] = json.loads(note.read_text(encoding="utf-8"))
    return loaded


@cache
def _maker(settings: Settings) -> Maker:
    return Maker(settings)


class Maker:
    """Makes studies by one set of settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.chest = ChestModel.model_validate_json(settings.chest)
        self.cohort = Cohort(self.chest, PeopleModel.model_validate_json(settings.people), settings.seed)
        self.reporter = Reporter(grammar_of(settings), self.chest.reporting, self.chest.phi.text)

    def study(self, visit: Visit, folder: Path) -> Record:
        """Write the films of a study; the row of the corpus and the lines of the tables of truth."""
        study_id, patient_id = f"ph{visit.index:07d}", f"pp{visit.patient:07d}"
        rng = np.random.default_rng([self.settings.seed, 200, visit.index])
        written = self.reporter.write(visit, rng)
        burned = _burned(visit, rng) if rng.random() < self.chest.phi.pixels else ()
        images: list[ImageRef] = []
        truth: Record = {"phi": list(_text_phi(study_id, written)), "findings": [], "boxes": []}
        for number, view in enumerate(visit.views, 1):
            image, lines = self._film(visit, view, number, burned, written, folder, rng)
            images.append(image)
            for name, more in lines.items():
                truth[name] += more
        report = Report(study_id, written.text, tuple(split_sections(written.text)))
        meta = {"year": visit.day.year, "age": round(visit.age, 2), "sex": visit.person.sex, "source": "phantom"}
        row = to_row(Study(study_id, patient_id, tuple(images), report, meta))
        return {"row": row, "states": written.states, **truth}

    def _film(
        self, visit: Visit, view: str, number: int, burned: tuple[str, ...], written: Written, folder: Path,
        rng: np.random.Generator,
    ) -> tuple[ImageRef, Record]:  # fmt: skip
        image_id = f"ph{visit.index:07d}-{number}"
        path = f"images/{image_id}.dcm"
        plan = draw_plan(view, self.settings.size, visit.portable and view in FRONTAL, rng)
        coding, syntax = draw_coding(visit, rng)
        said, comment = said_of_burning(bool(burned), rng), 0
        if rng.random() < self.chest.phi.comment:
            comment = int(rng.integers(1, 4))
        film = render(plan, visit.body, visit.signs, burned)
        made = Object(visit, plan, film, coding, syntax, image_id, number, said, comment)
        dataset = dicom_object(made, self.settings.seed)
        with writing(folder / path), atomic_writer(folder / path, "wb") as file:
            dataset.save_as(file, enforce_file_format=True)
        # as an import does it: of the film as it is read back
        hashed = replace(image_ref(made, dataset, path), phash=phash(read_image(folder / path)))
        return hashed, {
            "phi": [*_header_phi(made, planted(dataset)), *_pixel_phi(made)],
            "findings": [_image_truth(made, written)],
            "boxes": list(_boxes(made)),
        }


def _burned(visit: Visit, rng: np.random.Generator) -> tuple[str, ...]:
    person = visit.person
    lines = (f"{person.family.upper()}, {person.given}", person.mrn, f"{visit.day:%d.%m.%Y}", person.institution[:24])
    # what burns text in knows no accents
    plain = tuple(normalize("NFKD", line).encode("ascii", "ignore").decode() for line in lines)
    return plain[: int(rng.integers(1, 5))]


def _text_phi(study_id: str, written: Written) -> Iterator[Record]:
    for start, end, value in written.planted:
        yield {"study_id": study_id, "where": "report", "start": start, "end": end, "value": value}


def _header_phi(made: Object, found: Iterator[Record]) -> Iterator[Record]:
    for item in found:
        yield {"study_id": f"ph{made.visit.index:07d}", "image_id": made.image_id, **item}


def _pixel_phi(made: Object) -> Iterator[Record]:
    for text, box in made.film.texts:
        yield {
            "study_id": f"ph{made.visit.index:07d}", "image_id": made.image_id, "where": "pixels", "box": list(box),
            "value": text,
        }  # fmt: skip


def _boxes(made: Object) -> Iterator[list[Any]]:
    if made.plan.view not in FRONTAL:
        return
    for place in made.film.places:
        yield [made.image_id, place.sign.label, *place.box]
    if not made.visit.signs:
        yield [made.image_id, "No Finding", "", "", "", ""]


def _image_truth(made: Object, written: Written) -> Record:
    """What is in a film: how it was taken, and each finding with its geometry (cm of the adult body) and boxes."""
    visit, plan = made.visit, made.plan
    return {
        "study_id": f"ph{visit.index:07d}", "patient_id": f"pp{visit.patient:07d}", "image_id": made.image_id,
        "view": plan.view, "marker": plan.marker, "breath": round(plan.pose.breath, 3), "yaw": round(plan.pose.yaw, 4),
        "turn": round(plan.turn, 4), "portable": visit.portable, "indication": visit.indication,
        "border": [round(share, 4) for share in plan.border],
        "findings": [
            {
                "number": sign.number, "label": sign.label, "kind": sign.kind,
                "side": {-1: "right", 1: "left", 0: "both"}[sign.side], "zone": sign.zone, "size": round(sign.size, 3),
                "at": [round(each, 2) for each in sign.at], "change": visit.changes[sign.number],
                "reported": written.reported[sign.number],
                "boxes": [list(place.box) for place in made.film.places if place.sign.number == sign.number],
            }
            for sign in visit.signs
        ],
        "gone": [{"number": sign.number, "label": sign.label, "kind": sign.kind} for sign in visit.gone],
    }  # fmt: skip


# Processes


def run_tasks(tasks: list[Task], workers: int, watch: Callable[[int], None]) -> None:
    """Make every part, by ``workers`` processes, or here if there is one worker or one part; ``watch`` is called with
    the studies of each part that is done.

    Raises what a part raises, and ``RunError`` (``run.worker``) if a process is killed.
    """
    if workers < 2 or len(tasks) < 2:
        for task in tasks:
            make_part(task)
            watch(task.stop - task.start)
        return
    # spawned, not forked: the same on every system, and safe beside threads
    pool = ProcessPoolExecutor(min(workers, len(tasks)), get_context("spawn"), end_with_parent)
    try:
        _by_pool(pool, tasks, 2 * workers, watch)
    except BrokenProcessPool as error:
        raise RunError(
            "run.worker", "a worker process was killed, as happens where memory runs out",
            hint="run again with --resume; fewer --workers need less memory",
        ) from error  # fmt: skip
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _by_pool(pool: ProcessPoolExecutor, tasks: list[Task], ahead: int, watch: Callable[[int], None]) -> None:
    waiting: dict[Future[None], Task] = {}
    left = iter(tasks)
    while True:
        while len(waiting) < ahead and (task := next(left, None)):
            waiting[pool.submit(make_part, task)] = task
        if not waiting:
            return
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            task = waiting.pop(future)
            future.result()
            watch(task.stop - task.start)
