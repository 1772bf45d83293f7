"""The words of a report, and runs of them that make a name.

A run begins where a title, a role or a list says that a name does; how far it goes is decided here.
"""

# ruff: noqa: RUF001 - apostrophes and hyphens as they are printed
from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from corpora.deid.identity import fold
from corpora.deid.lists import Lists

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’`´\-‐‑][^\W\d_]+)*")
_GAP: Final = re.compile(r"[ \t]+|[ \t]*-?\r?\n[ \t]*|\.[ \t]?|\.?,?[ \t]*\r?\n?[ \t]*")
LONGEST: Final = 5


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text: folded, without a possessive ending; ``end`` is before that."""

    start: int
    end: int
    text: str
    folded: str
    first: bool
    tied: bool

    @property
    def is_capital(self) -> bool:
        return self.text[0].isupper()

    @property
    def is_upper(self) -> bool:
        return len(self.text) > 1 and self.text.isupper()

    @property
    def is_initial(self) -> bool:
        return len(self.text) == 1 and self.text.isupper() and not self.tied


@dataclass(slots=True)
class Scene:
    """A text with its words, and which of them are found to be names."""

    text: str
    folded: str
    words: Sequence[Word]
    lists: Lists
    shouted: bool
    found: set[int]


def split_words(text: str) -> list[Word]:
    """The words of a text, in order."""
    words: list[Word] = []
    for match in _WORD.finditer(text):
        spelled, start = match[0], match.start()
        bare = re.sub(r"['’`´][sS]$", "", spelled)
        before = text[:start].rstrip(" \t\"'“‘(*-#>")[-1:]
        words.append(
            Word(
                start,
                start + len(bare),
                bare,
                fold(bare),
                before in ("", ".", "!", "?", ":", ";", "\n", "\r"),
                _is_tied(text, start),
            )
        )
    return words


def _is_tied(text: str, start: int) -> bool:
    """Whether a word is the end of something else: the B of 48213-B."""
    if text[start : start + 2].rstrip() in ("T", "T.", "T,") and re.search(r"\d[ ]?$", text[max(0, start - 2) : start]):
        # tesla
        return True
    return start > 0 and (
        text[start - 1].isdigit() or (text[start - 1] in "-/_+" and text[start - 2 : start - 1].isalnum())
    )


def gap_after(scene: Scene, at: int) -> str:
    """What is between a word and the next one."""
    if at + 1 >= len(scene.words):
        return "|"
    return scene.text[scene.words[at].end : scene.words[at + 1].start]


def word_at(scene: Scene, place: int) -> int | None:
    """The word that begins at a place."""

    at = bisect_left(scene.words, place, key=lambda word: word.start)
    return at if at < len(scene.words) and scene.words[at].start == place else None


def word_before(scene: Scene, place: int) -> int | None:
    """The last word that ends at a place, but for blanks and commas."""

    at = bisect_right(scene.words, place, key=lambda word: word.end) - 1
    return at if at >= 0 and scene.text[scene.words[at].end : place].strip(" .,\n\t") == "" else None


def is_part(scene: Scene, at: int, *, strong: bool) -> bool:
    """Whether a word can be a part of a name, by itself."""
    word, lists = scene.words[at], scene.lists
    if (
        word.text in lists.credentials
        or word.folded in lists.titles
        or (len(word.text) > 1 and not word.folded.strip("x-"))
    ):
        return False
    if word.is_initial:
        return True
    if not word.is_capital:
        return False
    if strong and word.folded in lists.ordinary:
        return True
    if word.folded in lists.common:
        return False
    if any(part in lists.common for part in word.folded.split("-") if len(part) > 3) and not lists.is_listed(
        word.folded
    ):
        return False
    return strong or not lists.is_word(word.folded) or lists.is_listed(word.folded)


def name_run(scene: Scene, at: int, *, strong: bool, comma: bool) -> list[int]:
    """The words of a name that begins at a word; none if it does not."""
    run: list[int] = []
    while at < len(scene.words) and len(run) < LONGEST:
        word = scene.words[at]
        if word.folded in scene.lists.particles and not _stands_alone(scene, at):
            if not run and not word.is_capital and not strong:
                break
        elif not (is_part(scene, at, strong=strong) or _after_given(scene, at, run)) or (
            run and not _goes_on(scene, at, run)
        ):
            break
        run.append(at)
        gap = gap_after(scene, at)
        has_comma = "," in gap
        if has_comma and (not comma or not _is_given(scene, at + 1, strong)):
            break
        comma = comma and not has_comma
        if not _GAP.fullmatch(gap) or gap.count("\n") > 1:
            break
        if "." in gap and not word.is_initial and word.folded not in ("st", "jr", "sr"):
            break
        at += 1
    while run and scene.words[run[-1]].folded in scene.lists.particles and not scene.words[run[-1]].is_capital:
        run.pop()
    real = [each for each in run if not scene.words[each].is_initial]
    if not real and not (len(run) > 1):
        return []
    return run


def _after_given(scene: Scene, at: int, run: Sequence[int]) -> bool:
    """Whether an ordinary word follows a given name that is none: "Anna Long"."""
    word, lists = scene.words[at], scene.lists
    before = scene.words[run[-1]] if run else None
    if (
        before is None
        or not word.is_capital
        or word.is_upper
        or word.folded not in lists.ordinary
        or word.folded in _BODY
    ):
        return False
    return (
        before.is_initial
        or (not lists.is_word(before.folded) and "\n" not in gap_after(scene, at - 1))
        or (before.folded in lists.given and not lists.is_word(before.folded) and word.folded not in _SIZES)
    )


def _stands_alone(scene: Scene, at: int) -> bool:
    """Whether a particle is not followed by what it is a particle of."""
    return (
        at + 1 >= len(scene.words)
        or (not scene.words[at + 1].is_capital and (scene.words[at + 1].folded not in scene.lists.particles))
        or not re.fullmatch(r"[ \t\n'’.]+", gap_after(scene, at))
    )


def _goes_on(scene: Scene, at: int, run: Sequence[int]) -> bool:
    """Whether a further word belongs to a name: it looks like the ones before, and begins no line of its own."""
    word, before, lists = scene.words[at], scene.words[run[-1]], scene.lists
    gap = gap_after(scene, at - 1)
    if scene.text[word.end : word.end + 1] == ":":
        return False
    if word.is_initial:
        # a side, a grade, the next sentence
        return "\n" not in gap and scene.text[word.end : word.end + 1] in (".", "", "\n", ",", " ", ")")
    if "\n" in gap and "," not in gap and not gap.startswith("-") and lists.is_word(word.folded):
        # the next line, unless nothing else is on it
        ends = re.match(r"[\n,.;:()]|\s*$", scene.text[word.end :])
        follows = before.folded in lists.given and word.folded in lists.ordinary - _BODY - _SIZES
        if not (word.folded in lists.ordinary and ends) and not lists.is_listed(word.folded) and not follows:
            return False
    if lists.is_word(word.folded) and not lists.is_listed(word.folded) and word.folded not in lists.ordinary:
        return False
    initials = scene.words[run[-1]].is_initial
    if (
        word.folded in lists.ordinary
        and not lists.is_listed(word.folded)
        and len(run) > 1
        and "," not in gap
        and not initials
    ):
        return False
    if is_eponym(scene, [at]):
        return False
    if scene.shouted and not before.is_initial and "," not in gap:
        return lists.is_listed(word.folded) or (len(run) == 1 and not lists.is_word(word.folded))
    return not (word.is_upper and not before.is_upper and not before.is_initial and len(word.text) <= 4)


def _is_given(scene: Scene, at: int, strong: bool) -> bool:
    """Whether what follows a comma can be a given name."""
    if at >= len(scene.words):
        return False
    word, lists = scene.words[at], scene.lists
    if word.text in lists.credentials:
        return False
    if word.folded in lists.given or (word.is_initial and scene.text[word.end : word.end + 1] in (".", "", " ", "\n")):
        return word.is_capital
    alike = not word.is_upper or scene.words[at - 1].is_upper
    return strong and word.is_capital and alike and (not lists.is_word(word.folded) or word.folded in lists.ordinary)


def is_eponym(scene: Scene, run: Sequence[int]) -> bool:
    """Whether this is the name of a disease, a sign, a device and not of a person."""
    words, lists = scene.words, scene.lists
    if not run:
        return True
    if not all(_is_medical(words[at].folded, lists) for at in run):
        return False
    after = run[-1] + 1
    if after < len(words) and re.fullmatch(r"['’]?s?[ \t\n/-]+", scene.text[words[run[-1]].end : words[after].start]):
        broken = "\n" in scene.text[words[run[-1]].end : words[after].start]
        if (words[after].folded in lists.heads and not (broken and len(words[after].text) < 3)) or (
            words[after].folded in lists.eponyms and not broken
        ):
            return True
        if any(part in lists.heads for part in words[after].folded.split("-")):
            return True
    before = scene.text[max(0, words[run[0]].start - 5) : words[run[0]].start].lower()
    return before.endswith(("non-", "non ", "anti-", "post-"))


def _is_medical(word: str, lists: Lists) -> bool:
    first, *rest = word.split("-")
    if word in lists.eponyms:
        return True
    return first in lists.eponyms and bool(rest) and all(part in lists.eponyms or part in lists.heads for part in rest)


def is_plain(scene: Scene, at: int) -> bool:
    """Whether a word is one of the language and not even an ordinary name."""
    folded, lists = scene.words[at].folded, scene.lists
    if lists.is_listed(folded) or (folded in lists.ordinary and folded not in _BODY and not scene.shouted):
        return False
    return lists.is_word(folded)


_SIZES: Final = frozenset("small large long short little low high good best strong mild old new".split())
_BODY: Final = frozenset("hand hands head chest heart lung line lines drain large low high case post cross".split())
