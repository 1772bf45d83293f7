"""DICOM files broken in the ways that archives and hands break them: cut off, overwritten, with tags that are wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

Breaker = Callable[[bytes, random.Random], bytes]

#: Bytes of the preamble with its mark, and of the element that says how long the file meta is behind it.
_PREAMBLE: Final = 132
_GROUP_LENGTH: Final = 12


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(0, len(data) - 1)]


def _noise(data: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(len(data))


def _noise_in_pixels(data: bytes, chance: random.Random) -> bytes:
    """The last third of the file is random: header and the first rows are as they were."""
    keep = 2 * len(data) // 3
    return data[:keep] + chance.randbytes(len(data) - keep)


def _zeros(data: bytes, chance: random.Random) -> bytes:
    return bytes(len(data))


def _edited(change: Callable[[Dataset], None]) -> Breaker:
    def broken(data: bytes, chance: random.Random) -> bytes:
        film = pydicom.dcmread(BytesIO(data))
        change(film)
        out = BytesIO()
        film.save_as(out)
        return out.getvalue()

    return broken


def _rows(film: Dataset) -> None:
    film.Rows = int(film.Rows) * 3


def _no_pixels(film: Dataset) -> None:
    del film.PixelData


def _no_uid(film: Dataset) -> None:
    del film.SOPInstanceUID


def _other_syntax(data: bytes, chance: random.Random) -> bytes:
    """The file meta names another transfer syntax than the data set behind it has."""
    meta = pydicom.dcmread(BytesIO(data), stop_before_pixels=True).file_meta
    behind = data[_PREAMBLE + _GROUP_LENGTH + meta.FileMetaInformationGroupLength :]
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if meta.TransferSyntaxUID.is_encapsulated else JPEGLSLossless
    out = BytesIO()
    write_file_meta_info(out, meta)
    return data[:_PREAMBLE] + out.getvalue() + behind


def _bits(film: Dataset) -> None:
    film.BitsStored, film.HighBit = 77, 76


#: Each way of breaking a film, by its name.
FAULTS: Final[dict[str, Breaker]] = {
    "cut off": _cut,
    "random bytes": _noise,
    "zeros": _zeros,
    "random bytes in the pixels": _noise_in_pixels,
    "three times the rows": _edited(_rows),
    "no pixels": _edited(_no_pixels),
    "no SOPInstanceUID": _edited(_no_uid),
    "another transfer syntax": _other_syntax,
    "77 bits stored": _edited(_bits),
}


def break_files(paths: list[Path], share: float, seed: int) -> dict[str, str]:
    """Break a share of the files, in turns in each way; the name of each and how it is broken.

    A file that is a hard link is replaced, so that what it was linked to stays whole.
    """
    chance = random.Random(seed)
    chosen = chance.sample(sorted(paths), round(share * len(paths)))
    broken = {}
    for number, path in enumerate(chosen):
        fault = list(FAULTS)[number % len(FAULTS)]
        data = FAULTS[fault](path.read_bytes(), chance)
        path.unlink()
        path.write_bytes(data)
        broken[path.name] = fault
    return broken
