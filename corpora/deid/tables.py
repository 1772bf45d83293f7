"""Tables of reports: the same columns out, their texts cleaned, and a column ``spans`` of what was removed.

A column ``header`` may hold the header of the study as JSON, and other columns parts of it (``patient_name``, ``dob``,
``accession_number``): they help to find names and ids in the text, and are emptied or become pseudonyms.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from corpora.deid.identity import CATEGORIES, Known, from_json, keyword_of
from corpora.deid.key import Key
from corpora.deid.profile import Profile
from corpora.deid.surrogates import fillers
from corpora.deid.text import Span, find_spans, redact
from corpora.deid.values import OLDEST, moved
from corpora.readers import ReadOptions, detect, open_source
from corpora.readers.columns import find_columns
from corpora.readers.files import open_text, text_chunks, text_lines
from corpora.readers.jsonstream import elements
from corpora.readers.tables import delimiter_of
from corpora.types import Provenance, Reject, Study

SPANS: Final = "spans"
HEADER: Final = "header"
_TABLES: Final = frozenset({"csv", "tsv", "jsonl", "json", "parquet"})
_LONGEST_CELL: Final = 1 << 26
_AGES: Final = frozenset({"age", "patient_age", "patientage", "age_years"})
_FREE: Final = frozenset({"labels", "split", "sex", "gender", "view", "modality", "source", "year"})
_AT_ONCE: Final = 2048

Cells = list[Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table and what is in each, by place: ids, a header, the texts."""

    names: tuple[str, ...]
    id: int | None
    patient: int | None
    header: int | None
    texts: tuple[int, ...]
    parts: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Cleaner:
    """What each row is cleaned with."""

    profile: Profile
    key: Key
    surrogates: bool
    columns: Columns
    audit: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """A cleaned row with its spans counted, or why there is none; ``sampled`` for the check by a person."""

    cells: Cells | None
    found: Counter[str]
    reject: Reject | None = None
    sampled: bool = False


def open_table(source: str, options: ReadOptions) -> tuple[Columns, Iterator[Cells | Reject]]:
    """The columns of a source of reports and its rows. Raises ``DataError`` as the readers do."""
    kind = detect(source, options)
    if kind not in _TABLES:
        return _columns(("study_id", "report"), ReadOptions(), source), _of_studies(source, options)
    rows = {"parquet": _parquet, "jsonl": _jsonl, "json": _json}.get(kind, _delimited)(source, options)
    names = next(rows)
    assert isinstance(names, list)
    return _columns(tuple(names), options, source), rows


def _columns(names: tuple[str, ...], options: ReadOptions, source: str) -> Columns:
    layout = find_columns(names, options, source)
    texts = (layout.text,) if layout.text is not None else tuple(place for _, place in layout.sections)
    keys = [re.sub(r"[\s-]+", "_", name.strip().lower()) for name in names]
    header = keys.index(HEADER) if HEADER in keys else None
    special = {layout.id, layout.patient, header, *texts}
    parts = tuple(
        (place, keyword_of(name)) for place, name in enumerate(names)
        if place not in special and keyword_of(name) in CATEGORIES
    )  # fmt: skip
    return Columns(names, layout.id, layout.patient, header, texts, parts)


def _of_studies(source: str, options: ReadOptions) -> Iterator[Cells | Reject]:
    for record in open_source(source, options):
        if isinstance(record, Study):
            yield [record.study_id, record.report.text if record.report else ""]
        else:
            yield record


def _delimited(source: str, options: ReadOptions) -> Iterator[Cells | Reject]:
    csv.field_size_limit(_LONGEST_CELL)
    with open_text(source, options.encoding) as text:
        lines = text_lines(text, source, options.encoding)
        first = next((line for line in lines if not line.isspace()), "")
        tabs = detect(source, options) == "tsv"
        delimiter = "\t" if tabs else delimiter_of(first, options)
        reader = csv.reader(_chained(first, lines), delimiter=delimiter)
        header = next(reader, [])
        yield list(header)
        for number, row in enumerate((row for row in reader if row), 1):
            if len(row) > len(header) and any(row[len(header) :]):
                yield Reject("data.columns", f"the row has {len(row)} cells where the header has {len(header)}",
                             Provenance(source, number))  # fmt: skip
            else:
                yield [*row[: len(header)], *[""] * (len(header) - len(row))]


def _chained(first: str, lines: Iterable[str]) -> Iterator[str]:
    yield first
    yield from lines


def _jsonl(source: str, options: ReadOptions) -> Iterator[Cells | Reject]:
    with open_text(source, options.encoding) as text:
        lines = (line for line in text_lines(text, source, options.encoding) if not line.isspace())
        yield from _objects((_parsed(line) for line in lines), source)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _json(source: str, options: ReadOptions) -> Iterator[Cells | Reject]:
    with open_text(source, options.encoding) as text:
        yield from _objects(elements(text_chunks(text, source, options.encoding), source), source)


def _objects(items: Iterable[Any], source: str) -> Iterator[Cells | Reject]:
    names: list[str] | None = None
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            yield Reject("data.json", "not a JSON object", Provenance(source, number))
            continue
        if names is None:
            names = list(item)
            yield list(names)
        unknown = [name for name in item if name not in names]
        if unknown:
            yield Reject("data.columns", "the record has fields that the first one lacks", Provenance(source, number))
        else:
            yield [item.get(name) for name in names]


def _parquet(source: str, options: ReadOptions) -> Iterator[Cells | Reject]:
    import pyarrow.parquet as pq

    from corpora.readers.tables import _parquet_errors

    with _parquet_errors(source), pq.ParquetFile(source) as table:
        yield list(table.schema_arrow.names)
        for batch in table.iter_batches(batch_size=_AT_ONCE):
            columns = [column.to_pylist() for column in batch.columns]
            yield from (list(cells) for cells in zip(*columns, strict=True))


# One row


def clean_row(cleaner: Cleaner, row: Cells | Reject) -> Row:
    """Clean a row; the last of its cells is the one of the spans."""
    if isinstance(row, Reject):
        return Row(None, Counter(), row)
    columns, cells = cleaner.columns, list(row)
    known = list(_known(columns, row))
    patient = _patient(columns, row, known)
    spans: dict[str, list[Span]] = {}
    for place in columns.texts:
        text = row[place] if isinstance(row[place], str) else ""
        found = find_spans(text, known)
        spans[columns.names[place]] = found
        if isinstance(row[place], str):
            cells[place] = _replaced(cleaner, text, found, patient)
    for place in range(len(cells)):
        if place not in columns.texts:
            cells[place] = _cell(cleaner, place, row[place], known, patient)
    listed = {name: [[span.start, span.end, span.category] for span in found] for name, found in spans.items()}
    cells.append(next(iter(listed.values())) if len(listed) == 1 else listed)
    counted = Counter(span.category for found in spans.values() for span in found)
    sampled = bool(cleaner.audit) and cleaner.key.share("audit", json.dumps(row, default=str)) < cleaner.audit
    return Row(cells, counted, sampled=sampled)


def _known(columns: Columns, row: Cells) -> Iterator[Known]:
    if columns.header is not None:
        yield from from_json(row[columns.header])
    for place, keyword in columns.parts:
        if isinstance(row[place], str | int) and str(row[place]).strip():
            yield Known(CATEGORIES[keyword], keyword, str(row[place]).strip())
    if columns.patient is not None and row[columns.patient] not in (None, ""):
        yield Known("ID", "PatientID", str(row[columns.patient]).strip())


def _patient(columns: Columns, row: Cells, known: Sequence[Known]) -> str:
    """Whose dates move together: the patient by id or name, else the study."""
    for keyword in ("PatientID", "PatientName"):
        for each in known:
            if each.keyword == keyword:
                return each.value
    return str(row[columns.id]) if columns.id is not None else ""


def _replaced(cleaner: Cleaner, text: str, spans: Sequence[Span], patient: str) -> str:
    if not cleaner.surrogates:
        return redact(text, spans)
    return redact(text, spans, fillers(text, spans, cleaner.key, patient, cleaner.key.days(patient)))


def _cell(cleaner: Cleaner, place: int, value: Any, known: Sequence[Known], patient: str) -> Any:
    columns, key = cleaner.columns, cleaner.key
    if value in (None, ""):
        return value
    name = re.sub(r"[\s-]+", "_", columns.names[place].strip().lower())
    if place == columns.header:
        return "" if isinstance(value, str) else None
    if place == columns.id:
        return _id(cleaner, name, str(value), known) if isinstance(value, str | int) else value
    if place == columns.patient:
        return key.pseudonym("patient", str(value).strip())
    part = dict(columns.parts).get(place)
    if part is not None:
        return _part(cleaner, part, str(value).strip(), patient)
    if name in _AGES:
        return _age(value)
    if isinstance(value, str) and name not in _FREE:
        return redact(value, find_spans(value, known))
    return None if isinstance(value, dict | list) and name not in _FREE else value


def _id(cleaner: Cleaner, name: str, value: str, known: Sequence[Known]) -> str:
    """A study's own number stays; one that is in the header, or names somebody, becomes another."""
    told = value.strip()
    if "uid" in name and re.fullmatch(r"[\d.]{10,64}", told):
        return cleaner.key.uid(told)
    if "accession" in name or any(each.value == told for each in known) or find_spans(told, known_names(known)):
        return cleaner.key.pseudonym("accession", told)
    return value


def known_names(known: Iterable[Known]) -> list[Known]:
    """The names among what a header says."""
    return [each for each in known if each.category == "NAME"]


def _part(cleaner: Cleaner, keyword: str, value: str, patient: str) -> str:
    key, category = cleaner.key, CATEGORIES[keyword]
    if keyword in ("PatientID", "PatientName"):
        return key.pseudonym("patient", patient if keyword == "PatientName" else value)
    if keyword == "AccessionNumber":
        return key.pseudonym("accession", value)
    if keyword.endswith("UID"):
        return key.uid(value)
    if category == "DATE" and keyword != "PatientBirthDate":
        return {"kept": value, "moved": moved(value, key.days(patient))}.get(cleaner.profile.dates, "")
    return ""


def _age(value: Any) -> Any:
    try:
        return value if float(value) <= OLDEST else type(value)(OLDEST + 1)
    except (TypeError, ValueError):
        return redact(str(value), find_spans(f"aged {value}"[5:]))


# Writing


class TableWriter:
    """Writes rows as CSV, JSON lines or Parquet to a file that is open."""

    def __init__(self, file: IO[Any], kind: str, names: Sequence[str]) -> None:
        self._file, self._kind, self._names = file, kind, [*(name for name in names), SPANS]
        self._rows: list[dict[str, Any]] = []
        self._csv = csv.writer(file, lineterminator="\n") if kind == "csv" else None
        self._parquet: Any = None
        if self._csv is not None:
            self._csv.writerow(self._names)

    def append(self, cells: Sequence[Any]) -> None:
        """Add a row."""
        if self._csv is not None:
            self._csv.writerow([_as_text(cell) for cell in cells])
        elif self._kind == "jsonl":
            self._file.write(
                json.dumps(dict(zip(self._names, cells, strict=True)), ensure_ascii=False, default=str) + "\n"
            )
        else:
            row = dict(zip(self._names, cells, strict=True))
            self._rows.append(row | {SPANS: json.dumps(row[SPANS])})

    def close(self) -> None:
        """Write what is left: a Parquet table is written whole."""
        if self._kind == "parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pylist(self._rows), self._file, compression="zstd")


def _as_text(cell: Any) -> Any:
    return json.dumps(cell, ensure_ascii=False, default=str) if isinstance(cell, list | dict) else cell


def table_out(stack: ExitStack, path: Path, kind: str, names: Sequence[str]) -> TableWriter:
    """A table that appears at ``path`` when the stack ends."""
    from corpora.runs import atomic_writer

    file = stack.enter_context(atomic_writer(path, "wb" if kind == "parquet" else "w"))
    writer = TableWriter(file, kind, names)
    stack.callback(writer.close)
    return writer
