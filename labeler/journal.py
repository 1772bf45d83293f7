"""What a batch has written so far: parts that only grow, and a note of how much of them counts.

A run that was killed resumes from the note: the parts are cut back to it and the records before it are skipped, so
that the finished outputs are the same to the byte as those of a run that was left alone.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from corpora.errors import RunError
from corpora.runs import atomic_writer, writing
from labeler.chunks import START, Labeled, Mark

ROWS: Final = "rows"
_BESIDE: Final = ("evidence", "failures")
_NOTE: Final = "progress.json"
_SECONDS_BETWEEN_NOTES: Final = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come: the place in its source, bytes that count in each part, its counts and seconds."""

    end: Mark = START
    sizes: Mapping[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class Journal:
    """The parts of one run in ``folder``; a context manager, at whose end all that was appended counts.

    ``key`` says what run it is; ``rows`` are the parts that are tables. Raises ``RunError``: ``run.changed`` if the key
    differs from that of the run to be resumed, ``run.damaged`` if there is less than was noted, ``run.busy`` if another
    process writes here, and as ``writing``.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], *, resume: bool, rows: Sequence[str] = (ROWS,)) -> None:
        self._folder = folder
        self._key = dict(key)
        self._parts = (*rows, *_BESIDE)
        fresh = Progress(sizes=dict.fromkeys(self._parts, 0))
        self.progress = (_resumed(folder, self._key, self._parts) if resume else None) or fresh
        self._files: dict[str, io.FileIO] = {}
        self._stack = ExitStack()
        self._noted = monotonic()
        self._began = monotonic() - self.progress.seconds

    def __enter__(self) -> Self:
        with ExitStack() as stack, writing(self._folder):
            for part in self._parts:
                # not buffered: after a full disk there is nothing left that would fail again when it is closed
                self._files[part] = stack.enter_context(io.FileIO(part_path(self._folder, part), "a+"))
                _lock(self._files[part], self._folder)
                _cut(self._files[part], self.progress.sizes[part], self._folder)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._stack, suppress(RunError) if error is not None else ExitStack():
            self.note()

    def append(self, labeled: Labeled) -> None:
        """Add what a chunk came to. Raises ``RunError`` as ``writing``."""
        before = self.progress
        sizes = dict(before.sizes)
        with writing(self._folder):
            for part, text in labeled.parts.items():
                # half a surrogate pair can only come from a file's name, and in JSON this is its escape
                sizes[part] += _write(self._files[part], text.encode("utf-8", "backslashreplace"))
        # in one step: an interrupt between two would leave a note that is wrong
        self.progress = Progress(labeled.end, sizes, before.counts + labeled.counts, monotonic() - self._began)
        if monotonic() - self._noted > _SECONDS_BETWEEN_NOTES:
            self.note()

    def note(self) -> None:
        """Make what was appended count, whatever happens to the process or the machine."""
        with writing(self._folder):
            for part in self._files.values():
                os.fsync(part.fileno())
        done = self.progress
        state = {"end": done.end, "sizes": done.sizes, "counts": done.counts, "seconds": done.seconds}
        with atomic_writer(self._folder / _NOTE) as file:
            json.dump({"key": self._key, **state}, file)
        self._noted = monotonic()


def part_path(folder: Path, part: str) -> Path:
    """Where a part of the journal in ``folder`` lies."""
    return folder / f"{part}.part"


def refuse_if_busy(folder: Path) -> None:
    """Raise ``RunError`` (``run.busy``) if another process has the journal in ``folder`` open."""
    with writing(folder), suppress(FileNotFoundError), part_path(folder, ROWS).open("rb", buffering=0) as file:
        _lock(file, folder)


def _lock(file: io.FileIO, folder: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(
            "run.busy", "another run is writing this output", where=str(folder),
            hint="wait for it, or name another output",
        ) from error  # fmt: skip
    except OSError:  # a file system without locks
        return


def _cut(file: io.FileIO, size: int, folder: Path) -> None:
    if os.fstat(file.fileno()).st_size < size:
        raise _damaged(folder)
    file.truncate(size)


def _write(file: io.FileIO, data: bytes) -> int:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
    return len(data)


def _resumed(folder: Path, key: Mapping[str, Any], parts: Sequence[str]) -> Progress | None:
    note = folder / _NOTE
    if not note.is_file():
        return None
    try:
        state = json.loads(note.read_text(encoding="utf-8"))
        before = state["key"]
        sizes = {part: int(state["sizes"][part]) for part in parts}
        progress = Progress(Mark(*state["end"]), sizes, Counter(state["counts"]), float(state["seconds"]))
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(folder) from error
    now = json.loads(json.dumps(key))
    if before != now:
        changed = sorted(name for name in {*now, *before} if now.get(name) != before.get(name))
        raise RunError(
            "run.changed", f"this is not the run that was interrupted: not the same {', '.join(changed)}",
            where=str(folder), hint="run it as before, or without --resume to start over",
        )  # fmt: skip
    return progress


def _damaged(folder: Path) -> RunError:
    return RunError(
        "run.damaged", "what the interrupted run left is damaged", where=str(folder),
        hint="run without --resume to start over",
    )  # fmt: skip
