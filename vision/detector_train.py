"""Train a detector on the films of a corpus and boxes drawn on them; the result is a folder.

RUN/config.json, model.safetensors    the detector with its labels
RUN/history.jsonl                     loss, and FROC of the validation part, of every epoch
RUN/failures.jsonl                    films that could not be read and boxes that could not be used, if any
RUN/manifest.json                     last of all
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from corpora.accelerating import accelerator_of, begin_together, quiet
from corpora.allowance import allowance
from corpora.complete import damaged_run, read_complete
from corpora.errors import ConfigError, RunError
from corpora.runs import OutputTarget, atomic_writer, discard_work, output_target, write_manifest, writing
from vision.checkpoint import MADE_FROM
from vision.data import open_cache, refuse_same_films, rejects_of
from vision.detector import FilmDetector, build_detector
from vision.detector_data import boxed_films, gather_boxed, key_of, labels_of
from vision.detector_loop import DetectorEpoch, DetectorStage, StepWatch, Watch, detector_loop
from vision.detector_recipe import DetectorRecipe
from vision.rejects import refuse_too_many, write_rejects

WEIGHTS: Final = "model.safetensors"
HISTORY: Final = "history.jsonl"
_PACKAGES: Final = ("torch", "transformers", "accelerate", "safetensors", "numpy", "scipy", "pydicom", "pillow")


@dataclass(frozen=True, slots=True)
class DetectorSummary:
    """How a run ended. ``froc`` is that of the best epoch on the validation part; ``untouched``: it was complete."""

    folder: Path
    labels: tuple[str, ...]
    counts: dict[str, int]
    epochs: tuple[DetectorEpoch, ...]
    froc: float
    notes: tuple[str, ...]
    seconds: float
    untouched: bool = False


def train_detector(
    corpus: Path, boxes: Path, out: Path, recipe: DetectorRecipe, *, split: Path | None = None,
    cache: Path | None = None, resume: bool = False, max_failures: str = "1%", command: Iterable[str] = (),
    watch: Watch = lambda epoch: None, steps: StepWatch = lambda step: None,
    caching: Callable[[int, int], None] = lambda done, total: None,
) -> DetectorSummary:  # fmt: skip
    """Train a detector into the folder ``out`` on ``boxes``, a file as ``read_boxes`` takes it.

    The other arguments are those of ``vision.train.train``. Raises ``DataError`` (``vision.no_part``,
    ``vision.no_boxes``, ``split.leak``, ``data.*``), ``ConfigError`` (``config.*``, ``model.*``) and ``RunError``
    (``train.nan``, ``vision.memory``, ``vision.rejects``, ``run.*``).
    """
    began = time.monotonic()
    target = output_target(out, WEIGHTS)
    if not target.is_folder:
        raise RunError("run.is_file", f"{out} names a table, and a model is a folder", hint="name a run folder")
    inputs = [path for path in (corpus / "manifest.json", boxes, split or corpus / "split.csv") if path.exists()]
    if resume and target.complete and target.table.is_file():
        return _untouched(target, recipe, inputs)
    within = allowance(max_failures)
    gathered = gather_boxed(corpus, boxes, split, recipe.views)
    accelerator = accelerator_of(recipe.training.precision, None, "vision train-detector", target.out)
    if accelerator.num_processes > 1:
        raise ConfigError("config.value", "the detector is trained in one process", where="accelerate")
    quiet()
    # all that can be refused is, before what an earlier run left is touched
    build_detector(recipe, labels_of(gathered, recipe))
    begin_together(accelerator, target, resume=resume)
    films = [film for of in gathered.of_part.values() for film in of]
    cached = open_cache(films, cache or target.work / "films", recipe.size, command=command, watch=caching)
    refuse_same_films(gathered.of_part, cached)
    rejects = [*rejects_of(films, cached), *gathered.rejects]
    labels, parts, notes = boxed_films(gathered, cached, recipe, rejects)
    write_rejects(target.failures, rejects)
    drawn = len(gathered.layer.boxes) + len(gathered.rejects)
    refuse_too_many(len(rejects), len(films) + drawn, within, target.failures, "films and boxes")
    train, heldout = parts.values()
    model = build_detector(recipe, labels)
    stage = DetectorStage(recipe, labels, train, heldout, key_of(recipe, parts, labels), target.work / "detector.pt")
    state = detector_loop(model, stage, accelerator.device, resume=resume, watch=watch, steps=steps)
    counts = {
        "films, train": len(train), "boxes, train": sum(map(len, train.boxes)), "films, validate": len(heldout),
        "boxes, validate": sum(map(len, heldout.boxes)), "labels": len(labels), "rejected": len(rejects),
    }  # fmt: skip
    seconds = time.monotonic() - began
    _publish(target, model, state.epochs)
    write_manifest(
        target.manifest, command=list(command), config=recipe.model_dump(mode="json"), inputs=inputs,
        leave_out=[target.out], counts=counts, wall_seconds=seconds, seed=recipe.seed, packages=_PACKAGES,
    )  # fmt: skip
    with writing(target.work):
        discard_work(target)
    return DetectorSummary(target.out, labels, counts, tuple(state.epochs), state.best_froc, tuple(notes), seconds)


def _untouched(target: OutputTarget, recipe: DetectorRecipe, inputs: Sequence[Path]) -> DetectorSummary:
    counts, epochs, seconds = read_complete(target, HISTORY, DetectorEpoch, recipe, inputs, MADE_FROM)
    try:
        labels = tuple(json.loads((target.out / "config.json").read_text(encoding="utf-8"))["label_names"])
        best = max(epoch.froc for epoch in epochs if epoch.froc is not None)
    except (OSError, ValueError, KeyError, TypeError):
        raise damaged_run(target.out) from None
    return DetectorSummary(target.out, labels, counts, epochs, best, (), seconds, untouched=True)


def _publish(target: OutputTarget, model: FilmDetector, epochs: Iterable[DetectorEpoch]) -> None:
    made = target.work / "model"
    with writing(target.out):
        model.save_pretrained(made)
        # the weights last: a folder without them is not taken for a model
        for file in sorted(made.iterdir(), key=lambda file: file.name == WEIGHTS):
            file.replace(target.out / file.name)
    with atomic_writer(target.out / HISTORY) as history:
        history.writelines(json.dumps(asdict(epoch)) + "\n" for epoch in epochs)
