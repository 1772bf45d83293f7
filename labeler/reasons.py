"""Why each label of a vector has its state: mentions weighed against each other, rules and cues in plain English.

Nothing is decided here: a ``LabelVector`` says what was read, by which words and by which rule, and which state won.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from corpora.errors import RadloopError
from corpora.labels import POSITIVE, STATE_NAMES, UNCERTAIN, State
from corpora.types import Report
from labeler.schemas import RulesSchema, load_schema
from labeler.types import Cue, LabelVector, Mention

#: What each rule of the shipped labelers means. A rule that is not here is shown by its name.
RULES: Final[Mapping[str, str]] = {
    "asserted": "Named, and not denied, doubted or set aside.",
    "denied": "A negation before it reaches it.",
    "denied after": "A negation after it reaches back to it.",
    "left open": "Said to be possible only.",
    "doubted": "Put in doubt by the words before it.",
    "doubted after": "Put in doubt by the words after it.",
    "weighed against another": "Weighed against something else, and neither is asserted.",
    "one of several": "One of several alternatives, and none of them is asserted.",
    "only a change is denied": "A change of it is denied, which leaves open whether it is there.",
    "excepted": "Denied everywhere but in one place: it is there.",
    "explained as something else": "Said to be something else, or perhaps something else.",
    "means its absence": "Words that mean that it is not there, or no longer.",
    "not reported": "Talked about, not reported: history, a reason to look, advice or a disclaimer.",
    "outside the label's definition": "Words in the same clause take it out of what the label means.",
    "not this label": "Has words of the label, but the whole phrase means something else.",
    "implied": "Not named, only implied by a related finding. Counts where nothing clearer is said.",
    "says nothing of size": "The denial of a related finding, which says nothing of the label itself.",
    "said to be normal": "Said to be normal.",
    "said to be not normal": "Said to be not normal.",
    "said to be abnormal": "Said to be abnormal.",
    "said to be not abnormal": "Said to be not abnormal.",
    "borderline": "Said to be at the border between normal and abnormal.",
    "only compared with before": "Only compared with an earlier film. Counts where nothing clearer is said.",
    "an abnormality": "An abnormality without a label of its own; it stands in the way of this one.",
    "a normal film": "Words of a normal film. They count where nothing abnormal is asserted or left open.",
    "occlusion": "Without these words the network is less sure of it.",
    "contains": "The words of the label's name occur.",
}

#: What each kind of cue does, in a word or two. A kind that is not here is shown by its name.
CUES: Final[Mapping[str, str]] = {
    "negation": "denies",
    "open": "leaves open",
    "modal": "leaves open",
    "doubt": "doubts",
    "doubt_after": "doubts",
    "affirm": "affirms",
    "unmention": "sets aside",
    "unmention_after": "sets aside",
    "either": "gives a choice",
    "versus": "gives a choice",
    "unless": "tells it apart",
    "artifact": "explains it away",
    "change": "speaks of a change",
    "exception": "makes an exception",
    "normal": "says normal",
    "abnormal": "says abnormal",
    "borderline": "says borderline",
    "unchanged": "compares",
}

#: What a mention says, the one first that gives shared words their colour.
ROLES: Final = ("positive", "uncertain", "negative", "abnormality", "normality", "uncounted")

# evidence against No Finding and for it
_ABNORMALITY: Final = "an abnormality"
_NORMALITY: Final = "a normal film"


class Reason(NamedTuple):
    """A mention as evidence for its label: ``number`` is its place in the vector, ``role`` one of ``ROLES``."""

    number: int
    mention: Mention
    role: str
    why: str
    counts: bool


class Answer(NamedTuple):
    """A label and its state; what is to be said of it besides its mentions; and these, those that count first."""

    label: str
    state: State
    said: str
    reasons: tuple[Reason, ...]


def rule_sentence(rule: str) -> str:
    """What ``rule`` means.

    >>> rule_sentence("denied"), rule_sentence("ours")
    ('A negation before it reaches it.', 'Rule: ours.')
    """
    return RULES.get(rule) or f"Rule: {rule}."


def answers(report: Report, vector: LabelVector, schema: RulesSchema | None = None) -> list[Answer]:
    """One answer for each label of ``vector``, in its order.

    ``schema`` knows what stands in the way of No Finding; without it, the one registered as ``vector.schema`` is
    taken, if there is one. Raises ``ValueError`` where the evidence cannot be of this report.
    """
    _check(report, vector)
    schema = schema or _registered(vector.schema)
    found: defaultdict[str, list[Reason]] = defaultdict(list)
    for number, mention in enumerate(vector.mentions):
        found[mention.label].append(_reason(number, mention, vector[mention.label]))
    return [
        Answer(label, state, _said(vector, label, state, found[label], schema), tuple(sorted(found[label], key=_rank)))
        for label, state in zip(vector.labels, vector.states, strict=True)
    ]


def _check(report: Report, vector: LabelVector) -> None:
    if report.study_id != vector.study_id:
        raise ValueError("the report and its labels are of different studies")
    size = len(report.text)
    spans: list[Mention | Cue] = [*vector.mentions, *(cue for mention in vector.mentions for cue in mention.cues)]
    if not all(0 <= span.start < span.end <= size for span in spans):
        raise ValueError("a mention or cue is empty or reaches beyond the report's text")


@lru_cache(maxsize=8)
def _registered(name: str) -> RulesSchema | None:
    try:
        return load_schema(name)
    except RadloopError:
        return None


def _reason(number: int, mention: Mention, label_state: State) -> Reason:
    why = rule_sentence(mention.rule)
    if mention.rule == _ABNORMALITY:
        return Reason(number, mention, "abnormality", why, True)
    if mention.state is None:
        return Reason(number, mention, "uncounted", why, False)
    role = "normality" if mention.rule == _NORMALITY else STATE_NAMES[mention.state]
    counts = mention.state == label_state
    if not counts:
        why += f" Overruled: the label is {STATE_NAMES[label_state]}."
    return Reason(number, mention, role, why, counts)


def _rank(reason: Reason) -> tuple[bool, bool, int]:
    return not reason.counts, reason.role == "uncounted", reason.number


def _said(vector: LabelVector, label: str, state: State, reasons: list[Reason], schema: RulesSchema | None) -> str:
    if schema and label == schema.schema.no_finding:
        return _said_of_no_finding(vector, label, state, schema)
    if any(reason.counts for reason in reasons):
        return ""
    if state is not None:
        return "The labeler gives no words for it."
    return "Seen and not counted." if reasons else "Not mentioned."


def _said_of_no_finding(vector: LabelVector, label: str, state: State, schema: RulesSchema) -> str:
    if state == POSITIVE:
        return "The report was read, and nothing abnormal is asserted or left open."
    in_its_way = [
        f"{other} ({STATE_NAMES[found]})"
        for other, found in vector.asserted().items()
        if found in (POSITIVE, UNCERTAIN) and other != label and other not in schema.beside_no_finding
    ]
    if any(mention.rule == _ABNORMALITY for mention in vector.mentions):
        in_its_way.append("an abnormality without a label")
    return f"In the way: {', '.join(in_its_way)}." if in_its_way else "Not mentioned."
