"""The desk: what a reader sees of the audit, and what becomes of what a reader does.

Every method is for one thread at a time. What it returns goes to the page as JSON; what it appends is on the disk when
it returns. Before a blind submission nothing that it returns depends on the machine's labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import Any, Final

from labeler.audit.review.keys import default_keys, merged
from labeler.audit.review.sheets import Key, Sheet, Sheets, as_json
from labeler.audit.review.work import Work, sides
from labeler.audit.store import Event, Kind, Store, is_answer
from labeler.audit.types import BLANK_CODE, Answer

LONGEST_NOTE: Final = 4000
# a longer time between two submissions was a pause
_PAUSE_SECONDS: Final = 600.0
_PACE_OF: Final = 20

States = Mapping[str, Sequence[int]]


class Refusal(Exception):
    """Something that the page asked for and cannot have: an HTTP status, a code, a sentence for people."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more


@dataclass(frozen=True, slots=True)
class Change:
    """What came from the page: which of the reader's sheets, the version that was seen, a name for retries."""

    item: int
    version: int
    op: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A sheet as it goes to the page: ``item`` is its place among the reader's own."""

    sheet: Sheet
    item: int
    labels: tuple[str, ...]


class Desk:
    """Readings, or decisions between readers, of one audit, for any number of readers.

    ``machine`` are the states of the label table by study, in the order of the audit's labels.
    """

    def __init__(self, store: Store, work: Work, machine: States) -> None:
        self._store, self._work, self._machine = store, work, machine
        self._sheets = Sheets()
        self._keys: dict[str, Mapping[str, Any]] = {}
        self._sync()

    # what is shown

    def current(self, reader: str) -> Shown | None:
        """The sheet that the reader has begun and may go on with, else a new one; None if there is nothing left."""
        with self._store.transaction():
            self._sync()
            for item, sheet in enumerate(self._own(reader)):
                if not sheet.done and (sheet.submitted or self._work.free(self._sheets, sheet)):
                    return self._shown(item, sheet)
            key = self._work.next(self._sheets, reader)
            if key is None:
                return None
            self._append(key, "claim", {}, None)
            own = self._own(reader)
            return self._shown(len(own) - 1, own[-1])

    def at(self, reader: str, item: int) -> Shown:
        """The reader's sheet at a place. Raises ``Refusal`` where there is none."""
        self._sync()
        own = self._own(reader)
        if not 0 <= item < len(own):
            raise Refusal(404, "no_item", "There is no report there.")
        return self._shown(item, own[item])

    def state(self, shown: Shown) -> dict[str, Any]:
        """The state of a sheet for the page."""
        sheet = shown.sheet
        reader = sheet.key.reader
        return {
            "item": shown.item,
            "last": len(self._own(reader)) - 1,
            "version": sheet.version,
            "phase": sheet.phase,
            "done": sheet.done,
            "answers": as_json(sheet.answers(), shown.labels),
            "note": sheet.note(),
            "undoable": len(sheet.changes),
        }

    def progress(self, reader: str) -> dict[str, Any]:
        """How many sheets are submitted, how many are left, and seconds a sheet by the median of the last ones."""
        own = [sheet for sheet in self._own(reader) if sheet.submitted]
        times = sorted(_time(sheet.submitted_at) for sheet in own)[-_PACE_OF - 1 :]
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
        gaps = [gap for gap in gaps if gap <= _PAUSE_SECONDS]
        pace = round(median(gaps), 1) if len(gaps) >= 2 else None
        return {"done": len(own), "left": self._work.left(self._sheets, reader), "seconds": pace}

    def sides(self, shown: Shown) -> list[dict[str, Any]]:
        """The readings that a decision is between, without names."""
        given = sides(self._sheets, shown.sheet.key.study_id)
        return [{"answers": as_json(sheet.blind or {}, shown.labels), "note": sheet.base_note} for sheet in given]

    def differences(self, shown: Shown) -> list[tuple[int, Answer]]:
        """The rows in which the machine says something else than the blind reading, with what it says.

        Empty before the blind submission, and for a row that could not be judged.
        """
        sheet = shown.sheet
        if sheet.key.decision or sheet.blind is None:
            return []
        states = [_state(code) for code in self._machine[sheet.key.study_id]]
        pairs = enumerate(zip(states, (sheet.blind.get(label, "cannot_judge") for label in shown.labels), strict=True))
        return [(row, machine) for row, (machine, said) in pairs if said not in (machine, "cannot_judge")]

    # what is done

    def answer(self, reader: str, change: Change, given: Any) -> Shown:
        """Answer rows (row to answer), or clear them. Raises ``Refusal``."""
        shown = self._changing(reader, change)
        if not isinstance(given, dict) or not given:
            raise Refusal(400, "answer", "That is no answer to any row.")
        data = {}
        for row, value in given.items():
            if (
                not (row.isascii() and row.isdecimal() and len(row) < 5)
                or int(row) >= len(shown.labels)
                or not (is_answer(value) or value == "unanswered")
            ):
                raise Refusal(400, "answer", "That is no answer to any row.")
            data[shown.labels[int(row)]] = value
        return self._done(shown, "answer", data, change.op)

    def note(self, reader: str, change: Change, text: Any) -> Shown:
        """Write the note. Raises ``Refusal``."""
        if not isinstance(text, str) or len(text) > LONGEST_NOTE:
            raise Refusal(400, "note", f"A note has at most {LONGEST_NOTE:,} characters.")
        return self._done(self._changing(reader, change), "note", {"text": text}, change.op)

    def undo(self, reader: str, change: Change) -> Shown:
        """Undo the last change of this phase. Raises ``Refusal``: ``nothing`` if there is none."""
        shown = self._changing(reader, change)
        if not shown.sheet.changes:
            said = "What was submitted before the machine's labels were shown stays as it is."
            raise Refusal(409, "nothing", "Nothing to undo." + (f" {said}" if shown.sheet.blind is not None else ""))
        return self._done(shown, "undo", {"number": shown.sheet.changes[-1].number}, change.op)

    def submit(self, reader: str, change: Change) -> Shown:
        """Submit; a blind reading that differs nowhere from the machine's labels is done with it.

        Raises ``Refusal``: ``unanswered`` with the row that has no answer.
        """
        with self._store.transaction():
            shown = self._changing(reader, change)
            answers = shown.sheet.answers()
            missing = [row for row, label in enumerate(shown.labels) if label not in answers]
            if missing:
                count = f"{len(missing)} rows have" if len(missing) > 1 else "One row has"
                raise Refusal(409, "unanswered", f"{count} no answer yet. Unanswered is not blank.", row=missing[0])
            data = {"answers": {label: answers[label] for label in shown.labels}, "note": shown.sheet.note()}
            after = self._done(shown, "submit", data, change.op)
            if after.sheet.phase == "revealed" and not after.sheet.done and not self.differences(after):
                after = self._done(after, "submit", data, None)
            return after

    # keys

    def keys(self, reader: str) -> dict[str, list[str]]:
        """The reader's keys."""
        self._sync()
        try:
            return merged(self._keys.get(reader, {}))
        except ValueError:  # of a version that had other actions
            return default_keys()

    def set_keys(self, reader: str, chosen: Any) -> dict[str, list[str]]:
        """Keep the keys that a reader has chosen. Raises ``Refusal``."""
        if not isinstance(chosen, dict):
            raise Refusal(400, "keys", "Those are no keys.")
        try:
            keys = merged(chosen)
        except ValueError as error:
            raise Refusal(409, "keys", str(error)) from error
        self._store.append(Event(reader, "", "keys", chosen))
        self._sync()
        return keys

    # inside

    def _sync(self) -> None:
        """Take in what was appended since, by whomever."""
        for event in self._store.events(after=self._sheets.last):
            if event.kind == "keys":
                self._keys[event.reader] = event.data
            self._sheets.apply(event)

    def _own(self, reader: str) -> list[Sheet]:
        return self._sheets.of(reader, decision=self._work.decision)

    def _shown(self, item: int, sheet: Sheet) -> Shown:
        return Shown(sheet, item, self._work.labels(self._sheets, sheet.key))

    def _changing(self, reader: str, change: Change) -> Shown:
        """The sheet that is to be changed. Raises ``Refusal`` if it is not as the page believes."""
        shown = self.at(reader, change.item)
        sheet = shown.sheet
        if change.version != sheet.version:
            if change.op is not None and self._known(sheet, change.op):
                raise Refusal(200, "known", "This was saved already.", shown=shown)
            raise Refusal(409, "stale", "This report was changed in another window. Nothing was overwritten.")
        if sheet.done:
            raise Refusal(409, "submitted", "This report is submitted and stays as it is.")
        if not sheet.submitted and not self._work.free(self._sheets, sheet):
            what = "decided" if sheet.key.decision else "read"
            message = f"This report was {what} by somebody else while it lay here. Nothing was overwritten."
            raise Refusal(409, "taken", message)
        return shown

    def _known(self, sheet: Sheet, op: str) -> bool:
        key = sheet.key
        return any(event.op == op for event in self._store.events(reader=key.reader, study_id=key.study_id))

    def _done(self, shown: Shown, kind: Kind, data: Mapping[str, Any], op: str | None) -> Shown:
        self._append(shown.sheet.key, kind, data, op, shown.sheet)
        return self._shown(shown.item, self._own(shown.sheet.key.reader)[shown.item])

    def _append(
        self, key: Key, kind: Kind, data: Mapping[str, Any], op: str | None, sheet: Sheet | None = None
    ) -> None:
        phase = sheet.phase if sheet is not None else ("adjudicated" if key.decision else "blind")
        self._store.append(Event(key.reader, key.study_id, kind, data, phase, key.repeat, op))
        self._sync()


def _time(at: str) -> datetime:
    """A time of the store; one from elsewhere without a zone is taken for UTC, one that is none for long ago."""
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _state(code: int) -> Answer:
    states: dict[int, Answer] = {1: 1, 0: 0, -1: -1, BLANK_CODE: None}
    return states[int(code)]
