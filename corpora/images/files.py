"""One film from a file, whatever its format: DICOM, PNG or JPEG."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from corpora.errors import DataError

_SIGNATURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_MOST_PIXELS: Final = 1 << 28
_DEEP: Final = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I"})


def read_any(path: Path | str, frame: int | None = None) -> NDArray[np.uint16]:
    """The film in a DICOM, PNG or JPEG file: shape (rows, columns), 0 black to 65,535 white, bones white.

    Which it is shows in the file, not in its name. Colour becomes luminance, transparency black. Of a PNG or JPEG the
    greys are taken as they are: that bones are white cannot be known.

    Raises ``DataError``: ``data.missing``, ``data.unreadable``, ``image.empty``, ``image.broken``, ``image.truncated``,
    ``image.too_large``, and as ``corpora.dicom.read_image``.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            head = stream.read(8)
    except FileNotFoundError as error:
        raise DataError("data.missing", "there is no such file", where=str(path)) from error
    except OSError as error:
        raise DataError("data.unreadable", error.strerror or "cannot be read", where=str(path)) from error
    if not head:
        raise DataError("image.empty", "the file is empty", where=str(path))
    if head.startswith(_SIGNATURES):
        return _picture(file)
    from corpora.dicom.pixels import read_image

    return read_image(file, frame)


def _picture(path: Path) -> NDArray[np.uint16]:
    try:
        with warnings.catch_warnings():
            # its size is checked here, by a limit that films need
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=["PNG", "JPEG"]) as picture:
                if picture.width * picture.height > _MOST_PIXELS:
                    raise _too_large(path)
                return _greys(picture)
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except UnidentifiedImageError as error:
        raise DataError("image.broken", "it has no header of a picture that can be read", where=str(path)) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if "truncated" in str(error):
            raise DataError("image.truncated", "the picture is cut off", where=str(path)) from error
        raise DataError("image.broken", "the picture cannot be decoded", where=str(path)) from error


def _too_large(path: Path) -> DataError:
    return DataError("image.too_large", "the header claims more pixels than a film has", where=str(path))


def _greys(picture: Image.Image) -> NDArray[np.uint16]:
    if picture.mode in _DEEP:
        deep: NDArray[Any] = np.asarray(picture)
        clipped: NDArray[np.uint16] = np.clip(deep, 0, 65_535).astype(np.uint16)
        return clipped
    if "A" in picture.getbands() or "transparency" in picture.info:
        seen = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen)
    greys = np.asarray(picture.convert("L")).astype(np.uint16)
    # takes 255 to 65,535
    widened: NDArray[np.uint16] = np.multiply(greys, 257, dtype=np.uint16)
    return widened
