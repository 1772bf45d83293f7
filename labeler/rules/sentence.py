"""One sentence as the rules see it: dense words, the phrases in it, its segments, negspacy's negations.

A *segment* is a stretch that no cue reaches out of: it ends at negspacy's termination words ("but"), and where our
scope rules see the sentence turn ("no pneumothorax, | small effusion", "no effusion | heart is enlarged").
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from labeler.rules.grammar import Grammar, Item, Phrasebook
from labeler.rules.vocabulary import ASSERTIVE, UNKNOWN, rule_character, rule_characters

FINDINGS = frozenset({"finding", "weak", "in_lung"})
PREDICATES = frozenset({"normal", "abnormal", "borderline", "unchanged"})
# kinds that claim their words: of two that overlap, only the longer is there
_CLAIMING = FINDINGS | PREDICATES | {
    "structure", "subject", "modal", "open", "doubt", "doubt_after", "affirm", "unmention", "unmention_after",
    "no_change", "either", "versus", "turn",
}  # fmt: skip
_NEGATABLE = FINDINGS | {"normal", "abnormal", "borderline", "other", "unless"}
_NEGATION = frozenset({"neg_preceding", "neg_following", "neg_pseudo", "neg_termination"})
_READ = FINDINGS | {"structure", "other", "fine", "ignore"}
_NAMING = FINDINGS | {"structure", "normal"}
_CUES = frozenset({"modal", "open", "doubt", "doubt_after", "affirm", "unmention", "unmention_after"})
_ENDING = FINDINGS | {"ignore"}
_TURNING = _ENDING | {"turn"}
_ANATOMY = frozenset({"structure", "subject"})
_IN_ORDER = itemgetter(2, 3, 0, 1)
_THERE = rule_character("there")
_ALTERNATIVES = rule_characters("or", "nor")
_JOINS = rule_characters(",", "and", "with")
_MOST_FRAGMENTS = 100_000


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
    """What is found in a stretch of words that no phrase reaches out of, at its place in a sentence."""

    items: list[Item]
    negation: list[Item]
    kinds: frozenset[str]


class Fragments:
    """The fragments that sentences are made of; each is looked through once."""

    def __init__(self, phrasebook: Phrasebook) -> None:
        self._phrasebook = phrasebook
        self._known: dict[tuple[str, int], Fragment] = {}

    def of(self, words: str) -> list[Fragment]:
        """The fragments of ``words`` in order."""
        bonds, known = self._phrasebook.bonds, self._known
        cuts = [at for at, pair in enumerate(map("".join, pairwise(words)), 1) if pair not in bonds]
        cuts.append(len(words))
        fragments = []
        begin = 0
        for end in cuts:
            key = (words[begin:end], begin)
            fragments.append(known.get(key) or self._add(key))
            begin = end
        return fragments

    def _add(self, key: tuple[str, int]) -> Fragment:
        if len(self._known) >= _MOST_FRAGMENTS:
            self._known.clear()
        found = self._phrasebook.match(*key)
        items = _claim(found)
        negation = [item for item in found if item.kind in _NEGATION]
        fragment = Fragment(items, negation, frozenset(item.kind for item in items))
        self._known[key] = fragment
        return fragment


def read(grammar: Grammar, fragments: Fragments, reduced: str) -> Sentence | None:
    """The sentence with this reduced form, or None where there is nothing that a rule could look at."""
    words = reduced.replace(ASSERTIVE, "")
    items: list[Item] = []
    negation: list[Item] = []
    kinds: set[str] = set()
    for fragment in fragments.of(words):
        found, negating, of_kinds = fragment
        if found:
            items += found
            kinds |= of_kinds
        if negating:
            negation += negating
    if kinds.isdisjoint(_READ):
        return None
    starts = [0] if kinds.isdisjoint(_TURNING) else [0, *_turns(grammar, words, reduced, items)]
    sentence = Sentence(words, items, kinds, starts)
    if negation:
        _negate(grammar, sentence, negation)
    return sentence


def dense_places(reduced: str) -> list[int]:
    """Where the dense words of a sentence are in its reduced form."""
    return [index for index, character in enumerate(reduced) if character != ASSERTIVE]


def _negate(grammar: Grammar, sentence: Sentence, negation: list[Item]) -> None:
    """Lay the sentence out for negspacy, and take its answer back to the sentence's positions."""
    telling = {position for _, _, start, end in negation for position in range(start, end)}
    entities = [item for item in sentence.items if item[0] in _NEGATABLE]
    kept = telling.union(sentence.starts)
    for _, _, start, end in entities:
        kept.add(start)
        kept.add(end - 1)
    positions = sorted(kept)
    place = {position: index for index, position in enumerate(positions)}
    words = "".join([sentence.words[position] if position in telling else UNKNOWN for position in positions])
    spans = tuple([(place[start], place[end - 1] + 1) for _, _, start, end in entities])
    answer = grammar.negator.ask(words, spans, tuple([place[start] for start in sentence.starts]))
    sentence.cued = sentence.cued or bool(answer.before or answer.after)
    sentence.negated = {item for item, negated in zip(entities, answer.negated, strict=True) if negated}
    sentence.negations = [(positions[start], positions[end - 1] + 1) for start, end in answer.before]
    sentence.late_negations = [(positions[start], positions[end - 1] + 1) for start, end in answer.after]
    if answer.ends:
        sentence.starts = sorted({*sentence.starts, *(positions[start] for start in answer.ends)})


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


def _led_by_filler(reduced: str) -> frozenset[int]:
    """The dense words that an assertive filler stands before ("a mild effusion")."""
    places = dense_places(reduced)
    return frozenset(index for index, place in enumerate(places) if place and reduced[place - 1] == ASSERTIVE)


def _turns(grammar: Grammar, words: str, reduced: str, items: list[Item]) -> list[int]:
    """Where a statement of its own begins after a finding was named: no negation or doubt crosses it."""
    ends: set[int] = set()
    turns: set[int] = set()
    anatomy: set[int] = set()
    predicated: set[int] = set()
    for kind, _, start, end in items:
        if kind in _ENDING:
            ends.add(end)
        elif kind == "turn":
            turns.add(start)
        elif kind in _ANATOMY:
            anatomy.add(start)
        elif kind in PREDICATES:
            predicated.add(end)
    count = len(words)
    first = min(ends, default=count)
    cuts = {at for at in turns if 0 < at and (at >= first or words[at] == _THERE)}
    cuts.update([at for at in anatomy if at >= first and (at in ends or at in predicated)])
    if first < count:
        last_or = _last_alternative(words)
        assertive = grammar.vocabulary.assertive_characters
        asserted = _led_by_filler(reduced) if ASSERTIVE in reduced else frozenset()
        for at in range(max(first, last_or + 1), count):
            if (words[at] in assertive or at in asserted) and (
                words[at - 1] in _JOINS or (at in ends and words[at] not in _JOINS)
            ):
                cuts.add(at)
    return sorted(cuts)


def _last_alternative(words: str) -> int:
    """Where the last "or" or "nor" is; -1 where there is none."""
    return max(map(words.rfind, _ALTERNATIVES))
