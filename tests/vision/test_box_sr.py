"""Boxes as DICOM structured reports: what they say, in which letters, and what other programs find in them."""

import io
import json
import shutil
import subprocess
from datetime import datetime

import numpy as np
import pytest
from pydicom import dcmread

from tests.vision.conftest import write_dicom
from vision.box_sr import structured_report
from vision.detections import Detection, read_detections


def test_a_structured_report_says_what_is_where(dicom):
    boxes = [Detection("film", "Enlarged Cardiomediastinum", (1.5, 2.0, 10.0, 20.0), 0.75)]
    report = dcmread(io.BytesIO(structured_report(dicom, boxes, made_by="run")))
    film = dcmread(dicom)
    assert report.StudyInstanceUID == film.StudyInstanceUID and report.PatientID == "p1"
    assert report.SeriesInstanceUID != film.SeriesInstanceUID and report.VerificationFlag == "UNVERIFIED"
    group = report.ContentSequence[-1].ContentSequence[0]
    names = [item.ConceptNameCodeSequence[0].CodeMeaning for item in group.ContentSequence]
    assert names == [
        "Tracking Identifier", "Tracking Unique Identifier", "Finding", "Image Region", "Detection score"
    ]  # fmt: skip
    region = group.ContentSequence[3]
    assert list(region.GraphicData) == [1.5, 2, 10, 2, 10, 20, 1.5, 20, 1.5, 2]
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID
    assert float(group.ContentSequence[4].MeasuredValueSequence[0].NumericValue) == 0.75


def test_detect_writes_reports_of_dicom_films_and_goes_past_bad_ones(radloop, dicom, detector, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    dicom.replace(folder / "film.dcm")
    (folder / "bad.dcm").write_bytes((folder / "film.dcm").read_bytes()[:700])
    run = radloop("vision", "detect", detector.folder, folder, "--sr", "-o", tmp_path / "out", "--json")
    assert run.code == 1 and json.loads(run.out)["reports"] == 1, run.err
    assert json.loads(run.out)["rejected"] == 1 and (tmp_path / "out" / "sr" / "film.dcm").is_file()


def found_and_reported(radloop, detector, folder, out, *options):
    """What ``detect --sr`` wrote: the detections by film, and the reports by film."""
    run = radloop("vision", "detect", detector.folder, folder, "--sr", "--least", "0.05", "-o", out, *options)
    assert run.code == 0, run.err
    found = {}
    for each in read_detections(out).detections:
        found.setdefault(each.image_id, []).append(each)
    return found, {path.stem: dcmread(path) for path in (out / "sr").iterdir()}


def groups_of(report):
    """Label, corners and score of each measurement group."""
    rows = []
    for group in report.ContentSequence[-1].get("ContentSequence", ()):
        finding, region, score = group.ContentSequence[2:5]
        x, y, right, _, _, bottom = list(region.GraphicData)[:6]
        value = float(score.MeasuredValueSequence[0].NumericValue)
        rows.append((finding.ConceptCodeSequence[0].CodeMeaning, (x, y, right, bottom), value))
    return rows


def test_reports_have_the_pixels_of_the_film_whatever_its_polarity(radloop, detector, tmp_path):
    draw = np.random.default_rng(0)
    greys = draw.integers(200, 500, (400, 320)).astype("<u2")
    greys[100:180, 40:120] = 1000
    folder = tmp_path / "films"
    folder.mkdir()
    shape = {"Rows": 400, "Columns": 320, "BitsStored": 10, "HighBit": 9, "StudyInstanceUID": "1.2.3"}
    write_dicom(folder / "plain.dcm", **shape, PixelData=greys.tobytes())
    write_dicom(folder / "turned.dcm", **shape, PixelData=(1023 - greys).tobytes(),
                PhotometricInterpretation="MONOCHROME1")  # fmt: skip
    found, reports = found_and_reported(radloop, detector, folder, tmp_path / "out")
    assert [(each.label, each.corners) for each in found["plain"]] == [
        (each.label, pytest.approx(each.corners, abs=0.02)) for each in found["turned"]
    ]
    # one study, an instance and a series for each film
    assert {report.StudyInstanceUID for report in reports.values()} == {"1.2.3"}
    assert len({report.SOPInstanceUID for report in reports.values()}) == 2
    assert len({report.SeriesInstanceUID for report in reports.values()}) == 2
    for name, report in reports.items():
        film = dcmread(folder / f"{name}.dcm")
        evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
        assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID
        assert len(found[name]) == len(groups_of(report)) > 1
        for each, (label, corners, score) in zip(found[name], groups_of(report), strict=True):
            assert (label, score) == (each.label, each.score)
            assert corners == pytest.approx(each.corners, abs=1e-3)
    # the surest box of the left spot lies around it, in a film ten times as large as what the network sees
    x, y, right, bottom = next(each.corners for each in found["plain"] if each.label == "Left")
    assert 20 < x < 90 and 70 < right < 150 and 60 < y < 150 and 130 < bottom < 220


def test_letters_of_any_language_are_kept(tmp_path):
    film = write_dicom(tmp_path / "film.dcm", SpecificCharacterSet="ISO_IR 100", PatientName="M\u00fcller^J\u00f6rg")
    bare = write_dicom(tmp_path / "bare.dcm", PatientName=None, StudyInstanceUID="1.2.3")
    labels = ("\u00c9panchement pleural", "\u80ba\u708e", "Mass\\Nodule", "a" * 80)
    boxes = [Detection("film", label, (0.0, 0.0, 4.0, 4.0), 0.5) for label in labels]
    for path in (film, bare):
        report = dcmread(io.BytesIO(structured_report(path, boxes, made_by="L\u00e4ufer")))
        assert [label for label, _, _ in groups_of(report)] == [*labels[:2], "Mass/Nodule", "a" * 64]
        codes = [
            group.ContentSequence[2].ConceptCodeSequence[0].CodeValue
            for group in report.ContentSequence[-1].ContentSequence
        ]
        assert len(set(codes)) == 4 and all(code.isascii() and len(code) <= 16 for code in codes)
    assert dcmread(io.BytesIO(structured_report(film, boxes, made_by="x"))).PatientName == "M\u00fcller^J\u00f6rg"


def test_what_says_another_thing_is_another_instance(dicom):
    when = datetime(2026, 1, 2, 3, 4, 5)
    boxes = [Detection("film", "Mass", (1.0, 2.0, 10.0, 20.0), 0.75)]
    one = structured_report(dicom, boxes, made_by="run", digest="a", now=when)
    assert structured_report(dicom, boxes, made_by="run", digest="a", now=when) == one
    others = [
        structured_report(dicom, [], made_by="run", digest="a", now=when),
        structured_report(dicom, boxes, made_by="run", digest="b", now=when),
        structured_report(dicom, boxes, made_by="run", digest="a", now=when.replace(second=6)),
    ]
    assert len({dcmread(io.BytesIO(each)).SOPInstanceUID for each in (one, *others)}) == 4


def test_a_film_without_a_uid_has_boxes_but_no_report(radloop, detector, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    write_dicom(folder / "a.dcm")
    write_dicom(folder / "b.dcm", StudyInstanceUID=None)
    run = radloop("vision", "detect", detector.folder, folder, "--sr", "-o", tmp_path / "out", "--json",
                  "--max-failures", "1")  # fmt: skip
    assert run.code == 0 and "not be reported on" in run.err, run.err
    counts = json.loads(run.out)
    assert (counts["films"], counts["reports"], counts["rejected"]) == (2, 1, 1)
    assert "dicom.no_uid" in (tmp_path / "out" / "failures.jsonl").read_text()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (dicom3tools)")
def test_dciodvfy_finds_no_error(tmp_path):
    film = write_dicom(tmp_path / "film.dcm", PatientBirthDate="19700101", PatientSex="F", StudyDate="20200101",
                       StudyTime="120000", StudyID="1", AccessionNumber="a")  # fmt: skip
    labels = ("Enlarged Cardiomediastinum", "\u00c9panchement pleural", "Mass")
    boxes = [Detection("film", label, (1.5, 2.0, 10.0, 20.0), 0.75) for label in labels]
    for at, of in enumerate((boxes, boxes[:1], [])):
        path = tmp_path / f"{at}.dcm"
        path.write_bytes(structured_report(film, of, made_by="run"))
        said = subprocess.run(["dciodvfy", path], capture_output=True, check=False)
        lines = (said.stderr + said.stdout).decode("utf-8", "replace").splitlines()
        assert [line for line in lines if line.startswith("Error")] == [] and lines[0] == "ComprehensiveSR"
