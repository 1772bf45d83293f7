"""Why the machine says what it says of a text: its labeler is run again when the labels are revealed."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from corpora.errors import RadloopError
from corpora.types import Report
from labeler.audit.frame import Plan
from labeler.audit.review.display import Mark
from labeler.audit.types import Answer
from labeler.base import DEFAULT_SCHEMA, Labeler, load
from labeler.explain import visible
from labeler.reasons import answers

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Evidence:
    """For the rows that differ: the marks in the text, and the reasons in words (row to sentences)."""

    marks: tuple[Mark, ...]
    reasons: dict[int, list[dict[str, Any]]]


class Witness:
    """Runs the labeler of an audit on one text at a time; from any thread. Loads it when it is first needed."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lock = threading.Lock()
        self._labeler: Labeler | None = None
        self._tried = False

    def warm(self) -> None:
        """Load the labeler now. One that cannot be loaded is none: the labels are then shown without evidence."""
        with self._lock:
            if self._tried:
                return
            self._tried = True
            if self._plan.labeler is not None:
                # a package that is not installed, a folder that has moved: reading goes on without
                try:
                    self._labeler = load(self._plan.labeler, self._plan.schema or DEFAULT_SCHEMA)
                except (RadloopError, ImportError, OSError):
                    self._labeler = None

    def of(self, report: Report, differences: list[tuple[int, str, Answer]]) -> Evidence:
        """Evidence for the rows that differ: (row, label, what the table says).

        A label of which the labeler now says something else than the table gets none: it would not be its evidence.
        """
        self.warm()
        if self._labeler is None:
            return Evidence((), {})
        # a labeler is another's code, and whatever is wrong with it must not stop the reading
        try:
            with self._lock:
                vector = self._labeler(report, self._plan.sections)
            found = {answer.label: answer for answer in answers(report, vector)}
        except Exception:
            return Evidence((), {})
        marks: list[Mark] = []
        reasons: dict[int, list[dict[str, Any]]] = {}
        for row, label, state in differences:
            answer = found.get(label)
            if answer is None or answer.state != state:
                continue
            for reason in answer.reasons:
                if reason.role == "uncounted":
                    continue
                mention = reason.mention
                marks.append(Mark(mention.start, mention.end, row))
                marks += [Mark(cue.start, cue.end, row, cue=True) for cue in mention.cues]
                words = visible(" ".join(report.text[mention.start : mention.end].split())[:_LONGEST])
                reasons.setdefault(row, []).append({"words": words, "why": reason.why})
            if answer.said:
                reasons.setdefault(row, []).append({"words": "", "why": answer.said})
        return Evidence(tuple(marks), reasons)
