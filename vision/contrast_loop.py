"""The epochs of contrastive pretraining: order, views, mixing and dropout follow from the seed, the epoch and the step
alone, so a run that is resumed in the middle of an epoch comes, bit for bit on the same CPU, to that of one left alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.bars import Step
from corpora.errors import RunError
from corpora.runs import atomic_writer
from vision.augment import augmented
from vision.batches import Store, read_ahead, to_greys
from vision.checkpoint import read_checkpoint
from vision.contrast import Contrast, mix_of
from vision.contrast_recipe import PretrainCourse
from vision.reports import Reports

_LOOK_EVERY: Final = 16
_PRIME: Final = 1_000_003


@dataclass(frozen=True, slots=True)
class PretrainEpoch:
    """What an epoch came to: the mean loss, and the shares of films told from the queue (``told``) and whose report
    was the nearest of the batch (``matched``); None for an objective that the run has not."""

    epoch: int
    loss: float
    told: float | None
    matched: float | None


@dataclass(slots=True)
class PretrainState:
    """Epochs done, and of the epoch that is running the steps done and what they came to."""

    epochs: list[PretrainEpoch] = field(default_factory=list)
    step: int = 0
    rows: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PretrainStage:
    """What a run learns from. ``key`` says of which run: a checkpoint of another is not resumed."""

    store: Store
    reports: Reports | None
    seed: int
    key: str
    checkpoint: Path


Watch = Callable[[PretrainEpoch], None]
StepWatch = Callable[[Step], None]


def steps_of(films: int, batch: int) -> int:
    """Steps in an epoch: whole batches only, as a batch is what a report is told from."""
    return max(films // batch, 1)


def rate_at(step: int, total: int, recipe: PretrainCourse) -> float:
    """The learning rate of a step, counted from 0."""
    rising = round(recipe.warmup * total)
    if step < rising:
        return recipe.learning_rate * (step + 1) / rising
    if recipe.schedule == "steps":
        return recipe.learning_rate * math.prod(0.1 for drop in recipe.drops if step >= round(drop * total))
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - rising) / max(total - rising, 1))) / 2


def pretrain_loop(
    model: Contrast, stage: PretrainStage, device: torch.device, *, resume: bool, watch: Watch, steps: StepWatch
) -> list[PretrainEpoch]:
    """Train ``model`` in place.

    Raises ``RunError``: ``train.nan`` if the loss is no number, ``vision.memory`` if a batch does not fit,
    ``run.changed`` and ``run.damaged`` for a checkpoint that is not of this run.
    """
    model.to(device)
    if model.recipe.training.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(model, model.recipe.training)
    state = PretrainState()
    if resume and stage.checkpoint.is_file():
        state = _load(stage, model, optimizer)
    trainer = _Pretrainer(model, optimizer, stage, device, state, steps)
    while len(state.epochs) < model.recipe.training.epochs:
        trainer.epoch(len(state.epochs) + 1)
        watch(state.epochs[-1])
    return state.epochs


def _optimizer(model: Contrast, recipe: PretrainCourse) -> torch.optim.Optimizer:
    weights = list(model.learned())
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(weights, recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(weights, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)


@dataclass(slots=True)
class _Pretrainer:
    model: Contrast
    optimizer: torch.optim.Optimizer
    stage: PretrainStage
    device: torch.device
    state: PretrainState
    steps: StepWatch
    films: int = 0

    def epoch(self, number: int) -> None:
        """One pass over the films from where it stands, then a checkpoint."""
        recipe = self.model.recipe.training
        rows = len(self.stage.store)
        each = steps_of(rows, recipe.batch_size)
        order = np.random.default_rng([self.stage.seed, number]).permutation(rows)
        groups = np.array_split(order[: max(each * recipe.batch_size, 1)] if rows > recipe.batch_size else order, each)
        ready = read_ahead(self.stage.store, groups[self.state.step :], self.device)
        pending: list[Tensor] = []
        saved = time.monotonic()
        self.model.train()
        for step in range(self.state.step, each):
            at, total = (number - 1) * each + step, recipe.epochs * each
            pending.append(self._step(next(ready), groups[step], number, step, rate_at(at, total, recipe)))
            if len(pending) >= self._look_every or step + 1 == each:
                self._look(pending, number, step, each)
                if time.monotonic() - saved > 60 * recipe.checkpoint_minutes and step + 1 < each:
                    self.state.step = step + 1
                    self._save()
                    saved = time.monotonic()
        ready.close()  # type: ignore[attr-defined]
        self._finish(number)

    @property
    def _look_every(self) -> int:
        return 1 if self.device.type == "cpu" else _LOOK_EVERY

    def _step(self, films: Tensor, rows: NDArray[np.int64], number: int, step: int, rate: float) -> Tensor:
        for part in self.optimizer.param_groups:
            part["lr"] = rate
        seed = ((self.stage.seed * _PRIME + number) * _PRIME + step) % 2**63
        # dropout
        torch.manual_seed(seed)
        half = self.model.recipe.training.precision == "bf16"
        if self.model.by_momentum:
            self.model.move_key()
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                loss, measured = self._loss(to_greys(films), rows, torch.Generator().manual_seed(seed), seed)
            loss.backward()  # type: ignore[no-untyped-call]
        except torch.OutOfMemoryError as error:
            raise RunError(
                "vision.memory", f"the GPU's memory does not hold a batch of {len(rows)} films in two views",
                hint=f"--set training.batch_size={max(len(rows) // 2, 2)}",
            ) from error  # fmt: skip
        torch.nn.utils.clip_grad_norm_(list(self.model.learned()), self.model.recipe.training.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.films += len(rows)
        return measured

    def _loss(self, greys: Tensor, rows: NDArray[np.int64], draw: torch.Generator, seed: int) -> tuple[Tensor, Tensor]:
        """The loss, and [loss, told, matched] with NaN for an objective that is not there."""
        recipe = self.model.recipe
        first = self._view(greys, draw)
        told = matched = loss = torch.full((), math.nan, device=self.device)
        if self.model.by_momentum:
            share, partner = mix_of(len(greys), recipe.moco, draw)
            loss, told = self.model.film_loss(
                first, self._view(greys, draw), share.to(self.device), partner.to(self.device)
            )
        if self.model.by_text:
            assert self.stage.reports is not None
            texts = self.stage.reports.batch(rows, recipe.text.sentences, np.random.default_rng(seed))
            pieces, mask, same = (torch.from_numpy(each).to(self.device) for each in texts)
            of_text, matched = self.model.text_loss(first, pieces, mask, same)
            loss = loss + of_text if self.model.by_momentum else of_text
        return loss, torch.stack([loss.detach().float(), told.float(), matched.float()])

    def _view(self, greys: Tensor, draw: torch.Generator) -> Tensor:
        view = augmented(greys, self.model.recipe.augment, draw)
        last = self.model.recipe.training.channels_last
        return view.contiguous(memory_format=torch.channels_last) if last else view

    def _look(self, pending: list[Tensor], number: int, step: int, each: int) -> None:
        values: list[list[float]] = torch.stack(pending).tolist()
        pending.clear()
        if not all(math.isfinite(row[0]) for row in values):
            raise RunError(
                "train.nan", "the loss is no longer a number", where=f"epoch {number}, step {step + 1}",
                hint="lower training.learning_rate, or set training.precision to no",
            )  # fmt: skip
        self.state.rows += values
        total = self.model.recipe.training.epochs * each
        self.steps(Step((number - 1) * each + step + 1, total, values[-1][0], self.films))

    def _finish(self, number: int) -> None:
        loss, told, matched = np.array(self.state.rows).mean(axis=0).tolist()
        shares = [None if math.isnan(each) else each for each in (told, matched)]
        self.state.epochs.append(PretrainEpoch(number, loss, *shares))
        self.state.step, self.state.rows = 0, []
        self._save()

    def _save(self) -> None:
        kept = {
            "key": self.stage.key, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "epochs": [asdict(epoch) for epoch in self.state.epochs], "step": self.state.step, "rows": self.state.rows,
        }  # fmt: skip
        with atomic_writer(self.stage.checkpoint, "wb") as file:
            torch.save(kept, file)


def _load(stage: PretrainStage, model: Contrast, optimizer: Any) -> PretrainState:
    state = read_checkpoint(stage.checkpoint, stage.key, model, optimizer)
    return PretrainState([PretrainEpoch(**epoch) for epoch in state["epochs"]], state["step"], state["rows"])
