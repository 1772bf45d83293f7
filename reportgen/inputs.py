"""Drafts and references as published systems write them.

CSV, TSV, JSONL, Parquet       an id column and a text column, found by name
cvt2distilgpt2's CSV           report,dicom_id
R2Gen's res.csv and gts.csv    one column, no header: reports are numbered, and joined by order
R2GenGPT's JSON                {id: [text, ...]} or {id: text}
ReXrank's JSON                 {id: {"report": ..., "model_prediction": ...}}
R2Gen's annotation             {"train": [{"id": ..., "report": ...}], "val": [...], "test": [...]}
corpus folders, Open-i, MIMIC  as every command reads them, by section
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Literal, cast

from corpora.errors import DataError

Role = Literal["drafts", "references"]

_IDS: Final = ("study_id", "id", "dicom_id", "image_id", "uid", "study", "index")
_TEXTS: Final[dict[Role, tuple[str, ...]]] = {
    "drafts": (
        "model_prediction", "prediction", "predicted", "predicted_report", "generated", "generated_report",
        "hypothesis", "draft", "candidate", "hyp", "report", "text", "findings", "impression",
    ),
    "references": (
        "reference", "ground_truth", "groundtruth", "gt", "target", "reference_report", "ref", "report", "text",
        "section_findings", "findings", "section_impression", "impression",
    ),
}  # fmt: skip
_TABLES: Final = {".csv": ",", ".tsv": "\t"}
_MISSING: Final = frozenset(["", "nan", "none", "null", "<na>"])
_LONGEST: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Texts:
    """Reports of a file: ``texts`` has one or more for each id; ``numbered`` if the file has no ids of its own.

    ``train`` holds the training reports where the file has them, too (R2Gen's annotation). An empty text is a report
    that is missing in its row.
    """

    path: str
    ids: list[str]
    texts: list[tuple[str, ...]]
    numbered: bool = False
    train: dict[str, str] = field(default_factory=dict)


Row = tuple[object, object]


def read_texts(source: str | Path, role: Role, *, sections: str = "findings,impression", split: str = "test") -> Texts:
    """The drafts, or the references, in ``source``.

    ``sections`` matters where a source has sections, ``split`` where it has splits. Raises ``DataError``: ``data.*``
    for what cannot be read, ``bench.id`` and ``bench.duplicate`` for ids, ``bench.column`` for a table without texts.
    """
    path = Path(source)
    kind = Path(str(source).lower().removesuffix(".gz")).suffix
    if not path.exists():
        raise DataError("data.missing", "there is no such file", where=str(source))
    if path.is_file() and kind in (*_TABLES, ".jsonl", ".json", ".parquet"):
        with _said(path):
            found = _file(path, kind, role, split)
    else:
        found = _studies(str(source), sections, split)
    if not found.ids:
        raise DataError("data.empty", "there are no reports in it", where=str(source))
    _check_ids(found)
    return found


def _file(path: Path, kind: str, role: Role, split: str) -> Texts:
    if kind == ".json":
        return _json(path, role, split)
    if kind in _TABLES:
        return _table(path, _TABLES[kind], role)
    return _records(path, _jsonl(path) if kind == ".jsonl" else _parquet(path), role)


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """What the file system and the decoders raise, as a ``DataError`` without content."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError("data.encoding", "not UTF-8 text", where=f"{path}, byte {error.start}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError("data.gzip", "not gzip, or cut off", where=str(path)) from None
    except csv.Error as error:
        raise DataError("data.csv", f"not a readable table: {error}", where=str(path)) from None
    except OSError as error:
        raise DataError("data.file", f"cannot be read: {error.strerror or 'error'}", where=str(path)) from None


def _open(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return cast(IO[str], gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


# tables


def _table(path: Path, delimiter: str, role: Role) -> Texts:
    csv.field_size_limit(_LONGEST)
    with _open(path) as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        first = next(rows, None)
        if first is None:
            raise DataError("data.empty", "there are no reports in it", where=str(path))
        header = [name.strip().lower() for name in first]
        if len(header) == 1 and header[0] not in _known(role):
            lines = [row[0] if row else "" for row in (first, *rows)]
            return Texts(str(path), [str(n) for n in range(1, len(lines) + 1)], [(t,) for t in lines], numbered=True)
        id_at, text_at = _column(header, _IDS), _text_columns(header, role, path)
        ids: list[str] = []
        texts: list[tuple[str, ...]] = []
        for number, row in enumerate((row for row in rows if row), 1):
            if len(row) != len(header):
                message = f"the row has {len(row)} cells where the header has {len(header)}"
                raise DataError("data.csv", message, where=f"{path}, row {number}")
            ids.append(_id(row[id_at], path, number) if id_at is not None else str(number))
            texts.append((_joined([row[at] for at in text_at]),))
    return Texts(str(path), ids, texts, numbered=id_at is None)


def _known(role: Role) -> set[str]:
    return {*_IDS, *_TEXTS[role]}


def _column(header: Sequence[str], names: Iterable[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _text_columns(header: Sequence[str], role: Role, path: Path) -> list[int]:
    """The column of the text, or those of Findings and Impression."""
    at = _column(header, _TEXTS[role])
    if at is None:
        raise DataError(
            "bench.column", f"no column holds {role}", where=str(path),
            hint=f"name it one of: {', '.join(_TEXTS[role])}",
        )  # fmt: skip
    if header[at] in ("findings", "section_findings"):
        also = _column(header, ("impression", "section_impression"))
        return [at] if also is None else [at, also]
    return [at]


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with _open(path) as file:
        for number, line in enumerate((line for line in file if line.strip()), 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                raise DataError("data.json", "the line is not JSON", where=f"{path}, row {number}") from None
            if not isinstance(record, dict):
                raise DataError("data.json", "the line is not a JSON object", where=f"{path}, row {number}")
            yield record


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except pa.ArrowException:
        raise DataError("data.parquet", "not a readable Parquet file", where=str(path)) from None


def _records(path: Path, records: Iterable[Mapping[str, Any]], role: Role) -> Texts:
    ids, texts = [], []
    numbered = False
    for number, record in enumerate(records, 1):
        cells = {str(key).strip().lower(): value for key, value in record.items()}
        header = list(cells)
        id_at = _column(header, _IDS)
        numbered = numbered or id_at is None
        ids.append(str(number) if id_at is None else _id(cells[header[id_at]], path, number))
        values = [cells[header[at]] for at in _text_columns(header, role, path)]
        texts.append(_several(values[0]) if len(values) == 1 else (_joined(values),))
    return Texts(str(path), ids, texts, numbered=numbered)


# JSON


def _json(path: Path, role: Role, split: str) -> Texts:
    with _open(path) as file:
        try:
            data = json.load(file)
        except (ValueError, RecursionError):
            raise DataError("data.json", "not JSON", where=str(path)) from None
    if isinstance(data, list):
        return _records(path, _objects(data, path), role)
    if not isinstance(data, dict):
        raise DataError("data.json", "neither a list nor an object of reports", where=str(path))
    if any(isinstance(value, list) and value and isinstance(value[0], dict) for value in data.values()):
        return _annotation(path, data, role, split)
    ids = [_id(key, path, number) for number, key in enumerate(data, 1)]
    texts = [
        _of_object(value, role, path) if isinstance(value, dict) else _several(value) for value in data.values()
    ]  # fmt: skip
    return Texts(str(path), ids, texts)


def _objects(data: list[Any], path: Path) -> list[dict[str, Any]]:
    for number, record in enumerate(data, 1):
        if not isinstance(record, dict):
            raise DataError("data.json", "the record is not an object", where=f"{path}, row {number}")
    return data


def _of_object(value: Mapping[str, Any], role: Role, path: Path) -> tuple[str, ...]:
    cells = {str(key).strip().lower(): cell for key, cell in value.items()}
    header = list(cells)
    values = [cells[header[at]] for at in _text_columns(header, role, path)]
    return _several(values[0]) if len(values) == 1 else (_joined(values),)


def _annotation(path: Path, data: Mapping[str, Any], role: Role, split: str) -> Texts:
    """R2Gen's annotation; of one published copy the test split is named by four blanks."""
    splits = {name.strip() or "test": records for name, records in data.items() if isinstance(records, list)}
    if split not in splits:
        raise DataError(
            "bench.split", f"there is no split {split!r}", where=str(path), hint=f"it has: {', '.join(sorted(splits))}"
        )
    found = _records(path, _objects(splits[split], path), role)
    train: dict[str, str] = {}
    if split != "train" and "train" in splits:
        trained = _records(path, _objects(splits["train"], path), "references")
        train = {name: texts[0] for name, texts in zip(trained.ids, trained.texts, strict=True)}
    return Texts(found.path, found.ids, found.texts, found.numbered, train)


# studies


def _studies(source: str, sections: str, split: str) -> Texts:
    from corpora.readers import detect, open_source
    from corpora.sections import select
    from corpora.types import Reject

    parts = _parts(source) if detect(source) == "corpus" else {}
    ids: list[str] = []
    texts: list[tuple[str, ...]] = []
    train: dict[str, str] = {}
    for record in open_source(source):
        if isinstance(record, Reject):
            continue
        report = record.report
        text = "" if report is None else " ".join(
            report.text[section.start : section.end].strip() for section in select(report, sections)
        )  # fmt: skip
        part = parts.get(record.study_id)
        if part == "train" and split != "train":
            train[record.study_id] = text
        elif part in (None, split):
            ids.append(record.study_id)
            texts.append((_text(text),))
    return Texts(source, ids, texts, train=train)


def _parts(source: str) -> dict[str, str]:
    """The part of each study of a corpus: of its ``split.csv``, else the source's own."""
    from corpora.splits.files import read_split
    from corpora.store import read_rows

    if (Path(source) / "split.csv").is_file():
        return read_split(source)
    rows = read_rows(source, ("study_id", "split"))
    return {row["study_id"]: row["split"] for row in rows if row["split"]}


# cells


def _several(value: object) -> tuple[str, ...]:
    """A cell's text; of a list, its texts."""
    if isinstance(value, list | tuple):
        return tuple(_text(one) for one in value) or ("",)
    return (_text(value),)


def _joined(values: Iterable[object]) -> str:
    return " ".join(filter(None, map(_text, values)))


def _text(value: object) -> str:
    """A cell as text; what stands for a missing value is empty."""
    if not isinstance(value, str):
        return ""
    text = value.replace("\0", " ")
    return "" if text.strip().lower() in _MISSING else text


def _id(value: object, path: Path, row: int) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    name = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not name or name.lower() == "nan":
        raise DataError("bench.id", "the row has no id", where=f"{path}, row {row}")
    return name


def _check_ids(found: Texts) -> None:
    if len(set(found.ids)) == len(found.ids):
        return
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(found.ids, 1):
        rows.setdefault(name, []).append(row)
    name, at = next((name, at) for name, at in rows.items() if len(at) > 1)
    others = sum(len(at) > 1 for at in rows.values()) - 1
    more = f", and {others} more ids occur twice or more" if others else ""
    raise DataError(
        "bench.duplicate", f"id {name[:40]!r} occurs {len(at)} times{more}",
        where=f"{found.path}, rows {', '.join(map(str, at[:5]))}", hint="leave one report of each id",
    )  # fmt: skip
