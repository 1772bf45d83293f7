"""What a run writes as it goes: a note of each item that is done, a table for the person who checks a sample."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from corpora.deid.work import Result
from corpora.runs import atomic_writer, writing


class Journal:
    """What is done: a line for each item, added when its files are whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.places: set[str] = {result["place"] for result in self.read()}
        if path.is_file() and not path.read_bytes().endswith(b"\n"):
            # a line that a kill cut off must not spoil the next one
            with writing(path), path.open("a", encoding="utf-8") as file:
                file.write("\n")

    def add(self, results: Iterable[Result]) -> None:
        """Note results that are done."""
        with writing(self._path), self._path.open("a", encoding="utf-8") as file:
            for result in results:
                file.write(json.dumps(result, ensure_ascii=False, default=str) + "\n")
                self.places.add(result["place"])

    def read(self) -> Iterator[Result]:
        """All that is noted; a line that was cut off when a run was killed is as if it was not there."""
        if not self._path.is_file():
            return
        seen: set[str] = set()
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                try:
                    result = json.loads(line)
                except ValueError:
                    continue
                if result["place"] not in seen:
                    seen.add(result["place"])
                    yield result


class Sample:
    """A table for the person who checks a sample; made when there is something for it."""

    def __init__(self, stack: ExitStack, folder: Path | None, name: str, columns: Sequence[str], share: float) -> None:
        self._stack, self._columns = stack, columns
        self._path = None if folder is None or not share else folder / "audit" / name
        self._writer: Any = None

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add lines; the last two columns are for the person."""
        for row in rows:
            if self._path is None:
                return
            if self._writer is None:
                with writing(self._path):
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = csv.writer(self._stack.enter_context(atomic_writer(self._path)), lineterminator="\n")
                self._writer.writerow((*self._columns, "identity_left", "note"))
            self._writer.writerow([*("" if cell is None else cell for cell in row), "", ""])
