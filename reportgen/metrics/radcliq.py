"""RadCliQ-v1 (Yu et al. 2023) of its three parts, raw: lower is better, a perfect pair has -1.4407.

Its reciprocal, which some leaderboards print, changes sign near a perfect pair and is not given. The parts are read
from a table that CXR-Report-Metric wrote (``report_scores.csv``), named in RADLOOP_RADCLIQ_PARTS, with a row a
report in the order of the references.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from reportgen.metrics.meteor import not_scored
from reportgen.metrics.optional import radcliq
from reportgen.types import Array, Pair, Scored

_PARTS: Final = ("radgraph_combined", "bertscore", "semb_score")


class Radcliq:
    """``radcliq.v1``: RadCliQ-v1, where its parts are at hand."""

    name = "radcliq.v1"
    text = "written"

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """The score of each report, averaged."""
        path = os.environ.get("RADLOOP_RADCLIQ_PARTS", "")
        parts, why = _usable(path, pairs)
        if parts is None:
            return [not_scored("RadCliQ-v1", len(pairs), f"not scored: {why}", higher_is_better=False)]
        values = radcliq(*parts.T)
        sums = np.column_stack([values, np.ones(len(pairs))])
        return [Scored("RadCliQ-v1", values, sums, "mean", higher_is_better=False)]


def _usable(path: str, pairs: Sequence[Pair]) -> tuple[Array | None, str]:
    """The parts of these drafts, or why there are none."""
    if not path or not Path(path).is_file():
        return None, "needs RadGraph, BERTScore and CheXbert similarity (a table in RADLOOP_RADCLIQ_PARTS)"
    try:
        drafts, parts = _parts(Path(path))
    except (OSError, ValueError, KeyError, csv.Error):
        return None, f"the table of parts has no readable columns report, {', '.join(_PARTS)}"
    if [" ".join(text.split()) for text in drafts] != [" ".join(pair.hypothesis.split()) for pair in pairs]:
        return None, "the table of parts is of other drafts"
    return parts, ""


def _parts(path: Path) -> tuple[list[str], Array]:
    """The drafts of the table, and their parts (n, 3)."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = [[float(row[name]) for name in _PARTS] for row in rows]
    return [row["report"] for row in rows], np.array(parts, dtype=np.float64).reshape(len(rows), len(_PARTS))
