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
_JOINS = frozenset({",", "and", "with"})


class Sentence:
    """What the rules need to know of a sentence; positions are of dense words (no fillers)."""

    __slots__ = ("by_kind", "items", "late_negations", "negated", "negations", "starts", "words")

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


def read(grammar: Grammar, characters: str) -> tuple[Sentence | None, list[int]]:
    """The sentence with this reduced form, and where its dense words are in it.

    There is no sentence where there is nothing that a rule could look at.
    """
    places = [index for index, character in enumerate(characters) if character != ASSERTIVE]
    word_of = grammar.vocabulary.word_of
    words = [word_of[characters[index]] for index in places]
    found = match(grammar.trie, words)
    if not any(item.kind in _READ for item in found):
        return None, places
    items = _claim([item for item in found if item.kind not in _NEGATION])
    asserted = {index for index, place in enumerate(places) if place and characters[place - 1] == ASSERTIVE}
    starts = [0, *_turns(grammar, words, asserted, items)]
    sentence = Sentence(words, items, starts)
    negation = [item for item in found if item.kind in _NEGATION]
    if negation:
        _negate(grammar, sentence, negation)
    return sentence, places


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
    sentence.negated = {item for item, negated in zip(entities, answer.negated, strict=True) if negated}
    sentence.negations = [(positions[start], positions[end - 1] + 1) for start, end in answer.before]
    sentence.late_negations = [(positions[start], positions[end - 1] + 1) for start, end in answer.after]
    if answer.ends:
        sentence.starts = sorted({*sentence.starts, *(positions[start] for start in answer.ends)})


def _claim(items: list[Item]) -> list[Item]:
    """The items that stand: of two claiming phrases that overlap the longer one, and then the one further left."""
    ignored = [item for item in items if item.kind == "ignore"]
    claiming = [item for item in items if item.kind in _CLAIMING]
    if ignored:
        claiming = [item for item in claiming if not any(_covers(ignore, item) for ignore in ignored)]
    claiming.sort(key=lambda item: (item.start - item.end, item.start))
    owner: dict[int, tuple[int, int]] = {}
    kept = []
    named = set()
    for item in claiming:
        span = (item.start, item.end)
        positions = range(item.start, item.end)
        if all(owner.get(position, span) == span for position in positions):
            for position in positions:
                owner[position] = span
            kept.append(item)
            if item.kind in FINDINGS or item.kind in ("structure", "normal"):
                named.update(positions)
    others = [i for i in items if i.kind == "other" and named.isdisjoint(range(i.start, i.end))]
    if len(others) > 1:
        others = [i for i in others if not any(j != i and j.start <= i.start and i.end <= j.end for j in others)]
    kept += others
    kept += [item for item in items if item.kind not in _CLAIMING and item.kind != "other"]
    kept.sort(key=itemgetter(2, 3, 0, 1))
    return kept


def _covers(ignore: Item, item: Item) -> bool:
    """Whether ``item`` is only part of a longer phrase that is no mention of its label."""
    overlap = ignore.start < item.end and item.start < ignore.end
    return ignore.label == item.label and overlap and ignore.end - ignore.start >= item.end - item.start


def _turns(grammar: Grammar, words: list[str], asserted: set[int], items: list[Item]) -> list[int]:
    """Where a statement of its own begins after a finding was named: no negation or doubt crosses it."""
    ends = {item.end for item in items if item.kind in FINDINGS or item.kind == "ignore"}
    turns = {item.start for item in items if item.kind == "turn"}
    if not ends and not turns:
        return []
    anatomy = {item.start for item in items if item.kind in ("structure", "subject")}
    stated = ends | {item.end for item in items if item.kind in PREDICATES}
    first = min(ends, default=len(words))
    last_or = max((index for index, word in enumerate(words) if word in ("or", "nor")), default=-1)
    assertive = grammar.vocabulary.assertive
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
