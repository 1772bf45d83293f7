"""Gold labels of whole reports: how much to learn from them, told by folds, and what they say of rules and network.

A share of few reports, held out, tells next to nothing. So the gold is cut into folds, by hash of text, and for each of
them a network goes on from the same weights with the others; what these networks say of the reports that they did not
learn from is counted together. By that it is decided after how many epochs to stop (none, if none is better than the
weights before them), the temperatures are found, and it is told from which confidence on the hybrid follows the
network. What is published has learned from all of the gold, for as many epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from corpora.labels import State
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.base import load
from labeler.hybrid import HybridLabeler, HybridRecipe, shipped_for
from labeler.hybrid_fit import Excluded, fit
from labeler.neural.augment import Augmenter, augment_examples
from labeler.neural.combine import report_probabilities
from labeler.neural.data import Examples, gold_examples, held_out
from labeler.neural.loop import Epoch, Watch
from labeler.neural.measure import softmax, state_f1, weighted_f1
from labeler.neural.model import BertCnnForLabels
from labeler.neural.reading import CLASS_OF, CLASSES, IGNORED
from labeler.neural.recipe import TrainRecipe
from labeler.types import LabelVector

#: Learns a stage in place: from, measured on, name, and what is called after each epoch.
Learn = Callable[[Examples, Examples, str, Watch], object]
#: The logits [S, L, 4] of the sentences of reports, and how many sentences each has.
Reads = Callable[[Examples], tuple[NDArray[np.float32], tuple[int, ...]]]

Scores = dict[str, dict[str, float]]
_BEFORE: Final = "network before"
_AFTER: Final = "network"


@dataclass(frozen=True, slots=True)
class Gold:
    """Reports with gold labels; ``each`` copies of every one of them said otherwise; the fold [N] of each."""

    reports: list[Report]
    examples: Examples
    copies: Examples
    each: int
    fold: NDArray[np.int64]

    @property
    def folds(self) -> list[int]:
        """The numbers of the folds that have reports."""
        return sorted(set(self.fold.tolist()))

    def learned(self, apart: int | None = None) -> Examples:
        """What there is to learn from, copies behind the others; without the fold ``apart``."""
        rows = np.ones(len(self.fold), dtype=np.bool_) if apart is None else self.fold != apart
        return self.examples.where(rows) + self.copies.where(np.repeat(rows, self.each))


@dataclass(frozen=True, slots=True)
class Crossed:
    """What networks say of gold reports they did not learn from.

    ``rows`` [N] are the places of the reports in the gold; ``logits`` [S, L, 4] those of their sentences, ``sizes`` of
    them each, in that order: after the epochs that serve best, and before any. ``scores`` is the weighted F1 after each
    number of epochs, from none on.
    """

    rows: NDArray[np.int64]
    sizes: tuple[int, ...]
    before: NDArray[np.float32]
    logits: NDArray[np.float32]
    scores: tuple[float, ...]

    @property
    def epochs(self) -> int:
        """After how many epochs the weighted F1 is best; of several the fewest."""
        return int(np.argmax(self.scores))


def read_gold(paths: Sequence[Path], labels: Sequence[str], reports: Sequence[Report], recipe: TrainRecipe) -> Gold:
    """The gold labels of all tables, with their copies; a study in several of them counts with each.

    Raises ``DataError`` as ``gold_examples``, and ``data.empty`` where there are too few reports for two folds.
    """
    by_id = {report.study_id: report for report in reports}
    examples, found = None, []
    for path in paths:
        more, ids = gold_examples(path, labels, reports, recipe.sections)
        examples = more if examples is None else examples + more
        found += [by_id[study_id] for study_id in ids]
    if examples is None:
        raise ValueError("there is no table")
    fold = sum(held_out(examples.texts, part / recipe.folds).astype(np.int64) for part in range(1, recipe.folds))
    if len(set(np.asarray(fold).tolist())) < 2:
        message = f"{len(examples)} reports are too few for {recipe.folds} folds"
        raise DataError("data.empty", message, where="the gold", hint="give more reports")
    copies = examples.where(np.zeros(len(examples), dtype=np.bool_))
    if recipe.rewritten:
        augmenter = Augmenter(load("rules.v1", recipe.label_schema), schema=recipe.label_schema)
        copies = augment_examples(examples, labels, recipe.rewritten, recipe.seed, augmenter)
    return Gold(found, examples, copies, recipe.rewritten, np.asarray(fold))


def cross_fit(model: BertCnnForLabels, gold: Gold, epochs: int, learn: Learn, reads: Reads) -> Crossed:
    """Let ``model`` learn from all folds but one, each time from the weights that it has; it ends with these."""
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    after: list[list[NDArray[np.float32]]] = [[] for _ in range(epochs + 1)]
    rows: list[NDArray[np.int64]] = []
    sizes: list[int] = []
    for number in gold.folds:
        apart = np.flatnonzero(gold.fold == number)
        heldout = gold.examples.where(gold.fold == number)

        def note(epoch: Epoch, heldout: Examples = heldout) -> None:
            after[epoch.epoch].append(reads(heldout)[0])

        logits, counts = reads(heldout)
        after[0].append(logits)
        rows.append(apart)
        sizes += counts
        learn(gold.learned(number), heldout, f"fold {number + 1}", note)
        model.load_state_dict(weights)
    order = np.concatenate(rows)
    together = [np.concatenate(parts) for parts in after]
    truth = gold.examples.classes[order]
    no_finding = no_finding_of(model)
    scores = tuple(weighted_f1(_classes(logits, sizes, no_finding), truth) for logits in together)
    return Crossed(order, tuple(sizes), together[0], together[int(np.argmax(scores))], scores)


def no_finding_of(model: BertCnnForLabels) -> int | None:
    """The place of No Finding among the labels of a network, if it is there."""
    names = list(model.config.label_names)
    return names.index(model.config.no_finding) if model.config.no_finding in names else None


def _classes(logits: NDArray[np.float32], sizes: Sequence[int], no_finding: int | None) -> NDArray[np.int64]:
    found: NDArray[np.int64] = report_probabilities(softmax(logits), sizes, no_finding).argmax(axis=-1)
    return found


# rules and network


class _Apart:
    """Networks that did not learn from some reports, as one: what they say of these, by their numbers, is known."""

    made_by = "folds"

    def __init__(self, schema: LabelSchema, probabilities: NDArray[np.float64]) -> None:
        self.schema, self._probabilities = schema, probabilities

    def text_of(self, report: Report, sections: str = "") -> str:
        return report.study_id

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return self._probabilities[[int(text) for text in texts]]

    def states(self, reports: Sequence[Report], sections: str = "") -> list[tuple[State, ...]]:
        rows = self.probabilities([report.study_id for report in reports]).argmax(axis=-1)
        return [tuple(CLASSES[number] for number in row) for row in rows]

    def __call__(self, report: str | Report, sections: str = "") -> LabelVector:
        report = Report(report, "") if isinstance(report, str) else report
        return LabelVector(
            report.study_id, self.schema.name, self.schema.labels, self.states([report])[0], (), self.made_by
        )  # fmt: skip


def compare(
    gold: Gold, crossed: Crossed, temperatures: Sequence[float], schema: LabelSchema, recipe: TrainRecipe,
    taught: Iterable[str] = (),
) -> tuple[HybridRecipe | None, Scores]:  # fmt: skip
    """When the hybrid is to follow the network, if gold says otherwise than the shipped thresholds; and how well each
    reads the gold: the rules, the network before and after, the hybrid with the thresholds of the other folds.

    ``taught`` are labels as of ``labeler.hybrid.shipped_for``. Of another teacher than the hybrid's rules only the
    network's figures are given.
    """
    no_finding = schema.labels.index(schema.no_finding) if schema.no_finding in schema.labels else None
    truth = gold.examples.classes
    cooled = crossed.logits / np.array(temperatures, dtype=np.float32)[None, :, None]
    probabilities = np.empty((*truth.shape, len(CLASSES)))
    probabilities[crossed.rows] = report_probabilities(softmax(cooled), crossed.sizes, no_finding)
    before = np.empty_like(truth)
    before[crossed.rows] = _classes(crossed.before, crossed.sizes, no_finding)
    found: Scores = {_BEFORE: state_f1(before, truth), _AFTER: state_f1(probabilities.argmax(axis=-1), truth)}
    shipped = shipped_for(taught)
    if recipe.teacher != shipped.rules:
        return None, found
    hybrid = HybridLabeler(recipe.label_schema, _Apart(schema, probabilities), shipped)
    reports = [replace(report, study_id=str(row)) for row, report in enumerate(gold.reports)]
    known = _known(truth, schema.labels)
    both = np.empty_like(truth)
    for number in gold.folds:
        others = [report for report, fold in zip(reports, gold.fold, strict=True) if fold != number]
        rows = np.flatnonzero(gold.fold == number)
        fitted = hybrid.with_recipe(fit(hybrid, others, known, recipe.sections))
        both[rows] = _numbers(fitted.states([reports[row] for row in rows], recipe.sections))
    rules = _numbers(hybrid.rules.states(reports, recipe.sections))
    found = {shipped.rules: state_f1(rules, truth), **found, "hybrid": state_f1(both, truth)}
    thresholds = fit(hybrid, reports, known, recipe.sections)
    return (None if thresholds == shipped else thresholds), found


def _known(truth: NDArray[np.int64], labels: Sequence[str]) -> Mapping[str, Mapping[str, State | Excluded]]:
    return {
        str(at): {
            label: "x" if number == IGNORED else CLASSES[number]
            for label, number in zip(labels, row.tolist(), strict=True)
        }
        for at, row in enumerate(truth)
    }


def _numbers(states: Sequence[tuple[State, ...]]) -> NDArray[np.int64]:
    return np.array([[CLASS_OF[state] for state in row] for row in states], dtype=np.int64)


def page(gold: Gold, crossed: Crossed, scores: Scores) -> dict[str, Any]:
    """What RUN/gold.json says."""
    return {
        "reports": len(gold.reports), "folds": len(gold.folds), "epochs": crossed.epochs,
        "weighted_f1_by_epochs": [round(score, 4) for score in crossed.scores],
        "readers": {name: {key: round(value, 4) for key, value in row.items()} for name, row in scores.items()},
    }  # fmt: skip
