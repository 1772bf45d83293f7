"""Put what readers found in the place of machine labels, wherever a text was read.

FINAL.csv                    the label table, same reports, same columns
FINAL.csv.sources.csv        for each report whose text was read: human, adjudicated or machine, label by label
FINAL.csv.confusion.json     how machine labels and truth go together (``labeler.audit.confusion``)
FINAL.csv.certificate.json   if all gates hold: the audit's certificate, bound to this table
FINAL.csv.manifest.json      written last
"""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import ConfigError, DataError, RunError
from corpora.labels import State
from corpora.runs import atomic_writer, hash_input, output_target, write_manifest
from corpora.types import Report
from labeler.audit.certify import certificate_of
from labeler.audit.confusion import confusion
from labeler.audit.coverage import Coverage, coverage
from labeler.audit.frame import CODES, write_json
from labeler.audit.sample import Truth, make_sample
from labeler.audit.store import readings_sha256
from labeler.audit.tables import Labels, read_table
from labeler.audit.types import BLANK_CODE, UNREAD
from labeler.table import header, row_writer

Array = NDArray[Any]

_STATES: Final[dict[int, State]] = {1: 1, 0: 0, -1: -1, BLANK_CODE: None}


@dataclass(frozen=True, slots=True)
class Applied:
    """What was replaced: ``reports`` whose text was read, ``cells`` with a human label, ``changed`` ones among them."""

    out: Path
    reports: int
    cells: int
    changed: int
    certified: bool


def apply(
    audit: Path | str, labels: Path | str, out: Path, *, command: Sequence[str] = ("labeler.audit.apply.apply",)
) -> Applied:
    """Write the label table with human labels where there are any.

    All reports of a text get what was read in it; labels that readers differ in without a decision, or could not
    judge, stay as they are. Raises ``DataError``: ``audit.labels_changed`` if ``labels`` is not the audited table;
    ``ConfigError``: ``config.value`` unless ``out`` is a table; ``RunError``: ``run.same_file``.
    """
    start = time.perf_counter()
    if out.suffix.lower() not in (".csv", ".parquet", ".jsonl"):
        message = "a label table is written as .csv, .parquet or .jsonl"
        raise ConfigError("config.value", message, where=f"-o {out}")
    found = coverage(audit)
    table = _audited(found, labels)
    target = output_target(out)
    if out.exists() and out.samefile(table.path):
        hint = "name another file"
        raise RunError("run.same_file", "the output would replace the audited table", where=str(out), hint=hint)
    out.parent.mkdir(parents=True, exist_ok=True)
    target.manifest.unlink(missing_ok=True)
    states, sources = _replaced(found, table)
    _write_table(out, table, states)
    _write_sources(beside(out, "sources.csv"), table, found.plan.names, sources)
    write_json(beside(out, "confusion.json"), confusion_json(found))
    certified = _certificate(found, out)
    human = [(row, at) for row, cells in sources.items() for at, source in enumerate(cells) if source != "machine"]
    columns = [table.names.index(name) for name in found.plan.names]
    changed = sum(table.states[row, columns[at]] != states[row, columns[at]] for row, at in human)
    counts = {"reports": len(table.ids), "read": len(sources), "human": len(human), "changed": int(changed)}
    hashes = {"labels_sha256": found.plan.labels_sha256, "readings_sha256": readings_sha256(audit)}
    write_manifest(
        target.manifest, command=command, config={"audit": str(audit)} | hashes,
        inputs=[table.path], counts=counts, wall_seconds=time.perf_counter() - start, packages=("numpy", "pyarrow"),
    )  # fmt: skip
    return Applied(out, len(sources), len(human), int(changed), certified)


def beside(out: Path, end: str) -> Path:
    """The companion of a table: ``labels.csv.sources.csv``."""
    return out.with_name(f"{out.name}.{end}")


def _audited(found: Coverage, labels: Path | str) -> Labels:
    leave_out = [found.plan.site_column] if found.plan.site_column else []
    table = read_table(labels, leave_out=leave_out)
    if str(hash_input(table.path)["sha256"]) != found.plan.labels_sha256:
        raise DataError(
            "audit.labels_changed", "this is not the label table that was audited", where=str(table.path),
            hint=f"the audit is of {found.plan.labels} as it was at the plan",
        )  # fmt: skip
    return _with_all(table, found.plan.names)


def _with_all(table: Labels, names: Sequence[str]) -> Labels:
    """The table with columns for the audited labels that it never names (JSON lines)."""
    lacking = [name for name in names if name not in table.names]
    blank = np.full((len(table.ids), len(lacking)), BLANK_CODE, dtype=np.int8)
    states = np.concatenate([table.states, blank], axis=1)
    return Labels(table.path, table.ids, (*table.names, *lacking), states, table.left_out, table.sparse)


def _replaced(found: Coverage, table: Labels) -> tuple[Array, dict[int, list[str]]]:
    """The states with human ones in them, and by row whose each audited label is."""
    states = table.states.copy()
    row_of = {name: row for row, name in enumerate(table.ids)}
    columns = np.array([table.names.index(name) for name in found.plan.names])
    sources: dict[int, list[str]] = {}
    for text in found.draw.texts:
        truth = found.truths.get(text.study_id)
        if truth is None:
            continue
        codes = np.array(truth.codes, dtype=np.int8)
        known = codes != UNREAD
        said = _sources(truth, found.plan.names)
        for member in text.members:
            row = row_of[member]
            states[row, columns[known]] = codes[known]
            sources[row] = said
    return states, sources


def _sources(truth: Truth, names: Sequence[str]) -> list[str]:
    return [
        "machine" if code == UNREAD else "adjudicated" if name in truth.adjudicated else "human"
        for name, code in zip(names, truth.codes, strict=True)
    ]


def _write_table(out: Path, table: Labels, states: Array) -> None:
    if out.suffix.lower() == ".parquet":
        _write_parquet(out, table, states)
        return
    layout = out.suffix.lower()[1:]
    write = row_writer(layout, table.names)
    with atomic_writer(out) as file:
        file.write(header(layout, table.names))
        for study_id, row in zip(table.ids, states.tolist(), strict=True):
            file.write(write(Report(study_id, ""), tuple([_STATES[code] for code in row])))


def _write_parquet(out: Path, table: Labels, states: Array) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"study_id": pa.array(table.ids, pa.string())}
    columns |= {
        name: pa.array(states[:, at], pa.int8(), mask=states[:, at] == BLANK_CODE)
        for at, name in enumerate(table.names)
    }
    with atomic_writer(out, "wb") as file:
        pq.write_table(pa.table(columns), file)


def _write_sources(path: Path, table: Labels, names: Sequence[str], sources: Mapping[int, Sequence[str]]) -> None:
    with atomic_writer(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["study_id", *names])
        for row in sorted(sources):
            writer.writerow([table.ids[row], *sources[row]])


def confusion_json(found: Coverage) -> dict[str, Any]:
    """The confusion of all labels, as it is written; see ``labeler.audit.confusion``."""
    sample = make_sample(found.draw, found.frame, found.truths)
    totals = np.stack([(found.frame.machine == code).sum(axis=0) for code in CODES.values()], axis=1)
    return {
        "format": "radloop-confusion",
        "version": 1,
        "unit": "reports",
        "labels_sha256": found.plan.labels_sha256,
        "labels": confusion(sample, totals),
    }


def _certificate(found: Coverage, out: Path) -> bool:
    path = beside(out, "certificate.json")
    if found.lacking():
        path.unlink(missing_ok=True)
        return False
    bound = {"labels_sha256": str(hash_input(out)["sha256"]), "labels": out.name}
    write_json(path, certificate_of(found) | bound | {"audited_labels_sha256": found.plan.labels_sha256})
    return True
