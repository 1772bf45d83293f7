"""The command ``radloop corpus check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check_cli(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Folder that `radloop corpus import` made.")],
    spec: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Specification: a shipped name, or a YAML file.")
    ] = "thoracic-40k",
    labels: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="Label table or run folder; without it, the corpus's labels.")
    ] = None,
    boxes: Annotated[Path | None, typer.Option(metavar="FILE", help="Boxes: COCO .json, or VinDr .csv.")] = None,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate of the audit, JSON.")] = None,
    scan: Annotated[Path | None, typer.Option(metavar="FILE", help="Result of a scan for identities, JSON.")] = None,
    pixels: Annotated[
        str, typer.Option(metavar="N|all|none", help="How many films to look at; a sample of them, or all.")
    ] = "100",
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with the verdicts and plots.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, with every study against a criterion.")] = False,
) -> None:
    """Check a corpus against a specification; exits with 1 if a required criterion fails."""
    import json
    import sys

    from rich.console import Console

    from corpora.specs.check import check
    from corpora.specs.films import watching
    from corpora.specs.page import summary, to_json, to_table, write_page

    with watching() as watch:
        result = check(
            corpus, spec, labels=labels, boxes=boxes, certificate=certificate, scan=scan, pixels=pixels, watch=watch
        )
    if html is not None:
        given = [corpus / "manifest.json", labels, boxes, certificate, scan]
        write_page(result, html, command=sys.argv, inputs=[path for path in given if path is not None])
        typer.echo(f"wrote {html}", err=True)
    if json_:
        typer.echo(json.dumps(to_json(result), indent=2, ensure_ascii=False))
    else:
        Console().print(to_table(result))
    typer.echo(summary(result), err=True)
    if not result.passed:
        raise typer.Exit(1)
