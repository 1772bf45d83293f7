"""Small films and reports of every kind, written as they are found in the wild."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.store import read_studies
from corpora.types import Study

pytest.importorskip("pydicom")
pytest.importorskip("PIL")


@pytest.fixture(scope="session")
def png() -> Callable[..., Path]:
    """Writes a PNG or JPEG film, whose pixels are drawn by ``seed``: ``png(path, seed)``."""
    from PIL import Image

    def write(path: Path, seed: int = 0, size: tuple[int, int] = (12, 10)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def dicom() -> Callable[..., Path]:
    """Writes a DICOM film: ``dicom(path, uid, PatientID=...)``; ``pixels=False`` leaves them out."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    def write(
        path: Path, uid: str, *, pixels: bool = True, kind: str = "1.2.840.10008.5.1.4.1.1.1", **tags: Any
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, f"1.2.3.{uid}"
        data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = kind, f"1.2.3.{uid}"
        data.StudyInstanceUID, data.Modality = f"1.2.9.{uid}", "CR"
        if pixels:
            data.Rows, data.Columns, data.BitsAllocated, data.BitsStored, data.HighBit = 8, 6, 16, 12, 11
            data.SamplesPerPixel, data.PixelRepresentation, data.PhotometricInterpretation = 1, 0, "MONOCHROME2"
            data.PixelData = np.random.default_rng(len(uid)).integers(0, 4096, 48).astype("<u2").tobytes()
        for name, value in tags.items():
            setattr(data, name, value)
        data.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture(scope="session")
def by_id() -> Callable[[Path], dict[str, Study]]:
    """The studies of a corpus by their ids."""
    return lambda corpus: {study.study_id: study for study in read_studies(corpus)}


@pytest.fixture(scope="session")
def written() -> Callable[..., Path]:
    """Writes text or bytes: ``written(path, content)``."""

    def write(path: Path, content: str | bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
