"""``radloop-clinical.v1``: findings against findings, weighed by what an error does to the patient.

    score = worth / (worth + errors),  worth = base + credit * right

``right`` is the weight of the reference's findings that the draft has, less what is off about them; ``errors`` adds up
omissions, false findings, and wrong sides, places, severities, sizes, changes and certainties. Denied normals are
nearly free. 1 is a draft without error; a draft without a word has no score, for silence alone would cost little where
the reference is normal. See ``configs/clinical/radloop-clinical.v1.yaml`` for every number in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import numpy as np

from reportgen.clinical import Comparison, compare_findings, load_reader
from reportgen.types import Pair, Scored, empty_drafts

_KINDS: Final = ("omission", "false finding")


class Clinical:
    """``radloop-clinical.v1``: the score, and the errors a report by kind, with their sentences as evidence."""

    name = "radloop-clinical.v1"
    text = "written"

    def __init__(self, config: str = "radloop-clinical.v1") -> None:
        self._reader = load_reader(config)
        self._config = self._reader.config

    def compare(self, draft: str, reference: str) -> Comparison:
        """The comparison of one draft with one reference: its score and its errors."""
        return compare_findings(self._reader(draft), self._reader(reference), self._config)

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """The score of each report against the best of its references; an empty draft has none, and counts as 0."""
        found = [max((self.compare(p.hypothesis, r) for r in p.references), key=lambda one: one.score) for p in pairs]
        empty = empty_drafts(pairs)
        values = np.array([comparison.score for comparison in found], dtype=np.float64)
        values[list(empty)] = 0.0
        sums = np.column_stack([values, np.ones(len(pairs))]) if pairs else np.zeros((0, 2))
        values[list(empty)] = np.nan
        evidence = {at: [asdict(error) for error in one.errors] for at, one in enumerate(found) if one.errors}
        score = Scored(self.name.removesuffix(".v1"), values, sums, "mean", empty, evidence=evidence)
        return [score, *(self._errors(kind, found) for kind in _KINDS)]

    def _errors(self, kind: str, found: Sequence[Comparison]) -> Scored:
        counts = np.array([sum(error.kind == kind for error in one.errors) for one in found], dtype=np.float64)
        sums = np.column_stack([counts, np.ones(len(found))]) if found else np.zeros((0, 2))
        return Scored(f"{kind}s a report", counts, sums, "mean", higher_is_better=False)
