"""The page of a scored system: its table, plots, and the drafts that cost most. One file, nothing to load."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reportgen.bench import Bench

if TYPE_CHECKING:
    from jinja2 import Environment

_WORST = 20


def page(bench: Bench, data: dict[str, Any]) -> str:
    """The page, as HTML."""
    from reportgen.tables import cell_text, shown_metrics

    names = shown_metrics(data)
    lines = [(name, [cell_text(row["metrics"][name]) for row in data["rows"]]) for name in names]
    labels = [name for name in data["rows"][0]["metrics"] if name not in names]
    per_label = [(name, [cell_text(row["metrics"][name]) for row in data["rows"]]) for name in labels]
    return (
        environment()
        .get_template("report.html")
        .render(data=data, lines=lines, per_label=per_label, plots=_plots(bench, data), worst=_worst(bench))
    )


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Templates of this package; everything in them is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _plots(bench: Bench, data: dict[str, Any]) -> list[str]:
    try:
        from corpora.plots import histogram
    except ImportError:  # matplotlib comes with an extra; the page is whole without plots
        return []
    plots = []
    for one in bench.rows[0].scored:
        values = one.values[~np.isnan(one.values)]
        if one.name in ("radloop-clinical", "ROUGE_L") and len(values) > 1:
            try:
                plots.append(histogram(values.tolist(), f"{one.name} of single reports"))
            except ImportError:
                return []
    return [*plots, *intervals_plots(data)]


def intervals_plots(data: dict[str, Any]) -> list[str]:
    """A plot of each main metric: the rows with their intervals."""
    names = [name for name in ("radloop-clinical", "BLEU_4", "ce-macro-14") if name in data["rows"][0]["metrics"]]
    try:
        return [interval_plot(name, data["rows"]) for name in names]
    except ImportError:
        return []


def interval_plot(name: str, rows: list[dict[str, Any]]) -> str:
    """Dots with their intervals, one a row, as SVG."""
    from corpora.plots import _svg

    cells = [(row["name"], row["metrics"][name]) for row in rows if row["metrics"][name]["value"] is not None]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for place, (_, cell) in enumerate(cells):
            axes.plot([cell["lo"] or cell["value"], cell["hi"] or cell["value"]], [place, place], color="#0b4f8a")
            axes.plot([cell["value"]], [place], "o", color="#0b4f8a")
        axes.set_yticks(range(len(cells)), [label[:34] for label, _ in cells])
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(name, loc="left", fontsize=10)

    return _svg(draw, 0.35 * len(cells) + 0.9)


def _worst(bench: Bench) -> list[dict[str, Any]]:
    """The drafts that the clinical score charges most."""
    system = bench.rows[0]
    for one in system.scored:
        if one.evidence and -1 not in one.evidence:
            order = sorted(one.evidence, key=lambda at: (np.nan_to_num(one.values[at]), at))[:_WORST]
            return [
                {"study_id": system.pairs[at].study_id, "score": one.values[at], "errors": one.evidence[at]}
                for at in order
            ]  # fmt: skip
    return []
