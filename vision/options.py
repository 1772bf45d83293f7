"""Options that several commands of `radloop vision` share, as their functions declare them; others: corpora.options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

Split = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Split by patient; split.csv of the corpus if not given.")
]
Init = Annotated[
    str | None, typer.Option(metavar="WEIGHTS", help="Weights to begin with: a run, a folder, a state dict file.")
]
Part = Annotated[str, typer.Option(metavar="PART", help="Only this part of the corpus' split: train, validate, test.")]
Unused = Annotated[str, typer.Option(metavar="N|SHARE", help="Films that may be unreadable before it stops.")]
Unread = Annotated[str, typer.Option(metavar="N|P%", help="More unreadable films than this end with exit code 1.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the bootstrap.")]


def beginning(init: str | None) -> list[str]:
    """What ``--init`` changes in a recipe."""
    return [f"backbone.source={json.dumps(init)}"] if init else []
