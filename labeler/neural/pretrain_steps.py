"""The steps of pretraining: a loss of masked words, a step per batch, a checkpoint, the held-out part after an epoch.

Everything random is drawn from the seed and the number of the step or epoch, so a run that is resumed comes to the
weights of one that was left alone (on the same hardware).
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
from accelerate import Accelerator  # type: ignore[import-untyped]
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    get_linear_schedule_with_warmup,
)

from corpora.bars import Step
from corpora.complete import read_checkpoint
from corpora.errors import RunError
from corpora.runs import atomic_writer
from labeler.neural.loop import MADE_FROM
from labeler.neural.pretrain_recipe import PretrainRecipe
from labeler.neural.reading import IGNORED

_LARGEST_GRADIENT: Final = 1.0
_POOLED_BATCHES: Final = 50
# far apart, so that no two steps of two seeds draw the same
_SEEDS_APART: Final = 1_000_003

Watch = Callable[[Step], None]


@dataclass(frozen=True, slots=True)
class PretrainEpoch:
    """What an epoch came to: the mean loss of its steps, and the loss and share of right words of the held-out part."""

    epoch: int
    loss: float
    heldout_loss: float
    heldout_right: float


@dataclass(slots=True)
class Course:
    """How far a run has come; ``losses`` are those of the epoch under way."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    epochs: list[PretrainEpoch] = field(default_factory=list)


class _Filler(nn.Module):
    """The network as a loss: that of the masked places alone, the only ones whose words are worked out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The sum of the losses, how many are right, and how many there are."""
        asked = labels != IGNORED
        if isinstance(self.model, BertForMaskedLM):
            states = self.model.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            logits = self.model.cls(states[asked])
        else:
            logits = self.model(input_ids=input_ids, attention_mask=attention_mask).logits[asked]
        wanted = labels[asked]
        loss = F.cross_entropy(logits.float(), wanted, reduction="sum")
        return loss, (logits.argmax(dim=-1) == wanted).sum(), asked.sum()


class Pretraining:
    """Steps and epochs of one run. Everything random is drawn from the seed and the number of the step or epoch."""

    def __init__(
        self, recipe: PretrainRecipe, tokenizer: PreTrainedTokenizerFast, model: Any, accelerator: Accelerator,
        checkpoint: Path, key: str,
    ) -> None:  # fmt: skip
        self.recipe, self.model, self.accelerator = recipe, model, accelerator
        self.checkpoint, self.key = checkpoint, key
        self.collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=recipe.masked)
        self.filler = _Filler(model)

    def fit(self, learned: list[list[int]], heldout: list[list[int]], *, resume: bool, watch: Watch) -> Course:
        """Train to the end of the last epoch, from a checkpoint if there is one to resume."""
        recipe, accelerator = self.recipe, self.accelerator
        each = math.ceil(len(learned) / (recipe.batch_size * recipe.accumulate * accelerator.num_processes))
        total = each * recipe.epochs
        optimizer = self._optimizer()
        schedule = get_linear_schedule_with_warmup(optimizer, round(recipe.warmup * total), total)  # type: ignore[no-untyped-call]
        wrapped, optimizer = accelerator.prepare(self.filler, optimizer)
        course = self._resumed(optimizer, schedule) if resume and self.checkpoint.is_file() else Course()
        begun, saved, texts, before = time.monotonic(), time.monotonic(), 0, course.seconds
        while course.step < total:
            number, at = divmod(course.step, each)
            groups = self._groups(learned, number, each)
            for group in groups[at:]:
                loss = self._step(wrapped, [learned[row] for row in group], course.step, optimizer)
                schedule.step()
                course.step += 1
                course.losses.append(loss)
                texts += len(group)
                watch(Step(course.step, total, loss, texts))
                course.seconds = before + time.monotonic() - begun
                if time.monotonic() - saved >= recipe.checkpoint_seconds and course.step < (number + 1) * each:
                    self._save(course, optimizer, schedule)
                    saved = time.monotonic()
            course.epochs.append(self._measured(course, number + 1, heldout))
            course.losses = []
            self._save(course, optimizer, schedule)
            saved = time.monotonic()
        if recipe.tracker:
            accelerator.end_training()
        return course

    def _optimizer(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        decayed = [weight for weight in self.filler.parameters() if weight.ndim > 1]
        others = [weight for weight in self.filler.parameters() if weight.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)

    def _groups(self, learned: list[list[int]], number: int, each: int) -> list[NDArray[np.int64]]:
        """The rows of each step of an epoch: of all processes; texts about as long stand side by side."""
        draw = np.random.default_rng((self.recipe.seed, number))
        order = draw.permutation(len(learned))
        lengths = np.array([len(ids) for ids in learned])
        size = self.recipe.batch_size * _POOLED_BATCHES
        pools = [order[at : at + size] for at in range(0, len(order), size)]
        row = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        groups = np.array_split(row, each)
        return [groups[at] for at in draw.permutation(each)]

    def _step(self, wrapped: nn.Module, tokens: list[list[int]], step: int, optimizer: Any) -> float:
        recipe, accelerator = self.recipe, self.accelerator
        wrapped.train()
        torch.manual_seed((recipe.seed * _SEEDS_APART + step) * 1009 + accelerator.process_index)
        mine = tokens[accelerator.process_index :: accelerator.num_processes] or tokens[:1]
        parts = [mine[at :: recipe.accumulate] for at in range(min(recipe.accumulate, len(mine)))]
        loss = 0.0
        for part in parts:
            batch = self.collate([{"input_ids": ids} for ids in part]).to(accelerator.device)
            summed, _, asked = wrapped(batch["input_ids"], batch["attention_mask"], batch["labels"])
            mean = summed / asked.clamp_min(1) / len(parts)
            loss += float(mean.detach())
            accelerator.backward(mean)
        if not math.isfinite(loss):
            raise RunError(
                "train.nan", "the loss is no longer a number", where=f"pretraining, step {step + 1}",
                hint="lower the learning rate, or set precision to no",
            )  # fmt: skip
        accelerator.clip_grad_norm_(wrapped.parameters(), _LARGEST_GRADIENT)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def _measured(self, course: Course, number: int, heldout: list[list[int]]) -> PretrainEpoch:
        """The held-out part, with the same masks after every epoch."""
        torch.manual_seed(self.recipe.seed)
        self.filler.train(False)
        loss = right = asked = 0.0
        size = self.recipe.batch_size
        with torch.inference_mode(), self.accelerator.autocast():
            for at in range(0, len(heldout), size):
                batch = self.collate([{"input_ids": ids} for ids in heldout[at : at + size]])
                batch = batch.to(self.accelerator.device)
                found = self.filler(batch["input_ids"], batch["attention_mask"], batch["labels"])
                loss, right, asked = (
                    total + float(new) for total, new in zip((loss, right, asked), found, strict=True)
                )
        mean = sum(course.losses) / max(len(course.losses), 1)
        epoch = PretrainEpoch(number, mean, loss / max(asked, 1), right / max(asked, 1))
        if self.recipe.tracker:
            self.accelerator.log({name: value for name, value in asdict(epoch).items() if name != "epoch"}, step=number)
        return epoch

    def _save(self, course: Course, optimizer: Any, schedule: Any) -> None:
        if not self.accelerator.is_main_process:
            return
        state = {
            "key": self.key, "model": self.model.state_dict(), "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(), "course": asdict(course),
        }  # fmt: skip
        with atomic_writer(self.checkpoint, "wb") as file:
            torch.save(state, file)

    def _resumed(self, optimizer: Any, schedule: Any) -> Course:
        state = read_checkpoint(self.checkpoint, self.key, MADE_FROM)
        self.model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        course = state["course"]
        epochs = [PretrainEpoch(**epoch) for epoch in course["epochs"]]
        return Course(course["step"], course["seconds"], course["losses"], epochs)
