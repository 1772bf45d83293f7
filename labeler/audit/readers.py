"""How well readers agree: with each other, with themselves, and before with after they saw the machine's labels.

These speak of the texts that were read twice, each counted once: the readers' agreement, not the table's quality.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.statistics.agreement import (
    agreement_share,
    counts_of,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    specific_agreement,
)
from corpora.statistics.binomial import share
from corpora.statistics.dawid_skene import dawid_skene
from corpora.statistics.kappa import cohen_kappa
from corpora.statistics.types import Estimate
from labeler.audit.cells import STATES, places
from labeler.audit.sample import code_of
from labeler.audit.types import UNREAD, Reading

_CELLS: Final = "counts answers: those of one text are not independent, so the interval is somewhat too narrow"
_NO_MODEL: Final = "Dawid-Skene needs three readers: with two, nobody can say which of them errs"


@dataclass(frozen=True, slots=True)
class ReaderEstimate:
    """What Dawid and Skene's model makes of a reader on one label: ``errors`` [4, 4], true by read; None unknown."""

    errors: tuple[tuple[float | None, ...], ...]
    accuracy: float
    readings: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of readers.

    ``per_label``: by label ``agreement``, ``ac1``, ``alpha``, ``fleiss`` (three readers or more), ``specific_STATE``.
    ``pairs``: Cohen's kappa by label for each two readers with texts in common. ``repeats``: by reader, how often the
    hidden second reading of a text says the same. ``revealed``: by reader, answers that stayed when machine labels were
    shown. ``model``: by label and reader. ``notes`` say what could not be given.
    """

    readers: Mapping[str, int]
    double: int
    per_label: Mapping[str, Mapping[str, Estimate]]
    pairs: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    repeats: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    revealed: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    model: Mapping[str, Mapping[str, ReaderEstimate]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def agreement(readings: Iterable[Reading], labels: Sequence[str], confidence: float = 0.95) -> Agreement:
    """Agreement between and within the readers of ``readings``; what nobody could judge does not count."""
    found = list(readings)
    blind = {(each.reader, each.study_id): each for each in found if each.phase == "blind" and not each.repeat}
    readers = sorted({reader for reader, _ in blind})
    texts = sorted({study_id for _, study_id in blind})
    ratings = _ratings(blind, readers, texts, labels)
    double = int(((ratings < len(STATES)).any(axis=2).sum(axis=1) > 1).sum())
    return Agreement(
        readers={reader: sum(1 for who, _ in blind if who == reader) for reader in readers},
        double=double,
        per_label={label: _label(ratings[:, :, at], confidence) for at, label in enumerate(labels)},
        pairs={} if not double else dict(_pairs(ratings, readers, labels, confidence)),
        repeats=_again(found, blind, labels, confidence, repeat=True),
        revealed=_again(found, blind, labels, confidence, repeat=False),
        model=_model(ratings, readers, labels) if len(readers) > 2 else {},
        notes=() if len(readers) > 2 else (_NO_MODEL,),
    )


def _ratings(
    blind: Mapping[tuple[str, str], Reading], readers: Sequence[str], texts: Sequence[str], labels: Sequence[str]
) -> NDArray[Any]:
    """Places among the states [text, reader, label], 4 where there is none."""
    row, column = ({name: at for at, name in enumerate(names)} for names in (texts, readers))
    codes = np.full((len(texts), len(readers), len(labels)), UNREAD, dtype=np.int8)
    for (reader, study_id), reading in blind.items():
        codes[row[study_id], column[reader]] = [_code(reading, label) for label in labels]
    return places(codes)


def _code(reading: Reading, label: str) -> int:
    return code_of(reading.answers[label]) if label in reading.answers else UNREAD


def _label(ratings: NDArray[Any], confidence: float) -> dict[str, Estimate]:
    counts = counts_of(ratings, len(STATES))
    # a text that one reader read says nothing of agreement, and would only blur the standard errors
    counts = counts[counts.sum(axis=1) > 1]
    found = {
        "agreement": agreement_share(counts, confidence),
        "ac1": gwet_ac1(counts, confidence),
        "alpha": krippendorff_alpha(counts, confidence),
    }
    if ratings.shape[1] > 2:
        found["fleiss"] = fleiss_kappa(counts, confidence)
    for name, value, used in zip(STATES, specific_agreement(counts), counts.T, strict=True):
        found[f"specific_{name}"] = _specific(value, int((used > 0).sum()), name)
    return found


def _specific(value: float, n: int, name: str) -> Estimate:
    method = "specific agreement: of two readings of a text, if one is this state, how often the other is"
    if np.isnan(value):
        return Estimate(None, None, None, n, method, f"no text read twice was ever {name}")
    from corpora.statistics.binomial import beta_bounds

    lo, hi = beta_bounds(value, n)
    return Estimate(float(value), float(lo), float(hi), n, f"{method}; Clopper-Pearson by text")


def _pairs(
    ratings: NDArray[Any], readers: Sequence[str], labels: Sequence[str], confidence: float
) -> Iterable[tuple[str, dict[str, Estimate]]]:
    for one, other in combinations(range(len(readers)), 2):
        both = (ratings[:, [one, other]] < len(STATES)).all(axis=1)
        if both.any():
            yield (
                f"{readers[one]} / {readers[other]}",
                {
                    label: cohen_kappa(_crossed(ratings[:, one, at], ratings[:, other, at]), confidence)
                    for at, label in enumerate(labels)
                },
            )


def _crossed(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    both = (one < len(STATES)) & (other < len(STATES))
    cell = one[both].astype(np.int64) * len(STATES) + other[both]
    return np.bincount(cell, minlength=len(STATES) ** 2).reshape(len(STATES), -1)


def _again(
    found: Sequence[Reading],
    blind: Mapping[tuple[str, str], Reading],
    labels: Sequence[str],
    confidence: float,
    *,
    repeat: bool,
) -> dict[str, dict[str, Estimate]]:
    """A reader's other reading of a text against the blind one: the hidden repeat, or what was left at the reveal."""
    tables: dict[str, NDArray[Any]] = defaultdict(lambda: np.zeros((len(STATES), len(STATES)), dtype=np.int64))
    for other in found:
        first = blind.get((other.reader, other.study_id))
        wanted = other.phase == "blind" and other.repeat if repeat else other.phase == "revealed" and not other.repeat
        if first is not None and wanted:
            pair = (places(np.array([_code(each, label) for label in labels])) for each in (first, other))
            tables[other.reader] += _crossed(*pair)
    return {
        reader: {
            "same": replace(share(int(np.trace(table)), int(table.sum()), confidence), reason=_CELLS), "kappa": cohen_kappa(table, confidence),
        }
        for reader, table in sorted(tables.items())
    }  # fmt: skip


def _model(
    ratings: NDArray[Any], readers: Sequence[str], labels: Sequence[str]
) -> dict[str, dict[str, ReaderEstimate]]:
    models = {}
    for at, label in enumerate(labels):
        given = np.where(ratings[:, :, at] < len(STATES), ratings[:, :, at], -1).astype(np.int64)
        given = given[(given >= 0).any(axis=1)]
        if not len(given):
            continue
        fit = dawid_skene(given, len(STATES), tolerance=1e-10)
        models[label] = {
            reader: ReaderEstimate(
                tuple(tuple(None if np.isnan(v) else float(v) for v in row) for row in fit.errors[m]),
                float(fit.priors @ np.nan_to_num(np.diag(fit.errors[m]))),
                int((given[:, m] >= 0).sum()),
            )
            for m, reader in enumerate(readers)
        }
    return models
