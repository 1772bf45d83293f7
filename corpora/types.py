"""What flows through radloop: a study, its images, its report.

    Study(study_id, patient_id, images, report, meta)
      Report(study_id, text, sections)     the text never changes; offsets are code points
        -> Mention -> LabelVector          (labeler)
      ImageRef                             (vision)

Nothing but frozen dataclasses below; every part reads them and none changes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report: ``text[start:end]`` is its body, without the heading.

    ``name`` is lower case (``findings``, ``impression``, ``indication`` ...); text before any heading, or in a
    report without headings, is named ``body``.
    """

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Report:
    """A report as it was written, with the sections found in it. Offsets count code points."""

    study_id: str
    text: str
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where an image of a study lies and what its header says of it; None where it does not say.

    ``path`` is absolute, or relative to the corpus folder it lies in. ``view`` is ``PA``, ``AP``, ``LATERAL`` or
    another term of the source; ``view_source`` is the attribute it was taken from. ``pixel_spacing`` is millimetres
    between rows and between columns. ``rows`` and ``columns`` are those of the native image.
    """

    path: str
    view: str | None = None
    image_id: str | None = None
    format: str | None = None
    view_source: str | None = None
    rows: int | None = None
    columns: int | None = None
    frames: int | None = None
    bits_stored: int | None = None
    photometric: str | None = None
    pixel_spacing: tuple[float, float] | None = None
    modality: str | None = None
    body_part: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    transfer_syntax: str | None = None
    identity_removed: bool | None = None
    burned_in: bool | None = None
    phash: str | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a record came from: file, and row or member in it (1-based; for the one line of an error message)."""

    file: str
    row: int | None = None
    member: str | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """One examination: its images and its report, either of which may be missing.

    ``meta`` is what else is known, by these names where they fit: ``year`` (int), ``age`` (float, years), ``sex``
    (``M``, ``F``, ``O``), ``split`` (the source's own), ``labels`` (mapping of label to 1, 0, -1; absent is blank),
    ``source``.
    """

    study_id: str
    patient_id: str | None = None
    images: tuple[ImageRef, ...] = ()
    report: Report | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    provenance: Provenance | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that could not be used, and why; never its text."""

    code: str
    message: str
    provenance: Provenance
    study_id: str | None = None
