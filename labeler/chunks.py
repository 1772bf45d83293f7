"""A source in chunks, and a chunk labeled: what goes to a worker, and what comes back as the bytes of the outputs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import chain, islice
from typing import Final, NamedTuple

from corpora.errors import DataError, RadloopError, RunError
from corpora.labels import STATE_NAMES, State
from corpora.readers import Record
from corpora.types import Provenance, Reject, Report, Section, Study
from corpora.unique import SeenIds
from labeler.base import DEFAULT_LANGUAGE, Labeler
from labeler.several import SeveralLabeler, Table, tables_of
from labeler.table import evidence_line, row_writer
from labeler.types import LabelVector

_RECORDS_AT_ONCE: Final = 1000
_CHARACTERS_AT_ONCE: Final = 2_000_000

# a report and where it came from
Item = tuple[Report, Provenance]


class Mark(NamedTuple):
    """A place in a source: so many records come before it, and this is their digest."""

    records: int
    digest: str


START: Final = Mark(0, "")


class Chunk(NamedTuple):
    """Some records of a source in its order, and the place behind them."""

    items: list[Item | Reject]
    characters: int
    end: Mark


class Task(NamedTuple):
    """How chunks are to be labeled; ``layout`` is one of ``labeler.table``."""

    labeler: str
    schema: str
    sections: str
    evidence: bool
    layout: str
    hierarchy: bool = False
    language: str = DEFAULT_LANGUAGE


class Labeled(NamedTuple):
    """What a chunk came to: lines for each part of the journal by its name, and what there is to count in them."""

    end: Mark
    parts: dict[str, str]
    counts: Counter[str]


def chunks(records: Iterator[Record], source: str, after: Mark) -> Iterator[Chunk]:
    """The records behind ``after``, some at a time; a study whose id came before is rejected (``data.duplicate``).

    Raises ``RunError`` (``run.changed``) if ``after`` is no place in this source.
    """
    seen = SeenIds()
    digest = blake2b(digest_size=16)
    for group in _groups(islice(records, after.records)):
        _take(digest, group)
        _checked(group, seen, source)
    if after.records and digest.hexdigest() != after.digest:
        raise RunError(
            "run.changed", "the source no longer begins with the records that were labeled", where=source,
            hint="run without --resume to start over",
        )  # fmt: skip
    number = after.records
    for group in _groups(records):
        number += len(group)
        _take(digest, group)
        items = _checked(group, seen, source)
        yield Chunk(items, sum(map(_length, group)), Mark(number, digest.hexdigest()))


def _groups(records: Iterable[Record]) -> Iterator[list[Record]]:
    group: list[Record] = []
    left = _CHARACTERS_AT_ONCE
    try:
        for record in records:
            group.append(record)
            left -= _length(record)
            if left <= 0 or len(group) == _RECORDS_AT_ONCE:
                yield group
                group, left = [], _CHARACTERS_AT_ONCE
    except RadloopError:
        # what could be read before the source broke off is not lost
        if group:
            yield group
        raise
    if group:
        yield group


def _length(record: Record) -> int:
    return len(record.report.text) if isinstance(record, Study) and record.report else 0


def _take(digest: blake2b, group: Iterable[Record]) -> None:
    for record in group:
        text = record.code if isinstance(record, Reject) else record.report.text if record.report else ""
        digest.update(f"{record.study_id}\0{text}\0".encode("utf-8", "surrogatepass"))


def _checked(group: Sequence[Record], seen: SeenIds, source: str) -> list[Item | Reject]:
    came_before = iter(seen.add([record.study_id for record in group if isinstance(record, Study)]))
    unknown = Provenance(source)
    return [
        record if isinstance(record, Reject) else _item(record, next(came_before), record.provenance or unknown)
        for record in group
    ]


def _item(study: Study, came_before: bool, where: Provenance) -> Item | Reject:
    if came_before:
        message = "this study id came before; only the first report is labeled"
        return Reject("data.duplicate", message, where, study.study_id)
    if study.report is None:
        return Reject("data.no_report", "the study has no report", where, study.study_id)
    return study.report, where


# a report and where it came from as plain tuples, which go between processes at a tenth of the cost of dataclasses
_Packed = tuple[str, str, tuple[tuple[str, int, int], ...], tuple[str, int | None, str | None]]
Packed = tuple[list[_Packed | Reject], Mark]


def packed(chunk: Chunk) -> Packed:
    """A chunk on its way to another process."""
    return [item if isinstance(item, Reject) else _pack(*item) for item in chunk.items], chunk.end


def _pack(report: Report, where: Provenance) -> _Packed:
    sections = tuple([(section.name, section.start, section.end) for section in report.sections])
    return report.study_id, report.text, sections, (where.file, where.row, where.member)


def unpacked(packed: Packed) -> Chunk:
    """The chunk that was packed."""
    items, end = packed
    return Chunk([item if isinstance(item, Reject) else _unpack(*item) for item in items], 0, end)


def _unpack(
    study_id: str,
    text: str,
    sections: tuple[tuple[str, int, int], ...],
    where: tuple[str, int | None, str | None],
) -> Item:
    return Report(study_id, text, tuple([Section(*section) for section in sections])), Provenance(*where)


def label_chunk(labeler: Labeler, task: Task, chunk: Chunk) -> Labeled:
    """Label the reports of a chunk; one that the labeler fails on is rejected, too (``label.failed``)."""
    outcomes = list(_read(labeler, task, chunk.items))
    read = [outcome for outcome in outcomes if not isinstance(outcome, Reject)]
    parts = {
        **{table.part: _rows(table, task.layout, read) for table in tables_of(labeler)},
        "evidence": "".join([mentions for _, _, mentions in read]) if task.evidence else "",
        "failures": "".join([_failure_line(outcome) for outcome in outcomes if isinstance(outcome, Reject)]),
    }
    counts = _counts(labeler.schema.labels, Counter(states for _, states, _ in read))
    counts.update(reports=len(read), rejected=len(outcomes) - len(read))
    return Labeled(chunk.end, parts, counts)


_Read = tuple[Report, tuple[State, ...], str]


def _rows(table: Table, layout: str, read: Sequence[_Read]) -> str:
    write = row_writer(layout, table.labels)
    return "".join([write(report, states[table.states]) for report, states, _ in read])


def _read(labeler: Labeler, task: Task, items: Sequence[Item | Reject]) -> Iterable[_Read | Reject]:
    """The reports among ``items`` with their states and the line of their evidence, in order, and what was rejected."""
    if not task.evidence:
        reports = [item[0] for item in items if not isinstance(item, Reject)]
        try:
            states = iter(_checked_states(labeler, reports, task))
        except Exception:  # one of them it fails on: which one shows when they are read one by one
            pass
        else:
            return (item if isinstance(item, Reject) else (item[0], next(states), "") for item in items)
    return (item if isinstance(item, Reject) else _read_one(labeler, task, *item) for item in items)


def _checked_states(labeler: Labeler, reports: Sequence[Report], task: Task) -> list[tuple[State, ...]]:
    states = labeler.states(reports, task.sections)
    if len(states) != len(reports) or any(len(vector) != len(labeler.schema.labels) for vector in states):
        raise ValueError("not one state for each label of each report")
    return states


def _read_one(labeler: Labeler, task: Task, report: Report, where: Provenance) -> _Read | Reject:
    try:
        if not task.evidence:
            return report, _checked_states(labeler, [report], task)[0], ""
        vectors = _vectors(labeler, report, task.sections)
        states = tuple(chain.from_iterable(vector.states for vector in vectors))
        if len(states) != len(labeler.schema.labels):
            raise ValueError("not one state for each label")
        return report, states, "".join([evidence_line(report, vector) for vector in vectors])
    except DataError as error:
        # our own words, which never hold the report's
        return Reject(error.code, error.message, where, report.study_id)
    except Exception as error:  # whatever it is, the other reports go on
        # the error's own words may hold the report's
        message = f"the labeler failed on this report ({type(error).__name__})"
        return Reject("label.failed", message, where, report.study_id)


def _vectors(labeler: Labeler, report: Report, sections: str) -> list[LabelVector]:
    if isinstance(labeler, SeveralLabeler):
        return labeler.vectors(report, sections)
    return [labeler(report, sections)]


def _counts(labels: tuple[str, ...], vectors: Counter[tuple[State, ...]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    numbers = list(vectors.values())
    for label, column in zip(labels, zip(*vectors, strict=True), strict=bool(vectors)):
        # a Counter would take twice as long
        of_states = dict.fromkeys(column, 0)
        for state, number in zip(column, numbers, strict=True):
            of_states[state] += number
        counts.update({count_name(label, state): of_states[state] for state in of_states if state is not None})
    return counts


def count_name(label: str, state: State) -> str:
    """How the reports with a label in a state are called where they are counted.

    >>> count_name("Edema", -1)
    'Edema: uncertain'
    """
    return f"{label}: {STATE_NAMES[state]}"


def _failure_line(reject: Reject) -> str:
    where = reject.provenance
    fields = {
        "study_id": reject.study_id, "file": where.file, "row": where.row, "member": where.member,
        "code": reject.code, "message": reject.message,
    }  # fmt: skip
    return json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False) + "\n"
