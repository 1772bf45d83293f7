"""The values of source headers that must not be left: everything that a person, a place or a device could be told by."""  # noqa: E501

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom._uid_dict import UID_dictionary

from corpora.scan.types import WORD, Terms, plain

#: Attributes whose values say how a film was made, and may stay.
TECHNICAL: Final = frozenset(
    "Manufacturer ManufacturerModelName SoftwareVersions Modality BodyPartExamined ViewPosition PatientOrientation"
    " SpecificCharacterSet CodeValue CodeMeaning CodingSchemeDesignator CodingSchemeVersion RescaleType ModalityLUTType"
    " PhotometricInterpretation ImageType TransferSyntaxUID SOPClassUID MediaStorageSOPClassUID ReferencedSOPClassUID"
    " ConvolutionKernel SequenceName ReceiveCoilName VOILUTFunction DeidentificationMethod ImplementationVersionName"
    " ImplementationClassUID PatientSex PatientIdentityRemoved LossyImageCompressionMethod"
    " CodingSchemeUID MappingResource"
    " ContextUID MappingResourceUID WindowCenterWidthExplanation Sensitivity GridThickness".split()
)
#: Descriptions: what they say may stay where they were cleaned, so only the whole value counts.
DESCRIPTIONS: Final = re.compile(r"Description|ProtocolName|Comments|Explanation|Reason|History|ProcedureCode|Label")
_TEXTS: Final = frozenset({"LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE", "PN"})
_BYTES: Final = frozenset({"OB", "OW", "UN"})
_PLAIN: Final = frozenset(
    "chest patient doctor radiology hospital general university department medical center centre clinic unknown none"
    " anonymous removed thorax room street road lane avenue saint north south east west diagnostic imaging emergency"
    " dicom system systems society clinical imported export digital service services center group"
    " portable exam study lateral normal test image images view with from the and for not dept institute health"
    " klinikum mobile main unit philips siemens agfa fuji canon kodak carestream konica system film left right".split()
)


def headers_of(path: Path) -> pydicom.Dataset | None:
    """The data set of a file without its pixels; None if it is no DICOM."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        except Exception:  # a broken file raises anything
            return None
    return dataset if len(dataset) else None


def elements(dataset: pydicom.Dataset, above: str = "", deepest: int = 60) -> Iterator[tuple[str, Any]]:
    """Every element, nested ones too, with its path; those that cannot be converted as raw ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for tag in list(dataset.keys()):
            path = f"{above}{int(tag):08X}"
            try:
                element = dataset[tag]
            except Exception:  # as in ``headers_of``
                yield path, dataset.get_item(tag)
                continue
            yield path, element
            if element.VR == "SQ" and deepest and not isinstance(element.value, bytes):
                for number, item in enumerate(element.value or ()):
                    yield from elements(item, f"{path}[{number}].", deepest - 1)


def texts_of(element: Any) -> list[str]:
    """The values of an element as texts; bytes that can be read as text, too."""
    value = getattr(element, "value", None)
    if isinstance(value, bytes):
        if len(value) > 4096:
            return []
        found = re.findall(rb"[\x20-\x7e]{4,}", value)
        return [each.decode("ascii") for each in found]
    if value is None or element.VR == "SQ":
        return []
    several = value if isinstance(value, list | pydicom.multival.MultiValue) else [value]
    return [text for text in (str(each).replace("\0", "").strip() for each in several) if text]


def add_film(terms: Terms, path: Path) -> None:
    """Add what the header of a source film says."""
    dataset = headers_of(path)
    if dataset is None:
        return
    uid = str(dataset.get("SOPInstanceUID", "") or path)
    own = terms.films.setdefault(uid, {})
    meta = getattr(dataset, "file_meta", None) or pydicom.Dataset()
    every = [*elements(meta), *elements(dataset)]
    technical = {
        word for _, element in every if getattr(element, "keyword", "") in TECHNICAL
        for text in texts_of(element) for word in WORD.findall(plain(text))
    }  # fmt: skip
    for place, element in every:
        keyword = getattr(element, "keyword", "") or ""
        if keyword in TECHNICAL or (keyword.endswith("TableData") or keyword == "LUTData"):
            continue
        for text in texts_of(element):
            _add(terms, own, place, keyword, str(element.VR), text)
    terms.names -= technical
    preamble = getattr(dataset, "preamble", None) or b""
    for found in re.findall(rb"[\x20-\x7e]{6,}", preamble):
        terms.values.add(plain(found.decode("ascii")))


def _add(terms: Terms, own: dict[str, str], place: str, keyword: str, kind: str, text: str) -> None:
    value = plain(text)
    own[place] = value
    if kind in ("DA", "DT") or (kind == "TM" and len(value) > 8):
        if len(value) >= 8 and not value.startswith(("00010101", "19000101")):
            terms.dates.add(value)
        return
    if kind == "UI":
        if value not in UID_dictionary and len(value) > 6:
            terms.values.add(value)
        return
    if (kind == "CS" and not re.search(r"\d{4}", value)) or kind not in _TEXTS | _BYTES | {"CS"}:
        return
    if len(value) < 4 or value in _PLAIN:
        return
    if DESCRIPTIONS.search(keyword) and not re.search(r"\d{4}", value):
        return
    if not re.fullmatch(r"[\d.,]{1,5}", value):
        terms.values.add(value)
    words = [word for word in WORD.findall(value) if word not in _PLAIN and (len(word) > 3 or kind == "PN")]
    if kind == "PN":
        terms.names.update(words)
    elif not DESCRIPTIONS.search(keyword):
        terms.words.update(word for word in words if re.search(r"\d{3}", word) and len(word) > 4)
        if re.search(r"Institution|Address|Hospital", keyword):
            terms.names.update(word for word in words if word.isalpha() and len(word) > 4)
