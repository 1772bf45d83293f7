"""Whether a finding is asserted, denied or left open, and by which words.

>>> from labeler import load
>>> labeler = load("rules.v1")
>>> labeler("No effusion or pneumothorax.").asserted()
{'No Finding': 1, 'Pneumothorax': 0, 'Pleural Effusion': 0}
>>> labeler("No change in the left effusion.").asserted()
{'Pleural Effusion': 1}
>>> labeler("Opacity, which may represent atelectasis.").asserted()
{'Lung Opacity': 1, 'Atelectasis': -1}
>>> labeler("No pneumothorax, but effusion cannot be excluded.").asserted()
{'Pneumothorax': 0, 'Pleural Effusion': -1}
>>> labeler("History of pneumonia. Heart size upper limits of normal.").asserted()
{'No Finding': 1, 'Cardiomegaly': 0}
"""

from __future__ import annotations

from typing import NamedTuple

from corpora.labels import NEGATIVE, POSITIVE, UNCERTAIN, State
from labeler.rules.grammar import Item
from labeler.rules.headings import COLON
from labeler.rules.kinds import (
    AFFIRM,
    ARTIFACT,
    CHANGE,
    DOUBT,
    DOUBT_AFTER,
    EITHER,
    EXCEPTION,
    FINDINGS,
    MODAL,
    NEGATION,
    OPEN,
    PART,
    PREDICATES,
    UNLESS,
    UNMENTION,
    UNMENTION_AFTER,
    VERSUS,
)  # fmt: skip
from labeler.rules.sentence import Sentence
from labeler.rules.turns import CONTINUING
from labeler.rules.vocabulary import VERBS, rule_character, rule_characters

_OPENINGS = OPEN | MODAL
_HEDGES = _OPENINGS | DOUBT
_LEAVING_OPEN = _HEDGES | DOUBT_AFTER | ARTIFACT
_UNMENTIONING = UNMENTION | UNMENTION_AFTER
_EXPLAINING = MODAL | AFFIRM
_EXPLAINED_WITHIN = 2
# words from a heading to the doubt in its answer, the colon included
_ANSWER_WITHIN = 2
# "the tip of the tube is not seen" says nothing of the tube
_PART_OF = 2
_LISTING = rule_characters("or", "and")
_LINKS = EITHER | VERSUS
_COMMA, _OR, _AND, _SLASH = map(rule_character, (",", "or", "and", "/"))
_WITH = rule_character("with")
_PARTING = rule_characters("with", "without", ":")


class Verdict(NamedTuple):
    """The state of a finding (None: it is talked about, not reported), the cues that decided and the rule's name."""

    state: State
    cues: tuple[tuple[int, int, int], ...]
    rule: str


_ASSERTED = Verdict(POSITIVE, (), "asserted")
# the constructor of a NamedTuple takes four times as long
_new_verdict = tuple.__new__


def judge(sentence: Sentence, item: Item, *, near: bool = False) -> Verdict:
    """Read the cues around ``item``. ``near``: only a negation with no other finding between counts."""
    if not sentence.cued:
        return _ASSERTED
    kinds = sentence.kinds
    start, end = sentence.segment(item[2])
    verdict = None if not kinds & _UNMENTIONING else _unmentioned(sentence, item, start, end)
    if verdict is None and item in sentence.negated:
        verdict = _denied(sentence, item, start, near) or _denied_after(sentence, item, end, near)
    if verdict is None and kinds & _LEAVING_OPEN:
        verdict = (
            _opened(sentence, item, start) or _doubted(sentence, item, start) or _doubted_after(sentence, item, end)
        )
    if verdict is not None:
        return verdict
    return Verdict(POSITIVE, _affirmations(sentence, item, start), "asserted") if kinds & AFFIRM else _ASSERTED


def _unmentioned(sentence: Sentence, item: Item, start: int, end: int) -> Verdict | None:
    for cue in reversed(sentence.within(start, item.start, UNMENTION)):
        gap = sentence.words[cue.end : item.start]
        if sentence.within(cue.end, item.start, MODAL):
            return None
        if _COMMA not in gap or not _LISTING.isdisjoint(sentence.words[cue.end :]):
            return Verdict(None, (_cue(cue),), "not reported")
    for cue in sentence.within(item.end, end, UNMENTION_AFTER):
        if _COMMA not in sentence.words[item.end : cue.start]:
            return Verdict(None, (_cue(cue),), "not reported")
    return None


def _denied(sentence: Sentence, item: Item, start: int, near: bool) -> Verdict | None:
    cues = [span for span in sentence.negations if start <= span[0] and span[1] <= item[2]]
    if not cues:
        return None
    cue = cues[-1]
    if near and any(f.label != item.label for f in sentence.among(cue[1], item.start, FINDINGS)):
        return None
    if sentence.kinds & _HEDGES and _hedged(sentence, item, cue[1]):
        return None
    changed = [word for word in sentence.of(CHANGE) if word.start == item.end]
    if changed:
        return Verdict(UNCERTAIN, ((*cue, NEGATION), _cue(changed[0])), "only a change is denied")
    excepted = _excepted(sentence, item) if sentence.kinds & EXCEPTION else None
    return excepted or _new_verdict(Verdict, (NEGATIVE, ((*cue, NEGATION),), "denied"))


def _hedged(sentence: Sentence, item: Item, after: int) -> bool:
    """Whether between a negation and ``item`` something is left open: the negation ends there."""
    for hedge in sentence.among(after, item.start, _HEDGES):
        reach = slice(after, hedge.start) if hedge.kind == MODAL else slice(hedge.start - 1, hedge.start)
        if (hedge.kind == DOUBT or _COMMA in sentence.words[reach]) and sentence.holds(after, hedge.start, FINDINGS):
            return True
    return False


def _excepted(sentence: Sentence, item: Item) -> Verdict | None:
    """As in "no effusion other than a trace on the left": there is one, and it has no other name there."""
    begin, start = sentence.segment(item.start)
    for cue in sentence.of(EXCEPTION):
        rest = sentence.segment(cue.start)[1]
        alone = not sentence.holds(begin, item.start, FINDINGS) and not sentence.holds(item.end, rest, FINDINGS)
        outside = any(word.label == item.label and word.start >= cue.end for word in sentence.of(UNLESS))
        if cue.start == start and alone and not outside and cue.end < len(sentence.words):
            return Verdict(POSITIVE, (_cue(cue),), "excepted")
    return None


def _denied_after(sentence: Sentence, item: Item, end: int, near: bool) -> Verdict | None:
    for span in sentence.late_negations:
        if item.end <= span[0] < end and _joined(sentence, item.end, span[0]):
            if near and sentence.holds(item.end, span[0], FINDINGS if item.kind & PREDICATES else PART):
                continue
            if near and sentence.holds(max(0, item.start - _PART_OF), item.start, PART):
                continue
            return Verdict(NEGATIVE, ((*span, NEGATION),), "denied after")
    return None


def _opened(sentence: Sentence, item: Item, start: int) -> Verdict | None:
    if not sentence.kinds & _OPENINGS:
        return None
    for cue in reversed(sentence.among(start, item.start, _OPENINGS)):
        # ", with": what comes with what was left open is no part of it
        if _COMMA + _WITH in sentence.words[cue.end : item.start]:
            continue
        affirmed = sentence.within(cue.end, item.start, AFFIRM)
        if not any(sentence.holds(cue.end, affirm.start, FINDINGS) for affirm in affirmed):
            return Verdict(UNCERTAIN, (_cue(cue),), "left open")
    return None


def _doubted(sentence: Sentence, item: Item, start: int) -> Verdict | None:
    cues = sentence.within(start, item.start, DOUBT)
    if not cues:
        return None
    cue = cues[-1]
    if item.kind & PREDICATES and not VERBS.isdisjoint(sentence.words[cue.end : item.start]):
        return None
    reached = sentence.among(cue.end, item.start, FINDINGS)
    if reached and not _tied(sentence, reached[0].end, item.start):
        return None
    return Verdict(UNCERTAIN, (_cue(cue),), "doubted")


def _doubted_after(sentence: Sentence, item: Item, end: int) -> Verdict | None:
    for cue in sentence.within(item.end, end, DOUBT_AFTER):
        if not _looks_ahead(sentence, cue, end) and _joined(sentence, item.end, cue.start):
            return Verdict(UNCERTAIN, (_cue(cue),), "doubted after")
    return _answered_in_doubt(sentence, item, end) or (
        _explained_away(sentence, item) if sentence.kinds & ARTIFACT else None
    )


def _answered_in_doubt(sentence: Sentence, item: Item, end: int) -> Verdict | None:
    """As in "Pleural effusion: possible small left": a line of a template, with an answer that names nothing itself."""
    if sentence.words[item.end : item.end + 1] != COLON:
        return None
    for cue in sentence.among(item.end, end, _HEDGES):
        if cue.start - item.end <= _ANSWER_WITHIN and not sentence.holds(cue.end, end, FINDINGS):
            return Verdict(UNCERTAIN, (_cue(cue),), "doubted after")
    return None


def _looks_ahead(sentence: Sentence, cue: Item, end: int) -> bool:
    """Whether a cue that could speak of what is before or behind it ("suspected") has a finding behind it."""
    cues = sentence.within(cue.start, cue.end, DOUBT) + sentence.within(cue.start, cue.end, OPEN)
    if cue.end >= end or not any(other.start == cue.start and other.end == cue.end for other in cues):
        return False
    return sentence.holds(cue.end, end, FINDINGS) or sentence.words[cue.end] not in CONTINUING


def _explained_away(sentence: Sentence, item: Item) -> Verdict | None:
    """As in "density, which may be costochondral calcification": perhaps none; "represents an artifact": none."""
    for artifact in sentence.of(ARTIFACT):
        if artifact.start < item.end or sentence.holds(item.end, artifact.end, FINDINGS):
            continue
        for cue in reversed(sentence.among(item.end, artifact.start, _EXPLAINING)):
            if artifact.start - cue.end <= _EXPLAINED_WITHIN:
                state: State = UNCERTAIN if cue.kind == MODAL else None
                return Verdict(state, (_cue(cue), _cue(artifact)), "explained as something else")
        if artifact.start > item.end and sentence.words[artifact.start - 1] in VERBS:
            return Verdict(None, (_cue(artifact),), "explained as something else")
    return None


def _affirmations(sentence: Sentence, item: Item, start: int) -> tuple[tuple[int, int, int], ...]:
    cues = sentence.within(start, item.start, AFFIRM)
    return tuple(_cue(cue) for cue in cues[-1:] if not sentence.holds(cue.end, item.start, FINDINGS))


def _joined(sentence: Sentence, start: int, end: int) -> bool:
    """Whether a cue at ``end`` still speaks of a finding that ends at ``start``: nothing else, or a list, between."""
    words = sentence.words[start:end]
    if not sentence.holds(start, end, FINDINGS):
        return _COMMA not in words or len(words) <= 1 or not sentence.holds(start, end, PREDICATES)
    if not _PARTING.isdisjoint(words):
        return False
    return _COMMA not in words or _AND in words or _OR in words


def _tied(sentence: Sentence, start: int, end: int) -> bool:
    words = sentence.words[start:end]
    return _OR in words or _SLASH in words or sentence.holds(start, end, _LINKS)


def _cue(item: Item) -> tuple[int, int, int]:
    return item.start, item.end, item.kind
