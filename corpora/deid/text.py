"""Reports cleaned: what tells of people is found, and replaced by its category or by something like it.

spans = find_spans("Seen by Dr. Kowalska on 3/14/2021.")     [Span(12, 20, NAME), Span(24, 33, DATE)]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from corpora.deid.identity import Known, fold
from corpora.deid.lists import KINDS, Lists, Pattern, load_lists
from corpora.deid.names import find_names
from corpora.types import Section

_BETWEEN: Final = re.compile(r"[ \t]*[,\n]?[ \t]*")
_SEPARATORS: Final = r"[\s\-./_()]*"
_APART: Final = r"[\W_]{1,3}"
_ICD: Final = re.compile(r"[A-Z]\d{2}(?:\.\d{1,4})?")
#: What a header may say that is too short or too common to be looked for in a text.
_LEAST_ID: Final = 4


@dataclass(frozen=True, slots=True)
class Span:
    """``text[start:end]`` tells of somebody, in a way that its category names."""

    start: int
    end: int
    category: str


def find_spans(text: str, known: Iterable[Known] = ()) -> list[Span]:
    """All that tells of people in a text, in order, none over another. ``known`` is what the study's header says."""
    lists, known = load_lists(), list(known)
    found = [Span(start, end, "NAME") for start, end in find_names(text, known, lists)]
    found += _of_header(text, known)
    found += [span for pattern in lists.patterns for span in _matches(pattern, text, lists)]
    found += _places(text, lists)
    return merged(found, text)


def _matches(pattern: Pattern, text: str, lists: Lists) -> Iterator[Span]:
    entry = pattern.entry
    group = "phi" if "phi" in pattern.regex.groupindex else 0
    for match in pattern.regex.finditer(text):
        said = match[group]
        digits = sum(char.isdigit() for char in said)
        if digits < max(entry.least_digits, entry.needs_digit):
            continue
        if entry.needs_letter and (not any(map(str.isalpha, said)) or _ICD.fullmatch(said)):
            continue
        if entry.stop_words and any(
            lists.is_word(word) for word in re.findall(r"[^\W\d_]{2,}", fold(said)[: -3 if entry.not_state else None])
        ):
            continue
        yield Span(match.start(group), match.end(group), entry.category)


def _places(text: str, lists: Lists) -> Iterator[Span]:
    """Names of hospitals: there must be a word in them that is no common one."""
    for pattern in lists.facilities:
        for match in pattern.finditer(text):
            own = [word for word in re.findall(r"[^\W\d_]+", match["own"]) if word[0].isupper()]
            start = match.start()
            # "Patient transferred from Northgate ...": common words at the beginning are no part of the name
            real = [word for word in own if not _is_filler(word, lists) and fold(word) not in _GENERIC]
            while own and _is_filler(own[0], lists):
                start = text.index(own[0], start) + len(own[0])
                own = own[1:]
            while start < match.end() and text[start] in " \t\n.,-":
                start += 1
            start = _past_links(text, start)
            if real:
                yield Span(start, match.end(), "ORG")


def _is_filler(word: str, lists: Lists) -> bool:
    folded = fold(word)
    return (
        (folded in lists.common or folded in lists.vocabulary)
        and folded not in lists.ordinary
        and (folded not in _GENERIC or folded in _LEADS)
    )


_GENERIC: Final = frozenset("outside local community general university regional county city state national memorial children childrens"  # noqa: E501
                            " our this that other referring rural teaching veterans"
                            " district tertiary military day home central"
                            " interventional thoracic diagnostic emergency pediatric chest"
                            " mental public occupational women womens cancer".split())  # fmt: skip


#: Of these, the ones that begin no name.
_LEADS: Final = frozenset("outside local our this that other referring".split())


def _past_links(text: str, start: int) -> int:
    match = re.compile(r"(?:(?:of|the|and|at|in|from|to|&)\s+)+").match(text, start)
    return match.end() if match else start


def _of_header(text: str, known: Sequence[Known]) -> Iterator[Span]:
    """What the header says, however it is separated in the text, accents and case aside."""
    folded = fold(text)
    for each in dict.fromkeys(known):
        if each.category in ("NAME", "", "OTHER"):
            continue
        for part in _parts(each):
            for match in re.finditer(part, folded):
                yield Span(match.start(), match.end(), each.category)


def _parts(known: Known) -> Iterator[str]:
    value = fold(known.value)
    if known.category in ("ID", "DEVICE", "PHONE"):
        bare = re.sub(r"[\W_]", "", value)
        if len(bare) >= _LEAST_ID and any(map(str.isdigit, bare)):
            yield rf"(?<![a-z0-9])\+?{_SEPARATORS.join(map(re.escape, bare))}(?![a-z0-9])"
    elif known.category in ("ORG", "ADDRESS"):
        pieces = [value, *value.split(",")] if known.category == "ADDRESS" else [value]
        for piece in dict.fromkeys(part.strip() for part in pieces):
            words = re.findall(r"\w+", piece)
            if len(piece) >= 5 and words and not load_lists().is_word(piece):
                yield rf"(?<!\w){_APART.join(map(re.escape, words))}(?!\w)"


def merged(spans: Iterable[Span], text: str) -> list[Span]:
    """Spans in order without overlaps: those that overlap become one, of the category of the longest of them.

    Neighbours of one category with nothing but a blank or comma between them are one as well.
    """
    result: list[Span] = []
    longest = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.end <= span.start:
            continue
        last = result[-1] if result else None
        if last is not None and span.start < last.end:
            size = span.end - span.start
            wins = (size, -KINDS.index(span.category)) > (longest, -KINDS.index(last.category))
            category = span.category if wins else last.category
            result[-1] = Span(last.start, max(last.end, span.end), category)
            longest = max(longest, size)
        elif last is not None and last.category == span.category and _BETWEEN.fullmatch(text, last.end, span.start):
            result[-1] = replace(last, end=span.end)
            longest = max(longest, span.end - span.start)
        else:
            result.append(span)
            longest = span.end - span.start
    return result


def redact(text: str, spans: Sequence[Span], fillers: Sequence[str] | None = None) -> str:
    """The text with each span replaced, by its category in brackets if no ``fillers`` are given.

    >>> redact("Seen by Dr. Weber.", [Span(12, 17, "NAME")])
    'Seen by Dr. [NAME].'
    """
    parts, at = [], 0
    for number, span in enumerate(spans):
        parts += [text[at : span.start], f"[{span.category}]" if fillers is None else fillers[number]]
        at = span.end
    return "".join([*parts, text[at:]])


def moved_sections(sections: Sequence[Section], spans: Sequence[Span], fillers: Sequence[str]) -> tuple[Section, ...]:
    """Where the sections of a report lie after its spans were replaced."""

    def move(place: int, *, is_end: bool) -> int:
        shift = 0
        for span, filler in zip(spans, fillers, strict=True):
            if span.end <= place:
                shift += len(filler) - (span.end - span.start)
            elif span.start < place:
                return span.start + shift + (len(filler) if is_end else 0)
        return place + shift

    return tuple(Section(each.name, move(each.start, is_end=False), move(each.end, is_end=True)) for each in sections)


def clean_text(text: str, known: Iterable[Known] = ()) -> str:
    """A text of a header without what tells of people."""
    return redact(text, find_spans(text, known))
