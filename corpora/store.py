"""A corpus folder: shards of studies in Parquet, and what goes into and comes out of a row.

    CORPUS/
      studies-00000.parquet ...    one row a study; `datasets.load_dataset("parquet", data_files=...)` reads them
      manifest.json                written last: a corpus without it is not finished
      failures.jsonl               what was rejected, and why, if anything was
      images/ ...                  films, where the corpus brings its own

An image's path is relative to the folder if the film lies in it, else absolute.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from corpora.errors import DataError
from corpora.runs import atomic_writer
from corpora.types import ImageRef, Report, Section, Study

if TYPE_CHECKING:
    import pyarrow as pa

SHARDS: Final = "studies-*.parquet"
#: Keys of ``Study.meta`` that have a column of their own.
META_COLUMNS: Final = ("year", "age", "sex", "split", "source")
_IMAGE_FIELDS: Final = tuple(field.name for field in fields(ImageRef))

Row = dict[str, Any]


@cache
def studies_schema() -> pa.Schema:
    """The columns of a shard."""
    import pyarrow as pa

    section = pa.struct([("name", pa.string()), ("start", pa.int32()), ("end", pa.int32())])
    label = pa.struct([("label", pa.string()), ("state", pa.int8())])
    image = pa.struct(
        [
            ("path", pa.string()), ("view", pa.string()), ("image_id", pa.string()), ("format", pa.string()),
            ("view_source", pa.string()), ("rows", pa.int32()), ("columns", pa.int32()), ("frames", pa.int32()),
            ("bits_stored", pa.int16()), ("photometric", pa.string()), ("pixel_spacing", pa.list_(pa.float64())),
            ("modality", pa.string()), ("body_part", pa.string()), ("manufacturer", pa.string()),
            ("model", pa.string()), ("transfer_syntax", pa.string()), ("identity_removed", pa.bool_()),
            ("burned_in", pa.bool_()), ("phash", pa.string()),
        ]
    )  # fmt: skip
    return pa.schema(
        [
            ("study_id", pa.string()), ("patient_id", pa.string()), ("text", pa.string()),
            ("sections", pa.list_(section)), ("images", pa.list_(image)), ("labels", pa.list_(label)),
            ("year", pa.int16()), ("age", pa.float32()), ("sex", pa.string()), ("split", pa.string()),
            ("source", pa.string()), ("meta", pa.string()),
        ]
    )  # fmt: skip


def to_row(study: Study) -> Row:
    """A study as a row of a shard. Its report's sections are kept as they are: split them before if none are known."""
    report = study.report
    meta = dict(study.meta)
    labels = meta.pop("labels", None)
    row: Row = {name: meta.pop(name, None) for name in META_COLUMNS}
    row |= {
        "study_id": study.study_id,
        "patient_id": study.patient_id,
        "text": report.text if report else None,
        "sections": [asdict(section) for section in report.sections] if report else [],
        "images": [_image_row(image) for image in study.images],
        "labels": None if labels is None else [{"label": name, "state": state} for name, state in labels.items()],
        "meta": json.dumps(meta, ensure_ascii=False, sort_keys=True, default=str) if meta else None,
    }
    return row


def _image_row(image: ImageRef) -> Row:
    row = asdict(image)
    row["pixel_spacing"] = list(image.pixel_spacing) if image.pixel_spacing else None
    return row


def from_row(row: Mapping[str, Any]) -> Study:
    """The study of a row."""
    meta = {name: row[name] for name in META_COLUMNS if row.get(name) is not None}
    if row.get("labels") is not None:
        meta["labels"] = {cell["label"]: cell["state"] for cell in row["labels"]}
    meta |= json.loads(row["meta"]) if row.get("meta") else {}
    text = row.get("text")
    sections = tuple(Section(**section) for section in row.get("sections") or ())
    report = None if text is None else Report(row["study_id"], text, sections)
    images = tuple(_image(image) for image in row.get("images") or ())
    return Study(row["study_id"], row.get("patient_id"), images, report, meta)


def _image(row: Mapping[str, Any]) -> ImageRef:
    values: dict[str, Any] = {name: row.get(name) for name in _IMAGE_FIELDS}
    if values["pixel_spacing"] is not None:
        values["pixel_spacing"] = tuple(values["pixel_spacing"])
    return ImageRef(**values)


class StudyWriter:
    """Writes shards of ``size`` studies into ``folder``; a context manager that writes the last one at its end.

    A shard appears whole or not at all; ``first`` is the number of the first one, for a run that resumes. Raises
    ``RunError`` as ``corpora.runs.atomic_writer``.
    """

    def __init__(self, folder: Path, size: int = 1000, first: int = 0) -> None:
        self._folder, self._size, self._next = folder, size, first
        self._rows: list[Row] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None and self._rows:
            self._write()

    def append(self, study: Study) -> None:
        """Add a study; writes a shard when one is full."""
        self._rows.append(to_row(study))
        if len(self._rows) >= self._size:
            self._write()

    def _write(self) -> None:
        write_shard(shard_path(self._folder, self._next), self._rows)
        self._next += 1
        self._rows = []


def shard_path(folder: Path, number: int) -> Path:
    """Where the shard with a number lies."""
    return folder / f"studies-{number:05d}.parquet"


def write_shard(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as one shard, atomically. Raises ``RunError`` as ``corpora.runs.atomic_writer``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic_writer(path, "wb") as file:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=studies_schema()), file, compression="zstd")


def shards(corpus: Path | str) -> list[Path]:
    """The shards of a finished corpus, in order.

    Raises ``DataError``: ``data.missing``, ``data.incomplete`` if there is no manifest, ``data.empty`` without shards.
    """
    folder = Path(corpus)
    if not folder.is_dir():
        raise DataError("data.missing", "there is no such corpus folder", where=str(corpus))
    if not (folder / "manifest.json").is_file():
        raise DataError("data.incomplete", "the corpus has no manifest.json: it was not finished", where=str(corpus))
    found = sorted(folder.glob(SHARDS))
    if not found:
        raise DataError("data.empty", f"the corpus has no {SHARDS}", where=str(corpus))
    return found


def read_rows(corpus: Path | str, columns: Iterable[str] | None = None) -> Iterator[Row]:
    """The rows of a corpus as dictionaries, streaming; only some ``columns`` if they are named.

    Raises ``DataError`` as ``shards``, and ``data.parquet`` for a shard that cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = None if columns is None else list(columns)
    for shard in shards(corpus):
        try:
            with pq.ParquetFile(shard) as file:
                for batch in file.iter_batches(batch_size=1000, columns=wanted):
                    yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise DataError("data.parquet", "the shard cannot be read", where=str(shard)) from error


def read_studies(corpus: Path | str) -> Iterator[Study]:
    """The studies of a corpus, streaming. Raises as ``read_rows``."""
    return map(from_row, read_rows(corpus))


def image_file(corpus: Path | str, image: ImageRef) -> Path:
    """The file of an image of a corpus."""
    return Path(corpus) / image.path
