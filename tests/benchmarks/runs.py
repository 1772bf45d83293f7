"""What is measured, each in a process of its own so that nothing is warm that would not be: prints JSON.

python -m tests.benchmarks.runs labeler '{"source": "reports.csv", "out": "labels.csv", "cores": 1}'
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Result = dict[str, Any]


@dataclass(slots=True)
class Spent:
    """Seconds by the clock and of all processors, this process and those it has waited for."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def timed() -> Iterator[Spent]:
    """What the block takes."""
    spent = Spent()
    wall, cpu = time.perf_counter(), _cpu_seconds()
    yield spent
    spent.wall, spent.cpu = time.perf_counter() - wall, _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def hold_to(cores: int) -> None:
    """Keep this process and its children to so many cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])


def labeler(source: str, out: str, cores: int) -> Result:
    """radloop's ``label_batch``; the start-up (imports, lexicon) is timed where the batch comes to it."""
    from unittest.mock import patch

    with timed() as imports:
        from labeler.batch import LabelRun, label_batch
        from labeler.rules import pipeline
        from labeler.schemas import load_schema

        # the lexicon is read once, and then compiled by the labeler
        load_schema(LabelRun().label_schema)

    loading = Spent()

    def load(schema: str) -> Any:
        with timed() as spent:
            loaded = original(schema)
        loading.wall += spent.wall
        loading.cpu += spent.cpu
        return loaded

    original = pipeline.load_rules_v1
    with timed() as whole, patch.object(pipeline, "load_rules_v1", load):
        summary = label_batch(source, Path(out), LabelRun(), workers=cores)
    if not loading.wall:
        raise RuntimeError("the labeler is no longer loaded by load_rules_v1: its start-up was not timed")
    return {
        "reports": summary.reports,
        "rejected": summary.rejected,
        "seconds": whole.wall - loading.wall,
        "cpu_seconds": whole.cpu - loading.cpu,
        "startup_seconds": imports.wall + loading.wall,
    }


def peer(source: str, out: str, phrases: str, pipe: bool) -> Result:
    """The naive peer, with the ``lexicon``'s phrases or its own ``short`` list."""
    with timed() as startup:
        from tests.benchmarks.peer import SHORT_LIST, build, label_table, lexicon_phrases

        nlp = build(lexicon_phrases() if phrases == "lexicon" else SHORT_LIST)
    with timed() as spent:
        reports = label_table(nlp, Path(source), Path(out), pipe=pipe)
    return _result(reports, spent, startup.wall)


def tokenizer(source: str, passes: int) -> Result:
    """spaCy's tokenizer alone, without reading or writing; the last of ``passes`` over the text counts."""
    with timed() as startup:
        import spacy

        from tests.benchmarks.corpus import read_rows

        tokenize = spacy.blank("en").tokenizer
    texts = [row.text for row in read_rows(Path(source))]
    for _ in range(passes):
        with timed() as spent:
            for text in texts:
                tokenize(text)
    return _result(len(texts), spent, startup.wall)


def _result(reports: int, spent: Spent, startup: float) -> Result:
    return {"reports": reports, "seconds": spent.wall, "cpu_seconds": spent.cpu, "startup_seconds": startup}


def stages(source: str, out: str) -> Result:
    """Where the labeler spends its time on one core."""
    from tests.benchmarks.stages import profile

    return profile(source, out)


RUNS: Final[dict[str, Callable[..., Result]]] = {
    "labeler": labeler, "peer": peer, "tokenizer": tokenizer, "stages": stages,
}  # fmt: skip


def main(name: str, arguments: str) -> None:
    """Run one of ``RUNS`` with its arguments as JSON."""
    options = json.loads(arguments)
    hold_to(options.get("cores", 1))
    print(json.dumps(RUNS[name](**options)))


if __name__ == "__main__":
    main(*sys.argv[1:])
