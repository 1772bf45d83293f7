"""What phrases a stretch of words holds, where no phrase reaches out of the stretch: found once, remembered."""

from __future__ import annotations

from collections.abc import Iterable
from operator import add, itemgetter

from labeler.rules.grammar import Item, Phrasebook
from labeler.rules.kinds import (
    ABSENT,
    AFFIRM,
    DOUBT,
    DOUBT_AFTER,
    EITHER,
    FINDINGS,
    IGNORE,
    MODAL,
    NEG_FOLLOWING,
    NEG_PRECEDING,
    NEG_PSEUDO,
    NEG_TERMINATION,
    NO_CHANGE,
    NORMAL,
    OPEN,
    OTHER,
    PREDICATES,
    STRUCTURE,
    SUBJECT,
    TURN,
    UNMENTION,
    UNMENTION_AFTER,
    VERSUS,
)  # fmt: skip

#: The kinds of negspacy's termset.
NEGATIONS = NEG_PRECEDING | NEG_FOLLOWING | NEG_PSEUDO | NEG_TERMINATION
# kinds that claim their words: of two that overlap, only the longer is there
_CLAIMING = (
    FINDINGS | PREDICATES | ABSENT | STRUCTURE | SUBJECT | MODAL | OPEN | DOUBT | DOUBT_AFTER | AFFIRM | UNMENTION
    | UNMENTION_AFTER | NO_CHANGE | EITHER | VERSUS | TURN
)  # fmt: skip
_NAMING = FINDINGS | ABSENT | STRUCTURE | NORMAL
_IN_ORDER = itemgetter(2, 3, 0, 1)
_MOST_FRAGMENTS = 50_000
_END = " "
# Item(...) itself takes four times as long, and there are four of them to a sentence
_new_item = tuple.__new__

#: What is in a sentence: the items that stand, the negations, the kinds of all of these.
Contents = tuple[list[Item], list[Item], int]


class Fragment:
    """What is found in ``length`` words that no phrase reaches out of."""

    __slots__ = ("_at", "kinds", "length")

    def __init__(self, length: int, items: list[Item], negation: list[Item]) -> None:
        self.length = length
        self.kinds = kinds_of(items + negation)
        self._at = {0: (items, negation)}

    def at(self, begin: int) -> tuple[list[Item], list[Item]]:
        """The items that stand and the negations, in a sentence in which the fragment begins at ``begin``."""
        found = self._at.get(begin)
        if found is None:
            items, negation = self._at[0]
            found = self._at[begin] = _moved(items, begin), _moved(negation, begin)
        return found


def _moved(items: list[Item], by: int) -> list[Item]:
    return [_new_item(Item, (kind, label, start + by, end + by)) for kind, label, start, end in items]


class Fragments:
    """The fragments that sentences are made of; each is looked through once."""

    def __init__(self, phrasebook: Phrasebook) -> None:
        self._phrasebook = phrasebook
        self._known: dict[str, Fragment] = {}

    def found(self, words: str) -> Contents:
        """What is in ``words``."""
        bonds = self._phrasebook.bonds
        fragments = []
        begin = 0
        # no phrase goes on behind the last word
        for end, pair in enumerate(map(add, words, words[1:] + _END), 1):
            if pair not in bonds:
                fragments.append(self.fragment(words[begin:end]))
                begin = end
        return put_together(fragments)

    def fragment(self, words: str) -> Fragment:
        """The fragment of these words; the first and the last of them part it from others."""
        return self._known.get(words) or self._add(words)

    def _add(self, words: str) -> Fragment:
        found = self._phrasebook.match(words)
        fragment = Fragment(len(words), claim(found), [item for item in found if item[0] & NEGATIONS])
        if len(self._known) >= _MOST_FRAGMENTS:
            self._known.clear()
        self._known[words] = fragment
        return fragment


def put_together(fragments: Iterable[Fragment]) -> Contents:
    """What is in the sentence that fragments make up, in their order."""
    items: list[Item] = []
    negation: list[Item] = []
    kinds = begin = 0
    for fragment in fragments:
        if fragment.kinds:
            kinds |= fragment.kinds
            standing, negating = fragment.at(begin)
            items += standing
            negation += negating
        begin += fragment.length
    return items, negation, kinds


def kinds_of(items: Iterable[Item]) -> int:
    """The kinds of items, together."""
    kinds = 0
    for item in items:
        kinds |= item[0]
    return kinds


def claim(items: list[Item]) -> list[Item]:
    """The items that stand: of two claiming phrases that overlap the longer one, and then the one further left."""
    claiming: list[Item] = []
    others: list[Item] = []
    kept: list[Item] = []
    ignored: list[Item] = []
    for item in items:
        kind = item[0]
        if kind & _CLAIMING:
            claiming.append(item)
        elif kind == OTHER:
            others.append(item)
        elif not kind & NEGATIONS:
            kept.append(item)
            if kind == IGNORE:
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
    named = {p for item in claiming if item.kind & _NAMING for p in range(item.start, item.end)}
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
