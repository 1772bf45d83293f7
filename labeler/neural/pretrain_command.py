"""`radloop label pretrain`: the command, thin, without torch until it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpora.options import Changes, Config, IdColumn, Resume, SourceFormat, TextColumn, recipe_from, resumable

if TYPE_CHECKING:
    from labeler.neural.pretrain import PretrainSummary


def pretrain_cli(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Tables, folders, archives of reports.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="RUN", help="Folder for the encoder.")],
    config: Config = "label/pretrain",
    set_: Changes = None,
    leave_out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Study ids not to use, one a line: those of a test.")
    ] = None,
    resume: Resume = False,
    format_: SourceFormat = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
) -> None:
    """Learn word pieces and an encoder from reports, for `radloop label train --encoder RUN`."""
    from corpora.bars import training
    from corpora.readers import ReadOptions
    from labeler.neural.commands import ids_in
    from labeler.neural.pretrain_recipe import PretrainRecipe

    recipe = recipe_from(config, PretrainRecipe, set_)
    options = ReadOptions(format=format_, id_column=id_column, text_column=text_column)
    left_out = ids_in(leave_out) if leave_out else frozenset()
    from labeler.neural.pretrain import pretrain

    with resumable(), training("pretraining", "texts") as watch:
        summary = pretrain(
            sources, out, recipe, options=options, leave_out=left_out, resume=resume, command=sys.argv, watch=watch
        )
    _say(summary)


def _say(summary: PretrainSummary) -> None:
    if summary.untouched:
        typer.echo(f"nothing left to do: {summary.folder} is complete", err=True)
        return
    last = summary.epochs[-1]
    typer.echo(f"{summary.counts['training']:,} reports learned from in {summary.seconds:.0f} s", err=True)
    typer.echo(f"held out: {last.heldout_right:.1%} of masked words right, loss {last.heldout_loss:.3f}", err=True)
    typer.echo(f"wrote {summary.folder}", err=True)
