"""The rows that stand under every system: what no system should fail to beat.

constant            one normal report, written by hand, for every study
most-common         the report that is most frequent in training (in the references, where no training is given)
random-train        a training report drawn by chance
nearest-neighbour   the training report whose words are nearest to the draft's: retrieval in the system's place
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from reportgen.types import Pair

CONSTANT: Final = (
    "The heart is normal in size. The mediastinum is unremarkable. The lungs are clear. "
    "There is no pleural effusion or pneumothorax."
)
_MOST_TRAINED: Final = 50_000


def baseline_rows(pairs: Sequence[Pair], train: Mapping[str, str], seed: int) -> dict[str, list[str]]:
    """The drafts of each baseline, in the order of the pairs; the last two only with training reports."""
    reports = [text for text in train.values() if text.strip()]
    frequent = Counter(reports or [pair.reference for pair in pairs if pair.reference.strip()])
    rows = {"constant": [CONSTANT] * len(pairs)}
    if frequent:
        # of several that are as frequent, the one that sorts first: the order of the file decides nothing
        text = min(frequent, key=lambda report: (-frequent[report], report))
        rows["most-common" if reports else "most-common (of the references)"] = [text] * len(pairs)
    if reports:
        rng = np.random.default_rng(seed)
        rows["random-train"] = [reports[at] for at in rng.integers(len(reports), size=len(pairs))]
        rows["nearest-neighbour"] = nearest([pair.hypothesis for pair in pairs], reports, seed)
    return rows


def nearest(drafts: Sequence[str], reports: Sequence[str], seed: int = 0) -> list[str]:
    """The report nearest to each draft by the cosine of its words, weighed by rarity; of 50,000 reports at most."""
    if len(reports) > _MOST_TRAINED:
        chosen = np.random.default_rng(seed).choice(len(reports), _MOST_TRAINED, replace=False)
        reports = [reports[at] for at in np.sort(chosen)]
    distinct = list(dict.fromkeys(drafts))
    words: dict[str, int] = {}
    counted = [_counted(text, words) for text in reports]
    weights = _weights(counted, len(words), len(reports))
    train = _matrix(counted, weights)
    found: dict[str, str] = {}
    for start in range(0, len(distinct), 256):
        some = distinct[start : start + 256]
        known = [{w: c for w, c in _counted(text, dict(words)).items() if w < len(words)} for text in some]
        closeness = np.asarray((_matrix(known, weights) @ train.T).todense())
        found.update(zip(some, (reports[at] for at in closeness.argmax(axis=1)), strict=True))
    return [found[draft] for draft in drafts]


def _counted(text: str, words: dict[str, int]) -> Counter[int]:
    return Counter(words.setdefault(word, len(words)) for word in text.lower().replace(".", " ").split())


def _weights(counted: Sequence[Counter[int]], words: int, reports: int) -> Any:
    frequency = np.zeros(max(words, 1))
    for counts in counted:
        frequency[list(counts)] += 1
    return np.log((1 + reports) / (1 + frequency)) + 1


def _matrix(counted: Sequence[Mapping[int, int]], weights: Any) -> Any:
    from scipy.sparse import csr_matrix

    ends = np.cumsum([0, *map(len, counted)])
    columns = np.array([word for counts in counted for word in counts], dtype=np.int64)
    values = np.array([count for counts in counted for count in counts.values()], dtype=np.float64)
    values = (1 + np.log(values)) * weights[columns]
    rows = np.repeat(np.arange(len(counted)), np.diff(ends))
    norms = np.sqrt(np.bincount(rows, values**2, len(counted)))
    return csr_matrix((values / norms[rows], columns, ends), shape=(len(counted), len(weights)))
