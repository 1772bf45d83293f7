"""A label table for the checks: CSV, JSONL or Parquet as ``radloop label run`` writes it, or its run folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpora.errors import DataError
from corpora.label_columns import spelled_as
from corpora.label_table import kind_of, label_rows, no_state, table_file
from corpora.labels import parse_cell


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Labels by study id (1, 0, -1; a blank is absent), and the labels it has columns for.

    ``columns`` is None where the format has none (JSONL): then only labels that occur are known.
    """

    path: Path
    columns: tuple[str, ...] | None
    labels: Mapping[str, Mapping[str, int]]


def read_label_table(path: Path | str, known: Collection[str] = ()) -> LabelTable:
    """Read a label table, or the one in a run folder; ids as ``known`` spells them (``corpora.label_columns``).

    Raises ``DataError``: ``data.file``, ``data.format``, ``data.column`` without a column of ids, ``data.id``,
    ``data.duplicate``, ``data.cell`` for a cell that is no state, ``data.csv``, ``data.json``, ``data.encoding``,
    ``data.parquet``.
    """
    path = table_file(Path(path))
    columns: dict[str, None] = {}
    labels: dict[str, dict[str, int]] = {}
    for number, (study_id, cells) in enumerate(label_rows(path), 1):
        if not study_id:
            raise DataError("data.id", "the row has no study id", where=f"{path}, row {number}")
        if study_id in labels:
            raise DataError("data.duplicate", "the study id occurs twice", where=f"{path}, row {number}")
        columns |= dict.fromkeys(cells)
        labels[study_id] = _states(cells, f"{path}, row {number}")
    sparse = path.is_dir() or kind_of(path) == ".jsonl"
    if labels and not columns and not sparse:
        raise DataError("data.column", "the table has no column of labels", where=str(path))
    named = dict(zip(spelled_as(known, labels), labels.values(), strict=True))
    return LabelTable(path, None if sparse else tuple(columns), named)


def _states(cells: Mapping[str, Any], where: str) -> dict[str, int]:
    states: dict[str, int] = {}
    for label, cell in cells.items():
        try:
            state = parse_cell("" if cell is None else str(cell))
        except ValueError:
            raise no_state(label, where) from None
        if state is not None:
            states[label] = state
    return states
