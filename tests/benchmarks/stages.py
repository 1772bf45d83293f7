"""Where the time of a batch goes: a look at the stack every millisecond, sorted into stages.

A look belongs to the innermost function of the stack that is in ``PLACES``; the tokenizer, which is compiled and has
no function of its own on the stack, to the line that calls it. Shares, not counts, are the result: a look costs some
microseconds, the same everywhere.
"""

from __future__ import annotations

import linecache
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

START_UP: Final = "start-up"
OTHER: Final = "other"
TOKENIZING: Final = "spaCy's tokenizer"
_TOKENIZER_CALL: Final = ".tokenizer("
#: Part of a file's path (and maybe a function) -> stage; the first that fits counts.
PLACES: Final[tuple[tuple[str, str | None, str], ...]] = (
    ("labeler/base.py", "load", START_UP),
    ("corpora/readers/", None, "reading"),
    ("corpora/unique.py", None, "reading"),
    ("labeler/table.py", None, "writing"),
    ("labeler/journal.py", None, "writing"),
    ("corpora/runs.py", None, "writing"),
    ("corpora/sections.py", None, "choosing sections"),
    ("labeler/rules/sentences.py", None, "splitting sentences"),
    ("labeler/rules/vocabulary.py", None, "canonical form of new words"),
    ("labeler/rules/grammar.py", "match", "phrases of new fragments"),
    ("labeler/rules/fragments.py", "claim", "phrases of new fragments"),
    ("labeler/rules/fragments.py", "_add", "phrases of new fragments"),
    ("labeler/rules/fragments.py", None, "putting fragments together"),
    ("labeler/rules/bulk.py", None, "parting into fragments"),
    ("labeler/rules/denial.py", None, "the usual denials"),
    ("labeler/rules/grammar.py", None, "looking up words"),
    ("negspacy/", None, "negspacy"),
    ("labeler/rules/negation.py", None, "negspacy"),
    ("labeler/rules/aggregate.py", None, "adding up"),
    ("labeler/rules/sentence.py", None, "segments"),
    ("labeler/rules/turns.py", None, "segments"),
    ("labeler/rules/assertion.py", None, "deciding"),
    ("labeler/rules/structures.py", None, "deciding"),
    ("labeler/rules/decide.py", None, "deciding"),
    ("labeler/rules/", None, "looking up sentences"),
    ("labeler/batch.py", None, "passing on"),
    ("labeler/chunks.py", None, "passing on"),
    ("labeler/workers.py", None, "passing on"),
)


def profile(source: str, out: str) -> dict[str, Any]:
    """Label ``source`` on one core and say which share of its time, start-up apart, each stage takes."""
    from labeler import batch

    looks: Counter[str] = Counter()
    started = time.process_time()
    with _looking(looks, 0.001):
        summary = batch.label_batch(source, Path(out), batch.LabelRun(), workers=1)
    seconds = time.process_time() - started
    total = max(1, looks.total())
    apart = looks.pop(START_UP, 0)
    working = seconds * (1 - apart / total)
    shares = {stage: count / max(1, looks.total()) for stage, count in looks.most_common()}
    return {"reports": summary.reports, "looks": looks.total(), "cpu_seconds": working, "shares": shares}


@contextmanager
def _looking(looks: Counter[str], every: float) -> Iterator[None]:
    def look(_: int, frame: FrameType | None) -> None:
        looks[stage_of(frame)] += 1

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, every, every)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def stage_of(frame: FrameType | None) -> str:
    """The stage that a stack belongs to: start-up if it is anywhere in it, else that of the innermost known frame."""
    inner: str | None = None
    while frame is not None:
        stage = _stage_of_frame(frame)
        if stage == START_UP:
            return START_UP
        inner = inner or stage
        frame = frame.f_back
    return inner or OTHER


def _stage_of_frame(frame: FrameType) -> str | None:
    name = frame.f_code.co_filename
    if "labeler/rules/" in name and _TOKENIZER_CALL in linecache.getline(name, frame.f_lineno or 0):
        return TOKENIZING
    function = frame.f_code.co_name
    return next((stage for part, only, stage in PLACES if part in name and only in (None, function)), None)
