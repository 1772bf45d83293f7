"""Where a draft and the encoder disagree, and which draft of several agrees with it most.

A label is seen where its probability reaches the threshold. A draft that does not mention what is seen omits it; one
that asserts what is not seen lacks support. No Finding follows from the others and is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from corpora.labels import State

_NORMAL: Final = "No Finding"
_FARTHEST: Final = 4.0


@dataclass(frozen=True, slots=True)
class Flag:
    """A label on which draft and encoder disagree, with the encoder's probability."""

    label: str
    kind: Literal["omitted", "unsupported"]
    probability: float


def flags(
    states: Mapping[str, State], probabilities: Mapping[str, float], thresholds: Mapping[str, float]
) -> list[Flag]:
    """The disagreements, by the label's order in ``probabilities``; uncertain counts as said, not as asserted.

    >>> flags({"Edema": None, "Fracture": 1}, {"Edema": 0.9, "Fracture": 0.1}, {})
    [Flag(label='Edema', kind='omitted', probability=0.9), Flag(label='Fracture', kind='unsupported', probability=0.1)]
    """
    found = []
    for label, p in probabilities.items():
        if label == _NORMAL or label not in states:
            continue
        seen, state = p >= thresholds.get(label, 0.5), states[label]
        if seen and state not in (1, -1):
            found.append(Flag(label, "omitted", round(p, 4)))
        elif not seen and state == 1:
            found.append(Flag(label, "unsupported", round(p, 4)))
    return found


def agrees(states: Mapping[str, State], probabilities: Mapping[str, float], thresholds: Mapping[str, float]) -> bool:
    """Whether a draft says the labels that the encoder sees, surely or perhaps, and no other.

    >>> agrees({"Edema": -1}, {"Edema": 0.9}, {}), agrees({"Edema": -1}, {"Edema": 0.2}, {})
    (True, False)
    """
    return all(
        (p >= thresholds.get(label, 0.5)) == (states[label] in (1, -1))
        for label, p in probabilities.items()
        if label != _NORMAL and label in states
    )


def agreement(
    states: Mapping[str, State], probabilities: Mapping[str, float], thresholds: Mapping[str, float]
) -> float:
    """How well a draft fits the encoder: the log odds of each label over its threshold's, for what is said, against
    for what is not; no label counts more than 4.

    >>> sure = {"Edema": 0.9}
    >>> agreement({"Edema": 1}, sure, {}) > 0 > agreement({"Edema": None}, sure, {})
    True
    """
    total = 0.0
    for label, p in probabilities.items():
        if label == _NORMAL or label not in states:
            continue
        odds = np.clip(_logit(p) - _logit(thresholds.get(label, 0.5)), -_FARTHEST, _FARTHEST)
        total += float(odds if states[label] in (1, -1) else -odds)
    return total


def best_thresholds(
    probabilities: NDArray[np.float64], meant: NDArray[np.bool_], labels: Sequence[str], least: int = 3
) -> dict[str, float]:
    """The threshold of best F1 for each label (columns of [N, L]) with at least ``least`` positives.

    >>> p, meant = np.array([[0.1], [0.2], [0.8], [0.9]]), np.array([[False], [False], [True], [True]])
    >>> best_thresholds(p, meant, ["Edema"], least=2)
    {'Edema': 0.5}
    """
    found = {}
    for at, label in enumerate(labels):
        if meant[:, at].sum() < least:
            continue
        order = np.argsort(-probabilities[:, at], kind="stable")
        p, hits = probabilities[order, at], np.cumsum(meant[order, at])
        f1 = 2 * hits / (np.arange(1, len(p) + 1) + hits[-1])
        # a cut between equal values is none
        f1[:-1][p[:-1] == p[1:]] = -1
        best = int(f1.argmax())
        below = p[best + 1] if best + 1 < len(p) else 0.0
        found[label] = round(float((p[best] + below) / 2), 6)
    return found


def _logit(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return float(np.log(p / (1 - p)))
