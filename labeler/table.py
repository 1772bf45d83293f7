"""How a labeled report is written: a row of CSV, a line of JSON, or the Stanford chexpert-labeler's row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

from corpora.labels import State, format_cell
from corpora.runs import atomic_writer
from corpora.types import Report
from labeler.types import LabelVector

Row = Callable[[Report, tuple[State, ...]], str]

_QUOTED: Final = frozenset(',"\r\n')
_ROWS_AT_ONCE: Final = 65_536


def header(layout: str, labels: Sequence[str]) -> str:
    """The first line of a table in ``layout`` (``csv``, ``stanford``, ``jsonl``); empty where it has none."""
    if layout == "jsonl":
        return ""
    first = "Reports" if layout == "stanford" else "study_id"
    return _csv_line([first, *labels])


def row_writer(layout: str, labels: Sequence[str]) -> Row:
    """The function that writes one report's row in ``layout``, line end included."""
    if layout == "jsonl":
        return lambda report, states: json.dumps(
            {"study_id": report.study_id, "labels": _asserted(labels, states)}, ensure_ascii=False
        ) + "\n"
    if layout == "stanford":
        return lambda report, states: _cell(report.text) + _stanford_cells(states)
    return lambda report, states: _cell(report.study_id) + _cells(states)


def evidence_line(report: Report, vector: LabelVector) -> str:
    """A report's vector with its mentions as a line of JSON."""
    from labeler.explain import to_json

    return json.dumps(to_json(report, vector), ensure_ascii=False) + "\n"


def write_parquet(rows: Path, labels: Sequence[str], path: Path) -> None:
    """Turn CSV ``rows`` (no header) into a Parquet table: study_id text, labels int8 with nulls; constant memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("study_id", pa.string()), *((label, pa.int8()) for label in labels)])
    with atomic_writer(path, "wb") as file, pq.ParquetWriter(file, schema) as writer:
        for batch in _batches(rows):
            columns = list(zip(*batch, strict=True))
            states = [[int(cell) if cell else None for cell in column] for column in columns[1:]]
            writer.write_table(pa.table([columns[0], *states], schema=schema))


def _batches(rows: Path) -> Iterator[list[list[str]]]:
    with rows.open(encoding="utf-8", newline="") as file:
        batch = []
        for row in csv.reader(file):
            batch.append(row)
            if len(batch) == _ROWS_AT_ONCE:
                yield batch
                batch = []
        if batch:
            yield batch


def _asserted(labels: Sequence[str], states: Sequence[State]) -> dict[str, State]:
    return {label: state for label, state in zip(labels, states, strict=True) if state is not None}


@lru_cache(maxsize=65_536)
def _cells(states: tuple[State, ...]) -> str:
    return "," + ",".join(map(format_cell, states)) + "\n"


@lru_cache(maxsize=65_536)
def _stanford_cells(states: tuple[State, ...]) -> str:
    # that tool writes its table through pandas, which turns a column with blanks into floats
    return "," + ",".join("" if state is None else f"{state}.0" for state in states) + "\n"


def _cell(text: str) -> str:
    return text if _QUOTED.isdisjoint(text) and text else _csv_line([text, ""])[:-2]


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
