"""Reports in: every source becomes a stream of ``Study`` and, for what cannot be used, ``Reject``.

    for record in open_source("NLMCXR_reports.tgz"):
        ...

One module per kind of source; each is registered under ``radloop.readers``, and so is that of another package:
a function of the source and the ``ReadOptions`` that yields records in the order of the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from corpora import registry
from corpora.errors import ConfigError, DataError
from corpora.readers.columns import is_known
from corpora.readers.corpus import is_corpus
from corpora.readers.files import STDIN, missing
from corpora.readers.members import is_archive, names, wanted_name
from corpora.readers.mimic import TXT
from corpora.readers.openi import XML
from corpora.readers.options import Reader, ReadOptions, Record
from corpora.readers.tables import delimiter_of, first_row
from corpora.readers.textfiles import TEXTS

__all__ = ["ReadOptions", "Reader", "Record", "detect", "open_source"]

_SUFFIXES: Final = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "xlsx", ".xlsm": "xlsx",
}  # fmt: skip
_NO_TABLES: Final = frozenset({"openi", "mimic", "txt", "stanford", "corpus"})
# what is read in another form, and how it comes there
_ELSEWHERE: Final = {
    ".xls": "save it as .xlsx or CSV", ".ods": "save it as .xlsx or CSV", ".docx": "save it as text, a file a report",
    ".bz2": "decompress it, or use gzip", ".xz": "decompress it, or use gzip", ".zst": "decompress it, or use gzip",
    ".7z": "unpack it", ".rar": "unpack it",
    ".txt": "put text files, one a report, into a folder and name that; a table: --format csv or tsv",
}  # fmt: skip
_DEFAULTS: Final = ReadOptions()


def open_source(source: str, options: ReadOptions = _DEFAULTS) -> Iterator[Record]:
    """The studies of ``source`` in its order, read as they are asked for; ids of studies without one are row numbers.

    ``source`` is a table, a folder, an archive, or ``-`` for standard input. What is wrong with the source as a whole
    raises here: ``DataError`` (``data.*``), ``ConfigError`` (``config.*``), ``RegistryError`` for an unknown format.
    What is wrong further on raises where it is met, after the studies before it.
    """
    name = detect(source, options)
    if options.columns() and name in _NO_TABLES:
        raise ConfigError(
            "config.columns", f"columns are named, but a source of the format {name!r} has none", where=source
        )
    reader: Reader = registry.load("readers", name)
    records = iter(reader(source, options))
    first = next(records, None)
    return iter(()) if first is None else _resume(first, records)


def _resume(first: Record, records: Iterator[Record]) -> Iterator[Record]:
    yield first
    yield from records


def detect(source: str, options: ReadOptions = _DEFAULTS) -> str:
    """The format of ``source``: the one that is forced, else what its name and its beginning show.

    Raises ``DataError``: ``data.missing``, ``data.format`` for what is no known source, and as reading the beginning.
    """
    if options.format is not None:
        registry.find("readers", options.format)
        return options.format
    if source == STDIN:
        return "jsonl"
    path = Path(source)
    if not path.exists():
        raise missing(source)
    if path.is_dir():
        return "corpus" if is_corpus(source) else _by_members(source)
    if is_archive(source):
        return _by_members(source)
    name = _SUFFIXES.get(Path(source.lower().removesuffix(".gz")).suffix)
    if name is None:
        formats = f"name its format with --format: {', '.join(registry.names('readers'))}"
        raise DataError(
            "data.format", "what this is does not show in its name", where=source,
            hint=_ELSEWHERE.get(path.suffix.lower(), formats),
        )  # fmt: skip
    return "stanford" if name == "csv" and _is_headerless(source, options) else name


def _is_headerless(source: str, options: ReadOptions) -> bool:
    row = first_row(source, options)
    if len(row) != 1 or options.columns() or is_known(row[0]):
        return False
    return delimiter_of(row[0], options) == ","


def _by_members(source: str) -> str:
    texts = tables = False
    for name in names(source):
        if wanted_name(name, XML):
            return "openi"
        if wanted_name(name, TXT):
            return "mimic"
        texts = texts or wanted_name(name, TEXTS)
        tables = tables or Path(name.lower().removesuffix(".gz")).suffix in _SUFFIXES
    if texts:
        return "txt"
    raise DataError(
        "data.empty", "nothing in it is a report: neither Open-i XML (*.xml) nor text files (*.txt)", where=source,
        hint="it holds a table: unpack it and name that" if tables else "",
    )  # fmt: skip
