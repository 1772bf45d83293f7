"""From a sentence's canonical words to decisions: what each phrase in it says of a label."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import NamedTuple

from corpora.labels import NEGATIVE, POSITIVE, UNCERTAIN, State
from labeler.rules.assertion import Verdict, judge
from labeler.rules.fragments import Fragments
from labeler.rules.grammar import Grammar, Item
from labeler.rules.kinds import (
    ABSENT,
    ALTERNATIVE,
    BORDERLINE,
    EITHER,
    FINDINGS,
    FINE,
    IGNORE,
    LOCATED,
    NEGATION,
    NO_CHANGE,
    NORMAL,
    OTHER,
    PLACE,
    STRUCTURE,
    UNCHANGED,
    UNLESS,
    UNMENTION,
    VERSUS,
    WEAK,
)  # fmt: skip
from labeler.rules.sentence import Sentence, dense_places, read
from labeler.rules.structures import predicates_of
from labeler.rules.vocabulary import rule_character, rule_characters

STRENGTH = {POSITIVE: 4, UNCERTAIN: 3, NEGATIVE: 2}
WEAKEST = 1
ABNORMALITY = "#abnormal"
NORMAL_FILM = "#fine"


class Decision(NamedTuple):
    """What a phrase says of a label; ``start:end`` and the cues are positions of dense words.

    ``label`` is a label of the schema, or ``ABNORMALITY``/``NORMAL_FILM``, the evidence for No Finding. The strongest
    decision of a report wins: positive 4, uncertain 3, negative 2, weak 1; 0 is not counted.
    """

    label: str
    start: int
    end: int
    state: State
    strength: int
    cues: tuple[tuple[int, int, int], ...]
    rule: str


# the constructor of a NamedTuple takes four times as long
_new_decision = tuple.__new__
_LIST_GAP = 7
_VERSUS_GAP = 4
_BY_PLACE = attrgetter("start", "end")
_VERBS = rule_characters("is", "are", "was", "were", "there")
_COMMA, _NOT = map(rule_character, (",", "not"))
_PARTING = rule_characters(",", ":")


def decide(grammar: Grammar, fragments: Fragments, reduced: str) -> list[Decision]:
    """All decisions of the sentence with this reduced form."""
    sentence = read(grammar, fragments, reduced)
    return [] if sentence is None else decisions_of(sentence, grammar)


def decisions_of(sentence: Sentence, grammar: Grammar) -> list[Decision]:
    """All decisions of a sentence that was read."""
    kinds = sentence.kinds
    decisions: list[Decision] = []
    if kinds & FINDINGS:
        verdicts = _findings(sentence, grammar.near)
        if kinds & (EITHER | VERSUS):
            _weigh_alternatives(sentence, verdicts, grammar)
        decisions = [_decision(item, verdict) for item, verdict in verdicts.items()]
    if kinds & STRUCTURE:
        decisions += _structures(sentence)
    if kinds & ABSENT:
        denied = STRENGTH[NEGATIVE]
        decisions += [_spanned(item, NEGATIVE, denied, (), "means its absence") for item in sentence.of(ABSENT)]
    if kinds & IGNORE:
        decisions += [_spanned(item, None, 0, (), "not this label") for item in sentence.of(IGNORE)]
    if kinds & OTHER:
        decisions += _abnormalities(sentence)
    if kinds & FINE:
        decisions += [_spanned(item, None, WEAKEST, (), "a normal film", NORMAL_FILM) for item in sentence.of(FINE)]
    return decisions


def in_order(decisions: list[Decision], reduced: str) -> list[Decision]:
    """The decisions in the order of their spans, with positions in the reduced form."""
    places = dense_places(reduced)
    ordered = sorted(decisions, key=lambda d: (d.start, d.end, d.label, d.rule))
    return [_placed(decision, places) for decision in ordered]


def _placed(decision: Decision, places: Sequence[int]) -> Decision:
    cues = tuple((places[start], places[end - 1] + 1, kind) for start, end, kind in decision.cues)
    return decision._replace(start=places[decision.start], end=places[decision.end - 1] + 1, cues=cues)


def _findings(sentence: Sentence, near: frozenset[str]) -> dict[Item, Verdict]:
    verdicts = {}
    limited = sentence.kinds & UNLESS
    for item in sentence.items:
        kind, label, _, _ = item
        if not kind & FINDINGS or (kind == LOCATED and not _placed_where_due(sentence, label)):
            continue
        verdict = judge(sentence, item, near=label in near)
        verdicts[item] = (limited and _outside_definition(sentence, item, verdict)) or verdict
    return verdicts


def _placed_where_due(sentence: Sentence, label: str) -> bool:
    return any(place.label == label for place in sentence.of(PLACE))


def _outside_definition(sentence: Sentence, item: Item, verdict: Verdict) -> Verdict | None:
    if verdict.state is None or verdict.state == NEGATIVE:
        return None
    start, end = sentence.segment(item.start)
    for word in sentence.of(UNLESS):
        if word.label == item.label and start <= word.start < end and judge(sentence, word).state == POSITIVE:
            return Verdict(None, ((word.start, word.end, UNLESS),), "outside the label's definition")
    return None


def _weigh_alternatives(sentence: Sentence, verdicts: dict[Item, Verdict], grammar: Grammar) -> None:
    """Take back what is asserted of "A or B" and "A versus B": one of them is meant."""
    if not any(verdict[0] == POSITIVE for verdict in verdicts.values()):
        return
    for item in verdicts:
        link = _weighed(sentence, item)
        if link is not None and verdicts[item].state == POSITIVE:
            verdicts[item] = Verdict(UNCERTAIN, ((link.start, link.end, link.kind),), "weighed against another")
    row = _things(verdicts, sentence) if grammar.shared else [*verdicts, *sentence.of(ALTERNATIVE)]
    row.sort(key=_BY_PLACE)
    for index, (first, second) in enumerate(pairwise(row)):
        link = _choice(sentence, first, second)
        if link is None or _compared(sentence, first) or first.label == second.label:
            continue
        if first.label in grammar.general and _COMMA in sentence.words[first.end : link.start]:
            continue
        meant = [*_listed(sentence, row[: index + 1], grammar.general), second]
        for item in _under_all_labels(meant, verdicts) if grammar.shared else meant:
            if item in verdicts and verdicts[item].state == POSITIVE and item.label not in grammar.near:
                verdicts[item] = Verdict(UNCERTAIN, ((link.start, link.end, link.kind),), "one of several")


def _things(verdicts: dict[Item, Verdict], sentence: Sentence) -> list[Item]:
    """What there is to choose from, each thing once: a finding of two labels, and what is no label elsewhere."""
    found = {(item.start, item.end): item for item in verdicts}
    taken = {place for start, end in found for place in range(start, end)}
    others = [item for item in sentence.of(ALTERNATIVE) if taken.isdisjoint(range(item.start, item.end))]
    return [*found.values(), *others]


def _under_all_labels(meant: list[Item], verdicts: dict[Item, Verdict]) -> list[Item]:
    places = {(item.start, item.end) for item in meant}
    return [item for item in verdicts if (item.start, item.end) in places]


def _listed(sentence: Sentence, row: list[Item], general: frozenset[str]) -> list[Item]:
    """The last of ``row`` and those before it that only commas part; a general finding heads the list from outside."""
    listed = [row[-1]]
    for earlier in reversed(row[:-1]):
        if earlier.label in general or sentence.words[earlier.end : listed[-1].start] != _COMMA:
            break
        listed.append(earlier)
    return listed


def _compared(sentence: Sentence, item: Item) -> bool:
    """Whether a list is one of things that have not changed: "or" joins them and weighs nothing."""
    start, _ = sentence.segment(item.start)
    return bool(sentence.within(start, item.start, NO_CHANGE))


def _weighed(sentence: Sentence, item: Item) -> Item | None:
    """The "versus" beside a finding, whatever stands on its other side."""
    start, end = sentence.segment(item.start)
    for link in sentence.within(start, end, VERSUS):
        begin, after = (link.end, item.start) if link.end <= item.start else (item.end, link.start)
        gap = sentence.words[begin:after]
        plain = len(gap) <= _VERSUS_GAP and _PARTING.isdisjoint(gap)
        if begin <= after and plain and not sentence.holds(begin, after, FINDINGS):
            return link
    return None


def _choice(sentence: Sentence, first: Item, second: Item) -> Item | None:
    if second.start < first.end or second.start - first.end > _LIST_GAP:
        return None
    if sentence.segment(first.start) != sentence.segment(second.start):
        return None
    if not _VERBS.isdisjoint(sentence.words[first.end : second.start]):
        return None
    gap = first.end, second.start
    links = sentence.within(*gap, EITHER) or sentence.within(*gap, VERSUS)
    return links[0] if links else None


def _decision(item: Item, verdict: Verdict) -> Decision:
    state, strength, rule = verdict.state, 0, verdict.rule
    if state is not None:
        strength = STRENGTH[state]
    if item.kind == WEAK and state is not None:
        state, strength, rule = (
            (None, 0, "says nothing of size") if state == NEGATIVE else (UNCERTAIN, WEAKEST, "implied")
        )
    return _spanned(item, state, strength, verdict.cues, rule)


def _spanned(
    item: Item, state: State, strength: int, cues: tuple[tuple[int, int, int], ...], rule: str, label: str = ""
) -> Decision:
    return _new_decision(Decision, (label or item[1], item[2], item[3], state, strength, cues, rule))


def _structures(sentence: Sentence) -> list[Decision]:
    decisions = []
    unmentioning = sentence.kinds & UNMENTION
    for structure in sentence.of(STRUCTURE):
        if unmentioning and _talked_about(sentence, structure):
            continue
        said = [_predicate(sentence, predicate) for predicate in predicates_of(sentence, structure)]
        said = [one for one in said if one[1]]
        if said:
            state, strength, cues, rule = max(said, key=_BY_STRENGTH) if len(said) > 1 else said[0]
            decisions.append(_spanned(structure, state, strength, cues, rule))
    return decisions


def _talked_about(sentence: Sentence, structure: Item) -> bool:
    start, end = sentence.segment(structure.start)
    return any(cue.end <= structure.start for cue in sentence.within(start, end, UNMENTION))


Said = tuple[State, int, tuple[tuple[int, int, int], ...], str]
_BY_STRENGTH = itemgetter(1)
_SAID = {POSITIVE: "said to be abnormal", NEGATIVE: "said to be not abnormal", UNCERTAIN: "left open"}


def _predicate(sentence: Sentence, predicate: Item) -> Said:
    """What one predicate says of its structure: state, strength, cues, rule."""
    kind, _, start, end = predicate
    span = (start, end, kind)
    if kind == UNCHANGED:
        return UNCERTAIN, WEAKEST, (span,), "only compared with before"
    if kind == NORMAL:
        adjacent = [n for n in sentence.negations if n[1] == start and sentence.words[n[0]] == _NOT]
        if adjacent:
            return POSITIVE, STRENGTH[POSITIVE], ((*adjacent[0], NEGATION), span), "said to be not normal"
        return NEGATIVE, STRENGTH[NEGATIVE], (span,), "said to be normal"
    verdict = judge(sentence, predicate, near=True)
    if verdict.state is None:
        return None, 0, (), verdict.rule
    if kind == BORDERLINE and verdict.state == POSITIVE:
        return UNCERTAIN, STRENGTH[UNCERTAIN], (span,), "borderline"
    return verdict.state, STRENGTH[verdict.state], (*verdict.cues, span), _SAID[verdict.state]


def _abnormalities(sentence: Sentence) -> list[Decision]:
    """The evidence against No Finding besides the labels."""
    judged = [(item, judge(sentence, item)) for item in sentence.of(OTHER)]
    return [
        _spanned(item, None, WEAKEST, verdict.cues, "an abnormality", ABNORMALITY)
        for item, verdict in judged
        if verdict.state in (POSITIVE, UNCERTAIN)
    ]
