"""The command ``radloop reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_SHOWN = 20


def reproduce_cli(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, a table with its manifest, or a manifest.")],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help="The command, where a manifest keeps its paths back: after --."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="NEW", help="Where it goes; beside RUN if not given.")
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Do it again though inputs have changed.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Do a run again from its manifest and compare the outputs; exits with 1 if figures differ."""
    import json

    from corpora.reproduce.rerun import reproduce

    found = reproduce(run, out, command=command or (), anyway=anyway, say=lambda line: typer.echo(line, err=True))
    if json_:
        typer.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        for each in found.files:
            if each.verdict not in ("equal", "same"):
                typer.echo(f"{each.verdict}: {each.name}{': ' if each.why else ''}{each.why}")
    counts = found.counts()
    typer.echo(
        f"{counts['equal']:,} files equal to the byte, {counts['same']:,} with the same figures, "
        f"{counts['differs']:,} that differ, {counts['missing']:,} missing, {counts['added']:,} new: {found.new}",
        err=True,
    )
    if not found.reproduced:
        raise typer.Exit(1)
