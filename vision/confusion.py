"""How often a machine's labels are wrong: the confusion matrices of an audit, as the noise-aware loss wants them.

    {"labels": {"Edema": {"states": ["positive", "negative", "uncertain", "blank"],
                          "matrix": [[...], [...], [...], [...]], ...}}}

Rows are the truth, columns what the machine wrote. Rows may be counts (design-weighted), shares of all, or shares of
their row; ``radloop audit apply`` writes such a file beside its labels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from vision.uncertainty import BLANK, NEGATIVE, POSITIVE, UNCERTAIN

Matrix = NDArray[np.float64]

NAMES: Final = ("positive", "negative", "uncertain", "blank")
_STEPS: Final = 2000


def read_confusion(path: Path | str, labels: Sequence[str]) -> dict[str, Matrix]:
    """The matrices [4, 4] of ``labels``: rows truth, columns machine, in the order of ``NAMES``.

    Raises ``DataError``: ``data.file``, ``data.json``, ``vision.confusion`` for a label or a matrix that is missing or
    makes no sense.
    """
    path = Path(path)
    try:
        given = json.loads(path.read_text(encoding="utf-8"))["labels"]
        return {label: _matrix(given[label], label, path) for label in labels}
    except OSError as error:
        raise DataError("data.file", error.strerror or "cannot be read", where=str(path)) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError("data.json", "the confusion matrices are not JSON", where=str(path)) from error
    except (KeyError, TypeError) as error:
        message = f"it has no matrix of {error.args[0]!r}" if isinstance(error, KeyError) else "not label to matrix"
        raise DataError("vision.confusion", message, where=str(path)) from None


def _matrix(entry: Mapping[str, Any], label: str, path: Path) -> Matrix:
    states = list(entry.get("states", NAMES))
    where = f"{path}, {label!r}"
    try:
        # null stands for a truth that nobody read
        rows = [[0.0] * len(states) if row is None else row for row in entry["matrix"]]
        given = np.array(rows, dtype=np.float64)
    except (ValueError, TypeError):
        raise DataError("vision.confusion", "the matrix is no table of numbers", where=where) from None
    if given.shape != (len(states), len(states)) or set(states) != set(NAMES):
        raise DataError("vision.confusion", f"the matrix is not 4 x 4 over {', '.join(NAMES)}", where=where)
    if not np.isfinite(given).all() or (given < 0).any() or given.sum() <= 0:
        raise DataError("vision.confusion", "a share of the matrix is negative or no number", where=where)
    order = [states.index(name) for name in NAMES]
    return given[np.ix_(order, order)]


def channel_of(matrix: Matrix, written: Matrix, *, blank_counts: bool) -> Matrix:
    """What the machine writes [2, 4] where the truth is positive, and where it is not.

    ``matrix`` [4, 4] as read, ``written`` [4] how often each state occurs in the labels. A true blank is negative, or
    left out with the machine's blanks if blanks do not count; a true uncertain is one half of each. How often the
    truth is in which state, by which rows are brought together, is the mixture of rows nearest to ``written``.
    """
    rows = _rows(matrix)
    prior = _prior(rows, np.asarray(written, dtype=np.float64))
    if not blank_counts:
        rows, prior = rows.copy(), prior.copy()
        rows[:, BLANK], prior[BLANK] = 0.0, 0.0
        rows = _rows(rows)
    yes, no = np.zeros(4), np.zeros(4)
    yes[[POSITIVE, UNCERTAIN]] = 1.0, 0.5
    no[[NEGATIVE, UNCERTAIN, BLANK]] = 1.0, 0.5, 1.0
    # weights that are never all zero: a positive that never occurs is still written as its row says
    weights = np.stack([yes, no]) * np.maximum(prior, 1e-9)
    found: Matrix = _rows(weights @ rows)
    return found


def _rows(matrix: Matrix) -> Matrix:
    sums = matrix.sum(axis=1, keepdims=True)
    own = np.eye(len(matrix), matrix.shape[1]) if len(matrix) == matrix.shape[1] else np.zeros_like(matrix)
    # a truth that the audit never met is taken to be written as it is
    return np.where(sums > 0, matrix / np.where(sums > 0, sums, 1), own)


def _prior(rows: Matrix, written: Matrix) -> Matrix:
    """The mixture [4] of rows most likely to have written so: expectation maximisation."""
    share = written / max(float(written.sum()), 1e-12)
    prior = np.full(len(rows), 1 / len(rows))
    for _ in range(_STEPS):
        mixed = prior @ rows
        prior = prior * (rows @ np.divide(share, mixed, out=np.zeros_like(share), where=mixed > 0))
        prior /= max(float(prior.sum()), 1e-12)
    return prior
