"""The table of a scored system for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def to_table(data: dict[str, Any], *, interval: bool = True) -> Table:
    """A line a metric, a column a row; the system has its interval if asked for, the baselines their value."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from reportgen.tables import cell_text, shown_metrics

    table = Table(
        title=f"{data['protocol']}, {data['reports']} reports", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
        caption="[ ] 95 % interval; * differs from the constant report, p < .05",
    )  # fmt: skip
    table.add_column("metric")
    for row in data["rows"]:
        table.add_column(escape(row["name"]), justify="right")
    for name in shown_metrics(data):
        cells = [cell_text(row["metrics"][name], interval=interval and at == 0) for at, row in enumerate(data["rows"])]
        table.add_row(escape(name), *map(escape, cells))
    table.add_row("different drafts", *(str(row["distinct"]) for row in data["rows"]))
    return table
