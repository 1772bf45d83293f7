"""From the decisions of all sentences to the report's vector.

Any positive mention makes a label positive, else any uncertain one uncertain, else any negative one negative; what is
weak ("the heart is unchanged", "heart failure" for the heart's size) counts only where nothing else was said. No
Finding is positive when the report says something and names no abnormality, its own labels or any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from corpora.labels import NEGATIVE, POSITIVE, UNCERTAIN, State
from labeler.rules.decide import ABNORMAL, FINE, WEAK, Decision
from labeler.schemas import RulesSchema

_STATES: Final[tuple[State, ...]] = (None, UNCERTAIN, NEGATIVE, UNCERTAIN, POSITIVE)

Effect = tuple[tuple[int, int], ...]


class Aggregator:
    """Adds up effects: pairs of a slot (a label's place, then ABNORMAL, then FINE) and a strength."""

    def __init__(self, schema: RulesSchema) -> None:
        labels = schema.schema.labels
        self._slots = {label: index for index, label in enumerate((*labels, ABNORMAL, FINE))}
        self._size = len(self._slots)
        self._no_finding = self._slots.get(schema.schema.no_finding or "", -1)
        beside = {self._slots[label] for label in schema.beside_no_finding} | {self._no_finding}
        self._blocking = tuple(index for index in range(len(labels)) if index not in beside)
        self._labels = len(labels)

    def effect(self, decisions: Iterable[Decision]) -> Effect:
        """What decisions amount to: the strongest of each slot."""
        best: dict[int, int] = {}
        for decision in decisions:
            slot = self._slots[decision.label]
            if decision.strength > best.get(slot, 0):
                best[slot] = decision.strength
        return tuple(best.items())

    def merged(self, effects: Iterable[Effect]) -> Effect:
        """Several effects as one."""
        best: dict[int, int] = {}
        for slot, strength in (pair for effect in effects for pair in effect):
            best[slot] = max(strength, best.get(slot, 0))
        return tuple(best.items())

    def states(self, effects: Iterable[Effect]) -> tuple[State, ...]:
        """One state per label of the schema."""
        best = [0] * self._size
        for effect in effects:
            for slot, strength in effect:
                if strength > best[slot]:
                    best[slot] = strength
        states = [_STATES[strength] for strength in best[: self._labels]]
        if self._no_finding >= 0 and self._normal(best, states):
            states[self._no_finding] = POSITIVE
        return tuple(states)

    def _normal(self, best: list[int], states: list[State]) -> bool:
        if best[self._labels] >= WEAK or not any(best):
            return False
        return all(states[index] in (None, NEGATIVE) for index in self._blocking)
