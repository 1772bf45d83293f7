"""Where a sentence turns: "no pneumothorax, | small effusion", "no effusion | heart is enlarged"."""

from __future__ import annotations

from itertools import accumulate

from labeler.rules.grammar import Grammar, Item
from labeler.rules.kinds import (
    DOUBT,
    FINDINGS,
    IGNORE,
    MODAL,
    NEG_FOLLOWING,
    OPEN,
    PREDICATES,
    STRUCTURE,
    SUBJECT,
    TURN,
    UNMENTION,
)  # fmt: skip
from labeler.rules.vocabulary import ASSERTIVE, VERBS, rule_character, rule_characters

#: What ends a statement where it ends.
ENDING = FINDINGS | IGNORE
_ANATOMY = STRUCTURE | SUBJECT
#: Begins a statement wherever it stands.
THERE = rule_character("there")
_ALTERNATIVES = rule_characters("or", "nor")
_JOINS = rule_characters(",", "and", "with")
#: Words behind which, after a verb, a statement ends.
NOTED = rule_characters(
    "seen", "identified", "noted", "demonstrated", "visualized", "evident", "present", "appreciated"
)
#: Words behind which a statement goes on.
CONTINUING = rule_characters(
    ",", "and", "or", "in", "within", "on", "at", "with", "of", "to", "but", "which", "that", "as"
)
_AND = rule_character("and")
_REACHING = UNMENTION | OPEN | MODAL | DOUBT
_NOWHERE: frozenset[int] = frozenset()


def _led_by_filler(reduced: str) -> frozenset[int]:
    """The dense words that an assertive filler stands before ("a mild effusion")."""
    return frozenset(accumulate(map(len, reduced.split(ASSERTIVE)[:-1])))


def turns(grammar: Grammar, words: str, reduced: str, items: list[Item], negation: list[Item], kinds: int) -> list[int]:
    """Where a statement of its own begins after a finding was named: no negation or doubt crosses it.

    ``words`` are the dense words of ``reduced``; ``items`` (in order), ``negation`` and ``kinds`` are what is in them.
    """
    count = len(words)
    ending = [item for item in items if item[0] & ENDING] if kinds & ENDING else ()
    ends = {item[3] for item in ending}
    first = min(ends) if ends else count
    cuts: set[int] = set()
    if kinds & TURN:
        reached = min([item[3] for item in items if item[0] & _REACHING]) if kinds & _REACHING else count
        late = {item[2] for item in negation if item[0] == NEG_FOLLOWING} if kinds & NEG_FOLLOWING else ()
        starts = [item[2] for item in items if item[0] == TURN and item[2] > 0 and item[2] not in late]
        cuts.update([at for at in starts if at >= first or at >= reached or words[at] == THERE])
    if first == count or not ending:
        return sorted(cuts)
    last_finding = ending[-1][2]
    if kinds & _ANATOMY or not NOTED.isdisjoint(words):
        cuts.update(_run_on(words, items, ends, first, last_finding))
    assertive = grammar.vocabulary.assertive_characters
    asserted = _led_by_filler(reduced) if ASSERTIVE in reduced else _NOWHERE
    if asserted or not assertive.isdisjoint(words):
        cuts.update(_asserted_anew(words, items, ends, asserted, assertive, last_finding))
    return sorted(cuts)


def _asserted_anew(
    words: str, items: list[Item], ends: set[int], asserted: frozenset[int], assertive: frozenset[str], last: int
) -> list[int]:
    """Where a word begins a new statement after a comma, "and" or "with" ("no effusion, mild edema")."""
    count = len(words)
    unmentioned = min([item[3] for item in items if item[0] == UNMENTION], default=count)
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
    named = [item[2] for item in items if item[0] & _ANATOMY and item[2] >= first]
    if named:
        anatomy = {item[3] for item in items if item[0] & _ANATOMY}
        stated = ends.union(
            [
                item[3]
                for item in items
                if item[0] & PREDICATES and item[2] and (words[item[2] - 1] in VERBS or item[2] in anatomy)
            ]
        )
        cuts = [start for start in named if start in stated]
    if not NOTED.isdisjoint(words):
        for at in range(max(first, 2), last_finding + 1):
            if words[at - 1] in NOTED and words[at - 2] in VERBS and words[at] not in CONTINUING:
                cuts.append(at)
    return cuts


def _last_alternative(words: str) -> int:
    """Where the last "or" or "nor" is; -1 where there is none."""
    return max(map(words.rfind, _ALTERNATIVES))
