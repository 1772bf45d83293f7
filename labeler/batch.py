"""Label a corpus: stream it through one or more processes, in order, and write what comes out as it comes.

The outputs are the same to the byte for any number of workers, and after any interruption that is resumed. A record
that cannot be labeled is written to the failures with its reason, counted, and the batch goes on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from corpora.errors import DataError, RunError
from corpora.readers import ReadOptions, Record, detect, open_source
from corpora.runs import (
    OutputTarget,
    atomic_writer,
    begin,
    discard_work,
    hash_input,
    output_target,
    package_versions,
    write_manifest,
    writing,
)
from corpora.sections import select
from corpora.types import Report
from labeler.base import Labeler
from labeler.chunks import Task, chunks, count_name
from labeler.engines import EngineName, engine_of
from labeler.journal import Journal, Progress, part_path, refuse_if_busy
from labeler.origins import files_of, packages_of
from labeler.several import Table, load_for, tables_of
from labeler.table import header, layout_of, write_parquet

_STDIN: Final = "-"


class LabelRun(BaseModel):
    """What decides the outputs of a run, and goes into its manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labeler: str = Field(default="rules.v1", description="Registered name of the labeler, or a trained one's folder.")
    label_schema: str = Field(
        default="chexpert14.v1", description="Name of a shipped schema, or a YAML file; several by commas."
    )
    language: str = Field(default="en", description="ISO 639-1 code of the reports' language, or auto.")
    sections: str = Field(default="findings,impression", description="Sections to read; a|b is the first one present.")
    hierarchy: bool = Field(default=False, description="Whether parents are filled by the labels under them.")
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
    """How a run ended: where its outputs are, what they hold, seconds of work, records done in earlier attempts.

    ``untouched``: it was complete already, and nothing was done.
    """

    target: OutputTarget
    tables: list[Path]
    reports: int
    rejected: int
    seconds: float
    resumed_at: int = 0
    untouched: bool = False


Watch = Callable[[int], None]


def label_batch(
    source: str,
    out: Path,
    run: LabelRun,
    *,
    evidence: Path | None = None,
    workers: int | None = None,
    engine: EngineName = "local",
    resume: bool = False,
    command: Iterable[str] = (),
    watch: Watch = lambda records: None,
) -> RunSummary:
    """Label ``source`` into ``out`` (a table, or a run folder), by ``workers`` processes (all cores if not given).

    ``engine``: ``local`` for processes of this machine, ``ray`` for those of a Ray cluster; the outputs are the same.
    ``evidence`` is the file for the mentions, of a run that says it writes them. ``watch`` is called with the number of
    records done. Raises ``DataError``, ``ConfigError``, ``RegistryError`` and ``RunError``; what is wrong with the
    arguments is raised before an earlier output is touched, and what was written before an error can be resumed.
    """
    target = output_target(out)
    labeler = load_for(run.labeler, run.label_schema, run.language, hierarchy=run.hierarchy)
    tables = tables_of(labeler)
    places = [table.path(target.table) for table in tables]
    outputs = _check_places(source, target, places, evidence)
    select(Report("", ""), run.sections)
    refuse_if_busy(target.work)
    layout = layout_of(target.format, detect(source, run.read_options()))
    inputs = [source, *files_of(run.labeler, run.label_schema, run.language)]
    made_before = _manifest(target)
    if resume and made_before and all(place.is_file() for place in places) and (evidence is None or evidence.is_file()):
        return _untouched(target, places, made_before, run, [hash_input(path, outputs)["sha256"] for path in inputs])
    records = _records(source, run)
    task = Task(run.labeler, run.label_schema, run.sections, run.evidence, layout, run.hierarchy, run.language)
    resume = resume and not made_before
    # what an engine needs is there or not: that shows before an earlier output is touched
    with engine_of(engine, labeler, task, workers) as labeled:
        begin(target, resume=resume)
        with Journal(target.work, _key(run, inputs), resume=resume, rows=[table.part for table in tables]) as journal:
            skipped = journal.progress.end
            watch(skipped.records)
            for done in labeled(chunks(records, source, skipped)):
                journal.append(done)
                watch(journal.progress.end.records)
    progress = journal.progress
    _publish(target, progress, tables, layout, evidence)
    write_manifest(
        target.manifest,
        command=list(command),
        config=run.model_dump(),
        inputs=inputs,
        leave_out=outputs,
        counts=_ordered(progress.counts, labeler),
        wall_seconds=progress.seconds,
        packages=packages_of(run.labeler),
    )
    with writing(target.work):
        discard_work(target)
    counts = progress.counts
    return RunSummary(target, places, counts["reports"], counts["rejected"], progress.seconds, skipped.records)


def _records(source: str, run: LabelRun) -> Iterator[Record]:
    records = open_source(source, run.read_options())
    first = next(records, None)
    if first is None:
        raise DataError("data.empty", "there is no record in it", where=source)
    return chain([first], records)


def _check_places(source: str, target: OutputTarget, tables: Iterable[Path], evidence: Path | None) -> list[Path]:
    """The outputs, none of which replaces the source or another one; the evidence has a place to go to."""
    outputs = [*tables, target.manifest, target.failures, target.work]
    if evidence is not None:
        if any(_is_same(evidence, place) for place in (*outputs, target.out)):
            raise _same_file("the evidence and another output of the run are the same file", evidence)
        outputs.append(evidence)
    for place in (*outputs, target.out):
        if source != _STDIN and _is_same(Path(source), place):
            raise _same_file("an output of the run would replace its source", place)
    if evidence is not None:
        _check_writable(evidence)
    return outputs


def _same_file(message: str, place: Path) -> RunError:
    return RunError("run.same_file", message, where=str(place), hint="name another file")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return one.absolute() == other.absolute()


def _check_writable(path: Path) -> None:
    if path.is_dir():
        raise RunError("run.is_folder", f"{path} is a folder, not a file", hint="name another file for --evidence")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        trial = path.with_name(f".{path.name}.tmp")
        trial.touch()
        trial.unlink()


def _key(run: LabelRun, inputs: Sequence[str]) -> dict[str, Any]:
    """What must be the same for a run to be resumed. Whether its records are shows when they are read."""
    schema = [hash_input(file)["sha256"] for file in inputs[1:]]
    return {
        "source": inputs[0],
        "schema": schema,
        "versions": package_versions(packages_of(run.labeler)),
        **run.model_dump(),
    }


def _manifest(target: OutputTarget) -> dict[str, Any] | None:
    """The manifest of the run that made the output, if there is one.

    Raises ``RunError`` (``run.other``) if it was no labeling: a corpus, or a training run, is not to be overwritten.
    """
    if not target.complete:
        return None
    try:
        manifest: dict[str, Any] = json.loads(target.manifest.read_bytes())
        if "label_schema" in manifest["config"] and {"reports", "rejected"} <= manifest["counts"].keys():
            return manifest
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise RunError(
        "run.other", "what is there was not made by `radloop label run`", where=str(target.manifest),
        hint="name another output, or remove it",
    )  # fmt: skip


def _untouched(
    target: OutputTarget, tables: list[Path], manifest: dict[str, Any], run: LabelRun, hashes: list[str | None]
) -> RunSummary:
    """The summary of a complete run. Raises ``RunError`` (``run.changed``) if it is another one than asked for."""
    changed = sorted(name for name, value in run.model_dump().items() if manifest["config"].get(name) != value)
    changed += ["source or schema"] if [made_from["sha256"] for made_from in manifest["inputs"]] != hashes else []
    if changed:
        raise RunError(
            "run.changed", f"this output is complete, and was made by another run: not the same {', '.join(changed)}",
            where=str(target.manifest), hint="name another output, or run without --resume to replace it",
        )  # fmt: skip
    counts = manifest["counts"]
    return RunSummary(target, tables, counts["reports"], counts["rejected"], manifest["wall_seconds"], untouched=True)


def _publish(
    target: OutputTarget, progress: Progress, tables: Sequence[Table], layout: str, evidence: Path | None
) -> None:
    """Put the finished parts in their places, each whole or not at all."""
    for table in tables:
        rows, place = part_path(target.work, table.part), table.path(target.table)
        if layout == "parquet":
            write_parquet(rows, table.labels, place)
        else:
            _copy(rows, place, header(layout, table.labels))
    if evidence is not None:
        _copy(part_path(target.work, "evidence"), evidence)
    if progress.counts["rejected"]:
        _copy(part_path(target.work, "failures"), target.failures)


def _copy(part: Path, path: Path, first: str = "") -> None:
    with atomic_writer(path, "wb") as file, part.open("rb") as rows:
        file.write(first.encode())
        while block := rows.read(1 << 20):
            file.write(block)


def _ordered(counts: Counter[str], labeler: Labeler) -> dict[str, int]:
    names = [count_name(label, state) for label in labeler.schema.labels for state in (1, 0, -1)]
    return {name: counts[name] for name in ("reports", "rejected", *names)}
