"""The epochs of the detector: order, augmentation and noise of a step follow from the seed, the epoch and the step
alone, so a run that is resumed in the middle of an epoch comes, bit for bit on the same CPU, to that of one left alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.bars import Step
from corpora.errors import RunError
from corpora.runs import atomic_writer
from corpora.statistics.froc import Detections
from vision.augment import augmented
from vision.batches import read_ahead, to_greys
from vision.checkpoint import read_checkpoint
from vision.detector import FilmDetector, boxes_found
from vision.detector_data import BoxedFilms, epoch_order, repeats, targets
from vision.detector_recipe import DetectorCourse, DetectorRecipe
from vision.froc import MEAN, Frame, froc_by_label

_PRIME = 1_000_003
#: How what was found is read: at most so many boxes of a film, and of two of a label that overlap so much, one.
MOST, NMS = 100, 0.5


@dataclass(frozen=True, slots=True)
class DetectorEpoch:
    """What an epoch came to: the mean loss of its steps, and FROC of the validation part, the mean over labels; None
    where it was not looked at."""

    epoch: int
    loss: float
    froc: float | None


@dataclass(slots=True)
class DetectorState:
    """Epochs done, the best with its weights, the moving average; steps done of the epoch that is running."""

    epochs: list[DetectorEpoch] = field(default_factory=list)
    best_epoch: int = 0
    best_froc: float = -1.0
    best: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0
    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DetectorStage:
    """What a run learns from. ``key`` says of which run: a checkpoint of another is not resumed."""

    recipe: DetectorRecipe
    labels: tuple[str, ...]
    train: BoxedFilms
    heldout: BoxedFilms
    key: str
    checkpoint: Path


Watch = Callable[[DetectorEpoch], None]
StepWatch = Callable[[Step], None]


def detector_loop(
    model: FilmDetector, stage: DetectorStage, device: torch.device, *, resume: bool, watch: Watch, steps: StepWatch
) -> DetectorState:
    """Train ``model`` in place; it ends with the weights of the best epoch.

    Raises ``RunError``: ``train.nan``, ``vision.memory``, ``run.changed``, ``run.damaged``.
    """
    torch.nn.Module.to(model, device)
    if stage.recipe.training.channels_last:
        torch.nn.Module.to(model, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = _optimizer(model, stage.recipe.training)
    state = DetectorState(average=_copy(model) if stage.recipe.training.ema else {})
    if resume and stage.checkpoint.is_file():
        state = _load(stage, model, optimizer, device)
    trainer = _Trainer(model, optimizer, stage, device, state, steps)
    course = stage.recipe.training
    while len(state.epochs) < course.epochs and (
        not state.best or len(state.epochs) - state.best_epoch < course.patience
    ):
        trainer.epoch(len(state.epochs) + 1)
        watch(state.epochs[-1])
    model.load_state_dict(state.best)
    return state


def _copy(model: FilmDetector) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _optimizer(model: FilmDetector, recipe: DetectorCourse) -> torch.optim.Optimizer:
    body = {id(weight) for weight in model.body.parameters()}
    groups: list[dict[str, Any]] = []
    for of_body in (False, True):
        for decayed in (False, True):
            weights = [
                weight
                for weight in model.parameters()
                if weight.requires_grad and (id(weight) in body) == of_body and (weight.ndim > 1) == decayed
            ]
            rate = recipe.backbone_rate if of_body else 1.0
            groups.append({"params": weights, "weight_decay": recipe.weight_decay if decayed else 0.0, "share": rate})
    # one pass over all weights: of small networks on a CPU the step is else a sixth of the time
    return torch.optim.AdamW(groups, recipe.learning_rate, fused=True)


def _rate(step: int, total: int, recipe: DetectorCourse) -> float:
    rising = round(recipe.warmup * total)
    if step < rising:
        return recipe.learning_rate * (step + 1) / rising
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - rising) / max(total - rising, 1))) / 2


@dataclass(slots=True)
class _Trainer:
    model: FilmDetector
    optimizer: torch.optim.Optimizer
    stage: DetectorStage
    device: torch.device
    state: DetectorState
    steps: StepWatch
    films: int = 0
    often: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.often = repeats(self.stage.train, len(self.stage.labels), self.stage.recipe.repeat)

    @property
    def each(self) -> int:
        """Steps in an epoch."""
        return max(math.ceil(round(float(self.often.sum())) / self.stage.recipe.training.batch_size), 1)

    def epoch(self, number: int) -> None:
        """One pass over the films from where it stands, then the validation part, then a checkpoint."""
        course, films = self.stage.recipe.training, self.stage.train
        order = epoch_order(self.often, np.random.default_rng([self.stage.recipe.seed, number]))
        each = self.each
        groups = np.array_split(order, each)
        ready = read_ahead(films.store, groups[self.state.step :], self.device)
        saved = time.monotonic()
        self.model.train()
        for step in range(self.state.step, each):
            at, total = (number - 1) * each + step, course.epochs * each
            loss = self._step(next(ready), groups[step], number, step, _rate(at, total, course))
            if not math.isfinite(loss):
                raise RunError(
                    "train.nan", "the loss is no longer a number", where=f"epoch {number}, step {step + 1}",
                    hint="lower training.learning_rate, or set training.precision to no",
                )  # fmt: skip
            self.state.losses.append(loss)
            self.steps(Step(at + 1, total, loss, self.films))
            if time.monotonic() - saved > 60 * course.checkpoint_minutes and step + 1 < each:
                self.state.step = step + 1
                self._save()
                saved = time.monotonic()
        ready.close()  # type: ignore[attr-defined]
        self._finish(number)

    def _step(self, films: Tensor, rows: NDArray[np.int64], number: int, step: int, rate: float) -> float:
        recipe = self.stage.recipe
        for part in self.optimizer.param_groups:
            part["lr"] = rate * part["share"]
        seed = ((recipe.seed * _PRIME + number) * _PRIME + step) % 2**63
        # the noise of denoising
        torch.manual_seed(seed)
        greys = augmented(to_greys(films), recipe.augment, torch.Generator().manual_seed(seed))
        if recipe.training.channels_last:
            greys = greys.contiguous(memory_format=torch.channels_last)
        wanted = targets(self.stage.train, rows, recipe.augment, seed)
        wanted = [{name: value.to(self.device) for name, value in each.items()} for each in wanted]
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.training.precision == "bf16"):
                loss = self.model(greys, labels=wanted).loss
            loss.backward()
        except torch.OutOfMemoryError as error:
            raise RunError(
                "vision.memory", f"the GPU's memory does not hold a batch of {len(rows)} films",
                hint=f"--set training.batch_size={max(len(rows) // 2, 1)}",
            ) from error  # fmt: skip
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.training.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._move_average()
        self.films += len(rows)
        return float(loss.detach())

    @torch.no_grad()
    def _move_average(self) -> None:
        for name, value in self.model.state_dict().items() if self.state.average else ():
            kept = self.state.average[name]
            if kept.dtype.is_floating_point and "running_" not in name:
                # sooner at first, when the average is still of weights drawn at random
                kept.lerp_(value, max(1 - self.stage.recipe.training.ema, 1 / (self._done + 2)))
            else:
                kept.copy_(value)

    @property
    def _done(self) -> int:
        return len(self.state.epochs) * self.each + len(self.state.losses)

    def _finish(self, number: int) -> None:
        course = self.stage.recipe.training
        looked = number % course.validate_every == 0 or number == course.epochs
        score = self._validated(number) if looked else None
        self.state.epochs.append(DetectorEpoch(number, float(np.mean(self.state.losses)), score))
        self.state.step, self.state.losses = 0, []
        self._save()

    def _validated(self, number: int) -> float:
        own = _copy(self.model) if self.state.average else {}
        if own:
            self.model.load_state_dict(self.state.average)
        score = froc_of(self.model, self.stage.heldout, self.stage.labels, self.stage.recipe.training.batch_size)
        if score > self.state.best_froc:
            self.state.best_epoch, self.state.best_froc = number, score
            self.state.best = {name: value.cpu() for name, value in _copy(self.model).items()}
        if own:
            self.model.load_state_dict(own)
        return score

    def _save(self) -> None:
        state = self.state
        kept = {
            "key": self.stage.key, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "epochs": [asdict(epoch) for epoch in state.epochs], "best_epoch": state.best_epoch,
            "best_froc": state.best_froc, "best": state.best, "average": state.average, "step": state.step,
            "losses": state.losses,
        }  # fmt: skip
        with atomic_writer(self.stage.checkpoint, "wb") as file:
            torch.save(kept, file)


def _load(stage: DetectorStage, model: FilmDetector, optimizer: Any, device: torch.device) -> DetectorState:
    kept = read_checkpoint(stage.checkpoint, stage.key, model, optimizer)
    return DetectorState(
        [DetectorEpoch(**epoch) for epoch in kept["epochs"]], kept["best_epoch"], kept["best_froc"], kept["best"],
        {name: value.to(device) for name, value in kept["average"].items()}, kept["step"], kept["losses"],
    )  # fmt: skip


def found_on(
    model: FilmDetector, films: BoxedFilms, batch: int, *, least: float = 0.0
) -> list[list[tuple[int, tuple[float, float, float, float], float]]]:
    """What the detector finds on each film: label, corners in pixels of the film, score."""
    model.train(False)
    groups = [np.arange(at, min(at + batch, len(films))) for at in range(0, len(films), batch)]
    device = next(model.parameters()).device
    found = []
    for rows, ready in zip(groups, read_ahead(films.store, groups, device), strict=True):
        with torch.inference_mode():
            out = model(to_greys(ready))
        logits, shares = out.logits.float().cpu().numpy(), out.pred_boxes.float().cpu().numpy()
        for at, row in enumerate(rows.tolist()):
            transform = films.transforms[row]
            found.append(boxes_found(logits[at], shares[at], transform, most=MOST, least=least, nms=NMS))
    return found


def froc_of(model: FilmDetector, films: BoxedFilms, labels: Sequence[str], batch: int) -> float:
    """FROC, the mean over labels that have a box there."""
    drawn: dict[str, dict[str, list[tuple[float, float, float, float]]]] = {}
    seen: dict[str, dict[str, Detections]] = {}
    for at, of in enumerate(found_on(model, films, batch)):
        name = films.image_ids[at]
        for box, label in zip(films.boxes[at].tolist(), films.labels[at].tolist(), strict=True):
            drawn.setdefault(name, {}).setdefault(labels[label], []).append(tuple(box))
        for label in {label for label, _, _ in of}:
            mine = [(box, score) for other, box, score in of if other == label]
            seen.setdefault(name, {})[labels[label]] = Detections(
                np.array([box for box, _ in mine]), np.array([score for _, score in mine])
            )
    frame = Frame(films.image_ids, films.patients)
    rows = froc_by_label(labels, drawn, seen, frame, replicates=0)
    return float(rows[MEAN].mean.value or 0.0) if MEAN in rows else 0.0
