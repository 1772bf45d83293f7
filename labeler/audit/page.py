"""The page of an audit: forest plots drawn in place, tables, and what the machine missed, with its sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import corpora
from corpora.errors import RadloopError
from corpora.sections import select
from corpora.statistics.types import Estimate
from corpora.types import Report
from labeler.audit.cells import STATES, places
from labeler.audit.frame import load_plan
from labeler.audit.report import AuditReport, cell, number
from labeler.audit.texts import has_texts, texts_of
from labeler.explain import visible
from labeler.rules.sentences import sentences

if TYPE_CHECKING:
    from jinja2 import Template

#: Errors shown per label; the table counts them all.
_MOST: Final = 25
_LONGEST: Final = 600
_PLOTS: Final = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
_LEFT, _WIDE, _ROW = 190, 420, 22


class Missed(NamedTuple):
    """A text whose label the machine got wrong: what it said, what readers found, and where it may be read."""

    study_id: str
    machine: str
    truth: str
    passages: list[str]


class Mark(NamedTuple):
    """A row of a forest plot, in its coordinates."""

    name: str
    y: float
    value: float | None
    lo: float
    hi: float
    low: float
    high: float
    text: str
    pooled: bool


def to_html(found: AuditReport, audit: Path) -> str:
    """One self-contained page without script. Text of reports is escaped, and only on this page."""
    missed, without = _missed(found, audit)
    return _template().render(
        found=found, e=found.estimates, a=found.agreement, states=STATES, plots=_plots(found), missed=missed,
        without=without, left=_LEFT, wide=_WIDE, ticks=[0, 0.25, 0.5, 0.75, 1], title=Path(audit).resolve().name,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    style = Path(corpora.__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent / "templates", style]), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=lambda value: visible(value) if isinstance(value, str) else value,
    )  # fmt: skip
    environment.filters |= {"cell": cell, "number": "{:,}".format, "share": number}
    return environment.get_template("estimate.html")


def _plots(found: AuditReport) -> list[dict[str, Any]]:
    e = found.estimates
    plots = []
    for name, title in _PLOTS.items():
        rows = [(label, each.scores[name], each.exact.get(name)) for label, each in e.per_label.items()]
        pooled = [(f"all labels, {kind}", e.overall[f"{kind}_{name}"], None) for kind in ("micro", "macro")]
        marks = [_mark(at, *row, pooled=at >= len(rows)) for at, row in enumerate([*rows, *pooled])]
        plots.append({"title": title, "marks": marks, "height": _ROW * len(marks) + 46})
    return plots


def _mark(at: int, name: str, found: Estimate, exact: Estimate | None, *, pooled: bool) -> Mark:
    def x(value: float | None, other: float) -> float:
        return _LEFT + _WIDE * (other if value is None else value)

    value = found.value
    known = exact if exact is not None and exact.lo is not None else found
    return Mark(
        name if len(name) <= 28 else name[:27] + "\u2026", 30 + _ROW * at, None if value is None else x(value, 0),
        x(found.lo, 0), x(found.hi, 1), x(known.lo, 0), x(known.hi, 1),
        cell(found) if value is not None else f"undefined: {found.reason}", pooled,
    )  # fmt: skip


# what was missed


def _missed(found: AuditReport, audit: Path) -> tuple[dict[str, list[Missed]], str]:
    wrong = {label: rows for label, rows in _wrong(found).items() if rows}
    ids = {study_id for rows in wrong.values() for study_id, _, _ in rows}
    reports, without = _texts(audit, ids)
    wanted = load_plan(audit).sections
    return {
        label: [
            Missed(study_id, said, truth, list(_passages(reports.get(study_id), label, wanted)))
            for study_id, said, truth in rows
        ]
        for label, rows in wrong.items()
    }, without


def _wrong(found: AuditReport) -> dict[str, list[tuple[str, str, str]]]:
    sample = found.sample
    truth, said = places(sample.truth), places(sample.machine)
    wrong = (truth != said) & (truth < len(STATES))
    # what matters most comes first: a positive overlooked, a positive made up, then the rest
    weight = 2 * (truth == 0) + (said == 0)
    table = {}
    for at, label in enumerate(sample.labels):
        rows = sorted(wrong[:, at].nonzero()[0].tolist(), key=lambda row: -int(weight[row, at]))
        table[label] = [(sample.study_ids[r], STATES[said[r, at]], STATES[truth[r, at]]) for r in rows[:_MOST]]
    return table


def _texts(audit: Path, ids: set[str]) -> tuple[Mapping[str, Report], str]:
    if not ids:
        return {}, ""
    if not has_texts(audit):
        return {}, "The audit does not know where its reports are: plan it with --reports to see sentences."
    try:
        return dict(texts_of(audit, sorted(ids))), ""
    except RadloopError as error:
        return {}, f"The sentences cannot be shown: {error.message}."


def _passages(report: Report | None, label: str, wanted: str) -> Iterator[str]:
    """The sentences in which the rules see the label; where they see none, the beginning of what was read."""
    if report is None:
        return
    parts = select(report, wanted)
    spans = [span for part in parts for span in sentences(report.text, part.start, part.end)]
    seen = [mention for mention in _labeler()(report).mentions if mention.label == label]
    hits = [(a, b) for a, b in spans if any(m.start < b and m.end > a for m in seen)]
    if hits:
        yield from (report.text[a:b] for a, b in hits)
    else:
        text = " ".join(report.text[a:b] for a, b in spans)
        yield text if len(text) <= _LONGEST else text[:_LONGEST] + " \u2026"


@lru_cache(maxsize=1)
def _labeler() -> Any:
    from labeler.base import load

    return load("rules.v1")
