"""Boxes as a DICOM structured report: Comprehensive SR after template TID 1500, a measurement group for each box.

A group says what was found, how sure the detector is (a number without unit from 0 to 1), and where: a closed
polyline on the film (SCOORD), in its pixels, selected from the film by its SOP instance. Labels are in a coding scheme
of our own, 99RADLOOP: they are what the detector was trained on, and claim no more. Completion is PARTIAL and the
report UNVERIFIED, as no person has read it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError
from vision.detections import Detection

_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"
_LITTLE: Final = "1.2.840.10008.1.2.1"
#: What a report takes over from its film: the patient and the study are the same.
_SHARED: Final = (
    "SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "PatientIdentityRemoved",
)  # fmt: skip
Code = tuple[str, str, str]


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its preamble."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def structured_report(film: Path, boxes: Sequence[Detection], *, made_by: str, now: datetime | None = None) -> bytes:
    """The report on a DICOM film, as the bytes of a file. UIDs follow from the film's and from ``made_by``.

    Raises ``DataError`` (``dicom.no_uid``) for a film without the UIDs that a report must name.
    """
    from pydicom import dcmread
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, generate_uid

    source = dcmread(film, stop_before_pixels=True)
    if not all(source.get(name) for name in ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID")):
        raise DataError("dicom.no_uid", "the film lacks a UID that a report must name", where=str(film))
    seeds = [str(source.SOPInstanceUID), made_by]
    uid = generate_uid(entropy_srcs=[*seeds, "report"])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(_SR), uid
    meta.TransferSyntaxUID = UID(_LITTLE)
    report = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for name in _SHARED:
        if name in source:
            report[name] = source[name]
        elif name != "SpecificCharacterSet" and name != "PatientIdentityRemoved":
            setattr(report, name, "")
    when = now or datetime.now()
    report.SOPClassUID, report.SOPInstanceUID = _SR, uid
    report.Modality, report.SeriesInstanceUID = "SR", generate_uid(entropy_srcs=[*seeds, "series"])
    report.SeriesNumber, report.InstanceNumber = 1, 1
    report.Manufacturer = "radloop"
    report.ContentDate, report.ContentTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S")
    report.SeriesDescription = "Detections"
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CompletionFlag, report.VerificationFlag = "PARTIAL", "UNVERIFIED"
    report.CurrentRequestedProcedureEvidenceSequence = [_evidence(source)]
    _content(report, source, boxes, made_by, seeds)
    out = io.BytesIO()
    report.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _evidence(source: Any) -> Any:
    instance = _dataset(ReferencedSOPClassUID=source.SOPClassUID, ReferencedSOPInstanceUID=source.SOPInstanceUID)
    series = _dataset(SeriesInstanceUID=source.get("SeriesInstanceUID", ""), ReferencedSOPSequence=[instance])
    return _dataset(StudyInstanceUID=source.StudyInstanceUID, ReferencedSeriesSequence=[series])


def _content(report: Any, source: Any, boxes: Sequence[Detection], made_by: str, seeds: Sequence[str]) -> None:
    report.ValueType, report.ContinuityOfContent = "CONTAINER", "SEPARATE"
    report.ConceptNameCodeSequence = [_code(("126000", "DCM", "Imaging Measurement Report"))]
    report.ContentTemplateSequence = [_dataset(MappingResource="DCMR", TemplateIdentifier="1500")]
    language = _item("HAS CONCEPT MOD", "CODE", ("121049", "DCM", "Language of Content Item and Descendants"))
    language.ConceptCodeSequence = [_code(("en", "RFC5646", "English"))]
    observer = _item("HAS OBS CONTEXT", "CODE", ("121005", "DCM", "Observer Type"))
    observer.ConceptCodeSequence = [_code(("121007", "DCM", "Device"))]
    device = _item("HAS OBS CONTEXT", "UIDREF", ("121012", "DCM", "Device Observer UID"))
    from pydicom.uid import generate_uid

    device.UID = generate_uid(entropy_srcs=["radloop detector", made_by])
    named = _item("HAS OBS CONTEXT", "TEXT", ("121013", "DCM", "Device Observer Name"))
    named.TextValue = f"radloop, {made_by}"[:1024]
    procedure = _item("HAS CONCEPT MOD", "CODE", ("121058", "DCM", "Procedure reported"))
    procedure.ConceptCodeSequence = [_code(("399208008", "SCT", "Plain X-ray of chest"))]
    found = _item("CONTAINS", "CONTAINER", ("126010", "DCM", "Imaging Measurements"))
    found.ContinuityOfContent = "SEPARATE"
    if boxes:
        found.ContentSequence = [_group(at, each, source, seeds) for at, each in enumerate(boxes, 1)]
    report.ContentSequence = [language, observer, device, named, procedure, found]


def _group(number: int, box: Detection, source: Any, seeds: Sequence[str]) -> Any:
    from pydicom.uid import generate_uid

    group = _item("CONTAINS", "CONTAINER", ("125007", "DCM", "Measurement Group"))
    group.ContinuityOfContent = "SEPARATE"
    group.ContentTemplateSequence = [_dataset(MappingResource="DCMR", TemplateIdentifier="1410")]
    tracking = _item("HAS OBS CONTEXT", "TEXT", ("112039", "DCM", "Tracking Identifier"))
    tracking.TextValue = f"{box.label} {number}"
    unique = _item("HAS OBS CONTEXT", "UIDREF", ("112040", "DCM", "Tracking Unique Identifier"))
    unique.UID = generate_uid(entropy_srcs=[*seeds, str(number)])
    finding = _item("CONTAINS", "CODE", ("121071", "DCM", "Finding"))
    finding.ConceptCodeSequence = [_code(label_code(box.label))]
    region = _item("CONTAINS", "SCOORD", ("111030", "DCM", "Image Region"))
    x, y, right, bottom = box.corners
    region.GraphicType = "POLYLINE"
    region.GraphicData = [x, y, right, y, right, bottom, x, bottom, x, y]
    image = _dataset(RelationshipType="SELECTED FROM", ValueType="IMAGE")
    image.ReferencedSOPSequence = [
        _dataset(ReferencedSOPClassUID=source.SOPClassUID, ReferencedSOPInstanceUID=source.SOPInstanceUID)
    ]
    region.ContentSequence = [image]
    score = _item("CONTAINS", "NUM", ("score", "99RADLOOP", "Detection score"))
    units = _code(("1", "UCUM", "no units"))
    score.MeasuredValueSequence = [
        _dataset(NumericValue=f"{box.score:.6f}", MeasurementUnitsCodeSequence=[units])
    ]  # fmt: skip
    group.ContentSequence = [tracking, unique, finding, region, score]
    return group


def label_code(label: str) -> Code:
    """A label in our coding scheme; a code value has 16 characters at most, so longer names are cut and numbered.

    >>> label_code("Pneumothorax")
    ('Pneumothorax', '99RADLOOP', 'Pneumothorax')
    >>> len(label_code("Enlarged Cardiomediastinum")[0])
    16
    """
    from hashlib import sha256

    plain = label.strip()
    short = plain if len(plain) <= 16 else f"{plain[:9].strip()}-{sha256(plain.encode()).hexdigest()[:6]}"[:16]
    short = short if len(plain) <= 16 else short.ljust(16, "0")
    return short, "99RADLOOP", plain[:64]


def _item(relation: str, kind: str, name: Code) -> Any:
    item = _dataset(RelationshipType=relation, ValueType=kind)
    item.ConceptNameCodeSequence = [_code(name)]
    return item


def _code(code: Code) -> Any:
    value, scheme, meaning = code
    return _dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _dataset(**elements: Any) -> Any:
    from pydicom.dataset import Dataset

    made = Dataset()
    for name, value in elements.items():
        setattr(made, name, value)
    return made
