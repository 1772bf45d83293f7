"""Drafts without a decoder: what a trained drafter has to beat. Registered as ``radloop.generators``.

constant.v1             one normal report for every study
most-common.v1          the report that is most frequent in training
random-train.v1         a training report drawn by chance
label-template.v1       a sentence for each label that the encoder sees
nearest-neighbour.v1    the training report of the film that is nearest in the encoder's space
retrieval.v1            for each label that the encoder sees, a sentence that has it, of the nearest film that has one

A generator is a function of a ``Bank`` of training reports, the ``Asked`` studies and a source of chance, and returns
the sections of a draft for each study. It sets the attribute ``looks`` to False if it reads no film.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from corpora.config import load_yaml
from corpora.resources import config_path
from labeler.rules.sentences import sentences

_NORMAL: Final = "No Finding"
_ROWS_AT_ONCE: Final = 512

Sections = dict[str, str]
Labels = NDArray[np.bool_]
Features = NDArray[np.float32]
#: Labels [N, L] that texts have, surely or perhaps.
Reader = Callable[[Sequence[str]], Labels]


class SentencesFile(BaseModel):
    """Sentences by label, for drafts from labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(default="", description="One line for people.")
    positive: dict[str, str] = Field(description="What is said where a label is seen.")
    negative: dict[str, str] = Field(default_factory=dict, description="What is said where it is not.")
    normal: dict[str, str] = Field(description="The report of a study without findings, by section.")


@dataclass(frozen=True, slots=True)
class Bank:
    """Training reports by section with their labels [N, L] and their films' features [N, C]; ``read`` finds labels."""

    reports: Sequence[Mapping[str, str]]
    label_names: tuple[str, ...]
    labels: Labels
    features: Features | None
    read: Reader


@dataclass(frozen=True, slots=True)
class Asked:
    """Studies to draft of: how many, features [M, C], and the labels that the encoder sees in each."""

    count: int
    features: Features | None
    seen: Sequence[Sequence[str]]


Generator = Callable[[Bank, Asked, np.random.Generator], list[Sections]]


@cache
def _sentences(name: str = "report/sentences.v1") -> SentencesFile:
    path = Path(name) if name.endswith((".yaml", ".yml")) else config_path(name)
    return load_yaml(path, SentencesFile, ())


def constant(bank: Bank, asked: Asked, draw: np.random.Generator) -> list[Sections]:
    """One normal report for every study."""
    return [dict(_sentences().normal) for _ in range(asked.count)]


def most_common(bank: Bank, asked: Asked, draw: np.random.Generator) -> list[Sections]:
    """The report that is most frequent in training; of several, the one that sorts first."""
    counts = Counter(tuple(report.items()) for report in bank.reports)
    best = min(counts, key=lambda report: (-counts[report], report))
    return [dict(best) for _ in range(asked.count)]


def random_train(bank: Bank, asked: Asked, draw: np.random.Generator) -> list[Sections]:
    """A training report drawn by chance."""
    return [dict(bank.reports[at]) for at in draw.integers(len(bank.reports), size=asked.count)]


def label_template(bank: Bank, asked: Asked, draw: np.random.Generator) -> list[Sections]:
    """A sentence for each label that the encoder sees; the normal report where it sees none."""
    return [_from_labels(labels, _sentences()) for labels in asked.seen]


def _from_labels(labels: Sequence[str], file: SentencesFile) -> Sections:
    found = [label for label in labels if label != _NORMAL]
    if not found:
        return dict(file.normal)
    said = [file.positive.get(label, f"There is {label.lower()}.") for label in found]
    denied = [text for label, text in file.negative.items() if label not in found]
    return {"findings": " ".join([*said, *denied])}


def nearest_neighbour(bank: Bank, asked: Asked, draw: np.random.Generator) -> list[Sections]:
    """The training report of the film that is nearest in the encoder's space."""
    return [dict(bank.reports[at]) for at in nearness(bank, asked, 1)[:, 0]]


def retrieval(bank: Bank, asked: Asked, draw: np.random.Generator) -> list[Sections]:
    """For each label that the encoder sees, a sentence of the nearest training report that has one without other
    labels; the nearest report without findings where the encoder sees none."""
    order = nearness(bank, asked, len(bank.reports))
    spoken = _spoken(bank)
    normal = _without_findings(bank)
    return [_retrieved(bank, spoken, normal, row, labels) for row, labels in zip(order, asked.seen, strict=True)]


def nearness(bank: Bank, asked: Asked, most: int) -> NDArray[np.int64]:
    """The rows [M, ``most``] of the bank that are nearest by the cosine of standardised features, nearest first."""
    assert bank.features is not None and asked.features is not None
    mean, spread = bank.features.mean(axis=0), bank.features.std(axis=0) + 1e-6
    known, new = (_unit((some - mean) / spread) for some in (bank.features, asked.features))
    found = []
    for at in range(0, len(new), _ROWS_AT_ONCE):
        closeness = new[at : at + _ROWS_AT_ONCE] @ known.T
        # stable: of reports that are as near, the first
        found.append(np.argsort(-closeness, axis=1, kind="stable")[:, :most])
    return np.concatenate(found) if found else np.zeros((0, most), dtype=np.int64)


def _unit(values: Any) -> Features:
    found: Features = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return found


def _spoken(bank: Bank) -> list[list[tuple[str, frozenset[str]]]]:
    """The sentences of each report that have labels, with them."""
    texts = [
        [" ".join(text[start:end].split()) for text in report.values() for start, end in sentences(text)]
        for report in bank.reports
    ]
    distinct = sorted({sentence for several in texts for sentence in several})
    rows = bank.read(distinct)
    labels = {
        sentence: frozenset(np.array(bank.label_names)[row]) - {_NORMAL}
        for sentence, row in zip(distinct, rows, strict=True)
    }
    return [[(sentence, labels[sentence]) for sentence in several if labels[sentence]] for several in texts]


def _without_findings(bank: Bank) -> NDArray[np.bool_]:
    findings = [at for at, label in enumerate(bank.label_names) if label != _NORMAL]
    found: NDArray[np.bool_] = np.logical_not(np.any(bank.labels[:, findings], axis=1))
    return found


def _retrieved(
    bank: Bank, spoken: Sequence[Sequence[tuple[str, frozenset[str]]]], normal: NDArray[np.bool_],
    order: NDArray[np.int64], labels: Sequence[str],
) -> Sections:  # fmt: skip
    wanted = {label for label in labels if label != _NORMAL}
    if not wanted:
        clear = [at for at in order if normal[at]]
        return dict(bank.reports[(clear or list(order))[0]])
    left, said = set(wanted), []
    for at in order:
        for sentence, has in spoken[at]:
            if has <= wanted and has & left:
                said.append(sentence)
                left -= has
        if not left:
            break
    # no training report has a sentence of these labels alone
    said += [_sentences().positive.get(label, f"There is {label.lower()}.") for label in labels if label in left]
    return {"findings": " ".join(said)}


for _blind in (constant, most_common, random_train):
    _blind.looks = False  # type: ignore[attr-defined]
