"""What is left in a DICOM file: in its header at any depth, file meta, preamble, and between and after all that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom._uid_dict import UID_dictionary

from corpora.scan.terms import DESCRIPTIONS, TECHNICAL, elements, headers_of, texts_of
from corpora.scan.texts import look_for_patterns, look_for_terms
from corpora.scan.types import Leak, Terms, plain

_MADE_UP: Final = re.compile(r"[A-Z][A-Z2-7]{15}")
_DUMMIES: Final = frozenset(
    {"", "REMOVED", "ANONYMOUS", "ANONYMIZED", "19000101", "19000101000000", "000000", "000Y", "0", "urn:removed"}
)
_IDENTIFYING: Final = re.compile(
    r"^(?:Patient(?:Name|ID|Address|BirthName|MotherBirthName|TelephoneNumbers|BirthDate|BirthTime|Comments|ReligiousPreference|InsurancePlan\w*)"
    r"|OtherPatient\w+|\w*Physician\w*|\w*OperatorsName|Institution(?:Name|Address|alDepartmentName)|AccessionNumber|StudyID|StationName"
    r"|DeviceSerialNumber|MedicalRecordLocator|AdmissionID|RequestedProcedureID|ScheduledProcedureStepID|PerformedProcedureStepID"
    r"|AdditionalPatientHistory|ImageComments|StudyComments|PersonName|RequestingService|CurrentPatientLocation|PlateID|CassetteID|DetectorID"
    r"|SourceApplicationEntityTitle|SendingApplicationEntityTitle|ReceivingApplicationEntityTitle|PrivateInformation\w*)$"
)
_DEVICE: Final = frozenset({"StationName", "DeviceSerialNumber", "PlateID", "CassetteID", "DetectorID"})
#: Free text, which is there when it was cleaned.
_COMMENTS: Final = frozenset({"ImageComments", "StudyComments", "PatientComments", "AdditionalPatientHistory"})
_TEXTS: Final = frozenset({"LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE"})
_TOKEN: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.^/-]{4,63}")
_PIXELS: Final = ("7FE00008", "7FE00009", "7FE00010")
_FULL_DATES, _MOVED, _PATIENT, _DEVICES, _UIDS, _PRIVATE = "113106", "113107", "113108", "113109", "113110", "113111"
_GRAPHICS, _DESCRIPTORS, _INSTITUTION = "113103", "113105", "113112"
_BLOCK: Final = 1 << 22


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its mark."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def scan_film(path: Path, name: str, terms: Terms, own: dict[str, str] | None = None) -> Iterator[Leak]:
    """What is left in a file; ``own`` are the values of its source by tag, if that is known."""
    dataset = headers_of(path)
    if dataset is None:
        yield Leak(name, "file", "not removed", "the file cannot be read, so nobody knows what is in it")
        return
    codes = _codes(dataset)
    study = str(dataset.get("StudyInstanceUID", "")) or None
    found = list(_preamble(dataset)) + list(_marks(dataset))
    meta = getattr(dataset, "file_meta", None) or pydicom.Dataset()
    for place, element in [*elements(meta), *elements(dataset)]:
        found += _element(place, element, codes, terms, own or {})
    found += _bytes(path, terms, codes)
    found += _after_pixels(path)
    for where, kind, what in dict.fromkeys(found):
        yield Leak(name, where, kind, what, study)


Found = tuple[str, str, str]


def _codes(dataset: pydicom.Dataset) -> frozenset[str]:
    try:
        return frozenset(str(item.CodeValue) for item in dataset.get("DeidentificationMethodCodeSequence") or ())
    except Exception:  # a broken sequence raises anything
        return frozenset()


def _preamble(dataset: pydicom.Dataset) -> Iterator[Found]:
    if any(getattr(dataset, "preamble", None) or b""):
        yield "preamble", "not removed", "the preamble is not empty"


def _marks(dataset: pydicom.Dataset) -> Iterator[Found]:
    if str(dataset.get("PatientIdentityRemoved", "")) != "YES":
        yield "00120062", "not removed", "the header does not say that the identity was removed"


def _element(place: str, element: Any, codes: frozenset[str], terms: Terms, own: dict[str, str]) -> Iterator[Found]:
    tag, keyword = int(place[-8:], 16), getattr(element, "keyword", "") or ""
    group, values = tag >> 16, texts_of(element)
    if group & 1 and _PRIVATE not in codes:
        yield place, "not removed", "a private attribute"
    if group & 0xFF00 in (0x5000, 0x6000) and _GRAPHICS not in codes:
        yield place, "not removed", "a curve or an overlay"
    if tag in (0x00020016, 0x00020100, 0x00020102, 0xFFFCFFFC, 0x04000561, 0x00880200, 0xFFFAFFFA):
        yield place, "not removed", keyword or "an attribute that must not be there"
    for value in values:
        if value in _DUMMIES or keyword in TECHNICAL or keyword.endswith(("TableData", "LUTData")):
            continue
        yield from (
            (place, kind, what) for kind, what in _value(place, keyword, str(element.VR), value, codes, terms, own)
        )


def _value(
    place: str, keyword: str, kind: str, value: str, codes: frozenset[str], terms: Terms, own: dict[str, str]
) -> Iterator[tuple[str, str]]:
    made_up = bool(_MADE_UP.fullmatch(value))
    if kind == "PN" and not made_up:
        yield "not removed", f"{keyword or 'a name'}"
    elif kind in ("DA", "DT"):
        yield from _date(place, keyword, value, codes, own)
        return
    elif kind == "TM":
        if not codes & {_FULL_DATES, _MOVED} and own.get(place) == plain(value):
            yield "source value", f"{keyword}"
        return
    elif kind == "UI":
        if value not in UID_dictionary and not value.startswith("2.25.") and _UIDS not in codes:
            yield "not removed", f"{keyword}, a UID of the source"
        if _UIDS not in codes and plain(value) in terms.values:
            yield "source value", f"{keyword}"
        return
    elif kind == "AS":
        years = re.fullmatch(r"(\d{3})Y", value)
        if _PATIENT not in codes or (years and int(years[1]) > 90):
            yield "not removed", f"{keyword}"
        return
    elif _IDENTIFYING.match(keyword) and not made_up and not _kept(keyword, codes):
        yield "not removed", f"{keyword}"
    if made_up:
        return
    if not _kept(keyword, codes) or keyword in _COMMENTS:
        for what in look_for_terms(value, terms, running=False):
            yield "source value", f"{what} in {keyword or 'an attribute'}"
    if kind in _TEXTS and own.get(place) == plain(value) and _DESCRIPTORS not in codes and DESCRIPTIONS.search(keyword):
        yield "source value", f"{keyword}"
    if kind in _TEXTS:
        for what in look_for_patterns(value):
            yield "pattern", f"{what} in {keyword or 'an attribute'}"


def _date(
    place: str, keyword: str, value: str, codes: frozenset[str], own: dict[str, str]
) -> Iterator[tuple[str, str]]:
    if _FULL_DATES in codes and keyword != "PatientBirthDate":
        return
    if _MOVED in codes and keyword != "PatientBirthDate":
        if own.get(place) == plain(value):
            yield "source value", f"{keyword} has not moved"
        return
    yield "not removed", f"{keyword or 'a date'}"


def _kept(keyword: str, codes: frozenset[str]) -> bool:
    if _DESCRIPTORS in codes and keyword in _COMMENTS:
        return True
    return (keyword in _DEVICE and _DEVICES in codes) or (keyword.startswith("Institution") and _INSTITUTION in codes)


def _bytes(path: Path, terms: Terms, codes: frozenset[str]) -> Iterator[Found]:
    """Every run of letters and digits in the file, wherever it lies: what no attribute owns has nowhere to hide."""
    if not terms.values and not terms.names:
        return
    dates = set() if codes & {_FULL_DATES, _MOVED} else terms.dates
    with path.open("rb") as file:
        tail = b""
        while block := file.read(_BLOCK):
            for match in _TOKEN.finditer(tail + block):
                token = match[0].decode("ascii").lower()
                if len(token) < 6 and not re.search(r"\d", token):
                    continue
                # compressed pixels have short words by chance
                known = (
                    token in terms.values
                    or token in terms.words
                    or token in dates
                    or (token in terms.names and len(token) > 6)
                )
                if known and not (_UIDS in codes and token.count(".") > 3) and len(token) > 5:
                    yield "bytes", "source value", "in the bytes of the file"
                    return
            tail = block[-64:]


def _after_pixels(path: Path) -> Iterator[Found]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path, force=True)
            tags = [f"{int(tag):08X}" for tag in list(dataset.keys())]
        except Exception:  # a broken file raises anything
            return
    for tag in tags:
        if tag > "7FE00010":
            yield tag, "not removed", "an attribute after the pixels"
    pixels = dataset.get_item("PixelData") if "PixelData" in dataset else None
    if pixels is None or not dataset.get("Rows") or (meta := getattr(dataset, "file_meta", None)) is None:
        return
    uid = meta.get("TransferSyntaxUID")
    if uid is not None and not uid.is_compressed and isinstance(pixels.value, bytes):
        size = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("BitsAllocated", 16)) // 8
        size *= int(dataset.get("SamplesPerPixel", 1) or 1) * int(dataset.get("NumberOfFrames", 1) or 1)
        if len(pixels.value) > size + 1:
            yield "7FE00010", "not removed", "bytes after the last row of the pixels"
