"""A label table as arrays: studies by labels, the states as numbers. For whoever learns from one or measures by it.

    table = read_label_matrix("labels.csv")
    table.states[table.rows["s1"], table.labels.index("Edema")]     # 1, 0, -1 or BLANK_CELL

Columns that hold no states (``patient_id``, ``Reports``) are left out here.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from corpora.label_columns import id_place, may_hold_labels, spelled_as
from corpora.labels import parse_cell
from corpora.readers.corpus import is_corpus

#: What a blank is in ``LabelMatrix.states``.
BLANK_CELL: Final = -2

_SUFFIXES: Final = (".csv", ".parquet", ".jsonl")
_READ: Final = (*_SUFFIXES, ".tsv")


@dataclass(frozen=True, slots=True)
class LabelMatrix:
    """Labels of studies: ``states`` [N, L] int8 holds 1, 0, -1 and ``BLANK_CELL``; ``rows`` finds a study's row."""

    path: Path
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    states: NDArray[np.int8]
    rows: Mapping[str, int] = field(repr=False)

    def only(self, labels: Sequence[str]) -> LabelMatrix:
        """The table with these labels, in this order. Raises ``DataError`` (``data.column``) for one it lacks."""
        missing = [label for label in labels if label not in self.labels]
        if missing:
            raise DataError(
                "data.column", f"no column {', '.join(map(repr, missing))}", where=str(self.path),
                hint=f"it has {', '.join(self.labels)}",
            )  # fmt: skip
        places = [self.labels.index(label) for label in labels]
        return LabelMatrix(self.path, self.ids, tuple(labels), self.states[:, places], self.rows)

    def named_as(self, known: Collection[str]) -> LabelMatrix:
        """The table with its ids as ``known`` spells them: see ``corpora.label_columns.spelled_as``."""
        ids = tuple(spelled_as(known, self.ids))
        rows = self.rows if ids == self.ids else {study_id: at for at, study_id in enumerate(ids)}
        return LabelMatrix(self.path, ids, self.labels, self.states, rows)


def read_label_matrix(path: Path | str) -> LabelMatrix:
    """Read a label table (.csv, .tsv, .jsonl, these also as .gz, or .parquet), the one in a run folder, a corpus's own.

    A JSONL line is ``{"study_id": ..., "labels": {LABEL: state}}`` or has the labels beside the id; a label that a line
    does not name is blank. Raises ``DataError``: ``data.file``, ``data.format``, ``data.column`` without a column of
    ids or of labels, ``data.id``, ``data.duplicate``, ``data.cell`` for a cell that is no state, ``data.csv``,
    ``data.gzip``, ``data.json``, ``data.encoding``, ``data.parquet``, ``data.empty``.
    """
    file = table_file(Path(path))
    return _matrix(file, label_rows(file))


def label_rows(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Study id and cells by label of each row of a table, as they are written. Raises as ``read_label_matrix``."""
    if file.is_dir():
        yield from _corpus_rows(file)
        return
    readers = {".csv": _csv_rows, ".tsv": _csv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
    try:
        yield from readers[kind_of(file)](file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError("data.gzip", "not gzip, or cut off", where=str(file)) from error
    except UnicodeDecodeError as error:
        raise DataError("data.encoding", "the label table is not UTF-8", where=str(file)) from error
    except OSError as error:
        raise DataError("data.file", error.strerror or "cannot be read", where=str(file)) from error


def table_file(path: Path) -> Path:
    """The label table that ``path`` is, or that lies in the run folder ``path``; a corpus is its own."""
    if path.is_dir():
        if is_corpus(str(path)):
            return path
        found = [path / f"labels{end}" for end in _SUFFIXES if (path / f"labels{end}").is_file()]
        if not found:
            raise DataError("data.file", "the folder holds no label table", where=str(path))
        return found[0]
    if not path.is_file():
        raise DataError("data.file", "there is no such label table", where=str(path))
    if kind_of(path) not in _READ or path.name.lower().endswith(".parquet.gz"):
        raise DataError("data.format", "a label table is .csv, .tsv, .jsonl or .parquet", where=str(path))
    return path


def kind_of(path: Path) -> str:
    """The ending of a table's name, that of gzip left out: ``.csv``.

    >>> kind_of(Path("mimic-cxr-2.0.0-chexpert.csv.gz"))
    '.csv'
    """
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _open(path: Path) -> TextIO:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


_Rows = Iterator[tuple[str, Mapping[str, Any]]]


def _matrix(path: Path, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> LabelMatrix:
    places: dict[str, int] = {}
    columns: dict[str, int] = {}
    cells: list[dict[int, int]] = []
    known: dict[object, int] = {}
    for number, (study_id, given) in enumerate(rows, 1):
        if not study_id:
            raise DataError("data.id", "the row has no study id", where=f"{path}, row {number}")
        if places.setdefault(study_id, number - 1) != number - 1:
            raise DataError("data.duplicate", "the study id occurs twice", where=f"{path}, row {number}")
        states = {}
        for label, cell in given.items():
            at = columns.setdefault(label, len(columns))
            states[at] = _state(cell, known, label, f"{path}, row {number}")
        cells.append(states)
    if not cells:
        raise DataError("data.empty", "the table has no studies", where=str(path))
    if not columns:
        raise DataError("data.column", "the table has no column of labels", where=str(path))
    matrix = np.full((len(cells), len(columns)), BLANK_CELL, dtype=np.int8)
    for row, states in enumerate(cells):
        matrix[row, list(states)] = list(states.values())
    return LabelMatrix(path, tuple(places), tuple(columns), matrix, places)


def _state(cell: object, known: dict[object, int], label: str, where: str) -> int:
    if isinstance(cell, str | int | float | None) and cell in known:
        return known[cell]
    try:
        state = parse_cell("" if cell is None else str(cell))
    except ValueError:
        raise no_state(label, where) from None
    known[cell] = BLANK_CELL if state is None else state
    return known[cell]


def no_state(label: str, where: str) -> DataError:
    """The error for a cell that holds no state; what it holds may be a report, and is not said."""
    hint = "take columns that are no labels out of the table"
    return DataError("data.cell", f"the cell of {label!r} is none of 1, 0, -1 and empty", where=where, hint=hint)


def _id_column(names: Sequence[str], path: Path) -> str:
    place = id_place(names)
    if place is None:
        raise no_ids(path)
    return names[place]


def no_ids(path: Path) -> DataError:
    """The error for a label table without a column of ids."""
    hint = "give it a column study_id: the first row is the header"
    return DataError("data.column", "no column of study ids", where=str(path), hint=hint)


def _labels(names: Iterable[str]) -> list[str]:
    return [name for name in names if may_hold_labels(name)]


def _corpus_rows(path: Path) -> _Rows:
    from corpora.specs.facts import read_facts

    rows = [(study.study_id, study.labels) for study in read_facts(path) if study.labels is not None]
    if not rows:
        hint = "label its reports: radloop label run CORPUS -o labels.csv"
        raise DataError("data.empty", "no study of the corpus came with labels", where=str(path), hint=hint)
    yield from rows


def _csv_rows(path: Path) -> _Rows:
    csv.field_size_limit(2**31 - 1)
    with _open(path) as file:
        rows = csv.reader(file, delimiter="\t" if kind_of(path) == ".tsv" else ",", strict=True)
        try:
            names = next(rows, [])
            key = names.index(_id_column(names, path))
            wanted = [(at, name.strip()) for at, name in enumerate(names) if name in set(_labels(names))]
            if len({name for _, name in wanted}) < len(wanted):
                raise DataError("data.column", "two columns have the same name", where=str(path))
            for row in rows:
                if row and len(row) != len(names):
                    where = f"{path}, line {rows.line_num}"
                    raise DataError("data.csv", "the row has not as many cells as the header", where=where)
                if row:
                    yield row[key].strip(), {name: row[at] for at, name in wanted}
        except csv.Error as error:
            raise DataError("data.csv", f"not CSV: {error}", where=f"{path}, line {rows.line_num}") from error


def _jsonl_rows(path: Path) -> _Rows:
    with _open(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                key = _id_column(list(record), path)
                given = record["labels"] if "labels" in record else {name: record[name] for name in _labels(record)}
                yield str(record[key]), dict(given)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                message = 'not {"study_id": ..., "labels": {...}}'
                raise DataError("data.json", message, where=f"{path}, line {number}") from error


def _parquet_rows(path: Path) -> _Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            key, wanted = _id_column(names, path), _labels(names)
            for batch in file.iter_batches(batch_size=4096, columns=[key, *wanted]):
                for row in batch.to_pylist():
                    # a null id is none, and 0 is one
                    given = row.pop(key)
                    yield "" if given is None else str(given), row
    except pa.ArrowException as error:
        raise DataError("data.parquet", "the label table is not Parquet, or is damaged", where=str(path)) from error
