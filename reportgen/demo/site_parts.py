"""What the page is made of: figures, tables and pictures, each with the file of a run folder that it was read from."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """A number for people: what it is, its text, the file it is from, and where in it."""

    name: str
    text: str
    source: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: heads, rows of cells (the first a name), the file it is from, and the files of rows from elsewhere."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    source: str
    note: str = ""
    others: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: a file beside the page, or SVG to put into it; what it shows, the file its data is from."""

    says: str
    source: str
    file: str = ""
    svg: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts beside each other."""

    title: str
    left_head: str
    left: str
    right_head: str
    right: str
    source: str
    notes: Sequence[tuple[str, str]] = ()
    link: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: its anchor, heading, what was done, the headline, and what there is to show."""

    anchor: str
    title: str
    says: str
    headline: Figure | None = None
    figures: list[Figure] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)

    def sources(self) -> Iterator[str]:
        """The files that its figures, tables, pictures and texts were read from."""
        if self.headline:
            yield self.headline.source
        parts: list[Figure | Grid | Picture | Pair] = [*self.figures, *self.grids, *self.pictures, *self.pairs]
        yield from (part.source for part in parts)
        yield from (other for grid in self.grids for other in grid.others)


@dataclass(frozen=True, slots=True)
class Files:
    """The run folders of a demo, read by name relative to it."""

    root: Path

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.root / name).is_file()

    def json(self, name: str) -> Any:
        """A JSON file."""
        return json.loads((self.root / name).read_text(encoding="utf-8"))

    def lines(self, name: str) -> Iterator[Any]:
        """The objects of a file of JSON lines."""
        with (self.root / name).open(encoding="utf-8") as file:
            yield from map(json.loads, file)

    def table(self, name: str) -> list[dict[str, str]]:
        """The rows of a CSV file."""
        with (self.root / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def run_of(self, name: str) -> tuple[str, str] | None:
        """The run that a file is of, a table or a folder, and its manifest; None if it is of none."""
        if self.has(f"{name}.manifest.json"):
            return name, f"{name}.manifest.json"
        folders = [folder.as_posix() for folder in PurePosixPath(name).parents][:-1]
        return next(((each, f"{each}/manifest.json") for each in folders if self.has(f"{each}/manifest.json")), None)

    def figure(self, label: str, name: str, *place: str) -> Figure:
        """The number at a place of a JSON file: a count, a share, or an estimate with its interval."""
        value = self.json(name)
        for key in place:
            value = value[key]
        return Figure(label, shown(value), name, " / ".join(place))


def shown(value: Any, digits: int = 3) -> str:
    """A number for people; of an estimate the value and its interval.

    >>> shown(1200), shown(0.91249), shown({"value": 0.5, "lo": 0.25, "hi": 1.0}), shown(None)
    ('1,200', '.912', '.500 (.250 to 1.000)', 'undefined')
    """
    if isinstance(value, dict):
        if value.get("value") is None or value.get("lo") is None:
            return shown(value.get("value"), digits)
        return f"{shown(value['value'], digits)} ({shown(value['lo'], digits)} to {shown(value['hi'], digits)})"
    if value is None:
        return "undefined"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text
