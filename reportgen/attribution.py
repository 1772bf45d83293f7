"""Where in the films a sentence of a draft comes from: gradient times input of its tokens, by cell.

The log probability of a sentence's tokens is differentiated by the projected cells of the films; the product with the
cells, summed over the width, says how much each speaks for the sentence (Simonyan et al. 2014; Shrikumar et al. 2017).
What speaks against it is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from reportgen.model import Drafter, Films


def sentence_maps(
    model: Drafter, films: Films, prompt: Sequence[int], tokens: Sequence[int], spans: Sequence[tuple[int, int]]
) -> NDArray[np.float32]:
    """Maps [S, V, side, side] in 0..1 of the sentences ``spans`` (places among ``tokens``) of one draft."""
    device, side = model.device, model.config.side
    films = films.to(device)
    ids = torch.tensor([[*prompt, *tokens]], device=device)
    with torch.no_grad():
        embeds, mask = model.joined(films, ids, torch.ones_like(ids))
    embeds = embeds.detach().requires_grad_(True)
    found: Any = model.decoder(
        inputs_embeds=embeds, attention_mask=mask, position_ids=(mask.cumsum(dim=1) - 1).clamp_min(0), use_cache=False
    ).logits
    log = F.log_softmax(found[0, -len(tokens) - 1 : -1].float(), dim=-1)
    chosen = log.gather(1, ids[0, -len(tokens) :, None])[:, 0]
    places = embeds.shape[1] - ids.shape[1]
    maps = []
    for start, end in spans:
        (slope,) = torch.autograd.grad(chosen[start:end].sum(), embeds, retain_graph=True)
        weight = (slope * embeds)[0, :places].float().sum(dim=-1).detach().clamp_min(0)
        maps.append((weight / weight.max().clamp_min(1e-12)).reshape(-1, side, side).cpu().numpy())
    return np.stack(maps).astype(np.float32) if maps else np.zeros((0, 1, side, side), dtype=np.float32)


def spans_of(pieces: Sequence[str], sentences: Sequence[str]) -> list[tuple[int, int]]:
    """The places of the tokens that make up each sentence, in order; (0, 0) for one that is not found.

    >>> spans_of(["<|findings|>", "Clear", " lungs", ".", " No", " effusion", "."], ["Clear lungs.", "No effusion."])
    [(1, 4), (4, 7)]
    """
    starts, text = [], ""
    for piece in pieces:
        starts.append(len(text))
        text += piece
    found, at = [], 0
    for sentence in sentences:
        begin = text.find(sentence, at)
        if begin < 0:
            found.append((0, 0))
            continue
        at = begin + len(sentence)
        inside = [place for place, start in enumerate(starts) if start < at and start + len(pieces[place]) > begin]
        found.append((inside[0], inside[-1] + 1))
    return found
