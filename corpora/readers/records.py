"""From the fields of a record to a ``Study``, or to the reason why not."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

from corpora.readers.options import Record
from corpora.types import Provenance, Reject, Report, Section, Study

#: The longest report that is read, in characters.
LONGEST_TEXT: Final = 10_000_000

_HEADINGS: Final = {"findings_impression": "FINDINGS AND IMPRESSION"}


def make_study(
    study_id: str,
    text: str,
    provenance: Provenance,
    *,
    sections: tuple[Section, ...] = (),
    patient_id: str | None = None,
) -> Record:
    """A study with this report; a ``Reject`` where the id is empty or the text cannot be worked on.

    Codes: ``data.no_id``, ``data.too_long``, ``data.nul``, ``data.surrogate``.
    """
    if not study_id:
        return Reject("data.no_id", "the study id is empty", provenance)
    if len(text) > LONGEST_TEXT:
        return Reject("data.too_long", f"the report is longer than {LONGEST_TEXT:,} characters", provenance, study_id)
    if "\0" in text or "\0" in study_id:
        return Reject("data.nul", "the record holds a NUL character", provenance)
    if not (text.isascii() and study_id.isascii()) and not _is_encodable(text + study_id):
        return Reject("data.surrogate", "the record holds half of a surrogate pair", provenance)
    return Study(study_id, patient_id or None, (), Report(study_id, text, sections), provenance=provenance)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@cache
def _heading(name: str) -> str:
    return f"{_HEADINGS.get(name) or name.replace('_', ' ').upper()}: "


def compose(parts: Iterable[tuple[str, str]]) -> tuple[str, tuple[Section, ...]]:
    """One text from named parts, with a heading before each, and where each part lies in it; empty parts are left out.

    >>> compose([("findings", "Clear."), ("impression", "Normal.")])[0]
    'FINDINGS: Clear.\\nIMPRESSION: Normal.'
    """
    text = ""
    sections: list[Section] = []
    for name, part in parts:
        body = part.strip()
        if body:
            text += f"\n{_heading(name)}{body}" if text else _heading(name) + body
            sections.append(Section(name, len(text) - len(body), len(text)))
    return text, tuple(sections)
