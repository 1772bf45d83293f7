"""A key, films with identities planted in them, and a phantom corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from corpora.phantom.command import phantom

CR = "1.2.840.10008.5.1.4.1.1.1"


def film(uid: str = "1.2.3.4.5", **attributes: Any) -> Dataset:
    """A computed radiograph of somebody who does not exist."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CR
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
    dataset.file_meta.SourceApplicationEntityTitle = "ZQXAE"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = "Żurawska^Mirela", "ZQX7731902"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19380214", "F", "093Y"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.1"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20310517"
    dataset.StudyTime, dataset.AccessionNumber, dataset.StudyID = "101112", "ZQXA551", "991"
    dataset.ReferringPhysicianName, dataset.InstitutionName = "Ostvold^Torunn", "Larkfield Hospital"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "CR", "CHEST", "PA"
    dataset.Manufacturer, dataset.ManufacturerModelName = "ACME Imaging", "Ray 3"
    dataset.StudyDescription = "XR CHEST PA, Żurawska"
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) % 4096
    dataset.Rows, dataset.Columns = values.shape
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def save(dataset: Dataset, path: Path, preamble: bytes = bytes(128)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.preamble = preamble
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def key(tmp_path: Path, radloop: Callable[..., Any]) -> Path:
    path = tmp_path / "site.key"
    assert radloop("corpus", "key", path).code == 0
    return path


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms") / "corpus"
    phantom(folder, 14, seed=5, size=64, workers=1)
    return folder
