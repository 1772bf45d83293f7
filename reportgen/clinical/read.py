"""From a report to its findings: what the rule labeler mentions, with what is said of each, one finding a label."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from corpora.labels import NEGATIVE, POSITIVE, UNCERTAIN, State
from corpora.types import Report
from labeler.base import Labeler, load
from labeler.rules.sentences import sentences
from labeler.types import Mention
from reportgen.clinical.attributes import AttributeReader, Attributes
from reportgen.clinical.config import ClinicalConfig, load_clinical

_MOST_SENTENCES: Final = 200_000
_LONGEST: Final = 2_000
_TUBE_WRONG: Final = "Malposition"
_ABOVE: Final = re.compile(r"\b(?:above|from|proximal|cranial)\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding of a report: its state (1, 0, -1), what is said of it, and the sentences that say it."""

    label: str
    state: State
    attributes: Attributes
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """The findings of a report by label: those asserted or open, and those denied.

    ``contradicted`` are the labels that are asserted and denied with nothing, as a side, to tell the two apart.
    """

    there: dict[str, Finding]
    denied: dict[str, Finding]
    contradicted: frozenset[str]


class Reader:
    """Reads findings. A sentence that was read before is remembered, which changes no result."""

    def __init__(self, config: ClinicalConfig) -> None:
        self.config = config
        self._labeler: Labeler = load("rules.v1", str(config.schema_file()))
        self._attributes = AttributeReader(config)
        self._hidden = {
            (specific, general) for specific, generals in config.instead_of.items() for general in generals
        }  # fmt: skip
        self._read: dict[str, tuple[Finding, ...]] = {}

    def __call__(self, text: str) -> Findings:
        """The findings of a report."""
        found = [finding for start, end in sentences(text) for finding in self._sentence(text[start:end].strip())]
        there = _by_label(finding for finding in found if finding.state != NEGATIVE)
        denied = _by_label(finding for finding in found if finding.state == NEGATIVE)
        return Findings(there, denied, _contradicted(found))

    def _sentence(self, sentence: str) -> tuple[Finding, ...]:
        known = self._read.get(sentence)
        if known is None:
            known = tuple(self._findings(sentence))
            if len(self._read) >= _MOST_SENTENCES:
                self._read.clear()
            if len(sentence) <= _LONGEST:
                self._read[sentence] = known
        return known

    def _findings(self, sentence: str) -> Iterable[Finding]:
        vector = self._labeler(Report("", sentence))
        mentions = self._told_apart([mention for mention in vector.mentions if _says_something(mention)])
        spans = sorted({(mention.start, mention.end) for mention in mentions})
        attributes = dict(zip(spans, self._attributes.read(sentence, spans), strict=True))
        for mention in mentions:
            said = attributes[mention.start, mention.end]
            yield Finding(mention.label, mention.state, said, (sentence,))
            if self._lies_wrong(mention, said, sentence):
                yield Finding(_TUBE_WRONG, POSITIVE, Attributes(), (sentence,))

    def _told_apart(self, mentions: Sequence[Mention]) -> list[Mention]:
        return [
            mention
            for mention in mentions
            if not any((other.label, mention.label) in self._hidden and _overlap(other, mention) for other in mentions)
        ]

    def _lies_wrong(self, mention: Mention, said: Attributes, sentence: str) -> bool:
        limits = self.config.safe_distance.get(mention.label)
        if limits is None or said.size is None or mention.state != POSITIVE or not _ABOVE.search(sentence.lower()):
            return False
        return not limits[0] <= said.size <= limits[1]


@cache
def load_reader(name: str = "radloop-clinical.v1") -> Reader:
    """The reader of a configuration; made once, because its labeler takes a second to make."""
    return Reader(load_clinical(name))


def _says_something(mention: Mention) -> bool:
    """Whether a mention asserts, denies or doubts: "the mediastinum is stable" says nothing of its size."""
    compared = mention.state == UNCERTAIN and any(cue.kind == "unchanged" for cue in mention.cues)
    return mention.state is not None and not compared


def _overlap(one: Mention, other: Mention) -> bool:
    return one.start < other.end and other.start < one.end


def _by_label(found: Iterable[Finding]) -> dict[str, Finding]:
    """One finding a label: what is sure before what is open, all that is said of it."""
    merged: dict[str, Finding] = {}
    for finding in found:
        known = merged.get(finding.label)
        if known is None or (finding.state == POSITIVE and known.state != POSITIVE):
            merged[finding.label] = finding
        elif known.state == finding.state:
            attributes = known.attributes.merged(finding.attributes)
            told = tuple(dict.fromkeys((*known.sentences, *finding.sentences)))
            merged[finding.label] = Finding(finding.label, finding.state, attributes, told)
    return merged


def _contradicted(found: Sequence[Finding]) -> frozenset[str]:
    yes = [finding for finding in found if finding.state == POSITIVE]
    no = [finding for finding in found if finding.state == NEGATIVE]
    return frozenset(
        one.label for one in yes for other in no if one.label == other.label and _same_thing(one, other)
    )  # fmt: skip


def _same_thing(one: Finding, other: Finding) -> bool:
    a, b = one.attributes, other.attributes
    if one.sentences == other.sentences:
        return False
    apart = (a.sides and b.sides and not a.sides & b.sides) or (a.places and b.places and not a.places & b.places)
    # "no new effusion", "no large effusion", "no left effusion" denies less than the finding
    narrower = (b.sides - a.sides) or b.places or b.severity is not None or b.changes or b.ages
    return not apart and not narrower
