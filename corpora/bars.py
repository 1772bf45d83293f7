"""Bars for long work on stderr: steps of training with their loss and speed, items counted; for a person only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

_SECONDS_BETWEEN_LINES: Final = 60.0


class Step(NamedTuple):
    """Where a run stands: ``done`` of ``total`` steps, loss, and what was learned from in this attempt."""

    done: int
    total: int
    loss: float
    items: int


@contextmanager
def training(title: str, items: str) -> Iterator[Callable[[Step], None]]:
    """A function to call after each step: a bar on a terminal, else a line on stderr each minute.

    ``items`` is what is learned from, in the plural.
    """
    begun = time.monotonic()
    if not sys.stderr.isatty():
        yield _lines(title, items, begun)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[now]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None, now="")
        yield lambda step: progress.update(task, completed=step.done, total=step.total, now=_now(step, items, begun))


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """A function to call with items done and of how many; draws nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _now(step: Step, items: str, begun: float) -> str:
    return f"loss {step.loss:.4f}, {step.items / max(time.monotonic() - begun, 1e-9):,.0f} {items}/s"


def _lines(title: str, items: str, begun: float) -> Callable[[Step], None]:
    said = begun

    def watch(step: Step) -> None:
        nonlocal said
        if time.monotonic() - said >= _SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            sys.stderr.write(f"{title}: {step.done:,} of {step.total:,} steps, {_now(step, items, begun)}\n")

    return watch
