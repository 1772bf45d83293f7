"""`radloop label train`: the command, thin, without torch until it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpora.options import Changes, Config, IdColumn, Resume, SourceFormat, TextColumn, recipe_from, resumable

if TYPE_CHECKING:
    from labeler.neural.loop import Epoch
    from labeler.neural.train import TrainSummary


def train_cli(
    out: Annotated[Path, typer.Option("-o", "--out", metavar="RUN", help="Folder for the model.")],
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE...", help="Tables, folders, archives of reports.")
    ] = None,
    corpus: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="The same as an option; may be given again.")
    ] = None,
    config: Config = "label/bertcnn",
    teacher: Annotated[str | None, typer.Option(metavar="NAME", help="Labeler to learn from.")] = None,
    gold: Annotated[
        list[Path] | None, typer.Option(metavar="TABLE", help="Gold labels to learn from last; may be given again.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Encoder to begin with, such as one of `label pretrain`.")
    ] = None,
    set_: Changes = None,
    leave_out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Study ids not to use, one a line: those of a test.")
    ] = None,
    resume: Resume = False,
    format_: SourceFormat = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
) -> None:
    """Train a neural labeler on reports, taught by another labeler and by gold labels."""
    from corpora.bars import training
    from corpora.readers import ReadOptions
    from labeler.neural.recipe import TrainRecipe

    reports = [*(sources or []), *(corpus or [])]
    if not reports:
        raise typer.BadParameter("name reports to learn from", param_hint="SOURCE... or --corpus")
    given = {"teacher": teacher, "encoder.source": encoder}
    changes = [*(set_ or []), *(f"{name}={json.dumps(value)}" for name, value in given.items() if value)]
    recipe = recipe_from(config, TrainRecipe, changes)
    options = ReadOptions(format=format_, id_column=id_column, text_column=text_column)
    left_out = ids_in(leave_out) if leave_out else frozenset()
    from labeler.neural.train import train

    with resumable(), training("training", "texts") as steps:
        summary = train(
            reports, out, recipe, gold=gold or (), options=options, leave_out=left_out, resume=resume,
            command=sys.argv, watch=_say_epoch, steps=steps,
        )  # fmt: skip
    _say(summary)


def ids_in(path: Path) -> frozenset[str]:
    """The ids in a file, one a line."""
    from corpora.errors import DataError

    try:
        return frozenset(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip())
    except FileNotFoundError:
        raise DataError("data.missing", "there is no such file", where=str(path)) from None
    except OSError as error:
        raise DataError("data.file", f"cannot be read: {error.strerror or 'error'}", where=str(path)) from None
    except UnicodeDecodeError:
        raise DataError("data.encoding", "not UTF-8 text", where=str(path)) from None


def _say_epoch(epoch: Epoch) -> None:
    typer.echo(f"{epoch.stage}, epoch {epoch.epoch}: loss {epoch.loss:.4f}, held out {epoch.weighted_f1:.4f}", err=True)


def _say(summary: TrainSummary) -> None:
    if summary.untouched:
        typer.echo(f"nothing left to do: {summary.folder} is complete", err=True)
        return
    for warning in summary.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"{summary.counts['reports']:,} reports learned from in {summary.seconds:.0f} s", err=True)
    typer.echo(f"weighted F1 on the held-out part against its labels: {summary.weighted_f1:.4f}", err=True)
    for name, scores in summary.gold.items():
        typer.echo(
            f"gold, by folds: {name}: weighted F1 {scores['weighted_f1']:.4f}, uncertain {scores['uncertain']:.4f}",
            err=True,
        )
    typer.echo(f"wrote {summary.folder}", err=True)
