"""Clinical F1 of drafts by the labels that a labeler reads: what checkpoints are chosen by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from corpora.types import Report
from labeler.base import load

_NORMAL = "No Finding"


def labels_in(labeler: str, texts: Sequence[str], among: Sequence[str]) -> list[list[str]]:
    """The labels that each text has, surely or perhaps, of those ``among``, in their order."""
    labels, found = positives(labeler, texts)
    place = {label: at for at, label in enumerate(labels)}
    return [[label for label in among if label in place and row[place[label]]] for row in found]


def labels_of(labeler: str, texts: Sequence[str], among: Sequence[str]) -> NDArray[np.bool_]:
    """Which labels of those ``among`` texts have [N, L], surely or perhaps; one that the labeler has not is absent."""
    known, found = positives(labeler, texts)
    place = {label: at for at, label in enumerate(known)}
    absent = np.zeros(len(texts), dtype=bool)
    return np.stack([found[:, place[label]] if label in place else absent for label in among], axis=1)


def positives(labeler: str, texts: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """The labels, and where texts [N, L] have them, surely or perhaps."""
    reader = load(labeler)
    states = reader.states([Report("", text) for text in texts])
    found = np.array([[state in (1, -1) for state in row] for row in states], dtype=bool)
    return reader.schema.labels, found.reshape(len(texts), len(reader.schema.labels))


def macro_f1(said: NDArray[np.bool_], meant: NDArray[np.bool_]) -> float:
    """The mean F1 of the labels that either side [N, L] ever has; 0 if there are none.

    >>> macro_f1(np.array([[True, False], [True, False]]), np.array([[True, False], [False, False]])).__round__(3)
    0.667
    """
    either = said.sum(axis=0) + meant.sum(axis=0)
    scores = 2 * (said & meant).sum(axis=0)[either > 0] / either[either > 0]
    return float(scores.mean()) if len(scores) else 0.0


class ClinicalScore:
    """Macro F1 of findings in drafts, against the same references each time; No Finding is left out."""

    def __init__(self, labeler: str, references: Sequence[str]) -> None:
        self.labeler = labeler
        labels, self.meant = positives(labeler, references)
        self.kept = [at for at, label in enumerate(labels) if label != _NORMAL]

    def __call__(self, drafts: Sequence[str]) -> float:
        _, said = positives(self.labeler, drafts)
        return macro_f1(said[:, self.kept], self.meant[:, self.kept])
