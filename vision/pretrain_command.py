"""`radloop vision pretrain`: the command, thin, without torch until it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpora.options import Cache, Changes, Config, Resume, Summary, recipe_from, resumable
from vision.options import Init, Split, Unused, beginning

if TYPE_CHECKING:
    from vision.contrast_loop import PretrainEpoch
    from vision.contrast_recipe import PretrainVisionRecipe
    from vision.pretrain import PretrainSummary


def pretrain_cli(
    corpus: Annotated[Path, typer.Option(metavar="CORPUS", help="Corpus folder with the films, and reports.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="RUN", help="Folder for the pretrained backbone.")],
    config: Config = "vision/moco",
    set_: Changes = None,
    init: Init = None,
    split: Split = None,
    cache: Cache = None,
    resume: Resume = False,
    max_failures: Unused = "1%",
    as_json: Summary = False,
) -> None:
    """Pretrain an encoder on films without labels, or on films with their reports; the result starts `train --init`."""
    recipe = pretrain_recipe_of(config, set_ or [], init)
    from corpora.bars import counting, training
    from vision.pretrain import pretrain

    with resumable(), counting("fitting films") as caching, training("pretraining", "films") as steps:
        summary = pretrain(
            corpus, out, recipe, split=split, cache=cache, resume=resume, max_failures=max_failures,
            command=sys.argv, watch=_say_epoch, steps=steps, caching=caching,
        )  # fmt: skip
    _say(summary)
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps({"counts": summary.counts, "epochs": [asdict(epoch) for epoch in summary.epochs]}))


def pretrain_recipe_of(config: str, changes: list[str], init: str | None = None) -> PretrainVisionRecipe:
    """The recipe of that name or file, with changes. Raises ``ConfigError``."""
    from vision.contrast_recipe import PretrainVisionRecipe

    return recipe_from(config, PretrainVisionRecipe, [*changes, *beginning(init)])


def _say_epoch(epoch: PretrainEpoch) -> None:
    told = "" if epoch.told is None else f", told from the queue {epoch.told:.3f}"
    matched = "" if epoch.matched is None else f", report found {epoch.matched:.3f}"
    typer.echo(f"epoch {epoch.epoch}: loss {epoch.loss:.4f}{told}{matched}", err=True)


def _say(summary: PretrainSummary) -> None:
    if summary.untouched:
        typer.echo(f"nothing left to do: {summary.folder} is complete", err=True)
        return
    for note in summary.notes:
        typer.echo(f"warning: {note}", err=True)
    if summary.counts["rejected"]:
        said = f"{summary.counts['rejected']:,} films could not be used; see {summary.folder / 'failures.jsonl'}"
        typer.echo(said, err=True)
    typer.echo(f"{summary.counts['films']:,} films learned from in {summary.seconds:.0f} s", err=True)
    typer.echo(f"wrote {summary.folder}; radloop vision train --init {summary.folder} begins with it", err=True)
