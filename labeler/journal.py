"""What a batch has written so far: parts that only grow, and a note of how much of them counts.

A run that was killed resumes from the note: the parts are cut back to it and the records behind it are skipped, so
that the finished table is the same to the byte as that of a run that was left alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import IO, Any, Final, Self

from corpora.errors import RunError
from corpora.runs import atomic_writer, writing

PARTS: Final = ("rows", "evidence", "failures")
_NOTE: Final = "progress.json"
_SECONDS_BETWEEN_NOTES: Final = 1.0


@dataclass(slots=True)
class Progress:
    """How far a run has come: records read from the source, bytes that count in each part, and its counts."""

    records: int = 0
    sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class Journal:
    """The parts of one run in ``folder``; a context manager. ``key`` says what run it is: another one is not resumed."""

    def __init__(self, folder: Path, key: Mapping[str, Any], *, resume: bool) -> None:
        self._folder = folder
        self._key = dict(key)
        self.progress = _resumed(folder, self._key) if resume else Progress()
        self._files: dict[str, IO[bytes]] = {}
        self._stack = ExitStack()
        self._noted = monotonic()
        self._began = monotonic() - self.progress.seconds

    def __enter__(self) -> Self:
        with writing(self._folder):
            for part in PARTS:
                path = self.path(part)
                path.touch()
                file = self._stack.enter_context(path.open("r+b"))
                file.truncate(self.progress.sizes[part])
                file.seek(0, 2)
                self._files[part] = file
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if not isinstance(error, RunError):
                self.note()
        finally:
            self._stack.close()

    def path(self, part: str) -> Path:
        """Where a part lies."""
        return self._folder / f"{part}.part"

    def append(self, records: int, counts: Mapping[str, int], **parts: str) -> None:
        """Add what ``records`` more records of the source came to."""
        with writing(self._folder):
            for part, text in parts.items():
                if text:
                    data = text.encode("utf-8", "surrogatepass")
                    self._files[part].write(data)
                    self.progress.sizes[part] += len(data)
        self.progress.records += records
        self.progress.counts.update(counts)
        if monotonic() - self._noted > _SECONDS_BETWEEN_NOTES:
            self.note()

    def note(self) -> None:
        """Make what was appended count."""
        with writing(self._folder):
            for file in self._files.values():
                file.flush()
        self.progress.seconds = monotonic() - self._began
        state = {
            "key": self._key,
            "records": self.progress.records,
            "sizes": self.progress.sizes,
            "counts": self.progress.counts,
            "seconds": self.progress.seconds,
        }
        with atomic_writer(self._folder / _NOTE) as file:
            json.dump(state, file)
        self._noted = monotonic()


def _resumed(folder: Path, key: Mapping[str, Any]) -> Progress:
    note = folder / _NOTE
    if not note.is_file():
        return Progress()
    state = json.loads(note.read_text(encoding="utf-8"))
    if state["key"] != json.loads(json.dumps(key)):
        changed = sorted(name for name in {*key, *state["key"]} if key.get(name) != state["key"].get(name))
        raise RunError(
            "run.changed", f"not the run that was interrupted: {', '.join(changed)} differ", where=str(folder),
            hint="run it as before, or without --resume from the start",
        )  # fmt: skip
    return Progress(state["records"], state["sizes"], Counter(state["counts"]), state["seconds"])
