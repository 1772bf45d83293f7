"""Temperatures by which probabilities come to mean what they say, and how far off they were before and are after.

Guo et al., "On calibration of modern neural networks", ICML 2017: one temperature per label, of least log loss on the
held-out reports; the expected calibration error over 15 bins of the probability of the class given. The temperature is
that of the sentences' logits, the loss that of the reports they make.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labeler.neural.combine import report_probabilities
from labeler.neural.measure import softmax
from labeler.neural.reading import IGNORED

COOLEST, HOTTEST = 0.25, 8.0
_BINS: Final = 15
_LEAST: Final = 1e-6
# 24 to an octave, 1 among them
_TRIED: Final = COOLEST * 2.0 ** (np.arange(24 * 5 + 1) / 24)


def temperatures(
    logits: NDArray[np.float32], sizes: Sequence[int], truth: NDArray[np.int64], no_finding: int | None = None
) -> list[float]:
    """For each label the temperature of least log loss: between 1/4 and 8, and 1 where nothing can be told.

    ``logits`` [S, L, 4] are those of sentences, ``truth`` [N, L] class numbers of the reports they make (``sizes`` [N]
    of them each), -100 where there is none.
    """
    losses = np.stack(
        [_losses(report_probabilities(softmax(logits / one), sizes, no_finding), truth) for one in _TRIED]
    )
    told = [len(np.unique(column[column != IGNORED])) > 1 for column in truth.T]
    best = losses.argmin(axis=0)
    return [float(_TRIED[at]) if known else 1.0 for at, known in zip(best, told, strict=True)]


def _losses(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """The log loss [L] of each label."""
    known = truth != IGNORED
    right = np.take_along_axis(probabilities, np.where(known, truth, 0)[:, :, None], axis=-1)[:, :, 0]
    lost: NDArray[np.float64] = np.where(known, -np.log(np.maximum(right, _LEAST)), 0.0).sum(axis=0)
    return lost


def calibration_error(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float | None:
    """The expected calibration error of probabilities [N, 4] of ``truth`` [N]; None where there is no truth."""
    known = truth != IGNORED
    if not known.any():
        return None
    sure, said = probabilities[known].max(axis=-1), probabilities[known].argmax(axis=-1)
    right = (said == truth[known]).astype(np.float64)
    bins = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=right - sure, minlength=_BINS)
    return float(np.abs(gaps).sum() / known.sum())


def calibration(
    logits: NDArray[np.float32], sizes: Sequence[int], truth: NDArray[np.int64], labels: Sequence[str],
    found: Sequence[float], no_finding: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Per label the cells, the temperature and the calibration error without and with it; and over all labels."""
    cooled = logits / np.array(found, dtype=np.float32)[None, :, None]
    before, after = (report_probabilities(softmax(one), sizes, no_finding) for one in (logits, cooled))
    rows = {
        label: {
            "cells": int((truth[:, at] != IGNORED).sum()),
            "temperature": found[at],
            "ece_before": calibration_error(before[:, at], truth[:, at]),
            "ece_after": calibration_error(after[:, at], truth[:, at]),
        }
        for at, label in enumerate(labels)
    }
    flat = truth.reshape(-1)
    return {
        "ece_before": calibration_error(before.reshape(len(flat), -1), flat),
        "ece_after": calibration_error(after.reshape(len(flat), -1), flat),
        "labels": rows,
    }
