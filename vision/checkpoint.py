"""How far a stage of training has come, and the file that keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from corpora import complete
from corpora.runs import atomic_writer

#: What a run of training is made from, as an error says it.
MADE_FROM: Final = "the recipe, the films or the labels"


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch came to: the mean loss of its steps, and the macro AUROC of the validation part after it."""

    stage: str
    epoch: int
    loss: float
    macro_auroc: float


@dataclass(slots=True)
class Course:
    """Epochs done, the best of them with its weights, the moving average; steps done of the epoch that is running."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = -1
    best_score: float = -1.0
    best: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0
    losses: list[float] = field(default_factory=list)

    def take(self, epoch: Epoch, model: torch.nn.Module) -> None:
        """Note an epoch, and the weights of ``model`` if it is the best so far."""
        self.epochs.append(epoch)
        self.step, self.losses = 0, []
        if epoch.macro_auroc > self.best_score:
            self.best_epoch, self.best_score = epoch.epoch, epoch.macro_auroc
            self.best = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def save_checkpoint(path: Path, key: str, course: Course, model: torch.nn.Module, optimizer: Any) -> None:
    """Write where a stage stands, atomically."""
    state = {
        "key": key, "model": model.state_dict(), "optimizer": optimizer.state_dict(),
        "epochs": [asdict(epoch) for epoch in course.epochs], "best_epoch": course.best_epoch,
        "best_score": course.best_score, "best": course.best, "average": course.average, "step": course.step,
        "losses": course.losses,
    }  # fmt: skip
    with atomic_writer(path, "wb") as file:
        torch.save(state, file)


def load_checkpoint(path: Path, key: str, model: torch.nn.Module, optimizer: Any) -> Course:
    """Where a stage stood; ``model`` and ``optimizer`` are set to it. Raises as ``read_checkpoint``."""
    state = read_checkpoint(path, key, model, optimizer)
    device = next(model.parameters()).device
    return Course(
        [Epoch(**epoch) for epoch in state["epochs"]], state["best_epoch"], state["best_score"], state["best"],
        {name: value.to(device) for name, value in state["average"].items()}, state["step"], state["losses"],
    )  # fmt: skip


def read_checkpoint(path: Path, key: str, model: torch.nn.Module, optimizer: Any) -> dict[str, Any]:
    """What a checkpoint holds; ``model`` and ``optimizer`` are set to it. Raises ``RunError`` as that of
    ``corpora.complete``, and ``run.changed`` if its weights are of another network."""
    state = complete.read_checkpoint(path, key, MADE_FROM)
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:  # weights to begin with that have become others since
        raise complete.changed_run(path, MADE_FROM) from error
    return state
