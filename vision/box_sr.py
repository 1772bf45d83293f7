"""Boxes as a DICOM structured report: Comprehensive SR after template TID 1500, a measurement group for each box.

A group says what was found, how sure the detector is (a number without unit from 0 to 1), and where: a closed
polyline on the film (SCOORD), in its pixels, selected from the film by its SOP instance. Labels are in a coding scheme
of our own, 99RADLOOP: they are what the detector was trained on, and claim no more. Completion is PARTIAL and the
report UNVERIFIED, as no person has read it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError
from vision.detections import Detection

_SR: Final = "1.2.840.10008.5.1.4.1.1.88.33"
_LITTLE: Final = "1.2.840.10008.1.2.1"
_SCHEME: Final = "99RADLOOP"
#: What a report takes over from its film: the patient and the study are the same.
_SHARED: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
#: And of what was removed from it, where it says so.
_REMOVED: Final = ("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence")
Code = tuple[str, str, str]


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its preamble."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def structured_report(
    film: Path, boxes: Sequence[Detection], *, made_by: str, digest: str = "", now: datetime | None = None
) -> bytes:
    """The report on a DICOM film, as the bytes of a file, by the detector ``made_by`` whose weights have ``digest``.

    The same detector, film, boxes and time give the same report with the same UIDs; a report that says another thing,
    or at another time, is another instance.

    Raises ``DataError`` (``dicom.no_uid``) for a film without the UIDs that a report must name.
    """
    with warnings.catch_warnings():
        # what the film has against the standard is the film's, and stays
        warnings.simplefilter("ignore")
        return _report(film, boxes, [made_by, digest], now or datetime.now())


def _report(film: Path, boxes: Sequence[Detection], detector: Sequence[str], when: datetime) -> bytes:
    from pydicom import dcmread
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, generate_uid

    source = dcmread(film, stop_before_pixels=True)
    if not all(source.get(name) for name in ("SOPInstanceUID", "SOPClassUID", "StudyInstanceUID")):
        raise DataError("dicom.no_uid", "the film lacks a UID that a report must name", where=str(film))
    said = repr([(box.label, box.corners, box.score) for box in boxes])
    # what tracks a finding is the same whenever it is reported
    seeds = [str(source.SOPInstanceUID), *detector, said]
    uid = generate_uid(entropy_srcs=[*seeds, when.isoformat(), "report"])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(_SR), uid
    meta.TransferSyntaxUID = UID(_LITTLE)
    report = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    _share(report, source)
    report.SOPClassUID, report.SOPInstanceUID = _SR, uid
    report.Modality, report.SeriesInstanceUID = "SR", generate_uid(entropy_srcs=[*seeds, when.isoformat(), "series"])
    report.SeriesNumber, report.InstanceNumber = 1, 1
    report.Manufacturer = "radloop"
    report.ContentDate, report.ContentTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S")
    report.SeriesDescription = "Detections"
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CompletionFlag, report.VerificationFlag = "PARTIAL", "UNVERIFIED"
    report.CodingSchemeIdentificationSequence = [
        _dataset(CodingSchemeDesignator=_SCHEME, CodingSchemeName="Labels of detectors of radloop")
    ]
    report.CurrentRequestedProcedureEvidenceSequence = [_evidence(source)]
    _content(report, source, boxes, detector, seeds)
    out = io.BytesIO()
    report.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _share(report: Any, source: Any) -> None:
    """Take over from ``source`` who was examined, and when: in UTF-8, which has the letters of every label as well."""
    source.decode()
    report.SpecificCharacterSet = "ISO_IR 192"
    for name in _SHARED:
        value = source.get(name)
        setattr(report, name, "" if value is None else str(value))
    for name in _REMOVED:
        if name in source:
            report[name] = source[name]


def _evidence(source: Any) -> Any:
    instance = _dataset(ReferencedSOPClassUID=source.SOPClassUID, ReferencedSOPInstanceUID=source.SOPInstanceUID)
    series = _dataset(SeriesInstanceUID=source.get("SeriesInstanceUID", ""), ReferencedSOPSequence=[instance])
    return _dataset(StudyInstanceUID=source.StudyInstanceUID, ReferencedSeriesSequence=[series])


def _content(
    report: Any, source: Any, boxes: Sequence[Detection], detector: Sequence[str], seeds: Sequence[str]
) -> None:
    report.ValueType, report.ContinuityOfContent = "CONTAINER", "SEPARATE"
    report.ConceptNameCodeSequence = [_code(("126000", "DCM", "Imaging Measurement Report"))]
    report.ContentTemplateSequence = [_dataset(MappingResource="DCMR", TemplateIdentifier="1500")]
    language = _item("HAS CONCEPT MOD", "CODE", ("121049", "DCM", "Language of Content Item and Descendants"))
    language.ConceptCodeSequence = [_code(("en", "RFC5646", "English"))]
    observer = _item("HAS OBS CONTEXT", "CODE", ("121005", "DCM", "Observer Type"))
    observer.ConceptCodeSequence = [_code(("121007", "DCM", "Device"))]
    device = _item("HAS OBS CONTEXT", "UIDREF", ("121012", "DCM", "Device Observer UID"))
    from pydicom.uid import generate_uid

    device.UID = generate_uid(entropy_srcs=["radloop detector", *detector])
    named = _item("HAS OBS CONTEXT", "TEXT", ("121013", "DCM", "Device Observer Name"))
    named.TextValue = f"radloop, {detector[0]}"[:1024]
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
    score = _item("CONTAINS", "NUM", ("score", _SCHEME, "Detection score"))
    units = _code(("1", "UCUM", "no units"))
    score.MeasuredValueSequence = [
        _dataset(NumericValue=f"{box.score:.6f}", MeasurementUnitsCodeSequence=[units])
    ]  # fmt: skip
    group.ContentSequence = [tracking, unique, finding, region, score]
    return group


def label_code(label: str) -> Code:
    """A label in our coding scheme. A code value has 16 plain characters at most: other names are cut and numbered.

    >>> label_code("Pneumothorax")
    ('Pneumothorax', '99RADLOOP', 'Pneumothorax')
    >>> len(label_code("Enlarged Cardiomediastinum")[0])
    16
    """
    from hashlib import sha256

    # a backslash parts values
    plain = label.strip().replace("\\", "/")
    if len(plain) <= 16 and plain.isascii():
        return plain, _SCHEME, plain
    begin = plain.encode("ascii", "ignore").decode()[:9].strip()
    return f"{begin}-{sha256(plain.encode()).hexdigest()}"[:16], _SCHEME, plain[:64]


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
