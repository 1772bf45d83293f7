"""Temperatures by which probabilities come to mean what they say, and how far off they were before and are after.

Guo et al., "On calibration of modern neural networks", ICML 2017: one temperature per label, of least log loss on the
held-out part, found by L-BFGS; the expected calibration error over 15 bins of the probability of the class given.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from labeler.neural.measure import softmax
from labeler.neural.reading import IGNORED

COOLEST, HOTTEST = 0.25, 8.0
_BINS: Final = 15
_STEPS: Final = 100


def temperatures(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> list[float]:
    """For each label the temperature of least log loss: between 1/4 and 8, and 1 where nothing can be told.

    ``logits`` [N, L, 4], ``truth`` [N, L] class numbers, -100 where there is none.
    """
    return [_temperature(logits[:, at], truth[:, at]) for at in range(truth.shape[1])]


def _temperature(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    known = truth != IGNORED
    if len(np.unique(truth[known])) < 2:
        return 1.0
    rows = torch.from_numpy(logits[known].astype(np.float64))
    right = torch.from_numpy(truth[known])
    # of the logarithm, so that it stays above zero; the log loss is convex in 1 / temperature, so there is one minimum
    log = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(rows / log.exp(), right)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    found = math.exp(float(log.detach())) if math.isfinite(float(log.detach())) else 1.0
    return min(max(found, COOLEST), HOTTEST)


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
    logits: NDArray[np.float32], truth: NDArray[np.int64], labels: list[str], found: list[float]
) -> dict[str, Any]:
    """Per label the cells, the temperature and the calibration error without and with it; and over all labels."""
    before, after = softmax(logits), softmax(logits / np.array(found, dtype=np.float32)[None, :, None])
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
