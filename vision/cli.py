"""Train an image encoder on uncertain labels, predict, evaluate, explain."""

from __future__ import annotations

import typer

from vision.evaluate_command import evaluate_cli
from vision.explain_command import explain_cli
from vision.readers_command import readers_cli

app = typer.Typer(
    help="Train an image encoder on uncertain labels, predict, evaluate, explain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("evaluate")(evaluate_cli)
app.command("readers")(readers_cli)
app.command("explain")(explain_cli)
