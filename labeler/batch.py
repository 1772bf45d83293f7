"""Label a corpus: stream it through one or more processes, in order, and write what comes out as it comes.

The table is the same to the byte for any number of workers, and after any interruption that is resumed. A record that
cannot be labeled is written to the failures with its reason, counted, and the batch goes on.
"""

from __future__ import annotations

import gc
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from corpora.errors import RadloopError, RunError
from corpora.labels import STATE_NAMES, State
from corpora.readers import ReadOptions, Record, detect, open_source
from corpora.runs import OutputTarget, atomic_writer, begin, discard_work, output_target, write_manifest, writing
from corpora.types import Provenance, Reject, Report, Study
from corpora.unique import SeenIds
from labeler.base import Labeler, load
from labeler.journal import Journal
from labeler.table import evidence_line, header, row_writer, write_parquet

_REPORTS_AT_ONCE: Final = 500
_CHARACTERS_AT_ONCE: Final = 2_000_000
# below this it takes longer to start workers than to label
_WORTH_WORKERS: Final = 8_000


class LabelRun(BaseModel):
    """What decides the outputs of a run, and goes into its manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labeler: str = Field(default="rules.v1", description="Registered name of the labeler.")
    label_schema: str = Field(default="chexpert14.v1", description="Name of a shipped schema, or a YAML file.")
    sections: str = Field(default="findings,impression", description="Sections to read; a|b is the first one present.")
    evidence: bool = Field(default=False, description="Whether the mentions are written, too.")
    format: str | None = Field(default=None, description="Format of the source; found out if not given.")
    encoding: str | None = Field(default=None, description="Encoding of text sources; UTF-8 if not given.")
    id_column: str | None = Field(default=None, description="Column of study ids.")
    text_column: str | None = Field(default=None, description="Column of whole reports.")
    findings_column: str | None = Field(default=None, description="Column of Findings sections.")
    impression_column: str | None = Field(default=None, description="Column of Impression sections.")

    def read_options(self) -> ReadOptions:
        """What of this concerns the reader."""
        return ReadOptions(
            self.format, self.encoding, self.id_column, self.text_column, self.findings_column, self.impression_column
        )


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended."""

    target: OutputTarget
    reports: int
    rejected: int
    seconds: float
    resumed_at: int = 0

    @property
    def rejected_share(self) -> float:
        """Rejected records over all records."""
        return self.rejected / max(1, self.reports + self.rejected)


class Chunk(NamedTuple):
    """Some records of the source, in its order."""

    records: int
    reports: list[Report]
    rejects: list[Reject]


class Labeled(NamedTuple):
    """What a chunk came to."""

    records: int
    rows: str
    evidence: str
    failures: str
    counts: dict[str, int]


Watch = Callable[[int], None]


def label_batch(
    source: str,
    out: Path,
    run: LabelRun,
    *,
    evidence: Path | None = None,
    workers: int | None = None,
    resume: bool = False,
    command: Iterable[str] = (),
    watch: Watch = lambda reports: None,
) -> RunSummary:
    """Label ``source`` into ``out`` (a table, or a run folder), by ``workers`` processes (all cores if not given).

    ``watch`` is called with the number of records done. Raises ``DataError``, ``ConfigError``, ``RegistryError`` and
    ``RunError``; what was written until then can be resumed.
    """
    target = output_target(out)
    if resume and target.complete:
        return _already_done(target, run)
    labeler = load(run.labeler, run.label_schema)
    layout = "stanford" if target.format == "csv" and detect(source, run.read_options()) == "stanford" else "csv"
    layout = "jsonl" if target.format == "jsonl" else layout
    records = open_source(source, run.read_options())
    begin(target, resume=resume)
    with Journal(target.work, _key(source, run, labeler), resume=resume) as journal:
        skipped = journal.progress.records
        for done in _labeled(records, run, labeler, layout, skipped, workers or os.cpu_count() or 1):
            journal.append(done.records, done.counts, rows=done.rows, evidence=done.evidence, failures=done.failures)
            watch(journal.progress.records)
        journal.note()
        _publish(target, journal, labeler, layout, evidence)
        progress = journal.progress
    write_manifest(
        target.manifest,
        command=list(command),
        config=run.model_dump(),
        inputs=[source],
        counts={"reports": 0, "rejected": 0, **progress.counts},
        wall_seconds=progress.seconds,
        packages=("spacy", "negspacy"),
    )
    with writing(target.work):
        discard_work(target)
    return RunSummary(target, progress.counts["reports"], progress.counts["rejected"], progress.seconds, skipped)


def _already_done(target: OutputTarget, run: LabelRun) -> RunSummary:
    manifest = json.loads(target.manifest.read_text(encoding="utf-8"))
    if manifest["config"] != run.model_dump():
        raise RunError(
            "run.changed", "this output is complete, and was made with other options", where=str(target.manifest),
            hint="name another output, or run without --resume to replace it",
        )  # fmt: skip
    counts = manifest["counts"]
    done = counts["reports"] + counts["rejected"]
    return RunSummary(target, counts["reports"], counts["rejected"], manifest["wall_seconds"], resumed_at=done)


def _key(source: str, run: LabelRun, labeler: Labeler) -> dict[str, Any]:
    """What must be the same for a run to be resumed."""
    if source == "-":
        return {"source": source, **run.model_dump()}
    status = Path(source).stat()
    return {"source": [str(source), status.st_size, status.st_mtime_ns], "by": labeler.made_by, **run.model_dump()}


def _publish(target: OutputTarget, journal: Journal, labeler: Labeler, layout: str, evidence: Path | None) -> None:
    """Put the finished parts in their places, each whole or not at all."""
    labels = labeler.schema.labels
    if target.format == "parquet":
        write_parquet(journal.path("rows"), labels, target.table)
    else:
        _copy(journal.path("rows"), target.table, header(layout, labels))
    if evidence is not None:
        _copy(journal.path("evidence"), evidence)
    if journal.progress.counts["rejected"]:
        _copy(journal.path("failures"), target.failures)


def _copy(part: Path, path: Path, first: str = "") -> None:
    with atomic_writer(path, "wb") as file, part.open("rb") as rows:
        file.write(first.encode())
        while block := rows.read(1 << 20):
            file.write(block)


def _labeled(
    records: Iterator[Record], run: LabelRun, labeler: Labeler, layout: str, skipped: int, workers: int
) -> Iterator[Labeled]:
    """The chunks of the source, labeled, in order."""
    chunks = _chunks(records, skipped)
    here = partial(_label_chunk, labeler, run, layout)
    if workers == 1:
        gc.freeze()
        yield from map(here, chunks)
        return
    first: list[Chunk] = []
    reports = 0
    for chunk in chunks:
        first.append(chunk)
        reports += len(chunk.reports)
        if reports >= _WORTH_WORKERS:
            break
    else:
        yield from map(here, first)
        return
    with _pool(run, layout, workers) as pool:
        yield from _in_order(pool, _each(first, chunks), 2 * workers + 1)


def _each(first: list[Chunk], rest: Iterator[Chunk]) -> Iterator[Chunk]:
    while first:
        yield first.pop(0)
    yield from rest


def _in_order(pool: Executor, chunks: Iterator[Chunk], ahead: int) -> Iterator[Labeled]:
    """Results in the order of the chunks, of which no more than ``ahead`` are in memory."""
    waiting: deque[Future[Labeled]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_label_in_worker, chunk))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RunError(
            "run.worker", "a worker process ended before its work was done", hint="run again with --resume"
        ) from error


def _chunks(records: Iterator[Record], skipped: int) -> Iterator[Chunk]:
    """The records behind the first ``skipped`` ones, some at a time; a study id that came before is rejected."""
    seen = SeenIds()
    left = skipped
    batch: list[Record] = []
    characters = 0
    for record in records:
        batch.append(record)
        characters += len(record.report.text) if isinstance(record, Study) and record.report else 0
        if len(batch) == (left or _REPORTS_AT_ONCE) or len(batch) == _REPORTS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
            chunk = _checked(batch, seen)
            if left:
                left -= len(batch)
            else:
                yield chunk
            batch, characters = [], 0
    if batch and not left:
        yield _checked(batch, seen)


def _checked(batch: list[Record], seen: SeenIds) -> Chunk:
    studies = [record for record in batch if isinstance(record, Study)]
    rejects = [record for record in batch if isinstance(record, Reject)]
    reports = []
    for study, repeated in zip(studies, seen.add([study.study_id for study in studies]), strict=True):
        if repeated and study.provenance is not None:
            message = "this study id came before; only the first report is labeled"
            rejects.append(Reject("data.duplicate", message, study.provenance, study.study_id))
        elif study.report is not None:
            reports.append(study.report)
    return Chunk(len(batch), reports, rejects)


def _label_chunk(labeler: Labeler, run: LabelRun, layout: str, chunk: Chunk) -> Labeled:
    write = row_writer(layout, labeler.schema.labels)
    rows: list[str] = []
    evidence: list[str] = []
    rejects = list(chunk.rejects)
    vectors: Counter[tuple[State, ...]] = Counter()
    for report in chunk.reports:
        try:
            if run.evidence:
                vector = labeler(report, run.sections)
                states = vector.states
                evidence.append(evidence_line(report, vector))
            else:
                states = labeler.states(report, run.sections)
            rows.append(write(report, states))
            vectors[states] += 1
        except RadloopError:
            raise
        except Exception as error:
            rejects.append(_failed(report, error))
    failures = "".join(map(_failure_line, rejects))
    counts = {"reports": len(rows), "rejected": len(rejects), **_count(labeler.schema.labels, vectors)}
    return Labeled(chunk.records, "".join(rows), "".join(evidence), failures, counts)


def _count(labels: tuple[str, ...], vectors: Counter[tuple[State, ...]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for states, number in vectors.items():
        for label, state in zip(labels, states, strict=True):
            if state is not None:
                counts[f"{label}: {STATE_NAMES[state]}"] += number
    return dict(sorted(counts.items()))


def _failed(report: Report, error: Exception) -> Reject:
    # the error's own words may hold the report's
    message = f"the labeler failed on this report ({type(error).__name__})"
    return Reject("label.failed", message, Provenance(""), report.study_id)


def _failure_line(reject: Reject) -> str:
    fields = {
        "study_id": reject.study_id,
        "file": reject.provenance.file or None,
        "row": reject.provenance.row,
        "member": reject.provenance.member,
        "code": reject.code,
        "message": reject.message,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False) + "\n"


_worker: Callable[[Chunk], Labeled]


def _start_worker(run: LabelRun, layout: str) -> None:
    global _worker
    _worker = partial(_label_chunk, load(run.labeler, run.label_schema), run, layout)
    # the lexicon is large and lasts: the collector need not look at it again and again
    gc.freeze()


def _label_in_worker(chunk: Chunk) -> Labeled:
    return _worker(chunk)


@contextmanager
def _pool(run: LabelRun, layout: str, workers: int) -> Iterator[Executor]:
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (run, layout))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
