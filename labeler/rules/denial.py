"""The usual denial, read without laying it out: "no effusion or pneumothorax", "heart normal, no edema and no nodule".

Where nothing but negations in front of findings is in a sentence, and the sentence does not turn behind the first of
them but to another negation, all that stands behind that one is denied. ``decide`` says the same of such a sentence, at
ten times the cost; of any other this module says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from corpora.labels import NEGATIVE, POSITIVE
from labeler.rules.aggregate import Aggregator, Effect
from labeler.rules.decide import ABNORMALITY, NORMAL_FILM, STRENGTH, WEAKEST
from labeler.rules.fragments import NEGATIONS, Fragment
from labeler.rules.grammar import Grammar, Item
from labeler.rules.headings import COLON
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
from labeler.rules.turns import ENDING, NOTED, THERE
from labeler.rules.vocabulary import ASSERTIVE

# with any of these in it a sentence is read in full
_MORE = (CUES & ~AFFIRM) | (NEGATIONS & ~NEG_PRECEDING) | STRUCTURE | LOCATED | UNLESS | CHANGE | EXCEPTION
_LINKS = EITHER | VERSUS
# what is judged by its negation where there is no structure
_NAMED = FINDINGS | OTHER
_BY_ITSELF = FINDING | WEAK | ABSENT | OTHER | FINE


class Denial(NamedTuple):
    """What a fragment adds to a denial: behind a negation (``denied``), or where it holds the first one (``turning``).

    ``negates``: it holds a negation. ``names``: something that can be denied, and ``names_first``: in front of its
    negation. ``first_end`` is where in it the first finding ends (-1: none does). ``renews``: behind a finding it may
    begin a statement of its own; ``resumes``: it does so anywhere. ``readable``: a sentence that holds it can be read
    here.
    """

    denied: Effect
    turning: Effect
    negates: bool
    names: bool
    names_first: bool
    first_end: int
    finds: bool
    renews: bool
    resumes: bool
    readable: bool


_NOTHING: Final = Denial(0, 0, False, False, False, -1, False, False, False, True)


@dataclass(slots=True)
class Part:
    """A fragment of some words: the kinds in it, what it amounts to by itself, what it adds to a denial."""

    words: str
    fragment: Fragment
    kinds: int
    asserted: Effect
    denial: Denial | None = None


def part_of(words: str, fragment: Fragment, aggregator: Aggregator) -> Part:
    """The part that a fragment of these words is; what it adds to a denial is worked out when it is in one."""
    asserted = _effect(fragment.at(0)[0], aggregator) if fragment.kinds & _BY_ITSELF else 0
    return Part(words, fragment, fragment.kinds, asserted)


def _effect(items: Iterable[Item], aggregator: Aggregator, *, denied: bool = False) -> Effect:
    """What items amount to where they are all asserted, or all denied."""
    effect = 0
    for kind, label, _, _ in items:
        if kind == ABSENT or (kind == FINDING and denied):
            effect |= aggregator.said(label, STRENGTH[NEGATIVE])
        elif kind == FINE:
            effect |= aggregator.said(NORMAL_FILM, WEAKEST)
        elif kind == FINDING:
            effect |= aggregator.said(label, STRENGTH[POSITIVE])
        elif kind == WEAK and not denied:
            effect |= aggregator.said(label, WEAKEST)
        elif kind == OTHER and not denied:
            effect |= aggregator.said(ABNORMALITY, WEAKEST)
    return effect


def _denial(part: Part, grammar: Grammar, aggregator: Aggregator) -> Denial:
    words = part.words
    items, negation = part.fragment.at(0)
    # words behind which, or with which, a statement may begin when a finding stands before them
    marks = [at for at, word in enumerate(words) if word in NOTED or word in grammar.vocabulary.assertive_characters]
    if not (items or negation or marks):
        return _NOTHING
    cues = [item for item in negation if item.kind == NEG_PRECEDING]
    first, behind = min([cue.start for cue in cues], default=0), min([cue.end for cue in cues], default=0)
    named = [item for item in items if item.kind & _NAMED]
    before = [item for item in named if cues and item.end <= first]
    after = [item for item in named if item.start >= behind]
    rest = [item for item in items if not item.kind & _NAMED]
    first_end = min([item.end for item in items if item.kind & ENDING], default=-1)
    turns = [item for item in items if item.kind == TURN and _is_turn(item, items, cues)]
    return Denial(
        denied=_effect(items, aggregator, denied=True),
        turning=_effect(before, aggregator) | _effect(after + rest, aggregator, denied=True),
        negates=bool(cues),
        names=bool(named),
        names_first=bool(before),
        first_end=first_end,
        finds=any(item.kind & FINDINGS for item in items),
        renews=bool(marks or turns) or any(item.kind & SUBJECT for item in items),
        resumes=any(words[turn.start] == THERE for turn in turns),
        readable=len(before) + len(after) == len(named)
        and not (marks and 0 <= first_end <= marks[-1])
        and not any(item.label in grammar.near for item in named),
    )


def _is_turn(turn: Item, items: Iterable[Item], cues: Iterable[Item]) -> bool:
    """Whether a sentence that turns here goes on with anything but a negation."""
    cue = min([cue for cue in cues if cue.start >= turn.start], default=None, key=lambda cue: cue.end)
    return cue is None or any(turn.start <= item.start < cue.end and item.kind & _NAMED for item in items)


def denial(kinds: int, reduced: str, parts: Sequence[Part], grammar: Grammar, aggregator: Aggregator) -> Effect | None:
    """What a sentence with these kinds, this reduced form and these parts amounts to; None: read it in full."""
    if kinds & _MORE or not kinds & NEG_PRECEDING or COLON in reduced:
        return None
    effect = begin = 0
    first_end = -1
    negated = renewed = False
    for part in parts:
        adds = part.denial
        if adds is None:
            adds = part.denial = _denial(part, grammar, aggregator)
        if adds is not _NOTHING:
            denied, turning, negates, names, names_first, end, finds, renews, resumes, readable = adds
            renews = (renews and first_end >= 0) or (resumes and negated)
            if not readable or ((renews or renewed) and (names_first if negates and not renews else names)):
                return None
            if negated:
                effect |= denied
            elif negates:
                effect |= turning
                negated = True
            elif finds and kinds & _LINKS:
                return None
            else:
                effect |= part.asserted
            if end >= 0 and first_end < 0:
                first_end = begin + end
            renewed = renews or (renewed and not negates)
        begin += part.fragment.length
    return None if _asserts_anew(reduced, first_end) else effect


def _asserts_anew(reduced: str, first_end: int) -> bool:
    """Whether an assertive filler stands behind the first finding, which ends at ``first_end``."""
    if first_end < 0 or ASSERTIVE not in reduced:
        return False
    return reduced.rfind(ASSERTIVE) - reduced.count(ASSERTIVE) + 1 >= first_end
