"""How the words of a language are written: accents, endings, compounds. Data of ``configs/languages``, made quick.

>>> german = Spelling(digraphs=True, endings=(("e", ""), ("en", "")), heads=("erguss",), tails=("nachweis",))
>>> known = {"erguss", "vergrossert", "infiltrat"}.__contains__
>>> [german.find(german.fold(word), known) for word in ("Ergüsse", "Pleuraerguß", "vergroesserte", "Infiltratnachweis")]
['erguss', 'erguss', 'vergrossert', 'infiltrat']
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_DIGRAPHS = (("ae", "a"), ("oe", "o"), ("ue", "u"))
_UNFOLDED = str.maketrans(
    {"ß": "ss", "œ": "oe", "æ": "ae", "ø": "o", "\u2019": "'", "-": "", "\u2010": "", "\u2011": ""}
)
# what stands between the parts of a compound
_LINKS = ("", "s", "es", "n", "en")
_SHORTEST_STEM = 3


@dataclass(frozen=True, slots=True)
class Spelling:
    """``digraphs``: ae, oe and ue are other spellings of umlauts. ``endings``: what a word's end may become.

    ``heads``: words that, as the last part of a compound, say what it is. ``tails``: last parts that say nothing.
    """

    digraphs: bool = False
    endings: tuple[tuple[str, str], ...] = ()
    heads: tuple[str, ...] = ()
    tails: tuple[str, ...] = ()

    def fold(self, word: str) -> str:
        """``word`` in lower case without accents and hyphens; two spellings of a word become one."""
        lower = word.lower()
        if not (lower.isascii() and "-" not in lower):
            if lower.strip("-\u2010\u2011"):
                lower = lower.translate(_UNFOLDED)
            lower = "".join(c for c in unicodedata.normalize("NFD", lower) if not unicodedata.combining(c))
        if self.digraphs:
            for written, short in _DIGRAPHS:
                lower = lower.replace(written, short)
        return lower

    def find(self, word: str, known: Callable[[str], bool]) -> str | None:
        """The known word that the folded ``word`` is: without its ending, itself, or what it is a compound of."""
        stems = list(self._stems(word))
        for stem in stems:
            if known(stem):
                return self.find(stem, known)
        if known(word):
            return word
        forms = [word, *stems]
        for form in forms:
            for head in self.heads:
                if len(form) - len(head) >= _SHORTEST_STEM and self._ends_in(form, head) and known(head):
                    return head
        return next((found for form in forms for found in self._without_tail(form, known)), None)

    def _ends_in(self, word: str, head: str) -> bool:
        # the a of Pleura and the e of Erguss are no umlaut, and were folded as one
        split = self.digraphs and head[0] == "e" and word.endswith(head[1:]) and word[-len(head)] in "aou"
        return word.endswith(head) or split

    def _stems(self, word: str) -> Iterator[str]:
        for ending, instead in self.endings:
            if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
                yield word[: len(word) - len(ending)] + instead

    def _without_tail(self, word: str, known: Callable[[str], bool]) -> Iterator[str]:
        for tail in self.tails:
            if not word.endswith(tail) or len(word) - len(tail) < _SHORTEST_STEM:
                continue
            rest = word[: len(word) - len(tail)]
            for link in _LINKS:
                if rest.endswith(link):
                    found = self.find(rest[: len(rest) - len(link)], known)
                    if found is not None:
                        yield found
