"""Tables of an evaluation for a paper: LaTeX and Markdown, and one long CSV of every number."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from corpora.statistics.types import Estimate
from vision.evaluate_measures import AT_THRESHOLD, MACRO, Measured, Table

if TYPE_CHECKING:
    from vision.evaluate import Evaluation
    from vision.evaluate_compare import Comparison

MEASURES: Final = {
    "auroc": "AUROC", "auroc_delong": "AUROC, DeLong", "auprc": "AUPRC", "brier": "Brier", "ece": "ECE",
    "slope": "slope", "intercept": "intercept", "sensitivity": "sensitivity", "specificity": "specificity",
    "ppv": "PPV", "npv": "NPV", "f1": "F1", "fpr": "FPR", "fnr": "FNR", "accuracy": "accuracy",
}  # fmt: skip
_LATEX: Final = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Grid:
    """A table to print: a title, headings, rows of text, and a note below. The first column is a name."""

    name: str
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def number(value: float | None, digits: int = 3) -> str:
    """A value as printed; a dash where there is none."""
    return "\u2013" if value is None else f"{value:.{digits}f}".replace("-", "\u2212")


def shown(estimate: Estimate | None, digits: int = 3) -> str:
    """A value with its interval.

    >>> shown(Estimate(0.9, 0.85, 0.94, 100, ""))
    '0.900 (0.850 to 0.940)'
    """
    if estimate is None:
        return ""
    value = number(estimate.value, digits)
    if estimate.lo is None or estimate.hi is None:
        return value
    return f"{value} ({number(estimate.lo, digits)} to {number(estimate.hi, digits)})"


def p_value(p: float | None) -> str:
    """A p as printed.

    >>> p_value(0.00001), p_value(0.0412), p_value(None)
    ('<0.001', '0.041', '\u2013')
    """
    return "\u2013" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def grids(found: Evaluation) -> list[Grid]:
    """All tables of an evaluation, in order."""
    said = found.choices.said()
    made = f"{100 * found.choices.confidence:g} % intervals: percentile bootstrap by {found.cohort.cluster}, " \
           f"{found.choices.replicates:,} replicates, shared by all labels and means"  # fmt: skip
    ranking = ("auroc", "auroc_delong", "auprc")
    rest = ("brier", "ece", "slope", "intercept")
    tables = [
        Grid("ranking", "How well the labels are ranked", ("label", "positive", "negative", *_names(ranking)),
             tuple(_rows(found.table, ranking)), f"{said}. {made}."),
        Grid("calibration", "How right the probabilities are", ("label", *_names(rest)),
             tuple((row[0], *row[3:]) for row in _rows(found.table, rest)),
             f"{said}. Slope 1 and intercept 0 are calibrated. Brier score and ECE: {made}."),
    ]  # fmt: skip
    tables += [_threshold_grid(found, rule, said) for rule in found.cuts]
    tables += _group_grids(found)
    if found.comparison is not None:
        tables.append(_comparison_grid(found.comparison, said))
    return tables


def _names(measures: Sequence[str]) -> tuple[str, ...]:
    return tuple(MEASURES[name] for name in measures)


def _rows(table: Table, measures: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for name, row in table.rows().items():
        yield name, f"{row.positives:,}", f"{row.negatives:,}", *(shown(row.scores.get(each)) for each in measures)


def _threshold_grid(found: Evaluation, rule: str, said: str) -> Grid:
    cuts = [number(cut.threshold, 4) for cut in found.cuts[rule]] + ["", ""]
    rows = (
        (name, cut, *(shown(row.at[rule][each], 2) for each in AT_THRESHOLD))
        for (name, row), cut in zip(found.table.rows().items(), cuts, strict=True)
    )
    title = "At the threshold 0.5" if rule == "0.5" else f"At thresholds by {rule}"
    return Grid(f"threshold-{re.sub('[^a-z0-9]+', '-', rule)}", title, ("label", "threshold", *_names(AT_THRESHOLD)),
                tuple(rows), f"Thresholds: {found.cuts_from}. {said}.")  # fmt: skip


def _group_grids(found: Evaluation) -> Iterator[Grid]:
    groupings = dict.fromkeys(group.grouping for group, _, _ in found.groups)
    rule = next(iter(found.cuts))
    for grouping in groupings:
        parts = [(group.value, n, table) for group, n, table in found.groups if group.grouping == grouping]
        rows = [_group_row(value, n, table, rule) for value, n, table in parts]
        head = (grouping, "units", "positive cells", "macro AUROC", "micro AUROC", "macro sensitivity",
                "macro specificity", "macro FNR", *found.cohort.labels)  # fmt: skip
        note = f"Label columns: AUROC. Sensitivity, specificity and FNR at thresholds by {rule}."
        name = re.sub(r"[^a-z0-9]+", "-", grouping.lower()).strip("-") or "group"
        yield Grid(f"group-{name}", f"By {grouping}", head, tuple(rows), note)


def _group_row(value: str, n: int, table: Table, rule: str) -> tuple[str, ...]:
    at = table.macro.at[rule]
    means = (table.macro.scores["auroc"], table.micro.scores["auroc"], at["sensitivity"], at["specificity"], at["fnr"])
    labels = (row.scores["auroc"] for row in table.labels.values())
    return (value, f"{n:,}", f"{table.micro.positives:,}", *map(shown, means), *map(shown, labels))


def _comparison_grid(found: Comparison, said: str) -> Grid:
    rows = (
        (name, number(row.first), number(row.second), shown(row.difference), shown(row.delong) if row.delong else "",
         p_value(row.p), p_value(row.p_holm) if row.p_holm is not None else "")
        for name, row in found.rows.items()
    )  # fmt: skip
    head = ("label", "first", "second", "difference", "difference, DeLong", "p", "p, Holm")
    note = f"AUROC on {found.units:,} shared units; p by DeLong, of macro and micro by resampling. {said}."
    return Grid("comparison", "First system less second", head, tuple(rows), note)


def tables(found: Evaluation) -> dict[str, str]:
    """Every table as ``tables/NAME.tex`` and ``tables/NAME.md``."""
    files: dict[str, str] = {}
    for grid in grids(found):
        files[f"tables/{grid.name}.tex"] = to_latex(grid)
        files[f"tables/{grid.name}.md"] = to_markdown(grid)
    return files


def to_text(grid: Grid) -> str:
    """A grid for a terminal or a pipe: aligned columns, no colours."""
    lines = [grid.head, *grid.rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(grid.head))]
    body = ("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join([grid.title, *body])


def to_markdown(grid: Grid) -> str:
    """A grid in Markdown."""
    lines = [_line(grid.head, _markdown), "|---" + "|--:" * (len(grid.head) - 1) + "|"]
    lines += [_line(row, _markdown) for row in grid.rows]
    note = [_markdown(grid.note), ""] if grid.note else []
    return "\n".join([f"## {_markdown(grid.title)}", "", *lines, "", *note])


def _line(cells: Sequence[str], escape: Callable[[str], str]) -> str:
    return f"| {' | '.join(map(escape, cells))} |"


def _markdown(text: str) -> str:
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", flat)


def to_latex(grid: Grid) -> str:
    """A grid for LaTeX with ``booktabs``; the rows of means stand below a rule of their own."""
    body: list[str] = []
    for row in grid.rows:
        if row[0] == MACRO:
            body.append(r"\midrule")
        body.append(" & ".join(map(latex, row)) + r" \\")
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            rf"\caption{{{latex(grid.title)}. {latex(grid.note)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(grid.head) - 1)}}}",
            r"\toprule",
            " & ".join(map(latex, grid.head)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def latex(text: str) -> str:
    r"""Text with what LaTeX would read escaped.

    >>> latex("95 % of a_b")
    '95 \\% of a\\_b'
    """
    escaped = "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))
    return escaped.replace("\u2013", "--").replace("\u2212", "$-$").replace("<", "$<$").replace(">", "$>$")


def long_rows(found: Evaluation) -> str:
    """Every estimate as one row of a CSV: group, label, threshold rule, measure, and its parts."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["grouping", "group", "label", "rule", "measure", "value", "lo", "hi", "n", "method", "reason"])
    parts: list[tuple[str, str, Table]] = [("", "", found.table)]
    parts += [(group.grouping, group.value, table) for group, _, table in found.groups]
    for grouping, value, table in parts:
        for label, row in table.rows().items():
            for rule, measure, e in _estimates(row):
                cells = [e.value, e.lo, e.hi, e.n, e.method, e.reason]
                writer.writerow([grouping, value, label, rule, measure, *("" if c is None else c for c in cells)])
    return out.getvalue()


def _estimates(row: Measured) -> Iterator[tuple[str, str, Estimate]]:
    scores: Mapping[str, Estimate]
    for rule, scores in {"": row.scores, **row.at}.items():
        for measure, estimate in scores.items():
            yield rule, measure, estimate
