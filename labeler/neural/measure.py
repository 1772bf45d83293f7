"""How well probabilities agree with labels: weighted F1 to stop by, log loss."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from corpora.labels import BLANK, STATE_NAMES
from labeler.neural.reading import CLASSES, IGNORED

# blank is what remains: it is no class of its own in the scorer either
_STATED: Final = slice(1, len(CLASSES))


def weighted_f1(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Per label the F1 of positive, negative and uncertain weighted by support, then the mean over labels with any.

    The measure of ``radloop label score``. ``found`` and ``truth`` are class numbers [N, L]; -100 in ``truth`` does not
    count. 0 if no label has support.
    """
    counts = truth != IGNORED
    numbers = np.arange(len(CLASSES))[:, None, None]
    said = (found == numbers) & counts
    true = (truth == numbers) & counts
    hits, saids, support = (cells.sum(axis=1)[_STATED] for cells in (said & true, said, true))
    f1 = 2 * hits / np.maximum(saids + support, 1)
    totals = support.sum(axis=0)
    per_label = (f1 * support).sum(axis=0) / np.maximum(totals, 1)
    return float(per_label[totals > 0].mean()) if (totals > 0).any() else 0.0


def state_f1(found: NDArray[np.int64], truth: NDArray[np.int64]) -> dict[str, float]:
    """The weighted F1, and by state the F1 over the cells of all labels; arguments as of ``weighted_f1``."""
    counts = truth != IGNORED
    scores = {"weighted_f1": weighted_f1(found, truth)}
    for number, state in enumerate(CLASSES):
        if state is not BLANK:
            said, true = (found == number) & counts, (truth == number) & counts
            scores[STATE_NAMES[state]] = 2 * float((said & true).sum()) / max(int(said.sum() + true.sum()), 1)
    return scores


def log_loss(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The mean of minus the logarithm of what is given to the true class: ``logits`` [N, C], ``truth`` [N]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=-1))
    return float((log_sums - shifted[np.arange(len(truth)), truth]).mean())


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities over the last axis."""
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)  # type: ignore[no-any-return]
