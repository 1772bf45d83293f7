"""How well a label table agrees with a gold one, with bootstrap intervals by study.

Everything is a function of one count table per label: gold states by table states, over the reports whose gold cell
is not ``x``. The point values and the replicates go through the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import ConfigError
from corpora.labels import STATE_NAMES
from corpora.statistics.kappa import kappa_values
from corpora.statistics.resample import percentile_estimate, resampled_totals
from corpora.statistics.types import Estimate
from labeler.score_io import EXCLUDED, STATES, read_labels
from labeler.score_pair import Paired, pair

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

Array = NDArray[np.float64]
Estimator = Callable[..., Estimate]
_EVERY: Final[tuple[Any, ...]] = (slice(None),)
_ALL_EXCLUDED: Final = "every cell of the gold is x"
CLASSES: Final = tuple(STATE_NAMES[state] for state in STATES if state is not None)
_DEFINITIONS: Final = {
    "weighted_f1": "per label the classes' F1 weighted by gold support; overall the mean over labels with support",
    "micro": "F1 of a class, counts pooled over labels",
    "macro": "mean over labels of a class's F1, where defined",
    "exact": "share of (report, label) cells that are equal, blanks included",
    "kappa": "Cohen's kappa over positive, negative, uncertain and blank; overall the mean over labels, where defined",
}


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class of one label: ``precision``, ``recall`` and ``f1``, and the counts they come from."""

    scores: Mapping[str, Estimate]
    tp: int
    fp: int
    fn: int

    @property
    def support(self) -> int:
        """How many reports the gold puts in this class."""
        return self.tp + self.fn


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label: ``weighted_f1``, ``kappa`` and ``exact``, and its classes by name."""

    scores: Mapping[str, Estimate]
    classes: Mapping[str, ClassScore]


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """Agreement of a label table with a gold one.

    ``scores`` holds ``weighted_f1``, ``micro_<class>``, ``macro_<class>``, ``exact`` and ``kappa`` over all labels;
    ``per_label`` is in the order of the table's columns. ``method`` names the definitions and the resampling.
    """

    reports: int
    scores: Mapping[str, Estimate]
    per_label: Mapping[str, LabelScore]
    notes: tuple[str, ...]
    method: Mapping[str, Any]


def score(labels: Path, gold: Path, *, replicates: int = 1000, seed: int = 0, confidence: float = 0.95) -> ScoreReport:
    """Score the label table ``labels`` against ``gold`` over the gold's reports (see ``read_labels`` for formats).

    Intervals are percentile intervals of ``replicates`` resamplings of the gold's reports; 0 gives none. Raises
    ``DataError`` for tables that cannot be read or compared, ``ConfigError`` for a setting out of range.
    """
    if replicates < 0 or seed < 0 or not 0 < confidence < 1:
        message = "replicates and seed are not negative, and confidence lies between 0 and 1"
        raise ConfigError("config.value", message, where=f"{replicates=}, {seed=}, {confidence=}")
    paired = pair(read_labels(labels), read_labels(gold, gold=True))
    counts = _joint_counts(paired)
    totals = counts.sum(axis=0, dtype=np.int64)
    point = _measure(totals.astype(np.float64))
    drawn = _measure(resampled_totals(counts, replicates, seed))

    def estimate(name: str, at: tuple[int, ...], n: int, undefined: str, remark: str = "") -> Estimate:
        value, values = float(point[name][at]), drawn[name][_EVERY + at]
        return percentile_estimate(
            value, values, n=n, confidence=confidence, unit="study", undefined=undefined, remark=remark
        )

    method = {"interval": "percentile bootstrap by study", "replicates": replicates, "seed": seed,
              "confidence": confidence, **_DEFINITIONS}  # fmt: skip
    per_label = {name: _label_score(at, totals[at], estimate) for at, name in enumerate(paired.labels)}
    return ScoreReport(len(counts), _overall(point, len(counts), estimate), per_label, paired.notes, method)


def to_json(report: ScoreReport) -> dict[str, Any]:
    """The report as JSON: values where the reference scorer has them, and beside them trees of the same keys.

    ``intervals`` holds ``[lo, hi]`` or null; ``reasons`` says for what is null, or holds with a remark, why. Both
    have the keys of the values (``per_label``, label, class, measure).
    """
    tree = _tree(report, lambda estimate: estimate.value)
    for name, label in report.per_label.items():
        for cls, c in label.classes.items():
            tree["per_label"][name][cls] |= {"tp": c.tp, "fp": c.fp, "fn": c.fn, "support": c.support}
    intervals = _tree(report, lambda e: None if e.lo is None else [e.lo, e.hi])
    reasons = _without_empty(_tree(report, lambda e: e.reason))
    extra = {"intervals": intervals, "reasons": reasons, "notes": list(report.notes), "method": dict(report.method)}
    return {"reports": report.reports, **tree, **extra}


def to_table(report: ScoreReport) -> Group:
    """The report as rich tables of at most 80 columns: overall, per label, per label and class; then the notes."""
    from rich.console import Group
    from rich.text import Text

    share = f"{100 * report.method['confidence']:g} % interval"
    title = f"{report.reports} reports, {len(report.per_label)} labels; in brackets the {share}"
    notes = [Text(f"note: {note}") for note in report.notes]
    return Group(Text(title), _overall_table(report), _label_table(report), _class_table(report), *notes)


# measures


def _joint_counts(paired: Paired) -> NDArray[np.uint8]:
    """A count table per report and label: 1 at (gold state, table state), nothing where the gold is ``x``."""
    reports, labels = paired.gold.shape
    counts = np.zeros((reports, labels, len(STATES), len(STATES)), dtype=np.uint8)
    row, column = np.nonzero(paired.gold != EXCLUDED)
    counts[row, column, paired.gold[row, column], paired.table[row, column]] = 1
    return counts


def _measure(tables: Array) -> dict[str, Array]:
    """All measures of count tables (..., label, gold state, table state); NaN where one is undefined."""
    n = len(CLASSES)
    hit = np.diagonal(tables, axis1=-2, axis2=-1)
    tp, support = hit[..., :n], tables.sum(axis=-1)[..., :n]
    said = tables.sum(axis=-2)[..., :n]
    f1 = _ratio(2 * tp, support + said)
    weighted = _ratio((support * np.nan_to_num(f1)).sum(axis=-1), support.sum(axis=-1))
    kappa = kappa_values(tables)
    cells = tables.sum(axis=(-2, -1))
    return {
        "precision": _ratio(tp, said),
        "recall": _ratio(tp, support),
        "f1": f1,
        "label_weighted_f1": weighted,
        "label_kappa": kappa,
        "label_exact": _ratio(hit.sum(axis=-1), cells),
        "weighted_f1": _mean(weighted, axis=-1),
        "micro": _ratio(2 * tp.sum(axis=-2), (support + said).sum(axis=-2)),
        "macro": _mean(f1, axis=-2),
        "exact": _ratio(hit.sum(axis=(-2, -1)), cells.sum(axis=-1)),
        "kappa": _mean(kappa, axis=-1),
    }


def _ratio(part: Array, whole: Array) -> Array:
    ratio = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def _mean(values: Array, axis: int) -> Array:
    return _ratio(np.nansum(values, axis=axis), (~np.isnan(values)).sum(axis=axis))


def _overall(point: Mapping[str, Array], n: int, estimate: Estimator) -> dict[str, Estimate]:
    def mean(name: str, over: Array, *at: int) -> Estimate:
        used = int((~np.isnan(over)).sum())
        remark = "" if used == len(over) else f"mean over the {used} of {len(over)} labels where it is defined"
        return estimate(name, at, n, "defined for no label", remark)

    scores = {"weighted_f1": mean("weighted_f1", point["label_weighted_f1"])}
    for c, cls in enumerate(CLASSES):
        scores[f"micro_{cls}"] = estimate("micro", (c,), n, f"no {cls} in gold or table")
    for c, cls in enumerate(CLASSES):
        scores[f"macro_{cls}"] = mean("macro", point["f1"][:, c], c)
    scores["exact"] = estimate("exact", (), n, _ALL_EXCLUDED)
    scores["kappa"] = mean("kappa", point["label_kappa"])
    return scores


def _label_score(at: int, table: NDArray[np.int64], estimate: Estimator) -> LabelScore:
    n = int(table.sum())
    undefined = {
        "weighted_f1": "the gold is blank throughout",
        "kappa": "gold and table hold one and the same state throughout: kappa is 0/0",
        "exact": _ALL_EXCLUDED,
    }
    scores = {
        name: estimate(f"label_{name}", (at,), n, reason if n else _ALL_EXCLUDED) for name, reason in undefined.items()
    }
    return LabelScore(scores, {cls: _class_score(at, c, cls, table, estimate) for c, cls in enumerate(CLASSES)})


def _class_score(at: int, c: int, cls: str, table: NDArray[np.int64], estimate: Estimator) -> ClassScore:
    undefined = {
        "precision": f"the table is never {cls}",
        "recall": f"the gold is never {cls}",
        "f1": f"neither gold nor table is ever {cls}",
    }
    scores = {name: estimate(name, (at, c), int(table.sum()), reason) for name, reason in undefined.items()}
    tp = int(table[c, c])
    return ClassScore(scores, tp, int(table[:, c].sum()) - tp, int(table[c].sum()) - tp)


# presentation


def _tree(report: ScoreReport, pick: Callable[[Estimate], Any]) -> dict[str, Any]:
    """``pick`` of every estimate, where its value stands in the JSON."""

    def each(scores: Mapping[str, Estimate]) -> dict[str, Any]:
        return {name: pick(estimate) for name, estimate in scores.items()}

    per_label = {
        name: each(label.scores) | {cls: each(c.scores) for cls, c in label.classes.items()}
        for name, label in report.per_label.items()
    }
    return {**each(report.scores), "per_label": per_label}


def _without_empty(tree: Mapping[str, Any]) -> dict[str, Any]:
    pruned = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in tree.items()}
    return {key: value for key, value in pruned.items() if value}


def _overall_table(report: ScoreReport) -> Table:
    table = _table("over all labels", "")
    for name, estimate in report.scores.items():
        table.add_row(name, _cell(estimate))
    return table


def _label_table(report: ScoreReport) -> Table:
    table = _table("label", "weighted F1", "kappa", "exact")
    for name, label in report.per_label.items():
        s = label.scores
        table.add_row(_escaped(name), _cell(s["weighted_f1"]), _cell(s["kappa"]), _number(s["exact"].value))
    return table


def _class_table(report: ScoreReport) -> Table:
    table = _table("label", "class", "n", "prec.", "recall", "F1")
    for name, label in report.per_label.items():
        for cls, c in label.classes.items():
            shares = [_number(c.scores[key].value) for key in ("precision", "recall")]
            table.add_row(_escaped(name), cls, str(c.support), *shares, _cell(c.scores["f1"]))
            name = ""
    return table


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for heading in headings:
        left = heading in ("label", "class", "over all labels")
        table.add_column(heading, justify="left" if left else "right", no_wrap=heading != "label")
    return table


def _escaped(name: str) -> str:
    from rich.markup import escape

    return escape(name)


def _cell(estimate: Estimate) -> str:
    if estimate.lo is None or estimate.hi is None:
        return _number(estimate.value)
    # the escaped bracket keeps rich from reading the interval as markup
    return f"{_number(estimate.value)} \\[{estimate.lo:.2f}, {estimate.hi:.2f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
