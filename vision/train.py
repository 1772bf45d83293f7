"""Train an encoder on the films of a corpus and the labels of its studies; the result is a folder.

RUN/config.json, model.safetensors    the network with its labels, temperatures and thresholds
RUN/calibration.json                  per label: studies, AUROC, calibration error, threshold on the validation part
RUN/validate.parquet                  predictions of the validation part: study_id, patient_id, a column a label
RUN/history.jsonl                     loss and macro AUROC of every epoch
RUN/failures.jsonl                    films that could not be read, if any
RUN/manifest.json                     last of all
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from corpora.accelerating import accelerator_of, begin_together, quiet
from corpora.allowance import allowance
from corpora.complete import damaged_run, read_complete
from corpora.errors import RunError
from corpora.label_table import read_label_matrix
from corpora.readers.corpus import is_corpus
from corpora.runs import OutputTarget, atomic_writer, discard_work, output_target, write_manifest, writing
from corpora.store import read_rows
from vision.build import refuse_start
from vision.calibrate import study_probabilities, temperatures, validation_table
from vision.checkpoint import MADE_FROM, Epoch
from vision.data import gather, open_cache, refuse_same_films, rejects_of
from vision.encoder import FilmEncoder
from vision.forward import film_logits
from vision.lessons import Lessons, lessons_of
from vision.loop import StepWatch, Watch
from vision.predictions import write_predictions
from vision.recipe import VisionRecipe
from vision.rejects import refuse_too_many, write_rejects
from vision.stages import all_stages

WEIGHTS: Final = "model.safetensors"
HISTORY: Final = "history.jsonl"
CALIBRATION: Final = "calibration.json"
VALIDATION: Final = "validate.parquet"
_PACKAGES: Final = ("torch", "transformers", "accelerate", "safetensors", "numpy", "scipy", "pydicom", "pillow")


@dataclass(frozen=True, slots=True)
class TrainSummary:
    """How a training run ended. ``macro_auroc`` is that of the best epoch on the validation part, by its labels.

    ``untouched``: it was complete already, and nothing was done.
    """

    folder: Path
    counts: dict[str, int]
    epochs: tuple[Epoch, ...]
    macro_auroc: float
    table: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...]
    seconds: float
    untouched: bool = False


def train(
    corpus: Path,
    labels: Path,
    out: Path,
    recipe: VisionRecipe,
    *,
    split: Path | None = None,
    cache: Path | None = None,
    confusion: Path | None = None,
    resume: bool = False,
    max_failures: str = "1%",
    command: Iterable[str] = (),
    watch: Watch = lambda epoch: None,
    steps: StepWatch = lambda step: None,
    caching: Callable[[int, int], None] = lambda done, total: None,
) -> TrainSummary:
    """Train an encoder into the folder ``out``.

    ``split`` is a file as ``radloop corpus split`` writes it, that of the corpus if not given; ``cache`` a folder of
    ``radloop corpus cache``, made there if it is not there, and inside ``out`` for the time of the run if not given;
    ``confusion`` the matrices of an audit for noise-aware labels. ``watch`` is called after each epoch, ``steps`` after
    each step, ``caching`` with films cached and of how many.

    Raises ``DataError`` (``split.leak``, ``vision.*``, ``data.*``), ``ConfigError`` (``config.*``, ``model.*``) and
    ``RunError`` (``train.nan``, ``vision.memory``, ``vision.rejects``, ``run.*``).
    """
    began = time.monotonic()
    target = _folder(out)
    inputs = _inputs(corpus, labels, split, confusion)
    if resume and target.complete and target.table.is_file():
        return _untouched(target, recipe, inputs)
    within = allowance(max_failures)
    table = read_label_matrix(labels).named_as({row["study_id"] for row in read_rows(corpus, ["study_id"])})
    gathered = gather(corpus, table if recipe.labels is None else table.only(recipe.labels), split, recipe.views)
    accelerator = accelerator_of(recipe.training.precision, recipe.tracker, "vision train", target.out)
    quiet()
    # before what an earlier run left is touched
    refuse_start(recipe)
    begin_together(accelerator, target, resume=resume)
    if not accelerator.is_main_process:
        # one of several speaks for all
        watch, steps = (lambda epoch: None), (lambda step: None)
    with accelerator.main_process_first():
        place = cache or target.work / "films"
        films = open_cache(gathered.films, place, recipe.size, command=command, watch=caching)
    rejects = rejects_of(gathered.films, films)
    if accelerator.is_main_process:
        write_rejects(target.failures, rejects)
    refuse_too_many(len(rejects), len(gathered.films), within, target.failures)
    refuse_same_films(gathered.of_part, films)
    lessons = lessons_of(gathered, films, table, recipe, confusion)
    model, courses = all_stages(lessons, recipe, accelerator, target, resume=resume, watch=watch, steps=steps)
    found = _validated(model, lessons, recipe)
    counts = _counts(lessons, len(rejects), gathered.without_labels, gathered.outside_split)
    seconds = time.monotonic() - began
    epochs = tuple(epoch for course in courses for epoch in course.epochs)
    if accelerator.is_main_process:
        _publish(target, model, epochs, found, lessons)
        write_manifest(
            target.manifest, command=list(command), config=recipe.model_dump(mode="json"), inputs=inputs,
            leave_out=[target.out], counts=counts, wall_seconds=seconds, seed=recipe.seed, packages=_PACKAGES,
        )  # fmt: skip
        with writing(target.work):
            discard_work(target)
    accelerator.end_training()
    return TrainSummary(
        target.out, counts, epochs, courses[-1].best_score, found.table, tuple(_warnings(lessons)), seconds
    )


def _folder(out: Path) -> OutputTarget:
    target = output_target(out, WEIGHTS)
    if not target.is_folder:
        raise RunError("run.is_file", f"{out} names a table, and a model is a folder", hint="name a run folder")
    return target


def _inputs(corpus: Path, labels: Path, split: Path | None, confusion: Path | None) -> list[Path | str]:
    # what is in the corpus is in its manifest; its films are not hashed once more
    table = labels / "manifest.json" if is_corpus(str(labels)) else labels
    read = dict.fromkeys((corpus / "manifest.json", table, split or corpus / "split.csv", confusion))
    return [path for path in read if path is not None and path.exists()]


def _untouched(target: OutputTarget, recipe: VisionRecipe, inputs: Sequence[Path | str]) -> TrainSummary:
    """What the manifest says of a complete run, if it is this one."""
    counts, epochs, seconds = read_complete(target, HISTORY, Epoch, recipe, inputs, MADE_FROM)
    try:
        table = json.loads((target.out / CALIBRATION).read_text(encoding="utf-8"))["labels"]
        best = max(epoch.macro_auroc for epoch in epochs if epoch.stage == epochs[-1].stage)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        raise damaged_run(target.out) from None
    return TrainSummary(target.out, counts, epochs, best, table, (), seconds, untouched=True)


@dataclass(frozen=True, slots=True)
class _Validated:
    """What the validation part says: temperatures, the table by label, and probabilities [S, L]."""

    temperatures: list[float]
    table: dict[str, Any]
    probabilities: Any


def _validated(model: FilmEncoder, lessons: Lessons, recipe: VisionRecipe) -> _Validated:
    heldout, how = lessons.heldout, recipe.pooling
    rows = torch.arange(len(heldout)).numpy()
    half = recipe.training.precision == "bf16"
    logits = film_logits(model, lessons.heldout_store, rows, recipe.training.batch_size, half=half)
    found = temperatures(logits, heldout.study, lessons.heldout_truth, how, lessons.written())
    before, after = (
        study_probabilities(logits, heldout.study, len(heldout.study_ids), each, how)
        for each in ([1.0] * len(found), found)
    )
    table = validation_table(list(lessons.labels), before, after, lessons.heldout_truth, found)
    return _Validated(found, table, after)


def _counts(lessons: Lessons, rejected: int, unlabeled: int, outside: int) -> dict[str, int]:
    return {
        "films, train": len(lessons.train), "studies, train": len(lessons.train.study_ids),
        "films, validate": len(lessons.heldout), "studies, validate": len(lessons.heldout.study_ids),
        "rejected": rejected, "without labels": unlabeled, "outside the split": outside,
        "labels": len(lessons.labels), "labels left out": len(lessons.left_out),
    }  # fmt: skip


def _warnings(lessons: Lessons) -> Iterable[str]:
    for label, why in lessons.left_out.items():
        yield f"{label} is not learned: {why}"


def _publish(
    target: OutputTarget, model: FilmEncoder, epochs: Iterable[Epoch], found: _Validated, lessons: Lessons
) -> None:
    config = model.config
    config.temperatures = found.temperatures
    config.thresholds = {label: row["threshold"] for label, row in found.table.items()}
    made = target.work / "model"
    with writing(target.out):
        model.save_pretrained(made)
        # the weights last: a folder without them is not taken for a model
        for file in sorted(made.iterdir(), key=lambda file: file.name == WEIGHTS):
            file.replace(target.out / file.name)
    with atomic_writer(target.out / HISTORY) as history:
        history.writelines(json.dumps(asdict(epoch)) + "\n" for epoch in epochs)
    with atomic_writer(target.out / CALIBRATION) as page:
        json.dump(
            {"pooling": config.pooling, "left_out": dict(lessons.left_out), "labels": found.table}, page, indent=2
        )
        page.write("\n")
    ids = {"study_id": lessons.heldout.study_ids, "patient_id": lessons.heldout.patient_ids}
    write_predictions(target.out / VALIDATION, ids, lessons.labels, found.probabilities)
