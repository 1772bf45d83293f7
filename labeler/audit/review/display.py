"""A report as the page shows it: cut into blocks at its sections and into pieces at its evidence, here and not there.

The page only ever sets text: it cuts nothing, and what looks like markup in a report stays text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from corpora.sections import select, split_sections
from corpora.types import Report
from labeler.explain import visible


@dataclass(frozen=True, slots=True)
class Mark:
    """``text[start:end]`` of a report is evidence for rows of the page: the mention itself, or a cue."""

    start: int
    end: int
    row: int
    cue: bool = False


def blocks(report: Report, sections: str, marks: Sequence[Mark] = ()) -> list[dict[str, Any]]:
    """The report as blocks: ``kind`` is ``heading``, ``read`` (a section that was labeled) or ``unread``.

    Each has a ``name`` (of its section; empty for a heading) and ``pieces``: ``text``, ``rows`` whose evidence it is,
    and ``cue`` if it is one. Put together the pieces are the report, control characters made visible.
    """
    spans = list(_spans(report, sections))
    return [
        {"kind": kind, "name": name, "pieces": list(_pieces(report.text, start, end, marks))}
        for start, end, kind, name in spans
        if start < end
    ]


def _spans(report: Report, wanted: str) -> Iterator[tuple[int, int, str, str]]:
    sections = report.sections or split_sections(report.text)
    read = select(Report(report.study_id, report.text, sections), wanted) if sections else []
    last = 0
    for section in sections:
        yield last, section.start, "heading", ""
        name = section.name.replace("findings_", "findings and ").replace("_", " ")
        yield section.start, section.end, "read" if section in read else "unread", name
        last = section.end
    yield last, len(report.text), "heading" if sections else "read", ""


def _pieces(text: str, start: int, end: int, marks: Iterable[Mark]) -> Iterator[dict[str, Any]]:
    inside = [mark for mark in marks if mark.start < end and mark.end > start]
    cuts = {start, end, *(at for mark in inside for at in (mark.start, mark.end) if start < at < end)}
    for first, last in pairwise(sorted(cuts)):
        over = [mark for mark in inside if mark.start <= first and mark.end >= last]
        rows = sorted(Counter(mark.row for mark in over))
        yield {"text": visible(text[first:last]), "rows": rows, "cue": any(mark.cue for mark in over)}
