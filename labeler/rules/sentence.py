"""One sentence as the rules see it: dense words, the phrases in it, its segments, negspacy's negations.

A *segment* is a stretch that no cue reaches out of: it ends at negspacy's termination words ("but"), and where our
scope rules see the sentence turn ("no pneumothorax, | small effusion", "no effusion | heart is enlarged").
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from itertools import accumulate
from operator import add, itemgetter
from typing import NamedTuple

from labeler.rules.grammar import Grammar, Item, Phrasebook
from labeler.rules.vocabulary import ASSERTIVE, UNKNOWN, VERBS, rule_character, rule_characters

FINDINGS = frozenset({"finding", "weak", "located"})
PREDICATES = frozenset({"normal", "abnormal", "borderline", "unchanged"})
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
_ENDING = FINDINGS | {"ignore"}
_TURNING = _ENDING | {"turn"}
# what no segment matters to is read without them
_SEGMENTED = _CUES | _NEGATION | {"structure", "unless", "either", "versus"}
_ANATOMY = frozenset({"structure", "subject"})
_IN_ORDER = itemgetter(2, 3, 0, 1)
_THERE = rule_character("there")
_ALTERNATIVES = rule_characters("or", "nor")
_JOINS = rule_characters(",", "and", "with")
_NOTED = rule_characters(
    "seen", "identified", "noted", "demonstrated", "visualized", "evident", "present", "appreciated"
)
#: Words behind which a statement goes on.
CONTINUING = rule_characters(
    ",", "and", "or", "in", "within", "on", "at", "with", "of", "to", "but", "which", "that", "as"
)
_AND = rule_character("and")
_REACHING = frozenset({"unmention", "open", "modal", "doubt"})
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
    """What is found in a stretch of words that no phrase reaches out of; positions are those of a sentence."""

    items: list[Item]
    negation: list[Item]
    kinds: frozenset[str]


class Fragments:
    """The fragments that sentences are made of; each is looked through once.

    What is found is remembered by the fragment's place in its sentence, too: to look it up there takes a third of what
    it takes to move the items.
    """

    def __init__(self, phrasebook: Phrasebook) -> None:
        self._phrasebook = phrasebook
        self._known: defaultdict[int, dict[str, Fragment]] = defaultdict(dict)
        self._count = 0

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
            fragment = known[begin].get(part) or self._add(part, begin)
            if fragment is not _NOTHING:
                standing, negating, of_kinds = fragment
                kinds |= of_kinds
                items += standing
                if negating:
                    negation += negating
            begin = end
        return items, negation, kinds

    def _add(self, words: str, begin: int) -> Fragment:
        if self._count >= _MOST_FRAGMENTS:
            self._known.clear()
            self._count = 0
        first = self._known[0].get(words) if begin else None
        fragment = first or _look_through(self._phrasebook, words)
        if begin:
            self._remember(words, 0, fragment)
            standing, negation, kinds = fragment
            fragment = Fragment(_moved(standing, begin), _moved(negation, begin), kinds) if kinds else fragment
        self._remember(words, begin, fragment)
        return fragment

    def _remember(self, words: str, begin: int, fragment: Fragment) -> None:
        self._known[begin][words] = fragment
        self._count += 1


def _look_through(phrasebook: Phrasebook, words: str) -> Fragment:
    found = phrasebook.match(words)
    if not found:
        return _NOTHING
    standing = _claim(found)
    negation = [item for item in found if item[0] in _NEGATION]
    return Fragment(standing, negation, frozenset([item[0] for item in standing + negation]))


_NOTHING = Fragment([], [], frozenset())


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
        starts += _turns(grammar, words, reduced, items, negation, kinds)
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


def _moved(items: list[Item], by: int) -> list[Item]:
    return [_new_item(Item, (kind, label, start + by, end + by)) for kind, label, start, end in items]


def dense_places(reduced: str) -> list[int]:
    """Where the dense words of a sentence are in its reduced form."""
    return [index for index, character in enumerate(reduced) if character != ASSERTIVE]


def _negate(grammar: Grammar, sentence: Sentence, negation: list[Item]) -> None:
    """Lay the sentence out for negspacy, and take its answer back to the sentence's positions."""
    telling = {position for _, _, start, end in negation for position in range(start, end)}
    entities = [item for item in sentence.items if item[0] in _NEGATABLE]
    positions, places = _stretches(sentence, telling, entities) or _laid_out(sentence, telling, entities)
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


def _led_by_filler(reduced: str) -> frozenset[int]:
    """The dense words that an assertive filler stands before ("a mild effusion")."""
    return frozenset(accumulate(map(len, reduced.split(ASSERTIVE)[:-1])))


def _turns(
    grammar: Grammar, words: str, reduced: str, items: list[Item], negation: list[Item], kinds: set[str]
) -> list[int]:
    """Where a statement of its own begins after a finding was named: no negation or doubt crosses it."""
    count = len(words)
    ends = {item[3] for item in items if item[0] in _ENDING}
    first = min(ends, default=count)
    cuts: set[int] = set()
    if "turn" in kinds:
        reached = min([item[3] for item in items if item[0] in _REACHING], default=count)
        late = {item[2] for item in negation if item[0] == "neg_following"} if "neg_following" in kinds else ()
        turns = [item[2] for item in items if item[0] == "turn" and item[2] > 0 and item[2] not in late]
        cuts.update([at for at in turns if at >= first or at >= reached or words[at] == _THERE])
    if first == count:
        return sorted(cuts)
    last_finding = max([item[2] for item in items if item[0] in _ENDING])
    if not (_ANATOMY.isdisjoint(kinds) and _NOTED.isdisjoint(words)):
        cuts.update(_run_on(words, items, ends, first, last_finding))
    assertive = grammar.vocabulary.assertive_characters
    asserted = _led_by_filler(reduced) if ASSERTIVE in reduced else _NOWHERE
    if asserted or not assertive.isdisjoint(words):
        cuts.update(_asserted_anew(words, items, ends, asserted, assertive, last_finding))
    return sorted(cuts)


_NOWHERE: frozenset[int] = frozenset()


def _asserted_anew(
    words: str, items: list[Item], ends: set[int], asserted: frozenset[int], assertive: frozenset[str], last: int
) -> list[int]:
    """Where a word begins a new statement after a comma, "and" or "with" ("no effusion, mild edema")."""
    count = len(words)
    unmentioned = min([item[3] for item in items if item[0] == "unmention"], default=count)
    cuts = []
    for at in range(max(min(ends), _last_alternative(words) + 1), count):
        if words[at] in assertive or at in asserted:
            listed = words[at - 1] == _AND and unmentioned <= at
            if (words[at - 1] in _JOINS and not listed) or (at in ends and at <= last and words[at] not in _JOINS):
                cuts.append(at)
    return cuts


def _run_on(words: str, items: list[Item], ends: set[int], first: int, last_finding: int) -> list[int]:
    """Where dictation without full stops goes on with another subject ("is normal | lungs"), or after "is seen"."""
    cuts: list[int] = []
    named = [item[2] for item in items if item[0] in _ANATOMY and item[2] >= first]
    if named:
        anatomy = {item[3] for item in items if item[0] in _ANATOMY}
        stated = ends.union(
            [
                item[3]
                for item in items
                if item[0] in PREDICATES and item[2] and (words[item[2] - 1] in VERBS or item[2] in anatomy)
            ]
        )
        cuts = [start for start in named if start in stated]
    if not _NOTED.isdisjoint(words):
        for at in range(max(first, 2), last_finding + 1):
            if words[at - 1] in _NOTED and words[at - 2] in VERBS and words[at] not in CONTINUING:
                cuts.append(at)
    return cuts


def _last_alternative(words: str) -> int:
    """Where the last "or" or "nor" is; -1 where there is none."""
    return max(map(words.rfind, _ALTERNATIVES))
