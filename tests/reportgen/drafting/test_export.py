"""Drafts for other programs, and as pages."""

import base64
import json
import shutil
import subprocess

import pytest
from pydicom import dcmread

from reportgen.draft import draft
from reportgen.generate import Decoding
from tests.reportgen.drafting.conftest import read_records


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    from corpora.cli import run

    folder = tmp_path_factory.mktemp("phantom") / "corpus"
    assert run(["corpus", "phantom", "-o", str(folder), "-n", "3", "--size", "64", "--workers", "1"]) == 0
    return folder


@pytest.fixture(scope="module")
def table(drafter, phantom, tmp_path_factory):
    out = tmp_path_factory.mktemp("table") / "d.jsonl"
    draft(drafter, phantom, out, how=Decoding(24, sample=True, temperature=0.5), max_failures="100%")
    lines = read_records(out)
    # one with words for each section, so that no chance decides what is tested
    lines[0] |= {"findings": "Left <b>effusion</b>. *Small*.", "impression": "Effusion: µ > 1."}
    lines[0]["text"] = f"FINDINGS: {lines[0]['findings']}\n\nIMPRESSION: {lines[0]['impression']}"
    out.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return out


@pytest.mark.parametrize("kind", ["text", "markdown", "sr", "fhir"])
def test_each_format_marks_a_draft(radloop, table, tmp_path, kind):
    done = radloop("report", "export", table, "-o", tmp_path, "--format", kind, "--max-failures", "100%", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["written"] >= 1
    name = read_records(table)[0]["study_id"]
    path = next(tmp_path.glob(f"{name}.*"))
    text = dcmread(path).to_json() if kind == "sr" else path.read_text(encoding="utf-8")
    assert "Not for clinical use" in text
    assert "effusion" in text or kind == "fhir"


def test_a_structured_report_refers_to_its_film(radloop, table, tmp_path):
    assert radloop("report", "export", table, "-o", tmp_path, "--format", "sr", "--max-failures", "100%").code == 0
    record = read_records(table)[0]
    film, found = dcmread(record["films"][0]), dcmread(tmp_path / f"{record['study_id']}.dcm")
    assert found.StudyInstanceUID == film.StudyInstanceUID
    assert found.PatientID == film.PatientID
    assert (found.CompletionFlag, found.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    series = found.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID
    texts = [item.ContentSequence[0].get("TextValue") for item in found.ContentSequence if "ContentSequence" in item]
    assert "Effusion: µ > 1." in texts


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
def test_dciodvfy_finds_no_fault(radloop, table, tmp_path):
    assert radloop("report", "export", table, "-o", tmp_path, "--format", "sr", "--max-failures", "100%").code == 0
    for path in tmp_path.glob("*.dcm"):
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in said.stdout + said.stderr, said.stderr


def test_fhir_is_preliminary_and_holds_the_text(radloop, table, tmp_path):
    assert radloop("report", "export", table, "-o", tmp_path, "--format", "fhir", "--max-failures", "100%").code == 0
    record = read_records(table)[0]
    found = json.loads((tmp_path / f"{record['study_id']}.json").read_text(encoding="utf-8"))
    assert (found["resourceType"], found["status"]) == ("DiagnosticReport", "preliminary")
    assert record["text"] in base64.b64decode(found["presentedForm"][0]["data"]).decode()
    assert "<b>" not in found["text"]["div"]


def test_films_that_are_not_dicom_give_no_structured_report(radloop, drafter, films, tmp_path):
    draft(drafter, films, tmp_path / "d.jsonl", part="test", how=Decoding(24, sample=True), max_failures="100%")
    done = radloop("report", "export", tmp_path / "d.jsonl", "-o", tmp_path / "sr", "--format", "sr")
    assert done.code == 1
    codes = {reject["code"] for reject in read_records(tmp_path / "sr" / "failures.jsonl")}
    assert "report.no_dicom" in codes


def test_names_of_files_are_safe_and_not_given_twice(radloop, table, tmp_path):
    line = read_records(table)[0]
    ids = ["../../x", "a/b", "a_b", "", "."][:3]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(line | {"study_id": name}) + "\n" for name in ids))
    assert radloop("report", "export", path, "-o", tmp_path / "out").code == 0
    names = sorted(p.name for p in (tmp_path / "out").glob("*.txt"))
    assert names == ["a_b-2.txt", "a_b.txt", "x.txt"]


@pytest.mark.parametrize(
    "content", ["{", "[]\n", '{"text": "x"}\n', '{"status": "final", "text": "x", "study_id": "s"}']
)
def test_what_is_no_table_of_drafts(radloop, tmp_path, content):
    (tmp_path / "d.jsonl").write_text(content)
    done = radloop("report", "export", tmp_path / "d.jsonl", "-o", tmp_path / "out")
    assert done.code == 2
    assert "report.drafts" in done.err
    assert radloop("report", "export", tmp_path / "none.jsonl", "-o", tmp_path / "out").code == 2
    assert radloop("report", "export", tmp_path / "d.jsonl", "-o", tmp_path / "o", "--format", "pdf").code == 2


def test_pages_show_film_draft_reference_and_maps(radloop, table, tmp_path):
    done = radloop("report", "view", table, "-o", tmp_path / "site", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["pages"] == len(read_records(table))
    page = (tmp_path / "site" / "0001.html").read_text(encoding="utf-8")
    assert "Not for clinical use" in page
    assert "data:image/png;base64," in page
    assert "Reference" in page
    # a text is text, never mark-up
    assert "<b>effusion" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "0001.html" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
