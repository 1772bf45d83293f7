"""The second look: whatever is put back into an output is found, wherever it lies."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pydicom
import pytest

from tests.corpora.deid.conftest import film, save

pytest_plugins: list[str] = []


@pytest.fixture
def key(tmp_path, radloop):
    path = tmp_path / "site.key"
    radloop("corpus", "key", path)
    return path


@pytest.fixture
def cleaned(tmp_path, key, radloop):
    source = save(film(), tmp_path / "src" / "a.dcm").parent
    out = tmp_path / "out"
    assert radloop("corpus", "deidentify", source, "-o", out, "--key-file", key).code == 0
    return next(out.rglob("*.dcm"))


def scanned(radloop, tmp_path, key, *more):
    return radloop("corpus", "scan", tmp_path / "out", "--key-file", key, "--source", tmp_path / "src", "--json",
                   "--no-pixels", *more)  # fmt: skip


def test_remover_and_scanner_are_strangers(home):
    for one, other in (("deid", "scan"), ("scan", "deid")):
        for path in (home / "corpora" / one).glob("*.py"):
            names = [
                name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else
                             [alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
            ]  # fmt: skip
            assert not [name for name in names if name.startswith(f"corpora.{other}")], path


def test_a_clean_output_passes(tmp_path, key, cleaned, radloop):
    outcome = scanned(radloop, tmp_path, key)
    assert outcome.code == 0, outcome.out
    assert json.loads(outcome.out)["files"] == 1


def _set(keyword, value):
    return lambda dataset: setattr(dataset, keyword, value)


def _private(dataset):
    dataset.private_block(0x0029, "ACME", create=True).add_new(1, "LO", "anything")


def _nested(dataset):
    item = pydicom.Dataset()
    item.CodeMeaning, item.InstitutionName = "view", "Larkfield Hospital"
    dataset.ViewCodeSequence = [item]


def _trailing(dataset):
    dataset.PixelData += b"more than rows"


LEAKS = {
    "name": _set("PatientName", "Żurawska^Mirela"),
    "id": _set("PatientID", "ZQX7731902"),
    "id in a comment": _set("PatientComments", "see ZQX7731902"),
    "name in another attribute": _set("DetectorDescription", "plate of ZURAWSKA"),
    "birth date": _set("PatientBirthDate", "19380214"),
    "study date": _set("StudyDate", "20310517"),
    "date by itself": _set("AcquisitionDate", "20200101"),
    "uid": _set("StudyInstanceUID", "1.2.3.4"),
    "accession": _set("AccessionNumber", "ZQXA551"),
    "institution": _set("InstitutionName", "Larkfield Hospital"),
    "description": _set("StudyDescription", "XR CHEST PA, Żurawska"),
    "phone": _set("ImageComments", "call (212) 555-0187"),
    "age": _set("PatientAge", "093Y"),
    "private": _private,
    "nested": _nested,
    "overlay": lambda dataset: dataset.add_new(0x60003000, "OW", b"anything"),
    "padding": lambda dataset: dataset.add_new(0xFFFCFFFC, "OB", b"anything"),
    "after the pixels": _trailing,
    "preamble": lambda dataset: setattr(dataset, "preamble", b"ZQX7731902".ljust(128, b"\0")),
    "file meta": lambda dataset: setattr(dataset.file_meta, "SourceApplicationEntityTitle", "ZQXAE"),
    "not marked": lambda dataset: delattr(dataset, "PatientIdentityRemoved"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_every_leak_is_found_and_not_repeated(tmp_path, key, cleaned, radloop, name):
    dataset = pydicom.dcmread(cleaned)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    LEAKS[name](dataset)
    dataset.save_as(cleaned, enforce_file_format=True)
    outcome = scanned(radloop, tmp_path, key)
    assert outcome.code == 1
    assert json.loads(outcome.out)["findings"]
    assert "ZQX" not in outcome.out and "urawska" not in outcome.out.lower()


def test_names_of_files(tmp_path, key, cleaned, radloop):
    cleaned.rename(cleaned.with_name("Zurawska_19380214.dcm"))
    outcome = scanned(radloop, tmp_path, key)
    assert outcome.code == 1 and "file name" in outcome.out


@pytest.mark.parametrize(
    "left", ["Dr. Ostvold agrees.", "Seen on 3/14/2021.", "Call (212) 555-0187.", "MRN 7731902.", "a.b@example.org",
             "Signed by: Torunn Ostvold", "A 93-year-old woman."]
)  # fmt: skip
def test_reports(tmp_path, radloop, left):
    (tmp_path / "r.csv").write_text(f'study_id,report\ns1,"No effusion. {left}"\n')
    assert radloop("corpus", "scan", tmp_path / "r.csv").code == 1
    (tmp_path / "r.csv").write_text('study_id,report\ns1,"Dr. [NAME]: T12, 3.2 x 4 cm, Hodgkin lymphoma at 14:30."\n')
    assert radloop("corpus", "scan", tmp_path / "r.csv").code == 0


def test_the_check_reads_what_the_scan_writes(tmp_path, key, radloop):
    from corpora.phantom.command import phantom

    phantom(tmp_path / "src", 12, seed=9, size=64, workers=1)
    out, result, spec = tmp_path / "out", tmp_path / "scan.json", tmp_path / "spec.yaml"
    assert radloop("corpus", "deidentify", tmp_path / "src", "-o", out, "--key-file", key).code == 0
    outcome = scanned(radloop, tmp_path, key, "-o", result)
    assert outcome.code == 0, outcome.out
    spec.write_text(
        "name: t\ntitle: t\nsource: t\ncriteria:\n  leaks: {group: Privacy, asks: none left, check: scan, at_most: 0}\n"
    )
    checked = radloop("corpus", "check", out, "--spec", spec, "--scan", result, "--pixels", "none", "--json")
    assert checked.code == 0, checked.out
    path = next(out.rglob("*.dcm"))
    dataset = pydicom.dcmread(path)
    dataset.PatientName = "Left^Over"
    dataset.save_as(path)
    assert scanned(radloop, tmp_path, key, "-o", result).code == 1
    study = json.loads(result.read_text())["findings"][0]["study_id"]
    checked = radloop("corpus", "check", out, "--spec", spec, "--scan", result, "--pixels", "none", "--json")
    assert checked.code == 1 and study in checked.out


def test_half_cleaned_tokens_of_the_whole_table(tmp_path, key, radloop, shared):
    """Each planted token, put back as it was, is found."""
    from corpora.scan.films import scan_film
    from corpora.scan.run import terms_of

    source = shared / "data" / "dicom" / "planted_E1-1_all_attributes.dcm"
    terms = terms_of(source)
    found = {leak.where for leak in scan_film(source, "x", terms, next(iter(terms.films.values())))}
    assert len(found) > 600


def test_a_missing_source_is_an_error(tmp_path, radloop):
    assert radloop("corpus", "scan", tmp_path / "nothing").code == 2
    Path(tmp_path / "empty").mkdir()
    assert radloop("corpus", "scan", tmp_path / "empty").code == 2
