"""Tables of readings: one row an item and reader with a column by label, or the layout of VinDr-CXR's boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import ConfigError, DataError
from corpora.labels import parse_cell
from vision.evaluate_input import table_rows, text_or_none

BLANK: Final = -2
BLANK_AS: Final = {"negative": "a blank answer is negative", "state": "a blank answer is an answer of its own"}
_ITEMS: Final = ("image_id", "study_id", "id")
_READERS: Final = ("reader", "rad_id", "reader_id")
_OTHERS: Final = frozenset({"patient_id", "path", "split", "sex", "age", "view"})
_BOXES: Final = frozenset({"class_name", "x_min", "y_min", "x_max", "y_max"})


@dataclass(frozen=True, slots=True)
class Readings:
    """Answers (readers, items, labels), what was ``read`` at all (readers, items), and ``clusters`` of items.

    ``unit`` names what is resampled: patient, where the table says who they are, else item.
    """

    readers: tuple[str, ...]
    items: tuple[str, ...]
    labels: tuple[str, ...]
    answers: NDArray[np.int8]
    read: NDArray[np.bool_]
    clusters: NDArray[np.intp]
    unit: str
    notes: tuple[str, ...]


def read_readings(path: Path | str, *, labels: Sequence[str] = (), blank: str = "negative") -> Readings:
    """Readings from a .csv, .parquet or .jsonl table with a column of items (``image_id`` or ``study_id``), one of
    readers (``reader`` or ``rad_id``) and labels with 1, 0, -1 or empty; or with ``class_name`` and corners as
    VinDr-CXR has its boxes, where a label is positive if the reader drew it.

    ``labels`` takes some of them. Raises ``DataError``: as ``table_rows``, ``data.column`` for a missing column,
    ``data.id``, ``data.cell`` for a cell that is no state, ``data.duplicate`` for a reader's second row of an item,
    ``data.empty``; ``ConfigError`` (``config.value``) for another ``blank``.
    """
    file = Path(path)
    if blank not in BLANK_AS:
        raise ConfigError("config.value", f"a blank is read as {blank!r}", where="--blank", hint=" or ".join(BLANK_AS))
    rows = list(table_rows(file))
    if not rows:
        raise DataError("data.empty", "the table has no readings", where=str(file))
    names = {str(name).strip().lower(): str(name) for name in rows[0]}
    item, reader = _column(names, _ITEMS, file), _column(names, _READERS, file)
    keys = [_key(row, item, reader, file, number) for number, row in enumerate(rows, 1)]
    as_boxes = names.keys() >= _BOXES
    found = _of_boxes(rows, keys, names) if as_boxes else _of_columns(rows, keys, names, {item, reader}, file)
    answers, given = found
    wanted = list(labels) or given
    lacking = [label for label in wanted if label not in given]
    if lacking or not wanted:
        raise DataError("data.column", f"no label {', '.join(lacking)}", where=str(file),
                        hint=f"it has {', '.join(given)}")  # fmt: skip
    patients = {key[0]: text_or_none(row[names["patient_id"]]) for key, row in zip(keys, rows, strict=True)} \
        if "patient_id" in names else {}  # fmt: skip
    return _arranged(keys, answers, wanted, patients, 0 if blank == "negative" else BLANK)


Key = tuple[str, str]


def _column(names: Mapping[str, str], wanted: Sequence[str], path: Path) -> str:
    for name in wanted:
        if name in names:
            return names[name]
    raise DataError("data.column", f"no column {' or '.join(wanted)}", where=str(path))


def _key(row: Mapping[str, Any], item: str, reader: str, path: Path, number: int) -> Key:
    found = text_or_none(row.get(item)), text_or_none(row.get(reader))
    if found[0] is None or found[1] is None:
        raise DataError("data.id", "the row has no item or no reader", where=f"{path}, row {number}")
    return found[0], found[1]


def _of_boxes(
    rows: Iterable[Mapping[str, Any]], keys: Iterable[Key], names: Mapping[str, str]
) -> tuple[dict[Key, dict[str, int]], list[str]]:
    answers: dict[Key, dict[str, int]] = {}
    labels: dict[str, None] = {}
    for key, row in zip(keys, rows, strict=True):
        label = text_or_none(row[names["class_name"]])
        of = answers.setdefault(key, {})
        if label is not None:
            labels[label] = None
            of[label] = 1
    # a reader who did not draw a finding saw none
    return {key: {label: of.get(label, 0) for label in labels} for key, of in answers.items()}, list(labels)


def _of_columns(
    rows: Iterable[Mapping[str, Any]], keys: Iterable[Key], names: Mapping[str, str], ids: set[str], path: Path
) -> tuple[dict[Key, dict[str, int]], list[str]]:
    labels = [name for key, name in names.items() if key not in (*_ITEMS, *_READERS, *_OTHERS) and name not in ids]
    answers: dict[Key, dict[str, int]] = {}
    for number, (key, row) in enumerate(zip(keys, rows, strict=True), 1):
        if key in answers:
            raise DataError("data.duplicate", "the reader read the item before", where=f"{path}, row {number}")
        answers[key] = {label: _state(row.get(label), label, path, number) for label in labels}
    return answers, labels


def _state(cell: object, label: str, path: Path, number: int) -> int:
    try:
        state = parse_cell("" if cell is None else str(cell))
    except ValueError:
        message = f"the cell of {label!r} is none of 1, 0, -1 and empty"
        raise DataError("data.cell", message, where=f"{path}, row {number}") from None
    return BLANK if state is None else state


def _arranged(
    keys: Sequence[Key], answers: Mapping[Key, Mapping[str, int]], labels: Sequence[str],
    patients: Mapping[str, str | None], blank: int,
) -> Readings:  # fmt: skip
    items = list(dict.fromkeys(item for item, _ in keys))
    names = sorted({reader for _, reader in keys})
    place, row = {item: at for at, item in enumerate(items)}, {name: at for at, name in enumerate(names)}
    cells = np.full((len(names), len(items), len(labels)), blank, dtype=np.int8)
    read = np.zeros((len(names), len(items)), dtype=bool)
    blanks = 0
    for (item, reader), given in answers.items():
        values = [given[label] for label in labels]
        blanks += sum(value == BLANK for value in values)
        cells[row[reader], place[item]] = [blank if value == BLANK else value for value in values]
        read[row[reader], place[item]] = True
    numbers: dict[str, int] = {}
    known = any(patients.values())
    clusters = [numbers.setdefault(patients.get(item) or f"\0{item}", len(numbers)) for item in items]
    single = int((read.sum(axis=0) == 1).sum())
    notes = [f"{single:,} items with one reading only"] * bool(single)
    notes += [f"{blanks:,} blank answers, read as {'negative' if blank == 0 else 'blank'}"] * bool(blanks)
    return Readings(
        tuple(names), tuple(items), tuple(labels), cells, read, np.array(clusters, dtype=np.intp),
        "patient" if known else "item", tuple(notes),
    )  # fmt: skip
