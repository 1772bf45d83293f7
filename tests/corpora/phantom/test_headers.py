"""Phantom DICOM: headers as vendors write them, pixels that come back through the chain, identities that are listed."""

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from corpora.config import load_yaml
from corpora.dicom import read_image
from corpora.phantom.film import draw_plan, render
from corpora.phantom.headers import Object, dicom_object, draw_coding, image_ref, planted
from corpora.phantom.model import ChestModel, PeopleModel
from corpora.phantom.patients import Cohort
from corpora.phantom.stored import Coding, stored_values
from corpora.quality import measure
from corpora.resources import config_path
from corpora.store import read_studies

CR, DX = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1"


def shown(dataset):
    """The film as a viewer shows it, white bones."""
    values = apply_modality_lut(dataset.pixel_array, dataset)
    whole = values.astype(int) if "VOILUTSequence" in dataset else values
    film = apply_voi_lut(whole, dataset).astype(float)
    return film.max() + film.min() - film if dataset.PhotometricInterpretation == "MONOCHROME1" else film


@pytest.fixture(scope="module")
def chest():
    return load_yaml(config_path("phantom/chest"), ChestModel)


@pytest.fixture(scope="module")
def objects(chest):
    """A film of every scanner with every syntax, polarity and depth that it has."""
    cohort = Cohort(chest, load_yaml(config_path("phantom/people"), PeopleModel), 0)
    made = {}
    for visit in cohort.visits(0, 90):
        for number, view in enumerate(visit.views, 1):
            rng = np.random.default_rng([visit.index, number])
            coding, syntax = draw_coding(visit, rng)
            key = (visit.scanner.model, syntax, coding.photometric, coding.bits)
            if key not in made:
                plan = draw_plan(view, 72, visit.portable, rng)
                film = render(plan, visit.body, ())
                made[key] = Object(visit, plan, film, coding, syntax, f"i{len(made)}", number, None, len(made) % 4)
    return list(made.values())


def test_every_habit_occurs(chest, objects):
    for scanner in chest.scanners:
        own = [made for made in objects if made.visit.scanner == scanner]
        assert {made.syntax for made in own} == set(scanner.syntaxes)
        assert {made.coding.photometric for made in own} == set(scanner.photometric)
        assert {made.coding.bits for made in own} == set(scanner.bits)
    assert len({scanner.manufacturer for scanner in chest.scanners}) >= 3


def test_pixels_come_back_through_the_chain(objects, tmp_path):
    for made in objects:
        path = tmp_path / f"{made.image_id}.dcm"
        dicom_object(made, 0).save_as(path, enforce_file_format=True)
        dataset = pydicom.dcmread(path)
        assert np.array_equal(dataset.pixel_array, stored_values(made.film.values, made.coding, made.visit.scanner))
        assert np.corrcoef(shown(dataset).ravel(), made.film.values.ravel())[0, 1] > 0.97
        if made.plan.view != "LATERAL":
            assert measure(shown(dataset)).polarity > 0


def test_the_reader_of_films_sees_the_film(objects, tmp_path):
    for made in objects:
        path = tmp_path / f"{made.image_id}.dcm"
        dicom_object(made, 0).save_as(path, enforce_file_format=True)
        assert np.corrcoef(read_image(path).ravel(), made.film.values.ravel())[0, 1] > 0.97


def test_headers_are_those_of_their_objects(objects):
    for made in objects:
        dataset = dicom_object(made, 0)
        assert dataset.SOPClassUID == (CR if made.visit.scanner.modality == "CR" else DX)
        assert dataset.BitsStored == dataset.HighBit + 1 == made.coding.bits
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert dataset.SOPInstanceUID.startswith("2.25.") and len(dataset.SOPInstanceUID) <= 64
        if made.visit.scanner.modality == "DX":
            assert (dataset.RescaleSlope, dataset.RescaleIntercept) == (1, 0)
            inverse = made.coding.photometric == "MONOCHROME1"
            assert dataset.PresentationLUTShape == ("INVERSE" if inverse else "IDENTITY")
        has_view = bool(dataset.get("ViewPosition"))
        assert has_view == (made.visit.scanner.view_in == "ViewPosition")


def test_a_header_reads_as_its_reference(objects):
    for made in objects:
        dataset = dicom_object(made, 0)
        image = image_ref(made, dataset, "images/x.dcm")
        assert (image.rows, image.columns) == dataset.pixel_array.shape
        assert image.transfer_syntax == dataset.file_meta.TransferSyntaxUID
        assert image.view == made.plan.view
        says = {"PatientOrientation": "ProtocolName"}.get(made.visit.scanner.view_in, made.visit.scanner.view_in)
        assert image.view_source == says and dataset[says].value


def test_every_identity_is_listed_and_there(corpus):
    found = [json.loads(line) for line in (corpus / "truth" / "phi.jsonl").read_text(encoding="utf-8").splitlines()]
    headers = [line for line in found if line["where"] == "header"]
    paths = {image.image_id: corpus / image.path for study in read_studies(corpus) for image in study.images}
    assert {line["image_id"] for line in headers} == set(paths)
    for line in headers:
        if "[" not in line["tag"]:
            dataset = pydicom.dcmread(paths[line["image_id"]], stop_before_pixels=True)
            value = dataset[pydicom.tag.Tag(int(line["tag"], 16))].value
            # a private value of implicit VR comes as bytes
            text = value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value)
            assert text == line["value"]
    names = {str(pydicom.dcmread(path, stop_before_pixels=True).PatientName) for path in paths.values()}
    assert names == {line["value"] for line in headers if line["keyword"] == "PatientName"}


def test_nothing_that_names_the_patient_is_left_out(objects):
    for made in objects:
        dataset = dicom_object(made, 0)
        listed = {(line["tag"].split("].")[-1], line["value"]) for line in planted(dataset)}
        for element in dataset.iterall():
            if made.visit.person.family in str(element.value) and element.VR not in ("SQ", "OW", "OB"):
                assert (f"{element.tag:08X}", str(element.value)) in listed


def test_the_square_law_is_undone_by_its_table():
    coding = Coding(12, "MONOCHROME2", 65535 / 4095)
    values = np.linspace(0, 1, 500, dtype=np.float32).reshape(20, 25)
    scanner = load_yaml(config_path("phantom/chest"), ChestModel).scanners[3]
    assert scanner.modality_lut == "sequence"
    stored = stored_values(values, coding, scanner)
    assert stored.dtype == np.uint16 and stored.max() <= 4095
    assert np.all(np.diff(stored.ravel().astype(int)) >= 0)


def test_real_dicom_tools_accept_it(objects, tmp_path):
    import shutil
    import subprocess

    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("needs dciodvfy (Debian package dicom3tools)")
    for made in objects:
        path = Path(tmp_path / f"{made.image_id}.dcm")
        dicom_object(made, 0).save_as(path, enforce_file_format=True)
        said = subprocess.run([tool, str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in said.stdout + said.stderr
