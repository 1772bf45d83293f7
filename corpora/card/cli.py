"""The command ``radloop corpus card``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def card_cli(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Folder that `radloop corpus import` made.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FOLDER", help="Where the card goes; into the corpus.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="Label table or run folder; without it, the corpus's labels.")
    ] = None,
    split: Annotated[Path | None, typer.Option(metavar="FILE", help="Split; without it, that of the corpus.")] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the data set; the folder's, if not given.")] = "",
    json_: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Describe a corpus: README.md, which the Hugging Face hub reads, and card.html with plots."""
    import json
    import sys

    from corpora.card.write import card, to_json

    files = card(corpus, out, labels=labels, split=split, name=name, command=sys.argv)
    if json_:
        typer.echo(json.dumps(to_json(files.numbers), indent=2, ensure_ascii=False))
    typer.echo(f"wrote {files.markdown} and {files.html}", err=True)
