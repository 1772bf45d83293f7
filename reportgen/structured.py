"""A draft as DICOM Basic Text SR (PS3.3 A.35.1): a container with headings, texts, and the films it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, BasicTextSRStorage, ExplicitVRLittleEndian, generate_uid

from corpora import __version__
from corpora.errors import DataError

#: Concept codes (PS3.16): what each part is.
_TITLE: Final = ("18748-4", "LN", "Diagnostic imaging report")
_HEADINGS: Final = {
    "findings": (("121070", "DCM", "Findings"), ("121071", "DCM", "Finding")),
    "impression": (("121072", "DCM", "Impressions"), ("121073", "DCM", "Impression")),
}
_COMMENT: Final = ("121106", "DCM", "Comment")
_SOURCE: Final = ("121180", "DCM", "Key Images")
_COPIED: Final = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate",
    "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_DEIDENTIFIED: Final = ("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
                        "LongitudinalTemporalInformationModified")  # fmt: skip
_FALLBACK_CHARSET: Final = "ISO_IR 192"


def structured_report(record: Mapping[str, Any]) -> FileDataset:
    """The Basic Text SR of a draft record. Raises ``DataError`` (``report.no_dicom``) if no film is DICOM."""
    films = [header for path in record["films"] if (header := _header(path)) is not None]
    if not films:
        raise DataError("report.no_dicom", "no film of the study is a DICOM file; a structured report refers to one")
    now = datetime.now().astimezone()
    uid = generate_uid(entropy_srcs=[record["study_id"], record["made_by"], record["text"], str(now)])
    found = _file(uid)
    _identify(found, films[0], uid, now)
    found.ValueType, found.ContinuityOfContent = "CONTAINER", "SEPARATE"
    found.ConceptNameCodeSequence = [_code(_TITLE)]
    found.PerformedProcedureCodeSequence = []
    found.ReferencedPerformedProcedureStepSequence = []
    # not complete, and no person stands behind it
    found.CompletionFlag, found.VerificationFlag = "PARTIAL", "UNVERIFIED"
    found.CompletionFlagDescription = "Draft of a model"
    found.CurrentRequestedProcedureEvidenceSequence = [_evidence(films)]
    found.ContentSequence = [
        _said("CONTAINS", _COMMENT, record["notice"]),
        *(_heading(name, record[name]) for name in _HEADINGS if record.get(name)),
        _images(films),
    ]
    return found


def _header(path: str) -> Dataset | None:
    if not path or not Path(path).is_file():
        return None
    try:
        found = dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, OSError, ValueError, AttributeError):
        return None
    needed = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    return found if all(found.get(name) for name in needed) else None


def _file(uid: UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = BasicTextSRStorage, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)


def _identify(found: Dataset, film: Dataset, uid: UID, now: datetime) -> None:
    found.SpecificCharacterSet = _FALLBACK_CHARSET
    for name in _COPIED:
        if name in film:
            setattr(found, name, film[name].value)
        elif name != "IssuerOfPatientID":
            setattr(found, name, "")
    for name in _DEIDENTIFIED:
        if name in film:
            setattr(found, name, film[name].value)
    found.SOPClassUID, found.SOPInstanceUID = BasicTextSRStorage, uid
    found.Modality = "SR"
    found.SeriesInstanceUID = generate_uid(entropy_srcs=[str(uid), "series"])
    found.SeriesNumber, found.InstanceNumber = "1", "1"
    found.SeriesDescription = "Draft report, not for clinical use"
    found.Manufacturer, found.ManufacturerModelName, found.SoftwareVersions = "radloop", "radloop", __version__
    found.InstanceCreationDate = found.ContentDate = now.strftime("%Y%m%d")
    found.InstanceCreationTime = found.ContentTime = now.strftime("%H%M%S")
    found.TimezoneOffsetFromUTC = now.strftime("%z")


def _code(code: tuple[str, str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def _said(relation: str, code: tuple[str, str, str], text: str) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, "TEXT"
    item.ConceptNameCodeSequence = [_code(code)]
    item.TextValue = text
    return item


def _container(code: tuple[str, str, str], content: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ContinuityOfContent = "CONTAINS", "CONTAINER", "SEPARATE"
    item.ConceptNameCodeSequence = [_code(code)]
    item.ContentSequence = list(content)
    return item


def _heading(name: str, text: str) -> Dataset:
    heading, part = _HEADINGS[name]
    return _container(heading, [_said("CONTAINS", part, text)])


def _reference(film: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
    return item


def _images(films: Sequence[Dataset]) -> Dataset:
    items = []
    for film in films:
        item = Dataset()
        item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
        item.ReferencedSOPSequence = [_reference(film)]
        items.append(item)
    return _container(_SOURCE, items)


def _evidence(films: Sequence[Dataset]) -> Dataset:
    of_series: dict[str, list[Dataset]] = {}
    for film in films:
        # films of another study would need an item of their own: a draft is of one study
        of_series.setdefault(str(film.SeriesInstanceUID), []).append(film)
    series = []
    for uid, several in of_series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedSOPSequence = [_reference(film) for film in several]
        series.append(item)
    study = Dataset()
    study.StudyInstanceUID = films[0].StudyInstanceUID
    study.ReferencedSeriesSequence = series
    return study
