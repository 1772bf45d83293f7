"""One sentence as the rules see it: dense words, the phrases in it, its segments, negspacy's negations.

A *segment* is a stretch that no cue reaches out of: it ends at negspacy's termination words ("but"), and where our
scope rules see the sentence turn ("no pneumothorax, | small effusion", "no effusion | heart is enlarged").
"""

from __future__ import annotations

import re
from bisect import bisect_right
from operator import add, itemgetter
from typing import NamedTuple

from labeler.rules.grammar import Grammar, Item, Phrasebook
from labeler.rules.turns import ENDING, FINDINGS, PREDICATES, turns
from labeler.rules.vocabulary import ASSERTIVE, UNKNOWN, VERBS

# kinds that claim their words: of two that overlap, only the longer is there
_CLAIMING = FINDINGS | PREDICATES | {
    "absent", "structure", "subject", "modal", "open", "doubt", "doubt_after", "affirm", "unmention", "unmention_after",
    "no_change", "either", "versus", "turn",
}  # fmt: skip
_NEGATABLE = FINDINGS | {"normal", "abnormal", "borderline", "other", "unless"}
_NEGATION = frozenset({"neg_preceding", "neg_following", "neg_pseudo", "neg_termination"})
_READ = FINDINGS | {"absent", "structure", "other", "fine", "ignore"}
# the kinds that segments and negations matter to
_JUDGED = FINDINGS | {"structure", "other"}
_NAMING = FINDINGS | {"absent", "structure", "normal"}
_CUES = frozenset({"modal", "open", "doubt", "doubt_after", "affirm", "unmention", "unmention_after", "artifact"})
_TURNING = ENDING | {"turn"}
# what no segment matters to is read without them
_SEGMENTED = _CUES | _NEGATION | {"structure", "unless", "either", "versus"}
_IN_ORDER = itemgetter(2, 3, 0, 1)
_MOST_FRAGMENTS = 100_000
_END = " "
# Item(...) itself takes four times as long, and there are four of them to a sentence
_new_item = tuple.__new__
# without this in it no sentence has a finding of several words between two verbs
_BETWEEN_VERBS = re.compile(f"[{''.join(sorted(VERBS))}]..+[{''.join(sorted(VERBS))}]")


class Sentence:
    """What the rules need to know of a sentence; positions are of dense words (no fillers).

    ``words`` has a character for each word, ``items`` are in the order of their spans.
    """

    __slots__ = ("cued", "items", "kinds", "late_negations", "negated", "negations", "starts", "words")

    def __init__(self, words: str, items: list[Item], kinds: set[str], starts: list[int]) -> None:
        self.words = words
        self.items = items
        self.kinds = kinds
        self.starts = starts
        self.negations: list[tuple[int, int]] = []
        self.late_negations: list[tuple[int, int]] = []
        self.negated: set[Item] = set()
        self.cued = not _CUES.isdisjoint(kinds)

    def segment(self, position: int) -> tuple[int, int]:
        """The segment that holds a position."""
        starts = self.starts
        if len(starts) == 1:
            return 0, len(self.words)
        index = bisect_right(starts, position)
        return starts[index - 1], starts[index] if index < len(starts) else len(self.words)

    def of(self, kind: str) -> list[Item]:
        """The items of a kind, in order."""
        return [item for item in self.items if item[0] == kind] if kind in self.kinds else []

    def within(self, start: int, end: int, kind: str) -> list[Item]:
        """The items of a kind that lie inside ``start:end``, in order."""
        if kind not in self.kinds:
            return []
        return [item for item in self.items if item[0] == kind and start <= item[2] and item[3] <= end]

    def among(self, start: int, end: int, kinds: frozenset[str]) -> list[Item]:
        """The items of any of ``kinds`` that lie inside ``start:end``, in order."""
        return [item for item in self.items if item[0] in kinds and start <= item[2] and item[3] <= end]

    def holds(self, start: int, end: int, kinds: frozenset[str]) -> bool:
        """Whether an item of ``kinds`` lies inside ``start:end``."""
        for kind, _, begin, after in self.items:
            if begin >= end:
                return False
            if start <= begin and after <= end and kind in kinds:
                return True
        return False


class Fragment(NamedTuple):
    """What is found in a stretch of words that no phrase reaches out of; positions are its own."""

    items: list[Item]
    negation: list[Item]
    kinds: frozenset[str]


_NOTHING = Fragment([], [], frozenset())


class Fragments:
    """The fragments that sentences are made of; each is looked through once."""

    def __init__(self, phrasebook: Phrasebook) -> None:
        self._phrasebook = phrasebook
        self._known: dict[str, Fragment] = {}

    def found(self, words: str) -> tuple[list[Item], list[Item], set[str]]:
        """What is in ``words``: the items that stand, the negations, and the kinds of all of these."""
        bonds, known = self._phrasebook.bonds, self._known
        items: list[Item] = []
        negation: list[Item] = []
        kinds: set[str] = set()
        begin = 0
        # no phrase goes on behind the last word
        for end, pair in enumerate(map(add, words, words[1:] + _END), 1):
            if pair in bonds:
                continue
            part = words[begin:end]
            fragment = known.get(part) or self._add(part)
            if fragment is not _NOTHING:
                standing, negating, of_kinds = fragment
                kinds |= of_kinds
                if begin:
                    # as a call this would take a third longer
                    items += [_new_item(Item, (kind, label, s + begin, e + begin)) for kind, label, s, e in standing]
                    if negating:
                        negation += [_new_item(Item, (kind, "", s + begin, e + begin)) for kind, _, s, e in negating]
                else:
                    items += standing
                    negation += negating
            begin = end
        return items, negation, kinds

    def _add(self, words: str) -> Fragment:
        found = self._phrasebook.match(words)
        fragment = _NOTHING
        if found:
            standing = _claim(found)
            negation = [item for item in found if item[0] in _NEGATION]
            fragment = Fragment(standing, negation, frozenset([item[0] for item in standing + negation]))
        if len(self._known) >= _MOST_FRAGMENTS:
            self._known.clear()
        self._known[words] = fragment
        return fragment


def read(grammar: Grammar, fragments: Fragments, reduced: str) -> Sentence | None:
    """The sentence with this reduced form, or None where there is nothing that a rule could look at."""
    words = reduced.replace(ASSERTIVE, "")
    items, negation, kinds = fragments.found(words)
    if kinds.isdisjoint(_READ):
        return None
    if "finding" in kinds and _BETWEEN_VERBS.search(words) and any(_across(words, item) for item in items):
        items = _claim([item for item in grammar.phrasebook.match(words) if not _across(words, item)])
        kinds = {item[0] for item in items + negation}
    if kinds.isdisjoint(_JUDGED):
        return Sentence(words, items, kinds, [0])
    starts = [0]
    if not (kinds.isdisjoint(_TURNING) or kinds.isdisjoint(_SEGMENTED)):
        starts += turns(grammar, words, reduced, items, negation, kinds)
    sentence = Sentence(words, items, kinds, starts)
    if negation and not (kinds.isdisjoint(_NEGATABLE) and "structure" not in kinds):
        _negate(grammar, sentence, negation)
    return sentence


def _across(words: str, item: Item) -> bool:
    """Whether a finding's words belong to two statements: "the heart is enlarged mediastinum is normal"."""
    kind, _, start, end = item
    if kind != "finding" or start == 0 or end >= len(words) or end - start < 2:
        return False
    return words[start - 1] in VERBS and words[end] in VERBS


def dense_places(reduced: str) -> list[int]:
    """Where the dense words of a sentence are in its reduced form."""
    return [index for index, character in enumerate(reduced) if character != ASSERTIVE]


def _negate(grammar: Grammar, sentence: Sentence, negation: list[Item]) -> None:
    """Lay the sentence out for negspacy, and take its answer back to the sentence's positions."""
    telling = {position for _, _, start, end in negation for position in range(start, end)}
    entities = [item for item in sentence.items if item[0] in _NEGATABLE]
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


def _claim(items: list[Item]) -> list[Item]:
    """The items that stand: of two claiming phrases that overlap the longer one, and then the one further left."""
    claiming: list[Item] = []
    others: list[Item] = []
    kept: list[Item] = []
    ignored: list[Item] = []
    for item in items:
        kind = item[0]
        if kind in _CLAIMING:
            claiming.append(item)
        elif kind == "other":
            others.append(item)
        elif kind not in _NEGATION:
            kept.append(item)
            if kind == "ignore":
                ignored.append(item)
    if ignored:
        claiming = [item for item in claiming if not any(_covers(ignore, item) for ignore in ignored)]
    if _overlap(claiming):
        claiming = _longest(claiming)
    kept += claiming
    if others:
        kept += _uncovered(others, claiming)
    kept.sort(key=_IN_ORDER)
    return kept


def _uncovered(others: list[Item], claiming: list[Item]) -> list[Item]:
    """The other findings that are no part of a label's phrase or of a longer one of them."""
    named = {p for item in claiming if item.kind in _NAMING for p in range(item.start, item.end)}
    others = [item for item in others if named.isdisjoint(range(item.start, item.end))]
    if len(others) < 2:
        return others
    return [i for i in others if not any(j is not i and j.start <= i.start and i.end <= j.end for j in others)]


def _overlap(items: list[Item]) -> bool:
    """Whether two items share a word without being at the same place; ``items`` are in order."""
    start = end = 0
    for item in items:
        if item.start < end and (item.start != start or item.end != end):
            return True
        start, end = item.start, item.end
    return False


def _longest(items: list[Item]) -> list[Item]:
    items.sort(key=lambda item: (item.start - item.end, item.start))
    owner: dict[int, tuple[int, int]] = {}
    kept = []
    for item in items:
        span = (item.start, item.end)
        positions = range(item.start, item.end)
        if all(owner.get(position, span) == span for position in positions):
            owner.update(dict.fromkeys(positions, span))
            kept.append(item)
    return kept


def _covers(ignore: Item, item: Item) -> bool:
    """Whether ``item`` is only part of a longer phrase that is no mention of its label."""
    overlap = ignore.start < item.end and item.start < ignore.end
    return ignore.label == item.label and overlap and ignore.end - ignore.start >= item.end - item.start
