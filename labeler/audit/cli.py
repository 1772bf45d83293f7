"""Audit a label table: draw reports, have them read, estimate how good the labels are, certify."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="Audit a label table: draw reports, have them read, estimate how good the labels are, certify.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
