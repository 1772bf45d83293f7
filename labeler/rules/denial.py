"""The usual denial, read without laying it out: "no effusion or pneumothorax", "heart normal, no edema and no nodule".

Where nothing but negations in front of findings is in a sentence, and the sentence does not turn behind the first of
them but to another negation, all that stands behind that one is denied. ``decide`` says the same of such a sentence, at
ten times the cost; of any other this module says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from labeler.rules.aggregate import Aggregator, Effect
from labeler.rules.decide import Decision, decisions_of
from labeler.rules.fragments import NEGATIONS, Fragment
from labeler.rules.grammar import Grammar, Item
from labeler.rules.kinds import (
    ABSENT,
    AFFIRM,
    CHANGE,
    CUES,
    EITHER,
    EXCEPTION,
    FINDING,
    FINDINGS,
    FINE,
    LOCATED,
    NEG_PRECEDING,
    OTHER,
    STRUCTURE,
    SUBJECT,
    TURN,
    UNLESS,
    VERSUS,
    WEAK,
)  # fmt: skip
from labeler.rules.sentence import NEGATABLE, Sentence
from labeler.rules.turns import ENDING, NOTED, THERE
from labeler.rules.vocabulary import ASSERTIVE

# with any of these in it a sentence is read in full
_MORE = (
    (CUES & ~AFFIRM) | (NEGATIONS & ~NEG_PRECEDING) | STRUCTURE | LOCATED | UNLESS | CHANGE | EXCEPTION
)  # fmt: skip
_LINKS = EITHER | VERSUS
_BY_ITSELF = FINDING | WEAK | ABSENT | OTHER | FINE


class Part(NamedTuple):
    """What a fragment adds to a denial: its effect before a negation, behind one, and when it holds the first one.

    ``first_end`` is where in it the first finding ends (-1: none does). ``renews``: it may begin a statement of its own
    behind a finding; ``resumes``: it does so anywhere; ``notes``: a finding behind a word like "seen" in it would.
    ``readable``: a sentence that holds it can be read here.
    """

    asserted: Effect
    denied: Effect
    turning: Effect
    length: int
    negates: bool
    first_end: int
    finds: bool
    renews: bool
    resumes: bool
    notes: bool
    readable: bool


def part_of(words: str, fragment: Fragment, grammar: Grammar, aggregator: Aggregator) -> Part:
    """What the fragment of these words adds."""
    items, negation = fragment.at(0)
    cues = [item for item in negation if item[0] == NEG_PRECEDING]
    behind = min([cue.end for cue in cues], default=0)
    before = [item for item in items if item.end <= min([cue.start for cue in cues], default=0)]
    after = [item for item in items if item.start >= behind]
    turns = [item for item in items if _turns(item, items, cues)]
    ends = [item.end for item in items if item.kind & ENDING]
    noted = [place for place, word in enumerate(words) if word in NOTED]
    assertive = any(word in grammar.vocabulary.assertive_characters for word in words)
    rest = _alone(words, items, grammar, ABSENT | FINE)
    unread = [item for item in items if item.kind & NEGATABLE and item not in before and item not in after]
    late = [item for item in items if item.kind & ENDING and noted and item.start > noted[0]]
    return Part(
        aggregator.effect(_alone(words, items, grammar, _BY_ITSELF)),
        aggregator.effect([*_denied(words, items, grammar), *rest]),
        aggregator.effect([*_alone(words, before, grammar, _BY_ITSELF), *_denied(words, after, grammar), *rest]),
        fragment.length,
        bool(cues),
        min(ends, default=-1),
        any(item.kind & FINDINGS for item in items),
        assertive or bool(turns) or any(item.kind & SUBJECT for item in items),
        any(words[turn.start] == THERE for turn in turns),
        bool(noted),
        not (unread or late or (assertive and ends) or any(item.label in grammar.near for item in items)),
    )


def _turns(item: Item, items: list[Item], cues: list[Item]) -> bool:
    """Whether a sentence that turns at ``item`` goes on with anything but a negation."""
    if item.kind != TURN:
        return False
    cue = min([cue for cue in cues if cue.start >= item.start], default=None, key=lambda cue: cue.end)
    return cue is None or any(item.start <= other.start < cue.end and other.kind & NEGATABLE for other in items)


def _alone(words: str, items: list[Item], grammar: Grammar, kinds: int) -> list[Decision]:
    """What items amount to where nothing is denied or left open."""
    standing = [item for item in items if item.kind & kinds]
    of_kinds = 0
    for item in standing:
        of_kinds |= item.kind
    return decisions_of(Sentence(words, standing, of_kinds, [0]), grammar)


def _denied(words: str, items: list[Item], grammar: Grammar) -> list[Decision]:
    findings = [item for item in items if item.kind & FINDING]
    sentence = Sentence(words, findings, FINDING if findings else 0, [0])
    sentence.cued, sentence.negated, sentence.negations = True, set(findings), [(0, 0)]
    return decisions_of(sentence, grammar)


def denial(kinds: int, reduced: str, parts: Iterable[Part]) -> Effect | None:
    """What a sentence with these kinds, this reduced form and these parts amounts to; None: read it in full."""
    if kinds & _MORE or not kinds & NEG_PRECEDING:
        return None
    effect = begin = 0
    first_end = -1
    negated = noted = False
    for asserted, denied, turning, length, negates, ends, finds, renews, resumes, notes, readable in parts:
        if not readable or (first_end >= 0 and renews) or (negated and resumes) or (noted and ends >= 0):
            return None
        if negated:
            effect |= denied
        elif negates:
            effect |= turning
            negated = True
        elif finds and kinds & _LINKS:
            return None
        else:
            effect |= asserted
        if ends >= 0 and first_end < 0:
            first_end = begin + ends
        noted = noted or notes
        begin += length
    if ASSERTIVE in reduced and reduced.rfind(ASSERTIVE) - reduced.count(ASSERTIVE) + 1 >= first_end >= 0:
        return None
    return effect
