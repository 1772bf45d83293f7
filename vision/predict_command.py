"""`radloop vision predict`: the command, thin, without torch until it runs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from corpora.options import Summary


def predict_cli(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained encoder.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A corpus, a folder of films, or one film.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="Table (.parquet, .csv, .jsonl) or folder.")],
    part: Annotated[
        str | None, typer.Option(metavar="PART", help="Only this part of the corpus' split: train, validate, test.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The split; split.csv of the corpus if not given.")
    ] = None,
    level: Annotated[
        str, typer.Option(metavar="study|image", help="A row for each study, or for each film.")
    ] = "study",
    decide: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write ones and zeros too, by the model's thresholds.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Films at once.")] = 64,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes that read films; all cores.")
    ] = None,
    max_failures: Annotated[
        str, typer.Option(metavar="N|SHARE", help="Films that may be unreadable before it exits with 1.")
    ] = "1%",
    as_json: Summary = False,
) -> None:
    """Predict calibrated probabilities of findings from DICOM, PNG or JPEG films, or from a corpus."""
    from corpora.bars import counting
    from vision.predict import predict

    with counting("predicting") as watch:
        summary = predict(
            run, source, out, part=part, split=split, level=level, decide=decide, batch_size=batch_size,
            workers=workers, max_failures=max_failures, command=sys.argv, watch=watch,
        )  # fmt: skip
    rate = summary.films / max(summary.seconds, 1e-9)
    typer.echo(f"{summary.films:,} films, {summary.rows:,} rows in {summary.seconds:.1f} s ({rate:,.1f}/s)", err=True)
    typer.echo(f"wrote {summary.table}", err=True)
    if summary.rejected:
        typer.echo(f"{summary.rejected:,} films could not be read; the reasons are in the failures file", err=True)
    if as_json:
        typer.echo(json.dumps(asdict(summary), default=str))
    if summary.too_many:
        raise typer.Exit(1)
