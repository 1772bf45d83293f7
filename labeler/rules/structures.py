"""The heart and the mediastinum: anatomy whose state is said by a predicate nearby.

"Heart size and mediastinal contours are within normal limits" speaks of both, "the heart is normal, the aorta is
tortuous" of one; "stable" alone leaves the size open.
"""

from __future__ import annotations

from labeler.rules.grammar import Item
from labeler.rules.kinds import FINDINGS, PREDICATES, STRUCTURE, SUBJECT
from labeler.rules.sentence import Sentence
from labeler.rules.vocabulary import UNKNOWN, VERBS, rule_character, rule_characters

_ANATOMY = STRUCTURE | SUBJECT
_NAMED = _ANATOMY | FINDINGS
_STEPS = PREDICATES | _NAMED
# words that join the members of a list of structures
_LISTING = rule_characters(
    ",", "and", "of", "in", "or", "/", "with", "is", "are", "appearance", "size", "contour", "both"
) | {UNKNOWN}
_PARTING = rule_characters(",", "and", "with", "but")
_COMMA, _AND, _COLON = map(rule_character, (",", "and", ":"))
_VERBAL = VERBS | {_COLON}
_FARTHEST = 3


def predicates_of(sentence: Sentence, structure: Item) -> list[Item]:
    """The predicates that speak of ``structure``, in order; empty where nothing is said of it."""
    if not sentence.kinds & PREDICATES:
        return []
    before: list[Item] = []
    if sentence.items[0][3] <= structure.start:
        start, _ = sentence.segment(structure.start)
        before = _attributes(sentence, structure.start, start)
        if before and _said_of_another(sentence, before[0], structure):
            before = []
    after = _said_after(sentence, structure, bool(before))
    if before or after:
        return before + after
    return _shared(sentence, structure)


def _said_of_another(sentence: Sentence, before: Item, structure: Item) -> bool:
    """As in "the lungs are clear heart is enlarged": no full stop, but a verb on both sides."""
    words = sentence.words
    verb_before = before.start > 0 and words[before.start - 1] in VERBS
    return verb_before and structure.end < len(words) and words[structure.end] in VERBS


def _attributes(sentence: Sentence, position: int, start: int) -> list[Item]:
    """Predicates directly before ``position``: "stable normal heart", "enlargement of the heart"."""
    found: list[Item] = []
    at = position
    for item in reversed(sentence.among(start, position, PREDICATES)):
        gap = sentence.words[item.end : at]
        if len(gap) > _FARTHEST or not _VERBAL.isdisjoint(gap) or _COMMA in gap or (_AND in gap and not found):
            break
        if sentence.holds(item.end, at, _NAMED):
            break
        found.insert(0, item)
        at = item.start
    return found


def _said_after(sentence: Sentence, structure: Item, described: bool) -> list[Item]:
    """The predicates behind ``structure`` up to the next thing that has a name; "but" and "though" are no end."""
    found: list[Item] = []
    after = at = structure.end
    for item in sentence.items:
        kind, _, start, end = item
        if start < after or not kind & _STEPS:
            continue
        if kind & PREDICATES:
            found.append(item)
        elif kind & FINDINGS or found or _COLON in sentence.words[at:start]:
            return _without_attributes(sentence, found, item, described)
        at = end
    return found


def _without_attributes(sentence: Sentence, found: list[Item], following: Item, described: bool) -> list[Item]:
    """What is left of ``found`` when the adjectives of the ``following`` noun are taken away."""
    at = following.start
    while found and (found[-1].end == at or (at != following.start and sentence.words[found[-1].end : at] == _AND)):
        if not described and sentence.words[found[-1].start - 1] in VERBS:
            break
        if len(found) == 1 and not following.kind & FINDINGS and not described and not _parted(sentence, found[0]):
            break
        at = found.pop().start
    return found


def _parted(sentence: Sentence, predicate: Item) -> bool:
    """Whether a predicate is parted from what stands before it by a comma or a conjunction, or follows it bare."""
    return predicate.start > 0 and sentence.words[predicate.start - 1] in _PARTING


def _shared(sentence: Sentence, structure: Item) -> list[Item]:
    """The attribute of a list that ``structure`` is a later member of: "normal heart size and mediastinal contour"."""
    at = structure.start
    steps = [item for item in sentence.items if item[0] & _STEPS and item[3] <= at]
    for item in reversed(steps):
        if not _LISTING.issuperset(sentence.words[item.end : at]):
            return []
        if item.kind & PREDICATES:
            return [item]
        at = item.start
    return []
