"""A label table for the checks: CSV, JSONL or Parquet as ``radloop label run`` writes it, or its run folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError
from corpora.labels import parse_cell

_IDS: Final = ("study_id", "id")


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Labels by study id (1, 0, -1; a blank is absent), and the labels it has columns for.

    ``columns`` is None where the format has none (JSONL): then only labels that occur are known.
    """

    path: Path
    columns: tuple[str, ...] | None
    labels: Mapping[str, Mapping[str, int]]


def read_label_table(path: Path | str) -> LabelTable:
    """Read a label table, or the one in a run folder.

    Raises ``DataError``: ``data.file``, ``data.format``, ``data.column`` without a column of ids, ``data.id``,
    ``data.duplicate``, ``data.cell`` for a cell that is no state, ``data.json``, ``data.encoding``, ``data.parquet``.
    """
    path = _table_file(Path(path))
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
    if path.suffix.lower() not in readers:
        raise DataError("data.format", "a label table is .csv, .jsonl or .parquet", where=str(path))
    columns: dict[str, None] = {}
    labels: dict[str, dict[str, int]] = {}
    try:
        for number, (study_id, cells) in enumerate(readers[path.suffix.lower()](path), 1):
            if not study_id:
                raise DataError("data.id", "the row has no study id", where=f"{path}, row {number}")
            if study_id in labels:
                raise DataError("data.duplicate", "the study id occurs twice", where=f"{path}, row {number}")
            columns |= dict.fromkeys(cells)
            labels[study_id] = _states(cells, f"{path}, row {number}")
    except UnicodeDecodeError as error:
        raise DataError("data.encoding", "the label table is not UTF-8", where=str(path)) from error
    except OSError as error:
        raise DataError("data.file", error.strerror or "cannot be read", where=str(path)) from error
    return LabelTable(path, None if path.suffix.lower() == ".jsonl" else tuple(columns), labels)


def _table_file(path: Path) -> Path:
    if path.is_dir():
        found = [path / f"labels{end}" for end in (".csv", ".parquet", ".jsonl") if (path / f"labels{end}").is_file()]
        if not found:
            raise DataError("data.file", "the folder holds no label table", where=str(path))
        return found[0]
    if not path.is_file():
        raise DataError("data.file", "there is no such label table", where=str(path))
    return path


def _states(cells: Mapping[str, Any], where: str) -> dict[str, int]:
    states: dict[str, int] = {}
    for label, cell in cells.items():
        try:
            state = parse_cell("" if cell is None else str(cell))
        except ValueError:
            # the cell may hold a report, if the table is of reports
            message = f"the cell of {label!r} is none of 1, 0, -1 and empty"
            raise DataError("data.cell", message, where=where) from None
        if state is not None:
            states[label] = state
    return states


_Rows = Iterator[tuple[str, Mapping[str, Any]]]


def _csv_rows(path: Path) -> _Rows:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        names = rows.fieldnames or []
        key = next((name for name in names if name.lower() in _IDS), None)
        if key is None:
            raise DataError("data.column", "no column study_id", where=str(path))
        try:
            for row in rows:
                if None in row or None in row.values():
                    raise DataError(
                        "data.csv", "the row has not as many cells as the header", where=f"{path}, line {rows.line_num}"
                    )
                yield row[key], {name: row[name] for name in names if name != key}
        except csv.Error as error:
            raise DataError("data.csv", f"not CSV: {error}", where=f"{path}, line {rows.line_num}") from error


def _jsonl_rows(path: Path) -> _Rows:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
                cells = record["labels"]
                yield str(record["study_id"]), dict(cells)
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    "data.json", 'not {"study_id": ..., "labels": {...}}', where=f"{path}, line {number}"
                ) from error


def _parquet_rows(path: Path) -> _Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            key = next((name for name in file.schema_arrow.names if name.lower() in _IDS), None)
            if key is None:
                raise DataError("data.column", "no column study_id", where=str(path))
            for batch in file.iter_batches(batch_size=4096):
                for row in batch.to_pylist():
                    yield str(row.pop(key) or ""), row
    except pa.ArrowException as error:
        raise DataError("data.parquet", "the label table is not Parquet, or is damaged", where=str(path)) from error
