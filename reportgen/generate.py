"""Tokens from films: greedy, beams or sampling; how sure the decoder was of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from reportgen.data import Desk
from reportgen.fast import Greedy
from reportgen.model import Drafter, Films
from reportgen.targets import END, FINDINGS, IMPRESSION, SPECIAL

_ROWS_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tokens are chosen. ``block`` is the length of word groups that may not come twice, 0 for none; ``only`` is a
    section to stop after."""

    max_tokens: int = 160
    beams: int = 1
    sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    block: int = 0
    only: str = ""
    compile: bool = False

    @property
    def greedy(self) -> bool:
        """Whether each token is the likeliest one, whatever stands before it."""
        return self.beams == 1 and not self.sample and not self.block


@dataclass(frozen=True, slots=True)
class Drafted:
    """New tokens of a study, its end token left out, and the log probability of each."""

    tokens: list[int]
    log_probabilities: list[float]

    @property
    def confidence(self) -> float | None:
        """The geometric mean of the tokens' probabilities; None for an empty draft."""
        return float(np.exp(np.mean(self.log_probabilities))) if self.log_probabilities else None


def generate(
    model: Drafter, desk: Desk, tokenizer: Any, rows: NDArray[np.int64], how: Decoding, *, seed: int = 0,
    sure: bool = True,
) -> list[Drafted]:  # fmt: skip
    """Drafts of studies; the same seed and rows give the same drafts. ``sure`` works out the probabilities."""
    model.train(False)
    batch = desk.batch(rows, targets=False)
    device = model.device
    films, ids, mask = batch.films.to(device), batch.ids.to(device), batch.mask.to(device)
    if how.greedy and device.type == "cuda":
        return _fast(model, films, ids, mask, tokenizer, how)
    torch.manual_seed(seed)
    with torch.inference_mode():
        new = model.generate(films, ids, mask, **_settings(tokenizer, how))
        ends = _ends(tokenizer, how)
        kept = [_until(row, ends) for row in new.tolist()]
        sureness = _log_probabilities(model, films, ids, mask, new) if sure else None
    if sureness is None:
        return [Drafted(tokens, []) for tokens in kept]
    return [Drafted(tokens, sureness[at, : len(tokens)].tolist()) for at, tokens in enumerate(kept)]


def _fast(model: Drafter, films: Films, ids: Tensor, mask: Tensor, tokenizer: Any, how: Decoding) -> list[Drafted]:
    """Greedy drafts by a recording that is kept with the model, for batches of its shape or smaller ones."""
    with torch.inference_mode():
        embeds, seen = model.joined(films, ids, mask)
        rows, before = seen.shape
        kept: Greedy | None = getattr(model, "greedy", None)
        if kept is None or kept.rows < rows or kept.before < before or kept.most != how.max_tokens:
            # the old one's memory first
            model.greedy = kept = None
            kept = model.greedy = Greedy(model.decoder, rows, before, how.max_tokens, compiled=how.compile)
        ends = _ends(tokenizer, how)
        new, sure = kept(embeds, seen, pad=tokenizer.pad_token_id, ends=ends, banned=_never(tokenizer))
    lengths = [len(_until(row, ends)) for row in new.tolist()]
    pairs = zip(new.tolist(), sure.tolist(), lengths, strict=True)
    return [Drafted(row[:length], some[:length]) for row, some, length in pairs]


def _never(tokenizer: Any) -> list[int]:
    """Tokens that belong in a prompt alone."""
    found: list[int] = tokenizer.convert_tokens_to_ids([t for t in SPECIAL if t not in (END, FINDINGS, IMPRESSION)])
    return found


def _ends(tokenizer: Any, how: Decoding) -> list[int]:
    other = {"findings": [IMPRESSION], "impression": [FINDINGS]}.get(how.only, [])
    return [int(each) for each in tokenizer.convert_tokens_to_ids([END, *other])]


def _settings(tokenizer: Any, how: Decoding) -> dict[str, Any]:
    ends = _ends(tokenizer, how)
    settings: dict[str, Any] = {
        "max_new_tokens": how.max_tokens, "num_beams": how.beams, "do_sample": how.sample,
        "pad_token_id": tokenizer.pad_token_id, "eos_token_id": ends, "no_repeat_ngram_size": how.block,
        "suppress_tokens": _never(tokenizer), "use_cache": True,
    }  # fmt: skip
    if how.sample:
        settings |= {"temperature": how.temperature, "top_p": how.top_p, "top_k": 0}
    return settings


def _until(tokens: list[int], ends: list[int]) -> list[int]:
    places = [at for at, token in enumerate(tokens) if token in ends]
    return tokens[: places[0]] if places else tokens


def _log_probabilities(model: Drafter, films: Any, ids: Tensor, mask: Tensor, new: Tensor) -> NDArray[np.float32]:
    """Log probabilities [B, T] of tokens [B, T] behind the prompts, without what was done to choose them."""
    found = []
    for at in range(0, len(new), _ROWS_AT_ONCE):
        here = slice(at, at + _ROWS_AT_ONCE)
        part = new[here]
        text = torch.cat([ids[here], part], dim=1)
        seen = torch.cat([mask[here], torch.ones_like(part)], dim=1)
        some = type(films)(*(value[here] for value in films))
        logits = model(some, text, seen, logits_to_keep=part.shape[1] + 1).logits[:, :-1]
        log = F.log_softmax(logits.float(), dim=-1).gather(2, part[..., None])[..., 0]
        found.append(log.cpu().numpy())
    return np.concatenate(found)
