"""The texts of an audit, read again from the source of the reports: nothing of them is kept in the audit's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from corpora.errors import DataError
from corpora.label_columns import name_in
from corpora.readers import ReadOptions, open_source
from corpora.sections import select, split_sections
from corpora.types import Report, Study
from labeler.audit.frame import load_frame, load_plan

Watch = Callable[[int], None]


def text_digests(
    source: str, ids: Iterable[str], sections: str, options: Mapping[str, str | None], watch: Watch = lambda done: None
) -> dict[str, str]:
    """For those of ``ids`` that ``source`` has a report of: a hash of the ``sections`` of it.

    Of an id that occurs twice the first report counts, as in a label run. ``options`` are fields of ``ReadOptions``.
    Raises as ``corpora.readers.open_source``.
    """
    wanted = set(ids)
    found: dict[str, str] = {}
    for number, record in enumerate(open_source(source, ReadOptions(**options))):
        if isinstance(record, Study) and record.report is not None:
            study_id = name_in(wanted, record.study_id)
            if study_id is not None:
                found.setdefault(study_id, digest(record.report, sections))
        if number % 1000 == 0:
            watch(number)
    return found


def digest(report: Report, sections: str) -> str:
    """A hash of the ``sections`` of a report: equal for reports that are the same to who reads them."""
    parts = (report.text[part.start : part.end] for part in select(report, sections))
    # a heading may stand between two parts or not: the parts are the text
    return blake2b("\x1e".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def has_texts(audit: Path | str) -> bool:
    """Whether the audit knows where its reports are."""
    return load_plan(audit).reports is not None


def texts_of(audit: Path | str, study_ids: Iterable[str]) -> Iterator[tuple[str, Report]]:
    """The reports of ``study_ids`` with their sections, in the order of the source.

    Raises ``DataError``: ``audit.no_texts`` for an audit without a source of reports, ``audit.text_missing`` for ids
    that the source no longer has, ``audit.text_changed`` for a report that is not the one that was planned, and as
    ``corpora.readers.open_source``.
    """
    plan = load_plan(audit)
    if plan.reports is None:
        hint = "plan it with --reports SOURCE"
        raise DataError("audit.no_texts", "the audit does not know where its reports are", where=str(audit), hint=hint)
    wanted = set(study_ids)
    frame = load_frame(audit)
    known = dict(zip(frame.ids, frame.text_sha, strict=True))
    for record in open_source(plan.reports, ReadOptions(**plan.read)):
        if not wanted:
            return
        study_id = name_in(wanted, record.study_id) if isinstance(record, Study) else None
        if isinstance(record, Study) and record.report is not None and study_id is not None:
            wanted.discard(study_id)
            report = record.report
            if known.get(study_id) not in (None, digest(report, plan.sections)):
                raise DataError(
                    "audit.text_changed", "the report is not the one that was planned",
                    where=f"{plan.reports}, study {study_id}", hint="restore the source of the reports",
                )  # fmt: skip
            yield study_id, replace(report, sections=report.sections or split_sections(report.text))
    if wanted:
        first = min(wanted)
        message = f"{len(wanted):,} drawn reports are not in the source, first {first[:40]!r}"
        raise DataError("audit.text_missing", message, where=plan.reports)
