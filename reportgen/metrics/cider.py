"""CIDEr-D (Vedantam et al. 2015), which pycocoevalcap prints as CIDEr, and the plain CIDEr of the same paper.

N-grams of 1 to 4 words are weighed by their rarity among the references of the set, so a score belongs to its set: it
has no meaning for a set of one report (every weight is then zero), which is not scored. Resampling keeps the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from reportgen.metrics.ngrams import Counts, Ints, grams, words
from reportgen.types import Array, Pair, Scored

_ORDERS: Final = 4
_SIGMA: Final = 6.0
_ONE: Final = "a set of one report: no n-gram is rarer than another"


class Cider:
    """``cider.v1``: CIDEr (that is, CIDEr-D) and CIDEr-plain, without its clipping and length penalty."""

    name = "cider.v1"
    text = "tokens"

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """Scores of each report; an empty draft has none, and counts as 0 in the mean of the set."""
        if len(pairs) < 2:
            nothing = np.full(len(pairs), np.nan)
            reasons = dict.fromkeys(range(len(pairs)), _ONE)
            sums = np.zeros((len(pairs), 2))
            return [Scored(name, nothing, sums, "mean", reasons, _ONE) for name in ("CIDEr", "CIDEr-plain")]
        empty = {at: "empty draft" for at, pair in enumerate(pairs) if not pair.hypothesis.strip()}
        scored = []
        for name, values in zip(("CIDEr", "CIDEr-plain"), _cider(pairs), strict=True):
            sums = np.column_stack([values, np.ones(len(pairs))])
            values[list(empty)] = np.nan
            scored.append(Scored(name, values, sums, "mean", empty))
        return scored


def _cider(pairs: Sequence[Pair]) -> tuple[Array, Array]:
    n = len(pairs)
    each = np.array([len(pair.references) for pair in pairs])
    owner = np.repeat(np.arange(n), each)
    found = words([pair.hypothesis for pair in pairs] + [text for pair in pairs for text in pair.references])
    clipped, plain = np.zeros(len(owner)), np.zeros(len(owner))
    # the difference in length is one of bigrams, as in the original
    length = np.maximum(found.lengths - 1, 0).astype(np.float64)
    penalty = np.exp(-((length[:n][owner] - length[n:]) ** 2) / (2 * _SIGMA**2))
    for counted in grams(found, _ORDERS):
        low, high = _cosines(counted.part(0, n), counted.part(n, n + len(owner)), owner, n)
        clipped += low * penalty
        plain += high
    total = (np.bincount(owner, weights=one, minlength=n) * 10 / _ORDERS / each for one in (clipped, plain))
    return next(total), next(total)


def _cosines(drafts: Counts, references: Counts, owner: Ints, n: int) -> tuple[Array, Array]:
    """Per reference the cosine of its vector with its draft's, the draft's clipped at the reference's and not."""
    paired = owner[references.text] * references.distinct + references.gram
    # an n-gram counts once a pair, however many of its references have it
    known, frequency = _counted((paired if len(owner) == n else _counted(paired)[0]) % references.distinct)
    weight = np.log(n) - np.log(frequency)
    weight_of_reference = weight[np.searchsorted(known, references.gram)] if len(known) else np.empty(0)
    rows, size = references.text, len(owner)
    draft_norm = np.sqrt(np.bincount(drafts.text, (drafts.count * _weights(drafts.gram, known, weight, n)) ** 2, n))
    norm = np.sqrt(np.bincount(rows, (references.count * weight_of_reference) ** 2, size))
    there, at = drafts.places(paired)
    count, square = references.count[there], weight_of_reference[there] ** 2
    low = np.bincount(rows[there], np.minimum(drafts.count[at], count) * count * square, size)
    high = np.bincount(rows[there], drafts.count[at] * count * square, size)
    norms = draft_norm[owner] * norm
    usable = norms > 0
    norms[~usable] = 1
    return low * usable / norms, high * usable / norms


def _counted(values: Ints) -> tuple[Ints, Ints]:
    """The distinct values in order, and how often each occurs; by sorting, which numpy's own does by hashing."""
    values = np.sort(values)
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1])) if len(values) else np.empty(0, dtype=np.int64)
    return values[starts], np.diff(np.append(starts, len(values)))


def _weights(gram: Ints, known: Ints, weight: Array, n: int) -> Array:
    """The weight of each n-gram; one that no reference has is as rare as can be."""
    if not len(known):
        return np.full(len(gram), np.log(n))
    at = np.minimum(np.searchsorted(known, gram), len(known) - 1)
    return np.where(known[at] == gram, weight[at], np.log(n))
