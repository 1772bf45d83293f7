"""A progress bar for a batch: records done, their rate, the time left; on stderr, and only for a person."""

from __future__ import annotations

import gzip
import re
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from corpora.readers.mimic import TXT
from corpora.readers.openi import XML

# how much of a source is looked at to estimate the rest, in bytes as they lie on the disk
_SCANNED: Final = 1 << 22
_REPORTS: Final = re.compile(f"{TXT.pattern}|(?i:{XML.pattern})")
_ARCHIVES: Final = (".tgz", ".tar.gz", ".tar")


@contextmanager
def watching(source: str) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of records done; draws nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("labeling"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        expected = expected_records(source)
        task = progress.add_task("labeling", total=expected, rate="")

        def watch(done: int) -> None:
            speed = progress.tasks[0].speed
            total = max(done, expected) if expected else None
            progress.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield watch


def expected_records(source: str) -> int | None:
    """About how many records a source holds, or None where only reading it all would tell.

    Never raises: what is wrong with a source is said by whoever reads it.
    """
    path = Path(source)
    name = source.lower()
    try:
        if path.is_dir():
            return _in_folder(path)
        if not path.is_file():
            return None
        if name.endswith((".parquet", ".pq")):
            return _parquet_rows(path)
        if name.endswith(".zip"):
            return _in_zip(path)
        return _estimate(path, _members if name.endswith(_ARCHIVES) else _rows)
    except (OSError, EOFError, ValueError, zlib.error, tarfile.TarError, zipfile.BadZipFile):
        return None


def _in_folder(path: Path) -> int | None:
    shards = list(path.glob("studies-*.parquet"))
    if shards:
        return sum(map(_parquet_rows, shards))
    return sum(1 for file in path.rglob("*.*") if _REPORTS.search(file.name)) or None


def _parquet_rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def _in_zip(path: Path) -> int | None:
    with zipfile.ZipFile(path) as archive:
        return sum(1 for name in archive.namelist() if _REPORTS.search(name)) or None


def _estimate(path: Path, count: Callable[[IO[bytes], Callable[[], bool], str], int]) -> int | None:
    """What ``count`` finds at the beginning of a file, in proportion to the whole."""
    size = path.stat().st_size
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if zipped else raw
        found = count(stream, lambda: raw.tell() >= _SCANNED, path.name.lower().removesuffix(".gz"))  # type: ignore[arg-type]
        return round(found * size / raw.tell()) if found else None


def _members(stream: IO[bytes], enough: Callable[[], bool], name: str) -> int:
    found = 0
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for info in archive:
            archive.members = []  # type: ignore[attr-defined]
            found += info.isreg() and _REPORTS.search(info.name) is not None
            if enough():
                break
    return found


def _rows(stream: IO[bytes], enough: Callable[[], bool], name: str) -> int:
    if name.endswith(".json"):
        return _objects(stream, enough)
    quotes = found = 0
    for line in stream:
        # a quoted cell may hold line ends: a row ends where the quotes before it pair up
        quotes += 0 if name.endswith((".jsonl", ".ndjson")) else line.count(b'"')
        found += quotes % 2 == 0 and not line.isspace()
        if enough():
            break
    return found


def _objects(stream: IO[bytes], enough: Callable[[], bool]) -> int:
    found = 0
    while not enough() and (block := stream.read(1 << 16)):
        found += block.count(b"{")
    return found
