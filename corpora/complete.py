"""Runs of training to go on with: one that is complete, what its manifest and history say; one that was interrupted,
what its checkpoint holds. Either is refused if it is another run, or damaged."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from corpora.config import config_sha256
from corpora.errors import RunError
from corpora.runs import OutputTarget, hash_input

Epoch = TypeVar("Epoch")
_HINT = "run without --resume to start over"


def read_complete(
    target: OutputTarget, history: str, epoch: Callable[..., Epoch], recipe: BaseModel, inputs: Iterable[Path | str],
    given: str,
) -> tuple[dict[str, int], tuple[Epoch, ...], float]:  # fmt: skip
    """Counts, epochs and seconds of a complete run; ``history`` is its file of epochs, one JSON object a line.

    Raises ``RunError``: ``run.changed`` if the run was of another recipe or other inputs, as ``changed_run`` says it,
    ``run.damaged`` if its manifest or history cannot be read.
    """
    try:
        made: dict[str, Any] = json.loads(target.manifest.read_text(encoding="utf-8"))
        lines = (target.out / history).read_text(encoding="utf-8").splitlines()
        epochs = tuple(epoch(**json.loads(line)) for line in lines)
        before = (made["config_sha256"], [one["sha256"] for one in made["inputs"]])
        counts, seconds = made["counts"], made["wall_seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        raise damaged_run(target.out) from None
    if before != (config_sha256(recipe), [hash_input(one, [target.out])["sha256"] for one in inputs]):
        raise changed_run(target.out, given)
    return counts, epochs, seconds


def read_checkpoint(path: Path, key: str, given: str) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU. Raises ``RunError``: ``run.damaged``, and ``run.changed`` if it is of a run
    with another ``key``, as ``changed_run`` says it."""
    import torch

    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        before = state["key"]
    except Exception as error:  # what torch raises for a damaged file depends on where it is damaged
        raise RunError("run.damaged", "the checkpoint cannot be read", where=str(path), hint=_HINT) from error
    if before != key:
        raise changed_run(path, given)
    return state


def changed_run(where: Path, given: str) -> RunError:
    """The error for a run that cannot go on, because it is another one; ``given`` is what it is made from: `the recipe
    or the reports`."""
    return RunError(
        "run.changed", f"{given} are others than those of the run to go on with", where=str(where), hint=_HINT
    )


def damaged_run(folder: Path) -> RunError:
    """The error for a complete run that does not say what it came to."""
    return RunError("run.damaged", "its manifest or history cannot be read", where=str(folder), hint=_HINT)
