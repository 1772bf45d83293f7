"""The commands ``radloop audit status``, ``certify`` and ``apply``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from labeler.audit.plan_command import AuditFolder, Json


def status_cli(audit: AuditFolder, json_: Json = False) -> None:
    """Show who read how much, what is still open, and which gates do not hold yet."""
    from labeler.audit.status import lines_of, not_drawn_lines, status, to_json

    early = None if json_ else not_drawn_lines(audit)
    if early is not None:
        typer.echo("\n".join(early))
        return
    found = status(audit)
    typer.echo(json.dumps(to_json(found), indent=2, ensure_ascii=False) if json_ else "\n".join(lines_of(found)))


def certify_cli(
    audit: AuditFolder,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="Certificate; AUDIT/certificate.json if not given."),
    ] = None,
    json_: Json = False,
) -> None:
    """Certify that people read enough of everything; exits with 1 and says what is missing until they did."""
    from labeler.audit.certify import certify
    from labeler.audit.coverage import lacking_lines

    found = certify(audit, out, command=sys.argv)
    if json_:
        data = {"holds": not found.lacking, "gates": found.gates, "lacking": [each.to_json() for each in found.lacking]}
        typer.echo(json.dumps(data | {"certificate": found.certificate}, indent=2, ensure_ascii=False))
    if found.lacking:
        for line in lacking_lines(found.lacking):
            typer.echo(line, err=True)
        typer.echo(f"not certified: {len(found.lacking):,} of {found.gates:,} gates do not hold", err=True)
        raise typer.Exit(1)
    typer.echo(f"all {found.gates:,} gates hold; wrote {found.path}", err=True)


def apply_cli(
    audit: AuditFolder,
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="The label table that was audited.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FINAL", help=".csv, .parquet or .jsonl.")],
    json_: Json = False,
) -> None:
    """Write the label table with human labels where texts were read, and the machine's confusion beside it."""
    from dataclasses import asdict

    from labeler.audit.apply import apply, beside

    done = apply(audit, labels, out, command=sys.argv)
    if json_:
        typer.echo(json.dumps(asdict(done), indent=2, default=str))
    typer.echo(
        f"wrote {out}: human labels in {done.cells:,} cells of {done.reports:,} reports, {done.changed:,} of them "
        f"other than the machine's; whose each is: {beside(out, 'sources.csv')}",
        err=True,
    )
    if not done.certified:
        typer.echo("not certified: `radloop audit certify` says which gates do not hold", err=True)
