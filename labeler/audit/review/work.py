"""Which text a reader is given next.

Readings: every text by one reader, the ones marked double by two, in the order of the draw. A text marked as a repeat
comes back to the reader who read it, looking like any other, once enough others were read in between. A text that was
given to a reader who then left it alone for long is given to another.

Decisions: the texts on which two readers differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from labeler.audit.frame import Drawn
from labeler.audit.review.sheets import Key, Sheet, Sheets

#: A text that was begun and not submitted is kept for its reader this long after the last key.
LEASE: Final = timedelta(hours=12)
#: At least so many texts are read before one comes back; up to as many more, by a hash of its id.
BETWEEN: Final = 20


class Work(Protocol):
    """What a reader has to do."""

    decision: bool

    def next(self, sheets: Sheets, reader: str) -> Key | None:
        """The next sheet to begin, None if there is nothing left."""
        ...

    def left(self, sheets: Sheets, reader: str) -> int:
        """How many sheets the reader has still to submit, if nobody else goes on."""
        ...

    def free(self, sheets: Sheets, sheet: Sheet) -> bool:
        """Whether a sheet that is not submitted is still its reader's to submit."""
        ...

    def labels(self, sheets: Sheets, key: Key) -> tuple[str, ...]:
        """The labels that are asked for."""
        ...


class Readings:
    """Blind readings of the drawn texts."""

    decision = False

    def __init__(self, texts: Sequence[Drawn], labels: Sequence[str]) -> None:
        self._texts = sorted(texts, key=lambda text: text.position)
        self._by_id = {text.study_id: text for text in texts}
        self._labels = tuple(labels)
        # texts that enough readers have submitted: they never open again
        self._closed: set[str] = set()

    def labels(self, sheets: Sheets, key: Key) -> tuple[str, ...]:
        """All labels of the audit."""
        return self._labels

    def next(self, sheets: Sheets, reader: str) -> Key | None:
        """A repeat that is due, else the first text of the draw that still needs a reader, else any repeat left."""
        repeats = self._repeats(sheets, reader)
        due = [key for key, between in repeats if between >= _wait(key.study_id)]
        if due:
            return due[0]
        for text in self._texts:
            if self._open(sheets, text, reader):
                return Key(reader, text.study_id)
        # never the one that was read just now, unless it is the only one there is
        rest = sorted(repeats, key=lambda pair: -pair[1])
        return rest[0][0] if rest else None

    def left(self, sheets: Sheets, reader: str) -> int:
        """Open texts, those to be read again twice, and sheets that were begun."""
        own = [sheet for sheet in sheets.of(reader) if sheet.key.study_id in self._by_id]
        begun = [sheet for sheet in own if not sheet.submitted]
        unread = [text for text in self._texts if self._open(sheets, text, reader)]
        again = sum(self._by_id[sheet.key.study_id].repeat and not sheet.key.repeat for sheet in begun)
        return (
            len(begun) + again + len(unread) + sum(text.repeat for text in unread) + len(self._repeats(sheets, reader))
        )

    def free(self, sheets: Sheets, sheet: Sheet) -> bool:
        """Whether not enough others have read the text, or begun to, in the meantime."""
        text = self._by_id.get(sheet.key.study_id)
        if text is None:
            return False
        return sheet.key.repeat or len(_takers(sheets, text, sheet.key.reader)) < 1 + text.double

    def _open(self, sheets: Sheets, text: Drawn, reader: str) -> bool:
        if text.study_id in self._closed:
            return False
        on = sheets.on(text.study_id)
        if not on:
            return True
        if sum(sheet.submitted for sheet in on) > text.double:
            self._closed.add(text.study_id)
            return False
        if any(sheet.key.reader == reader for sheet in on):
            return False
        return len(_takers(sheets, text, reader)) < 1 + text.double

    def _repeats(self, sheets: Sheets, reader: str) -> list[tuple[Key, int]]:
        """The texts to come back to the reader, with the number of texts submitted since."""
        submitted = [sheet for sheet in sheets.of(reader) if sheet.submitted]
        found = []
        for place, sheet in enumerate(submitted):
            text = self._by_id.get(sheet.key.study_id)
            again = Key(reader, sheet.key.study_id, True)
            if text is None or not text.repeat or sheet.key.repeat or sheets.get(again) is not None:
                continue
            if all(sheet.submitted_at <= other.submitted_at for other in sheets.on(text.study_id) if other.submitted):
                found.append((again, len(submitted) - 1 - place))
        return found


def _wait(study_id: str) -> int:
    return BETWEEN + hashlib.blake2b(study_id.encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] % BETWEEN


def _takers(sheets: Sheets, text: Drawn, reader: str) -> set[str]:
    """Who else has read the text, or has begun to and may come back to it."""
    since = (datetime.now(UTC) - LEASE).isoformat(timespec="milliseconds")
    others = (sheet for sheet in sheets.on(text.study_id) if sheet.key.reader != reader)
    return {sheet.key.reader for sheet in others if sheet.submitted or sheet.at > since}


class Decisions:
    """Decisions on the rows in which the readers of a text differ."""

    decision = True

    def __init__(self, texts: Iterable[Drawn], labels: Sequence[str]) -> None:
        self._texts = sorted(texts, key=lambda text: text.position)
        self._labels = tuple(labels)

    def labels(self, sheets: Sheets, key: Key) -> tuple[str, ...]:
        """The labels that were not answered alike."""
        given = [sheet.blind for sheet in sheets.on(key.study_id) if sheet.blind is not None]
        return tuple(label for label in self._labels if len({repr(each[label]) for each in given if label in each}) > 1)

    def next(self, sheets: Sheets, reader: str) -> Key | None:
        """The first text that readers differ on and nobody has decided or begun to."""
        return next((Key(reader, text.study_id, False, True) for text in self._open(sheets, reader)), None)

    def left(self, sheets: Sheets, reader: str) -> int:
        """Texts that are open, and those begun."""
        begun = sum(not sheet.submitted for sheet in sheets.of(reader, decision=True))
        return begun + len(self._open(sheets, reader))

    def free(self, sheets: Sheets, sheet: Sheet) -> bool:
        """Whether nobody else has decided in the meantime."""
        others = sheets.on(sheet.key.study_id, decision=True)
        return not any(other.submitted for other in others if other.key != sheet.key)

    def _open(self, sheets: Sheets, reader: str) -> list[Drawn]:
        return [text for text in self._texts if self._undecided(sheets, text, reader)]

    def _undecided(self, sheets: Sheets, text: Drawn, reader: str) -> bool:
        decided = sheets.on(text.study_id, decision=True)
        if any(sheet.submitted or sheet.key.reader == reader for sheet in decided):
            return False
        return not _takers_of_decision(decided) and bool(self.labels(sheets, Key(reader, text.study_id)))


def _takers_of_decision(decided: Iterable[Sheet]) -> bool:
    since = (datetime.now(UTC) - LEASE).isoformat(timespec="milliseconds")
    return any(sheet.at > since for sheet in decided)


def sides(sheets: Sheets, study_id: str) -> list[Sheet]:
    """The readings that a decision is between, in an order that does not tell who read first."""
    given = [sheet for sheet in sheets.on(study_id) if sheet.blind is not None]
    return sorted(given, key=lambda sheet: hashlib.sha256(f"{study_id}\0{sheet.key.reader}".encode()).digest())
