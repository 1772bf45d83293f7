"""Perceptual hashes: the same film, resized or compressed again, has nearly the same hash."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE: Final = 32


def phash(film: NDArray[Any]) -> str:
    """The 64-bit perceptual hash (DCT of a 32 x 32 reduction) of a film of shape (rows, columns), as 16 hex digits."""
    import imagehash

    if film.ndim != 2 or 0 in film.shape:
        raise ValueError(f"a film has rows and columns, not the shape {film.shape}")
    step = max(1, min(film.shape) // (8 * _SIDE))
    small = film[::step, ::step].astype(np.float32)
    low, high = float(small.min()), float(small.max())
    shown = Image.fromarray(np.rint((small - low) * (255 / ((high - low) or 1.0))).astype(np.uint8))
    return str(imagehash.phash(shown.resize((_SIDE, _SIDE), Image.Resampling.BOX)))


def hamming(one: str, other: str) -> int:
    """In how many bits two hashes differ.

    >>> hamming("ff00ff00ff00ff00", "ff00ff00ff00ff01")
    1
    """
    return (int(one, 16) ^ int(other, 16)).bit_count()
