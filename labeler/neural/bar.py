"""A progress bar for training: steps done, loss, texts per second, time left; on stderr, and only for a person."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

_SECONDS_BETWEEN_LINES: Final = 60.0


class Step(NamedTuple):
    """Where a run stands: ``done`` of ``total`` steps, the loss, and the texts learned from in this attempt."""

    done: int
    total: int
    loss: float
    texts: int


@contextmanager
def training(title: str) -> Iterator[Callable[[Step], None]]:
    """A function to call after each step: a bar on a terminal, else a line on stderr each minute."""
    begun = time.monotonic()
    if not sys.stderr.isatty():
        yield _lines(title, begun)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(title), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[now]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None, now="")
        yield lambda step: progress.update(task, completed=step.done, total=step.total, now=_now(step, begun))


def _now(step: Step, begun: float) -> str:
    return f"loss {step.loss:.4f}, {step.texts / max(time.monotonic() - begun, 1e-9):,.0f} texts/s"


def _lines(title: str, begun: float) -> Callable[[Step], None]:
    said = begun

    def watch(step: Step) -> None:
        nonlocal said
        if time.monotonic() - said >= _SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            sys.stderr.write(f"{title}: {step.done:,} of {step.total:,} steps, {_now(step, begun)}\n")

    return watch
