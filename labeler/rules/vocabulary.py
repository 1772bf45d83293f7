"""Every word of a report becomes one of the lexicon's words, or ``_``: plurals, British spelling, typing errors.

Two sentences whose canonical words are the same are read alike, which is what makes the labeler fast: most new
sentences differ from a known one in a side, a size or a word that no rule looks at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

OTHER = "_"
MASK = "<mask>"
NUMBER = "<number>"

_MASKED = re.compile(r"\s+|x{2,}|_{2,}|\[?\*\*.*")
_NUMERIC = re.compile(r"[\d.,/x:-]*\d[\d.,/:-]*(?:st|nd|rd|th|mm|cm)?")
_BRITISH = (("oe", "e"), ("ae", "e"), ("our", "or"), ("isa", "iza"), ("ise", "ize"), ("centre", "center"))
_SHORTEST_MISSPELT = 9


class Vocabulary:
    """The words of the lexicons, and how other spellings lead to them."""

    def __init__(self, words: Iterable[str], forms: Mapping[str, str]) -> None:
        self.words = frozenset(words) | frozenset(forms.values())
        self.forms = dict(forms)
        self._long_words = sorted(word for word in self.words if len(word) >= _SHORTEST_MISSPELT and word.isalpha())
        self.canonical = lru_cache(maxsize=200_000)(self._canonical)

    def _canonical(self, word: str) -> str:
        """The lexicon's word for a word as written: itself, its singular, its American spelling, the word meant."""
        lower = word.lower()
        if _MASKED.fullmatch(lower):
            return MASK
        known = self._known(lower)
        if known is not None:
            return known
        if _NUMERIC.fullmatch(lower):
            return NUMBER
        return self._misspelt(lower) or OTHER

    def _known(self, word: str) -> str | None:
        spellings = [word, *(word.replace(british, american) for british, american in _BRITISH if british in word)]
        for spelling in spellings:
            for candidate in (*_singulars(spelling), spelling):
                if spelling in self.forms:
                    return self.forms[spelling]
                if candidate in self.forms:
                    return self.forms[candidate]
                if candidate in self.words:
                    return candidate
        return None

    def _misspelt(self, word: str) -> str | None:
        """A long word of the lexicon one slip away (letter missing, added, wrong, or two swapped), if only one is."""
        if len(word) < _SHORTEST_MISSPELT or not word.isalpha():
            return None
        from rapidfuzz.distance import OSA

        near = {
            candidate
            for spelling in (word, *_singulars(word))
            for candidate in self._long_words
            if abs(len(candidate) - len(spelling)) < 2 and candidate[0] == spelling[0]
            if OSA.distance(candidate, spelling, score_cutoff=1) == 1 and not _another_word(candidate, spelling)
        }
        return near.pop() if len(near) == 1 else None


def _singulars(word: str) -> tuple[str, ...]:
    if not word.endswith("s") or len(word) < 4 or word.endswith("ss"):
        return ()
    endings = [word[:-1]]
    if word.endswith("es"):
        endings.append(word[:-2])
    if word.endswith("ies"):
        endings.append(word[:-3] + "y")
    return tuple(endings)


def _another_word(known: str, written: str) -> bool:
    """Whether the difference is one of meaning: a tense, an ending, a first letter ("enlarge", "pleura", "inclusion")."""
    short, long = sorted((known, written), key=len)
    return long.startswith(short) or known[:2] != written[:2] or known[-2:] != written[-2:]
