"""What flows through an audit: a frame of texts, a stratified draw from it, readings, and a sample to estimate from.

    Frame -> Draw -> Reading (one per reader and text) -> Sample -> Estimate

The unit of everything is a distinct text: reports with the same text are one cluster, read once and counted as often
as they occur. Arrays of states are int8: 1 positive, 0 negative, -1 uncertain, ``BLANK_CODE`` blank, ``UNREAD`` where
a reader could not judge or nobody read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from numpy.typing import NDArray

from corpora.labels import State

BLANK_CODE: Final = 2
UNREAD: Final = 3

#: What a reader can answer: a state, or that the report does not let one judge.
Answer = State | Literal["cannot_judge"]
Phase = Literal["blind", "revealed", "adjudicated"]


@dataclass(frozen=True, slots=True)
class Stratum:
    """A stratum of the frame: ``size`` texts that stand for ``reports`` reports, of which ``drawn`` texts are read."""

    name: str
    size: int
    reports: int
    drawn: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reader said of one text, label by label.

    ``study_id`` is the report that stands for its cluster. ``phase`` is ``blind`` for what was submitted before
    machine labels were shown, ``revealed`` for what the same reader left after seeing the differences,
    ``adjudicated`` for a decision between readers. ``repeat`` is true for the hidden second reading of a text by the
    same reader. ``at`` is the time of submission (ISO 8601, UTC).
    """

    study_id: str
    reader: str
    answers: Mapping[str, Answer]
    phase: Phase
    at: str
    repeat: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """The texts that were read, as arrays: R texts, L labels, H strata.

    ``stratum`` [R] indexes ``strata``; ``reports`` [R] is how many reports each text stands for; ``machine`` [R, L]
    and ``truth`` [R, L] hold states, ``second`` [R, L] those of another labeler where the audit compares two.
    ``strata`` give what the texts were drawn from: inclusion is by stratified sampling of texts without replacement.
    """

    labels: tuple[str, ...]
    study_ids: tuple[str, ...]
    strata: tuple[Stratum, ...]
    stratum: NDArray[Any]
    reports: NDArray[Any]
    machine: NDArray[Any]
    truth: NDArray[Any]
    second: NDArray[Any] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
