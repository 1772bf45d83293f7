"""Token ids through the network: batches of texts about as long, smaller ones where a GPU's memory is full."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.errors import RunError
from labeler.neural.model import BertCnnForLabels
from labeler.neural.reading import CLASSES

Say = Callable[[str], None]


def padded(tokens: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and mask [B, T] of texts, filled up behind."""
    ids = torch.full((len(tokens), max(map(len, tokens))), pad)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = 1
    return ids.to(device), mask.to(device)


def to_stderr(line: str) -> None:
    """Say a line to the person who runs it."""
    sys.stderr.write(f"{line}\n")


def logits_of(
    model: BertCnnForLabels,
    tokens: Sequence[Sequence[int]],
    pad: int,
    batch: int,
    *,
    half: bool = False,
    say: Say = to_stderr,
) -> NDArray[np.float32]:
    """Logits [N, L, 4] of texts, in their order; at most ``batch`` at once, about as long as each other.

    ``half`` is bf16 where the network has it. Where a GPU's memory does not hold a batch, it goes on with half as many
    and says so. Raises ``RunError`` (``neural.memory``) if it holds not even one text.
    """
    order = sorted(range(len(tokens)), key=lambda at: len(tokens[at]))
    found = np.empty((len(tokens), len(model.config.label_names), len(CLASSES)), dtype=np.float32)
    model.train(False)
    begin = 0
    while begin < len(order):
        rows = order[begin : begin + batch]
        try:
            found[rows] = _logits(model, [tokens[at] for at in rows], pad, half)
        except torch.cuda.OutOfMemoryError:
            batch = _smaller(len(rows), say)
        else:
            begin += len(rows)
    return found


def _logits(model: BertCnnForLabels, tokens: Sequence[Sequence[int]], pad: int, half: bool) -> NDArray[np.float32]:
    ids, mask = padded(tokens, pad, model.device)
    with torch.inference_mode(), torch.autocast(model.device.type, torch.bfloat16, enabled=half):
        logits: NDArray[np.float32] = model(ids, mask).logits.float().cpu().numpy()
    return logits


def _smaller(batch: int, say: Say) -> int:
    if batch == 1:
        raise RunError(
            "neural.memory", "the GPU's memory does not hold the network and one text", hint="take the CPU, or free it"
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    say(f"the GPU's memory is full: going on with batches of {batch // 2} texts")
    return batch // 2
