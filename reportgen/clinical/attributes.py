"""What a sentence says of each finding in it: side, place, severity, size, change, age."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from reportgen.clinical.config import ClinicalConfig

_WORD: Final = re.compile(r"[a-z]+(?:-[a-z]+)*")
_SIZE: Final = re.compile(
    r"(\d+(?:\.\d+)?)(?:\s*(?:x|by|-|to)\s*(\d+(?:\.\d+)?))?\s*(mm|cm|millimeters?|centimeters?)\b"
)
# where the words after a finding begin to belong to the next one
_NEXT: Final = re.compile(r",|;|\band\b|\bwith\b|\bwithout\b|\bor\b|\bplus\b|\bbut\b|\bas well as\b")
_BOTH: Final = frozenset(("right", "left"))


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is said of a finding. ``severity`` is 1 (trace) to 4 (large), ``size`` millimetres; None is unsaid."""

    sides: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    severity: float | None = None
    size: float | None = None
    changes: frozenset[str] = frozenset()
    ages: frozenset[str] = frozenset()
    alarming: bool = False

    def merged(self, other: Attributes) -> Attributes:
        """Of two mentions of one finding: all that is said, the more severe."""
        return Attributes(
            self.sides | other.sides,
            self.places | other.places,
            _most(self.severity, other.severity),
            _most(self.size, other.size),
            self.changes | other.changes,
            self.ages | other.ages,
            self.alarming or other.alarming,
        )


def _most(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


class AttributeReader:
    """Finds the attributes of spans in a sentence."""

    def __init__(self, config: ClinicalConfig) -> None:
        self._sides = _inverted(config.sides)
        self._places = _inverted(config.places)
        self._changes = _inverted(config.changes)
        self._ages = _inverted(config.ages)
        self._severities = {word: level for level, words in config.severities.items() for word in words}
        self._alarming = frozenset(config.alarming)

    def read(self, sentence: str, spans: Sequence[tuple[int, int]]) -> list[Attributes]:
        """The attributes of each span; a sentence with one side gives it to spans that have none."""
        text = sentence.lower()
        found = [self._of(_around(text, span, spans)) for span in spans]
        whole = self._of(text)
        return [_completed(attributes, whole) for attributes in found]

    def _of(self, text: str) -> Attributes:
        words = _WORD.findall(text)
        words = [*words, *(part for word in words if "-" in word for part in word.split("-"))]
        levels = [self._severities[word] for word in words if word in self._severities]
        sides = frozenset().union(*(_BOTH if side == "both" else {side} for side in self._named(words, self._sides)))
        return Attributes(
            sides,
            frozenset(self._named(words, self._places)),
            sum(levels) / len(levels) if levels else None,
            _size(text),
            frozenset(self._named(words, self._changes)),
            frozenset(self._named(words, self._ages)),
            not self._alarming.isdisjoint(words),
        )

    def _named(self, words: Iterable[str], known: dict[str, set[str]]) -> set[str]:
        return set().union(*(known[word] for word in words if word in known))


def _inverted(words: dict[str, list[str]]) -> dict[str, set[str]]:
    known: dict[str, set[str]] = {}
    for name, several in words.items():
        for word in several:
            known.setdefault(word, set()).add(name)
    return known


def _around(text: str, span: tuple[int, int], spans: Sequence[tuple[int, int]]) -> str:
    """The words of a sentence that speak of one span: from the span before it to where the next one's begin."""
    start, end = span
    before = max((b for _, b in spans if b <= start), default=0)
    after = min((a for a, _ in spans if a >= end), default=len(text))
    head = text[before:start]
    joints = list(_NEXT.finditer(head)) if before else []
    head = head[joints[-1].end() :] if joints else head
    tail = text[end:after]
    if after < len(text):
        joint = _NEXT.search(tail)
        tail = tail[: joint.start()] if joint else ""
    return f"{head}{text[start:end]} {tail}"


def _completed(attributes: Attributes, whole: Attributes) -> Attributes:
    if len(whole.sides) == 1 and not attributes.sides:
        attributes = Attributes(
            whole.sides, attributes.places, attributes.severity, attributes.size, attributes.changes,
            attributes.ages, attributes.alarming,
        )  # fmt: skip
    return attributes


def _size(text: str) -> float | None:
    sizes = [
        float(number) * (10 if unit.startswith("c") else 1)
        for first, second, unit in _SIZE.findall(text)
        for number in (first, second)
        if number
    ]
    return max(sizes, default=None)
