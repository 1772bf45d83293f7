"""Train an image encoder on uncertain labels, predict, evaluate, explain.

radloop vision train --corpus corpus --labels labels.csv --config vision/resnet50 -o run
radloop vision predict run corpus --part test -o predictions.parquet
radloop vision export run -o exported
"""

from __future__ import annotations

import typer

from vision.export_command import export_cli
from vision.predict_command import predict_cli
from vision.train_command import train_cli

app = typer.Typer(
    help="Train an image encoder on uncertain labels, predict, evaluate, explain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("train")(train_cli)
app.command("predict")(predict_cli)
app.command("export")(export_cli)
