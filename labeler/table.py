"""How a labeled report is written: a row of CSV, of the Stanford chexpert-labeler's CSV, a line of JSON, or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from corpora.labels import State, format_cell
from corpora.runs import atomic_writer
from corpora.types import Report
from labeler.types import LabelVector

Row = Callable[[Report, tuple[State, ...]], str]

_SPECIAL: Final = frozenset(',"\r\n')
_ROWS_AT_ONCE: Final = 65_536


def layout_of(table_format: str, source_format: str) -> str:
    """How rows are laid out on the way into a table: ``csv``, ``jsonl``, ``parquet``, or ``stanford`` for a CSV table
    of reports that came in the format of that labeler."""
    return "stanford" if (table_format, source_format) == ("csv", "stanford") else table_format


def header(layout: str, labels: Sequence[str]) -> str:
    """The first line of a table in ``layout``; empty where it has none."""
    if layout not in ("csv", "stanford"):
        return ""
    first = "Reports" if layout == "stanford" else "study_id"
    return ",".join(map(_cell, (first, *labels))) + "\n"


def row_writer(layout: str, labels: Sequence[str]) -> Row:
    """The function that writes one report's row in ``layout``, line end included."""

    @lru_cache(maxsize=65_536)
    def rest(states: tuple[State, ...]) -> str:
        return _REST[layout](labels, states)

    if layout == "stanford":
        return lambda report, states: _cell(report.text) + rest(states)
    if layout == "csv":
        return lambda report, states: _cell(report.study_id) + rest(states)
    before = "[" if layout == "parquet" else '{"study_id": '
    return lambda report, states: before + _json(report.study_id) + rest(states)


def evidence_line(report: Report, vector: LabelVector) -> str:
    """A report's vector with its mentions as a line of JSON."""
    from labeler.explain import to_json

    return _json(to_json(report, vector)) + "\n"


def write_parquet(rows: Path, labels: Sequence[str], path: Path) -> None:
    """Turn rows of the layout ``parquet`` into a table: study_id as text, labels as int8 with nulls; constant memory.

    Raises ``RunError`` as ``atomic_writer``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("study_id", pa.string()), *((label, pa.int8()) for label in labels)])
    with atomic_writer(path, "wb") as file, pq.ParquetWriter(file, schema) as writer:
        for batch in _batches(rows):
            writer.write_table(pa.table(list(zip(*batch, strict=True)), schema=schema))


def _batches(rows: Path) -> Iterator[list[Any]]:
    with rows.open("rb") as file:
        while batch := [json.loads(line) for line in islice(file, _ROWS_AT_ONCE)]:
            yield batch


def _csv_rest(labels: Sequence[str], states: Sequence[State]) -> str:
    return "," + ",".join(map(format_cell, states)) + "\n"


def _stanford_rest(labels: Sequence[str], states: Sequence[State]) -> str:
    # that tool writes its table through pandas, from floats with NaN for blank
    return "," + ",".join("" if state is None else f"{state}.0" for state in states) + "\n"


def _jsonl_rest(labels: Sequence[str], states: Sequence[State]) -> str:
    asserted = {label: state for label, state in zip(labels, states, strict=True) if state is not None}
    return f', "labels": {_json(asserted)}}}\n'


def _parquet_rest(labels: Sequence[str], states: Sequence[State]) -> str:
    return f", {_json(states)[1:]}\n"


_REST: Final = {"csv": _csv_rest, "stanford": _stanford_rest, "jsonl": _jsonl_rest, "parquet": _parquet_rest}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    if _SPECIAL.isdisjoint(text):
        return text
    # not by the csv module: until Python 3.13 it leaves a lone carriage return unquoted
    return '"' + text.replace('"', '""') + '"'
