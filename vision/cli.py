"""Train an image encoder on uncertain labels, predict, evaluate, explain.

radloop vision pretrain --corpus corpus --config vision/moco -o start
radloop vision train --corpus corpus --labels labels.csv --config vision/resnet50 -o run
radloop vision predict run corpus --part test -o predictions.parquet
radloop vision evaluate predictions.parquet labels.csv --thresholds-from run -o evaluation
radloop vision explain run corpus -o maps
radloop vision train-detector --corpus corpus --boxes boxes.csv --config vision/detector -o detector
radloop vision detect detector corpus --part test -o found
radloop vision evaluate found boxes.csv --boxes -o froc
radloop vision export run -o exported
"""

from __future__ import annotations

import typer

from vision.detect_command import detect_cli, train_detector_cli
from vision.evaluate_command import evaluate_cli
from vision.explain_command import explain_cli
from vision.export_command import export_cli
from vision.predict_command import predict_cli
from vision.pretrain_command import pretrain_cli
from vision.readers_command import readers_cli
from vision.train_command import train_cli
from vision.weak_boxes_command import weak_boxes_cli

app = typer.Typer(
    help="Train an image encoder on uncertain labels, predict, evaluate, explain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("pretrain")(pretrain_cli)
app.command("train")(train_cli)
app.command("train-detector")(train_detector_cli)
app.command("predict")(predict_cli)
app.command("detect")(detect_cli)
app.command("evaluate")(evaluate_cli)
app.command("readers")(readers_cli)
app.command("explain")(explain_cli)
app.command("weak-boxes")(weak_boxes_cli)
app.command("export")(export_cli)
