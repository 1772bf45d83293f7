"""What readings will buy, before anyone reads: spreads of the strata and widths of intervals under assumed errors."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labeler.audit.gates import Texts
from labeler.audit.recipe import AssumedErrors

Array = NDArray[Any]

STATISTICS: Final = ("precision", "recall", "f1")
_Z: Final = 1.959963984540054


def truth_rates(texts: Texts, label: int, errors: AssumedErrors) -> Array:
    """The assumed chance [U] that each text is truly positive for a label.

    What was missed is spread evenly over the texts that are negative or blank.
    """
    machine = texts.machine[:, label]
    positive, uncertain = machine == 1, machine == -1
    others = max(int((~positive & ~uncertain).sum()), 1)
    missed = min(errors.missed * float(positive.sum()) / others, 0.5)
    rates = np.where(positive, 1 - errors.positive, np.where(uncertain, errors.uncertain, missed))
    if texts.second is not None:
        rates = np.where(
            texts.second[:, label] != machine, np.where(positive, 1 - errors.disagree, errors.disagree), rates
        )
    return rates


def spreads(texts: Texts, errors: AssumedErrors) -> Array:
    """The spread S [H] by which readings are allotted: errors of each label, in shares of its positives.

    An error of a rare label weighs as much more as the label is rarer, as it does in its F1.
    """
    total = np.zeros(len(texts.strata))
    for label in range(len(texts.names)):
        positives = float((texts.machine[:, label] == 1).sum())
        if positives:
            truth = truth_rates(texts, label, errors)
            wrong = _mean(texts, np.where(texts.machine[:, label] == 1, 1 - truth, truth))
            total += wrong * (1 - wrong) / positives**2
    # a scale of its own: only the proportions count
    most = float(total.max(initial=0.0))
    spread: Array = np.sqrt(total / most) if most else np.ones(len(total))
    return spread


def expected_widths(texts: Texts, drawn: Array, errors: AssumedErrors) -> dict[str, dict[str, float | None]]:
    """By label: widths of the 95 % intervals of precision, recall and F1 of positive that ``drawn`` [H] will give.

    From the linearised variance of a stratified ratio; None where the table has no positives. A normal approximation
    for planning: the intervals that are printed after the reading are exact ones, and wider where little is found.
    """
    return {name: _widths(texts, label, drawn, errors) for label, name in enumerate(texts.names)}


def _widths(texts: Texts, label: int, drawn: Array, errors: AssumedErrors) -> dict[str, float | None]:
    said = (texts.machine[:, label] == 1).astype(np.float64)
    if not said.any():
        return dict.fromkeys(STATISTICS)
    truth = truth_rates(texts, label, errors)
    hits, found, true = float((said * truth).sum()), float(said.sum()), float(truth.sum())
    precision, recall, f1 = hits / found, hits / true, 2 * hits / (found + true)
    # residuals where the text is truly positive, and where it is not; and what they are shares of
    residuals = {
        "precision": (said * (1 - precision), -said * precision, found),
        "recall": (said - recall, np.zeros_like(said), true),
        "f1": (2 * said - f1 * (said + 1), -f1 * said, found + true),
    }
    return {
        name: round(min(2 * _Z * np.sqrt(_variance(texts, truth, yes, no, drawn)) / of, 1.0), 4)
        for name, (yes, no, of) in residuals.items()
    }


def _variance(texts: Texts, truth: Array, yes: Array, no: Array, drawn: Array) -> float:
    sizes = texts.sizes()
    mean = _mean(texts, truth * yes + (1 - truth) * no)
    spread = np.maximum(_mean(texts, truth * yes**2 + (1 - truth) * no**2) - mean**2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(drawn > 0, sizes**2 * (1 - drawn / sizes) * spread / drawn, np.inf)
    return float(np.where(spread > 0, terms, 0.0).sum())


def _mean(texts: Texts, values: Array) -> Array:
    mean: Array = np.bincount(texts.stratum, weights=values, minlength=len(texts.strata)) / texts.sizes()
    return mean
