"""Agreement of the labels that a labeler reads in draft and reference.

``ce`` stands for clinical efficacy, the name that papers use. Micro F1 rewards the label No Finding, so it comes with
and without; a label that neither side ever has drops out of the macro mean, and ``-zero`` counts it as 0, as
scikit-learn does. Uncertain counts as the protocol's convention says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from corpora.labels import State
from corpora.types import Report
from labeler.base import load
from reportgen.metrics.finish import finish
from reportgen.types import Array, Pair, Scored, empty_drafts

#: The five of CheXpert's competition.
FIVE: Final = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
_NORMAL: Final = "No Finding"
_CODES: Final[dict[State, int]] = {1: 0, 0: 1, -1: 2, None: 3}


class LabelF1:
    """``label-f1.v1``: F1 of the positive labels over 14 and 5 labels, and kappa over the four states.

    ``references`` are label states by study id where the references come labeled; the labeler reads the others.
    """

    name = "label-f1.v1"
    text = "written"

    def __init__(
        self,
        labeler: str = "rules.v1",
        schema: str = "chexpert14.v1",
        uncertain: str = "positive",
        references: Mapping[str, Sequence[State]] | None = None,
    ) -> None:
        self._labeler = _load(labeler, schema)
        self._uncertain = uncertain
        self._references = references or {}

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in order."""
        return self._labeler.schema.labels

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """F1 of each report where it has positive labels, kappa of the set, F1 of each label."""
        drafts, meant = self.states(pairs)
        said_yes, meant_yes = self._positive(drafts), self._positive(meant)
        counts = np.stack([said_yes & meant_yes, said_yes, meant_yes], axis=-1).astype(np.float64)
        empty = empty_drafts(pairs)
        scored = [_scored(name, counts[:, at], kept, empty) for name, at, kept in self._views()]
        scored.append(_kappa(drafts, meant, empty))
        each = [_scored(f"F1 {label}", counts[:, [at]], "f1", empty) for at, label in enumerate(self.labels)]
        return scored + each

    def states(self, pairs: Sequence[Pair]) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
        """Codes of states (n, labels) of the drafts, and of the references: 0 positive, 1 negative, 2 uncertain, 3."""
        known = [self._references.get(pair.study_id) for pair in pairs]
        unread = [pair.reference for pair, states in zip(pairs, known, strict=True) if states is None]
        read = iter(self._read(unread))
        meant = [next(read) if states is None else tuple(states) for states in known]
        return self._coded(self._read([pair.hypothesis for pair in pairs])), self._coded(meant)

    def _read(self, texts: Sequence[str]) -> list[tuple[State, ...]]:
        return self._labeler.states([Report("", text) for text in texts])

    def _coded(self, states: Sequence[Sequence[State]]) -> NDArray[np.int8]:
        rows = [[_CODES[state] for state in row] for row in states]
        return np.array(rows, dtype=np.int8).reshape(len(rows), len(self.labels))

    def _positive(self, codes: NDArray[np.int8]) -> NDArray[np.bool_]:
        positive: NDArray[np.bool_] = (codes == 0) | ((codes == 2) & (self._uncertain == "positive"))
        return positive

    def _views(self) -> list[tuple[str, list[int], str]]:
        every = list(range(len(self.labels)))
        found = [at for at in every if self.labels[at] != _NORMAL]
        five = [self.labels.index(label) for label in FIVE if label in self.labels]
        count = len(every)
        return [
            (f"ce-micro-{count}", every, "f1"), (f"ce-macro-{count}", every, "f1.macro"),
            (f"ce-macro-{count}-zero", every, "f1.macro.all"), ("ce-micro-findings", found, "f1"),
            *([("ce-micro-5", five, "f1"), ("ce-macro-5", five, "f1.macro")] if five else []),
        ]  # fmt: skip


# compiling its lexicon takes a labeler a second
_load = cache(load)


def _scored(name: str, counts: Array, kept: str, empty: Mapping[int, str]) -> Scored:
    """``counts`` is (n, labels, 3): hits, said, meant."""
    n = len(counts)
    pooled = counts.sum(axis=1)
    sums = counts.reshape(n, counts.shape[1] * 3) if kept.startswith("f1.macro") else pooled
    values = np.asarray(finish("f1")(pooled), dtype=np.float64)
    neither = "neither draft nor reference has one of the labels"
    reasons = dict.fromkeys(np.flatnonzero(np.isnan(values)).tolist(), neither) | dict(empty)
    values[list(empty)] = np.nan
    return Scored(name, values, sums, kept, reasons)


def _kappa(drafts: NDArray[np.int8], meant: NDArray[np.int8], empty: Mapping[int, str]) -> Scored:
    n, labels = drafts.shape
    tables = np.zeros((n, 16))
    np.add.at(tables, (np.repeat(np.arange(n), labels), (meant * 4 + drafts).ravel()), 1)
    values = (drafts == meant).mean(axis=1) if n else np.zeros(0)
    values[list(empty)] = np.nan
    return Scored("ce-kappa-4-states", values, tables, "kappa", dict(empty))
