"""A DICOM film that ends before its pixels do is told by its lengths, for every way in which pixels are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from corpora.importing import import_corpus
from corpora.importing.cutoff import is_cut_off

NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]


@pytest.fixture
def film(tmp_path, dicom):
    def write(syntax) -> Path:
        path = dicom(tmp_path / "f" / "a.dcm", "1")
        data = dcmread(path)
        data.file_meta.TransferSyntaxUID = syntax
        if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
            data.PixelData = encapsulate([bytes(range(200)), bytes(101)])
            data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
        data.decode()
        dcmwrite(path, data, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
        return path

    return write


@pytest.mark.parametrize("syntax", [*NATIVE, JPEG2000Lossless], ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("missing", [1, 2, 40])
def test_a_film_that_ends_too_early(film, syntax, missing):
    path = film(syntax)
    assert not is_cut_off(path)
    path.write_bytes(path.read_bytes()[:-missing])
    assert is_cut_off(path)


def test_fragments_without_the_mark_of_their_end_are_all_there(film):
    path = film(JPEG2000Lossless)
    path.write_bytes(path.read_bytes()[:-8])
    assert not is_cut_off(path)


def test_fragments_that_never_end_or_are_none(film, monkeypatch):
    from corpora.importing import cutoff

    monkeypatch.setattr(cutoff, "_MOST_FRAGMENTS", 99)
    path = film(JPEG2000Lossless)
    whole = path.read_bytes()
    at = whole.index(b"\xe0\x7f\x10\x00OB") + 12
    path.write_bytes(whole[:at] + b"\xfe\xff\x00\xe0\0\0\0\0" * 100 + b"\xfe\xff\xdd\xe0\0\0\0\0")
    assert is_cut_off(path)
    path.write_bytes(whole[:at] + b"rubbish!" * 9)
    assert is_cut_off(path)


def test_what_follows_the_pixels_does_not_matter_and_deflated_is_not_judged(film):
    path = film(ExplicitVRLittleEndian)
    data = dcmread(path)
    data.DataSetTrailingPadding = bytes(64)
    data.save_as(path)
    assert not is_cut_off(path)
    assert not is_cut_off(film(DeflatedExplicitVRLittleEndian))


def test_the_import_sets_it_aside(film, dicom, tmp_path):
    dicom(tmp_path / "f" / "whole.dcm", "2")
    path = film(ExplicitVRLittleEndian)
    path.write_bytes(path.read_bytes()[:-9])
    done = import_corpus(tmp_path / "f", tmp_path / "out")
    assert done.counts["images"] == 1
    lines = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
    assert [json.loads(line)["code"] for line in lines] == ["image.truncated"]


def test_real_films_are_whole(shared):
    films = sorted((shared / "data" / "dicom").glob("*.dcm"))
    if not films:
        pytest.skip("needs data/dicom")
    assert [path.name for path in films if is_cut_off(path)] == []
