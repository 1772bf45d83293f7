"""Runs a command in a process of its own and says what it took: time by the clock, time of processors, memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread
from typing import Any, Final

from tests.benchmarks.runs import Spent, timed

ROOT: Final = Path(__file__).resolve().parents[2]
_PROC: Final = Path("/proc")
_SECONDS_BETWEEN_LOOKS: Final = 0.05


class MeasureError(RuntimeError):
    """A measured command failed; the message ends with what it wrote to stderr."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended. ``peak_mib`` is None where the system does not tell."""

    stdout: str
    spent: Spent
    peak_mib: float | None


def run(command: Sequence[str | Path]) -> Done:
    """Run ``command`` in the repository's root to its end, watching the memory of it and of all its children."""
    with TemporaryFile("w+") as stdout, TemporaryFile("w+") as stderr:
        with timed() as spent:
            process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=stdout, stderr=stderr)
            with _watched(process.pid) as peaks:
                process.wait()
        for file in (stdout, stderr):
            file.seek(0)
        if process.returncode:
            raise MeasureError(f"{command[0]} ended with exit code {process.returncode}:\n{stderr.read()[-2000:]}")
        return Done(stdout.read(), spent, max(peaks) / 1024 if peaks else None)


def fresh(name: str, **arguments: Any) -> dict[str, Any]:
    """The result of one of ``tests.benchmarks.runs`` in a fresh process, with ``peak_mib`` and ``whole_seconds``."""
    done = run([sys.executable, "-m", "tests.benchmarks.runs", name, json.dumps(arguments)])
    result: dict[str, Any] = json.loads(done.stdout)
    return {**result, "whole_seconds": done.spent.wall, "peak_mib": done.peak_mib}


def best(results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The fastest of several results, with the spread of all: how much longer the slowest took, as a share."""
    ranked = sorted(results, key=lambda result: result["seconds"])
    spread = ranked[-1]["seconds"] / max(ranked[0]["seconds"], 1e-9) - 1
    peaks = [result["peak_mib"] for result in ranked if result["peak_mib"] is not None]
    return {**ranked[0], "spread": spread, "repeats": len(ranked), "peak_mib": max(peaks, default=None)}


@contextmanager
def _watched(pid: int) -> Iterator[list[int]]:
    """The KiB that a process and its children hold, look by look: the sum of the peaks of those alive together."""
    peaks: list[int] = []
    ended = Event()

    def watch() -> None:
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            peaks.append(sum(map(_peak_kib, _tree(pid))))

    watcher = Thread(target=watch, daemon=True)
    if _PROC.is_dir():
        watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        if watcher.is_alive():
            watcher.join()


def _tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for children in _PROC.glob(f"{pid}/task/*/children"):
        try:
            listed = children.read_text()
        except OSError:  # it ended meanwhile
            continue
        for child in listed.split():
            yield from _tree(int(child))


def _peak_kib(pid: int) -> int:
    try:
        status = (_PROC / str(pid) / "status").read_text()
    except OSError:  # it ended meanwhile
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
