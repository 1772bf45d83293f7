"""The pixels of a DICOM film as it is looked at: 16-bit grey, bones white.

A film is decoded by pydicom with pylibjpeg and pyjpegls; then every value a pixel can have is taken through DICOM's
chain once (``corpora.dicom.grey``), and the pixels are looked up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array

from corpora.dicom.grey import grey_levels
from corpora.dicom.header import quiet, read_dataset, text, whole
from corpora.dicom.streams import check_stream
from corpora.errors import DataError

#: More than any film has; beyond it a header is a lie, or meant to fill memory.
MOST_PIXELS: Final = 1 << 28
_PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# four times as fast as pylibjpeg at them
_JPEG_LS: Final = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
# what a film's values are counted on: every fourth row and column
_STEP: Final = 4
# ITU-R BT.601, as DICOM's YBR has it
_LUMINANCE: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def read_image(path: Path | str, frame: int | None = None) -> NDArray[np.uint16]:
    """The film in a DICOM file: shape (rows, columns), 0 black to 65,535 white, bones white.

    Of an object with several frames ``frame`` (from 0) says which. Colour becomes luminance.

    Raises ``DataError``: ``dicom.no_pixels``, ``image.frames`` for several frames or none of this number,
    ``image.too_large``, ``image.truncated``, ``image.broken`` for what no decoder makes sense of; as ``read_header``.
    """
    dataset = read_dataset(path)
    where = str(path)
    index = _check(dataset, frame, where)
    stored = _decoded(dataset, index, where)
    try:
        return _luminance(stored) if stored.ndim == 3 else _grey(dataset, stored)
    except MemoryError:
        raise
    except Exception as error:  # whatever the header makes of the pixels; its values stay out of the message
        raise DataError(
            "image.broken", f"the header makes no sense of the pixels ({type(error).__name__})", where=where
        ) from error


def _check(dataset: pydicom.Dataset, frame: int | None, where: str) -> int:
    """That a film of sane size is in it; the number of its frame."""
    if not any(keyword in dataset for keyword in _PIXELS):
        raise DataError("dicom.no_pixels", "the object holds no pixels", where=where)
    rows, columns = whole(dataset, "Rows"), whole(dataset, "Columns")
    if not rows or not columns:
        raise DataError("image.broken", "the header does not say how many rows and columns there are", where=where)
    if rows * columns * (whole(dataset, "SamplesPerPixel") or 1) > MOST_PIXELS:
        raise DataError(
            "image.too_large", f"the header claims {rows:,} x {columns:,} pixels, more than a film has", where=where
        )
    frames = whole(dataset, "NumberOfFrames") or 1
    if frame is None and frames > 1:
        raise DataError(
            "image.frames", f"the object has {frames:,} frames, and a film has one", where=where,
            hint="name one of them by its number, from 0",
        )  # fmt: skip
    if frame is not None and not 0 <= frame < frames:
        raise DataError("image.frames", f"there is no frame {frame}: the object has {frames:,}", where=where)
    return frame or 0


def _decoded(dataset: pydicom.Dataset, index: int, where: str) -> NDArray[Any]:
    """The stored values of one frame: (rows, columns), or (rows, columns, 3) for colour, which is RGB then."""
    try:
        with quiet():
            check_stream(
                dataset, index, whole(dataset, "Rows") or 0, whole(dataset, "Columns") or 0,
                whole(dataset, "NumberOfFrames") or 1, where,
            )  # fmt: skip
            # which of the bits are stored, and where, is seen to in the chain
            array = pixel_array(dataset, index=index, decoding_plugin=_plugin(dataset), correct_unused_bits=False)
            if text(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
                array = apply_color_lut(array, dataset)
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders raise what they like
        raise _undecodable(dataset, error, where) from error
    return np.asarray(array)


def _plugin(dataset: pydicom.Dataset) -> str:
    """The decoder that is best at the transfer syntax; empty: whichever pydicom finds."""
    meta = getattr(dataset, "file_meta", None)
    return "pyjpegls" if meta is not None and meta.get("TransferSyntaxUID") in _JPEG_LS else ""


def _undecodable(dataset: pydicom.Dataset, error: Exception, where: str) -> DataError:
    # pydicom says so in words alone; the message itself may quote the file
    said = str(error)
    if "less than the expected" in said or "less than expected" in said or "insufficient" in said.lower():
        return DataError("image.truncated", "there are fewer pixels than the header says", where=where)
    meta = getattr(dataset, "file_meta", None)
    uid = meta.get("TransferSyntaxUID") if meta is not None else None
    syntax = uid.name if uid is not None else "no transfer syntax"
    return DataError(
        "image.broken", f"the pixels cannot be decoded ({syntax}; {type(error).__name__})", where=where,
        hint="the file is damaged, or a decoder is missing: pip install 'radloop[corpus]'",
    )  # fmt: skip


def _grey(dataset: pydicom.Dataset, stored: NDArray[Any]) -> NDArray[np.uint16]:
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2:
        return _grey_of_many(dataset, stored)
    unsigned = stored.view(f"u{stored.dtype.itemsize}")
    size = 1 << (8 * stored.dtype.itemsize)
    counts = np.bincount(unsigned[::_STEP, ::_STEP].ravel(), minlength=size)
    # every value is in the table; "clip" saves the check
    return np.take(grey_levels(dataset, np.arange(size), counts), unsigned, mode="clip")


def _grey_of_many(dataset: pydicom.Dataset, stored: NDArray[Any]) -> NDArray[np.uint16]:
    """Of pixels of 32 bits, or floats: more values than a table of all of them could hold."""
    values, places, counts = np.unique(stored, return_inverse=True, return_counts=True)
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 0.0)
        span = float(high - low) or 1.0
        stretched = np.where(finite, (values - low) / span, 0)
        inverted = text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
        greys = np.rint(65_535 * (1 - stretched if inverted else stretched)).astype(np.uint16)
    else:
        greys = grey_levels(dataset, values, counts)
    return np.asarray(greys[places].reshape(stored.shape), dtype=np.uint16)


def _luminance(colour: NDArray[Any]) -> NDArray[np.uint16]:
    white = float(np.iinfo(colour.dtype).max) if colour.dtype.kind in "iu" else 1.0
    greys = colour[..., :3].astype(np.float32) @ _LUMINANCE * (65_535 / white)
    return np.asarray(np.rint(greys), dtype=np.uint16)
