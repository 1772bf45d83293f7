"""What each reader has said of each text so far, folded from the events of the store.

A sheet is a reader, a text and a round: the first reading, the hidden second one, or a decision between readers. Its
answers are those of the phase before, changed by the answers given since, less what was undone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from labeler.audit.store import Event
from labeler.audit.types import Answer, Phase


class Key(NamedTuple):
    """Whose sheet of which text: ``repeat`` for the second reading, ``decision`` for one between readers."""

    reader: str
    study_id: str
    repeat: bool = False
    decision: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """The state of a sheet. ``phase`` is the one it is in; ``done``: nothing more is to be said.

    ``blind`` is what was submitted before the machine's labels were shown, None until then. ``changes`` are the
    events since the phase began, but those undone. ``version`` is the number of its last event, ``at`` that one's
    time, ``submitted_at`` that of the blind submission or the decision.
    """

    key: Key
    phase: Phase
    version: int = 0
    at: str = ""
    submitted_at: str = ""
    done: bool = False
    blind: Mapping[str, Answer] | None = None
    base_note: str = ""
    changes: tuple[Event, ...] = ()

    @property
    def submitted(self) -> bool:
        """Whether there is a reading, or a decision, that counts."""
        return self.blind is not None or (self.key.decision and self.done)

    def answers(self) -> dict[str, Answer]:
        """The answers as they stand; a label that is not in it is unanswered."""
        given: dict[str, Any] = dict(self.blind or {})
        for event in self.changes:
            if event.kind == "answer":
                given |= event.data
        return {label: answer for label, answer in given.items() if answer != "unanswered"}

    def note(self) -> str:
        """The note as it stands."""
        notes = [str(event.data["text"]) for event in self.changes if event.kind == "note"]
        return notes[-1] if notes else self.base_note

    def after(self, event: Event) -> Sheet:
        """The sheet with one event more."""
        sheet = replace(self, version=event.number, at=event.at)
        if event.kind in ("answer", "note"):
            return replace(sheet, changes=(*self.changes, event))
        if event.kind == "undo":
            left = tuple(change for change in self.changes if change.number != event.data["number"])
            return replace(sheet, changes=left)
        if event.kind in ("submit", "reading"):
            return sheet._whole(event)
        return sheet

    def _whole(self, event: Event) -> Sheet:
        note = str(event.data.get("note", ""))
        if event.phase == "blind":
            sheet = replace(self, blind=event.data["answers"], base_note=note, changes=(), submitted_at=event.at)
            # what was imported is not shown for a second look
            return replace(sheet, phase="revealed", done=event.kind == "reading")
        if event.phase == "revealed":
            return replace(self, done=True)
        return replace(self, done=True, submitted_at=event.at)


def key_of(event: Event) -> Key:
    """The sheet that an event is about."""
    return Key(event.reader, event.study_id, event.repeat, event.phase == "adjudicated")


class Sheets:
    """All sheets of an audit."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._sheets: dict[Key, Sheet] = {}
        self._order: defaultdict[tuple[str, bool], list[Key]] = defaultdict(list)
        self._on: defaultdict[str, list[Key]] = defaultdict(list)
        self.last = 0
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take an event into account; in the order of their numbers, each once."""
        self.last = max(self.last, event.number)
        if event.kind == "keys":
            return
        key = key_of(event)
        if key not in self._sheets:
            self._sheets[key] = Sheet(key, "adjudicated" if key.decision else "blind")
            self._order[key.reader, key.decision].append(key)
            self._on[key.study_id].append(key)
        self._sheets[key] = self._sheets[key].after(event)

    def get(self, key: Key) -> Sheet | None:
        """The sheet, if anything was done on it."""
        return self._sheets.get(key)

    def of(self, reader: str, *, decision: bool = False) -> list[Sheet]:
        """A reader's sheets in the order in which they were begun."""
        return [self._sheets[key] for key in self._order[reader, decision]]

    def on(self, study_id: str, *, decision: bool = False) -> list[Sheet]:
        """The first readings of a text, or the decisions on it, whoever's."""
        keys = self._on.get(study_id)
        if keys is None:
            return []
        return [self._sheets[key] for key in keys if key.decision == decision and not key.repeat]


def as_json(answers: Mapping[str, Answer], labels: Iterable[str]) -> list[Any]:
    """The answers to ``labels`` in their order: a state, ``"cannot_judge"``, or ``"unanswered"``."""
    return [answers.get(label, "unanswered") for label in labels]
