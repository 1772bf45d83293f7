"""The command ``radloop corpus phantom``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpora.options import Resume, resumable

if TYPE_CHECKING:
    from corpora.phantom.folder import PhantomSummary


def phantom(
    out: Path | str,
    n: int,
    *,
    seed: int = 0,
    size: int = 256,
    workers: int | None = None,
    config: Path | str | None = None,
    resume: bool = False,
    command: Sequence[str] = ("corpora.phantom.command.phantom",),
    watch: Callable[[int], None] | None = None,
) -> PhantomSummary:
    """Write a corpus of ``n`` phantom studies into the folder ``out``, which must be empty or not there.

    A study depends on the seed, the size of its films (pixels from top to bottom) and its number alone. ``workers`` are
    processes, all cores if None. ``config`` is a file in place of ``configs/phantom/chest.yaml``. ``watch`` is called
    with the number of studies that are done. Raises ``ConfigError`` (``config.value``) for an argument outside its
    range and as ``load_yaml``; ``RunError``: ``run.not_empty``, ``run.changed`` and ``run.damaged`` of one
    that cannot be resumed, ``run.is_file``, ``run.not_writable``, ``run.disk_full``, ``run.worker``.
    """
    from corpora.phantom.folder import finish, prepared
    from corpora.phantom.settings import read_settings
    from corpora.phantom.work import run_tasks

    start = time.perf_counter()
    _check(n, seed, size, workers)
    settings = read_settings(seed, size, config)
    plan = prepared(Path(out), settings, n, resume=resume)
    if plan.complete:
        return plan.summary(0.0)
    done = plan.already
    say = watch or (lambda _: None)
    say(done)

    def more(studies: int) -> None:
        nonlocal done
        done += studies
        say(done)

    from corpora.pool import usable_cores

    run_tasks(plan.tasks, workers or usable_cores(), more)
    return finish(plan, settings, command, time.perf_counter() - start)


#: Range of the films' height: less shows nothing, more than detectors have fills the disk.
SMALLEST, LARGEST = 64, 4300
MOST = 10_000_000


def _check(n: int, seed: int, size: int, workers: int | None) -> None:
    from corpora.errors import ConfigError

    limits = {"-n": (n, 1, MOST), "--seed": (seed, 0, 2**32 - 1), "--size": (size, SMALLEST, LARGEST)}
    limits |= {} if workers is None else {"--workers": (workers, 1, 1024)}
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise ConfigError("config.value", f"{value} is not between {low:,} and {high:,}", where=name)


@contextmanager
def watching(n: int) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of studies done; draws nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("drawing studies"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("drawing", total=n)
        yield lambda done: progress.update(task, completed=done)


def phantom_cli(
    out: Annotated[Path, typer.Option("-o", "--out", metavar="CORPUS", help="Folder to write; must be empty.")],
    n: Annotated[int, typer.Option("-n", "--studies", metavar="N", help="Number of studies.")],
    seed: Annotated[int, typer.Option(metavar="N", help="Seed: the same one gives the same studies.")] = 0,
    size: Annotated[int, typer.Option(metavar="PIXELS", help="Height of the films.")] = 256,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes; all cores if not given.")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Patients and findings, in place of configs/phantom/chest.yaml.")
    ] = None,
    resume: Resume = False,
) -> None:
    """Draw chest phantom studies: films, reports, and the truth of both."""
    with resumable(), watching(n) as watch:
        summary = phantom(
            out, n, seed=seed, size=size, workers=workers, config=config, resume=resume, command=sys.argv, watch=watch
        )
    if summary.untouched:
        typer.echo(f"nothing left to do: {out} is complete", err=True)
        return
    typer.echo(f"wrote {out}: {summary.studies:,} studies of {summary.patients:,} patients, {summary.films:,} films, "
               f"{summary.boxes:,} boxes in {summary.seconds:.1f} s", err=True)  # fmt: skip
