"""Commands of radloop as processes that are timed, and that can be killed with all that they started."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

#: ``radloop`` of this Python.
PROGRAM: Final = (sys.executable, "-c", "from corpora.cli import main; main()")

_PROC: Final = Path("/proc")
_SECONDS_TO_END: Final = 5.0


class SoakError(RuntimeError):
    """A command that was not disturbed ended otherwise than it should."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended, with what it took: seconds by the clock, and of all processors."""

    code: int
    out: str
    err: str
    seconds: float
    cpu: float

    def json(self) -> Any:
        """What it printed for programs."""
        return json.loads(self.out)


@dataclass(slots=True)
class Running:
    """A process that leads a group of its own."""

    process: subprocess.Popen[str]
    stdout: IO[str]
    stderr: IO[str]

    def poll(self) -> int | None:
        return self.process.poll()

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill_all(self) -> None:
        """Kill the process and all that it started."""
        os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def left_behind(self) -> bool:
        """Whether anything that it started lives on, some seconds after."""
        deadline = time.monotonic() + _SECONDS_TO_END
        while self._lives() and time.monotonic() < deadline:
            time.sleep(0.1)
        return self._lives()

    def _lives(self) -> bool:
        return any(state != "Z" and group == self.process.pid for state, group in map(_state_of, _PROC.glob("[0-9]*")))

    def end(self) -> tuple[int, str, str]:
        """Wait for the process itself; exit code, stdout, stderr."""
        code = self.process.wait()
        texts = []
        for file in (self.stdout, self.stderr):
            file.seek(0)
            texts.append(file.read())
            file.close()
        return code, texts[0], texts[1]


def _state_of(process: Path) -> tuple[str, int]:
    """The state of a process, ``Z`` for one that has ended, and its group."""
    try:
        state, _, group, *_ = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "Z", 0
    return state, int(group)


def start(command: Sequence[str]) -> Running:
    """Start a command in a process group of its own."""
    stdout, stderr = TemporaryFile("w+"), TemporaryFile("w+")  # noqa: SIM115 - closed by `end`
    process = subprocess.Popen(command, stdout=stdout, stderr=stderr, text=True, start_new_session=True)
    return Running(process, stdout, stderr)


def call(command: Sequence[str], codes: Collection[int] = (0,)) -> Ended:
    """Run a command to its end. Raises ``SoakError`` for an exit code that is not one of ``codes``."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    code, out, err = start(command).end()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if code not in codes:
        raise SoakError(f"{' '.join(command[3:6])} ended with exit code {code}:\n{err[-2000:]}")
    return Ended(code, out, err, time.perf_counter() - begun, cpu)


def sha256(path: Path) -> str:
    """The hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
