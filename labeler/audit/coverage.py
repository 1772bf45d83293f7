"""What has been read of an audit, gate by gate: only submitted readings by people count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labeler.audit.frame import Draw, Frame, Plan, load_draw, load_frame, load_plan
from labeler.audit.gates import Gate, counted, gates_of, texts_of_frame
from labeler.audit.sample import Truth, truths_of
from labeler.audit.store import open_store
from labeler.audit.types import Reading


@dataclass(frozen=True, slots=True)
class GateState:
    """A gate, and how many of its texts or reports were read."""

    gate: Gate
    read: int

    @property
    def missing(self) -> int:
        """How many more must be read for it to hold."""
        return max(self.gate.required - self.read, 0)

    def to_json(self) -> dict[str, Any]:
        """The state in JSON's types."""
        gate = self.gate
        data = {"kind": gate.kind, "name": gate.name, "state": gate.state, "unit": gate.unit}
        counts = {"population": gate.population, "required": gate.required, "read": self.read, "missing": self.missing}
        return {name: value for name, value in data.items() if value} | counts


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far an audit is: its gates, and all that was submitted."""

    plan: Plan
    frame: Frame
    draw: Draw
    readings: Sequence[Reading]
    truths: Mapping[str, Truth]
    gates: Sequence[GateState]

    def lacking(self) -> list[GateState]:
        """The gates that do not hold."""
        return [each for each in self.gates if each.missing]


def coverage(audit: Path | str) -> Coverage:
    """How far an audit is. Raises as ``load_draw`` and ``open_store``."""
    plan, frame, draw = load_plan(audit), load_frame(audit), load_draw(audit)
    with open_store(audit) as store:
        readings = store.readings()
    truths = truths_of(readings, frame.names)
    texts = texts_of_frame(frame)
    gates, rows = gates_of(texts, plan.fraction, plan.least)
    read = np.zeros(len(texts.reports), bool)
    read[[each.cluster for each in draw.texts if each.study_id in truths]] = True
    states = [GateState(gate, int(n)) for gate, n in zip(gates, counted(rows, texts.reports, read), strict=True)]
    return Coverage(plan, frame, draw, readings, truths, states)


def lacking_lines(lacking: Sequence[GateState], most: int | None = None) -> list[str]:
    """What is missing for each thing that a gate is of, on a line; of more than ``most``, one line says how many."""
    parts: dict[str, list[str]] = {}
    for each in lacking:
        gate = each.gate
        of = f"{each.read:,} of {gate.population:,} read, {gate.required:,} asked for"
        counts = f"{each.missing:,} {gate.unit} more ({of})"
        parts.setdefault(gate.title(), []).append(counts)
    lines = [f"{title}: {', '.join(counts)}" for title, counts in parts.items()]
    if most is not None and len(lines) > most:
        lines[most:] = [f"... and {len(lines) - most:,} more; `radloop audit certify` lists all"]
    return lines
