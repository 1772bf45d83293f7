"""The pixel chain, each step against what the standard says of it, and real films."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.pixels.utils import pixel_array

from corpora.dicom import read_image
from corpora.dicom.grey import window
from corpora.errors import DataError

WHITE = 65_535
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
TWELVE = {"BitsStored": 12, "HighBit": 11}


def refused(path: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        read_image(path, **options)
    assert str(path) in caught.value.where
    return caught.value.code


def test_without_a_window_the_percentiles_span_the_greys(written):
    grey = read_image(written(RAMP, **TWELVE))
    assert grey.dtype == np.uint16 and grey.shape == (64, 64)
    assert grey.min() == 0 and grey.max() == WHITE
    assert np.all(np.diff(grey.ravel().astype(int)) >= 0)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_is_what_pydicom_makes_of_it(written, function):
    path = written(RAMP, WindowCenter=2000, WindowWidth=3000, VOILUTFunction=function, **TWELVE)
    dataset = pydicom.dcmread(path)
    expected = apply_windowing(pixel_array(dataset), dataset) / 4095 * WHITE
    assert np.abs(read_image(path) - expected).max() <= 1


def test_the_edges_of_a_linear_window_are_the_standards():
    # PS3.3 C.11.2.1.2.1: c = 2048, w = 4096 on 12 bits is the identity
    values = np.arange(4096, dtype=np.float64)
    assert np.allclose(window(values, 2048, 4096), values / 4095)
    assert window(values, 100, 0.5) is None
    assert window(np.array([99.0, 99.4, 99.6]), 100, 1).tolist() == [0, 0, 1]


@given(st.floats(-5000, 5000), st.floats(1, 5000), st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
def test_a_window_never_turns_back(center, width, function):
    greys = window(np.linspace(-6000, 6000, 500), center, width, function)
    assert np.all(np.diff(greys) >= 0) and 0 <= greys.min() <= greys.max() <= 1


@pytest.mark.parametrize(("center", "width"), [(60_000, 100), (-5000, 10), (30_000, 60_000), (2000, 40_000), (2000, 0)])
def test_an_absurd_window_is_no_window(written, center, width):
    path = written(RAMP, WindowCenter=str(center), WindowWidth=str(width), **TWELVE)
    assert np.array_equal(read_image(path), read_image(written(RAMP, **TWELVE)))


def test_of_several_windows_the_first_that_makes_a_film_counts(written):
    both = written(RAMP, WindowCenter=[60_000, 2000], WindowWidth=[100, 3000], **TWELVE)
    assert np.array_equal(read_image(both), read_image(written(RAMP, WindowCenter=2000, WindowWidth=3000, **TWELVE)))


@pytest.mark.parametrize(
    "attributes",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ],
)
def test_greys_are_inverted_once(written, attributes):
    straight = read_image(written(RAMP, WindowCenter=2000, WindowWidth=3000, **TWELVE))
    turned = read_image(written(RAMP, WindowCenter=2000, WindowWidth=3000, **TWELVE, **attributes))
    assert np.abs(turned.astype(int) + straight - WHITE).max() <= 1


def test_identity_is_no_inversion(written):
    path = written(RAMP, PresentationLUTShape="IDENTITY", **TWELVE)
    assert np.array_equal(read_image(path), read_image(written(RAMP, **TWELVE)))


def lut(first, data, bits=16):
    item = Dataset()
    item.LUTDescriptor = [len(data) % 65_536, first, bits]
    item.add_new("LUTData", "OW", np.asarray(data, "<u2").tobytes())
    return item


def test_a_modality_lut_comes_instead_of_slope_and_intercept(written):
    squares = lut(0, [min(value * value // 256, 65_535) for value in range(4096)])
    squares.ModalityLUTType = "US"
    path = written(RAMP, ModalityLUTSequence=[squares], RescaleSlope=-1, RescaleIntercept=7, **TWELVE)
    plain = written((RAMP.astype(np.int64) ** 2 // 256).clip(0, 65_535).astype(np.uint16))
    assert np.array_equal(read_image(path), read_image(plain))


def test_slope_and_intercept_come_before_the_window(written):
    rescaled = written(RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=3000, WindowWidth=6000, **TWELVE)
    plain = written(RAMP, WindowCenter=2000.25, WindowWidth=3000.5, **TWELVE)
    assert np.abs(read_image(rescaled).astype(int) - read_image(plain)).max() <= 12


def test_a_voi_lut_comes_before_the_window(written):
    table = lut(100, [round(65_535 * (value / 3999) ** 2) for value in range(4000)])
    path = written(RAMP, VOILUTSequence=[table], WindowCenter=2000, WindowWidth=3000, **TWELVE)
    expected = 65_535 * (np.clip(RAMP.astype(float) - 100, 0, 3999) / 3999) ** 2
    assert np.abs(read_image(path) - expected).max() <= 1


def test_padding_is_black_and_does_not_count(written):
    padded = RAMP.copy()
    padded[:20] = 4000
    plain = {"PhotometricInterpretation": "MONOCHROME1", **TWELVE}
    grey = read_image(written(padded, PixelPaddingValue=3990, PixelPaddingRangeLimit=4010, **plain))
    assert not grey[:20].any()
    inside = (padded < 3990) | (padded > 4010)
    assert grey[inside].max() == WHITE
    alone = read_image(written(padded[20:], PixelPaddingValue=4000, **plain))
    assert np.abs(grey[20:].astype(int) - alone).max() <= 0.02 * WHITE


def test_junk_and_overlays_above_the_stored_bits_are_nothing(written):
    junk = RAMP | (np.arange(4096, dtype=np.uint16).reshape(64, 64) % 16 << 12)
    assert np.array_equal(read_image(written(junk, **TWELVE)), read_image(written(RAMP, **TWELVE)))


def test_stored_bits_may_lie_higher(written):
    high = written(RAMP << 4, BitsStored=12, HighBit=15)
    assert np.array_equal(read_image(high), read_image(written(RAMP, **TWELVE)))


def test_signed_values(written):
    signed = written(RAMP.astype(np.int16) - 2048, BitsStored=12, HighBit=11, PixelRepresentation=1)
    assert np.array_equal(read_image(signed), read_image(written(RAMP, **TWELVE)))


def test_one_value_is_middle_grey(written):
    assert set(read_image(written(np.full((8, 8), 700, np.uint16))).ravel()) == {round(WHITE / 2)}


def test_colour_becomes_luminance(written):
    colours = np.zeros((2, 2, 3), np.uint8)
    colours[0, 0], colours[0, 1], colours[1, 0] = (255, 255, 255), (255, 0, 0), (0, 255, 0)
    assert read_image(written(colours)).tolist() == [[WHITE, round(0.299 * WHITE)], [round(0.587 * WHITE), 0]]


def test_a_palette_is_looked_up(written):
    palette = {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16] for name in ("Red", "Green", "Blue")}
    data = np.linspace(65_535, 0, 256).astype("<u2").tobytes()
    palette |= {f"{name}PaletteColorLookupTableData": data for name in ("Red", "Green", "Blue")}
    path = written(np.array([[0, 255]], np.uint8), PhotometricInterpretation="PALETTE COLOR", **palette)
    assert read_image(path).tolist() == [[WHITE, 0]]


def test_a_frame_is_named_or_refused(written):
    path = written(np.stack([RAMP, RAMP[::-1]]), **TWELVE)
    assert refused(path) == "image.frames"
    assert refused(path, frame=2) == "image.frames"
    turned = read_image(path, 0)[::-1]
    assert np.abs(read_image(path, 1).astype(int) - turned).max() < 0.05 * WHITE


def test_32_bits_and_floats(written):
    wide = read_image(written(RAMP.astype(np.uint32) * 100_000))
    assert np.array_equal(np.argsort(wide.ravel(), kind="stable"), np.arange(4096))
    assert wide.min() == 0 and wide.max() == WHITE


def test_what_is_no_film_is_refused(written, tmp_path):
    assert refused(written(RAMP, Rows=60_000, Columns=60_000)) == "image.too_large"
    cut = written(RAMP, **TWELVE)
    cut.write_bytes(cut.read_bytes()[:-3000])
    assert refused(cut) == "image.truncated"
    bare = tmp_path / "bare.dcm"
    dataset = pydicom.dcmread(written(RAMP))
    del dataset.PixelData
    dataset.save_as(bare)
    assert refused(bare) == "dicom.no_pixels"
    text = tmp_path / "notes.dcm"
    text.write_text("not a film " * 50)
    assert refused(text) == "dicom.not_dicom"
    assert refused(tmp_path / "none.dcm") == "data.missing"
    assert refused(written(RAMP, Columns=0)) == "image.broken"


# median and mean of the greys as they were when the films were looked at and found right
REAL = {
    "966_fixed.dcm": (44_602, 41_029),
    "RG1_J2KI.dcm": (53_956, 48_665),
    "RG1_JLSN.dcm": (53_957, 48_668),
    "RG2_JLSL.dcm": (32_351, 28_916),
    "CR-ModalitySequenceLUT.dcm": (22_863, 20_050),
}


@pytest.mark.parametrize("name", REAL)
def test_real_films(shared, name):
    grey = read_image(shared / "data/dicom" / name)
    median, mean = REAL[name]
    assert abs(np.median(grey) - median) <= 20
    assert abs(grey.mean() - mean) <= 20


@pytest.mark.parametrize("name", ["966_fixed.dcm", "RG2_JLSL.dcm", "RG2_RLE.dcm", "RG3_J2KR.dcm", "vlut_04.dcm"])
def test_real_films_are_what_pydicom_makes_of_their_headers(shared, name):
    # those whose window or table is taken; RG1's is not, and the others have none
    dataset = pydicom.dcmread(shared / "data/dicom" / name)
    shown = apply_voi_lut(apply_modality_lut(pixel_array(dataset), dataset), dataset).astype(np.float64)
    shown /= 65_535 if "VOILUTSequence" in dataset else (1 << dataset.BitsStored) - 1
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    assert np.abs(read_image(shared / "data/dicom" / name) - shown * WHITE).max() <= 1


def test_encodings_of_one_film_are_one_film(shared):
    folder = shared / "data/dicom"
    lossless = [read_image(folder / name) for name in ("RG2_JLSL.dcm", "RG2_JPLL.dcm", "RG2_RLE.dcm")]
    assert len({hashlib.sha256(film.tobytes()).hexdigest() for film in lossless}) == 1
    lossy = read_image(folder / "RG2_JPLY_fixed.dcm")
    assert np.abs(lossy.astype(int) - lossless[0]).mean() < 0.005 * WHITE
    assert np.array_equal(read_image(folder / "RG3_RLE.dcm"), read_image(folder / "RG3_J2KR.dcm"))


def test_a_chest_whose_window_makes_it_flat_is_not_flat(shared):
    grey = read_image(shared / "data/dicom/RG1_J2KI.dcm")
    low, high = np.percentile(grey, [5, 95])
    assert high - low > 0.55 * WHITE


def test_a_broken_code_stream_is_refused(shared):
    assert refused(shared / "data/dicom/966.dcm") == "image.broken"


def test_an_object_without_pixels_is_refused(shared):
    assert refused(shared / "data/dicom/chrJapMulti.dcm") == "dicom.no_pixels"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ModalityLUTSequence", {}),
        ("ModalityLUTSequence", {"LUTDescriptor": [4096, 0, 17_424], "LUTData": list(range(4096))}),
        ("ModalityLUTSequence", {"LUTDescriptor": [4096, 0, 0], "LUTData": list(range(4096))}),
        ("VOILUTSequence", {}),
        ("VOILUTSequence", {"LUTDescriptor": [4096, 0, 12], "LUTData": 7}),
        ("VOILUTSequence", {"LUTDescriptor": [4096, 0, 99], "LUTData": list(range(4096))}),
    ],
)
def test_a_damaged_table_is_no_table(written, keyword, value):
    item = Dataset()
    for name, content in value.items():
        item.add_new(name, "US", content)
    expected = read_image(written(RAMP, **TWELVE))
    assert np.array_equal(read_image(written(RAMP, **TWELVE, **{keyword: [item]})), expected)


@pytest.fixture
def with_table(written):
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 12]
    item.add_new("LUTData", "US", list(range(4096)))
    path = written(RAMP, **TWELVE, WindowCenter=2000, WindowWidth=3000, VOILUTSequence=[item])
    return path, path.read_bytes()


# one file, written over for every example
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_byte_is_wrong_a_film_is_read_or_refused(with_table, data):
    path, whole = with_table
    content = bytearray(whole)
    # the values of the table are as good as any: it is what stands around them that matters
    table = whole.find(np.arange(4096, dtype="<u2").tobytes())
    places = [*range(132, table), *range(table + 8192, len(whole) - RAMP.nbytes)]
    for place in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    # any other exception would end a batch, and may quote the header
    with contextlib.suppress(DataError):
        assert read_image(path).dtype == np.uint16
