"""Tables that describe films, row by row into the index."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError
from corpora.importing.index import Fault, Index
from corpora.importing.layouts import Columns, find_layout
from corpora.importing.names import tails_of
from corpora.importing.values import parse_age, parse_sex, parse_state, parse_view, parse_year
from corpora.readers.files import open_text, text_lines

_DELIMITERS: Final = (",", ";", "\t", "|")
_LONGEST_CELL: Final = 1 << 20
_AT_ONCE: Final = 1000
_INSERT: Final = (
    "INSERT INTO rows (source, scope, place, parts, tail1, tail2, tail3, study_uid, accession, study, patient, weight,"
    " facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class FilmTable:
    """A table that describes films: its file, its columns and delimiter, and the source whose films alone it describes.

    ``weight``: the lower, the more it counts where tables differ.
    """

    path: str
    columns: Columns
    delimiter: str
    scope: int | None = None
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """What one row says: of which film or study, and what of it."""

    image: str | None
    study: str | None
    patient: str | None
    study_uid: str | None
    accession: str | None
    facts: dict[str, Any] = field(default_factory=dict)


def sniff(path: str, encoding: str | None = None, layout: str | None = None) -> tuple[Columns, str] | None:
    """The columns and delimiter of a table that describes films; None if it is none. Raises as ``open_text``."""
    first = first_line(path, encoding)
    for delimiter in _DELIMITERS:
        header = next(csv.reader([first], delimiter=delimiter), [])
        columns = find_layout(header, layout)
        if columns is not None:
            return columns, delimiter
    return None


def first_line(path: str, encoding: str | None = None) -> str:
    """The first line of a text that is not blank. Raises as ``open_text`` and ``text_lines``."""
    with open_text(path, encoding) as text:
        return next((line for line in text_lines(text, path, encoding) if not line.isspace()), "")


def read_entries(table: FilmTable, encoding: str | None = None) -> Iterator[Entry | Fault]:
    """The rows of a table, or why one cannot be used (``data.columns``, ``data.cell``, ``data.csv``).

    Raises ``DataError`` (``data.csv``) for a quote that is never closed, and as ``open_text``.
    """
    csv.field_size_limit(_LONGEST_CELL)
    with open_text(table.path, encoding) as text:
        reader = csv.reader(text_lines(text, table.path, encoding), delimiter=table.delimiter, strict=True)
        number = -1
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                if "unexpected end" in str(error) or "field larger" in str(error):
                    raise _unclosed(table.path, reader.line_num) from error
                number += 1
                yield Fault(number, "data.csv", "the quotes of the row do not match", table.path, number)
                continue
            if cells is None:
                return
            if not cells:
                continue
            number += 1
            if number:
                yield _entry(cells, table, number)


def _unclosed(path: str, line: int) -> DataError:
    return DataError(
        "data.csv", "a quoted cell is never closed", where=f"{path}, before line {line}",
        hint='the file is cut off, or a cell has a " that is not doubled',
    )  # fmt: skip


def _entry(cells: Sequence[str], table: FilmTable, number: int) -> Entry | Fault:
    columns = table.columns
    if len(cells) < columns.width or any(cells[columns.width :]):
        message = f"the row has {len(cells)} cells where the header has {columns.width}"
        return Fault(number, "data.columns", message, table.path, number)
    given = {role: cells[place].strip() for role, place in columns.places.items()}
    if not (given.get("image") or given.get("study") or given.get("study_uid") or given.get("accession")):
        return Fault(number, "data.no_id", "the row names neither a film nor a study", table.path, number)
    if "\0" in "".join(given.values()):
        return Fault(number, "data.nul", "the row holds a NUL character", table.path, number)
    try:
        labels = _labels(cells, columns, given)
    except ValueError as error:
        return Fault(number, "data.cell", f"{error} is none of 1, 0, -1 and empty", table.path, number)
    study, patient = _ids(columns, given)
    facts = _facts(columns, given, table.path) | labels
    return Entry(given.get("image") or None, study, patient, given.get("study_uid"), given.get("accession"), facts)


def _ids(columns: Columns, given: dict[str, str]) -> tuple[str | None, str | None]:
    layout = columns.layout
    study, patient = given.get("study") or None, given.get("patient") or None
    if study is None and given.get("image"):
        tails = tails_of(given["image"])
        if layout.study_from == "image":
            study = tails.tail1
        elif layout.study_from == "path" and tails.tail3:
            study = tails.tail3.rpartition("/")[0]
            patient = patient or study.partition("/")[0]
        elif layout.name != "mapping":
            study = given.get("study_uid") or given.get("accession") or None
    return _prefixed(study, layout.prefixes[0]), _prefixed(patient, layout.prefixes[1])


def _prefixed(text: str | None, prefix: str) -> str | None:
    return f"{prefix}{text}" if text and prefix and text.isdigit() else text


def _labels(cells: Sequence[str], columns: Columns, given: dict[str, str]) -> dict[str, Any]:
    kind = columns.layout.labels
    found: dict[str, int] = {}
    if columns.labels:
        for place, name in columns.labels:
            try:
                state = parse_state(cells[place])
            except ValueError:
                raise ValueError(f"a cell of {name!r}") from None
            if state is not None:
                found[name] = state
    elif kind == "class":
        found = {given["class"]: 1} if given.get("class") else {}
    elif given.get("labels"):
        separator = "|" if "|" in given["labels"] else ";"
        found = {name.strip(): 1 for name in given["labels"].split(separator) if name.strip()}
    facts: dict[str, Any] = {"labels": found} if found or columns.labels else {}
    if given.get("reader"):
        facts["reader"] = given["reader"]
    return facts | ({"partial": True} if kind == "class" else {})


def _facts(columns: Columns, given: dict[str, str], path: str) -> dict[str, Any]:
    view = parse_view(given.get("view", ""))
    # the column with the projection is empty for lateral films
    side = parse_view(given.get("side", ""))
    facts: dict[str, Any] = {
        "view": view or side,
        "view_source": columns.names["view"] if view else columns.names["side"] if side else None,
        "rows": _whole(given.get("rows")),
        "columns": _whole(given.get("columns")),
        "age": parse_age(given.get("age", "")),
        "sex": parse_sex(given.get("sex", "")),
        "year": parse_year(given.get("year", "")),
        "split": given.get("split") or _split_of(columns, path),
        "follow_up": given.get("follow_up") or None,
    }
    spacing = _number(given.get("spacing_y")), _number(given.get("spacing_x"))
    if all(spacing):
        facts["pixel_spacing"] = spacing
    return {name: value for name, value in facts.items() if value is not None}


def _split_of(columns: Columns, path: str) -> str | None:
    if columns.layout.name not in ("chexpert", "vindr"):
        return None
    name = Path(path).name.lower()
    return next((split for split in ("train", "valid", "test") if split in name), None)


def _whole(cell: str | None) -> int | None:
    return int(cell) if cell and cell.isdecimal() and len(cell) < 7 else None


def _number(cell: str | None) -> float | None:
    try:
        number = float(cell or "")
    except ValueError:
        return None
    return number if 0 < number < 100 else None


def add_table(index: Index, source: int, table: FilmTable, encoding: str | None = None) -> int:
    """Put the rows of a table into the index; their number. Raises as ``read_entries``."""
    total = 0
    batch: list[tuple[object, ...]] = []
    faults: list[Fault] = []
    for place, one in enumerate(read_entries(table, encoding), 1):
        if isinstance(one, Fault):
            faults.append(one)
            continue
        batch.append(_row(source, table, place, one))
        total += 1
        if len(batch) == _AT_ONCE:
            index.db.executemany(_INSERT, batch)
            batch.clear()
    index.db.executemany(_INSERT, batch)
    index.reject("tables", faults)
    return total


def _row(source: int, table: FilmTable, place: int, one: Entry) -> tuple[object, ...]:
    tails = tails_of(one.image) if one.image else None
    keys = (tails.parts, tails.tail1, tails.tail2, tails.tail3) if tails else (0, None, None, None)
    facts = json.dumps(one.facts, ensure_ascii=False) if one.facts else None
    uid, accession = one.study_uid or None, one.accession or None
    return (source, table.scope, place, *keys, uid, accession, one.study, one.patient, table.weight, facts)
