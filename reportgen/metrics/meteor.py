"""METEOR 1.5 (Denkowski and Lavie 2014), by its own jar, or not at all.

The jar comes with pycocoevalcap, or is named by RADLOOP_METEOR_JAR, and needs Java. Without both there is no METEOR:
what other packages call by that name gives numbers twice as high. The jar reads lines and never ends by itself when
they do not fit, so white space is flattened and the process has a time limit.
"""

from __future__ import annotations

import math
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

from reportgen.metrics.finish import finish
from reportgen.types import Array, Pair, Scored

# reading its paraphrases alone takes a busy machine a minute
_SECONDS: Final = 180.0
_SECONDS_A_PAIR: Final = 0.2
_STATISTICS: Final = 23
_EMPTY: Final = "empty draft"


class Meteor:
    """``meteor.v1``: METEOR, where Java and the jar are there."""

    name = "meteor.v1"
    text = "tokens"

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """Scores of each report; that of the set is of the pooled statistics, as the jar's own."""
        jar, why = meteor_jar()
        if jar is None:
            return [not_scored("METEOR", len(pairs), why)]
        try:
            values, sums = _run(jar, pairs)
        except (OSError, ValueError) as error:
            return [not_scored("METEOR", len(pairs), f"not scored: the METEOR jar failed: {error}")]
        empty = {at: _EMPTY for at, pair in enumerate(pairs) if not pair.hypothesis.strip()}
        values[list(empty)] = np.nan
        return [Scored("METEOR", values, sums, "meteor", empty)]


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


def _run(jar: Path, pairs: Sequence[Pair]) -> tuple[Array, Array]:
    """Scores (n,), and statistics (n, 23). Raises ``ValueError`` if the jar stops, or its numbers are not ours."""
    if not pairs:
        return np.zeros(0), np.zeros((0, _STATISTICS))
    command = ["java", "-jar", "-Xmx2G", str(jar), "-", "-", "-stdio", "-l", "en", "-norm"]
    with _process(command, _SECONDS + _SECONDS_A_PAIR * len(pairs)) as (writer, reader):
        writing = Thread(target=_send, args=(writer, [_line(pair) for pair in pairs]), daemon=True)
        writing.start()
        statistics = [_answer(reader) for _ in pairs]
        writing.join()
        _send(writer, ["EVAL ||| " + " ||| ".join(statistics)])
        values = np.array([float(_answer(reader)) for _ in pairs])
        total = float(_answer(reader))
    sums = np.array([[float(one) for one in line.split()] for line in statistics])
    if sums.shape == (len(pairs), _STATISTICS):
        # as the jar pools them: a draft that is its reference has no break in it
        whole = (sums[:, 0] == sums[:, 21]) & (sums[:, 1] == sums[:, 22]) & (sums[:, 20] == 1)
        sums[whole, 20] = 0
    if sums.shape != (len(pairs), _STATISTICS) or not math.isclose(
        finish("meteor")(sums.sum(axis=0)), total, abs_tol=1e-9
    ):
        raise ValueError("its statistics do not give its score: another version of METEOR?")
    return values, sums


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
            for stream in filter(None, (process.stdin, process.stdout)):
                try:
                    stream.close()
                except OSError:
                    continue
