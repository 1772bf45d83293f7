"""Epochs: steps over the films, the validation part after each epoch, checkpoints, an end when nothing gets better.

Order, augmentation, smoothed targets and dropout of a step follow from the seed, the stage, the epoch and the step
alone, so a run that is resumed in the middle of an epoch comes to the curve of one that was left alone, bit for bit on
the same CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from numpy.typing import NDArray
from torch import Tensor

from corpora.bars import Step
from corpora.errors import RunError
from vision.augment import augmented
from vision.batches import Store, read_ahead, to_greys
from vision.calibrate import study_probabilities
from vision.checkpoint import Course, Epoch, load_checkpoint, save_checkpoint
from vision.data import Films
from vision.encoder import FilmEncoder
from vision.forward import film_logits
from vision.losses import Criterion, Lesson
from vision.pooling import macro_auroc
from vision.recipe import AugmentRecipe, CourseRecipe

# asking a GPU for a number makes it wait, so the losses are looked at some steps at a time
_LOOK_EVERY: Final = 16
_PRIME: Final = 1_000_003


@dataclass(frozen=True, slots=True)
class Stage:
    """One pass of training.

    ``key`` says of which run: a checkpoint of another one is not resumed. ``codes`` [S, L] are the states of the
    training studies, ``soft`` [S, L] targets that replace them where they are numbers. ``truth`` [S', L] is what the
    validation part is measured by. ``head_only``: the backbone stays as it is.
    """

    name: str
    number: int
    recipe: CourseRecipe
    epochs: int
    augment: AugmentRecipe
    criterion: Criterion
    train: Films
    store: Store
    codes: NDArray[np.int64]
    soft: NDArray[np.float32] | None
    heldout: Films
    heldout_store: Store
    truth: NDArray[np.int8]
    pooling: str
    seed: int
    key: str
    head_only: bool = False


Watch = Callable[[Epoch], None]
StepWatch = Callable[[Step], None]


def fit(
    model: FilmEncoder, stage: Stage, accelerator: Accelerator, checkpoint: Path, *, resume: bool, watch: Watch,
    steps: StepWatch = lambda step: None,
) -> Course:  # fmt: skip
    """Train ``model`` in place; it ends with the weights of the best epoch, of their moving average if there is one.

    Raises ``RunError``: ``train.nan`` if the loss is no number, ``vision.memory`` if a batch does not fit the GPU (the
    message says which does), ``run.changed`` and ``run.damaged`` for a checkpoint that is not of this run.
    """
    model.backbone.requires_grad_(not stage.head_only)
    optimizer = _optimizer(model, stage.recipe)
    prepared, optimizer = accelerator.prepare(model, optimizer)
    wrapped: Any = torch.compile(prepared) if stage.recipe.compile else prepared
    course = Course(average=_begin_average(model, stage.recipe))
    if resume and checkpoint.is_file():
        course = load_checkpoint(checkpoint, stage.key, model, optimizer)
    trainer = _Trainer(model, wrapped, optimizer, stage, accelerator, checkpoint, course, steps)
    while len(course.epochs) < stage.epochs and not _stale(course, stage):
        trainer.epoch(len(course.epochs) + 1)
        watch(course.epochs[-1])
    model.load_state_dict(course.best)
    model.backbone.requires_grad_(True)
    return course


def _stale(course: Course, stage: Stage) -> bool:
    return len(course.epochs) - max(course.best_epoch, 0) >= stage.recipe.patience


def _optimizer(model: FilmEncoder, recipe: CourseRecipe) -> torch.optim.Optimizer:
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    decayed = [weight for weight in learned if weight.ndim > 1]
    others = [weight for weight in learned if weight.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay)
    # one kernel for all weights instead of several for each; on a CPU the plain loop, whose curves are compared by bit
    fused = True if all(weight.is_cuda for weight in learned) else None
    return torch.optim.AdamW(groups, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused)


def _begin_average(model: FilmEncoder, recipe: CourseRecipe) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()} if recipe.ema else {}


def learning_rate(step: int, total: int, recipe: CourseRecipe) -> float:
    """The rate of a step, counted from 0: a straight rise, then a cosine down to 0."""
    rising = round(recipe.warmup * total)
    if step < rising:
        return recipe.learning_rate * (step + 1) / rising
    done = (step - rising) / max(total - rising, 1)
    return recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2


def steps_per_epoch(films: int, recipe: CourseRecipe, processes: int) -> int:
    """How often the weights change in an epoch: each time for the batches of all processes."""
    return math.ceil(_batches(films, recipe.batch_size) / (recipe.accumulate * processes))


def _batches(films: int, size: int) -> int:
    # a film that is left alone joins the batch before: batch norm learns nothing from one, and fails on one pixel
    return max(math.ceil(films / size) - (films % size == 1), 1)


@dataclass(slots=True)
class _Trainer:
    model: FilmEncoder
    wrapped: torch.nn.Module
    optimizer: Any
    stage: Stage
    accelerator: Accelerator
    checkpoint: Path
    course: Course
    steps: StepWatch
    films: int = 0

    def epoch(self, number: int) -> None:
        """One pass over the films from where it stands, then the validation part, then a checkpoint."""
        stage = self.stage
        each = steps_per_epoch(len(stage.train), stage.recipe, self.accelerator.num_processes)
        groups = self._groups(number, each)
        flat = [batch for group in groups[self.course.step :] for _, batch in group]
        ready = read_ahead(stage.store, flat, self.accelerator.device)
        pending: list[Tensor] = []
        saved = time.monotonic()
        self._train_mode()
        for step in range(self.course.step, each):
            pending.append(self._step(groups[step], ready, number, (number - 1) * each + step, stage.epochs * each))
            if len(pending) >= self._look_every or step + 1 == each:
                self._look(pending, number, step, each)
                if time.monotonic() - saved > 60 * stage.recipe.checkpoint_minutes and step + 1 < each:
                    self.course.step = step + 1
                    self._save()
                    saved = time.monotonic()
        ready.close()  # type: ignore[attr-defined]
        self._finish(number)

    @property
    def _look_every(self) -> int:
        return 1 if self.accelerator.device.type == "cpu" else _LOOK_EVERY

    def _train_mode(self) -> None:
        self.model.train()
        if self.stage.head_only:
            # or the statistics of batch norm would drift
            self.model.backbone.eval()

    def _groups(self, number: int, each: int) -> list[list[tuple[int, NDArray[np.int64]]]]:
        """The batches of each step that are this process', with their numbers: as many for each process."""
        rows = len(self.stage.train)
        order = np.random.default_rng([self.stage.seed, self.stage.number, number]).permutation(rows)
        size = self.stage.recipe.batch_size
        count, processes = _batches(rows, size), self.accelerator.num_processes
        batches = [order[at * size : (at + 1) * size if at + 1 < count else rows] for at in range(count)]
        found = []
        for at in np.array_split(np.arange(count), each):
            # gradients are brought together batch by batch, so a process without one would be waited for for ever
            places = np.arange(math.ceil(len(at) / processes)) * processes + self.accelerator.process_index
            mine = at[places % len(at)].tolist()
            found.append([(place, batches[place]) for place in mine])
        return found

    def _step(
        self, group: list[tuple[int, NDArray[np.int64]]], ready: Iterator[Tensor], number: int, at: int, total: int
    ) -> Tensor:
        for part in self.optimizer.param_groups:
            part["lr"] = learning_rate(at, total, self.stage.recipe)
        value = torch.zeros((), device=self.accelerator.device)
        for place, rows in group:
            films = next(ready)
            try:
                loss = self._loss(films, rows, number, place, at / total) / len(group)
                self.accelerator.backward(loss)
            except torch.OutOfMemoryError as error:
                raise self._does_not_fit(films, rows, number, place, at / total) from error
            value += loss.detach()
            self.films += len(rows) * self.accelerator.num_processes
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.stage.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._move_average()
        return value

    def _loss(self, films: Tensor, rows: NDArray[np.int64], number: int, place: int, done: float) -> Tensor:
        stage, device = self.stage, self.accelerator.device
        seed = (((stage.seed * 31 + stage.number) * _PRIME + number) * _PRIME + place) % 2**63
        draw = torch.Generator().manual_seed(seed)
        # dropout
        torch.manual_seed(seed)
        greys = augmented(to_greys(films), stage.augment, draw)
        if stage.recipe.channels_last:
            greys = greys.contiguous(memory_format=torch.channels_last)
        study = stage.train.study[rows]
        codes = torch.from_numpy(stage.codes[study])
        soft = None if stage.soft is None else torch.from_numpy(stage.soft[study]).to(device)
        lesson = Lesson(codes.to(device), torch.rand(codes.shape, generator=draw).to(device), soft, done)
        return stage.criterion(self.wrapped(greys), lesson)

    def _move_average(self) -> None:
        decay = self.stage.recipe.ema
        if not decay:
            return
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                kept = self.course.average[name]
                if kept.dtype.is_floating_point and "running_" not in name:
                    kept.lerp_(value, 1 - decay)
                else:
                    kept.copy_(value)

    def _look(self, pending: list[Tensor], number: int, step: int, each: int) -> None:
        values = torch.stack(pending).tolist()
        pending.clear()
        if not all(map(math.isfinite, values)):
            where = f"{self.stage.name}, epoch {number}, step {step + 1}"
            raise RunError(
                "train.nan", "the loss is no longer a number", where=where,
                hint="lower training.learning_rate, or set training.precision to no",
            )  # fmt: skip
        self.course.losses += values
        self.steps(Step((number - 1) * each + step + 1, self.stage.epochs * each, values[-1], self.films))

    def _finish(self, number: int) -> None:
        own = self.model.state_dict()
        own = {name: value.detach().clone() for name, value in own.items()} if self.course.average else own
        if self.course.average:
            self.model.load_state_dict(self.course.average)
        score = self._score()
        loss = sum(self.course.losses) / len(self.course.losses)
        self.course.take(Epoch(self.stage.name, number, loss, score), self.model)
        if self.course.average:
            self.model.load_state_dict(own)
        self.accelerator.log({f"{self.stage.name}/loss": loss, f"{self.stage.name}/macro_auroc": score}, step=number)
        self._save()

    def _score(self) -> float:
        """Macro AUROC of the validation studies, of which each process sees some."""
        stage, accelerator = self.stage, self.accelerator
        count, processes = len(stage.heldout), accelerator.num_processes
        mine = np.arange(math.ceil(count / processes)) * processes + accelerator.process_index
        logits = film_logits(
            self.model, stage.heldout_store, mine % count, stage.recipe.batch_size,
            half=stage.recipe.precision == "bf16",
        )  # fmt: skip
        if processes > 1:
            shared = accelerator.gather(torch.from_numpy(logits).to(accelerator.device)).cpu().numpy()
            # process after process, each with every so-many-th film
            logits = shared.reshape(processes, -1, logits.shape[1]).swapaxes(0, 1).reshape(-1, logits.shape[1])[:count]
        ones = [1.0] * logits.shape[1]
        found = study_probabilities(logits, stage.heldout.study, len(stage.heldout.study_ids), ones, stage.pooling)
        return macro_auroc(found, stage.truth)

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            save_checkpoint(self.checkpoint, self.stage.key, self.course, self.model, self.optimizer)

    def _does_not_fit(self, films: Tensor, rows: NDArray[np.int64], number: int, place: int, done: float) -> RunError:
        """The error that says which batch fits, found by halving."""
        size = len(rows)
        while size > 1:
            size //= 2
            self.optimizer.zero_grad(set_to_none=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            try:
                self.accelerator.backward(self._loss(films[:size], rows[:size], number, place, done))
            except torch.OutOfMemoryError:
                continue
            times = math.ceil(len(rows) / size) * self.stage.recipe.accumulate
            return RunError(
                "vision.memory", f"the GPU's memory does not hold a batch of {len(rows)} films; one of {size} fits",
                hint=f"--set training.batch_size={size} --set training.accumulate={times}",
            )  # fmt: skip
        return RunError(
            "vision.memory", "the GPU's memory does not hold the network and one film", hint="a smaller --set size"
        )
