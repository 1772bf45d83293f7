"""Audit a label table: draw reports, have them read, estimate how good the labels are, certify."""

from __future__ import annotations

import typer

from labeler.audit.certify_command import apply_cli, certify_cli, status_cli
from labeler.audit.estimate_command import estimate_cli
from labeler.audit.exchange_command import export_cli, import_cli
from labeler.audit.plan_command import draw_cli, plan_cli

app = typer.Typer(
    help="Audit a label table: draw reports, have them read, estimate how good the labels are, certify.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("plan")(plan_cli)
app.command("draw")(draw_cli)
app.command("export")(export_cli)
app.command("import")(import_cli)
app.command("status")(status_cli)
app.command("estimate")(estimate_cli)
app.command("certify")(certify_cli)
app.command("apply")(apply_cli)
