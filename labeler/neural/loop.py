"""Epochs: a step per batch, the held-out part after each epoch, a checkpoint, an end when nothing gets better.

The order, masking and dropout of an epoch follow from the seed and its number alone, so a run that is resumed comes to
the weights of one that was left alone (on the same hardware).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from numpy.typing import NDArray
from torch import Tensor
from transformers import get_linear_schedule_with_warmup

from corpora.bars import Step
from corpora.complete import read_checkpoint
from corpora.errors import RunError
from corpora.runs import atomic_writer
from labeler.neural.batches import logits_of, padded
from labeler.neural.combine import combined, report_probabilities
from labeler.neural.measure import softmax, weighted_f1
from labeler.neural.model import BertCnnForLabels, mean_loss
from labeler.neural.recipe import StageRecipe

#: What a run of training is made from, as an error says it.
MADE_FROM: Final = "the recipe or the reports"
# batches of one length are cut from so many at a time, so that little is padded and the order stays by chance
_POOLED_BATCHES: Final = 50
_LARGEST_GRADIENT: Final = 1.0
_HELD_OUT_BATCH: Final = 64
_LEAST_PROBABILITY: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of sentences, the class numbers [N, L] of labels, and how far each is trusted [N, L].

    The labels are those of the sentences; where ``sizes`` [N] are given, those of reports of so many sentences each,
    one behind the other.
    """

    tokens: list[list[int]]
    classes: NDArray[np.int64]
    trust: NDArray[np.float32]
    sizes: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.classes)

    def groups(self) -> list[list[list[int]]]:
        """The sentences of each row of the labels."""
        ends = list(accumulate(self.sizes if self.sizes is not None else [1] * len(self.tokens)))
        return [self.tokens[begin:end] for begin, end in pairwise([0, *ends])]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Ids of the tokens that mean something: what pads, what masks, and how many special ones come first."""

    pad: int
    mask: int
    special: frozenset[int]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch came to: the mean loss of its steps and the weighted F1 of the held-out part after it."""

    stage: str
    epoch: int
    loss: float | None
    weighted_f1: float


@dataclass(slots=True)
class Course:
    """How far a stage has come; ``best`` holds the weights to keep: of the best epoch, or of the last."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = -1
    best_f1: float = -1.0
    best: dict[str, Tensor] = field(default_factory=dict)

    def take(self, epoch: Epoch, model: torch.nn.Module, keep: str) -> None:
        """Note an epoch, and its weights if it is the best so far, or the last is to be kept."""
        self.epochs.append(epoch)
        if keep == "last" or epoch.weighted_f1 > self.best_f1:
            self.best_epoch, self.best_f1 = epoch.epoch, epoch.weighted_f1
            self.best = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


@dataclass(frozen=True, slots=True)
class Stage:
    """One pass of training. ``key`` says of which run: a checkpoint of another one is not resumed.

    ``cell_weights`` are the weights [L, 4] of the classes in the loss. ``heldout`` are reports. ``from_start``: the
    weights it begins with count as epoch 0, and are kept if no epoch is better. Of the last ``in_turn`` rows each epoch
    reads a share of its own, as many as any other; all epochs read the other rows. It ends after epoch ``until``, if
    that is given, with the rate that it has there.
    """

    name: str
    recipe: StageRecipe
    train: Encoded
    heldout: Encoded
    cell_weights: NDArray[np.float32]
    tokens: Tokens
    word_dropout: float
    seed: int
    key: str
    no_finding: int | None
    from_start: bool = False
    in_turn: int = 0
    until: int | None = None

    def rows(self, number: int) -> NDArray[np.int64]:
        """The rows of the training part that epoch ``number``, from 1 on, reads."""
        each = self.in_turn // max(self.recipe.epochs, 1)
        begin = len(self.train) - each * (self.recipe.epochs - number + 1)
        kept = np.arange(len(self.train) - each * self.recipe.epochs)
        return np.concatenate([kept, np.arange(begin, begin + each)])


Watch = Callable[[Epoch], None]
StepWatch = Callable[[Step], None]


def fit(
    model: BertCnnForLabels, stage: Stage, accelerator: Accelerator, checkpoint: Path, *, resume: bool, watch: Watch,
    steps: StepWatch = lambda step: None,
) -> Course:  # fmt: skip
    """Train ``model`` in place; it ends with the weights of the epoch that ``stage.recipe.keep`` says.

    ``watch`` is called after each epoch, ``steps`` after each step.

    Raises ``RunError``: ``train.nan`` if the loss is no number, ``run.changed`` for a checkpoint of another run,
    ``run.damaged`` for one that cannot be read.
    """
    recipe = stage.recipe
    decayed = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    total = recipe.epochs * steps_per_epoch(stage, accelerator)
    schedule = get_linear_schedule_with_warmup(optimizer, round(recipe.warmup * total), total)  # type: ignore[no-untyped-call]
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    course = _resumed(checkpoint, stage, model, optimizer, schedule) if resume and checkpoint.is_file() else Course()
    if stage.from_start and not course.epochs:
        course.take(Epoch(stage.name, 0, None, _score(model, stage)), model, recipe.keep)
    last = recipe.epochs if stage.until is None else stage.until
    for number in range(len(course.epochs) + (not stage.from_start), last + 1):
        if recipe.keep == "best" and number - max(course.best_epoch, 0) > recipe.patience:
            break
        loss = _epoch(wrapped, stage, number, accelerator, optimizer, schedule, steps)
        course.take(Epoch(stage.name, number, loss, _score(model, stage)), model, recipe.keep)
        if accelerator.is_main_process:
            _save(checkpoint, stage, course, model, optimizer, schedule)
        watch(course.epochs[-1])
    model.load_state_dict(course.best)
    return course


def steps_per_epoch(stage: Stage, accelerator: Accelerator) -> int:
    """How often the weights change in an epoch: each time for the batches of all processes."""
    at_once: int = stage.recipe.batch_size * stage.recipe.accumulate * accelerator.num_processes
    return math.ceil(len(stage.rows(1)) / at_once)


def _epoch(
    model: torch.nn.Module, stage: Stage, number: int, accelerator: Accelerator, optimizer: Any, schedule: Any,
    steps: StepWatch,
) -> float:  # fmt: skip
    """One pass over the training part; the mean loss."""
    # a process of several draws its own dropout
    torch.manual_seed(stage.seed * 100_003 + number * 1009 + accelerator.process_index)
    recipe, each = stage.recipe, steps_per_epoch(stage, accelerator)
    groups = stage.train.groups()
    batches = list(_batches(groups, stage.rows(number), recipe.batch_size, stage.seed * 100_003 + number))
    cell_weights = torch.from_numpy(stage.cell_weights).to(accelerator.device)
    model.train()
    losses: list[float] = []
    texts = 0
    for step, group in enumerate(np.array_split(np.arange(len(batches)), min(each, len(batches))), 1):
        # as many steps for each process, or the last ones would wait for ever
        mine = group[accelerator.process_index :: accelerator.num_processes].tolist() or group[:1].tolist()
        value = 0.0
        for at in mine:
            loss = _loss(model, stage, groups, batches[at], cell_weights, accelerator) / len(mine)
            accelerator.backward(loss)
            value += float(loss.detach())
        if not math.isfinite(value):
            raise RunError(
                "train.nan", "the loss is no longer a number", where=f"{stage.name}, epoch {number}, step {step}",
                hint="lower the learning rate, or set precision to no",
            )  # fmt: skip
        losses.append(value)
        accelerator.clip_grad_norm_(model.parameters(), _LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        texts += sum(len(batches[at]) for at in group)
        steps(Step((number - 1) * each + step, recipe.epochs * each, value, texts))
    return sum(losses) / max(len(losses), 1)


def _loss(
    model: torch.nn.Module, stage: Stage, groups: Sequence[Sequence[Sequence[int]]], batch: NDArray[np.int64],
    cell_weights: Tensor, accelerator: Accelerator,
) -> Tensor:  # fmt: skip
    device = accelerator.device
    ids, mask = padded(list(chain.from_iterable(groups[at] for at in batch)), stage.tokens.pad, device)
    classes = torch.from_numpy(stage.train.classes[batch]).to(device)
    weights = _weights_of(classes, cell_weights) * torch.from_numpy(stage.train.trust[batch]).to(device)
    ids = _masked(ids, mask, stage)
    if stage.train.sizes is None:
        loss: Tensor = model(ids, mask, classes, weights).loss
        return loss
    owners = torch.repeat_interleave(torch.tensor([len(groups[at]) for at in batch], device=device))
    sentences = model(ids, mask).logits.float().softmax(dim=-1)
    logarithms = combined(sentences, owners, len(batch), stage.no_finding).clamp_min(_LEAST_PROBABILITY).log()
    return mean_loss(logarithms, classes, weights)


def _batches(
    groups: Sequence[Sequence[Sequence[int]]], rows: NDArray[np.int64], size: int, seed: int
) -> Iterator[NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    order = rows[draw.permutation(len(rows))]
    lengths = np.array([sum(map(len, sentences)) for sentences in groups])
    batches = []
    for at in range(0, len(order), size * _POOLED_BATCHES):
        pool = order[at : at + size * _POOLED_BATCHES]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[begin : begin + size] for begin in range(0, len(pool), size)]
    return (batches[at] for at in draw.permutation(len(batches)))


def _masked(ids: Tensor, mask: Tensor, stage: Stage) -> Tensor:
    if not stage.word_dropout:
        return ids
    drawn = torch.rand(ids.shape) < stage.word_dropout
    plain = ~torch.isin(ids, torch.tensor(sorted(stage.tokens.special), device=ids.device)) & mask.bool()
    return ids.masked_fill(drawn.to(ids.device) & plain, stage.tokens.mask)


def _weights_of(classes: Tensor, cell_weights: Tensor) -> Tensor:
    """The weight [B, L] of each cell: that of its class; any for a cell that does not count."""
    rows = torch.arange(len(cell_weights), device=classes.device)
    return cell_weights[rows, classes.clamp_min(0)]


def _score(model: BertCnnForLabels, stage: Stage) -> float:
    logits = logits_of(model, stage.heldout.tokens, stage.tokens.pad, _HELD_OUT_BATCH)
    sizes = stage.heldout.sizes or (1,) * len(stage.heldout)
    found = report_probabilities(softmax(logits), sizes, stage.no_finding)
    return weighted_f1(found.argmax(axis=-1), stage.heldout.classes)


# Checkpoints


def _save(path: Path, stage: Stage, course: Course, model: BertCnnForLabels, optimizer: Any, schedule: Any) -> None:
    state = {
        "key": stage.key, "model": model.state_dict(), "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(), "epochs": [asdict(epoch) for epoch in course.epochs],
        "best_epoch": course.best_epoch, "best_f1": course.best_f1, "best": course.best,
    }  # fmt: skip
    with atomic_writer(path, "wb") as file:
        torch.save(state, file)


def _resumed(path: Path, stage: Stage, model: BertCnnForLabels, optimizer: Any, schedule: Any) -> Course:
    state = read_checkpoint(path, stage.key, MADE_FROM)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(copy.deepcopy(state["schedule"]))
    epochs = [Epoch(**epoch) for epoch in state["epochs"]]
    return Course(epochs, state["best_epoch"], state["best_f1"], state["best"])
