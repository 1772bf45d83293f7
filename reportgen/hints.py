"""Labels that the encoder sees in a study, told to the decoder by their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reportgen.data import Example, Sight
from reportgen.model import Drafter


def probabilities_of(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities of logits, of any shape."""
    found: NDArray[np.float64] = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return found


def study_probabilities(model: Drafter, sight: Sight, studies: Sequence[Example]) -> NDArray[np.float64]:
    """The encoder's probabilities [N, L] of studies, from the views that it was trained on."""
    return probabilities_of(sight.study_logits(studies, model.encoder.config.views))


def thresholds_of(model: Drafter) -> dict[str, float]:
    """Where a label counts as seen: found in training, else the encoder's own, else one half."""
    own, eye = model.config.thresholds, model.encoder.config.thresholds or {}
    return {label: float(own.get(label, eye.get(label, 0.5))) for label in model.encoder.config.label_names}


def seen_labels(model: Drafter, sight: Sight, studies: Sequence[Example]) -> list[list[str]] | None:
    """The labels that the encoder sees in each study; None for a drafter without hints."""
    if not model.config.hints:
        return None
    limits = thresholds_of(model)
    seen = study_probabilities(model, sight, studies) >= np.array(list(limits.values()))
    return [[label for label, here in zip(limits, row, strict=True) if here] for row in seen]
