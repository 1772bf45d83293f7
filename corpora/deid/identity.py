"""Who a header speaks of: the names and ids in it, to be looked for in what is kept and in the report."""

# ruff: noqa: RUF001 - letters of other alphabets
from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

#: What the attributes of a header hold, by keyword: the category that a report's text is given for them.
CATEGORIES: Final = {
    "PatientName": "NAME", "OtherPatientNames": "NAME", "PatientBirthName": "NAME", "PatientMotherBirthName": "NAME",
    "ReferringPhysicianName": "NAME", "NameOfPhysiciansReadingStudy": "NAME", "PerformingPhysicianName": "NAME",
    "OperatorsName": "NAME", "PhysiciansOfRecord": "NAME", "RequestingPhysician": "NAME", "ResponsiblePerson": "NAME",
    "ConsultingPhysicianName": "NAME", "ScheduledPerformingPhysicianName": "NAME", "VerifyingObserverName": "NAME",
    "PersonName": "NAME", "ContentCreatorName": "NAME", "HumanPerformerName": "NAME", "EvaluatorName": "NAME",
    "ReviewerName": "NAME", "NamesOfIntendedRecipientsOfResults": "NAME", "OrderEnteredBy": "NAME",
    "PatientID": "ID", "OtherPatientIDs": "ID", "AccessionNumber": "ID", "StudyID": "ID", "AdmissionID": "ID",
    "IssuerOfPatientID": "ORG", "RequestedProcedureID": "ID", "ScheduledProcedureStepID": "ID",
    "PerformedProcedureStepID": "ID", "FillerOrderNumberImagingServiceRequest": "ID",
    "PlacerOrderNumberImagingServiceRequest": "ID", "MilitaryRank": "NAME", "MedicalRecordLocator": "ID",
    "PatientInsurancePlanCodeSequence": "ID",
    "InstitutionName": "ORG", "InstitutionAddress": "ADDRESS", "InstitutionalDepartmentName": "",
    "PatientAddress": "ADDRESS", "CountryOfResidence": "", "RegionOfResidence": "ADDRESS",
    "PatientTelephoneNumbers": "PHONE", "ReferringPhysicianTelephoneNumbers": "PHONE",
    "ReferringPhysicianAddress": "ADDRESS", "StationName": "DEVICE", "DeviceSerialNumber": "DEVICE",
    "DetectorID": "DEVICE", "PlateID": "DEVICE", "GantryID": "DEVICE", "CassetteID": "DEVICE", "DeviceUID": "ID",
    "PatientBirthDate": "DATE", "StudyDate": "DATE", "SeriesDate": "DATE", "AcquisitionDate": "DATE",
    "ContentDate": "DATE", "StudyInstanceUID": "ID", "SeriesInstanceUID": "ID", "SOPInstanceUID": "ID",
}  # fmt: skip
_NORMAL: Final = {re.sub("[^a-z]", "", name.lower()): name for name in CATEGORIES} | {
    "mrn": "PatientID", "accession": "AccessionNumber", "name": "PatientName", "dob": "PatientBirthDate",
    "birthdate": "PatientBirthDate", "dateofbirth": "PatientBirthDate", "institution": "InstitutionName",
    "hospital": "InstitutionName", "referringphysician": "ReferringPhysicianName", "operator": "OperatorsName",
    "physician": "ReferringPhysicianName", "radiologist": "NameOfPhysiciansReadingStudy", "phone": "PatientTelephoneNumbers",  # noqa: E501
    "telephone": "PatientTelephoneNumbers", "patientphone": "PatientTelephoneNumbers", "address": "PatientAddress",
    "patientsname": "PatientName", "patientsbirthdate": "PatientBirthDate", "operatorname": "OperatorsName",
    "referringphysiciansname": "ReferringPhysicianName", "performingphysiciansname": "PerformingPhysicianName",
}  # fmt: skip
_SPLIT: Final = re.compile(r"[\^=,;\s]+")
_DEEPEST: Final = 20


@dataclass(frozen=True, slots=True)
class Known:
    """One value of a header: its category, and the keyword it is under."""

    category: str
    keyword: str
    value: str


def fold(text: str) -> str:
    """Lower case, without diacritics; as many characters as before.

    >>> fold("Müller-Lüdenscheidt, ŁÓDŹ")
    'muller-ludenscheidt, lodz'
    """
    return text.lower() if text.isascii() else "".join(map(_fold_one, text))


def _fold_one(char: str) -> str:
    plain = _SPECIAL.get(char) or unicodedata.normalize("NFD", char)[0].lower()
    return plain[0] if plain else char


_SPECIAL: Final = {"ł": "l", "Ł": "l", "ø": "o", "Ø": "o", "đ": "d", "Đ": "d", "ı": "i", "ß": "s", "æ": "a", "Æ": "a",
                   "œ": "o", "Œ": "o", "þ": "t", "ð": "d"}  # fmt: skip


def from_json(cell: Any) -> list[Known]:
    """The values of a header that is given as JSON: by keyword, by tag, or as DICOM JSON (PS3.18 F).

    Anything that is no such object is an empty header.

    >>> from_json('{"PatientName": "Doe^Jane", "00100020": {"vr": "LO", "Value": ["7"]}}')[1].value
    '7'
    """
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return []
    return list(dict.fromkeys(_walk(cell, 0))) if isinstance(cell, Mapping) else []


def _walk(values: Mapping[str, Any], depth: int) -> Iterator[Known]:
    for name, value in values.items():
        keyword = keyword_of(str(name))
        for each in _texts(value, depth):
            if isinstance(each, Mapping):
                yield from _walk(each, depth + 1)
            elif each.strip():
                yield Known(CATEGORIES.get(keyword, "OTHER"), keyword, each.strip())


def _texts(value: Any, depth: int) -> Iterator[Any]:
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        inner = value.get("Value", value.get("value"))
        if inner is not None:
            yield from _texts(inner, depth + 1)
        elif any(name in value for name in ("Alphabetic", "Ideographic", "Phonetic")):
            yield from (str(part) for part in value.values() if part)
        else:
            yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each, depth + 1)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield from str(value).split("\\")


def keyword_of(name: str) -> str:
    """The keyword of an attribute that is named by keyword, tag or in words; what is none stays as it is.

    >>> keyword_of("(0010,0020)"), keyword_of("patient_name"), keyword_of("DOB"), keyword_of("split")
    ('PatientID', 'PatientName', 'PatientBirthDate', 'split')
    """
    digits = re.sub(r"[^0-9A-Fa-f]", "", name)
    if len(digits) == 8 and re.fullmatch(r"\(?[0-9A-Fa-f]{4},? ?[0-9A-Fa-f]{4}\)?", name.strip()):
        from pydicom.datadict import keyword_for_tag

        return keyword_for_tag(int(digits, 16)) or name
    return _NORMAL.get(re.sub("[^a-z]", "", name.lower()), name)


def words_of(known: Iterable[Known]) -> frozenset[str]:
    """The folded words and numbers of names, ids, places: what must not be in a value that is kept.

    Two letters and short numbers are left out: they would be found everywhere.
    """
    words: set[str] = set()
    for each in known:
        if each.category in ("", "OTHER"):
            continue
        text = fold(each.value)
        parts = [text, *_SPLIT.split(text), *re.split(r"[\^=,;\s\-./']+", text)]
        words.update(part for part in parts if len(part) >= (3 if any(map(str.isalpha, part)) else 4))
    return frozenset(words)


def tells(value: str, words: frozenset[str]) -> bool:
    """Whether a text has one of a header's names or ids in it.

    >>> tells("CHEST MILLERCLINIC", frozenset({"miller"}))
    True
    """
    folded = fold(value)
    return any(word in folded for word in words if len(word) >= 5) or is_a_name(value, words)


def is_a_name(value: str, words: frozenset[str]) -> bool:
    """Whether a text, or a word of it, is one of a header's names or ids."""
    folded = fold(value)
    return any(word in words for word in (folded, *folded.replace("_", " ").split()))
