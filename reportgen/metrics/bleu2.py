"""BLEU-2 of each report, averaged, as CXR-Report-Metric and ReXrank compute it (Yu et al. 2023).

Words are what blanks separate; a count of hits of zero becomes 0.1 (the first smoothing of Chen and Cherry 2014).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reportgen.metrics.bleu import counts
from reportgen.types import Pair, Scored

_SMOOTHED = 0.1


class Bleu2Sentence:
    """``bleu2-sentence.v1``: BLEU-2 of each report, averaged."""

    name = "bleu2-sentence.v1"
    text = "tokens"

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """Scores of each report; an empty draft has none, and counts as 0 in the mean."""
        sums = counts(pairs)
        precision = np.ones(len(pairs))
        for n in (0, 1):
            hits = np.where(sums[:, n] == 0, _SMOOTHED, sums[:, n])
            precision *= hits / np.maximum(sums[:, 4 + n], 1)
        with np.errstate(over="ignore", divide="ignore"):
            ratio = sums[:, 9] / np.maximum(sums[:, 8], 1e-9)
            values = np.sqrt(precision) * np.where(ratio >= 1, np.exp(1 - ratio), 1.0)
        empty = dict.fromkeys(np.flatnonzero(sums[:, 8] == 0).tolist(), "empty draft")
        values[list(empty)] = 0.0
        kept = np.column_stack([values, np.ones(len(pairs))])
        values[list(empty)] = np.nan
        return [Scored("bleu2", values, kept, "mean", empty)]
