"""Permanent random numbers: a report keeps its number, so that a larger draw contains the smaller one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_SEPARATOR = b"\x1f"


def permanent_random_numbers(seed: str, ids: Iterable[str]) -> NDArray[np.float64]:
    """A number in [0, 1) for each id: the first eight bytes of SHA-256 of seed, unit separator and id, over 2^64.

    Drawing the n smallest numbers of a stratum is simple random sampling without replacement, and a draw of more
    reports contains every draw of fewer.

    >>> permanent_random_numbers("audit-1", ["R0001", "R0002"]).round(4).tolist()
    [0.4984, 0.0497]
    """
    start = hashlib.sha256(seed.encode("utf-8", "surrogateescape") + _SEPARATOR)

    def first_bytes(name: str) -> bytes:
        digest = start.copy()
        digest.update(name.encode("utf-8", "surrogateescape"))
        return digest.digest()[:8]

    whole = np.frombuffer(b"".join(map(first_bytes, ids)), dtype=">u8")
    # the 53 bits that a float holds, rounded down, so that no number is 1
    return (whole >> np.uint64(11)).astype(np.float64) / 2.0**53
