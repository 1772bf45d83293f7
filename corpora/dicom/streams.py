"""What a compressed film says of itself, looked at before a decoder is let at it.

A code stream has rows and columns of its own. A decoder makes room for these, whatever the header says: a few kilobytes
can claim 60,000 x 60,000 pixels. And some decoders fill what a JPEG stream that is cut off lacks with one grey.

Sources: ITU-T T.81 (JPEG: markers, frame header), T.87 (JPEG-LS), T.800 (JPEG 2000: SIZ).
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, BinaryIO, Final, NamedTuple

import pydicom
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset

from corpora.errors import DataError

#: Bytes that a deflated file may come to: more than the largest film has.
MOST_INFLATED: Final = 1 << 30
_PREFIX: Final = "1.2.840.10008.1.2.4."
_JPEG: Final = frozenset(_PREFIX + end for end in ("50", "51", "57", "70", "80", "81"))
_JPEG_2000: Final = frozenset(_PREFIX + end for end in ("90", "91", "201", "202", "203"))
_DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
_SYNTAX_TAG: Final = b"\x02\x00\x10\x00UI"
# frame headers: SOF0 to SOF15 but DHT, JPG and DAC between them; SOF55 is that of JPEG-LS
_FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_END_OF_IMAGE: Final = b"\xff\xd9"
_SIZ: Final = b"\xff\x4f\xff\x51"
_MOST_COMPONENTS: Final = 4
_BLOCK: Final = 1 << 20


class Extent(NamedTuple):
    """What a code stream says it holds."""

    rows: int
    columns: int
    components: int


def check_stream(dataset: pydicom.Dataset, index: int, rows: int, columns: int, frames: int, where: str) -> None:
    """That the code stream of a frame has the ``rows`` and ``columns`` of the header, and does not end too early.

    Passes what is not JPEG, JPEG-LS or JPEG 2000. Raises ``DataError`` (``image.broken``, ``image.truncated``), and
    ``ValueError`` for pixels that are not encapsulated as they should be.
    """
    syntax = str(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID", ""))
    if syntax not in _JPEG | _JPEG_2000:
        return
    stream = get_frame(dataset.PixelData, index, number_of_frames=frames, extended_offsets=_offsets(dataset))
    extent = jpeg_extent(stream) if syntax in _JPEG else jpeg_2000_extent(stream)
    if extent is None:
        raise DataError("image.broken", "the compressed pixels have no header of their own", where=where)
    if (extent.rows, extent.columns) != (rows, columns) or extent.components > _MOST_COMPONENTS:
        raise DataError(
            "image.broken",
            f"the header says {rows:,} x {columns:,} pixels, the compressed pixels {extent.rows:,} x "
            f"{extent.columns:,} of {extent.components:,} components",
            where=where,
        )
    if syntax in _JPEG and _END_OF_IMAGE not in stream:
        raise DataError("image.truncated", "the compressed pixels are cut off", where=where)


def _offsets(dataset: pydicom.Dataset) -> Any:
    table, lengths = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    return (table, lengths) if table and lengths else None


def jpeg_extent(stream: bytes) -> Extent | None:
    """What the frame header of a JPEG or JPEG-LS stream says; None where there is none before the first scan.

    >>> jpeg_extent(bytes.fromhex("ffd8 ffc0 000b 08 0010 0020 01 01 11 00"))
    Extent(rows=16, columns=32, components=1)
    """
    place = 2
    while place + 10 <= len(stream) and stream[:2] == b"\xff\xd8" and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == 0xFF:  # fill
            place += 1
        elif marker in _BARE:
            place += 2
        elif marker in _FRAME_HEADERS:
            return Extent(*struct.unpack_from(">HHB", stream, place + 5))
        elif marker in (0xD9, 0xDA):
            return None
        else:
            place += 2 + int(struct.unpack_from(">H", stream, place + 2)[0])
    return None


def jpeg_2000_extent(stream: bytes) -> Extent | None:
    """What the SIZ segment of a JPEG 2000 stream says, in a JP2 file or bare; None where there is none."""
    place = stream.find(_SIZ)
    if place < 0 or place + 42 > len(stream):
        return None
    columns, rows, left, top = struct.unpack_from(">IIII", stream, place + 8)
    (components,) = struct.unpack_from(">H", stream, place + 40)
    return Extent(rows - top, columns - left, components)


def check_deflated(file: BinaryIO, head: bytes, where: str) -> None:
    """That a DICOM file, if its data set is deflated, does not come to more than any film has.

    ``head`` is the file's beginning, with its file meta information. The file is left at its beginning. Raises
    ``DataError`` (``image.too_large``), and what pydicom raises for a header that makes no sense.
    """
    if _SYNTAX_TAG in head and _DEFLATED not in head:
        return
    file.seek(132)
    # as pydicom does it: to the first element of another group
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    if str(meta.get("TransferSyntaxUID", "")).encode() == _DEFLATED and _inflated(file) > MOST_INFLATED:
        raise DataError(
            "image.too_large", f"the file inflates to more than {MOST_INFLATED:,} bytes, more than a film has",
            where=where,
        )  # fmt: skip
    file.seek(0)


def _inflated(file: BinaryIO) -> int:
    """How many bytes the rest of a file inflates to; it stops counting where they are too many."""
    inflate, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while total <= MOST_INFLATED and not inflate.eof:
        packed = inflate.unconsumed_tail or file.read(_BLOCK)
        if not packed:
            break
        total += len(inflate.decompress(packed, _BLOCK))
    return total
