"""From what side a film was taken, by the attribute that says it best.

``ViewPosition`` is missing from a third of real headers; then the view code, the descriptions that technicians choose
from a list, and at last the orientation of rows and columns, which tells a lateral from a frontal film, not PA from AP.
"""

from __future__ import annotations

import re
from typing import Final

import pydicom

Dataset = pydicom.Dataset

_POSITIONS: Final = {
    "PA": "PA", "AP": "AP", "LL": "LATERAL", "RL": "LATERAL", "LAT": "LATERAL", "LATERAL": "LATERAL",
    "POSTERO_ANTERIOR": "PA", "ANTERO_POSTERIOR": "AP", "POSTEROANTERIOR": "PA", "ANTEROPOSTERIOR": "AP",
}  # fmt: skip
_DESCRIPTIONS: Final = (
    "SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription", "PerformedProcedureStepDescription",
    "ImageComments",
)  # fmt: skip
_WORDS: Final = (
    ("LATERAL", re.compile(r"\blat(?:eral)?\b|\bll\b|\bseitlich\b", re.IGNORECASE)),
    ("PA", re.compile(r"\bp\.?\s?[-/]?a\.?(?![a-z])|\bpostero-?\s?anterior", re.IGNORECASE)),
    ("AP", re.compile(r"\ba\.?\s?[-/]?p\.?(?![a-z])|\bantero-?\s?posterior", re.IGNORECASE)),
)
_SIDEWAYS: Final = frozenset({"A", "P"})


def view_of(dataset: Dataset) -> tuple[str | None, str | None]:
    """The view (``PA``, ``AP``, ``LATERAL``, or the header's own term) and the attribute it was taken from.

    >>> dataset = Dataset()
    >>> dataset.SeriesDescription = "Chest p.a."
    >>> view_of(dataset)
    ('PA', 'SeriesDescription')
    """
    from corpora.dicom.header import text

    position = (text(dataset, "ViewPosition") or "").upper()
    if position in _POSITIONS:
        return _POSITIONS[position], "ViewPosition"
    coded = _in_words(_code_meaning(dataset))
    if coded:
        return coded, "ViewCodeSequence"
    for keyword in _DESCRIPTIONS:
        described = _in_words(text(dataset, keyword) or "")
        if described:
            return described, keyword
    if _runs_sideways(dataset):
        return "LATERAL", "PatientOrientation"
    return (position, "ViewPosition") if position else (None, None)


def _code_meaning(dataset: Dataset) -> str:
    from corpora.dicom.header import text

    try:
        codes = dataset.get("ViewCodeSequence") or []
        return (text(codes[0], "CodeMeaning") or "") if len(codes) else ""
    except Exception:  # a sequence that is none
        return ""


def _in_words(described: str) -> str | None:
    """The one view that a description names; None if it names none, or several."""
    # an underscore is a letter to \b: CHEST_LAT
    described = described.replace("_", " ")
    named = [view for view, pattern in _WORDS if pattern.search(described)]
    return named[0] if len(named) == 1 else None


def _runs_sideways(dataset: Dataset) -> bool:
    try:
        rows = str((dataset.get("PatientOrientation") or [""])[0]).upper()
    except Exception:  # a value that is no list
        return False
    return rows[:1] in _SIDEWAYS
