"""One sentence as the rules see it: dense words, the phrases in it, its segments, negspacy's negations.

A *segment* is a stretch that no cue reaches out of: it ends at negspacy's termination words ("but"), and where our
scope rules see the sentence turn ("no pneumothorax, | small effusion", "no effusion | heart is enlarged").
"""

from __future__ import annotations

import re
from bisect import bisect_right

from labeler.rules.fragments import NEGATIONS, Contents, Fragments, claim, kinds_of
from labeler.rules.grammar import Grammar, Item
from labeler.rules.headings import COLON, without_heading
from labeler.rules.kinds import (
    ABNORMAL,
    ABSENT,
    BORDERLINE,
    CUES,
    EITHER,
    FINDING,
    FINDINGS,
    FINE,
    IGNORE,
    NORMAL,
    OTHER,
    STRUCTURE,
    TURN,
    UNLESS,
    VERSUS,
)  # fmt: skip
from labeler.rules.turns import ENDING, turns
from labeler.rules.vocabulary import ASSERTIVE, UNKNOWN, VERBS

#: The kinds that a negation is asked about.
NEGATABLE = FINDINGS | NORMAL | ABNORMAL | BORDERLINE | OTHER | UNLESS
_READ = FINDINGS | ABSENT | STRUCTURE | OTHER | FINE | IGNORE
#: The kinds that segments and negations matter to.
JUDGED = FINDINGS | STRUCTURE | OTHER
_TURNING = ENDING | TURN
# what no segment matters to is read without them
_SEGMENTED = CUES | NEGATIONS | STRUCTURE | UNLESS | EITHER | VERSUS
#: Without this in it no sentence has a finding of several words between two verbs
BETWEEN_VERBS = re.compile(f"[{''.join(sorted(VERBS))}]..+[{''.join(sorted(VERBS))}]")


class Sentence:
    """What the rules need to know of a sentence; positions are of dense words (no fillers).

    ``words`` has a character for each word, ``items`` are in the order of their spans.
    """

    __slots__ = ("cued", "items", "kinds", "late_negations", "negated", "negations", "starts", "words")

    def __init__(self, words: str, items: list[Item], kinds: int, starts: list[int]) -> None:
        self.words = words
        self.items = items
        self.kinds = kinds
        self.starts = starts
        self.negations: list[tuple[int, int]] = []
        self.late_negations: list[tuple[int, int]] = []
        self.negated: set[Item] = set()
        self.cued = bool(kinds & CUES)

    def segment(self, position: int) -> tuple[int, int]:
        """The segment that holds a position."""
        starts = self.starts
        if len(starts) == 1:
            return 0, len(self.words)
        index = bisect_right(starts, position)
        return starts[index - 1], starts[index] if index < len(starts) else len(self.words)

    def of(self, kind: int) -> list[Item]:
        """The items of a kind, in order."""
        return [item for item in self.items if item[0] == kind] if self.kinds & kind else []

    def within(self, start: int, end: int, kind: int) -> list[Item]:
        """The items of a kind that lie inside ``start:end``, in order."""
        if not self.kinds & kind:
            return []
        return [item for item in self.items if item[0] == kind and start <= item[2] and item[3] <= end]

    def among(self, start: int, end: int, kinds: int) -> list[Item]:
        """The items of any of ``kinds`` that lie inside ``start:end``, in order."""
        return [item for item in self.items if item[0] & kinds and start <= item[2] and item[3] <= end]

    def holds(self, start: int, end: int, kinds: int) -> bool:
        """Whether an item of ``kinds`` lies inside ``start:end``."""
        for kind, _, begin, after in self.items:
            if begin >= end:
                return False
            if start <= begin and after <= end and kind & kinds:
                return True
        return False


def read(grammar: Grammar, fragments: Fragments, reduced: str) -> Sentence | None:
    """The sentence with this reduced form, or None where there is nothing that a rule could look at."""
    words = reduced.replace(ASSERTIVE, "")
    return read_contents(grammar, reduced, words, fragments.found(words))


def read_contents(grammar: Grammar, reduced: str, words: str, contents: Contents) -> Sentence | None:
    """As ``read``, of which ``words`` are the dense words and ``contents`` is what was found in them."""
    items, negation, kinds = contents
    if not kinds & _READ:
        return None
    if kinds & FINDING and BETWEEN_VERBS.search(words) and any(_across(words, item) for item in items):
        items = claim([item for item in grammar.phrasebook.match(words) if not _across(words, item)])
        kinds = kinds_of(items + negation)
    if kinds & FINDINGS and COLON in words:
        items = without_heading(words, items)
    if not kinds & JUDGED:
        return Sentence(words, items, kinds, [0])
    starts = [0]
    if kinds & _TURNING and kinds & _SEGMENTED:
        starts += turns(grammar, words, reduced, items, negation, kinds)
    sentence = Sentence(words, items, kinds, starts)
    if negation and kinds & (NEGATABLE | STRUCTURE):
        _negate(grammar, sentence, negation)
    return sentence


def _across(words: str, item: Item) -> bool:
    """Whether a finding's words belong to two statements: "the heart is enlarged mediastinum is normal"."""
    kind, _, start, end = item
    if kind != FINDING or start == 0 or end >= len(words) or end - start < 2:
        return False
    return words[start - 1] in VERBS and words[end] in VERBS


def dense_places(reduced: str) -> list[int]:
    """Where the dense words of a sentence are in its reduced form."""
    return [index for index, character in enumerate(reduced) if character != ASSERTIVE]


def _negate(grammar: Grammar, sentence: Sentence, negation: list[Item]) -> None:
    """Lay the sentence out for negspacy, and take its answer back to the sentence's positions."""
    telling = {position for _, _, start, end in negation for position in range(start, end)}
    entities = [item for item in sentence.items if item[0] & NEGATABLE]
    alone = len(negation) == 1 and len(sentence.starts) == 1
    layout = _around(negation[0], entities) if alone else _stretches(sentence, telling, entities)
    positions, places = layout or _laid_out(sentence, telling, entities)
    written = sentence.words
    words = "".join([written[position] if position in telling else UNKNOWN for position in positions])
    starts = _FIRST_ALONE if len(sentence.starts) == 1 else tuple([positions.index(start) for start in sentence.starts])
    spans = sorted(set(places))
    before, after, ends, negated = grammar.negator.ask(words, tuple(spans), starts)
    if before or after:
        sentence.cued = True
    if negated:
        sentence.negated = {item for item, place in zip(entities, places, strict=True) if place in negated}
    sentence.negations = [(positions[start], positions[end - 1] + 1) for start, end in before]
    sentence.late_negations = [(positions[start], positions[end - 1] + 1) for start, end in after]
    if ends:
        sentence.starts = sorted({*sentence.starts, *(positions[start] for start in ends)})


_FIRST_ALONE = (0,)
# the positions of a sentence that a layout keeps, and where in the layout each entity is
_Layout = tuple[list[int], list[tuple[int, int]]]


def _around(negation: Item, entities: list[Item]) -> _Layout | None:
    """The layout of ``_stretches`` for one negation in one segment, which is the usual case, in a third of the time."""
    _, _, begin, after = negation
    positions = [*range(begin, after)] if begin == 0 else [0, *range(begin, after)]
    last = len(positions)
    places = []
    behind = False
    for _, _, start, end in entities:
        if start >= after:
            behind = True
            places.append((last, last + 1))
        elif end <= begin:
            places.append((0, 1))
        else:
            return None
    if behind:
        positions.append(after)
    return positions, places


def _stretches(sentence: Sentence, telling: set[int], entities: list[Item]) -> _Layout | None:
    """The shortest layout: all entities between two marks (words of a negation, segment starts) in one place.

    negspacy says the same of all of them, since it only asks on which side of a cue an entity is. None where an
    entity reaches over a mark.
    """
    marks = sorted(telling.union(sentence.starts))
    count = len(marks)
    behind: list[int] = []
    for _, _, start, end in entities:
        index = bisect_right(marks, start)
        if start in telling or (index < count and marks[index] < end):
            return None
        behind.append(index)
    occupied = set(behind)
    positions: list[int] = []
    place: dict[int, tuple[int, int]] = {}
    for index, mark in enumerate(marks, 1):
        positions.append(mark)
        if index in occupied:
            if mark in telling:
                positions.append(mark + 1)
            place[index] = (len(positions) - 1, len(positions))
    return positions, [place[index] for index in behind]


def _laid_out(sentence: Sentence, telling: set[int], entities: list[Item]) -> _Layout:
    """The layout with every entity at its own place."""
    kept = telling.union(sentence.starts)
    for _, _, start, end in entities:
        kept.update((start, end - 1))
    positions = sorted(kept)
    place = {position: index for index, position in enumerate(positions)}
    return positions, [(place[start], place[end - 1] + 1) for _, _, start, end in entities]
