"""The command ``radloop corpus scan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpora.options import Workers

if TYPE_CHECKING:
    from corpora.scan.result import ScanResult

_SHOWN = 50


def scan_cli(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="De-identified films, corpus or table of reports.")],
    source: Annotated[
        Path | None, typer.Option(metavar="SRC", help="What it was made of: its values are looked for.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Key of the site, to compare each film with its own source.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE.json", help="Write the result, for `corpus check --scan`."),
    ] = None,
    pixels: Annotated[
        bool, typer.Option("--pixels/--no-pixels", help="Read text in the pixels, with tesseract.")
    ] = True,
    workers: Workers = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON: what was scanned and found.")] = False,
) -> None:
    """Look for what is left of people in an output; exits with 1 if anything is."""
    import json
    import sys

    from corpora.importing.progress import watching
    from corpora.scan.result import write_result
    from corpora.scan.run import scan

    with watching() as watch:
        result = scan(
            folder, source=source, key_file=key_file, pixels=pixels, workers=workers,
            watch=lambda done, total: watch("files", done, total),
        )  # fmt: skip
    if out is not None:
        write_result(result, out, command=sys.argv)
    if json_:
        typer.echo(json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    else:
        for leak in result.leaks[:_SHOWN]:
            typer.echo(f"{leak.file}: {leak.where}: {leak.kind}: {leak.what}")
    for line in lines_of(result, asked=pixels):
        typer.echo(line, err=True)
    if result.leaks:
        raise typer.Exit(1)


def lines_of(result: ScanResult, *, asked: bool = True) -> list[str]:
    """What a person should know of a scan."""
    lines = [
        f"scanned {result.files:,} films, {result.reports:,} reports and {result.others:,}"
        f" other files in {result.seconds:.1f} s"
    ]
    if asked and result.files and not result.reads_pixels:
        lines.append("the pixels were not read: tesseract is not installed (Debian: apt install tesseract-ocr)")
    left = len(result.leaks)
    more = f", of which {_SHOWN} are shown" if left > _SHOWN else ""
    lines.append(f"{left:,} leaks found{more}" if left else "nothing was found left")
    return lines
