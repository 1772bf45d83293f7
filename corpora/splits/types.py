"""A split, and what leaks across it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

PARTS: Final = ("train", "validate", "test")


@dataclass(frozen=True, slots=True)
class Leaks:
    """What lies on both sides of a border between parts; ``reports`` is a note, since short reports repeat.

    ``films`` are the studies of each group of films that are the same, by pixels, or by hash where the films were not
    compared.
    """

    patients: tuple[str, ...] = ()
    films: tuple[tuple[str, ...], ...] = ()
    reports: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """The part of each study, and how it came about: patients kept, official studies, studies without a patient."""

    parts: Mapping[str, str]
    patients: Mapping[str, str | None]
    leaks: Leaks = Leaks()
    kept: int = 0
    official: int = 0
    without_patient: int = 0
    balance: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def sizes(self) -> dict[str, int]:
        """Studies by part."""
        counts = Counter(self.parts.values())
        return {part: counts[part] for part in (*PARTS, *sorted(counts.keys() - set(PARTS))) if counts[part]}
