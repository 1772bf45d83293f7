"""Real commands, real signals: what the tests of the batch share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(sys.executable).with_name("radloop")
# as the command, but chunks, notes and workers come so early that a small corpus has many of each
EAGER = """
import labeler.chunks, labeler.journal, labeler.workers
labeler.chunks._RECORDS_AT_ONCE = 20
labeler.journal._SECONDS_BETWEEN_NOTES = 0.0
labeler.workers._WORTH_RECORDS = 40
from corpora.cli import main
main()
"""
PHRASES = (
    "No pleural effusion.", "Possible pneumonia at the left base.", "The heart is enlarged.", "Old rib fracture.",
    "Lungs are clear.", "Small effusion cannot be excluded.", "No pneumothorax, no fracture.", "Normal chest.",
)  # fmt: skip


def report(number: int) -> str:
    """A short report, another one for each number up to a few hundred."""
    return f"FINDINGS: {PHRASES[number % 8]} {PHRASES[number // 8 % 8]}\nIMPRESSION: {PHRASES[number // 64 % 8]}"


def json_line(number: int) -> str:
    """A record; every 50th is broken, and every 70th has the id of the one before."""
    if number % 50 == 49:
        return '{"study_id": \n'
    study_id = f"s{number - (number % 70 == 69)}"
    return json.dumps({"study_id": study_id, "report": report(number)}) + "\n"


@pytest.fixture
def source(tmp_path: Path) -> Callable[[int], Path]:
    """Writes a source with so many records, bad ones among them."""

    def write(records: int) -> Path:
        path = tmp_path / "reports.jsonl"
        path.write_text("".join(map(json_line, range(records))), encoding="utf-8")
        return path

    return write


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the installed ``radloop``: ``command("label", "run", ...)``; ``program`` runs Python code in its place."""

    def call(*args: object, program: str = "", stdin: str | None = None, **options: Any) -> Any:
        start = [sys.executable, "-c", program] if program else [PROGRAM]
        return subprocess.run(
            [*start, *map(str, args)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            input=stdin,
            timeout=100,
            **options,
        )

    return call


class Paced:
    """A run in a process group of its own, fed through stdin by the test, so that it stops where the test wants."""

    def __init__(self, out: Path, *args: object) -> None:
        self.out = out
        command = [sys.executable, "-c", EAGER, "label", "run", "-", "-o", out, "--labeler", "toy.v1", *args]
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip
        self._feeding: threading.Thread | None = None

    def feed(self, first: int, end: int) -> None:
        """Pass on these records behind those before, unless it has ended; does not wait until they are read."""
        before = self._feeding

        def write() -> None:
            if before is not None:
                before.join()
            assert self.process.stdin is not None
            # ValueError: closed meanwhile, as at the end of a test that failed
            with suppress(BrokenPipeError, ValueError):
                self.process.stdin.write("".join(map(json_line, range(first, end))))
                self.process.stdin.flush()

        # a pipe holds 64 kB or, on some machines, 4: who waits for records may not be waited for
        self._feeding = threading.Thread(target=write, daemon=True)
        self._feeding.start()

    def wait_for(self, records: int) -> None:
        """Wait until so many records are noted as done."""
        note = self.out.with_name(self.out.name + ".partial") / "progress.json"
        until(lambda: note.exists() and json.loads(note.read_text())["end"][0] >= records, self.process)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the whole process group, as a terminal or a batch system does."""
        os.killpg(self.process.pid, number)

    def end(self) -> tuple[int, str]:
        """Close stdin if it is open; exit code and stderr."""
        if self._feeding is not None:
            self._feeding.join(60)
        try:
            _, err = self.process.communicate(timeout=60)
        except BrokenPipeError:
            err = self.process.stderr.read() if self.process.stderr else ""
        return self.process.wait(), err

    def workers(self) -> list[int]:
        """The worker processes."""
        return [pid for pid in children(self.process.pid) if "spawn_main" in command_line(pid)]


def until(holds: Callable[[], bool], process: subprocess.Popen[str] | None = None, seconds: float = 30) -> None:
    """Wait until something holds; fails when that takes too long, or the process has ended."""
    end = time.monotonic() + seconds
    while not holds():
        assert process is None or process.poll() is None, f"it ended early: {process.stderr and process.stderr.read()}"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The processes that a process has started (Linux)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def command_line(pid: int) -> str:
    """How a process was started; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.fixture
def paced() -> Iterator[Callable[..., Paced]]:
    """Starts runs that are fed by the test; what is left of them is killed at its end."""
    started: list[Paced] = []

    def start(out: Path, *args: object) -> Paced:
        started.append(Paced(out, *args))
        return started[-1]

    yield start
    for run in started:
        for pipe in (run.process.stdin, run.process.stdout, run.process.stderr):
            if pipe is not None and not pipe.closed:
                with suppress(BrokenPipeError):
                    pipe.close()
        if run.process.poll() is None:
            run.kill()
            run.process.wait()


def outputs(out: Path) -> dict[str, bytes]:
    """What a run left, but the manifest, which has times in it."""
    found = sorted(out.parent.glob(f"{out.name}*")) + sorted(out.parent.glob(f".{out.name}*"))
    return {path.name: path.read_bytes() for path in found if not path.name.endswith(".manifest.json")}
