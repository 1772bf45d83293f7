"""ROUGE-L with beta 1.2 (Lin 2004), as pycocoevalcap 1.2 computes it, averaged over reports.

Words are what single blanks separate. Of several references the best precision and the best recall count, each for
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from rapidfuzz.distance import LCSseq

from reportgen.types import Pair, Scored

_BETA: Final = 1.2
# from here on in Unicode there is room for a letter a word, with no surrogates in between
_FIRST: Final = 0x10000
_MOST: Final = 0x110000 - _FIRST


class RougeL:
    """``rouge-l.v1``: ROUGE_L."""

    name = "rouge-l.v1"
    text = "tokens"

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """Scores of each report; an empty draft has none, and counts as 0 in the mean of the set."""
        letters: dict[str, str] = {}
        values = np.array([_rouge_l(pair, letters) for pair in pairs], dtype=np.float64)
        empty = {at: "empty draft" for at, pair in enumerate(pairs) if not pair.hypothesis.strip()}
        sums = np.column_stack([values, np.ones(len(pairs))]) if pairs else np.zeros((0, 2))
        values[list(empty)] = np.nan
        return [Scored("ROUGE_L", values, sums, "mean", empty)]


def _rouge_l(pair: Pair, letters: dict[str, str]) -> float:
    draft = pair.hypothesis.split(" ")
    precision = recall = 0.0
    for reference in pair.references:
        words = reference.split(" ")
        common = _common(draft, words, letters)
        precision, recall = max(precision, common / len(draft)), max(recall, common / len(words))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _common(some: Sequence[str], others: Sequence[str], letters: dict[str, str]) -> int:
    """Length of the longest common subsequence of words."""
    if len(letters) + len(some) + len(others) > _MOST:
        letters.clear()
    if len(some) + len(others) > _MOST:
        return int(LCSseq.similarity(some, others))
    return int(LCSseq.similarity(_spelled(some, letters), _spelled(others, letters)))


def _spelled(words: Iterable[str], letters: dict[str, str]) -> str:
    """Words as one letter each, which the C++ comparison reads fastest."""
    return "".join([letters.get(word) or letters.setdefault(word, chr(_FIRST + len(letters))) for word in words])
