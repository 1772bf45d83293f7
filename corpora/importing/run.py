"""The stages of an import, each done once: what an interrupted import has done is in its index."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from corpora.errors import RunError
from corpora.importing.emit import Emission, Tally, shared_names, studies, write_failures
from corpora.importing.gather import (
    Gathering,
    Watch,
    add_corpus,
    add_files,
    add_reports,
    check_unchanged,
    look_at_all,
    refuse_nothing,
    unpack,
)
from corpora.importing.index import Fault, Index, open_index
from corpora.importing.join import Joined, join
from corpora.importing.plan import ImportRun, Source, make_plan, mapping_table, tables_below
from corpora.importing.tables import add_table
from corpora.importing.walk import Found, listing_sha256
from corpora.pool import usable_cores
from corpora.readers.files import STDIN
from corpora.runs import atomic_writer, hash_input, package_versions, write_manifest, writing
from corpora.store import SHARDS, StudyWriter

_PACKAGES: Final = ("pydicom", "pillow", "pyarrow")
_WORK: Final = "partial"
_MAPPING: Final = -1
#: Studies in a shard.
SHARD: Final = 1000


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """How an import ended: its counts, how the films of each source found their reports, seconds of this attempt.

    ``resumed``: it went on with an interrupted one. ``untouched``: the corpus was complete, and nothing was done.
    """

    out: Path
    counts: dict[str, int]
    joined: tuple[Joined, ...]
    seconds: float
    resumed: bool = False
    untouched: bool = False

    @property
    def looked_at(self) -> int:
        """Files and records, the rejected ones too."""
        return self.counts["images"] + self.counts["reports"] + self.counts["rejected"]


def run_import(
    run: ImportRun, out: Path, *, workers: int | None, resume: bool, command: Sequence[str], watch: Watch
) -> ImportSummary:
    """Import the sources of ``run`` into ``out``. Raises as ``corpora.importing.command.import_corpus``."""
    start = time.perf_counter()
    out = out.absolute()
    complete = check_output(run, out, resume)
    if complete is not None:
        return ImportSummary(out, complete["counts"], (), 0.0, untouched=True)
    plan = make_plan(run, out)
    mapping = mapping_table(run)
    with open_index(out / _WORK) as index:
        resumed = _begin(index, run, plan)
        to = Gathering(index, run, out, workers or usable_cores(), watch)
        if mapping is not None:
            _once(index, "mapping", lambda: add_table(index, _MAPPING, mapping, run.encoding), run.mapping)
        roots = {number: root for source in plan for number, root in _gather(to, source)}
        look_at_all(to, roots)
        refuse_nothing(index, plan)
        joined = _joined(to, plan, roots)
        counts, aggregates = _write(to, plan, roots)
        manifest = write_manifest(
            out / _WORK / "manifest.json", command=command, config=run.model_dump(), inputs=[], counts=counts,
            wall_seconds=time.perf_counter() - start, packages=_PACKAGES,
        )  # fmt: skip
        manifest["inputs"] = [entry for source in plan for entry in _inputs(index, source, plan)]
        manifest["inputs"] += [hash_input(run.mapping)] if run.mapping else []
        manifest["joined"] = [f"{one.source}: {one.way or 'nothing'}, {one.matched}/{one.films}" for one in joined]
        manifest["aggregates"] = aggregates
        with atomic_writer(out / "manifest.json") as file:
            json.dump(manifest, file, indent=2, ensure_ascii=False, default=str)
            file.write("\n")
    with writing(out):
        shutil.rmtree(out / _WORK)
    return ImportSummary(out, counts, tuple(joined), time.perf_counter() - start, resumed)


def check_output(run: ImportRun, out: Path, resume: bool) -> dict[str, Any] | None:
    """The manifest of the corpus that is there, if it is this one and complete; None if the import may begin or go on.

    Raises ``RunError``: ``run.is_file``, ``run.same_file`` for a source inside the output, ``run.not_empty``,
    ``run.unfinished``, ``run.changed``.
    """
    if out.exists() and not out.is_dir():
        raise RunError("run.is_file", f"{out} is a file, not a corpus folder", hint="name a folder")
    for source in run.sources:
        if source != STDIN and Path(source).resolve().is_relative_to(out.resolve()):
            raise RunError("run.same_file", "the source lies in the output", where=source, hint="name another output")
    if not out.is_dir() or not any(out.iterdir()):
        return None
    if (out / "manifest.json").is_file():
        return _complete(run, out, resume)
    if not (out / _WORK / "index.sqlite").is_file():
        raise RunError(
            "run.not_empty", "the output folder is not empty, and what is in it is no import", where=str(out),
            hint="name another output",
        )  # fmt: skip
    if not resume:
        raise RunError(
            "run.unfinished", "an import to this output was interrupted", where=str(out),
            hint="--resume goes on with it; or remove the folder",
        )  # fmt: skip
    return None


def _complete(run: ImportRun, out: Path, resume: bool) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((out / "manifest.json").read_bytes())
        same = manifest["config"] == json.loads(run.model_dump_json())
        counts = manifest["counts"]
    except (ValueError, KeyError, TypeError, OSError):
        same, counts = False, {}
    if resume and same and {"images", "reports", "rejected"} <= counts.keys():
        return manifest
    if resume:
        raise RunError(
            "run.changed", "this output is complete, and was made by another run", where=str(out / "manifest.json"),
            hint="name another output, or remove it",
        )  # fmt: skip
    raise RunError(
        "run.not_empty", "the output is there already", where=str(out), hint="name another output, or remove it"
    )


def _begin(index: Index, run: ImportRun, plan: Sequence[Source]) -> bool:
    """Note what is being imported; whether an import of the same was interrupted. Raises ``RunError``."""
    # the join comes last, and can be made another way without reading all the films again
    config = json.loads(run.model_dump_json(exclude={"join"}))
    key = {"config": config, "versions": package_versions(_PACKAGES), "plan": [_identity(part) for part in plan]}
    before = index.noted("key")
    if before is None:
        index.note("key", key)
        return False
    changed = sorted(name for name in key if key[name] != before.get(name))
    changed += ["join"] if index.noted("joined") and index.noted("join") != run.join else []
    if changed:
        raise RunError(
            "run.changed", f"this is not the import that was interrupted: not the same {', '.join(changed)}",
            hint="run it as before, or remove the output folder",
        )  # fmt: skip
    return True


def _identity(source: Source) -> list[Any]:
    identity: list[Any] = [source.number, source.kind, source.path, source.format, source.only]
    path = Path(source.path)
    if source.path != STDIN and path.is_file():
        status = path.stat()
        identity += [status.st_size, status.st_mtime_ns]
    return identity


def _once(index: Index, name: str, work: Any, value: Any = True) -> bool:
    """Do a stage and note it, all or nothing, unless it is noted; whether it was done now."""
    if index.noted(name) is not None:
        return False
    with index.stage():
        work()
        index.note(name, value)
    return True


def _gather(to: Gathering, source: Source) -> list[tuple[int, Path]]:
    """Put a source into the index, unless it is there; its number and folder, if films are in it."""
    done = f"gathered {source.number}"
    if source.kind == "reports":
        _once(to.index, done, lambda: add_reports(to, source))
        return []
    if source.kind == "corpus":
        _once(to.index, done, lambda: add_corpus(to, source))
        return []
    if source.kind == "table":
        _once(to.index, done, lambda: _add_tables(to, source))
        return []
    root = source.root
    if source.kind == "archive":
        root = to.out / "images" / f"{source.number:02d}-{source.name}"
        if to.index.noted(done) is None:
            with to.index.stage():
                to.index.forget_source("archive", source.path)
                unpack(to, source)
            source = replace(source, tables=tables_below(root, source, to.run))
    if not _once(to.index, done, lambda: _add_films(to, source, root)) and source.kind == "films":
        check_unchanged(to, source, root)
    return [(source.number, root)]


def _add_films(to: Gathering, source: Source, root: Path) -> None:
    add_files(to, source, root)
    _add_tables(to, source)


def _add_tables(to: Gathering, source: Source) -> None:
    for table in source.tables:
        add_table(to.index, source.number, table, to.run.encoding)


def _joined(to: Gathering, plan: Sequence[Source], roots: dict[int, Path]) -> list[Joined]:
    index = to.index
    if index.noted("joined") is None:
        to.watch("join", 0, None)
        with index.stage():
            joined = join(index, plan, roots, to.run.join)
            index.note("join", to.run.join)
            index.note("joined", [[one.source, one.way, one.matched, one.films] for one in joined])
    return [Joined(*one) for one in index.noted("joined")]


def _write(to: Gathering, plan: Sequence[Source], roots: dict[int, Path]) -> tuple[dict[str, int], dict[str, Any]]:
    tally, faults = Tally(), list[Fault]()
    emission = Emission(to.index, plan, roots, to.out, to.run.copy_images, shared_names(to.index))
    for stale in to.out.glob(SHARDS):
        stale.unlink()
    with StudyWriter(to.out, SHARD) as writer:
        for study in studies(emission, tally, faults):
            writer.append(study)
            if tally.counts["studies"] % 100 == 0:
                to.watch("studies", tally.counts["studies"], None)
    with to.index.stage():
        to.index.forget("emit")
        to.index.reject("emit", faults)
    failures = write_failures(to.index, to.out / "failures.jsonl")
    for source in plan:
        if source.kind == "corpus":
            _carry_aggregates(to.index, source, tally)
    return _counts(to.index, plan, tally, failures), tally.aggregates()


def _carry_aggregates(index: Index, source: Source, tally: Tally) -> None:
    """Add what a corpus counted before its studies lost it: dates, ages and sexes go when it is de-identified."""
    try:
        given = json.loads((source.root / "manifest.json").read_bytes()).get("aggregates") or {}
    except (ValueError, AttributeError, OSError):
        return
    for name, field in (("years", "year"), ("ages", "age"), ("sexes", "sex")):
        known = index.count(
            f"count(*) FROM reports WHERE source = ? AND json_extract(meta, '$.{field}') IS NOT NULL", source.number
        )
        if not known and isinstance(given.get(name), dict):
            whole = {str(value): number for value, number in given[name].items() if isinstance(number, int)}
            getattr(tally, name).update(whole)


def _counts(index: Index, plan: Sequence[Source], tally: Tally, failures: Counter[str]) -> dict[str, int]:
    names = ("studies", "images", "reports", "images_without_report", "studies_without_report",
             "studies_without_image", "studies_without_patient")  # fmt: skip
    counts = {name: tally.counts[name] for name in names}
    counts["rejected"] = failures["broken"]
    counts["same_images"] = failures["import.same_image"]
    counts["same_uids"] = failures["import.same_uid"]
    counts["same_reports"] = index.count("count(*) FROM reports WHERE fate = 'repeat'")
    counts["later_reports"] = index.count("count(*) FROM reports WHERE fate = 'later'")
    counts["images_of_two_patients"] = failures["import.two_patients"]
    other = index.count("count(*) FROM files WHERE state = 'other'")
    for source in plan:
        other += (index.noted(f"others {source.number}") or 0) + (index.noted(f"passed over {source.number}") or 0)
    counts["other_files"] = other
    counts["rows"] = index.count("count(*) FROM rows")
    counts["rows_without_image"] = index.count(
        "count(*) FROM rows r WHERE parts > 0 AND NOT EXISTS (SELECT 1 FROM match m WHERE m.entry = r.id)"
    )
    tables = index.count("count(*) FROM rows WHERE parts > 0")
    undescribed = index.count("count(*) FROM files WHERE state = 'film' AND described = 0")
    counts["images_without_row"] = undescribed if tables else 0
    return counts


def _inputs(index: Index, source: Source, plan: Sequence[Source]) -> list[dict[str, Any]]:
    """What a source was, in hashes. Of a folder of films the names and sizes, for their content is not all read."""
    path = Path(source.path)
    if source.kind == "corpus":
        return [hash_input(path / "manifest.json")]
    if source.kind == "films":
        tables = [hash_input(table.path) for table in source.tables]
        return [_listing(index, source), *tables]
    if path.is_dir() and any(other.kind == "films" and other.path == source.path for other in plan):
        return []
    return [hash_input(source.path)]


def _listing(index: Index, source: Source) -> dict[str, Any]:
    rows = index.db.execute("SELECT path, size FROM files WHERE source = ?", (source.number,))
    found = [Found(path, size) for path, size in rows]
    return {
        "path": source.path, "bytes": sum(each.size for each in found), "sha256": listing_sha256(found),
        "files": len(found), "hash_of": "names and sizes",
    }  # fmt: skip
