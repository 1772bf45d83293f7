"""Every word of a report becomes one of the lexicon's words, or nothing: plurals, British spelling, typing errors.

A sentence's *reduced* form has one character per word that a rule could look at: fillers and masks are left out, a run
of unknown words is one. Sentences with the same reduced form are read alike, which is half of what makes the labeler
fast: most new sentences differ from a known one in a side, a size or a word that no rule looks at.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache

from rapidfuzz.distance import OSA

from labeler.rules.spelling import Spelling

OTHER = "_"
MASK = "<mask>"
NUMBER = "<number>"

_MASKED = re.compile(r"\s+|x{2,}|_{2,}|\[?\*\*.*")
_NUMERIC = re.compile(r"[\d.,/x:-]*\d[\d.,/:-]*(?:st|nd|rd|th|mm|cm)?")
_BRITISH = (("oe", "e"), ("ae", "e"), ("our", "or"), ("isa", "iza"), ("ise", "ize"), ("centre", "center"))
_SHORTEST_MISSPELT = 9
#: Every word that the rules' code looks at itself. Each has the same character in all vocabularies, so that the rules
#: can look for it in the sentence's characters; any other word is told apart only by the phrases that hold it.
RULE_WORDS = (
    ",", ":", "/", "and", "or", "nor", "with", "without", "but", "not", "there", "is", "are", "was", "were", "appear",
    "appears", "remain", "remains", "of", "in", "both", "appearance", "size", "contour", "within", "on", "at", "to",
    "which", "that", "as", "seen", "identified", "noted", "demonstrated", "visualized", "evident", "present",
    "appreciated",
)  # fmt: skip
#: The code of the first of the characters that stand for words, in a private-use plane.
FIRST_CHARACTER = 0xF0000
UNKNOWN = chr(FIRST_CHARACTER)
#: Stands between sentences: the character of no word.
END = chr(FIRST_CHARACTER - 1)
ASSERTIVE = chr(FIRST_CHARACTER + 1)
_RULE_CHARACTERS = {word: chr(FIRST_CHARACTER + 2 + index) for index, word in enumerate(RULE_WORDS)}
_FIRST_OF_LEXICON = FIRST_CHARACTER + 2 + len(RULE_WORDS)


def rule_characters(*words: str) -> frozenset[str]:
    """The characters of some of the ``RULE_WORDS``. Raises ``KeyError`` for any other word."""
    return frozenset(_RULE_CHARACTERS[word] for word in words)


#: Verbs that join what is said to what it is said of.
VERBS = frozenset(
    _RULE_CHARACTERS[word] for word in ("is", "are", "was", "were", "appear", "appears", "remain", "remains")
)


def rule_character(word: str) -> str:
    """The character of one of the ``RULE_WORDS``. Raises ``KeyError`` for any other word."""
    return _RULE_CHARACTERS[word]


class Vocabulary:
    """The words of the lexicons, how other spellings lead to them, and their characters in the reduced form."""

    def __init__(
        self,
        words: Iterable[str],
        forms: Mapping[str, str],
        fillers: Iterable[str],
        assertive: Iterable[str],
        spelling: Spelling | None = None,
    ) -> None:
        """``spelling`` is that of another language than English."""
        self._spelling = spelling
        self.forms = dict(forms)
        self.words = frozenset(words).union(RULE_WORDS, forms.values(), fillers, assertive)
        if spelling is not None:
            self.forms = {spelling.fold(written): spelling.fold(word) for written, word in forms.items()}
            self.words = frozenset(map(spelling.fold, self.words))
            self.forms = {written: self._known(word) or word for written, word in self.forms.items()}
        self._long_words: defaultdict[str, list[str]] = defaultdict(list)
        for word in sorted(self.words):
            if len(word) >= _SHORTEST_MISSPELT and word.isalpha():
                self._long_words[_outline(word)].append(word)
        self.canonical = lru_cache(maxsize=200_000)(self._canonical)
        self.fillers = frozenset(self.canonical(word) for word in fillers) | {MASK}
        self.assertive = frozenset(self.canonical(word) for word in assertive)
        known = {self.canonical(word) for word in self.words} - self.fillers
        self.characters = {word: _RULE_CHARACTERS[word] for word in known.intersection(RULE_WORDS)}
        for code, word in enumerate(sorted(known.difference(RULE_WORDS)), _FIRST_OF_LEXICON):
            self.characters[word] = chr(code)
        self.word_of = {character: word for word, character in self.characters.items()}
        self.word_of[UNKNOWN] = OTHER
        self.characters |= {filler: ASSERTIVE if filler in self.assertive else "" for filler in self.fillers}
        self.assertive_characters = frozenset(self.characters[word] for word in self.assertive - self.fillers)

    def character(self, canonical: str) -> str:
        """The character of a canonical word in the reduced form; empty for a filler."""
        return self.characters.get(canonical, UNKNOWN)

    def _canonical(self, word: str) -> str:
        """The lexicon's word for a word as written: itself, its singular, its American spelling, the word meant."""
        lower = word.lower()
        if _MASKED.fullmatch(lower):
            return MASK
        if self._spelling is not None:
            lower = self._spelling.fold(lower)
        known = self._known(lower)
        if known is not None:
            return known
        if _NUMERIC.fullmatch(lower):
            return NUMBER
        return self._misspelt(lower) or OTHER

    def _known(self, word: str) -> str | None:
        if self._spelling is not None:
            if word in self.forms or word in _RULE_CHARACTERS:
                return self.forms.get(word, word)
            found = self._spelling.find(word, self._is_known)
            return found if found is None else self.forms.get(found, found)
        spellings = [word, *(word.replace(british, american) for british, american in _BRITISH if british in word)]
        for spelling in spellings:
            if spelling in self.forms:
                return self.forms[spelling]
            for candidate in (*_singulars(spelling), spelling):
                if candidate in self.forms:
                    return self.forms[candidate]
                if candidate in self.words:
                    return candidate
        return None

    def _is_known(self, word: str) -> bool:
        return word in self.forms or (word in self.words and word not in _RULE_CHARACTERS)

    def _misspelt(self, word: str) -> str | None:
        """A long word of the lexicon one slip away (letter missing, added, wrong, or two swapped), if only one is."""
        if len(word) < _SHORTEST_MISSPELT or not word.isalpha():
            return None
        near = {
            candidate
            for spelling in (word, *_singulars(word))
            for candidate in self._long_words.get(_outline(spelling), ())
            if -2 < len(candidate) - len(spelling) < 2
            and not _only_ending(candidate, spelling)
            and OSA.distance(spelling, candidate, score_cutoff=1) == 1
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


def _outline(word: str) -> str:
    """The start and the end of a word: if they differ, so does the meaning ("hypo-", "hyper-"; "-ed", "-ing")."""
    return word[:2] + word[-2:]


def _only_ending(known: str, written: str) -> bool:
    """Whether one is the other with an ending ("enlarge", "enlarged"): another word, not a slip."""
    return known.startswith(written) or written.startswith(known)
