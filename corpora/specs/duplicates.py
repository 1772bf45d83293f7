"""Images that look alike, found by their perceptual hashes without comparing every pair.

Hashes that differ in at most ``d`` bits agree in at least one of ``d + 1`` bands of bits (multi-index hashing, Norouzi,
Punjani and Fleet 2012): only images that share a band are compared. Equal hashes are one entry from the start, so
that a thousand copies of a film cost no more than two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from corpora.specs.facts import StudyFacts
from corpora.types import ImageRef

_Bits = NDArray[np.uint8]
_Indices = NDArray[np.int64]

_AT_ONCE: Final = 1 << 21
# numpy counts bits itself only from version 2 on
_ONES: Final = np.array([value.bit_count() for value in range(256)], dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Film:
    """One image of one study, with its hash."""

    study: StudyFacts
    image: ImageRef


@dataclass(frozen=True, slots=True)
class Alike:
    """Images whose hashes are the same (``distance`` 0, any number of them), or two hashes that nearly are.

    A perceptual hash of 64 bits is no proof: among tens of thousands of chest films some of different patients agree.
    ``compared`` says that the films themselves were, too.
    """

    films: tuple[Film, ...]
    distance: int
    compared: bool = False

    @property
    def patients(self) -> int:
        """How many patients the images are filed under."""
        return len({film.study.patient for film in self.films})

    @property
    def studies(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(film.study.study_id for film in self.films))


def hashed_films(studies: Iterable[StudyFacts]) -> dict[str, list[Film]]:
    """The images that have a perceptual hash, by hash (lower case hexadecimal)."""
    found: dict[str, list[Film]] = defaultdict(list)
    for study in studies:
        for image in study.images:
            if image.phash:
                found[image.phash.lower()].append(Film(study, image))
    return dict(found)


def identical(films: dict[str, list[Film]]) -> list[Alike]:
    """Groups of two or more images with one hash."""
    return [Alike(tuple(group), 0) for group in films.values() if len(group) > 1]


def near(films: dict[str, list[Film]], distance: int) -> Iterator[Alike]:
    """Pairs of different hashes at most ``distance`` bits apart, with all the images that have them.

    Hashes of different lengths are not compared; one that is not hexadecimal is left out.
    """
    by_length: dict[int, list[str]] = defaultdict(list)
    for text in sorted(films):
        by_length[len(text)].append(text)
    for texts in by_length.values():
        usable, bits = _unpack(texts)
        for first, second, apart in near_pairs(bits, distance):
            yield Alike((*films[usable[first]], *films[usable[second]]), apart)


def _unpack(texts: Sequence[str]) -> tuple[list[str], _Bits]:
    usable = [text for text in texts if len(text) % 2 == 0 and _is_hex(text)]
    data = np.frombuffer(bytes.fromhex("".join(usable)), dtype=np.uint8)
    return usable, data.reshape(len(usable), -1) if usable else data.reshape(0, 1)


def _is_hex(text: str) -> bool:
    return not set(text) - set("0123456789abcdef")


def near_pairs(hashes: _Bits, distance: int) -> Iterator[tuple[int, int, int]]:
    """Every pair of rows of ``hashes`` (n, bytes) at most ``distance`` bits apart, once: first < second, bits apart.

    >>> list(near_pairs(np.array([[0b1111], [0b1110], [0b0000]], dtype=np.uint8), 1))
    [(0, 1, 1)]
    """
    count, width = hashes.shape
    bits = np.unpackbits(hashes, axis=1)
    bands = np.array_split(np.arange(width * 8), min(distance + 1, width * 8))
    keys = [_band_key(bits, band) for band in bands]
    for number, key in enumerate(keys):
        for first, second in _candidates(key, count):
            # a pair that shares an earlier band was found there
            fresh = np.ones(len(first), dtype=bool)
            for earlier in keys[:number]:
                fresh &= earlier[first] != earlier[second]
            first, second = first[fresh], second[fresh]
            apart = _ONES[hashes[first] ^ hashes[second]].sum(axis=1, dtype=np.int64)
            close = apart <= distance
            yield from zip(first[close].tolist(), second[close].tolist(), apart[close].tolist(), strict=True)


def _band_key(bits: _Bits, band: _Indices) -> NDArray[np.int64]:
    _, key = np.unique(np.packbits(bits[:, band], axis=1), axis=0, return_inverse=True)
    flat: NDArray[np.int64] = key.reshape(-1)
    return flat


def _candidates(key: NDArray[np.int64], count: int) -> Iterator[tuple[_Indices, _Indices]]:
    """Pairs of rows with one key, in pieces of bounded size."""
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    # each row is paired with those of its bucket before it
    before = np.arange(count) - starts
    begin = 0
    while begin < count:
        end = begin + max(1, int(np.searchsorted(np.cumsum(before[begin:]), _AT_ONCE, side="right")))
        sizes = before[begin:end]
        later = np.repeat(np.arange(begin, end), sizes)
        offsets = np.arange(len(later)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        earlier = starts[later] + offsets
        first, second = order[earlier], order[later]
        yield np.minimum(first, second), np.maximum(first, second)
        begin = end
