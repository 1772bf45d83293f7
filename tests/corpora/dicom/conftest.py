"""DICOM objects written for a test: a small film with the attributes that the test is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"


def film(values: np.ndarray, **attributes: Any) -> Dataset:
    """A computed radiograph of these stored values: unsigned, MONOCHROME2, all bits stored unless said otherwise."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = COMPUTED_RADIOGRAPHY
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    bits = 8 * values.dtype.itemsize
    frames, shape = (
        (values.shape[0], values.shape[1:]) if values.ndim == 3 and values.shape[-1] != 3 else (1, values.shape)
    )
    dataset.Modality, dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "CR", "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = shape[:2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    if frames > 1:
        dataset.NumberOfFrames = frames
    if values.shape[-1] == 3:
        dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PhotometricInterpretation = 3, 0, "RGB"
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes such a film; returns its file."""

    def write(values: np.ndarray, **attributes: Any) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.dcm"
        film(values, **attributes).save_as(path, enforce_file_format=True)
        return path

    return write
