"""What a benchmark reads and what it says.

    Entry(study_id, text)                         one report of a file
      -> Pair(study_id, hypothesis, references)   a draft and what it is measured against
      -> Scored(name, values, sums, ...)          one metric over all pairs

A score that cannot be given is NaN in ``values``, has a reason, and is counted; it is never a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Sums over reports (..., k) to the value of the metric (...); NaN where it is undefined.
Finish = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Pair:
    """A draft and the report, or reports, it is measured against."""

    study_id: str
    hypothesis: str
    references: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The first reference: what metrics of one reference read."""
        return self.references[0]

    @property
    def is_empty(self) -> bool:
        """Whether the draft has no word: no letter and no digit in it, dots and dashes or nothing at all."""
        return not any(map(str.isalnum, self.hypothesis))


def empty_drafts(pairs: Sequence[Pair]) -> dict[int, str]:
    """The places of the empty drafts, with why they have no score: what ``Scored.reasons`` takes."""
    return {at: "empty draft" for at, pair in enumerate(pairs) if pair.is_empty}


@dataclass(frozen=True, slots=True)
class Scored:
    """One metric over a set of pairs.

    ``values`` (n,) is the score of each report, NaN where it has none. The value over a set of reports is
    ``finish`` of the summed rows of ``sums`` (n, k): so resampling reports is a matrix product. ``finisher`` is the
    name that ``finish`` is kept under in a run folder. ``reasons`` says why single reports have no score, by their
    place; ``reason`` why the set has none.
    """

    name: str
    values: Array
    sums: Array
    finisher: str
    reasons: Mapping[int, str] = field(default_factory=dict)
    reason: str = ""
    higher_is_better: bool = True
    evidence: Mapping[int, Any] = field(default_factory=dict)

    @property
    def unscored(self) -> int:
        """How many reports have no score."""
        return int(np.isnan(self.values).sum())

    def total(self) -> float:
        """The value over all reports; NaN where it is undefined."""
        from reportgen.metrics.finish import finish

        if self.reason:
            return float("nan")
        return float(finish(self.finisher)(self.sums.sum(axis=0)))
