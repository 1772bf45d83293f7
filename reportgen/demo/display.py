"""One progress display over all stages, on stderr: bars for a person, a line a stage for a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from reportgen.demo.job import Stage

_WIDE: Final = 36


class Display(Protocol):
    """Told which stage begins and ends, and how far it is."""

    def begin(self, number: int, stage: Stage) -> Callable[[int, int | None], None]:
        """A stage begins; returns whom to call with how many things are done, of how many."""
        ...

    def end(self, number: int, stage: Stage, said: str) -> None:
        """It ended; ``said`` is what is to be told."""
        ...


@contextmanager
def display(stages: Sequence[Stage]) -> Iterator[Display]:
    """The display of these stages: of bars on a terminal, of lines elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines(len(stages))
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bars(progress, len(stages))


class _Bars:
    def __init__(self, progress: object, total: int) -> None:
        from rich.progress import Progress

        assert isinstance(progress, Progress)
        self._progress = progress
        self._all = progress.add_task("the demo".ljust(_WIDE), total=total)
        self._one = progress.add_task("", total=None, visible=False)

    def begin(self, number: int, stage: Stage) -> Callable[[int, int | None], None]:
        self._progress.reset(self._one, total=None, visible=True, description=stage.title.ljust(_WIDE))
        return lambda done, total: self._progress.update(self._one, completed=done, total=total)

    def end(self, number: int, stage: Stage, said: str) -> None:
        self._progress.update(self._all, completed=number)
        self._progress.console.print(f"{number:>3}  {stage.title:<{_WIDE}}{said}", highlight=False, markup=False)


class _Lines:
    def __init__(self, total: int) -> None:
        self._total = total

    def begin(self, number: int, stage: Stage) -> Callable[[int, int | None], None]:
        self._write(f"{number:>3} of {self._total}  {stage.title} ...\n")
        return lambda done, total: None

    def end(self, number: int, stage: Stage, said: str) -> None:
        self._write(f"{number:>3} of {self._total}  {stage.title:<{_WIDE}}{said}\n")

    def _write(self, line: str) -> None:
        sys.stderr.write(line)
        sys.stderr.flush()
