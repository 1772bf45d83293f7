"""Reports inside DICOM: Structured Reports, encapsulated CDA and text become reports with sections."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from corpora.importing import import_corpus

BASIC = "1.2.840.10008.5.1.4.1.1.88.11"
ENHANCED = "1.2.840.10008.5.1.4.1.1.88.22"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
CDA = "1.2.840.10008.5.1.4.1.1.104.2"


def code(value: str, meaning: str, scheme: str = "DCM") -> Any:
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def item(kind: str, concept: Any = None, relation: str = "CONTAINS", inner: Sequence[Any] = (), **tags: Any) -> Any:
    from pydicom import Dataset

    made = Dataset()
    made.RelationshipType, made.ValueType = relation, kind
    if concept is not None:
        made.ConceptNameCodeSequence = [concept]
    if inner:
        made.ContentSequence = list(inner)
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def text(value: str, concept: Any = None, **more: Any) -> Any:
    return item("TEXT", concept, TextValue=value, **more)


@pytest.fixture
def report(dicom):
    def write(path: Path, uid: str, content: Sequence[Any], kind: str = BASIC, **tags: Any) -> Path:
        given = {"ValueType": "CONTAINER", "ContentSequence": list(content), "Modality": "SR"} | tags
        return dicom(path, uid, pixels=False, kind=kind, **given)

    return write


def parts(study: Any) -> list[tuple[str, str]]:
    assert study.report is not None
    return [(one.name, study.report.text[one.start : one.end]) for one in study.report.sections]


def test_a_basic_text_report_joins_its_films_by_the_study(tmp_path, dicom, report, by_id):
    heart, lungs = (text(words, code("121071", "Finding")) for words in ("Heart size normal.", "Lungs clear."))
    content = [
        item("PNAME", code("121008", "Person Observer Name"), "HAS OBS CONTEXT", PersonName="Reader^Secret"),
        item("CONTAINER", code("121060", "History"), inner=[text("Cough.", code("121060", "History"))]),
        item("CONTAINER", code("121070", "Findings"), inner=[heart, lungs]),
        item("CONTAINER", code("121072", "Impressions"), inner=[text("No disease.", code("121073", "Impression"))]),
    ]  # fmt: skip
    dicom(tmp_path / "f" / "im.dcm", "1", StudyInstanceUID="1.9.1")
    report(tmp_path / "f" / "sr.dcm", "2", content, StudyInstanceUID="1.9.1")
    done = import_corpus(tmp_path / "f", tmp_path / "out")
    study = by_id(tmp_path / "out")["1.9.1"]
    assert len(study.images) == 1 and done.counts["reports"] == 1
    assert parts(study) == [
        ("history", "Cough."), ("findings", "Heart size normal.\nLungs clear."), ("impression", "No disease."),
    ]  # fmt: skip
    assert "Secret" not in study.report.text


def test_an_enhanced_report_says_what_is_measured_and_nests(tmp_path, report, by_id):
    measured = item("NUM", NumericValue="12", MeasurementUnitsCodeSequence=[code("mm", "millimeter", "UCUM")])
    size = item("NUM", code("M-02550", "Diameter", "SRT"), MeasuredValueSequence=[measured])
    nodule = text("Nodule.", code("121071", "Finding"), inner=[size])
    lung = item("CONTAINER", code("X1", "Right lung", "99X"), inner=[nodule])
    content = [
        item("CONTAINER", code("18782-3", "Study observation", "LN"), inner=[lung]),
        item("CODE", code("121077", "Conclusion"), ConceptCodeSequence=[code("R1", "Follow-up advised", "99X")]),
    ]  # fmt: skip
    report(tmp_path / "f" / "sr.dcm", "2", content, ENHANCED)
    import_corpus(tmp_path / "f", tmp_path / "out")
    study = by_id(tmp_path / "out")["1.2.9.2"]
    assert parts(study) == [
        ("findings", "Right lung:\nNodule.\nDiameter: 12 mm"), ("impression", "Follow-up advised"),
    ]  # fmt: skip


def test_of_several_reports_the_verified_and_latest_is_kept(tmp_path, report, by_id):
    for uid, flag, day in (
        ("1", "UNVERIFIED", "20240103"),
        ("2", "VERIFIED", "20240101"),
        ("3", "VERIFIED", "20240102"),
    ):
        report(
            tmp_path / "f" / f"{uid}.dcm", uid, [text(f"Report {uid}.", code("121071", "Finding"))],
            StudyInstanceUID="1.9", VerificationFlag=flag, CompletionFlag="COMPLETE", ContentDate=day,
        )  # fmt: skip
    done = import_corpus(tmp_path / "f", tmp_path / "out")
    assert parts(by_id(tmp_path / "out")["1.9"]) == [("findings", "Report 3.")]
    assert done.counts["later_reports"] == 2


def test_a_clinical_document_and_plain_text(tmp_path, dicom, by_id):
    document = (
        '<ClinicalDocument xmlns="urn:hl7-org:v3"><component><structuredBody><component><section>'
        '<code code="59776-5"/><title>Findings</title><text>Lungs <b>clear</b>.</text></section></component>'
        "<component><section><title>Impression</title><text>Normal.</text></section></component>"
        "</structuredBody></component></ClinicalDocument>"
    )
    dicom(tmp_path / "f" / "cda.dcm", "1", pixels=False, kind=CDA, EncapsulatedDocument=document.encode(),
          MIMETypeOfEncapsulatedDocument="text/XML")  # fmt: skip
    plain = "Eindruck: Ödem.\nFINDINGS: Oedema."
    dicom(tmp_path / "f" / "txt.dcm", "2", pixels=False, kind=CDA, EncapsulatedDocument=plain.encode("latin-1") + b"\0",
          MIMETypeOfEncapsulatedDocument="text/plain", SpecificCharacterSet="ISO_IR 100")  # fmt: skip
    import_corpus(tmp_path / "f", tmp_path / "out")
    found = by_id(tmp_path / "out")
    assert parts(found["1.2.9.1"]) == [("findings", "Lungs\nclear\n."), ("impression", "Normal.")]
    assert found["1.2.9.2"].report.text == plain


def test_what_holds_no_text_is_rejected_with_its_reason(tmp_path, dicom, report, png):
    png(tmp_path / "f" / "film.png", 1)
    report(tmp_path / "f" / "a-empty.dcm", "1", [item("CONTAINER", code("121070", "Findings"))])
    dicom(tmp_path / "f" / "b-pdf.dcm", "2", pixels=False, kind=PDF, EncapsulatedDocument=b"%PDF-1.4 ...",
          MIMETypeOfEncapsulatedDocument="application/pdf")  # fmt: skip
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><ClinicalDocument xmlns="urn:hl7-org:v3">&a;</ClinicalDocument>'
    dicom(tmp_path / "f" / "c-bomb.dcm", "3", pixels=False, kind=CDA, EncapsulatedDocument=bomb)
    dicom(tmp_path / "f" / "d-none.dcm", "4", pixels=False)
    done = import_corpus(tmp_path / "f", tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert [line["code"] for line in lines] == ["dicom.no_text", "dicom.pdf", "data.xml", "dicom.no_pixels"]
    assert done.counts["images"] == 1 and done.counts["rejected"] == 4
