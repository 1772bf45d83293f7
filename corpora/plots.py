"""Plots as SVG to put into a page: nothing to load, text stays text, the same data gives the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Blue, orange, yellow and grey that stay apart in grey print and for the colour-blind (after Okabe and Ito).
STATE_COLOURS: Final = {"positive": "#d55e00", "negative": "#56b4e9", "uncertain": "#f0e442", "blank": "#d0d3d6"}
_BAR: Final = "#0b4f8a"
_INK: Final = "#3c4248"
_STYLE: Final[Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "radloop", "font.family": "sans-serif", "font.size": 9,
    "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.edgecolor": "#c9ccd0",
    # a label with dollar signs is a label, not mathematics
    "text.parse_math": False,
}  # fmt: skip
_LONGEST: Final = 34


def bars(counts: Mapping[str, int], title: str, *, most: int = 20) -> str:
    """Horizontal bars, one a value in the order given; those beyond ``most`` are summed up as the rest."""
    shown = _at_most(counts, most)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        places = range(len(shown))
        axes.barh(places, list(shown.values()), color=_BAR, height=0.72)
        axes.set_yticks(places, [_short(name) for name in shown])
        _numbers(axes, shown.values())
        _bare(axes, title)

    return _svg(draw, 0.28 * len(shown) + 0.7)


def columns(counts: Mapping[str, int], title: str) -> str:
    """Upright columns for values that have an order: years, decades."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.bar(range(len(counts)), list(counts.values()), color=_BAR, width=0.8)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        crowded = len(counts) > 8
        axes.set_xticks(
            range(len(counts)),
            [_short(name) for name in counts],
            rotation=45 if crowded else 0,
            ha="right" if crowded else "center",
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, loc="left", fontsize=10)

    return _svg(draw, 2.4)


def states(prevalence: Mapping[str, Mapping[str, int]], title: str) -> str:
    """Each label as one bar of four shares: positive, negative, uncertain, blank."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        totals = [sum(row.values()) or 1 for row in prevalence.values()]
        left = [0.0] * len(prevalence)
        for state, colour in STATE_COLOURS.items():
            parts = [row.get(state, 0) / total for row, total in zip(prevalence.values(), totals, strict=True)]
            axes.barh(range(len(parts)), parts, left=left, color=colour, height=0.75, label=state)
            left = [start + part for start, part in zip(left, parts, strict=True)]
        axes.set_yticks(range(len(prevalence)), [_short(name) for name in prevalence])
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        axes.legend(ncols=4, frameon=False, loc="lower left", bbox_to_anchor=(0, -0.02 - 0.9 / max(len(prevalence), 3)))
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
        axes.set_title(title, loc="left", fontsize=10, pad=14)

    return _svg(draw, 0.27 * len(prevalence) + 1.2)


def histogram(values: Sequence[float], title: str, *, limits: Sequence[float] = (), unit: str = "") -> str:
    """How values are spread, with dashed lines at the limits."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.hist(values, bins=min(40, max(8, int(len(values) ** 0.5))), color=_BAR)
        for limit in limits:
            axes.axvline(limit, color="#a23f00", linestyle="--", linewidth=1.2)
        axes.set_xlabel(unit)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, loc="left", fontsize=10)

    return _svg(draw, 2.4)


def _svg(draw: Any, height: float) -> str:
    import warnings

    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # it only measures the text; whoever shows the page has a font of their own
        warnings.filterwarnings("ignore", r"Glyph \d+ ", UserWarning)
        figure = Figure(figsize=(6.2, height), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        draw(figure)
        out = io.StringIO()
        canvas.print_svg(out, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    svg = out.getvalue()
    # the declaration and the document type belong to a file of its own
    return re.sub(r"\s*<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)


def _at_most(counts: Mapping[str, int], most: int) -> dict[str, int]:
    if len(counts) <= most:
        return dict(counts)
    items = list(counts.items())
    rest = sum(number for _, number in items[most - 1 :])
    return dict(items[: most - 1]) | {f"{len(items) - most + 1} others": rest}


def _short(name: str) -> str:
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "\u2026"


def _numbers(axes: Any, values: Any) -> None:
    highest = max(values, default=0) or 1
    for place, value in enumerate(values):
        axes.text(value + 0.01 * highest, place, f"{value:,}", va="center", fontsize=8)
    axes.set_xlim(0, 1.13 * highest)


def _bare(axes: Any, title: str) -> None:
    axes.invert_yaxis()
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(bottom=False, labelbottom=False, left=False)
    axes.set_title(title, loc="left", fontsize=10)
