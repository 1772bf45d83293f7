"""How machine labels and truth go together, estimated for all reports from those that were read.

What `radloop audit apply` writes as ``FINAL.confusion.json``, for losses that know of label noise:

    {"format": "radloop-confusion", "version": 1, "unit": "reports", "labels_sha256": ...,
     "labels": {LABEL: {
        "states": ["positive", "negative", "uncertain", "blank"],
        "matrix": [[...], ...],     4 x 4, rows truth, columns machine: P(machine | truth); a row sums to 1,
                                    and is null where no read text has that truth
        "lo": ..., "hi": ...,       95 % bounds of each cell (Wilson with the row's effective number of texts)
        "counts": [[...], ...],     4 x 4, reports estimated to be in each cell; the columns sum to what the table has
        "texts": [[...], ...],      4 x 4, texts that were read in each cell
        "n": ...,                   texts with a truth for this label
     }}}

Weights are design weights: texts of a stratum over those of them with a truth, times the reports of a text, then
scaled to the number of reports that the table has in each machine state (post-stratification).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labeler.audit.frame import CODES
from labeler.audit.types import UNREAD, Sample

Array = NDArray[Any]

STATES: Final = tuple(CODES)
_Z: Final = 1.959963984540054


def confusion(sample: Sample, totals: Array) -> dict[str, dict[str, Any]]:
    """The estimated confusion of each label; ``totals`` [L, 4] are the table's reports by machine state."""
    return {name: _of_label(sample, at, totals[at]) for at, name in enumerate(sample.labels)}


def _of_label(sample: Sample, label: int, totals: Array) -> dict[str, Any]:
    truth, machine = sample.truth[:, label], sample.machine[:, label]
    known = truth != UNREAD
    weight = _weights(sample, known)
    counts, texts, squares = np.zeros((4, 4)), np.zeros((4, 4), int), np.zeros((4, 4))
    for row, true in enumerate(CODES.values()):
        for column, said in enumerate(CODES.values()):
            cell = known & (truth == true) & (machine == said)
            counts[row, column], texts[row, column] = weight[cell].sum(), cell.sum()
            squares[row, column] = np.square(weight[cell]).sum()
    scale = np.divide(totals, counts.sum(axis=0), out=np.zeros(4), where=counts.sum(axis=0) > 0)
    counts, squares = counts * scale, squares * scale**2
    rows = counts.sum(axis=1, keepdims=True)
    matrix = np.divide(counts, rows, out=np.full((4, 4), np.nan), where=rows > 0)
    effective = np.divide(rows**2, squares.sum(axis=1, keepdims=True), out=np.zeros((4, 1)), where=rows > 0)
    lo, hi = _wilson(matrix, effective)
    return {
        "states": list(STATES),
        "matrix": _rows(matrix),
        "lo": _rows(lo),
        "hi": _rows(hi),
        "counts": [[round(float(cell), 3) for cell in row] for row in counts],
        "texts": texts.tolist(),
        "n": int(known.sum()),
    }


def _weights(sample: Sample, known: Array) -> Array:
    """Design weights [R] of the texts with a truth, those without one made up for by others of their stratum."""
    sizes = np.array([each.size for each in sample.strata], dtype=np.float64)
    answered = np.bincount(sample.stratum[known], minlength=len(sizes))
    by_stratum = np.divide(sizes, answered, out=np.zeros(len(sizes)), where=answered > 0)
    weights: Array = by_stratum[sample.stratum] * sample.reports * known
    return weights


def _wilson(share: Array, n: Array) -> tuple[Array, Array]:
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def _rows(values: Array) -> list[list[float] | None]:
    # ten digits: rows sum to 1 as closely as anything asks for
    return [None if np.isnan(row).any() else [round(float(cell), 10) for cell in row] for row in values]
