"""Reports inside DICOM: the content tree of Structured Reports, encapsulated CDA and plain text.

A container or text whose concept is a section of a report (PS3.16 CID 7001, and the LOINC codes for the same) begins
that section; what stands below it belongs to it. Observers and other context are no part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from corpora.readers.options import Record
from corpora.readers.records import compose, make_study
from corpora.sections import heading_name
from corpora.types import Provenance, Reject

if TYPE_CHECKING:
    from pydicom import Dataset

#: Sections by the code of their concept, DICOM's and LOINC's.
SECTIONS: Final = {
    "121060": "history", "121062": "indication", "121109": "indication", "121110": "indication",
    "121064": "technique", "121065": "technique", "121066": "comparison", "121067": "comparison",
    "121068": "comparison", "121069": "comparison", "121070": "findings", "121071": "findings",
    "121072": "impression", "121073": "impression", "121074": "recommendation", "121075": "recommendation",
    "121076": "impression", "121077": "impression", "121078": "addendum", "121111": "impression",
    "11329-0": "history", "18785-6": "indication", "55115-0": "indication", "55111-9": "technique",
    "18834-2": "comparison", "59776-5": "findings", "18782-3": "findings", "19005-8": "impression",
    "18783-1": "recommendation", "55107-7": "addendum",
}  # fmt: skip
#: Basic Text, Enhanced, Comprehensive and Comprehensive 3D SR.
_NARRATIVE: Final = tuple(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in ("11", "22", "33", "34"))
_ENCAPSULATED: Final = "1.2.840.10008.5.1.4.1.1.104."
_PDF: Final = _ENCAPSULATED + "1"
_CONTEXT: Final = frozenset({"HAS OBS CONTEXT", "HAS ACQ CONTEXT", "HAS CONCEPT MOD", "SELECTED FROM"})
_DEEPEST: Final = 50
_CDA: Final = "{urn:hl7-org:v3}"

Part = tuple[str, str]


def is_report(dataset: Dataset) -> bool:
    """Whether an object of this kind is a report, or holds one."""
    kind = str(dataset.get("SOPClassUID", ""))
    return kind in _NARRATIVE or kind.startswith(_ENCAPSULATED) or "EncapsulatedDocument" in dataset


def read_report(dataset: Dataset, study_id: str, provenance: Provenance) -> Record:
    """The report in an object, with its sections.

    ``Reject``: ``dicom.pdf`` for an encapsulated PDF, ``dicom.no_text`` where there is none, ``data.xml``,
    ``data.encoding``, and as ``make_study``.
    """
    parts: Sequence[Part]
    if str(dataset.get("SOPClassUID", "")) in _NARRATIVE:
        parts = _merged(_tree(dataset))
    else:
        found = _encapsulated(dataset, provenance)
        if isinstance(found, Reject):
            return found
        if isinstance(found, str):
            return make_study(study_id, found, provenance) if found.strip() else _no_text(provenance)
        parts = found
    text, sections = compose(parts)
    return make_study(study_id, text, provenance, sections=sections) if text else _no_text(provenance)


def rank_of(dataset: Dataset) -> str:
    """Of several reports of a study, the one with the highest rank is kept: verified, complete, latest."""
    flags = (dataset.get("VerificationFlag") == "VERIFIED", dataset.get("CompletionFlag") == "COMPLETE")
    when = f"{dataset.get('ContentDate') or '':8}{dataset.get('ContentTime') or ''}"
    return "".join(str(int(flag)) for flag in flags) + when


def _no_text(provenance: Provenance) -> Reject:
    return Reject("dicom.no_text", "the report in it has no text", provenance)


def _tree(dataset: Dataset) -> Iterator[Part]:
    yield from _items(dataset, "body", 0)


def _items(parent: Dataset, section: str, depth: int) -> Iterator[Part]:
    for item in parent.get("ContentSequence") or ():
        if depth > _DEEPEST or item.get("RelationshipType") in _CONTEXT:
            continue
        code, meaning = _concept(item, "ConceptNameCodeSequence")
        named = SECTIONS.get(code) or heading_name(meaning)
        inside = named or section
        value = _value(item)
        if value:
            yield inside, value if named or not meaning else f"{meaning}: {value}"
        elif item.get("ValueType") == "CONTAINER" and named is None and meaning:
            yield inside, f"{meaning}:"
        yield from _items(item, inside, depth + 1)


def _concept(item: Dataset, name: str) -> tuple[str, str]:
    found = item.get(name)
    if not found:
        return "", ""
    return str(found[0].get("CodeValue") or ""), str(found[0].get("CodeMeaning") or "").strip()


def _value(item: Dataset) -> str:
    kind = item.get("ValueType")
    if kind == "TEXT":
        return str(item.get("TextValue") or "").strip()
    if kind == "CODE":
        return _concept(item, "ConceptCodeSequence")[1]
    if kind == "NUM":
        return _measured(item)
    return ""


def _measured(item: Dataset) -> str:
    found = item.get("MeasuredValueSequence")
    if not found:
        return ""
    code, meaning = _concept(found[0], "MeasurementUnitsCodeSequence")
    unit = code if code.isalpha() else meaning
    return f"{found[0].get('NumericValue', '')} {unit}".strip()


def _merged(parts: Iterator[Part]) -> list[Part]:
    """Parts of one section after the other as one, a line each."""
    merged: list[Part] = []
    for name, text in parts:
        text = text.replace("\r\n", "\n").strip("\0")
        if merged and merged[-1][0] == name:
            merged[-1] = (name, f"{merged[-1][1]}\n{text}")
        else:
            merged.append((name, text))
    # a container of which nothing came is a heading over nothing
    return [(name, text) for name, text in merged if not re.fullmatch(r"[^:\n]*:", text.strip())]


def _encapsulated(dataset: Dataset, provenance: Provenance) -> Sequence[Part] | str | Reject:
    kind = str(dataset.get("MIMETypeOfEncapsulatedDocument") or "").lower()
    data = bytes(dataset.get("EncapsulatedDocument") or b"")
    length = dataset.get("EncapsulatedDocumentLength")
    data = data[: int(length)] if length else data.rstrip(b"\0")
    if "pdf" in kind or data.startswith(b"%PDF") or dataset.get("SOPClassUID") == _PDF:
        return Reject(
            "dicom.pdf", "an encapsulated PDF is not read: take its text out, and name it as a table", provenance
        )
    if "xml" in kind or data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _clinical_document(data, provenance)
    if kind and not kind.startswith("text/"):
        return Reject("dicom.no_text", f"an encapsulated {kind[:60]} holds no text that is read", provenance)
    return _decoded(dataset, data, provenance)


def _decoded(dataset: Dataset, data: bytes, provenance: Provenance) -> str | Reject:
    from pydicom.charset import convert_encodings

    names = ["utf-8", *convert_encodings(dataset.get("SpecificCharacterSet") or "ISO_IR 6")]
    for name in names:
        try:
            return data.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
    return Reject("data.encoding", "the text in it is not UTF-8 nor in the character set it names", provenance)


def _clinical_document(data: bytes, provenance: Provenance) -> Sequence[Part] | Reject:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        return Reject("data.xml", "the document in it defines entities or has a document type", provenance)
    except (ParseError, ValueError, LookupError):
        return Reject("data.xml", "the document in it is not well-formed XML", provenance)
    parts = [part for section in root.iter(f"{_CDA}section") if (part := _cda_section(section)) is not None]
    return _merged(iter(parts))


def _cda_section(section: Any) -> Part | None:
    text = section.find(f"{_CDA}text")
    if text is None:
        return None
    code, title = section.find(f"{_CDA}code"), section.find(f"{_CDA}title")
    heading = "".join(title.itertext()).strip() if title is not None else ""
    named = SECTIONS.get(code.get("code", "") if code is not None else "") or heading_name(heading)
    body = "\n".join(line for line in (" ".join(part.split()) for part in text.itertext()) if line)
    return (named, body) if named else ("body", f"{heading}: {body}" if heading else body)
