"""Tables of reports: CSV and TSV, the headerless CSV of the Stanford labeler, JSON lines, JSON and Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import chain
from typing import Any, Final

from corpora.errors import DataError
from corpora.readers.columns import Layout, find_columns, has_report
from corpora.readers.files import missing, open_text, text_chunks, text_lines
from corpora.readers.jsonstream import elements
from corpora.readers.options import ReadOptions, Record
from corpora.readers.records import compose, make_study
from corpora.types import Provenance, Reject

# a cell beyond this is a quote that nobody closed; the csv module would hold all the rest of the file
_LONGEST_CELL: Final = 1 << 26
_DELIMITERS: Final = (",", ";", "\t", "|")
_ROWS_AT_ONCE: Final = 2048

Cells = list[str]


def read_csv(source: str, options: ReadOptions) -> Iterator[Record]:
    """The studies of a CSV table with a header; commas, or else semicolons, tabs or bars, between the cells.

    Raises ``DataError``: ``data.columns`` if no column holds reports, ``data.csv`` for a quote that is never closed,
    and as ``open_text`` and ``text_lines``. A row that does not fit the header is a ``Reject`` (``data.columns``).
    """
    return _delimited(source, options, _DELIMITERS)


def read_tsv(source: str, options: ReadOptions) -> Iterator[Record]:
    """The studies of a table with a header and tabs between the cells. Raises as ``read_csv``."""
    return _delimited(source, options, ("\t",))


def read_stanford(source: str, options: ReadOptions) -> Iterator[Record]:
    """The reports of a CSV file of one column without a header, numbered from 1. Raises as ``read_csv``."""
    layout = Layout(1, None, None, 0, ())
    with open_text(source, options.encoding) as text:
        lines = text_lines(text, source, options.encoding)
        yield from _studies(_rows(lines, ",", source), layout, source)


def first_row(source: str, options: ReadOptions) -> Cells:
    """The cells of the first row of a CSV file that is not blank. Raises as ``read_csv``."""
    with open_text(source, options.encoding) as text:
        rows = _rows(text_lines(text, source, options.encoding), ",", source)
        return next((row for row in rows if row and not isinstance(row, csv.Error)), [])


def _delimited(source: str, options: ReadOptions, delimiters: Iterable[str]) -> Iterator[Record]:
    with open_text(source, options.encoding) as text:
        lines = text_lines(text, source, options.encoding)
        first = next((line for line in lines if not line.isspace()), None)
        if first is None:
            raise DataError("data.empty", "the file has nothing but blank lines", where=source)
        delimiter = delimiter_of(first, options, delimiters)
        rows = _rows(chain([first], lines), delimiter, source)
        header = next(rows, [])
        if isinstance(header, csv.Error):
            raise DataError("data.csv", f"the header cannot be read: {header}", where=source)
        yield from _studies(rows, find_columns(header, options, source), source)


def delimiter_of(header: str, options: ReadOptions, delimiters: Iterable[str] = _DELIMITERS) -> str:
    """The first of ``delimiters`` that parts this line into names among which are those of reports."""
    candidates = tuple(delimiters)
    named = options.columns()
    for delimiter in candidates:
        cells = next(csv.reader([header], delimiter=delimiter), [])
        if has_report(cells) or any(name in cells for name in named):
            return delimiter
    return candidates[0]


def _rows(lines: Iterable[str], delimiter: str, source: str) -> Iterator[Cells | csv.Error]:
    """The rows, and in the place of a row that breaks the rules of quoting, the error."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        try:
            yield from reader
        except csv.Error as error:
            if "unexpected end" in str(error) or "field larger" in str(error):
                raise _unclosed(source, reader.line_num) from error
            yield error
        else:
            return


def _unclosed(source: str, line: int) -> DataError:
    return DataError(
        "data.csv",
        "a quoted cell is never closed",
        where=f"{source}, before line {line}",
        hint='the file is cut off, or a cell has a " that is not doubled',
    )


def _studies(rows: Iterator[Cells | csv.Error], layout: Layout, source: str) -> Iterator[Record]:
    number = 0
    # the loop of the whole corpus: no call a row can do without
    id_place, patient_place, text_place, width = layout.id, layout.patient, layout.text, layout.width
    for row in rows:
        if not row:
            continue
        number += 1
        provenance = Provenance(source, number)
        if isinstance(row, csv.Error):
            yield Reject("data.csv", "the quotes of the row do not match", provenance)
            continue
        if len(row) != width and (problem := _misfit(row, layout)):
            yield Reject("data.columns", problem, provenance)
            continue
        study_id = str(number) if id_place is None else row[id_place].strip()
        patient_id = None if patient_place is None else row[patient_place].strip()
        if text_place is not None:
            yield make_study(study_id, row[text_place], provenance, patient_id=patient_id)
        else:
            text, sections = compose([(name, row[place]) for name, place in layout.sections])
            yield make_study(study_id, text, provenance, sections=sections, patient_id=patient_id)


def _misfit(row: Cells, layout: Layout) -> str:
    # empty cells too many or too few at the end lose nothing
    if any(row[layout.width :]) or len(row) <= layout.last:
        return f"the row has {len(row)} cells where the header has {layout.width}; is a text with commas not quoted?"
    return ""


def read_jsonl(source: str, options: ReadOptions) -> Iterator[Record]:
    """The studies of a file, or of standard input for ``-``, with one JSON object a line.

    A line that is no JSON object is a ``Reject`` (``data.json``). Raises ``DataError`` as ``open_text`` and
    ``text_lines``, and ``data.columns`` if the first object has no report.
    """
    with open_text(source, options.encoding) as text:
        lines = enumerate(text_lines(text, source, options.encoding), 1)
        numbered = ((number, _parsed(line)) for number, line in lines if not line.isspace())
        yield from _objects(numbered, options, source)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def read_json(source: str, options: ReadOptions) -> Iterator[Record]:
    """The studies of a JSON file: an array of objects, or an object of such arrays (``train``, ``test`` ...).

    Raises ``DataError``: ``data.json`` where the JSON breaks off its rules, after what came before, ``data.columns``
    if the first object has no report, and as ``open_text`` and ``text_lines``.
    """
    with open_text(source, options.encoding) as text:
        chunks = text_chunks(text, source, options.encoding)
        yield from _objects(enumerate(elements(chunks, source), 1), options, source)


def _objects(numbered: Iterable[tuple[int, Any]], options: ReadOptions, source: str) -> Iterator[Record]:
    layout_of = lru_cache(maxsize=256)(partial(_layout_or_none, options=options, source=source))
    first: Layout | None = None
    for number, item in numbered:
        provenance = Provenance(source, number)
        if not isinstance(item, dict):
            yield Reject("data.json", "not a JSON object", provenance)
            continue
        keys = tuple(item)
        if first is None:
            first = find_columns(keys, options, source)
        yield from_cells(list(item.values()), layout_of(keys), first.id is not None, provenance)


def _layout_or_none(keys: tuple[str, ...], options: ReadOptions, source: str) -> Layout | None:
    try:
        return find_columns(keys, options, source)
    except DataError:
        return None


def from_cells(
    cells: Sequence[Any] | Mapping[int, Any], layout: Layout | None, has_ids: bool, provenance: Provenance
) -> Record:
    """The study of one record with typed cells, in their places; a ``Reject`` (``data.columns``, ``data.type``)."""
    if layout is None:
        return Reject("data.columns", "the record has no report, or lacks a column that was named", provenance)
    try:
        study_id = str(provenance.row) if not has_ids else "" if layout.id is None else _id(cells[layout.id])
        patient_id = None if layout.patient is None else _id(cells[layout.patient])
        if layout.text is not None:
            return make_study(study_id, _text(cells[layout.text]), provenance, patient_id=patient_id)
        text, sections = compose((name, _text(cells[place])) for name, place in layout.sections)
    except TypeError as error:
        return Reject("data.type", str(error), provenance)
    return make_study(study_id, text, provenance, sections=sections, patient_id=patient_id)


def _id(cell: Any) -> str:
    if isinstance(cell, str):
        return cell.strip()
    if cell is None or cell != cell:
        return ""
    # a column of whole numbers with a gap is one of floats to pandas
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        return str(int(cell)) if float(cell).is_integer() else str(cell)
    raise TypeError("an id is neither text nor a number")


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if cell is None or cell != cell:
        return ""
    raise TypeError("a report is not text")


def read_parquet(source: str, options: ReadOptions) -> Iterator[Record]:
    """The studies of a Parquet table.

    Raises ``DataError``: ``data.missing``, ``data.parquet`` if it is not one or is damaged, ``data.columns``.
    """
    with _parquet_errors(source):
        import pyarrow.parquet as pq

        with pq.ParquetFile(source) as table:
            names = table.schema_arrow.names
            layout = find_columns(names, options, source)
            used = _used(layout)
            wanted = [names[place] for place in used]
            number = 0
            for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=wanted):
                columns = [batch.column(name).to_pylist() for name in wanted]
                for values in zip(*columns, strict=True):
                    number += 1
                    cells = dict(zip(used, values, strict=True))
                    yield from_cells(cells, layout, layout.id is not None, Provenance(source, number))


@contextmanager
def _parquet_errors(source: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise missing(source) from error
    except (OSError, ValueError) as error:  # Arrow's own errors are kinds of these
        raise DataError(
            "data.parquet", "the file is no Parquet table, or it is cut off or damaged", where=source
        ) from error


def _used(layout: Layout) -> list[int]:
    places = {place for _, place in layout.sections} | {layout.id, layout.patient, layout.text}
    return sorted(place for place in places if place is not None)
