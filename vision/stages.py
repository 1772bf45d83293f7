"""The stages of a run, one behind the other.

teacher     if labels are self-trained: a network trained without their uncertain cells says what these are
head_first  if asked for: the backbone stays, so that a head which begins with nothing does not spoil the features of a
            start (Kumar et al., ICLR 2022)
main        every label by its policy; by hierarchy, a label only where its parent is positive
head        by hierarchy: the backbone stays, the head learns from all cells (Pham et al. 2021)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from accelerate import Accelerator  # type: ignore[import-untyped]
from numpy.typing import NDArray

from corpora.runs import OutputTarget
from vision.build import build
from vision.calibrate import study_probabilities
from vision.checkpoint import Course
from vision.encoder import FilmEncoder
from vision.forward import film_logits
from vision.lessons import Lessons, parents_of
from vision.loop import Stage, StepWatch, Watch, fit
from vision.recipe import VisionRecipe
from vision.uncertainty import UNCERTAIN, codes_of


def all_stages(
    lessons: Lessons, recipe: VisionRecipe, accelerator: Accelerator, target: OutputTarget, *, resume: bool,
    watch: Watch, steps: StepWatch,
) -> tuple[FilmEncoder, list[Course]]:  # fmt: skip
    """The trained network, and the course of each stage. Raises as ``vision.loop.fit`` and ``vision.build.build``."""
    courses: list[Course] = []

    def run(model: FilmEncoder, stage: Stage) -> None:
        checkpoint = target.work / f"{stage.name}.pt"
        courses.append(fit(model, stage, accelerator, checkpoint, resume=resume, watch=watch, steps=steps))
        # the next stage prepares its own; this one would be kept alive with its gradients
        accelerator.free_memory()

    model, first = _new(lessons, recipe, accelerator), _stage(lessons, recipe, accelerator)
    if lessons.criterion.policies.self_trained:
        run(model, replace(first, name="teacher"))
        soft = soft_targets(model, lessons, recipe)
        model, first = _new(lessons, recipe, accelerator), replace(first, soft=soft, number=1)
    for stage in stages_from(first, recipe):
        run(model, stage)
    return model, courses


def _new(lessons: Lessons, recipe: VisionRecipe, accelerator: Accelerator) -> FilmEncoder:
    import torch

    from vision.diagnosis import DiagnosisRecipe, build_diagnosis

    parents = parents_of(lessons.labels, recipe)
    if isinstance(recipe, DiagnosisRecipe):
        model: FilmEncoder = build_diagnosis(recipe, lessons.labels, parents)
    else:
        model = build(recipe, lessons.labels, parents)
    form = torch.channels_last if recipe.training.channels_last else torch.contiguous_format
    moved: FilmEncoder = model.to(accelerator.device).to(memory_format=form)
    return moved


def _stage(lessons: Lessons, recipe: VisionRecipe, accelerator: Accelerator) -> Stage:
    criterion = replace(
        lessons.criterion, policies=lessons.criterion.policies.to(accelerator.device),
        positive=lessons.criterion.positive.to(accelerator.device),
    )  # fmt: skip
    return Stage(
        "main", 0, recipe.training, recipe.training.epochs, recipe.augment, criterion, lessons.train, lessons.store,
        codes_of(lessons.train.states), None, lessons.heldout, lessons.heldout_store, lessons.heldout_truth,
        recipe.pooling, recipe.seed, lessons.key,
    )  # fmt: skip


def stages_from(first: Stage, recipe: VisionRecipe) -> Iterator[Stage]:
    """The stage ``first``, and what comes before and after it by the recipe."""
    course = recipe.training
    if course.head_first:
        rate = course.head_rate or course.learning_rate
        alone = course.model_copy(update={"learning_rate": rate, "patience": course.head_first})
        yield replace(first, name="head_first", number=3, recipe=alone, epochs=course.head_first, head_only=True)
    yield first
    if recipe.hierarchy.conditional and recipe.hierarchy.head_epochs:
        criterion = replace(first.criterion, conditional=False)
        yield replace(
            first, name="head", number=2, epochs=recipe.hierarchy.head_epochs, criterion=criterion, head_only=True
        )


def soft_targets(model: FilmEncoder, lessons: Lessons, recipe: VisionRecipe) -> NDArray[np.float32]:
    """What a network makes of the uncertain cells of self-trained labels [S, L]; NaN in all others (U-SelfTrained)."""
    train = lessons.train
    half = recipe.training.precision == "bf16"
    logits = film_logits(model, lessons.store, np.arange(len(train)), recipe.training.batch_size, half=half)
    ones = [1.0] * logits.shape[1]
    found = study_probabilities(logits, train.study, len(train.study_ids), ones, recipe.pooling).astype(np.float32)
    open_cells = codes_of(train.states) == UNCERTAIN
    places = lessons.criterion.policies.self_trained
    others = [at for at in range(found.shape[1]) if at not in places]
    open_cells[:, others] = False
    return np.where(open_cells, found, np.nan).astype(np.float32)
