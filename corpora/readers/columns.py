"""Which column of a table holds what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from corpora.errors import ConfigError, DataError
from corpora.readers.options import ReadOptions

#: Names of columns, folded, of study ids, in the order of preference.
IDS: Final = (
    "study_id", "studyid", "id", "uid", "report_id", "reportid", "exam_id", "accession", "accession_number",
    "accession_no", "accessionnumber", "study_uid", "study_instance_uid", "studyinstanceuid", "dicom_id",
    "note_id", "study",
)  # fmt: skip
#: Those of whole reports.
TEXTS: Final = (
    "report", "text", "report_text", "reporttext", "full_report", "full_text", "radiology_report", "reports",
    "narrative", "report_body", "note_text",
)  # fmt: skip
#: Those of patients.
PATIENTS: Final = ("patient_id", "subject_id", "patientid", "subjectid")
_SECTIONS: Final = {
    "findings": "findings", "finding": "findings", "report_findings": "findings", "section_findings": "findings",
    "impression": "impression", "impressions": "impression", "report_impression": "impression",
    "section_impression": "impression",
    "conclusion": "impression", "conclusions": "impression", "opinion": "impression",
    "findings_impression": "findings_impression", "findings_and_impression": "findings_impression",
    "indication": "indication", "indications": "indication", "clinical_indication": "indication",
    "clinical_information": "indication", "reason_for_exam": "indication", "reason_for_examination": "indication",
    "history": "history", "clinical_history": "history",
    "comparison": "comparison", "comparisons": "comparison",
    "technique": "technique", "examination": "technique",
    "recommendation": "recommendation", "recommendations": "recommendation",
    "wet_read": "wet_read", "addendum": "addendum",
}  # fmt: skip
_READING: Final = frozenset({"findings", "impression", "findings_impression"})
_NAME_LIKE: Final = re.compile(r"[\w()#/-]+(?: [\w()#/-]+){0,2}")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a table by their place: ids, patients, and one text or the named sections of it."""

    width: int
    id: int | None
    patient: int | None
    text: int | None
    sections: tuple[tuple[str, int], ...]

    @property
    def last(self) -> int:
        """The place of the last column that is read."""
        places = [place for _, place in self.sections]
        return max([*places, *(place for place in (self.id, self.patient, self.text) if place is not None)])


def is_known(name: str) -> bool:
    """Whether a column of this name would be taken for an id, a report or a section without an option."""
    key = fold(name)
    return key in IDS or key in PATIENTS or key in TEXTS or key in _SECTIONS


def has_report(names: Sequence[str]) -> bool:
    """Whether a table with these columns holds reports, as far as the names tell."""
    return any(fold(name) in TEXTS or _SECTIONS.get(fold(name)) in _READING for name in names)


def find_columns(names: Sequence[str], options: ReadOptions, source: str) -> Layout:
    """The layout of a table with these column names.

    Raises ``DataError`` (``data.columns``) if a column that an option names, or every column that could hold a report,
    is missing, or if two columns have the name looked for; ``ConfigError`` (``config.columns``) for options that
    contradict each other.
    """
    sectioned = bool(options.findings_column or options.impression_column)
    if options.text_column and sectioned:
        raise ConfigError(
            "config.columns", "a column with the whole report and columns with its sections are both named",
            where="--text-column", hint="leave out one of them",
        )  # fmt: skip
    text = _place(names, options.text_column, () if sectioned else TEXTS, source)
    sections = () if text is not None else _section_places(names, options, source)
    if text is None and not any(name in _READING for name, _ in sections):
        raise _no_report(names, source)
    study_id = _place(names, options.id_column, IDS, source)
    return Layout(len(names), study_id, _place(names, None, PATIENTS, source), text, sections)


def fold(name: str) -> str:
    """A column's name without case, its blanks and hyphens as underscores."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _place(names: Sequence[str], named: str | None, usual: Sequence[str], source: str) -> int | None:
    if named is not None:
        return _named_place(names, named, source)
    keys = [fold(name) for name in names]
    for candidate in usual:
        if keys.count(candidate) > 1:
            raise DataError("data.columns", f"two columns are named {candidate!r}", where=source)
        if candidate in keys:
            return keys.index(candidate)
    return None


def _named_place(names: Sequence[str], named: str, source: str) -> int:
    for wanted, known in ((named, list(names)), (fold(named), [fold(name) for name in names])):
        if known.count(wanted) > 1:
            raise DataError("data.columns", f"two columns are named {named!r}", where=source)
        if wanted in known:
            return known.index(wanted)
    near = get_close_matches(fold(named), [fold(name) for name in names], n=1)
    guess = f"; did you mean {near[0]}?" if near and _NAME_LIKE.fullmatch(near[0]) else ""
    raise DataError("data.columns", f"no column is named {named!r}{guess}", where=source, hint=_found(names))


def _section_places(names: Sequence[str], options: ReadOptions, source: str) -> tuple[tuple[str, int], ...]:
    named = {"findings": options.findings_column, "impression": options.impression_column}
    chosen = {_named_place(names, column, source): name for name, column in named.items() if column}
    for place, column in enumerate(names):
        name = _SECTIONS.get(fold(column))
        if name and not named.get(name):
            chosen.setdefault(place, name)
    return tuple((chosen[place], place) for place in sorted(chosen))


def _no_report(names: Sequence[str], source: str) -> DataError:
    return DataError(
        "data.columns",
        f"no column holds reports; {_found(names)}",
        where=source,
        hint="name it with --text-column, or --findings-column and --impression-column",
    )


def _found(names: Sequence[str]) -> str:
    # a table without a header has reports where the names should be: only what looks like a name is shown
    shown = [
        name.strip() if len(name) <= 40 and _NAME_LIKE.fullmatch(name.strip()) else "(not a name)" for name in names
    ]
    more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
    return f"the columns are: {', '.join(shown[:20]) or 'none'}{more}"
