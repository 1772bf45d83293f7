"""Reports de-identified: what is a person's goes, what is medicine stays."""

from __future__ import annotations

import csv
import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.deid.identity import fold, from_json
from corpora.deid.text import find_spans, merged, redact
from corpora.store import read_studies

PERSONAL = """
Patient: <Żurawska, Mirela>  MRN: <00482913>  DOB: <14.02.1938>
Referring physician: Dr. <Torunn Ostvold>
Dictated by: <J. R. Hartigan>, MD
Electronically signed by <Beatrix Oyelaran>, M.D. on <03/14/2021> at 14:32
COMPARISON: Chest radiograph from <12 March 2020>.
Compared with <2021-03-14>, there is no change.
Findings were discussed with Dr. <Thibodeaux> by telephone at 3:45 PM on <May 3>.
Results called to <Quispe, Ana>, RN.
Please call <(212) 555-0187> with questions.
Tel. <+49 30 1234567>
Accession number: <RAD-2021-004512>
Transferred from <Northgate University Hospital> on <14-Mar-2021>.
The patient lives at <1420 Larkspur Lane>.
Wohnhaft <Lindenallee 12>, untersucht am <14. März 2021>.
<93>-year-old woman with dyspnea.
Pacemaker serial number <48213-B>.
History per daughter <Agnieszka>, who brought the patient.
Mr. <Hodgkin> has Hodgkin lymphoma.
Patient named <Hodgkin>.
Dr. <May> may represent him.
Mail <a.weber@example.org> or <https://portal.example.org/x>.
Case discussed with Drs. <Petrakis> and <Bell>.
<Kowalska> was informed.
Frau <Brigitte
Müller-Lüdenscheidt>, geb. <1.5.1941>
SSN <123-45-6789>
"""
CLINICAL = [
    "Hodgkin lymphoma, treated.", "Kerley B lines may represent edema.", "T12 compression, 3.2 x 4.1 cm, L1-L2.",
    "Swan-Ganz catheter tip in the main pulmonary artery.", "Bell's palsy.", "Ribs 4-6, ratio 1/2, grade 3/4.",
    "Small effusion, large heart, long-standing.", "Port-A-Cath, Dobhoff tube, Hickman catheter.", "Day 3 after surgery.",  # noqa: E501
    "Bochdalek hernia 12 mm.", "45-year-old man, 92 % saturation.", "COVID-19 pneumonia, ICD-10 J18.9.",
    "Compared with the prior study, no change at 14:30.", "Stable since 2019.", "Discussed with the ICU team.",
    "MR angiography of the chest; DR film.", "PA and lateral views; 120 kVp.", "Medtronic pacemaker, St. Jude valve.",
]  # fmt: skip


def marked(text: str) -> tuple[str, list[str]]:
    return re.sub(r"[<>]", "", text), re.findall(r"<([^>]*)>", text)


@pytest.mark.parametrize("line", PERSONAL.replace("\nMüller", " Müller").strip().splitlines())
def test_what_is_a_persons_goes(line):
    text, secrets = marked(line)
    left = redact(text, find_spans(text))
    assert [secret for secret in secrets if secret in left and secret not in ("Hodgkin", "May")] == []
    for span in find_spans(text):
        assert any(text[span.start : span.end] in secret or secret in text[span.start : span.end] for secret in secrets)


@pytest.mark.parametrize("sentence", CLINICAL)
def test_what_is_medicine_stays(sentence):
    assert find_spans(sentence) == []


def test_a_name_split_over_lines():
    text, _ = marked("Frau <Brigitte\nMüller-Lüdenscheidt> wurde untersucht.")
    assert redact(text, find_spans(text)) == "Frau [NAME] wurde untersucht."


@pytest.mark.parametrize(
    ("header", "text", "left"),
    [
        ("Müller^Jürgen", "Comparison for JURGEN MUELLER; J. Müller seen.", "Comparison for [NAME]; [NAME] seen."),
        ("O'Shea^Ríona", "o'shea was here, Riona too", "[NAME] was here, [NAME] too"),
        ("Hodgkin^Thomas", "Hodgkin lymphoma. Thomas Hodgkin came.", "Hodgkin lymphoma. [NAME] came."),
        ("Small^Ann", "Small effusion. Mrs. Small waited.", "Small effusion. Mrs. [NAME] waited."),
        ("Kowalski^Jan", "Seen by Kowal-\nski today.", "Seen by [NAME] today."),
    ],
)
def test_names_of_the_header_in_any_form(header, text, left):
    assert redact(text, find_spans(text, from_json({"PatientName": header}))) == left


def test_ids_of_the_header_however_they_are_written():
    known = from_json({"PatientID": "AB-77 31", "AccessionNumber": "X9"})
    assert redact("no ab7731 or AB 77-31.", find_spans("no ab7731 or AB 77-31.", known)) == "no [ID] or [ID]."


@given(st.text(max_size=200))
def test_any_text_has_ordered_spans_within_it(text):
    spans = find_spans(text)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(first.end <= second.start for first, second in itertools.pairwise(spans))
    assert merged(spans, text) == spans
    assert len(fold(text)) == len(text)


def table(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_table_comes_out_with_its_columns_and_the_spans(tmp_path, key, radloop):
    header = json.dumps({"PatientName": "Quispe^Ana", "PatientID": "7731902", "StudyDate": "20210314"})
    report = "Ana Quispe, 7731902. No effusion. May represent scar.\nSigned: Dr. Ostvold 3/14/2021"
    source = table(tmp_path / "r.csv", [{"study_id": "s1", "report": report, "header": header, "split": "train"}])
    out = tmp_path / "out.csv"
    assert radloop("corpus", "deidentify", source, "-o", out, "--key-file", key).code == 0
    with out.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == ["study_id", "report", "header", "split", "spans"]
    assert row["report"] == "[NAME], [ID]. No effusion. May represent scar.\nSigned: Dr. [NAME] [DATE]"
    assert [report[start:end] for start, end, _ in json.loads(row["spans"])] == [
        "Ana Quispe",
        "7731902",
        "Ostvold",
        "3/14/2021",
    ]
    assert (row["study_id"], row["header"], row["split"]) == ("s1", "", "train")


def test_tables_of_other_kinds_and_columns_that_tell(tmp_path, key, radloop):
    item = {"study_id": "RAD-2021-004512", "findings": "Dr. Ostvold.", "impression": "Clear.", "patient_name": "Quispe^Ana",  # noqa: E501
            "patient_id": "99", "accession_number": "RAD-2021-004512", "age": 94}  # fmt: skip
    (tmp_path / "r.jsonl").write_text(json.dumps(item) + "\nno json\n")
    for end in ("jsonl", "parquet"):
        out = tmp_path / f"out.{end}"
        assert (
            radloop(
                "corpus", "deidentify", tmp_path / "r.jsonl", "-o", out, "--key-file", key, "--max-failures", 1
            ).code
            == 0
        )
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert row["findings"] == "Dr. [NAME]." and row["spans"] == {"findings": [[4, 11, "NAME"]], "impression": []}
    assert row["age"] == 90 and "Quispe" not in json.dumps(row) and "004512" not in json.dumps(row)
    assert row["study_id"] == row["accession_number"]
    import pyarrow.parquet as pq

    assert pq.read_table(tmp_path / "out.parquet").to_pylist()[0]["findings"] == "Dr. [NAME]."


def test_surrogates_are_alike_and_not_the_same(tmp_path, key, radloop):
    rows = [{"study_id": n, "report": f"Dr. Ostvold on 03/{n}/2021, MRN 7731902, (212) 555-0187."} for n in (14, 15)]
    out = tmp_path / "out.csv"
    assert (
        radloop(
            "corpus", "deidentify", table(tmp_path / "r.csv", rows), "-o", out, "--key-file", key, "--surrogates"
        ).code
        == 0
    )
    with out.open(newline="") as file:
        first, second = (row["report"] for row in csv.DictReader(file))
    assert not re.search(r"Ostvold|7731902|555-0187|\[", first + second)
    assert first[:8] == second[:8] and re.search(r"\d\d/\d\d/\d{4}", first)


def test_a_corpus_stays_one(tmp_path, key, phantoms, radloop):
    out = tmp_path / "out"
    assert radloop("corpus", "deidentify", phantoms, "-o", out, "--key-file", key, "--preset", "pedicxr").code == 0
    before, after = list(read_studies(phantoms)), list(read_studies(out))
    assert len(before) == len(after)
    planted = [json.loads(line) for line in (phantoms / "truth" / "phi.jsonl").read_text().splitlines()]
    texts = {study.study_id: new for study, new in zip(before, after, strict=True)}
    for line in planted:
        if line["where"] == "report":
            bare = re.sub(r"^(Mr|Mrs|Ms|Dr|Herr|Frau)\.? ", "", line["value"])
            assert bare not in texts[line["study_id"]].report.text
    for old, new in zip(before, after, strict=True):
        assert new.study_id != old.study_id and len(new.images) == len(old.images)
        assert [section.name for section in new.report.sections] == [section.name for section in old.report.sections]
        for section in new.report.sections:
            assert 0 <= section.start <= section.end <= len(new.report.text)
        assert all((out / image.path).is_file() and image.identity_removed for image in new.images)
        assert new.meta.get("labels") == old.meta.get("labels") and "year" not in new.meta
    assert json.loads((out / "manifest.json").read_text())["aggregates"]["years"]


@pytest.mark.slow
def test_labels_of_real_reports_stay(tmp_path, key, radloop, shared):
    source = shared / "data" / "openi" / "NLMCXR_reports.tgz"
    assert radloop("corpus", "deidentify", source, "-o", tmp_path / "clean.csv", "--key-file", key).code == 0
    for name, given_ in (("before", source), ("after", tmp_path / "clean.csv")):
        assert radloop("label", "run", given_, "-o", tmp_path / f"{name}.csv").code == 0
    assert (tmp_path / "before.csv").read_bytes() == (tmp_path / "after.csv").read_bytes()
    with (tmp_path / "clean.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    touched = sum(len(json.loads(row["spans"])) for row in rows)
    assert len(rows) == 3955 and touched < 0.002 * sum(len(row["report"].split()) for row in rows)
