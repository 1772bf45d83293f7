"""How far an import is: the stage, how many are done, the time left; on stderr, and only for a person."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from corpora.importing.gather import Watch


@contextmanager
def watching() -> Iterator[Watch]:
    """A function to call with the stage, how many are done and of how many; draws nothing without a terminal."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = {"": progress.add_task("importing", total=None, rate="")}

        def watch(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                progress.remove_task(tasks.popitem()[1])
                tasks[stage] = progress.add_task(stage, total=total, completed=done, rate="")
            speed = progress.tasks[0].speed
            progress.update(tasks[stage], completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield watch
