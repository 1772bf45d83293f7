"""N-grams of many texts at once, as numbers.

Words become whole numbers, and so does every n-gram: made of the number of its first n-1 words and that of its last.
What a text holds is a sorted list of keys (text, n-gram), and counting and comparing are sorting and looking up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_LARGEST: Final = 1 << 62
_TEXTS_AT_ONCE: Final = 8192


@dataclass(frozen=True, slots=True)
class Words:
    """The words of texts one after another: ``codes`` (w,), the text of each ``text`` (w,), ``lengths`` (t,)."""

    codes: Ints
    text: Ints
    lengths: Ints
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each n-gram occurs in each text: ``keys`` (text * distinct + n-gram), sorted, each once."""

    keys: Ints
    count: Ints
    distinct: int

    @property
    def text(self) -> Ints:
        """The text of each row."""
        return self.keys // self.distinct

    @property
    def gram(self) -> Ints:
        """The n-gram of each row."""
        return self.keys % self.distinct

    def part(self, start: int, end: int) -> Counts:
        """The rows of the texts ``start`` to ``end``, which are numbered from 0."""
        first, last = np.searchsorted(self.keys, [start * self.distinct, end * self.distinct])
        return Counts(self.keys[first:last] - start * self.distinct, self.count[first:last], self.distinct)

    def places(self, keys: Ints) -> tuple[NDArray[np.bool_], Ints]:
        """Which of ``keys`` are there, and the rows of those that are."""
        if not len(self.keys):
            return np.zeros(len(keys), dtype=bool), np.empty(0, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        there = self.keys[at] == keys
        return there, at[there]


def words(texts: Sequence[str]) -> Words:
    """The words of texts, split at white space."""
    known: dict[str, int] = {}
    codes, lengths = [], []
    # the words of a block are let go of before the next: as strings they need far more memory than as numbers
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        split = [text.split() for text in texts[start : start + _TEXTS_AT_ONCE]]
        for word in dict.fromkeys(chain.from_iterable(split)):
            known.setdefault(word, len(known))
        lengths.append(np.fromiter(map(len, split), dtype=np.int64, count=len(split)))
        total = int(lengths[-1].sum())
        codes.append(np.fromiter(map(known.__getitem__, chain.from_iterable(split)), dtype=np.int64, count=total))
    nothing = np.empty(0, dtype=np.int64)
    length = np.concatenate([nothing, *lengths])
    return Words(np.concatenate([nothing, *codes]), np.repeat(np.arange(len(length)), length), length, len(known))


def grams(found: Words, most: int) -> Iterator[Counts]:
    """The counts of n-grams of 1 to ``most`` words, one order after another."""
    texts, size = max(len(found.lengths), 1), max(found.vocabulary, 1)
    codes, distinct = found.codes, size
    for n in range(1, most + 1):
        if n > 1:
            codes, distinct = _longer(codes, found.codes[n - 1 :], distinct, size)
        if distinct * texts >= _LARGEST:
            codes, distinct = _ranked(codes)
        # one that begins in a text and ends in the next is none
        whole = found.text[: len(codes)] == found.text[n - 1 :]
        yield _count(found.text[: len(codes)][whole] * distinct + codes[whole], distinct)


def _longer(codes: Ints, last: Ints, distinct: int, size: int) -> tuple[Ints, int]:
    if distinct * size >= _LARGEST:
        codes, distinct = _ranked(codes)
    return codes[: len(last)] * size + last, distinct * size


def _ranked(codes: Ints) -> tuple[Ints, int]:
    known, ranks = np.unique(codes, return_inverse=True)
    return ranks.astype(np.int64), max(len(known), 1)


def _count(keys: Ints, distinct: int) -> Counts:
    # in place: the keys are this function's own, and there are millions of them
    keys.sort()
    first = np.ones(len(keys), dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    starts = np.flatnonzero(first)
    return Counts(keys[starts], np.diff(np.append(starts, len(keys))), distinct)
