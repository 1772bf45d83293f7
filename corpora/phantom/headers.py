"""Films as DICOM files: CR and DX objects with the habits of their vendor and the invented identity of a patient."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from corpora.dicom.header import describe as describe_header
from corpora.phantom.film import Film, Plan
from corpora.phantom.patients import Visit
from corpora.phantom.stored import FULL, Coding, describe, stored_values
from corpora.types import ImageRef

if TYPE_CHECKING:
    from pydicom import Dataset

_CR: Final = "1.2.840.10008.5.1.4.1.1.1"
_DX: Final = "1.2.840.10008.5.1.4.1.1.1.1"
_SYNTAXES: Final = {
    "implicit": "1.2.840.10008.1.2", "explicit": "1.2.840.10008.1.2.1", "rle": "1.2.840.10008.1.2.5",
    "jpegls": "1.2.840.10008.1.2.4.80", "jpeg2000": "1.2.840.10008.1.2.4.90",
}  # fmt: skip
_SERIES: Final = {"PA": "Chest PA", "AP": "Chest AP portable", "LATERAL": "Chest lateral"}
_ORIENTATION: Final = {"PA": ["L", "F"], "AP": ["L", "F"], "LATERAL": ["P", "F"]}
_POSITION: Final = {"PA": "PA", "AP": "AP", "LATERAL": "LL"}
_VIEW_CODE: Final = {
    "PA": ("272479007", "postero-anterior"), "AP": ("399348003", "antero-posterior"),
    "LATERAL": ("399173006", "left lateral"),
}  # fmt: skip
#: Attributes that identify someone, to be listed in the truth; nested ones are found too.
IDENTIFYING: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "PatientAddress", "PatientTelephoneNumbers",
    "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "ReferringPhysicianName",
    "NameOfPhysiciansReadingStudy", "OperatorsName", "PerformingPhysicianName", "AccessionNumber", "StudyID",
    "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "StationName", "DeviceSerialNumber",
    "AdditionalPatientHistory", "ImageComments", "RequestedProcedureID", "RequestingPhysician",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Object:
    """What one film becomes: ``view_source`` is the attribute that tells its view."""

    visit: Visit
    plan: Plan
    film: Film
    coding: Coding
    syntax: str
    image_id: str
    number: int
    burned_said: str | None
    comment: int


def draw_coding(visit: Visit, rng: np.random.Generator) -> tuple[Coding, str]:
    """How the vendor stores a film this time, and in which transfer syntax."""
    scanner = visit.scanner
    bits = int(rng.choice(scanner.bits))
    photometric = str(rng.choice(scanner.photometric))
    syntax = str(rng.choice(scanner.syntaxes))
    if scanner.modality_lut == "rescale":
        return Coding(
            bits, photometric, float(rng.choice([1.0, 0.5, 2.0])), float(rng.choice([0.0, -1024.0, 100.0]))
        ), syntax
    if scanner.modality_lut == "sequence":
        return Coding(bits, photometric, FULL / ((1 << bits) - 1)), syntax
    return Coding(bits, photometric), syntax


def said_of_burning(burned: bool, rng: np.random.Generator) -> str | None:
    """What the header says of text in the pixels, which is not always so."""
    return (None, "NO", "YES")[int(rng.choice(3, p=[0.35, 0.35, 0.3] if burned else [0.35, 0.65, 0.0]))]


def uid(*parts: object) -> str:
    """A UID that depends on ``parts`` alone (2.25 and a number of 128 bits, PS3.5 B.2)."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def dicom_object(made: Object, seed: int) -> Dataset:
    """The data set of a film, compressed as its transfer syntax says."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SpecificCharacterSet = "ISO_IR 192" if made.visit.patient % 2 else "ISO_IR 100"
    _patient(dataset, made.visit, seed)
    _study(dataset, made.visit, made.number, seed)
    _equipment(dataset, made.visit)
    _acquisition(dataset, made)
    _comments(dataset, made)
    _pixels(dataset, made, seed)
    return dataset


def _latin(text: str, dataset: Dataset) -> str:
    # Latin-1 has no Czech letters
    return (
        text
        if dataset.SpecificCharacterSet == "ISO_IR 192"
        else text.encode("latin-1", "replace").decode("latin-1").replace("?", "r")
    )


def _person_name(text: str, dataset: Dataset) -> str:
    return _latin(text.replace(", ", "^"), dataset)


def _patient(dataset: Dataset, visit: Visit, seed: int) -> None:
    person = visit.person
    dataset.PatientName = _latin(person.dicom_name, dataset)
    dataset.PatientID = person.mrn
    dataset.PatientBirthDate = f"{person.born:%Y%m%d}"
    dataset.PatientSex = person.sex
    dataset.PatientAge = f"{int(visit.age):03d}Y"
    if visit.patient % 3 == 0:
        dataset.PatientAddress, dataset.PatientTelephoneNumbers = _latin(person.address, dataset), person.telephone
        dataset.OtherPatientIDs = f"X{person.mrn[::-1]}"
    if visit.patient % 4 == 1:
        dataset.PatientSize, dataset.PatientWeight = (
            round(1.72 * visit.body.scale, 2),
            round(74 * visit.body.scale**3 * visit.body.fat),
        )


def _study(dataset: Dataset, visit: Visit, number: int, seed: int) -> None:
    person, day, hour = visit.person, f"{visit.day:%Y%m%d}", f"{visit.hour:%H%M%S}"
    dataset.StudyInstanceUID = uid(seed, "study", visit.index)
    dataset.SeriesInstanceUID = uid(seed, "series", visit.index, number)
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = day
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = hour
    dataset.AccessionNumber = f"A{visit.index:07d}{visit.patient % 97:02d}"
    dataset.StudyID = f"{visit.index + 1}"
    dataset.ReferringPhysicianName = _person_name(person.referrer, dataset)
    dataset.NameOfPhysiciansReadingStudy = _person_name(person.reader, dataset)
    dataset.OperatorsName = _person_name(person.operator, dataset)
    dataset.StudyDescription = "XR CHEST"
    dataset.SeriesNumber, dataset.InstanceNumber = number, 1
    dataset.Modality = visit.scanner.modality


def _equipment(dataset: Dataset, visit: Visit) -> None:
    scanner, person = visit.scanner, visit.person
    dataset.Manufacturer, dataset.ManufacturerModelName = scanner.manufacturer, scanner.model
    dataset.SoftwareVersions = scanner.software
    dataset.InstitutionName = _latin(person.institution, dataset)
    dataset.InstitutionalDepartmentName = person.department
    dataset.StationName = f"XR{len(person.institution) % 7}ROOM{visit.patient % 3}"
    dataset.DeviceSerialNumber = f"{_serial(scanner.model)}-{visit.patient % 3}"


def _serial(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:3], "big")


def _acquisition(dataset: Dataset, made: Object) -> None:
    scanner, plan = made.visit.scanner, made.plan
    dataset.BodyPartExamined = "CHEST"
    dataset.SeriesDescription = _SERIES[plan.view] if scanner.view_in != "PatientOrientation" else "Thorax"
    if scanner.view_in == "PatientOrientation":
        dataset.ProtocolName = {"PA": "Thorax p.a.", "AP": "Thorax a.p. bedside", "LATERAL": "Thorax lat"}[plan.view]
    if scanner.view_in == "ViewPosition":
        dataset.ViewPosition = _POSITION[plan.view]
    elif scanner.modality == "CR":
        dataset.ViewPosition = ""
    dataset.PatientOrientation = _ORIENTATION[plan.view]
    dataset.KVP = 90 if plan.view == "AP" else 120
    dataset.ExposureTime, dataset.Exposure = 8 + made.number, 2 + made.visit.patient % 4
    spacing = plan.height * made.visit.body.scale * 10 / plan.rows
    dataset.ImagerPixelSpacing = [f"{spacing:.5f}"] * 2
    if scanner.modality == "CR":
        dataset.PlateID = f"P{made.visit.patient % 40:03d}"
        dataset.PixelSpacing = dataset.ImagerPixelSpacing
    else:
        _digital(dataset, made)


def _digital(dataset: Dataset, made: Object) -> None:
    """What DX asks for beyond CR."""
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.ImageLaterality = "U"
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = (
        "LOG",
        1 if made.coding.photometric == "MONOCHROME2" else -1,
    )
    dataset.DetectorType, dataset.DetectorConfiguration = "SCINTILLATOR", "AREA"
    dataset.DetectorDescription = "flat panel"
    dataset.PositionerType = "NONE"
    dataset.LossyImageCompression = "00"
    dataset.AcquisitionContextSequence = []
    view = _code(_VIEW_CODE[made.plan.view][0], "SCT", _VIEW_CODE[made.plan.view][1])
    view.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [view]
    dataset.AnatomicRegionSequence = [_code("43799004", "SCT", "Chest")]


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _comments(dataset: Dataset, made: Object) -> None:
    """Names where they do not belong: free text, nested sequences, private attributes."""
    from pydicom import Dataset

    person = made.visit.person
    if made.burned_said:
        dataset.BurnedInAnnotation = made.burned_said
    elif dataset.Modality == "DX":
        dataset.BurnedInAnnotation = "NO"
    request = Dataset()
    request.RequestedProcedureID = f"RP{made.visit.index:06d}"
    request.ScheduledProcedureStepID = f"SPS{made.visit.index:06d}"
    request.RequestingPhysician = _person_name(person.referrer, dataset)
    if made.visit.patient % 2:
        dataset.RequestAttributesSequence = [request]
    if made.comment == 1:
        dataset.ImageComments = _latin(f"{person.family} repeat, moved", dataset)
    elif made.comment == 2:
        dataset.AdditionalPatientHistory = _latin(
            f"as told by the daughter, Mrs {person.family}, {person.telephone}", dataset
        )
    elif made.comment == 3:
        block = dataset.private_block(0x0019, f"{made.visit.scanner.manufacturer} 1.0", create=True)
        block.add_new(0x10, "LO", _latin(f"{person.family} {person.given}", dataset)[:64])


def _pixels(dataset: Dataset, made: Object, seed: int) -> None:
    from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    coding, scanner = made.coding, made.visit.scanner
    sop_class = _CR if scanner.modality == "CR" else _DX
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID(sop_class), UID(uid(seed, "image", made.image_id))
    values = stored_values(made.film.values, coding, scanner)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, coding.photometric
    dataset.Rows, dataset.Columns = values.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = (
        16,
        coding.bits,
        coding.bits - 1,
        0,
    )
    describe(dataset, coding, scanner)
    if scanner.padding and any(made.plan.border):
        dataset.add_new("PixelPaddingValue", "US", int(values[0, 0]))
    is_implicit = made.syntax == "implicit"
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = (
        UID(sop_class),
        dataset.SOPInstanceUID,
    )
    dataset.add_new("PixelData", "OW", values.astype("<u2").tobytes())
    if made.syntax in ("rle", "jpegls", "jpeg2000"):
        dataset.compress(_SYNTAXES[made.syntax], encoding_plugin=_plugin(made.syntax), generate_instance_uid=False)


def _plugin(syntax: str) -> str:
    return {"rle": "pylibjpeg", "jpegls": "pyjpegls", "jpeg2000": "pylibjpeg"}[syntax]


def image_ref(made: Object, dataset: Dataset, path: str) -> ImageRef:
    """What a reading of the header gives."""
    return replace(describe_header(dataset, path), image_id=made.image_id)


def planted(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Every identifying value in a header: tag path, keyword and value."""
    yield from _planted(dataset, "")


def _planted(dataset: Dataset, above: str) -> Iterator[dict[str, Any]]:
    for element in dataset:
        path = f"{above}{element.tag:08X}"
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from _planted(item, f"{path}[{number}].")
        elif element.keyword in IDENTIFYING or (element.tag.is_private and not element.tag.is_private_creator):
            yield {"where": "header", "tag": path, "keyword": element.keyword, "value": str(element.value)}
