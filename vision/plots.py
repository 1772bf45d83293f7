"""ROC curves and calibration of every label as figures: SVG for a page, PNG for a paper."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from corpora.statistics.calibration import reliability
from corpora.statistics.roc import roc_curve
from vision.tables import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vision.evaluate import Evaluation

_INK: Final = "#3c4248"
_CURVE: Final = "#0b4f8a"
_OTHER: Final = "#d55e00"
_STYLE: Final[Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "radloop", "font.family": "sans-serif", "font.size": 8,
    "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.edgecolor": "#c9ccd0",
    # a label with dollar signs is a label, not mathematics
    "text.parse_math": False,
}  # fmt: skip
_COLUMNS: Final = 4
_MOST_POINTS: Final = 500


def figures(found: Evaluation) -> dict[str, str | bytes]:
    """``plots/roc`` and ``plots/calibration``, each as .svg (text) and .png (bytes)."""
    files: dict[str, str | bytes] = {}
    for name, draw in (("roc", _roc), ("calibration", _calibration)):
        svg, png = _small_multiples(found, draw)
        files |= {f"plots/{name}.svg": svg, f"plots/{name}.png": png}
    return files


def _small_multiples(found: Evaluation, draw: Callable[[Evaluation, int, Axes], None]) -> tuple[str, bytes]:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    labels = len(found.cohort.labels)
    columns = min(_COLUMNS, labels)
    rows = math.ceil(labels / columns)
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # it only measures the text; whoever shows the page has a font of their own
        warnings.filterwarnings("ignore", r"Glyph \d+ ", UserWarning)
        figure: Figure = Figure(figsize=(2.3 * columns, 2.45 * rows), layout="constrained")
        for at in range(labels):
            draw(found, at, figure.add_subplot(rows, columns, at + 1))
        svg, png = io.StringIO(), io.BytesIO()
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
        figure.set_dpi(200)
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})  # type: ignore[no-untyped-call]
    text = svg.getvalue()
    # the declaration and the document type belong to a file of its own
    return re.sub(r"\s*<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL), png.getvalue()


def _roc(found: Evaluation, at: int, axes: Axes) -> None:
    label, y, s = found.cohort.labels[at], found.cohort.truth[:, at], found.cohort.scores[:, at]
    _square(axes, label, "1 \u2212 specificity", "sensitivity")
    if not ((y == 1).any() and (y == 0).any()):
        _nothing(axes, "only one class")
        return
    curve = roc_curve(y, np.nan_to_num(s))
    keep = np.unique(np.linspace(0, len(curve.thresholds) - 1, _MOST_POINTS).round().astype(int))
    axes.plot(1 - curve.specificity[keep], curve.sensitivity[keep], color=_CURVE, linewidth=1.4)
    row = found.table.labels[label]
    first = next(iter(found.cuts))
    cut, there = found.cuts[first][at], row.at[first]
    fpr, sensitivity = there["fpr"].value, there["sensitivity"].value
    if cut.threshold is not None and fpr is not None and sensitivity is not None:
        axes.plot([fpr], [sensitivity], marker="o", color=_OTHER, markersize=4)
    axes.text(0.98, 0.03, shown(row.scores["auroc"]), ha="right", va="bottom", fontsize=7, transform=axes.transAxes)


def _calibration(found: Evaluation, at: int, axes: Axes) -> None:
    label, y, p = found.cohort.labels[at], found.cohort.truth[:, at], found.cohort.scores[:, at]
    _square(axes, label, "predicted", "observed")
    if not (y >= 0).any():
        _nothing(axes, "no unit with a known truth")
        return
    bins = reliability(y, np.nan_to_num(p))
    sizes = 8 + 60 * bins.counts / bins.counts.max()
    axes.plot(bins.predicted, bins.observed, color=_CURVE, linewidth=1.2)
    axes.scatter(bins.predicted, bins.observed, s=sizes, color=_CURVE, alpha=0.8, linewidths=0)
    ece = found.table.labels[label].scores["ece"]
    axes.set_xlabel(f"predicted\nECE {shown(ece)}")


def _square(axes: Axes, title: str, x: str, y: str) -> None:
    axes.plot([0, 1], [0, 1], color="#c9ccd0", linewidth=0.8, linestyle="--")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x, ylabel=y, aspect="equal")
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    axes.spines[["top", "right"]].set_visible(False)
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in title)
    axes.set_title(clean if len(clean) <= 30 else f"{clean[:29]}\u2026", loc="left", fontsize=8)


def _nothing(axes: Axes, why: str) -> None:
    axes.text(0.5, 0.4, why, ha="center", fontsize=7, transform=axes.transAxes)
