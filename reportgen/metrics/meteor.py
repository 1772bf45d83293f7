"""METEOR 1.5 (Denkowski and Lavie 2014), by its own jar, or not at all.

The jar comes with pycocoevalcap, or is named by RADLOOP_METEOR_JAR, and needs Java. Without both there is no METEOR:
what other packages call by that name gives numbers twice as high. The jar reads lines and never ends by itself when
they do not fit, so white space is flattened and the process has a time limit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Thread, Timer
from typing import IO, Final

import numpy as np

from reportgen.types import Pair, Scored

_SECONDS: Final = 60.0
_SECONDS_A_PAIR: Final = 0.1
_EMPTY: Final = "empty draft"


class Meteor:
    """``meteor.v1``: METEOR, where Java and the jar are there."""

    name = "meteor.v1"
    text = "tokens"

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """Scores of each report; the value of the set is their mean, and differs from the jar's own, which pools."""
        jar, why = meteor_jar()
        if jar is None:
            return [not_scored("METEOR", len(pairs), why)]
        try:
            values, total = _run(jar, pairs)
        except (OSError, ValueError) as error:
            return [not_scored("METEOR", len(pairs), f"the METEOR jar failed: {error}")]
        empty = {at: _EMPTY for at, pair in enumerate(pairs) if not pair.hypothesis.strip()}
        sums = np.column_stack([values, np.ones(len(pairs))])
        values[list(empty)] = np.nan
        return [Scored("METEOR", values, sums, "mean", empty, evidence={-1: total})]


def not_scored(name: str, n: int, why: str, *, higher_is_better: bool = True) -> Scored:
    """A metric that cannot be had here, and why."""
    nothing = np.full(n, np.nan)
    return Scored(name, nothing, np.zeros((n, 2)), "mean", {}, why, higher_is_better)


def meteor_jar() -> tuple[Path | None, str]:
    """Where the jar is, or why there is no METEOR."""
    if shutil.which("java") is None:
        return None, "not scored: needs Java"
    named = os.environ.get("RADLOOP_METEOR_JAR")
    if named:
        return (Path(named), "") if Path(named).is_file() else (None, "not scored: no file at RADLOOP_METEOR_JAR")
    spec = find_spec("pycocoevalcap")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        jar = Path(folder) / "meteor" / "meteor-1.5.jar"
        if jar.is_file():
            return jar, ""
    return None, "not scored: needs pycocoevalcap, or the jar's path in RADLOOP_METEOR_JAR"


def _run(jar: Path, pairs: Sequence[Pair]) -> tuple[np.ndarray, float]:  # type: ignore[type-arg]
    command = ["java", "-jar", "-Xmx2G", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"]
    with _process(command, _SECONDS + _SECONDS_A_PAIR * len(pairs)) as (writer, reader):
        writing = Thread(target=_send, args=(writer, [_line(pair) for pair in pairs]), daemon=True)
        writing.start()
        statistics = [_answer(reader) for _ in pairs]
        writing.join()
        _send(writer, ["EVAL ||| " + " ||| ".join(statistics)])
        values = np.array([float(_answer(reader)) for _ in pairs])
        return values, float(_answer(reader))


def _line(pair: Pair) -> str:
    return "SCORE ||| " + " ||| ".join(map(_flat, (*pair.references, pair.hypothesis)))


def _flat(text: str) -> str:
    return " ".join(text.replace("|||", "").split())


def _send(writer: IO[str], lines: Sequence[str]) -> None:
    try:
        writer.write("".join(f"{line}\n" for line in lines))
        writer.flush()
    except (OSError, ValueError):  # it was ended by the time limit; whoever reads its answers says so
        return


def _answer(reader: IO[str]) -> str:
    line = reader.readline()
    if not line:
        raise ValueError("it ended before it had answered, or was ended by the time limit")
    return line.strip()


@contextmanager
def _process(command: Sequence[str], seconds: float) -> Iterator[tuple[IO[str], IO[str]]]:
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8",
        )  # fmt: skip
        limit = Timer(seconds, process.kill)
        limit.start()
        try:
            assert process.stdin is not None and process.stdout is not None
            yield process.stdin, process.stdout
        finally:
            limit.cancel()
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                try:
                    stream and stream.close()
                except OSError:
                    continue
