"""A corpus folder: ``manifest.json`` and the shards ``studies-*.parquet``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from corpora.errors import DataError
from corpora.readers.options import ReadOptions, Record
from corpora.readers.tables import read_parquet

_COLUMNS: Final = ReadOptions(id_column="study_id", text_column="text")


def is_corpus(source: str) -> bool:
    """Whether a folder is a corpus."""
    return (Path(source) / "manifest.json").is_file() and any(Path(source).glob("studies-*.parquet"))


def read_corpus(source: str, options: ReadOptions) -> Iterator[Record]:
    """The studies of a corpus folder, shard after shard.

    Raises ``DataError``: ``data.incomplete`` if there is no manifest, which is written last, ``data.empty`` without
    shards, and as ``read_parquet``.
    """
    if not (Path(source) / "manifest.json").is_file():
        raise DataError("data.incomplete", "the corpus has no manifest.json: it was not finished", where=source)
    shards = sorted(Path(source).glob("studies-*.parquet"))
    if not shards:
        raise DataError("data.empty", "the corpus has no studies-*.parquet", where=source)
    for shard in shards:
        yield from read_parquet(str(shard), _COLUMNS)
