"""FROC curves with their bands, a panel a label: SVG and PNG."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from vision.froc import CURVE, LabelFroc
from vision.tables import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK: Final = "#3c4248"
_LINE: Final = "#0b4f8a"
_STYLE: Final[Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "radloop", "font.family": "sans-serif", "font.size": 8,
    "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.edgecolor": "#c9ccd0",
    # a label with dollar signs is a label, not mathematics
    "text.parse_math": False,
}  # fmt: skip
_COLUMNS: Final = 4


def froc_figure(found: Mapping[str, LabelFroc], iou: float) -> tuple[str, bytes]:
    """The figure as SVG text and as the bytes of a PNG."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(found))
    rows = math.ceil(len(found) / columns)
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # it only measures the text; whoever shows the picture has a font of their own
        warnings.filterwarnings("ignore", r"Glyph \d+ ", UserWarning)
        figure = Figure(figsize=(2.4 * columns, 2.3 * rows), layout="constrained")
        for at, (label, row) in enumerate(found.items(), 1):
            _panel(figure.add_subplot(rows, columns, at), label, row)
        figure.supxlabel(f"false positives per image (overlap above {iou:g})", fontsize=8)
        svg, png = io.StringIO(), io.BytesIO()
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
        figure.set_dpi(200)
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return svg.getvalue(), png.getvalue()


def _panel(axes: Axes, label: str, row: LabelFroc) -> None:
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in label)
    axes.set_title(f"{clean[:34]}, {row.lesions:,} boxes", loc="left", fontsize=8)
    axes.set(xscale="log", xlim=(CURVE[0], CURVE[-1]), ylim=(-0.02, 1.02))
    axes.set_xticks([0.125, 0.25, 0.5, 1, 2, 4, 8], ["⅛", "¼", "½", "1", "2", "4", "8"])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    points = [(x, e.value) for x, e in zip(CURVE, row.curve, strict=True) if e.value is not None]
    if not points:
        axes.text(0.5, 0.4, "no box", ha="center", fontsize=7, transform=axes.transAxes)
        return
    axes.plot([x for x, _ in points], [value for _, value in points], color=_LINE, linewidth=1.4)
    curve = zip(CURVE, row.curve, strict=True)
    banded = [(x, e.lo, e.hi) for x, e in curve if e.lo is not None and e.hi is not None]
    if banded:
        x, lo, hi = zip(*banded, strict=True)
        axes.fill_between(x, lo, hi, color=_LINE, alpha=0.18, linewidth=0)
    axes.text(0.98, 0.03, f"FROC {shown(row.mean)}", ha="right", va="bottom", fontsize=7, transform=axes.transAxes)
