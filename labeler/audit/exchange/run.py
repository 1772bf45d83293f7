"""Export tasks or readings of an audit to a file, and import what readers filled in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast

from corpora.errors import ConfigError, DataError, RunError
from corpora.runs import atomic_writer
from corpora.types import Provenance, Reject
from labeler.audit.exchange import csv_file, jsonl_file, label_studio, xlsx_file
from labeler.audit.exchange.rows import Row
from labeler.audit.frame import Draw, load_draw, load_plan
from labeler.audit.store import open_store
from labeler.audit.texts import has_texts, texts_of
from labeler.audit.types import Phase, Reading

What = Literal["tasks", "second", "readings"]


class Format(NamedTuple):
    """How a kind of file is written and read."""

    write: Callable[[Path, Iterable[Row], Sequence[str]], None]
    read: Callable[[Path, Sequence[str]], Iterator[Row]]


FORMATS: Final = {
    "label-studio": Format(label_studio.write, label_studio.read),
    "xlsx": Format(xlsx_file.write, xlsx_file.read),
    "csv": Format(csv_file.write, csv_file.read),
    "jsonl": Format(jsonl_file.write, jsonl_file.read),
}
_SUFFIXES: Final = {".json": "label-studio", ".xlsx": "xlsx", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl"}
_PHASES: Final = ("blind", "revealed", "adjudicated")


@dataclass(frozen=True, slots=True)
class Imported:
    """How an import ended: readings added, there already, rows nobody filled in, and what was refused."""

    added: int
    known: int
    empty: int
    rejects: tuple[Reject, ...]


def export(
    audit: Path | str, out: Path, *, to: str, what: What = "tasks", reader: str | None = None, force: bool = False
) -> int:
    """Write the texts that are to be read (``tasks``), those that a second reader reads, too (``second``), or
    submitted ``readings``.

    With ``reader`` only the texts that reader has not read, or the readings of that reader. Tasks are in reading order
    and hold nothing that a machine said. Returns the number of rows. Raises as ``load_draw``, ``open_store``,
    ``texts_of``; ``ConfigError``: ``audit.format``; ``RunError``: ``audit.file_exists`` for a file that may hold
    somebody's work.
    """
    form = _format(to, out)
    if out.exists() and not force:
        hint = "name another file, or replace it with --force"
        raise RunError("audit.file_exists", "the file is there already", where=str(out), hint=hint)
    plan, draw = load_plan(audit), load_draw(audit)
    with open_store(audit) as store:
        readings = store.readings()
    if what == "readings":
        chosen = [each for each in readings if reader in (None, each.reader)]
        rows = [_reading_row(each, draw) for each in chosen]
    else:
        done = {each.study_id for each in readings if each.reader == reader and each.phase == "blind"}
        rows = _tasks(draw, done, second=what == "second")
    texts = _texts(audit, {row.study_id for row in rows})
    form.write(out, [replace(row, text=texts.get(row.study_id, "")) for row in rows], plan.names)
    return len(rows)


def _format(name: str, path: Path) -> Format:
    if name not in FORMATS:
        message = f"no format {name!r}; there are {', '.join(FORMATS)}"
        raise ConfigError("audit.format", message, where=str(path))
    return FORMATS[name]


def format_of(path: Path, name: str | None) -> str:
    """The format of a file: the one that is named, else what its name shows. Raises ``ConfigError``."""
    found = name or _SUFFIXES.get(path.suffix.lower())
    if found is None:
        hint = f"name its format: {', '.join(FORMATS)}"
        raise ConfigError(
            "audit.format", "the format does not show in the name of the file", where=str(path), hint=hint
        )
    return found


def _tasks(draw: Draw, done: set[str], *, second: bool) -> list[Row]:
    return [
        Row(draw.frame_sha256, each.study_id, position=each.position + 1)
        for each in draw.texts
        if each.study_id not in done and (each.double or not second)
    ]


def _reading_row(reading: Reading, draw: Draw) -> Row:
    return Row(
        draw.frame_sha256, reading.study_id, reading.answers, reading.reader, reading.phase, reading.at, reading.repeat,
        reading.note,
    )  # fmt: skip


def _texts(audit: Path | str, ids: set[str]) -> dict[str, str]:
    if not has_texts(audit):
        return {}
    return {study_id: report.text for study_id, report in texts_of(audit, ids)}


def import_readings(
    audit: Path | str, path: Path, *, form: str | None = None, reader: str | None = None, rest_blank: bool = False
) -> Imported:
    """Add what readers filled in to the readings of an audit; nothing that is there is replaced.

    ``reader`` is who filled in rows that do not say so; ``rest_blank`` takes unanswered labels of a row that has an
    answer for blank. A row that cannot be used is a ``Reject``: another study than a drawn one, labels unanswered, a
    reading that this reader gave otherwise. Raises as ``load_draw`` and ``open_store``; ``DataError``: ``audit.other``
    for a file of another audit, ``audit.reader``, and as the formats; nothing is added then.
    """
    plan, draw = load_plan(audit), load_draw(audit)
    rows = list(_format(format_of(path, form), path).read(path, plan.names))
    for row in rows:
        _check_row(row, draw, reader)
    drawn = draw.by_id()
    added = known = empty = 0
    rejects: list[Reject] = []
    with open_store(audit) as store, store.transaction():
        for row in rows:
            if not row.answers and row.problem is None:
                empty += 1
                continue
            found = _reading(row, plan.names, drawn, reader, rest_blank=rest_blank)
            if isinstance(found, Reject):
                rejects.append(found)
                continue
            try:
                new = store.add_reading(found, source=path.name)
            except DataError as error:
                rejects.append(_reject(row, error.code, error.message))
                continue
            added, known = added + new, known + (not new)
    return Imported(added, known, empty, tuple(rejects))


def _check_row(row: Row, draw: Draw, reader: str | None) -> None:
    if row.audit != draw.frame_sha256:
        message = "the file is of another audit" if row.audit else "the file does not say of which audit it is"
        raise DataError(
            "audit.other", message,
            where=row.where, hint="import what `radloop audit export` wrote for this audit, its column audit included",
        )  # fmt: skip
    if reader is not None and row.reader not in ("", reader):
        message = "the row is of another reader than --reader names"
        raise DataError("audit.reader", message, where=row.where, hint="leave --reader out to take the file's")
    if not row.reader and reader is None and row.answers:
        raise DataError("audit.reader", "the row does not say who read it", where=row.where, hint="name --reader")


def _reading(
    row: Row, labels: Sequence[str], drawn: Any, reader: str | None, *, rest_blank: bool
) -> Reading | Reject:  # fmt: skip
    phase = row.phase or "blind"
    answers = dict(row.answers)
    if row.problem is not None:
        return _reject(row, *row.problem)
    if row.study_id not in drawn:
        return _reject(row, "audit.not_in_draw", "the study is not drawn in this audit")
    if phase not in _PHASES:
        return _reject(row, "audit.answer", f"the phase is none of {', '.join(_PHASES)}")
    if rest_blank:
        answers = {label: answers.get(label) for label in labels}
    lacking = [label for label in labels if label not in answers]
    # a decision between readers is of the labels they differ in
    if lacking and phase == "blind":
        return _reject(row, "audit.unanswered", f"{len(lacking)} labels are unanswered, first {lacking[0]!r}")
    if not _is_storable(row.note) or not _is_storable(row.reader):
        return _reject(row, "audit.answer", "the note holds characters that are none (lone surrogates)")
    at = row.at or datetime.now(UTC).isoformat(timespec="milliseconds")
    return Reading(row.study_id, row.reader or str(reader), answers, cast(Phase, phase), at, row.repeat, row.note)


def _is_storable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _reject(row: Row, code: str, message: str) -> Reject:
    file, _, place = row.where.rpartition(", ")
    number = int(place.split()[-1]) if place.split()[-1:] and place.split()[-1].isdecimal() else None
    return Reject(code, message, Provenance(file or row.where, number), row.study_id)


def write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    """Write what was refused as JSON lines. Raises ``RunError`` as ``corpora.runs.atomic_writer``."""
    with atomic_writer(path) as file:
        for each in rejects:
            data = {"study_id": each.study_id, "code": each.code, "message": each.message,
                    "file": each.provenance.file, "row": each.provenance.row}  # fmt: skip
            file.write(json.dumps({name: value for name, value in data.items() if value is not None}) + "\n")
