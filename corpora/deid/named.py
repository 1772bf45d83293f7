"""Names of people that the header of a study has: in any order, with accents or without, also broken by a line."""

# ruff: noqa: RUF001 - apostrophes and hyphens as they are printed
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from corpora.deid.identity import Known, fold
from corpora.deid.scene import Scene, Word, gap_after, is_eponym

_UMLAUTS: Final = (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), ("ø", "oe"), ("å", "aa"), ("æ", "ae"))


def by_header(scene: Scene, known: Iterable[Known]) -> None:
    """Names that the header of the study has."""
    names = _header_words(known)
    if not names:
        return
    words, lists = scene.words, scene.lists
    hits = {at for at, word in enumerate(words) if _is_hit(word, names)}
    for at in range(len(words) - 1):
        if (
            re.fullmatch(r"[-­]?[ \t]*\r?\n[ \t]*", gap_after(scene, at))
            and words[at].folded + words[at + 1].folded in names
        ):
            scene.found.update((at, at + 1))
    for at in sorted(hits):
        word = words[at]
        beside = {at - 1, at + 1} & (hits | scene.found)
        beside = {each for each in beside if re.fullmatch(r"\.?,?[ \t]*-?\n?[ \t]*", gap_after(scene, min(at, each)))}
        odd = lists.is_word(word.folded) or word.folded in lists.eponyms or len(word.folded) < 3
        if is_eponym(scene, [at]):
            continue
        if not odd or (beside and word.is_capital):
            scene.found.add(at)
            _with_initials(scene, at)
        elif word.is_capital and word.first and at + 1 < len(words) and words[at + 1].folded in _DOES:
            scene.found.add(at)
        elif word.is_capital and not word.first and not scene.shouted and len(word.folded) > 2:
            before = words[at - 1].folded if at else ""
            if word.folded not in lists.eponyms or before not in (
                "of",
                "with",
                "known",
                "for",
                "non",
                "previous",
                "prior",
            ):
                scene.found.add(at)


#: What a person does; a thing that is called the same seldom does.
_DOES: Final = frozenset(
    "was is has had presents presented reports reported denies complains complained came underwent returned states"
    " stated tolerated walked fell lives says said called asked".split()
)


def _is_hit(word: Word, names: frozenset[str]) -> bool:
    if word.folded in names:
        return True
    return "-" in word.folded and any(part in names and len(part) > 3 for part in word.folded.split("-"))


def _with_initials(scene: Scene, at: int) -> None:
    """The initials beside a name of the header."""
    words = scene.words
    for step in (-1, 1):
        beside = at + step
        while 0 <= beside < len(words) and words[beside].is_initial:
            gap = gap_after(scene, min(beside, beside - step))
            if not re.fullmatch(r"\.?,?[ \t]?", gap) or (
                step > 0 and scene.text[words[beside].end : words[beside].end + 1] not in (".", ",", "", "\n", " ")
            ):
                break
            if step < 0 and "." not in gap and words[beside].folded == "a":
                break
            scene.found.add(beside)
            beside += step


def _header_words(known: Iterable[Known]) -> frozenset[str]:
    """The folded words of the names of a header, with umlauts written out and not."""
    words: set[str] = set()
    for each in known:
        if each.category != "NAME":
            continue
        for part in re.split(r"[\^=,;\s.()]+", each.value):
            bare = part.strip("'’\"")
            if len(bare) < 2 or bare.upper() in _TITLES:
                continue
            for variant in _variants(bare):
                words.add(variant)
                words.update(piece for piece in re.split(r"[-‐‑]", variant) if len(piece) > 2)
    return frozenset(words)


_TITLES: Final = frozenset({"DR", "MD", "PROF", "MR", "MRS", "MS", "JR", "SR", "II", "III", "PHD", "RT", "RN", "DO", "VON", "VAN", "DE",  # noqa: E501
                            "DER", "DEN", "LA", "DEL", "UND", "AND", "OF"})  # fmt: skip


def _variants(name: str) -> set[str]:
    written, lowered = name.lower(), fold(name)
    for umlaut, letters in _UMLAUTS:
        written = written.replace(umlaut, letters)
    bare = lowered
    for _, letters in _UMLAUTS[:3]:
        bare = bare.replace(letters, letters[0])
    return {lowered, fold(written), bare, lowered.replace("'", "’"), lowered.replace("’", "'")}


def of_other_scripts(text: str, known: Iterable[Known]) -> Iterator[tuple[int, int]]:
    """Names that are not written in Latin letters: wherever they stand, for such scripts have no blanks."""
    for each in known:
        if each.category != "NAME" or each.value.isascii():
            continue
        for part in re.split(r"[\^=,;\s.]+", each.value):
            if len(part) > 1 and all(ord(char) > 0x2E80 for char in part):
                yield from ((match.start(), match.end()) for match in re.finditer(re.escape(part), text))
