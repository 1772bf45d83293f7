"""From what a network says of sentences to what it says of the report they make.

A label of a report is positive if it is in any sentence, else uncertain if it is in any, else negative if it is in any,
else blank: as the rules add up what they read. Sentences are taken to be independent, so that with probabilities
``p`` of a sentence those of the report are products over its sentences:

    blank      prod p(blank)
    positive   1 - prod (1 - p(positive))
    uncertain  prod (1 - p(positive)) - prod (1 - p(positive) - p(uncertain))
    negative   what remains

This is noisy-or multiple-instance learning (Maron and Lozano-Perez, NeurIPS 1997) for ordered classes. No Finding is of
another kind: no label of a sentence but of all of them. There ``positive`` of a sentence is that it says something and
nothing abnormal, ``negative`` that it says something abnormal; the report's is positive if any sentence is, and none is
negative; else blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.labels import BLANK, NEGATIVE, POSITIVE, UNCERTAIN
from labeler.neural.reading import CLASS_OF, CLASSES

_LEAST: Final = 1e-6
_CLASSES: Final = len(CLASSES)


def combined(probabilities: Tensor, owners: Tensor, reports: int, no_finding: int | None) -> Tensor:
    """Probabilities [N, L, 4] of ``reports`` reports from those of their sentences [S, L, 4].

    ``owners`` [S] says which report a sentence is of; one without sentences is blank. ``no_finding`` is the place of
    that label, if there is one. Can be differentiated.
    """
    blank, positive, negative, uncertain = (
        probabilities[:, :, CLASS_OF[state]] for state in (BLANK, POSITIVE, NEGATIVE, UNCERTAIN)
    )
    no_positive = _products(1 - positive, owners, reports)
    neither = _products(1 - positive - uncertain, owners, reports)
    none = _products(blank, owners, reports)
    parts = [none, 1 - no_positive, neither - none, no_positive - neither]
    order = [CLASS_OF[state] for state in (BLANK, POSITIVE, NEGATIVE, UNCERTAIN)]
    found = torch.stack([parts[order.index(number)] for number in range(_CLASSES)], dim=-1)
    if no_finding is None:
        return found
    at = slice(no_finding, no_finding + 1)
    normal = _products(1 - negative[:, at], owners, reports) - _products(blank[:, at], owners, reports)
    alone = torch.zeros_like(found[:, at])
    alone[:, :, CLASS_OF[POSITIVE]] = normal
    alone[:, :, CLASS_OF[BLANK]] = 1 - normal
    return torch.cat([found[:, :no_finding], alone, found[:, no_finding + 1 :]], dim=1)


def _products(factors: Tensor, owners: Tensor, reports: int) -> Tensor:
    """Products [N, L] of the factors [S, L] of each report's sentences."""
    sums = torch.zeros(reports, factors.shape[1], dtype=factors.dtype, device=factors.device)
    return sums.index_add(0, owners, factors.clamp_min(_LEAST).log()).exp()


def report_probabilities(
    probabilities: NDArray[np.float64], sizes: Sequence[int], no_finding: int | None
) -> NDArray[np.float64]:
    """``combined`` for arrays: sentences one report behind the other, ``sizes`` [N] sentences each."""
    owners = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))
    found: NDArray[np.float64] = combined(
        torch.from_numpy(probabilities), owners, len(sizes), no_finding
    ).numpy()  # fmt: skip
    return found
