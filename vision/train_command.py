"""`radloop vision train`: the command, thin, without torch until it runs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpora.options import Cache, Changes, Config, Resume, Summary, recipe_from, resumable
from vision.options import Init, Split, Unused, beginning

if TYPE_CHECKING:
    from vision.checkpoint import Epoch
    from vision.recipe import VisionRecipe
    from vision.train import TrainSummary


def train_cli(
    corpus: Annotated[Path, typer.Option(metavar="CORPUS", help="Corpus folder with the films.")],
    labels: Annotated[
        Path, typer.Option(metavar="LABELS", help="Label table of its studies, or the corpus: its own labels.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="RUN", help="Folder for the model.")],
    config: Config = "vision/resnet50",
    set_: Changes = None,
    init: Init = None,
    abnormality: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Run on abnormalities: train the two-stream diagnosis network on top of it."),
    ] = None,
    split: Split = None,
    cache: Cache = None,
    confusion: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Confusion matrices of an audit, for noise_aware labels.")
    ] = None,
    resume: Resume = False,
    max_failures: Unused = "1%",
    as_json: Summary = False,
) -> None:
    """Train an image encoder on the films of a corpus and uncertain labels of its studies."""
    recipe = recipe_of(config, set_ or [], init, abnormality)
    from corpora.bars import counting, training
    from vision.train import train

    with resumable(), counting("fitting films") as caching, training("training", "films") as steps:
        summary = train(
            corpus, labels, out, recipe, split=split, cache=cache, confusion=confusion, resume=resume,
            max_failures=max_failures, command=sys.argv, watch=_say_epoch, steps=steps, caching=caching,
        )  # fmt: skip
    if os.environ.get("RANK", "0") != "0":
        # one of several processes speaks for all
        return
    _say(summary)
    if as_json:
        typer.echo(json.dumps({"macro_auroc": summary.macro_auroc, "counts": summary.counts, "labels": summary.table}))


def recipe_of(config: str, changes: list[str], init: str | None = None, abnormality: str | None = None) -> VisionRecipe:
    """The recipe of that name or file, with changes; that of a diagnosis network with the run of its ``abnormality``
    path. Raises ``ConfigError``."""
    from vision.recipe import VisionRecipe

    more = beginning(init)
    if abnormality is not None:
        from vision.diagnosis import DiagnosisRecipe

        return recipe_from(config, DiagnosisRecipe, [*changes, *more, f"abnormality={json.dumps(abnormality)}"])
    return recipe_from(config, VisionRecipe, [*changes, *more])


def _say_epoch(epoch: Epoch) -> None:
    said = f"{epoch.stage}, epoch {epoch.epoch}: loss {epoch.loss:.4f}, validation macro AUROC {epoch.macro_auroc:.4f}"
    typer.echo(said, err=True)


def _say(summary: TrainSummary) -> None:
    if summary.untouched:
        typer.echo(f"nothing left to do: {summary.folder} is complete", err=True)
        return
    for warning in summary.warnings:
        typer.echo(f"warning: {warning}", err=True)
    counts = summary.counts
    if counts["rejected"]:
        typer.echo(f"{counts['rejected']:,} films could not be used; see {summary.folder / 'failures.jsonl'}", err=True)
    typer.echo(f"{counts['films, train']:,} films learned from in {summary.seconds:.0f} s", err=True)
    typer.echo(f"macro AUROC on the validation part, by its labels: {summary.macro_auroc:.4f}", err=True)
    typer.echo(f"wrote {summary.folder}", err=True)
