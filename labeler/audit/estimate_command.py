"""The command ``radloop audit estimate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from labeler.audit.plan_command import AuditFolder, Json


def estimate_cli(
    audit: AuditFolder,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with plots and the sentences missed.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FOLDER", help="Also write estimates.json and the page there.")
    ] = None,
    phase: Annotated[
        str, typer.Option(metavar="PHASE", help="blind: as read before machine labels were shown; revealed: after.")
    ] = "blind",
    confidence: Annotated[float, typer.Option(metavar="SHARE", help="Of the intervals.")] = 0.95,
    json_: Json = False,
) -> None:
    """Estimate how good the labels are from what was read: per label and state, over labels, and between readers."""
    import json

    from labeler.audit.estimate_run import run_estimate
    from labeler.audit.report import lines_of, to_json

    found, written = run_estimate(audit, html=html, out=out, phase=phase, confidence=confidence, command=sys.argv)
    if json_:
        typer.echo(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(lines_of(found)))
    for path in written:
        typer.echo(f"wrote {path}", err=True)
