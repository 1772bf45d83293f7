"""What readers did, as events that are only ever added: one SQLite file in the audit's folder.

    with open_store(audit) as store:
        store.append(Event("Anna", "s1", "answer", {"Edema": 1}))
        store.add_reading(reading, source="anna.xlsx")
        store.readings()

An event that was appended is on the disk when ``append`` returns, and stays there whatever happens to the program. A
``submit`` or ``reading`` event holds a whole reading: the database itself refuses a second one of the same reader,
text and phase. Several programs may have the file open at once.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

from corpora.errors import DataError, RunError
from labeler.audit.types import Answer, Phase, Reading

DATABASE: Final = "audit.sqlite"

#: ``claim``: a reader was given a text. ``answer``: some labels were answered, or cleared. ``note``: the note is this
#: now. ``undo``: the event of that number does not count. ``submit``: the reading is this. ``reading``: one that was
#: imported. ``keys``: the reader's keys are these.
Kind = Literal["claim", "answer", "note", "undo", "submit", "reading", "keys"]

_APPLICATION: Final = 0x52444C50
_BUSY_SECONDS: Final = 10.0
_WHOLE: Final = ("submit", "reading")
_COLUMNS: Final = "number, at, reader, study_id, repeat, phase, kind, data, op"


@dataclass(frozen=True, slots=True)
class Event:
    """Something a reader did. ``data`` is JSON's types, by kind:

    ``answer``: label to state, ``"cannot_judge"``, or ``"unanswered"`` to clear it; ``note``: ``text``; ``undo``:
    ``number`` of the event; ``submit``: ``answers`` and ``note``; ``reading``: these and ``source``; ``keys``: key to
    what it does. ``op`` is a name that the sender gave it: an event of the same name is appended once. ``number`` and
    ``at`` (ISO 8601, UTC) are given by the store.
    """

    reader: str
    study_id: str
    kind: Kind
    data: Mapping[str, Any] = field(default_factory=dict)
    phase: Phase = "blind"
    repeat: bool = False
    op: str | None = None
    at: str = ""
    number: int = 0


def _m001_events(database: sqlite3.Connection) -> None:
    """The table of events, and what may be in it once only."""
    database.execute(
        """CREATE TABLE events (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            at TEXT NOT NULL,
            reader TEXT NOT NULL,
            study_id TEXT NOT NULL,
            repeat INTEGER NOT NULL CHECK (repeat IN (0, 1)),
            phase TEXT NOT NULL,
            kind TEXT NOT NULL,
            data TEXT NOT NULL,
            op TEXT UNIQUE
        ) STRICT"""
    )
    for name, columns, phases in (
        ("one_reading", "reader, study_id, repeat, phase", "IN ('blind', 'revealed')"),
        ("one_decision", "study_id", "= 'adjudicated'"),
    ):
        database.execute(
            f"CREATE UNIQUE INDEX {name} ON events ({columns}) WHERE kind IN ('submit', 'reading') AND phase {phases}"
        )
    for change in ("UPDATE", "DELETE"):
        database.execute(
            f"CREATE TRIGGER no_{change.lower()} BEFORE {change} ON events "
            "BEGIN SELECT RAISE(ABORT, 'events are only ever added'); END"
        )


#: What makes a database of version n one of version n + 1, each in a transaction of its own.
MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (_m001_events,)


class Store:
    """The events of an audit; a context manager. Its methods may be called from any thread."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database, self._path = database, path
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was appended is in it."""
        with self._lock:
            self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """No other program writes between the first and the last line of the block; all of it is kept, or nothing."""
        with self._lock, _said(self._path):
            if self._database.in_transaction:
                yield
                return
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise

    def append(self, event: Event) -> Event:
        """Add an event; returns it with its number and time, or the earlier one of the same ``op``.

        Raises ``DataError``: ``audit.reading_twice`` for a second reading of the same text; ``RunError`` as
        ``open_store``.
        """
        at = event.at or datetime.now(UTC).isoformat(timespec="milliseconds")
        data = json.dumps(dict(event.data), ensure_ascii=False, separators=(",", ":"))
        values = (at, event.reader, event.study_id, int(event.repeat), event.phase, event.kind, data, event.op)
        with self.transaction():
            if event.op is not None and (same := self._events("op = ?", (event.op,))):
                return same[0]
            try:
                done = self._database.execute(
                    "INSERT INTO events (at, reader, study_id, repeat, phase, kind, data, op) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    values,
                )
            except sqlite3.IntegrityError as error:
                raise _twice(event.reader, event.study_id, event.phase) from error
        return replace(event, at=at, number=done.lastrowid or 0)

    def events(self, *, after: int = 0, reader: str | None = None, study_id: str | None = None) -> list[Event]:
        """Events in the order in which they were appended: those after a number, of a reader, of a text."""
        wanted: list[tuple[str, Any]] = [("number > ?", after)]
        wanted += [("reader = ?", reader)] if reader is not None else []
        wanted += [("study_id = ?", study_id)] if study_id is not None else []
        return self._events(" AND ".join(test for test, _ in wanted), [value for _, value in wanted])

    def add_reading(self, reading: Reading, source: str) -> bool:
        """Add a reading from elsewhere; False if it is there already, word for word.

        Raises ``DataError``: ``audit.reading_twice`` if the same reader has read the text otherwise (``repeat`` says
        that it is the second reading), or if a decision between readers is there.
        """
        data = {"answers": dict(reading.answers), "note": reading.note, "source": source}
        event = Event(
            reading.reader, reading.study_id, "reading", data, reading.phase, reading.repeat, at=reading.at
        )  # fmt: skip
        with self.transaction():
            there = [each for each in self._whole("study_id = ?", (reading.study_id,)) if _same_place(each, reading)]
            if any(_same_content(each, reading) for each in there):
                return False
            if there:
                raise _twice(reading.reader, reading.study_id, reading.phase)
            self.append(event)
        return True

    def readings(self) -> list[Reading]:
        """The readings that were submitted or imported, in that order."""
        return self._whole("1", ())

    def readers(self) -> list[str]:
        """Everybody who did anything, by name."""
        with self._lock, _said(self._path):
            return [name for (name,) in self._database.execute("SELECT DISTINCT reader FROM events ORDER BY reader")]

    def _whole(self, test: str, values: Sequence[Any]) -> list[Reading]:
        return [_reading(event) for event in self._events(f"kind IN {_WHOLE!r} AND {test}", values)]

    def _events(self, test: str, values: Sequence[Any]) -> list[Event]:
        with self._lock, _said(self._path):
            rows = self._database.execute(f"SELECT {_COLUMNS} FROM events WHERE {test} ORDER BY number", values)
            return [_event(row) for row in rows]


def open_store(audit: Path | str) -> Store:
    """The store of the audit in a folder, made if it is not there and brought up to this version if it is older.

    Raises ``RunError``: ``audit.newer_database`` for one that a newer radloop wrote, ``audit.database`` for a file
    that is no such database or cannot be opened or written; ``DataError``: ``data.missing`` without the folder.
    """
    folder = Path(audit)
    if not folder.is_dir():
        raise DataError("data.missing", "there is no such audit folder", where=str(audit))
    path = folder / DATABASE
    with _said(path):
        database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _check(database, path)
            for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                database.execute(f"PRAGMA {setting}")
            _migrate(database, path)
        except BaseException:
            database.close()
            raise
    return Store(database, path)


def readings_sha256(audit: Path | str) -> str:
    """A hash of what all readers said, whenever they said it: what estimates and certificates of an audit follow from.

    Raises as ``open_store``.
    """
    with open_store(audit) as store:
        said = [replace(each, at="") for each in store.readings()]
    lines = sorted(json.dumps(asdict(each), sort_keys=True, default=str) for each in said)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _check(database: sqlite3.Connection, path: Path) -> None:
    """That the database is ours, and not newer than this program."""
    (version,), (application,) = (
        database.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "application_id")
    )
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != _APPLICATION:
        raise RunError("audit.database", "the file is a database of something else", where=str(path))
    if version > len(MIGRATIONS):
        raise RunError(
            "audit.newer_database",
            f"the database is of version {version}, this radloop knows {len(MIGRATIONS)}",
            where=str(path),
            hint="use the newer radloop that wrote it; nothing was changed",
        )


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    while True:
        database.execute("BEGIN IMMEDIATE")
        try:
            _check(database, path)
            (version,) = database.execute("PRAGMA user_version").fetchone()
            for migration in MIGRATIONS[version : version + 1]:
                migration(database)
                database.execute(f"PRAGMA user_version = {version + 1}")
                database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute("COMMIT")
        except BaseException:
            database.execute("ROLLBACK")
            raise
        if version >= len(MIGRATIONS):
            return


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """What SQLite says of the file, as a ``RunError``; never the values that were to be written."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise RunError("audit.database", "the database refuses the event", where=str(path)) from error
    except (sqlite3.DatabaseError, sqlite3.ProgrammingError) as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise RunError("audit.database", f"the database cannot be used ({name})", where=str(path)) from error


def _event(row: Sequence[Any]) -> Event:
    number, at, reader, study_id, repeat, phase, kind, data, op = row
    return Event(reader, study_id, kind, json.loads(data), phase, bool(repeat), op, at, number)


def _reading(event: Event) -> Reading:
    answers: Mapping[str, Answer] = event.data["answers"]
    return Reading(
        event.study_id, event.reader, answers, event.phase, event.at, event.repeat, event.data.get("note", "")
    )


def _same_place(one: Reading, other: Reading) -> bool:
    if one.phase == "adjudicated" or other.phase == "adjudicated":
        return one.phase == other.phase
    return (one.reader, one.phase, one.repeat) == (other.reader, other.phase, other.repeat)


def _same_content(one: Reading, other: Reading) -> bool:
    return (one.reader, dict(one.answers), one.note) == (other.reader, dict(other.answers), other.note)


def _twice(reader: str, study_id: str, phase: Phase) -> DataError:
    message = f"{reader!r} has read this text already ({phase})"
    if phase == "adjudicated":
        message = "the readers' differences in this text are decided already"
    return DataError("audit.reading_twice", message, where=f"study {study_id}", hint="the earlier one stays as it is")


def is_answer(value: object) -> bool:
    """Whether a value of JSON is an answer: 1, 0, -1, null or ``"cannot_judge"``.

    >>> is_answer(None), is_answer("cannot_judge"), is_answer(True), is_answer(2)
    (True, True, False, False)
    """
    return value is None or value == "cannot_judge" or (type(value) is int and value in (1, 0, -1))
