"""Whether the pixels of a DICOM file are all there, told by their lengths: they are stepped over, not read."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO, Final

_EXPLICIT: Final = frozenset({b"OB", b"OW", b"OF", b"OD"})
_PIXEL_TAGS: Final = frozenset({(0x7FE0, 0x0008), (0x7FE0, 0x0009), (0x7FE0, 0x0010)})
_ITEM: Final = (0xFFFE, 0xE000)
_END: Final = (0xFFFE, 0xE0DD)
_UNDEFINED: Final = 0xFFFFFFFF
# a film has one fragment or a few; a file of nothing but fragments is there to keep the reader busy
_MOST_FRAGMENTS: Final = 1_000_000


def is_cut_off(path: Path) -> bool:
    """Whether the file ends before its pixels do; False where that cannot be told without unpacking it.

    Raises ``OSError``, and what pydicom raises for a header that it cannot read.
    """
    import pydicom
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["Rows"], force=True)
        syntax = header.file_meta.get("TransferSyntaxUID")
        if syntax == DeflatedExplicitVRLittleEndian:
            return False
        # little endian with VR is what most files are, and what one without a transfer syntax is taken for
        order = ">" if syntax is not None and not syntax.is_private and not syntax.is_little_endian else "<"
        length = _length(file, order)
        if length is None:
            return False
        if length != _UNDEFINED:
            return file.tell() + length > size
        return not _fragments_end(file, order, size)


def _length(file: BinaryIO, order: str) -> int | None:
    """The length of the pixels that begin here, after which the file is at their first byte; None if none begin."""
    head = file.read(8)
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) not in _PIXEL_TAGS:
        return None
    rest = file.read(4) if head[4:6] in _EXPLICIT else head[4:8]
    return int(struct.unpack(f"{order}L", rest)[0]) if len(rest) == 4 else None


def _fragments_end(file: BinaryIO, order: str, size: int) -> bool:
    """Whether the fragments end in the file; one that misses the mark of the end but no byte of them does, too."""
    for _ in range(_MOST_FRAGMENTS):
        place = file.tell()
        head = file.read(8)
        if len(head) < 8:
            return place == size
        group, element, length = struct.unpack(f"{order}HHL", head)
        if (group, element) == _END:
            return True
        if (group, element) != _ITEM or place + 8 + length > size:
            return False
        file.seek(length, os.SEEK_CUR)
    return False
