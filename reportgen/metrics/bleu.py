"""BLEU-1 to BLEU-4 of a corpus, with the closest reference length (Papineni et al. 2002).

As pycocoevalcap 1.2 computes it, to 1e-12: words are what white space separates, nothing is smoothed, and a precision
of nothing is tiny (1e-15) instead of zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from reportgen.metrics.finish import finish
from reportgen.metrics.ngrams import Counts, Ints, grams, words
from reportgen.types import Array, Pair, Scored

_ORDERS: Final = 4


class Bleu:
    """``bleu.v1``: BLEU_1 to BLEU_4."""

    name = "bleu.v1"
    text = "tokens"

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """Scores of each report and, of sums, of the set."""
        sums = counts(pairs)
        names = [(f"BLEU_{order}", f"bleu.{order}") for order in range(1, _ORDERS + 1)]
        empty = dict.fromkeys(np.flatnonzero(sums[:, 8] == 0).tolist(), "empty draft")
        return [_scored(name, kept, sums, empty) for name, kept in names]


def _scored(name: str, kept: str, sums: Array, empty: dict[int, str]) -> Scored:
    values = np.asarray(finish(kept)(sums), dtype=np.float64)
    # an empty draft has no n-gram to be right or wrong; its length still counts against the set
    values[list(empty)] = np.nan
    return Scored(name, values, sums, kept, empty)


def counts(pairs: Sequence[Pair]) -> Array:
    """Sums for ``bleu.N`` (n, 10): hits and guesses of 1 to 4 words, the draft's length, the closest reference's."""
    n = len(pairs)
    owner = np.repeat(np.arange(n), [len(pair.references) for pair in pairs])
    found = words([pair.hypothesis for pair in pairs] + [text for pair in pairs for text in pair.references])
    sums = np.zeros((n, 2 * _ORDERS + 2))
    length = found.lengths[:n]
    for order, counted in enumerate(grams(found, _ORDERS)):
        drafts, references = counted.part(0, n), counted.part(n, n + len(owner))
        most = most_of_any(references, owner) if len(owner) > n else references
        there, at = most.places(drafts.keys)
        hits = np.minimum(drafts.count[there], most.count[at])
        sums[:, order] = np.bincount(drafts.text[there], weights=hits, minlength=n)[:n]
        sums[:, _ORDERS + order] = np.maximum(length - order, 0)
    sums[:, 8], sums[:, 9] = length, _closest(length, found.lengths[n:], owner)
    return sums


def most_of_any(references: Counts, owner: Ints) -> Counts:
    """Of the references of a pair, the most that any has of an n-gram; texts are numbered as the pairs."""
    keys = owner[references.text] * references.distinct + references.gram
    order = np.argsort(keys, kind="stable")
    keys, count = keys[order], references.count[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.empty(0, dtype=np.int64)
    most = np.maximum.reduceat(count, starts) if len(starts) else count
    return Counts(keys[starts], most, references.distinct)


def _closest(length: Ints, references: Ints, owner: Ints) -> Ints:
    """The reference length closest to the draft's; of two that are as close, the shorter."""
    order = np.lexsort((references, np.abs(references - length[owner]), owner))
    first = np.searchsorted(owner[order], np.arange(len(length)))
    return references[order][first]
