"""From the decisions of all sentences to the report's vector.

Any positive mention makes a label positive, else any uncertain one uncertain, else any negative one negative; what is
weak ("the heart is unchanged", "heart failure" for the heart's size) counts only where nothing else was said. No
Finding is positive when the report says something and names no abnormality, its own labels or any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from corpora.labels import NEGATIVE, POSITIVE, UNCERTAIN, State
from labeler.rules.decide import ABNORMALITY, NORMAL_FILM, Decision
from labeler.schemas import RulesSchema

_STATES: Final[tuple[State, ...]] = (None, UNCERTAIN, NEGATIVE, UNCERTAIN, POSITIVE)
_STATE_OF_DIGIT: Final = {f"{said:x}": _STATES[said.bit_length()] for said in range(16)}
_NOT_IN_THE_WAY: Final = (None, NEGATIVE)

#: Bits, four to a slot (a label's place, then ABNORMALITY, then NORMAL_FILM): the strengths that were said. Effects add
#: up by |.
Effect = int
_BITS = 4
_STRENGTHS = (1 << _BITS) - 1
_MOST_SUMS = 50_000


class Aggregator:
    """Adds up effects and says what a report's vector is by them."""

    def __init__(self, schema: RulesSchema) -> None:
        labels = schema.schema.labels
        self._slots = {label: index for index, label in enumerate((*labels, ABNORMALITY, NORMAL_FILM))}
        self._no_finding = self._slots.get(schema.schema.no_finding or "", -1)
        beside = {self._slots[label] for label in schema.beside_no_finding} | {self._no_finding}
        self._blocking = tuple(index for index in range(len(labels)) if index not in beside)
        self._labels = len(labels)
        self._vectors: dict[Effect, tuple[State, ...]] = {}

    def effect(self, decisions: Iterable[Decision]) -> Effect:
        """What decisions amount to."""
        effect = 0
        for label, _, _, _, strength, _, _ in decisions:
            if strength:
                effect |= 1 << (self._slots[label] * _BITS + strength - 1)
        return effect

    def said(self, label: str, strength: int) -> Effect:
        """What one thing said of a label amounts to."""
        return 1 << (self._slots[label] * _BITS + strength - 1)

    def states(self, effect: Effect) -> tuple[State, ...]:
        """One state per label of the schema, by all that a report says."""
        vector = self._vectors.get(effect)
        if vector is None:
            if len(self._vectors) >= _MOST_SUMS:
                self._vectors.clear()
            vector = self._vectors[effect] = self._states(effect)
        return vector

    def _states(self, effect: Effect) -> tuple[State, ...]:
        # a slot is a hexadecimal digit: the last of them is the first slot
        digits = f"{effect:x}"[::-1].ljust(self._labels, "0")
        states = [_STATE_OF_DIGIT[digit] for digit in digits[: self._labels]]
        if self._no_finding >= 0 and self._normal(effect, states):
            states[self._no_finding] = POSITIVE
        return tuple(states)

    def _normal(self, effect: Effect, states: list[State]) -> bool:
        if not effect or effect >> (self._labels * _BITS) & _STRENGTHS:
            return False
        return all(states[index] in _NOT_IN_THE_WAY for index in self._blocking)
