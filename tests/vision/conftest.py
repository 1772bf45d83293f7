"""What the tests of training and prediction share: a made corpus of films with a bright spot for each finding."""

import csv
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import torch
from PIL import Image

from corpora.store import StudyWriter
from corpora.types import ImageRef, Study
from vision.detector_recipe import DetectorRecipe
from vision.detector_train import train_detector
from vision.recipe import VisionRecipe
from vision.train import train

torch.set_num_threads(1)

LABELS = ("Left", "Right", "Rare")
HEAD = ("image_id", "class_name", "x_min", "y_min", "x_max", "y_max")
TINY = VisionRecipe.model_validate(
    {
        "size": 32,
        "min_positive": 2,
        "backbone": {
            "settings": {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]},
            "gather": "mean_max",
        },
        "augment": {"degrees": 2, "shift": 0.02, "zoom": 0.02, "brightness": 0.02, "contrast": 0.02, "noise": 0.01},
        "training": {"epochs": 3, "batch_size": 16, "learning_rate": 1e-2, "ema": 0.5},
    }
)


def changed(**fields):
    """The tiny recipe with other fields; a mapping changes fields inside one."""
    old = TINY.model_dump()
    return VisionRecipe.model_validate(
        old | {name: old[name] | value if isinstance(value, dict) else value for name, value in fields.items()}
    )


def film(left, right, draw):
    """A grey film; a bright spot at a side is its finding."""
    greys = draw.integers(60, 120, (40, 32)).astype(np.uint8)
    if left:
        greys[10:18, 4:12] = 250
    if right:
        greys[22:30, 20:28] = 250
    return greys


def write_corpus(folder, studies=90, seed=0):
    """A corpus with two films a study for every third; its label table, and its split by patient."""
    draw = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    rows, parts = [], []
    with StudyWriter(folder) as writer:
        for number in range(studies):
            left, right = number % 2, number // 2 % 2
            images = []
            for view in ("PA", "LATERAL")[: 2 if number % 3 == 0 else 1]:
                path = f"images/f{number}-{view}.png"
                Image.fromarray(film(left, right, draw)).save(folder / path)
                images.append(ImageRef(path, view, image_id=f"f{number}-{view}"))
            writer.append(Study(f"s{number}", f"p{number // 2}", tuple(images)))
            cells = [left, right, 1 if number == 0 else 0]
            # an uncertain cell and a blank one now and then
            if number % 10 == 5:
                cells[0] = -1
            if number % 10 == 6:
                cells[1] = "" if not right else 1
            rows.append([f"s{number}", *cells])
            part = ("train", "train", "train", "validate", "test")[number // 2 % 5]
            parts.append([f"s{number}", f"p{number // 2}", part])
    (folder / "manifest.json").write_text("{}\n")
    write_rows(folder / "split.csv", ("study_id", "patient_id", "split"), parts)
    write_rows(folder / "labels.csv", ("study_id", *LABELS), rows)
    return folder


def write_rows(path, header, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


@pytest.fixture(scope="session")
def eye_corpus(tmp_path_factory):
    """90 studies of 45 patients with labels and a split."""
    return write_corpus(tmp_path_factory.mktemp("eye") / "corpus")


@pytest.fixture(scope="session")
def eye_run(eye_corpus, tmp_path_factory):
    """What training on them came to."""
    out = tmp_path_factory.mktemp("eye-run") / "run"
    return train(eye_corpus, eye_corpus / "labels.csv", out, changed(training={"epochs": 8}))


def detector_recipe(**fields):
    """That of a tiny detector, with other fields."""
    made = {
        "size": 32, "min_boxes": 2, "views": "all",
        "backbone": TINY.backbone.model_dump() | {"gather": "mean"},
        "transformer": {"levels": 2, "width": 16, "feed_forward": 32, "heads": 2, "decoder_layers": 2, "queries": 8,
                        "denoising": 4, "expansion": 0.5},
        "augment": {"degrees": 0, "shift": 0.03, "zoom": 0.05},
        "training": {"epochs": 2, "batch_size": 16, "learning_rate": 3e-3, "clip": 1.0},
    }  # fmt: skip
    return DetectorRecipe.model_validate(made | fields)


@pytest.fixture(scope="session")
def boxed(tmp_path_factory):
    """The made corpus of films with spots, and the boxes of the spots."""
    corpus = write_corpus(tmp_path_factory.mktemp("boxed") / "corpus", studies=60)
    rows = []
    for path in sorted((corpus / "images").glob("*.png")):
        number = int(path.stem.split("-")[0][1:])
        rows += [[path.stem, "Left", 4, 10, 12, 18]] * (number % 2)
        rows += [[path.stem, "Right", 20, 22, 28, 30]] * (number // 2 % 2)
    write_rows(corpus / "boxes.csv", HEAD, rows)
    return corpus


@pytest.fixture(scope="session")
def detector(boxed, tmp_path_factory):
    """What training on them came to."""
    course = {"epochs": 16, "patience": 16, "batch_size": 8, "learning_rate": 5e-3, "warmup": 0.2, "clip": 0.3,
              "ema": 0.9, "validate_every": 2}  # fmt: skip
    return train_detector(
        boxed, boxed / "boxes.csv", tmp_path_factory.mktemp("det") / "run", detector_recipe(training=course)
    )


@pytest.fixture
def dicom(tmp_path):
    """A small DICOM film."""
    return write_dicom(tmp_path / "film.dcm")


def write_dicom(path, **elements):
    """A small DICOM film with these elements; a value of None takes one away."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    film.SOPClassUID, film.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    film.StudyInstanceUID, film.SeriesInstanceUID = generate_uid(), generate_uid()
    film.PatientID, film.PatientName, film.Modality = "p1", "A^B", "DX"
    film.Rows, film.Columns, film.BitsAllocated, film.BitsStored, film.HighBit = 40, 32, 16, 12, 11
    film.SamplesPerPixel, film.PixelRepresentation, film.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    film.PixelData = np.random.default_rng(0).integers(0, 4096, (40, 32)).astype("<u2").tobytes()
    for name, value in elements.items():
        if value is None:
            delattr(film, name)
        else:
            setattr(film, name, value)
    meta.MediaStorageSOPInstanceUID = film.get("SOPInstanceUID") or meta.MediaStorageSOPInstanceUID
    film.save_as(path, enforce_file_format=True)
    return path
