"""Have these ids been seen before? Eight bytes an id, whatever their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Hashes = NDArray[np.int64]


class SeenIds:
    """A set of ids that only grows, kept as sorted arrays of Python's own 64-bit hashes, whose sizes double.

    Two different ids are taken for one with a chance of about n squared in 4e19: 1 in 400,000 for ten million ids.

    >>> seen = SeenIds()
    >>> seen.add(["a", "b", "a"]), seen.add(["c", "b"])
    ([False, False, True], [False, True])
    """

    def __init__(self) -> None:
        self._runs: list[_Hashes] = []

    def add(self, ids: Sequence[str]) -> list[bool]:
        """Add ids; which of them were there already, or earlier among them."""
        if not ids:
            return []
        hashes = np.fromiter(map(hash, ids), dtype=np.int64, count=len(ids))
        distinct, first = np.unique(hashes, return_index=True)
        repeated = np.ones(len(hashes), dtype=bool)
        repeated[first] = False
        for run in self._runs:
            repeated |= _contains(run, hashes)
        self._insert(distinct)
        return [bool(flag) for flag in repeated]

    def _insert(self, run: _Hashes) -> None:
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.union1d(self._runs.pop(), run)
        self._runs.append(run)


def _contains(run: _Hashes, hashes: _Hashes) -> NDArray[np.bool_]:
    places = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
    found: NDArray[np.bool_] = run[places] == hashes
    return found
