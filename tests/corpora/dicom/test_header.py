"""What headers say, and what they do not."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from corpora.dicom import describe, has_pixels, read_header, study_facts
from corpora.dicom.views import view_of
from corpora.errors import DataError

FILM = np.zeros((4, 6), np.uint16)


def header(**attributes):
    dataset = Dataset()
    for keyword, value in attributes.items():
        with pydicom.config.disable_value_validation():
            setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("attributes", "view", "source"),
    [
        ({"ViewPosition": "PA"}, "PA", "ViewPosition"),
        ({"ViewPosition": "ll"}, "LATERAL", "ViewPosition"),
        ({"ViewPosition": "LPO"}, "LPO", "ViewPosition"),
        ({"SeriesDescription": "Chest AP portable"}, "AP", "SeriesDescription"),
        (
            {"SeriesDescription": "W033 Chest 2 views PA and LAT", "ProtocolName": "Thorax lat"},
            "LATERAL",
            "ProtocolName",
        ),
        ({"ProtocolName": "Thorax p.a."}, "PA", "ProtocolName"),
        ({"ViewPosition": "", "SeriesDescription": "Postero-anterior"}, "PA", "SeriesDescription"),
        ({"SeriesDescription": "CHEST_PA"}, "PA", "SeriesDescription"),
        ({"SeriesDescription": "Thorax_lat_r"}, "LATERAL", "SeriesDescription"),
        ({"SeriesDescription": "PATIENT APNOEA"}, None, None),
        ({"PatientOrientation": ["A", "F"]}, "LATERAL", "PatientOrientation"),
        ({"PatientOrientation": ["L", "F"]}, None, None),
        ({}, None, None),
    ],
)
def test_views(attributes, view, source):
    assert view_of(header(**attributes)) == (view, source)


def test_a_view_code_counts_before_descriptions():
    code = header(CodeValue="399348003", CodeMeaning="antero-posterior")
    assert view_of(header(ViewCodeSequence=[code], SeriesDescription="chest pa")) == ("AP", "ViewCodeSequence")


@pytest.mark.parametrize(
    ("attributes", "age", "year"),
    [
        ({"PatientAge": "034Y", "StudyDate": "20190315"}, 34.0, 2019),
        ({"PatientAge": "006M"}, 0.5, None),
        ({"PatientAge": "012W"}, 0.23, None),
        ({"PatientAge": "020D"}, 0.05, None),
        ({"PatientAge": "41"}, 41.0, None),
        ({"PatientAge": "old"}, None, None),
        ({"PatientAge": "999Y"}, None, None),
        ({"PatientBirthDate": "19700101", "StudyDate": "2020.01.01"}, 50.0, 2020),
        ({"PatientBirthDate": "19700231", "StudyDate": "20200101"}, None, 2020),
        ({"StudyDate": "", "AcquisitionDate": "20180101"}, None, 2018),
        ({"StudyDate": "20193103"}, None, None),
        ({"StudyDate": "19010101"}, None, None),
        ({"PatientBirthDate": "20300101", "StudyDate": "20200101"}, None, 2020),
    ],
)
def test_ages_and_years(attributes, age, year):
    facts = study_facts(header(**attributes))
    assert (facts["age"], facts["year"]) == (age, year)


KEYWORDS = (
    "PatientAge", "StudyDate", "PatientSex", "Rows", "PixelSpacing", "ViewPosition", "BitsStored", "NumberOfFrames",
    "PatientOrientation", "WindowWidth", "BurnedInAnnotation", "PatientBirthDate", "AccessionNumber",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYWORDS), st.text(max_size=12) | st.lists(st.text(max_size=4), max_size=3)))
def test_nothing_in_a_header_makes_it_fail(attributes):
    dataset = Dataset()
    for keyword, value in attributes.items():
        element = pydicom.DataElement(keyword, "LO", "")
        element._value = value
        dataset.add(element)
    assert describe(dataset, "x.dcm").path == "x.dcm"
    age = study_facts(dataset)["age"]
    assert age is None or 0 <= age <= 120


def test_a_film_is_described(written):
    path = written(
        FILM, ViewPosition="PA", PixelSpacing=[0.2, 0.1], Manufacturer="Maker", BodyPartExamined="CHEST",
        PatientIdentityRemoved="YES", BurnedInAnnotation="NO",
    )  # fmt: skip
    found = describe(read_header(path), path)
    assert (found.rows, found.columns, found.bits_stored, found.view) == (4, 6, 16, "PA")
    assert (found.pixel_spacing, found.manufacturer, found.body_part) == ((0.2, 0.1), "Maker", "CHEST")
    assert (found.identity_removed, found.burned_in, found.format) == (True, False, "DICOM")
    assert found.transfer_syntax == "1.2.840.10008.1.2.1"


def test_a_spacing_of_zero_is_none(written):
    path = written(FILM, PixelSpacing=[0, 0], ImagerPixelSpacing=[0.15, 0.15])
    assert describe(read_header(path), path).pixel_spacing == (0.15, 0.15)


def test_names_in_other_scripts(shared):
    for name in ("chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm", "chrKoreanMulti.dcm"):
        found = read_header(shared / "data/dicom" / name)
        assert describe(found, name).view == "PA"


def test_every_real_header_is_read(shared):
    for path in sorted((shared / "data/dicom").glob("*.dcm")):
        dataset = read_header(path)
        assert "PixelData" not in dataset
        assert describe(dataset, path).rows == dataset.Rows
        assert study_facts(dataset)["study_uid"]


@pytest.mark.parametrize("size", [0, 100, 140, 300])
def test_a_header_that_is_cut_off(written, size):
    path = written(FILM, PatientID="someone")
    path.write_bytes(path.read_bytes()[:size])
    code = ""
    try:
        # what is there may be read: then it is no film
        assert describe(read_header(path), path).rows is None
    except DataError as error:
        code = error.code
    assert code in {"", "dicom.not_dicom", "image.truncated", "image.broken"}


def test_a_header_knows_whether_there_are_pixels(written, tmp_path):
    path = written(FILM)
    assert has_pixels(read_header(path))
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(tmp_path / "bare.dcm")
    assert not has_pixels(read_header(tmp_path / "bare.dcm"))


def test_a_data_set_without_preamble(written, tmp_path):
    whole = written(FILM, PatientID="someone").read_bytes()
    bare = tmp_path / "bare"
    bare.write_bytes(whole[132:])
    assert read_header(bare).Rows == 4


def test_no_value_is_said_in_a_message_or_a_log(written, caplog, recwarn):
    path = written(FILM)
    dataset = pydicom.dcmread(path)
    with pydicom.config.disable_value_validation():
        dataset.StudyDate = "SECRET"
        dataset.PatientAge = "SECRET^NAME"
        dataset.save_as(path)
    facts = study_facts(read_header(path))
    assert facts["year"] is None
    assert not caplog.records and not list(recwarn)
