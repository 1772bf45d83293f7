"""A corpus of MIMIC-CXR's size labeled under ``kill -9``, again and again, and once in peace: the same bytes."""

from __future__ import annotations

import argparse
import random
import signal
import time
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import corpus
from tests.benchmarks.soak_commands import PROGRAM, Running, call, sha256, start

_EARLIEST: Final = 0.2
#: Seconds to the first output; a run that is killed before has done nothing.
_START: Final = 2.5


def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Label undisturbed, then with kills at random moments until there were enough and a round has come to its end."""
    source = folder / "reports.csv"
    base = corpus.openi_rows(options.source)
    facts = corpus.write_made(source, base, options.reports, options.seed)
    peace = folder / "peace" / "labels.csv"
    undisturbed = call(_command(source, peace, options.workers))
    figures: dict[str, Any] = {
        "reports": facts.reports,
        "bytes of the table": source.stat().st_size,
        "seconds undisturbed": undisturbed.seconds,
        "CPU seconds undisturbed": undisturbed.cpu,
        "bytes of labels": peace.stat().st_size,
        "bytes of evidence": _evidence(peace).stat().st_size,
        "rounds": 0,
        "kills": {"all processes": 0, "the main process alone": 0},
        "runs that kept work of those killed before": 0,
        "wrong": [],
    }
    moments = random.Random(options.seed)
    longest = max(2 * undisturbed.seconds / max(options.kills, 1), 1.0)
    while sum(figures["kills"].values()) < options.kills:
        figures["rounds"] += 1
        out = folder / f"round{figures['rounds']}" / "labels.csv"
        _round(_command(source, out, options.workers), moments, longest, options.kills, figures)
        figures["wrong"] += [
            f"round {figures['rounds']}: {one.name} differs"
            for one, other in ((out, peace), (_evidence(out), _evidence(peace)))
            if sha256(one) != sha256(other)
        ]
        left = sorted(path.name for path in out.parent.iterdir())
        if left != sorted(path.name for path in peace.parent.iterdir()):
            figures["wrong"].append(f"round {figures['rounds']}: left in the folder: {', '.join(left)}")
    figures["sha256 of labels"] = sha256(peace)
    return figures


def _round(command: list[str], moments: random.Random, longest: float, kills: int, figures: dict[str, Any]) -> None:
    """Start and kill until ``kills`` are done in all or the run is quicker than its end; then let it finish."""
    killed: list[Running] = []
    while sum(figures["kills"].values()) < kills:
        process = start([*command, "--resume"])
        moment = moments.uniform(_EARLIEST, _START + longest)
        alone = moments.random() < 0.3
        deadline = time.monotonic() + moment
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        if process.poll() is not None:
            process.end()
            break
        if alone:
            process.send_signal(signal.SIGKILL)
        else:
            process.kill_all()
        process.end()
        killed.append(process)
        figures["kills"]["the main process alone" if alone else "all processes"] += 1
    done = call([*command, "--resume"])
    figures["wrong"] += ["a worker outlived its run" for process in killed if process.left_behind]
    figures["runs that kept work of those killed before"] += "before the interruption" in done.err


def _command(source: Path, out: Path, workers: int) -> list[str]:
    return [
        *PROGRAM, "label", "run", str(source), "-o", str(out), "--evidence", str(_evidence(out)),
        "--workers", str(workers),
    ]  # fmt: skip


def _evidence(out: Path) -> Path:
    return out.with_name("labels.evidence.jsonl")
