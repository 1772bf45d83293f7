"""How far a stage of training has come, and the file that keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from corpora.errors import RunError
from corpora.runs import atomic_writer


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
    """What a checkpoint holds; ``model`` and ``optimizer`` are set to it. Raises ``RunError``: ``run.damaged``, and
    ``run.changed`` if it is of a run with another ``key``."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises for a damaged file depends on where it is damaged
        hint = "run without --resume to start over"
        raise RunError("run.damaged", "the checkpoint cannot be read", where=str(path), hint=hint) from error
    if not isinstance(state, dict) or state.get("key") != key:
        raise changed_run(path)
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:  # weights to begin with that have become others since
        raise changed_run(path) from error
    kept: dict[str, Any] = state
    return kept


def changed_run(where: Path) -> RunError:
    """The error for a run that cannot go on, because it is another one."""
    return RunError(
        "run.changed", "the recipe, the films or the labels are others than those of the run to go on with",
        where=str(where), hint="run without --resume to start over",
    )  # fmt: skip
