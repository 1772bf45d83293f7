"""`radloop vision export`: the command, thin, without torch until it runs."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def export_cli(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained encoder.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder to write; must be empty.")],
    as_json: Annotated[bool, typer.Option("--json", help="Write the summary as JSON to stdout.")] = False,
) -> None:
    """Write a trained encoder as ONNX and safetensors."""
    from vision.export import export

    summary = export(run, out, command=sys.argv)
    checked = "not checked: onnxruntime is not installed"
    if summary.difference is not None:
        checked = f"probabilities differ by {summary.difference:.1g} at most"
    typer.echo(f"wrote {summary.folder}; {checked}", err=True)
    if as_json:
        typer.echo(json.dumps(asdict(summary), default=str))
