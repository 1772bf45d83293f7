"""A run of training that is complete already: what its manifest and its history say."""

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


def read_complete(
    target: OutputTarget, history: str, epoch: Callable[..., Epoch], recipe: BaseModel, inputs: Iterable[Path | str],
    changed: Callable[[Path], RunError],
) -> tuple[dict[str, int], tuple[Epoch, ...], float]:  # fmt: skip
    """Counts, epochs and seconds of a complete run; ``history`` is its file of epochs, one JSON object a line.

    Raises ``changed(folder)`` if the run was of another recipe or other inputs, and ``RunError`` (``run.damaged``) if
    its manifest or history cannot be read.
    """
    try:
        made: dict[str, Any] = json.loads(target.manifest.read_text(encoding="utf-8"))
        lines = (target.out / history).read_text(encoding="utf-8").splitlines()
        epochs = tuple(epoch(**json.loads(line)) for line in lines)
        before = (made["config_sha256"], [given["sha256"] for given in made["inputs"]])
        counts, seconds = made["counts"], made["wall_seconds"]
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(
            "run.damaged", "its manifest or history cannot be read", where=str(target.out),
            hint="run without --resume to start over",
        ) from None  # fmt: skip
    if before != (config_sha256(recipe), [hash_input(given, [target.out])["sha256"] for given in inputs]):
        raise changed(target.out)
    return counts, epochs, seconds
