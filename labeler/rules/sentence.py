"""One sentence as the rules see it: dense words, the phrases in it, its segments, negspacy's negations.

A *segment* is a stretch that no cue reaches out of: it ends at negspacy's termination words ("but"), and where our
scope rules see the sentence turn ("no pneumothorax, | small effusion", "no effusion | heart is enlarged").
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter

from labeler.rules.grammar import Grammar, Item, match
from labeler.rules.vocabulary import ASSERTIVE

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
_ANATOMY = frozenset({"structure", "subject"})
_IN_ORDER = itemgetter(2, 3, 0, 1)
_JOINS = frozenset({",", "and", "with"})


class Sentence:
    """What the rules need to know of a sentence; positions are of dense words (no fillers)."""

    __slots__ = ("by_kind", "cued", "items", "late_negations", "negated", "negations", "starts", "words")

    def __init__(self, words: list[str], items: list[Item], starts: list[int]) -> None:
        self.words = words
        self.items = items
        self.starts = starts
        self.negations: list[tuple[int, int]] = []
        self.late_negations: list[tuple[int, int]] = []
        self.negated: set[Item] = set()
        self.by_kind: dict[str, list[Item]] = {}
        for item in items:
            self.by_kind.setdefault(item.kind, []).append(item)
        self.cued = not _CUES.isdisjoint(self.by_kind)

    def segment(self, position: int) -> tuple[int, int]:
        """The segment that holds a position."""
        index = bisect_right(self.starts, position)
        end = self.starts[index] if index < len(self.starts) else len(self.words)
        return self.starts[index - 1], end

    def of(self, *kinds: str) -> list[Item]:
        """The items of some kinds, in order within each kind."""
        if len(kinds) == 1:
            return self.by_kind.get(kinds[0], [])
        return [item for kind in kinds if kind in self.by_kind for item in self.by_kind[kind]]

    def within(self, start: int, end: int, *kinds: str) -> list[Item]:
        """The items of some kinds that lie inside ``start:end``, in order."""
        return [item for item in self.of(*kinds) if start <= item.start and item.end <= end]

    def holds(self, start: int, end: int, kinds: frozenset[str]) -> bool:
        """Whether an item of ``kinds`` lies inside ``start:end``."""
        return any(item.kind in kinds and start <= item.start and item.end <= end for item in self.items)


def read(grammar: Grammar, reduced: str) -> Sentence | None:
    """The sentence with this reduced form, or None where there is nothing that a rule could look at."""
    word_of = grammar.vocabulary.word_of
    words = [word_of[character] for character in reduced if character != ASSERTIVE]
    found = match(grammar.trie, words)
    kinds = {item.kind for item in found}
    if kinds.isdisjoint(_READ):
        return None
    items = _claim(found)
    sentence = Sentence(words, items, [0, *_turns(grammar, words, reduced, items)])
    if not kinds.isdisjoint(_NEGATION):
        _negate(grammar, sentence, [item for item in found if item.kind in _NEGATION])
    return sentence


def dense_places(reduced: str) -> list[int]:
    """Where the dense words of a sentence are in its reduced form."""
    return [index for index, character in enumerate(reduced) if character != ASSERTIVE]


def _negate(grammar: Grammar, sentence: Sentence, negation: list[Item]) -> None:
    """Lay the sentence out for negspacy, and take its answer back to the sentence's positions."""
    telling = {position for item in negation for position in range(item.start, item.end)}
    entities = [item for item in sentence.items if item.kind in _NEGATABLE]
    kept = telling.union(sentence.starts)
    for item in entities:
        kept.update((item.start, item.end - 1))
    positions = sorted(kept)
    place = {position: index for index, position in enumerate(positions)}
    words = [sentence.words[position] if position in telling else "_" for position in positions]
    spans = tuple((place[item.start], place[item.end - 1] + 1) for item in entities)
    answer = grammar.negator.ask(words, spans, tuple(place[start] for start in sentence.starts))
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


def _turns(grammar: Grammar, words: list[str], reduced: str, items: list[Item]) -> list[int]:
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
    if not ends and not turns:
        return []
    stated = ends | predicated
    first = min(ends, default=len(words))
    last_or = -1
    if "or" in words or "nor" in words:
        last_or = max(index for index, word in enumerate(words) if word in ("or", "nor"))
    assertive = grammar.vocabulary.assertive
    asserted = _led_by_filler(reduced) if ASSERTIVE in reduced else frozenset()
    cuts = []
    for at in range(1, len(words)):
        word = words[at]
        if at in turns and (at >= first or word == "there"):
            cuts.append(at)
        elif at >= first:
            asserts = at > last_or and (at in asserted or word in assertive)
            if (
                (asserts and words[at - 1] in _JOINS)
                or (at in stated and at in anatomy)
                or (asserts and at in ends and word not in _JOINS)
            ):
                cuts.append(at)
    return cuts
