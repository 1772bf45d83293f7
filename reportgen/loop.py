"""Epochs of a stage: steps of AdamW, a cosine, a checkpoint after each epoch, the best one kept.

Order and dropout follow from the seed and the number of the step alone, so a run that is resumed comes to the weights
of one that was left alone (on the same hardware). Only what is trained is kept in a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from numpy.typing import NDArray
from torch import Tensor, nn

from corpora.bars import Step
from corpora.complete import read_checkpoint
from corpora.errors import RunError
from corpora.runs import atomic_writer
from reportgen.recipes import CourseRecipe

_SEEDS_APART: Final = 1_000_003


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch came to: the mean loss, and what was measured after it; ``score`` chooses."""

    stage: str
    epoch: int
    loss: float
    score: float
    measured: Mapping[str, float]


@dataclass(slots=True)
class Course:
    """Epochs done, and the trained weights of the best of them."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -math.inf
    best: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: ``loss`` of rows, ``measure`` after an epoch (score, and what else), ``lengths`` [N] to batch by.

    ``start`` is the score before it, if that is known: where no epoch has a better one, the weights stay as they were.
    """

    name: str
    recipe: CourseRecipe
    model: nn.Module
    loss: Callable[[NDArray[np.int64]], Tensor]
    measure: Callable[[], tuple[float, Mapping[str, float]]]
    lengths: NDArray[np.int64]
    seed: int
    checkpoint: Path
    key: str
    start: float | None = None


def fit(stage: Stage, accelerator: Accelerator, *, resume: bool, watch: Callable[[Step], None]) -> Course:
    """Train a stage to its end and leave the best weights in the model.

    Raises ``RunError``: ``train.nan``, ``report.memory``, and of a checkpoint ``run.damaged``, ``run.changed``.
    """
    recipe = stage.recipe
    optimizer = accelerator.prepare(_optimizer(stage))
    course = _resumed(stage, optimizer) if resume and stage.checkpoint.is_file() else _begun(stage)
    each = max(1, math.ceil(len(stage.lengths) / (recipe.batch_size * recipe.accumulate * accelerator.num_processes)))
    total, learned = each * recipe.epochs, 0
    for number in range(len(course.epochs), recipe.epochs):
        losses = []
        for at, rows in enumerate(steps_of(stage.lengths, each, stage.seed, number)):
            step = number * each + at
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, total, recipe)
            losses.append(_step(stage, accelerator, optimizer, rows, step))
            learned += len(rows)
            watch(Step(step + 1, total, losses[-1], learned))
        score, measured = stage.measure()
        _take(course, Epoch(stage.name, number + 1, float(np.mean(losses)), score, dict(measured)), stage.model)
        if accelerator.is_main_process:
            _save(stage, course, optimizer)
    if course.best:
        stage.model.load_state_dict(course.best, strict=False)
    return course


def _begun(stage: Stage) -> Course:
    return Course() if stage.start is None else Course(best_score=stage.start, best=trained(stage.model))


def learning_rate(step: int, total: int, recipe: CourseRecipe) -> float:
    """The rate of a step: a line up, then a cosine to 0.

    >>> learning_rate(0, 100, CourseRecipe(learning_rate=1.0, warmup=0.1))
    0.1
    """
    rising = max(1, round(recipe.warmup * total))
    if step < rising:
        return recipe.learning_rate * (step + 1) / rising
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising + 1) / max(1, total - rising + 1)))


def steps_of(lengths: NDArray[np.int64], each: int, seed: int, number: int) -> list[NDArray[np.int64]]:
    """The rows of each of ``each`` steps of an epoch; texts about as long stand side by side."""
    draw = np.random.default_rng((seed, number))
    order = draw.permutation(len(lengths))
    pools = np.array_split(order, max(1, each // 50))
    rows = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    groups = np.array_split(rows, each)
    return [groups[at] for at in draw.permutation(each)]


def trained(model: nn.Module) -> dict[str, Tensor]:
    """The weights that learn, by name, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.named_parameters() if value.requires_grad}


def _optimizer(stage: Stage) -> torch.optim.Optimizer:
    learning = [value for value in stage.model.parameters() if value.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [value for value in learning if value.ndim > 1], "weight_decay": stage.recipe.weight_decay},
        {"params": [value for value in learning if value.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=stage.recipe.learning_rate)


def _step(stage: Stage, accelerator: Accelerator, optimizer: Any, rows: NDArray[np.int64], step: int) -> float:
    stage.model.train()
    torch.manual_seed((stage.seed * _SEEDS_APART + step) * 1009 + accelerator.process_index)
    mine = rows[accelerator.process_index :: accelerator.num_processes]
    mine = mine if len(mine) else rows[:1]
    parts = [part for part in np.array_split(mine, stage.recipe.accumulate) if len(part)]
    loss = 0.0
    for part in parts:
        try:
            with accelerator.autocast():
                value = stage.loss(part) / len(parts)
            accelerator.backward(value)
        except torch.OutOfMemoryError as error:
            raise RunError(
                "report.memory", f"the GPU's memory does not hold a batch of {len(part)} studies",
                where=f"{stage.name}, step {step + 1}",
                hint="halve batch_size and double accumulate of the stage, or --set gradient_checkpointing=true",
            ) from error  # fmt: skip
        loss += float(value.detach())
    if not math.isfinite(loss):
        raise RunError(
            "train.nan", "the loss is no longer a number", where=f"{stage.name}, step {step + 1}",
            hint="lower the learning rate, or set precision to no",
        )  # fmt: skip
    learning = [value for value in stage.model.parameters() if value.requires_grad]
    _share(learning, accelerator)
    accelerator.clip_grad_norm_(learning, stage.recipe.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss


def _share(learning: Sequence[nn.Parameter], accelerator: Accelerator) -> None:
    """The mean gradient of all processes: the model is not wrapped, so that it generates as it is."""
    if accelerator.num_processes == 1:
        return
    for value in learning:
        if value.grad is None:
            value.grad = torch.zeros_like(value)
        value.grad = accelerator.reduce(value.grad, reduction="mean")


def _take(course: Course, epoch: Epoch, model: nn.Module) -> None:
    course.epochs.append(epoch)
    if epoch.score > course.best_score or not course.best:
        course.best_epoch, course.best_score, course.best = epoch.epoch, epoch.score, trained(model)


def _save(stage: Stage, course: Course, optimizer: Any) -> None:
    state = {
        "key": stage.key, "trained": trained(stage.model), "optimizer": optimizer.state_dict(),
        "epochs": [asdict(epoch) for epoch in course.epochs], "best_epoch": course.best_epoch,
        "best_score": course.best_score, "best": course.best,
    }  # fmt: skip
    with atomic_writer(stage.checkpoint, "wb") as file:
        torch.save(state, file)


def _resumed(stage: Stage, optimizer: Any) -> Course:
    state = read_checkpoint(stage.checkpoint, stage.key, "the recipe, the corpus or the encoder")
    stage.model.load_state_dict(state["trained"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    epochs = [Epoch(**epoch) for epoch in state["epochs"]]
    return Course(epochs, state["best_epoch"], state["best_score"], state["best"])
