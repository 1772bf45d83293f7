"""The index of an import: what was found in the sources, on disk, so that joins need no memory.

files     one row a film (or a report in DICOM), in the order of the sources and of their paths
reports   one row a report of a report source, or what a source says of a study beside a report
rows      one row of a table that describes films, or studies
match     which rows describe which files
rejects   what could not be used
notes     which stages are done, and of what
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from corpora.errors import RunError
from corpora.runs import writing

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, source INTEGER, path TEXT, size INTEGER, changed INTEGER,
    tail1 TEXT, tail2 TEXT, tail3 TEXT, pattern TEXT, stem TEXT, folder TEXT, folder2 TEXT,
    state TEXT, study_uid TEXT, accession TEXT, patient TEXT, instance TEXT, print BLOB, facts TEXT,
    given TEXT, described INTEGER DEFAULT 0, study TEXT
);
CREATE TABLE IF NOT EXISTS reports (
    id INTEGER PRIMARY KEY, source INTEGER, place INTEGER, member TEXT, study TEXT, patient TEXT, text TEXT,
    sections TEXT, meta TEXT, file INTEGER, rank TEXT DEFAULT '', fate TEXT
);
CREATE TABLE IF NOT EXISTS rows (
    id INTEGER PRIMARY KEY, source INTEGER, scope INTEGER, place INTEGER, parts INTEGER, tail1 TEXT, tail2 TEXT,
    tail3 TEXT, study_uid TEXT, accession TEXT, study TEXT, patient TEXT, weight INTEGER, facts TEXT
);
CREATE TABLE IF NOT EXISTS match (file INTEGER, entry INTEGER, PRIMARY KEY (file, entry)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejects (
    stage INTEGER, at INTEGER, code TEXT, message TEXT, file TEXT, place INTEGER, member TEXT, study TEXT, kind TEXT
);
"""
#: Stages by the order in which their rejects are listed.
STAGES: Final = {
    "archive": 0, "reports": 1, "tables": 2, "walk": 3, "films": 4, "repeats": 5, "twins": 6, "emit": 7,
}  # fmt: skip
_NAME: Final = "index.sqlite"


@dataclass(frozen=True, slots=True)
class Fault:
    """A record that is set aside: as ``corpora.types.Reject``, with its place in the order of its stage.

    ``kind`` is ``broken``, or ``repeat`` for what is there twice and of which nothing is lost.
    """

    at: int
    code: str
    message: str
    file: str
    place: int | None = None
    member: str | None = None
    study_id: str | None = None
    kind: str = "broken"


def printable(text: str) -> str:
    """A name or message without what a table cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


class Index:
    """The index in a folder; use it as ``open_index`` gives it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def note(self, name: str, value: Any) -> None:
        """Keep ``value``, in JSON's types, under ``name``."""
        self.db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, json.dumps(value)))

    def noted(self, name: str) -> Any:
        """What was kept under ``name``; None if nothing was."""
        row = self.db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def reject(self, stage: str, faults: Iterable[Fault]) -> None:
        """Set records aside."""
        number = STAGES[stage]
        self.db.executemany(
            "INSERT INTO rejects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    number,
                    one.at,
                    one.code,
                    printable(one.message),
                    printable(one.file),
                    one.place,
                    one.member and printable(one.member),
                    one.study_id and printable(one.study_id),
                    one.kind,
                )
                for one in faults
            ),
        )

    def forget(self, stage: str) -> None:
        """Drop what a stage set aside, before it is done again."""
        self.db.execute("DELETE FROM rejects WHERE stage = ?", (STAGES[stage],))

    def forget_source(self, stage: str, file: str) -> None:
        """Drop what a stage set aside of one file."""
        self.db.execute("DELETE FROM rejects WHERE stage = ? AND file = ?", (STAGES[stage], file))

    def count(self, what: str, *values: object) -> int:
        """The number that ``SELECT what`` gives."""
        return int(self.db.execute(f"SELECT {what}", values).fetchone()[0] or 0)

    @contextmanager
    def stage(self) -> Iterator[None]:
        """All or nothing of what is written in the body."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")


@contextmanager
def open_index(folder: Path) -> Iterator[Index]:
    """The index in ``folder``, for this process alone.

    Raises ``RunError``: ``run.busy`` if another process has it, ``run.damaged`` if it is no index, and as ``writing``.
    """
    with writing(folder):
        folder.mkdir(exist_ok=True, parents=True)
    with _locked(folder), _errors(folder):
        db = sqlite3.connect(folder / _NAME, isolation_level=None)
        try:
            # a process that is killed loses nothing that was committed
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA cache_size = -65536")
            db.executescript(_TABLES)
            yield Index(db)
        finally:
            db.close()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with writing(folder):
        lock = (folder / "lock").open("ab")
    with lock:
        _lock(lock, folder)
        yield


def _lock(file: IO[bytes], folder: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(
            "run.busy", "another import is writing this corpus", where=str(folder.parent),
            hint="wait for it, or name another output",
        ) from error  # fmt: skip
    except OSError:  # a file system without locks
        return


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        full = "full" in str(error)
        raise RunError(
            "run.disk_full" if full else "run.not_writable", f"the index cannot be written: {error}",
            where=str(folder), hint="free some space, then run again with --resume" if full else "",
        ) from error  # fmt: skip
    except sqlite3.DatabaseError as error:
        with suppress(OSError):
            (folder / _NAME).stat()
        raise RunError(
            "run.damaged", "what the interrupted import left is damaged", where=str(folder),
            hint="remove the output folder and run again",
        ) from error  # fmt: skip
