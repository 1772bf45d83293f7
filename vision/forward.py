"""Films through the network without learning: logits in their order; smaller batches where memory is full."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.errors import RunError
from vision.batches import Store, read_ahead, to_greys
from vision.encoder import FilmEncoder

Say = Callable[[str], None]


def to_stderr(line: str) -> None:
    """Say a line to the person who runs it."""
    sys.stderr.write(f"{line}\n")


def film_logits(
    model: FilmEncoder, store: Store, rows: NDArray[np.int64], batch: int, *, half: bool = False, say: Say = to_stderr
) -> NDArray[np.float32]:
    """Logits [N, L] of the films in ``rows``, at most ``batch`` at once. ``half`` is bf16 where the network has it.

    Raises ``RunError`` (``vision.memory``) if the GPU does not hold the network and one film.
    """
    groups = [rows[at : at + batch] for at in range(0, len(rows), batch)]
    films = read_ahead(store, groups, model.device)
    return logits_of(model, films, half=half, say=say)


def logits_of(
    model: FilmEncoder, batches: Iterable[Tensor], *, half: bool = False, say: Say = to_stderr
) -> NDArray[np.float32]:
    """Logits [N, L] of films uint8 [B, S, S], batch after batch. Raises as ``film_logits``."""
    model.train(False)
    found: list[NDArray[np.float32]] = []
    most: int | None = None
    for films in batches:
        while True:
            parts = torch.split(films, min(most or len(films), len(films)))
            try:
                found.append(np.concatenate([_logits(model, part, half) for part in parts]))
                break
            except torch.OutOfMemoryError:
                most = _smaller(len(parts[0]), say)
    return np.concatenate(found) if found else np.zeros((0, len(model.config.label_names)), dtype=np.float32)


def _logits(model: FilmEncoder, films: Tensor, half: bool) -> NDArray[np.float32]:
    with torch.inference_mode(), torch.autocast(model.device.type, torch.bfloat16, enabled=half):
        logits: NDArray[np.float32] = model(to_greys(films)).logits.float().cpu().numpy()
    return logits


def _smaller(batch: int, say: Say) -> int:
    if batch == 1:
        raise RunError(
            "vision.memory", "the GPU's memory does not hold the network and one film", hint="take the CPU, or free it"
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    say(f"the GPU's memory is full: going on with batches of {batch // 2} films")
    return batch // 2
