"""Label tables for scoring, read from CSV, JSONL or Parquet.

Rows are counted from 1 by record: neither the header nor a blank line is one.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, cast

from corpora.errors import DataError
from corpora.label_columns import id_place, may_hold_labels
from corpora.labels import BLANK, NEGATIVE, POSITIVE, UNCERTAIN, State, parse_cell

STATES: Final[tuple[State, ...]] = (POSITIVE, NEGATIVE, UNCERTAIN, BLANK)
BLANK_CODE: Final = STATES.index(BLANK)
EXCLUDED: Final = 4
_BAD: Final = 5
_CODE_OF: Final = {state: code for code, state in enumerate(STATES)}

_REPORT_COLUMNS = ("reports", "report impression")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_SHOWN = 20


@dataclass(slots=True)
class Column:
    """One label's states as codes (places in ``STATES``, or ``EXCLUDED``), and its first cell that is no state."""

    codes: bytearray = field(default_factory=bytearray)
    bad: tuple[int, str] | None = None

    def add(self, code: int, row: int, value: object) -> None:
        self.codes.append(code)
        if code == _BAD and self.bad is None:
            self.bad = (row, _shown(value))

    def holds_no_state(self) -> bool:
        """Whether the column has content, none of which is a state: a remark, a name, a measurement."""
        return self.bad is not None and not any(code in self.codes for code in range(BLANK_CODE))


@dataclass(frozen=True, slots=True)
class LabelTable:
    """A label table as read: ids in order, a column per label in order.

    ``sparse``: the format leaves blank labels out (JSONL), so a label it never names is blank throughout.
    """

    path: Path
    ids: list[str]
    columns: dict[str, Column]
    sparse: bool
    numbered: bool = False


def read_labels(path: Path, *, gold: bool = False) -> LabelTable:
    """Read a label table: ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet``, each also with ``.gz``.

    The id column is found by its name (``study_id``, ``id``, ``accession`` ...); a table that begins with ``Reports``
    and has none is numbered by row. A JSONL line is ``{"study_id": ..., "labels": {LABEL: value}}`` or ``{"study_id":
    ..., LABEL: value}``. With ``gold`` a cell may be ``x``: left out of every score. Raises ``DataError`` for a file
    that is missing, empty, of another kind or damaged, and for ids that are missing or occur twice.
    """
    suffixes = [s.lower() for s in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    encode = _encoder(gold)
    with _file_errors(path):
        if path.stat().st_size == 0:
            raise _empty(path)
        if kind in _DELIMITERS:
            table = _read_delimited(path, _DELIMITERS[kind], encode)
        elif kind == ".jsonl":
            table = _read_jsonl(path, encode)
        elif kind == ".parquet":
            table = _read_parquet(path, encode)
        else:
            hint = "a label table is .csv, .tsv, .jsonl or .parquet, or one of these with .gz"
            message = f"no label table is read from {kind or 'a file without an extension'}"
            raise DataError("data.format", message, where=str(path), hint=hint)
    if not table.ids:
        raise _empty(path)
    _check_unique(table)
    return table


# reading


def _read_delimited(path: Path, delimiter: str, encode: Callable[[object], int]) -> LabelTable:
    csv.field_size_limit(2**31 - 1)  # a Reports column may hold reports longer than the default 131,072
    with _open_text(path) as stream:
        rows = _records(stream, delimiter, path)
        header = [name.strip() for name in next(rows, [])]
        id_at = _id_column(header, path)
        columns = _label_columns(header, path)
        ids: list[str] = []
        for number, row in enumerate((row for row in rows if row), 1):
            if len(row) != len(header):
                message = f"the row has {len(row)} cells where the header has {len(header)}"
                raise DataError("data.csv", message, where=at_row(path, number))
            ids.append(str(number) if id_at is None else _id_of(row[id_at], path, number))
            for at, column in columns.values():
                column.add(encode(row[at]), number, row[at])
    found = {name: column for name, (_, column) in columns.items()}
    return LabelTable(path, ids, found, sparse=False, numbered=id_at is None)


def _records(stream: IO[str], delimiter: str, path: Path) -> Iterator[list[str]]:
    rows = csv.reader(stream, delimiter=delimiter, strict=True)
    try:
        yield from rows
    except csv.Error as error:
        where = f"{path}, line {rows.line_num}"
        raise DataError("data.csv", f"not a readable table: {error}", where=where) from None


def _read_jsonl(path: Path, encode: Callable[[object], int]) -> LabelTable:
    ids: list[str] = []
    columns: dict[str, Column] = {}
    with _open_text(path) as stream:
        for number, line in enumerate((line for line in stream if line.strip()), 1):
            record = _parse_line(line, path, number)
            ids.append(_record_id(record, path, number))
            for label, value in _record_labels(record, path, number).items():
                column = columns.setdefault(label, Column())
                _pad(column, len(ids) - 1)
                column.add(encode(value), number, value)
    for column in columns.values():
        _pad(column, len(ids))
    return LabelTable(path, ids, columns, sparse=True)


def _read_parquet(path: Path, encode: Callable[[object], int]) -> LabelTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with _open_bytes(path) as stream:
            file = pq.ParquetFile(pa.BufferReader(stream.read()))
            header = [str(name) for name in file.schema_arrow.names]
            id_at, columns = _id_column(header, path), _label_columns(header, path)
            wanted = [at for at, _ in columns.values()] + ([] if id_at is None else [id_at])
            content = file.read(columns=[header[at] for at in wanted])
    except pa.ArrowException:
        raise DataError("data.parquet", "not a readable Parquet file", where=str(path)) from None
    rows = range(1, file.metadata.num_rows + 1)
    raw_ids = rows if id_at is None else content.column(header[id_at]).to_pylist()
    ids = [_id_of(value, path, row) for row, value in zip(rows, raw_ids, strict=True)]
    for at, column in columns.values():
        for row, value in zip(rows, content.column(header[at]).to_pylist(), strict=True):
            column.add(encode(value), row, value)
    found = {name: column for name, (_, column) in columns.items()}
    return LabelTable(path, ids, found, sparse=False, numbered=id_at is None)


def _open_bytes(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb"))


def _open_text(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return cast(IO[str], gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """What the file system and the decoders raise, as a ``DataError`` that names the file and no content."""
    try:
        yield
    except FileNotFoundError:
        raise DataError("data.file", "no such file", where=str(path)) from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError("data.gzip", "not gzip, or cut off", where=str(path)) from None
    except OSError as error:
        raise DataError("data.file", f"cannot be read: {error.strerror or 'error'}", where=str(path)) from None
    except UnicodeDecodeError:
        raise DataError("data.encoding", "not UTF-8 text", where=str(path)) from None


# cells, ids and columns


def _encoder(gold: bool) -> Callable[[object], int]:
    seen: dict[str, int] = {"x": EXCLUDED, "X": EXCLUDED} if gold else {}

    def encode(value: object) -> int:
        if value is None:
            return BLANK_CODE
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return _BAD
        text = str(value)
        code = seen.get(text)
        if code is None:
            code = _parse(text, gold)
            if code != _BAD:  # what is no state may be prose, and is not worth remembering
                seen[text] = code
        return code

    return encode


def _parse(text: str, gold: bool) -> int:
    if gold and text.strip().lower() == "x":
        return EXCLUDED
    try:
        return _CODE_OF[parse_cell(text)]
    except ValueError:
        return _BAD


def _shown(value: object) -> str:
    return repr(value[:_SHOWN]) if isinstance(value, str) else str(value)[:_SHOWN]


def _id_column(header: list[str], path: Path) -> int | None:
    """Where the id column is; None for a table of the Stanford layout, whose rows are numbered."""
    place = id_place(header)
    if place is not None:
        return place
    if header and header[0].lower() in _REPORT_COLUMNS:
        return None
    if not any(header):
        raise _empty(path)
    hint = "the first row is the header; only a table that begins with a Reports column goes without study_id"
    raise DataError("data.column", "no column of study ids", where=str(path), hint=hint)


def _label_columns(header: list[str], path: Path) -> dict[str, tuple[int, Column]]:
    """Where each label's column is, and an empty ``Column`` for it; a column without a name is no label."""
    first: dict[str, int] = {}
    for at, name in enumerate(header):
        if name and first.setdefault(name, at) != at:
            message = f"columns {first[name] + 1} and {at + 1} have the same name"
            raise DataError("data.column", message, where=str(path))
    return {name: (at, Column()) for name, at in first.items() if may_hold_labels(name)}


def _pad(column: Column, length: int) -> None:
    column.codes.extend(bytes([BLANK_CODE]) * (length - len(column.codes)))


def _id_of(value: object, path: Path, row: int) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    name = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not name:
        raise DataError("data.id", "the row has no id", where=at_row(path, row))
    return name


def _parse_line(line: str, path: Path, row: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError("data.json", "the line is not JSON", where=at_row(path, row)) from None
    if not isinstance(record, dict):
        raise DataError("data.json", "the line is not a JSON object", where=at_row(path, row))
    return record


def _record_id(record: Mapping[str, Any], path: Path, row: int) -> str:
    names = list(record)
    place = id_place(names)
    if place is None:
        raise DataError("data.id", "the line has no study_id", where=at_row(path, row))
    return _id_of(record[names[place]], path, row)


def _record_labels(record: Mapping[str, Any], path: Path, row: int) -> Mapping[str, Any]:
    if "labels" not in record:
        return {key: value for key, value in record.items() if may_hold_labels(key)}
    labels = record["labels"]
    if not isinstance(labels, dict):
        raise DataError("data.json", "labels is not an object of label and value", where=at_row(path, row))
    return labels


# errors


def at_row(path: Path, row: int, column: str = "") -> str:
    """Where in a table, for an error."""
    return f"{path}, row {row}" + (f", column {column!r}" if column else "")


def _empty(path: Path) -> DataError:
    return DataError("data.empty", "the table has no reports", where=str(path))


def _check_unique(table: LabelTable) -> None:
    if len(set(table.ids)) == len(table.ids):
        return
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(table.ids, 1):
        rows.setdefault(name, []).append(row)
    first, at = next((name, at) for name, at in rows.items() if len(at) > 1)
    others = sum(len(at) > 1 for at in rows.values()) - 1
    more = f", and {others} more ids occur twice or more" if others else ""
    message = f"id {first[:40]!r} occurs {len(at)} times{more}"
    shown = ", ".join(map(str, at[:5])) + (" ..." if len(at) > 5 else "")
    raise DataError("data.duplicate", message, where=f"{table.path}, rows {shown}")
