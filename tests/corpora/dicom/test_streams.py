"""Code streams that say another thing than the header, end too early, or come to more than memory holds."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit

from corpora.dicom import read_header, read_image, streams
from corpora.errors import DataError

FILM = (np.add.outer(np.arange(48), np.arange(64)) * 2).astype(np.uint8)
REAL = {
    "JPEG": "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm",
    "JPEG extended": "RG2_JPLY_fixed.dcm",
    "JPEG lossless": "RG2_JPLL.dcm",
    "JPEG-LS": "RG2_JLSL.dcm",
    "JPEG 2000": "RG3_J2KR.dcm",
}
CLAIMS = 60_000


def code_of(path: Path, read=read_image) -> str:
    with pytest.raises(DataError) as caught:
        read(path)
    return caught.value.code


def stream(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(FILM).save(file, kind)
    return file.getvalue()


def encapsulated(path: Path, syntax: str, *fragments: bytes) -> Path:
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([part + b"\0" * (len(part) % 2) for part in fragments])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    return path


def larger(data: bytes) -> bytes:
    """The stream with the sizes in its header made those of a film that no memory holds."""
    claimed = bytearray(data)
    size_at = data.find(b"\xff\x4f\xff\x51")
    if size_at >= 0:
        for place in (8, 24):  # of the film, and of its tiles
            struct.pack_into(">II", claimed, size_at + place, CLAIMS, CLAIMS)
        return bytes(claimed)
    header = min(place for mark in (b"\xc0", b"\xc1", b"\xc3", b"\xf7") if (place := data.find(b"\xff" + mark)) > 0)
    struct.pack_into(">HH", claimed, header + 5, CLAIMS, CLAIMS)
    return bytes(claimed)


@pytest.mark.parametrize(("kind", "syntax"), [("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)])
def test_a_stream_that_claims_more_than_the_header_is_not_decoded(written, monkeypatch, kind, syntax):
    whole = encapsulated(written(FILM), syntax, stream(kind))
    assert read_image(whole).shape == FILM.shape
    monkeypatch.setattr("corpora.dicom.pixels.pixel_array", lambda *_, **__: pytest.fail("a decoder was let at it"))
    assert code_of(encapsulated(whole, syntax, larger(stream(kind)))) == "image.broken"


def test_a_stream_of_many_components_is_not_decoded(written):
    data = bytearray(stream("JPEG2000"))
    struct.pack_into(">H", data, data.find(b"\xff\x4f\xff\x51") + 40, 16_384)
    assert code_of(encapsulated(written(FILM), JPEG2000Lossless, bytes(data))) == "image.broken"


@pytest.mark.parametrize("share", [0.6, 0.9, 0.99])
def test_a_stream_that_is_cut_off_is_refused(written, share):
    data = stream("JPEG")
    assert code_of(encapsulated(written(FILM), JPEGBaseline8Bit, data[: int(share * len(data))])) == "image.truncated"


@pytest.mark.parametrize("data", [b"\xff\xd8", b"\xff\xd8\xff\xd9", b"no picture at all", b"\xff" * 50])
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEG2000Lossless])
def test_what_is_no_stream_is_refused(written, data, syntax):
    assert code_of(encapsulated(written(FILM), syntax, data)) in ("image.broken", "image.truncated")


def test_junk_after_the_stream_does_no_harm(written):
    path = encapsulated(written(FILM), JPEGBaseline8Bit, stream("JPEG"))
    expected = read_image(path)
    assert np.array_equal(read_image(encapsulated(path, JPEGBaseline8Bit, stream("JPEG") + b"\0\0junk")), expected)


def test_the_streams_of_real_films(shared, tmp_path):
    for name in REAL.values():
        dataset = pydicom.dcmread(shared / "data" / "dicom" / name)
        data = next(generate_frames(dataset.PixelData, number_of_frames=1))
        dataset.PixelData = encapsulate([larger(data)])
        dataset.save_as(tmp_path / "claims.dcm")
        assert code_of(tmp_path / "claims.dcm") == "image.broken", name
        dataset.PixelData = encapsulate([data[: len(data) // 4 * 2]])
        dataset.save_as(tmp_path / "cut.dcm")
        assert code_of(tmp_path / "cut.dcm") in ("image.truncated", "image.broken"), name


@pytest.mark.parametrize("far", [False, True], ids=["usual", "meta information beyond the file's beginning"])
def test_a_deflated_file_that_comes_to_too_much_is_refused(written, monkeypatch, far):
    path = written(np.zeros((256, 256), dtype=np.uint16))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    if far:
        dataset.file_meta.FileMetaInformationVersion = b"\0\1" * 3000
    dataset.save_as(path)
    assert read_image(path).shape == (256, 256)
    assert read_header(path).Rows == 256
    monkeypatch.setattr(streams, "MOST_INFLATED", 100_000)
    monkeypatch.setattr(zlib, "decompress", lambda *_, **__: pytest.fail("it was inflated"))
    assert code_of(path, read_header) == code_of(path) == "image.too_large"
