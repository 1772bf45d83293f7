"""A label table as arrays: ids, labels in order, states as codes.

Tables of the usual form are read column by column; everything else, and whatever is wrong with a table, is left to
``labeler.score_io``, which says where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from corpora.label_columns import id_place, may_hold_labels
from corpora.labels import parse_cell
from labeler.audit.types import BLANK_CODE
from labeler.score_io import STATES, LabelTable, at_row, read_labels

if TYPE_CHECKING:
    import pyarrow as pa

_CODES: Final = np.array([BLANK_CODE if state is None else state for state in STATES], dtype=np.int8)


@dataclass(frozen=True, slots=True)
class Labels:
    """A label table: N ids, L labels, ``states`` [N, L] int8 as in ``labeler.audit.types``.

    ``left_out`` are columns that hold no states. ``sparse``: labels that never occur may be missing.
    """

    path: Path
    ids: tuple[str, ...]
    names: tuple[str, ...]
    states: NDArray[Any]
    left_out: tuple[str, ...] = ()
    sparse: bool = False


def table_file(path: Path | str) -> Path:
    """A label table, or the one in a run folder. Raises ``DataError``: ``data.file``."""
    path = Path(path)
    if not path.is_dir():
        return path
    found = [path / f"labels{end}" for end in (".csv", ".parquet", ".jsonl") if (path / f"labels{end}").is_file()]
    if not found:
        raise DataError("data.file", "the folder holds no label table", where=str(path))
    return found[0]


def read_table(path: Path | str, *, leave_out: Sequence[str] = ()) -> Labels:
    """Read a label table; the columns in ``leave_out`` are no labels.

    Raises ``DataError`` as ``labeler.score_io.read_labels``, ``data.cell`` for a cell that is no state, and
    ``data.label`` for a table without labels.
    """
    path = table_file(path)
    labels = _by_column(path, leave_out) or _by_row(path, leave_out)
    if not labels.names:
        raise DataError("data.label", "no column of the table holds labels", where=str(path))
    return labels


def _by_row(path: Path, leave_out: Sequence[str]) -> Labels:
    table = read_labels(path)
    columns = {name: column for name, column in table.columns.items() if name not in leave_out}
    kept = [name for name, column in columns.items() if not column.holds_no_state()]
    _check_cells(table, kept)
    codes = [np.frombuffer(table.columns[name].codes, dtype=np.uint8) for name in kept]
    states = _CODES[np.stack(codes, axis=1)] if kept else np.zeros((len(table.ids), 0), np.int8)
    left = tuple(name for name in table.columns if name not in kept)
    return Labels(path, tuple(table.ids), tuple(kept), states, left, table.sparse)


def _check_cells(table: LabelTable, names: Sequence[str]) -> None:
    for name in names:
        bad = table.columns[name].bad
        if bad:
            hint = "a cell is 1, 0, -1 or empty; leave columns that are no labels out"
            raise DataError("data.cell", f"{bad[1]} is no label", where=at_row(table.path, bad[0], name), hint=hint)


def _by_column(path: Path, leave_out: Sequence[str]) -> Labels | None:
    """The table if it is CSV or Parquet in the form that `radloop label run` writes; else None."""
    table = _arrow(path)
    if table is None or not table.num_rows or len(set(table.column_names)) != table.num_columns:
        return None
    place = id_place(table.column_names)
    if place is None:
        return None
    key = table.column_names[place]
    names = [name for name in table.column_names if name != key and name not in leave_out]
    if any(name != name.strip() or not may_hold_labels(name) for name in names):
        return None
    ids = _ids(table.column(key))
    columns = [_codes(table.column(name)) for name in names]
    if ids is None or any(column is None for column in columns) or not columns:
        return None
    return Labels(path, ids, tuple(names), np.stack([each for each in columns if each is not None], axis=1))


def _arrow(path: Path) -> pa.Table | None:
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() == ".parquet":
            return pq.read_table(path)
        if path.suffix.lower() != ".csv":
            return None
        with csv.open_csv(path) as reader:
            names = reader.schema.names
        text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
        return csv.read_csv(path, convert_options=text)
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return None


def _ids(column: pa.ChunkedArray) -> tuple[str, ...] | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count or column.type != pa.string():
        return None
    trimmed = pc.utf8_trim_whitespace(column)
    if pc.count_distinct(trimmed).as_py() != len(column) or pc.min(pc.utf8_length(trimmed)).as_py() == 0:
        return None
    return tuple(trimmed.to_pylist())


def _codes(column: pa.ChunkedArray) -> NDArray[Any] | None:
    coded = column.combine_chunks().dictionary_encode()
    spelled = coded.dictionary.to_pylist()
    if len(spelled) > 16:
        return None
    try:
        states = [parse_cell("" if value is None else str(value)) for value in spelled]
    except ValueError:
        return None
    codes = np.array([BLANK_CODE if state is None else state for state in states] + [BLANK_CODE], dtype=np.int8)
    found: NDArray[Any] = codes[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return found
