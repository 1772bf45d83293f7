"""What is learned from: a teacher's labels of sentences and how far they are trusted, labels of whole reports.

A teacher reads sentence by sentence what a network is to read sentence by sentence. What is known of a report as a
whole, by gold or because it is held out to measure by, belongs to the bag of its sentences.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from corpora.labels import BLANK, NEGATIVE, POSITIVE, UNCERTAIN, State
from corpora.readers import ReadOptions, open_source
from corpora.types import Reject, Report, Section
from corpora.unique import SeenIds
from labeler.base import Labeler
from labeler.neural.reading import CLASS_OF, CLASSES, IGNORED, has_words, read
from labeler.neural.recipe import TrustRecipe
from labeler.score_io import EXCLUDED, STATES, Column, LabelTable, at_row, read_labels
from labeler.types import LabelVector

_AT_ONCE: Final = 1000
_STOPS: Final = (".", "?", "!")
# a label's class that is never seen weighs as one seen once; no class weighs more than this many times another
_HEAVIEST: Final = 10.0


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts, their class numbers [N, L], -100 where a cell does not count, and how far a cell is trusted [N, L]."""

    texts: list[str]
    classes: NDArray[np.int64]
    trust: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, chosen: NDArray[np.bool_]) -> Examples:
        """Those that are chosen."""
        return Examples([self.texts[at] for at in np.flatnonzero(chosen)], self.classes[chosen], self.trust[chosen])

    def __add__(self, others: Examples) -> Examples:
        classes = np.concatenate([self.classes, others.classes])
        return Examples(self.texts + others.texts, classes, np.concatenate([self.trust, others.trust]))


@dataclass(frozen=True, slots=True)
class Collected:
    """The reports of the sources, and how many records were passed over: rejected, or without words to read."""

    reports: list[Report]
    rejected: int
    wordless: int


def collect(sources: Sequence[str], options: ReadOptions, sections: str) -> Collected:
    """All reports with words in ``sections``, each study id once. Raises ``DataError`` if there is none."""
    reports: list[Report] = []
    rejected = wordless = 0
    seen = SeenIds()
    for source in sources:
        records = open_source(source, options)
        while group := list(islice(records, _AT_ONCE)):
            studies = [record for record in group if not isinstance(record, Reject)]
            came_before = seen.add([study.study_id for study in studies])
            rejected += len(group) - len(studies) + sum(map(bool, came_before))
            fresh = [study for study, before in zip(studies, came_before, strict=True) if not before]
            found = [study.report for study in fresh if study.report and has_words(read(study.report, sections).text)]
            wordless += len(fresh) - len(found)
            reports += found
    if not reports:
        raise DataError("data.empty", "there is no report with words to learn from", where=", ".join(sources))
    return Collected(reports, rejected, wordless)


def whole_reports(labeler: Labeler, reports: Sequence[Report], sections: str) -> Examples:
    """What ``labeler`` says of each report as a whole, all of it trusted."""
    states = [row for chunk in _chunks(reports) for row in labeler.states(chunk, sections)]
    classes = _classes(states, len(labeler.schema.labels))
    return Examples([read(report, sections).text for report in reports], classes, np.ones(classes.shape, np.float32))


def weak_examples(labeler: Labeler, texts: Sequence[str], trust: TrustRecipe) -> Examples:
    """What ``labeler`` says of each sentence, and how far that is trusted.

    A cell counts in the loss with ``trust.uncertain`` where the labeler leaves it open, and with ``trust.contradicted``
    where its evidence holds two states; where it does both, with both. A sentence is negative of No Finding if a normal
    sentence before it would not make a normal report.
    """
    schema = labeler.schema
    reports = [_as_report(text) for text in texts]
    states: list[tuple[State, ...]] = []
    trusted = np.ones((len(texts), len(schema.labels)), dtype=np.float32)
    if trust.contradicted < 1:
        for row, report in enumerate(reports):
            vector = labeler(report)
            states.append(vector.states)
            for label in _contradicted(vector):
                trusted[row, schema.labels.index(label)] = trust.contradicted
    else:
        states = [row for chunk in _chunks(reports) for row in labeler.states(chunk)]
    classes = _classes(states, len(schema.labels))
    trusted[classes == CLASS_OF[UNCERTAIN]] *= trust.uncertain
    if schema.no_finding in schema.labels:
        _mark_abnormal(labeler, texts, classes[:, schema.labels.index(schema.no_finding)])
    return Examples(list(texts), classes, trusted)


def _mark_abnormal(labeler: Labeler, texts: Sequence[str], no_finding: NDArray[np.int64]) -> None:
    """Make the cells of No Finding negative where a text stands in its way."""
    normal = [text for text, number in zip(texts, no_finding, strict=True) if number == CLASS_OF[POSITIVE]]
    if not normal:
        return
    first = min(set(normal), key=lambda text: (len(text), text))
    first = first if first.endswith(_STOPS) else f"{first}."
    at = labeler.schema.labels.index(labeler.schema.no_finding or "")
    together = [_as_report(f"{first} {text}") for text in texts]
    for row, states in enumerate(row for chunk in _chunks(together) for row in labeler.states(chunk)):
        if states[at] is BLANK:
            no_finding[row] = CLASS_OF[NEGATIVE]


def _as_report(text: str) -> Report:
    return Report("", text, (Section("findings", 0, len(text)),))


def _classes(states: Sequence[tuple[State, ...]], labels: int) -> NDArray[np.int64]:
    cells = [[CLASS_OF[state] for state in row] for row in states]
    return np.array(cells, dtype=np.int64).reshape(len(states), labels)


def _contradicted(vector: LabelVector) -> set[str]:
    """The labels of which one mention says this and another that."""
    said: dict[str, State] = {}
    torn = set()
    for mention in vector.mentions:
        if mention.state is not None and said.setdefault(mention.label, mention.state) != mention.state:
            torn.add(mention.label)
    return torn


def _chunks(reports: Sequence[Report]) -> Iterator[Sequence[Report]]:
    return (reports[at : at + _AT_ONCE] for at in range(0, len(reports), _AT_ONCE))


def held_out(texts: Iterable[str], share: float) -> NDArray[np.bool_]:
    """Which texts are held out: by their hash, so that equal texts fall on one side and other reports change nothing.

    >>> held_out(["No effusion.", "Old fracture.", "No effusion."], 0.5).tolist()
    [True, False, True]
    """
    return np.array([_hash(text) < share for text in texts], dtype=np.bool_)


def _hash(text: str) -> float:
    digest = blake2b(" ".join(text.lower().split()).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big") / float(1 << 64)


def class_weights(classes: NDArray[np.int64], power: float) -> NDArray[np.float32]:
    """Weights [L, 4] of the classes of each label: inverse frequency to the ``power``, 1 on average over its cells."""
    counts = np.stack([(classes == number).sum(axis=0) for number in range(len(CLASSES))], axis=1).astype(np.float64)
    weights = (counts.sum(axis=1, keepdims=True) / len(CLASSES) / np.maximum(counts, 1)) ** power
    weights = np.minimum(weights, _HEAVIEST)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mean = (weights * counts).sum(axis=1, keepdims=True) / total
    scaled: NDArray[np.float32] = (weights / np.where(mean > 0, mean, 1)).astype(np.float32)
    return scaled


def never_positive(classes: NDArray[np.int64], labels: Sequence[str], made: int = 0) -> list[str]:
    """A warning for each label that is positive in none of the sentences; the last ``made`` rows are no real ones."""
    positive = classes == CLASS_OF[POSITIVE]
    real, others = positive[: len(positive) - made], positive[len(positive) - made :]
    return [
        f"{label}: positive in none of the {len(real):,} sentences to learn from"
        + (f", and in {others[:, at].sum():,} of the {made:,} made of them" if made else "")
        for at, label in enumerate(labels)
        if not real[:, at].any()
    ]


def gold_examples(
    path: Path, labels: Sequence[str], reports: Sequence[Report], sections: str
) -> tuple[Examples, list[str]]:
    """The gold labels of ``path`` with the texts of ``reports`` by study id, and the ids of those.

    A cell ``x`` does not count. Raises ``DataError``: as ``read_labels``, for a column or cell that is wrong
    (``data.label``, ``data.cell``), and if none of the studies is among the reports (``data.missing``).
    """
    table = read_labels(path, gold=True)
    for name, column in table.columns.items():
        if name not in labels and not column.holds_no_state():
            message = f"{name[:40]!r} is no label of the schema"
            raise DataError("data.label", message, where=str(path), hint=f"the labels are {', '.join(labels)}")
    texts = {report.study_id: read(report, sections).text for report in reports}
    rows = [row for row, study_id in enumerate(table.ids) if study_id in texts]
    if not rows:
        hint = "the reports of the gold studies have to be in the source"
        raise DataError("data.missing", "no study of the gold is among the reports", where=str(path), hint=hint)
    columns = [_gold_column(table, label) for label in labels]
    classes = np.array([[column[row] for column in columns] for row in rows], dtype=np.int64)
    trust = np.ones(classes.shape, dtype=np.float32)
    ids = [table.ids[row] for row in rows]
    return Examples([texts[study_id] for study_id in ids], classes, trust), ids


def _gold_column(table: LabelTable, label: str) -> list[int]:
    column = table.columns.get(label)
    if column is None:
        # left out of the lines of a JSONL file it is blank; a table without the column says nothing of it
        return [CLASS_OF[BLANK] if table.sparse else IGNORED] * len(table.ids)
    _check_cells(column, table.path, label)
    return [IGNORED if code == EXCLUDED else CLASS_OF[STATES[code]] for code in column.codes]


def _check_cells(column: Column, path: Path, label: str) -> None:
    if column.bad is not None:
        row, shown = column.bad
        raise DataError("data.cell", f"{shown} is none of 1, 0, -1, x and empty", where=at_row(path, row, label))
