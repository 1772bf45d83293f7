"""Stage 3: a drafter learns from the labels of its own drafts, not from words alone.

Each study is drafted several times; a labeler reads the drafts, and the reward of one is the F1 of its labels against
those of the study's report. A draft is made likelier as far as it is better than the others of its study, in units of
their spread (group-relative advantages: Shao et al. 2024; with two drafts they are a self-critical pair, Rennie et al.
2017). The loss of the report's own words stays beside it, so that drafts remain reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reportgen.data import Batch, Desk
from reportgen.generate import Decoding, Drafted, generate
from reportgen.model import Drafter
from reportgen.recipes import RewardRecipe
from reportgen.targets import sections_of

_IGNORED: Final = -100
_LEAST_SPREAD: Final = 1e-4
#: Labels [N, L] that texts have.
Reader = Callable[[Sequence[str]], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Rewarding:
    """The loss of stage 3: ``meant`` [N, L] are the labels of the desk's reports, ``read`` finds those of drafts."""

    model: Drafter
    tokenizer: Any
    desk: Desk
    meant: NDArray[np.bool_]
    read: Reader
    recipe: RewardRecipe
    max_tokens: int

    def loss(self, rows: NDArray[np.int64], words: Callable[[NDArray[np.int64]], Tensor]) -> Tensor:
        """The loss of a batch of studies; ``words`` is that of their reports."""
        again = np.repeat(rows, self.recipe.draws)
        how = Decoding(self.max_tokens, sample=True, temperature=self.recipe.temperature)
        seed = int(torch.randint(2**31, (1,)))
        drafts = generate(self.model, self.desk, self.tokenizer, again, how, seed=seed, sure=False)
        texts = [" ".join(sections_of(self.tokenizer.decode(each.tokens)).values()) for each in drafts]
        rewards = clinical_rewards(self.read(texts), self.meant[again])
        better = advantages(rewards.reshape(len(rows), self.recipe.draws)).reshape(-1)
        # as they were drawn: without dropout
        likely = self._likelihood(again, drafts)
        self.model.train()
        wanted = -(torch.from_numpy(better).to(likely) * likely).mean()
        return wanted + self.recipe.words * words(rows) if self.recipe.words else wanted

    def _likelihood(self, rows: NDArray[np.int64], drafts: Sequence[Drafted]) -> Tensor:
        """The mean log probability [B] of the tokens of drafts, the end included where it was drawn."""
        end = self.tokenizer.eos_token_id
        texts = [[*each.tokens, end][: self.max_tokens] for each in drafts]
        batch, device = _with(self.desk.batch(rows, targets=False), texts, self.desk.pad), self.model.device
        longest = max(map(len, texts))
        logits = self.model(
            batch.films.to(device), batch.ids.to(device), batch.mask.to(device), logits_to_keep=longest + 1
        ).logits
        scores = logits[:, :-1].float().log_softmax(dim=-1)
        learned = batch.labels[:, -longest:].to(device)
        log = scores.gather(2, learned.clamp_min(0)[..., None])[..., 0] * (learned != _IGNORED)
        mean: Tensor = log.sum(dim=1) / (learned != _IGNORED).sum(dim=1)
        return mean


def _with(batch: Batch, texts: Sequence[Sequence[int]], pad: int) -> Batch:
    """A batch of prompts with texts behind them, padded to the right."""
    longest = max(map(len, texts))
    here = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts])
    ids = torch.tensor([[*text, *[pad] * (longest - len(text))] for text in texts])
    labels = torch.cat([torch.full_like(batch.ids, _IGNORED), ids.masked_fill(here == 0, _IGNORED)], dim=1)
    mask = torch.cat([batch.mask, here.to(batch.mask.dtype)], dim=1)
    return Batch(batch.films, torch.cat([batch.ids, ids], dim=1), mask, labels)


def clinical_rewards(said: NDArray[np.bool_], meant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """F1 [N] of the labels of each draft [N, L] against those of its report; 1 where neither has any.

    >>> clinical_rewards(np.array([[True, False], [False, False]]), np.array([[True, True], [False, False]])).round(3)
    array([0.667, 1.   ])
    """
    either = said.sum(axis=1) + meant.sum(axis=1)
    hits = (said & meant).sum(axis=1)
    found: NDArray[np.float64] = np.where(either > 0, 2 * hits / np.maximum(either, 1), 1.0)
    return found


def advantages(rewards: NDArray[np.float64]) -> NDArray[np.float32]:
    """How much better each draft [N, K] is than the others of its study, over their spread; 0 where all are alike.

    >>> advantages(np.array([[1.0, 0.0], [0.5, 0.5]])).tolist()
    [[1.0, -1.0], [0.0, 0.0]]
    """
    spread = rewards.std(axis=1, keepdims=True)
    centred = rewards - rewards.mean(axis=1, keepdims=True)
    found = np.where(spread > _LEAST_SPREAD, centred / np.maximum(spread, _LEAST_SPREAD), 0.0)
    return found.astype(np.float32)
