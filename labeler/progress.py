"""A progress bar for a batch: reports done, their rate, the time left; on stderr, and only for a person."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SCANNED = 1 << 22


@contextmanager
def watching(source: str) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of records done; draws nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("labeling"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("labeling", total=expected_records(source), rate="")

        def watch(done: int) -> None:
            speed = progress.tasks[0].speed
            progress.update(task, completed=done, rate=f"{speed:,.0f}/s" if speed else "")

        yield watch


def expected_records(source: str) -> int | None:
    """About how many records a source holds, or None where only reading it all would tell."""
    path = Path(source)
    if path.is_dir():
        return sum(1 for file in path.rglob("*") if file.suffix in (".xml", ".txt")) or None
    if path.suffix == ".parquet":
        return _parquet_rows(path)
    if path.suffix in (".csv", ".tsv", ".jsonl") and path.is_file():
        return _rows_by_size(path)
    return None


def _parquet_rows(path: Path) -> int | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.ParquetFile(path).metadata.num_rows)
    except (OSError, pa.ArrowException):
        return None


def _rows_by_size(path: Path) -> int:
    """The file's size over the mean size of the rows at its beginning."""
    with path.open("rb") as file:
        head = file.read(_SCANNED)
    lines = head.count(b"\n")
    # a quoted cell may hold line ends: a row ends where the quotes before it pair up
    if path.suffix != ".jsonl" and head.count(b'"'):
        lines = _closed_lines(head)
    return max(1, round(path.stat().st_size * max(1, lines) / max(1, len(head))))


def _closed_lines(head: bytes) -> int:
    quotes = 0
    rows = 0
    for line in head.splitlines():
        quotes += line.count(b'"')
        rows += quotes % 2 == 0
    return rows
