"""A label table laid beside the gold one: which labels are scored, and their states over the gold's reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from corpora.label_columns import spelled_as
from labeler.score_io import BLANK_CODE, EXCLUDED, LabelTable, at_row


@dataclass(frozen=True, slots=True)
class Paired:
    """Gold and table side by side: codes (report, label) over the gold's reports, the scored labels in order."""

    labels: tuple[str, ...]
    gold: NDArray[np.uint8]
    table: NDArray[np.uint8]
    notes: tuple[str, ...]


def pair(table: LabelTable, gold: LabelTable) -> Paired:
    """Lay ``table`` beside ``gold``: the labels that can be scored, over the gold's reports in the gold's order.

    Raises ``DataError``: a gold report is not in the table, no label is in both, a JSONL gold names a label that a CSV
    or Parquet table has no column for, a cell of a scored label is no state.
    """
    row_of = {name: i for i, name in enumerate(table.ids)}
    gold = replace(gold, ids=spelled_as(row_of, gold.ids))
    _check_present(table, gold, row_of)
    labels, notes = _scored_labels(table, gold)
    for side in (gold, table):
        _check_cells(side, labels)
    rows = np.array([row_of[name] for name in gold.ids])
    want, got = _matrix(gold, labels), _matrix(table, labels)[rows]
    notes += _count_notes(len(table.ids) - len(gold.ids), int((want == EXCLUDED).sum()))
    return Paired(labels, want, got, tuple(notes))


def _check_present(table: LabelTable, gold: LabelTable, row_of: Mapping[str, int]) -> None:
    missing = [name for name in gold.ids if name not in row_of]
    if not missing:
        return
    hint = f"the table has no id column: its reports are called 1 to {len(table.ids)}" if table.numbered else ""
    message = f"{len(missing)} of {len(gold.ids)} gold reports are missing from the table, first {missing[0][:40]!r}"
    raise DataError("data.missing", message, where=str(table.path), hint=hint)


def _scored_labels(table: LabelTable, gold: LabelTable) -> tuple[tuple[str, ...], list[str]]:
    """The labels to score in the table's order, and notes on the others.

    A sparse side says blank by silence: a label that it never names is scored as blank there.
    """
    only_gold = [label for label in gold.columns if label not in table.columns]
    only_table = [label for label in table.columns if label not in gold.columns]
    common = [label for label in table.columns if label in gold.columns]
    if not common and not _blank_against(table, gold) and not _blank_against(gold, table):
        message = f"none of the {len(table.columns)} columns of the table is among the {len(gold.columns)} of the gold"
        raise DataError("data.label", message, where=f"{table.path}, {gold.path}")
    if only_gold and gold.sparse and not table.sparse:
        message = f"the table has no column for {len(only_gold)} labels of the gold, first {only_gold[0][:40]!r}"
        raise DataError("data.label", message, where=str(table.path))
    kept, notes = _judge_extra(table, only_table, "table", "gold", scored=gold.sparse)
    kept_gold, notes_gold = _judge_extra(gold, only_gold, "gold", "table", scored=table.sparse)
    order = [*gold.columns, *table.columns] if table.sparse and not gold.sparse else [*table.columns, *gold.columns]
    scored = {*common, *kept, *kept_gold}
    return tuple(label for label in dict.fromkeys(order) if label in scored), notes + notes_gold


def _blank_against(silent: LabelTable, other: LabelTable) -> bool:
    """Whether ``silent`` names no label at all, which says blank throughout, and ``other`` has labels to compare."""
    return silent.sparse and not silent.columns and not all(c.holds_no_state() for c in other.columns.values())


def _judge_extra(
    side: LabelTable, labels: list[str], here: str, there: str, *, scored: bool
) -> tuple[list[str], list[str]]:
    """Of the labels on one side only: those to score as blank on the other, and notes on all of them."""
    kept = [label for label in labels if scored and not side.columns[label].holds_no_state()]
    left = [label for label in labels if label not in kept]
    notes = [f"never in the {there}, scored as blank there: {_names(kept)}"] if kept else []
    notes += [f"only in the {here}, not scored: {_names(left)}"] if left else []
    return kept, notes


def _names(labels: Iterable[str]) -> str:
    return ", ".join(label[:40] for label in labels)


def _check_cells(side: LabelTable, labels: Iterable[str]) -> None:
    for label in labels:
        bad = side.columns[label].bad if label in side.columns else None
        if bad:
            hint = "a cell is 1, 0, -1 or empty; leave columns that are no labels out"
            raise DataError("data.cell", f"{bad[1]} is no label", where=at_row(side.path, bad[0], label), hint=hint)


def _matrix(side: LabelTable, labels: tuple[str, ...]) -> NDArray[np.uint8]:
    codes = np.full((len(side.ids), len(labels)), BLANK_CODE, dtype=np.uint8)
    for at, label in enumerate(labels):
        if label in side.columns:
            codes[:, at] = np.frombuffer(side.columns[label].codes, dtype=np.uint8)
    return codes


def _count_notes(unread: int, excluded: int) -> list[str]:
    notes = [f"reports of the table that are not in the gold, not scored: {unread}"] if unread else []
    return notes + ([f"cells marked x in the gold, left out of every score: {excluded}"] if excluded else [])
