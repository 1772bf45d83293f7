"""Pretrain an encoder on films without labels, among themselves or with their reports; the result starts ``train``.

RUN/config.json, model.safetensors    the backbone, as transformers has it: ``radloop vision train --init RUN``
RUN/history.jsonl                     loss of every epoch, and how many films were told right
RUN/projection.safetensors            the layers behind the backbone, the queue, the text network
RUN/vocabulary.json                   word pieces of the reports, if they were used
RUN/failures.jsonl                    films that could not be read, or have no report, if any
RUN/manifest.json                     last of all

Only films of the part ``train`` of the split are seen; of a corpus without one, all.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from corpora.accelerating import accelerator_of, begin_together, quiet
from corpora.allowance import allowance
from corpora.complete import read_complete
from corpora.config import config_sha256
from corpora.errors import ConfigError, DataError, RunError
from corpora.images.cache import Film, ImageCache
from corpora.runs import OutputTarget, atomic_writer, discard_work, output_target, write_manifest, writing
from corpora.store import read_studies
from corpora.types import Provenance, Reject
from vision.batches import Store
from vision.build import build
from vision.checkpoint import MADE_FROM
from vision.contrast import Contrast
from vision.contrast_loop import PretrainEpoch, PretrainStage, StepWatch, Watch, pretrain_loop, steps_of
from vision.contrast_recipe import PretrainVisionRecipe
from vision.data import TRAIN, films_of, open_cache, refuse_leak, rejects_of
from vision.recipe import VisionRecipe
from vision.rejects import refuse_too_many, write_rejects
from vision.reports import Reports, reports_of, text_of

WEIGHTS: Final = "model.safetensors"
HISTORY: Final = "history.jsonl"
_PACKAGES: Final = ("torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy", "pydicom", "pillow")


@dataclass(frozen=True, slots=True)
class PretrainSummary:
    """How a run ended. ``untouched``: it was complete already, and nothing was done."""

    folder: Path
    counts: dict[str, int]
    epochs: tuple[PretrainEpoch, ...]
    notes: tuple[str, ...]
    seconds: float
    untouched: bool = False


def pretrain(
    corpus: Path, out: Path, recipe: PretrainVisionRecipe, *, split: Path | None = None, cache: Path | None = None,
    resume: bool = False, max_failures: str = "1%", command: Iterable[str] = (), watch: Watch = lambda epoch: None,
    steps: StepWatch = lambda step: None, caching: Callable[[int, int], None] = lambda done, total: None,
) -> PretrainSummary:  # fmt: skip
    """Pretrain the backbone of ``recipe`` into the folder ``out``; the arguments are those of ``vision.train.train``.

    Raises ``DataError`` (``vision.no_films``, ``vision.no_report``, ``data.*``), ``ConfigError`` (``config.*``,
    ``model.*``, ``vision.queue``) and ``RunError`` (``train.nan``, ``vision.memory``, ``vision.rejects``, ``run.*``).
    """
    began = time.monotonic()
    target = output_target(out, WEIGHTS)
    if not target.is_folder:
        raise RunError("run.is_file", f"{out} names a table, and a model is a folder", hint="name a run folder")
    inputs = [path for path in (corpus / "manifest.json", split or corpus / "split.csv") if path.exists()]
    if resume and target.complete and target.table.is_file():
        return _untouched(target, recipe, inputs)
    within = allowance(max_failures)
    accelerator = accelerator_of(recipe.training.precision, recipe.tracker, "vision pretrain", target.out)
    if accelerator.num_processes > 1:
        raise ConfigError("config.value", "pretraining runs in one process: a queue is one", where="accelerate")
    films, texts, notes = _films(corpus, split, recipe)
    unsaid = _without_report(films, texts, recipe)
    # all that can be refused is, before what an earlier run left is touched
    _refuse_small(films, recipe, corpus)
    quiet()
    _contrast(recipe, recipe.text.vocabulary)
    begin_together(accelerator, target, resume=resume)
    cached = open_cache(films, cache or target.work / "films", recipe.size, command=command, watch=caching)
    rejects = rejects_of(films, cached) + unsaid
    write_rejects(target.failures, rejects)
    refuse_too_many(len(rejects), len(films), within, target.failures)
    lost = {reject.study_id for reject in rejects if reject.code == "vision.no_report"}
    kept = [film for film in films if film.image_id in cached and film.study_id not in lost]
    _refuse_small(kept, recipe, corpus)
    store, reports = Store(cached, [film.image_id for film in kept]), _reports(kept, texts, recipe, target)
    model = build_contrast(recipe, reports)
    stage = PretrainStage(store, reports, recipe.seed, _key(recipe, kept, cached, texts), target.work / "pretrain.pt")

    def told(epoch: PretrainEpoch) -> None:
        accelerator.log({name: value for name, value in asdict(epoch).items() if value is not None}, step=epoch.epoch)
        watch(epoch)

    epochs = pretrain_loop(model, stage, accelerator.device, resume=resume, watch=told, steps=steps)
    counts = {
        "films": len(kept), "studies": len({film.study_id for film in kept}), "rejected": len(rejects),
        "steps": recipe.training.epochs * steps_of(len(kept), recipe.training.batch_size),
    }  # fmt: skip
    seconds = time.monotonic() - began
    _publish(target, model, epochs)
    write_manifest(
        target.manifest, command=list(command), config=recipe.model_dump(mode="json"), inputs=inputs,
        leave_out=[target.out], counts=counts, wall_seconds=seconds, seed=recipe.seed, packages=_PACKAGES,
    )  # fmt: skip
    with writing(target.work):
        discard_work(target)
    accelerator.end_training()
    return PretrainSummary(target.out, counts, tuple(epochs), tuple(notes), seconds)


def build_contrast(recipe: PretrainVisionRecipe, reports: Reports | None) -> Contrast:
    """The networks of a recipe, with the backbone's weights that it begins with. Raises as ``vision.build.build``."""
    return _contrast(recipe, reports.pieces if reports else 0)


def _contrast(recipe: PretrainVisionRecipe, pieces: int) -> Contrast:
    shape = VisionRecipe(size=recipe.size, views=recipe.views, backbone=recipe.backbone, seed=recipe.seed)
    encoder = build(shape, ("none",), [-1])
    try:
        return Contrast(encoder, recipe, pieces)
    except ValueError as error:
        message = str(error).partition("\n")[0][:200]
        raise ConfigError("config.value", message, where="text.width, text.heads") from error


def _films(
    corpus: Path, split: Path | None, recipe: PretrainVisionRecipe
) -> tuple[list[Film], dict[str, str], list[str]]:
    from corpora.splits.files import read_split

    notes: list[str] = []
    parts: dict[str, str] | None = None
    if split is not None or (corpus / "split.csv").is_file():
        parts = read_split(split or corpus)
    else:
        notes.append("the corpus has no split: all films are learned from, so keep none of them to test on")
    films: list[Film] = []
    texts: dict[str, str] = {}
    of_patient: dict[str, set[str]] = defaultdict(set)
    for study in read_studies(corpus):
        if parts is not None and study.study_id in parts and study.patient_id:
            of_patient[study.patient_id].add(parts[study.study_id])
        if parts is not None and parts.get(study.study_id) != TRAIN:
            continue
        films += films_of(corpus, study, recipe.views)
        if recipe.objective != "moco":
            texts[study.study_id] = text_of(study, recipe.text.sections)
    refuse_leak(of_patient, corpus)
    if not films:
        raise DataError(
            "vision.no_films", f"there is no film of the part {TRAIN} to learn from", where=str(corpus),
            hint="--split FILE, and the recipe's views",
        )  # fmt: skip
    return films, texts, notes


def _without_report(films: Sequence[Film], texts: dict[str, str], recipe: PretrainVisionRecipe) -> list[Reject]:
    if recipe.objective == "moco":
        return []
    lacking = [film for film in films if not any(letter.isalnum() for letter in texts.get(film.study_id or "", ""))]
    if len(lacking) == len(films):
        raise DataError(
            "vision.no_report", "no study has a report, and the objective learns from them",
            where="objective", hint="--set objective=moco learns from films alone",
        )  # fmt: skip
    message = "the study has no report to learn from"
    return [Reject("vision.no_report", message, Provenance(film.path), film.study_id) for film in lacking]


def _refuse_small(films: Sequence[Film], recipe: PretrainVisionRecipe, corpus: Path) -> None:
    if len(films) < 2:
        raise DataError("vision.no_films", "one film has none to be told from", where=str(corpus))
    if recipe.objective == "image_text":
        return
    # twice the films: a queue that holds a film of the last epoch tells a film from itself
    if recipe.moco.queue > len(films):
        raise ConfigError(
            "vision.queue", f"a queue of {recipe.moco.queue:,} keys holds films twice: there are {len(films):,}",
            where="moco.queue", hint=f"--set moco.queue={max(len(films) // 2, 2)}",
        )  # fmt: skip


def _reports(
    films: Sequence[Film], texts: dict[str, str], recipe: PretrainVisionRecipe, target: OutputTarget
) -> Reports | None:
    if recipe.objective == "moco":
        return None
    return reports_of([film.study_id or "" for film in films], texts, recipe.text, target.work / "vocabulary.json")


def _key(recipe: PretrainVisionRecipe, films: Sequence[Film], cache: ImageCache, texts: dict[str, str]) -> str:
    digest = blake2b(config_sha256(recipe).encode(), digest_size=16)
    kept = {film.image_id: film.study_id or "" for film in films}
    for row in cache.rows:
        if row["image_id"] in kept:
            said = texts.get(kept[row["image_id"]], "")
            digest.update(f"{row['image_id']}\0{row['sha256']}\0{said}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _untouched(target: OutputTarget, recipe: PretrainVisionRecipe, inputs: Sequence[Path]) -> PretrainSummary:
    counts, epochs, seconds = read_complete(target, HISTORY, PretrainEpoch, recipe, inputs, MADE_FROM)
    return PretrainSummary(target.out, counts, epochs, (), seconds, untouched=True)


def _publish(target: OutputTarget, model: Contrast, epochs: Iterable[PretrainEpoch]) -> None:
    from safetensors.torch import save_file

    made = target.work / "model"
    rest: dict[str, Any] = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in model.state_dict().items()
        if ".encoder." not in name
    }
    with writing(target.out):
        model.query.encoder.backbone.save_pretrained(made)
        save_file(rest, made / "projection.safetensors")
        vocabulary = target.work / "vocabulary.json"
        if vocabulary.is_file():
            vocabulary.replace(target.out / vocabulary.name)
        # the weights last: a folder without them is not taken for a model
        for file in sorted(made.iterdir(), key=lambda file: file.name == WEIGHTS):
            file.replace(target.out / file.name)
    with atomic_writer(target.out / HISTORY) as history:
        history.writelines(json.dumps(asdict(epoch)) + "\n" for epoch in epochs)
