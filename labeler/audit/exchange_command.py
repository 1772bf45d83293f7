"""The commands ``radloop audit export`` and ``radloop audit import``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from corpora.allowance import allowance
from corpora.options import end_if_more
from labeler.audit.plan_command import AuditFolder, Json


class FileFormat(StrEnum):
    """What a file for readers is."""

    label_studio = "label-studio"
    xlsx = "xlsx"
    csv = "csv"
    jsonl = "jsonl"


class Content(StrEnum):
    """What is exported."""

    tasks = "tasks"
    second = "second"
    readings = "readings"


def export_cli(
    audit: AuditFolder,
    to: Annotated[FileFormat, typer.Option(help="Format of the file.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FILE", help="File to write.")],
    reader: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what this reader has still to read, or has read.")
    ] = None,
    what: Annotated[
        Content, typer.Option(help="Texts to read, those for a second reader, or submitted readings.")
    ] = Content.tasks,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write texts for a reader to fill in elsewhere, without anything a machine said; or the readings."""
    from labeler.audit.exchange.run import export
    from labeler.audit.texts import has_texts

    rows = export(audit, out, to=to.value, what=what.value, reader=reader, force=force)
    if not has_texts(audit):
        typer.echo("the audit does not know where its reports are: the file has study ids, and no texts", err=True)
    typer.echo(f"wrote {out}: {rows:,} {'readings' if what is Content.readings else 'texts to read'}", err=True)


def import_cli(
    audit: AuditFolder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File that `radloop audit export` wrote, filled in.")],
    reader: Annotated[str | None, typer.Option(metavar="NAME", help="Who filled in rows that do not say so.")] = None,
    from_: Annotated[
        FileFormat | None, typer.Option("--from", help="Format of the file, if its name does not show it.")
    ] = None,
    rest_blank: Annotated[
        bool, typer.Option("--rest-blank", help="In rows with an answer, take unanswered labels for blank.")
    ] = False,
    max_failures: Annotated[
        str, typer.Option(metavar="N|P%", help="More refused rows than this end with exit code 1.")
    ] = "1%",
    json_: Json = False,
) -> None:
    """Add what a reader filled in elsewhere; a reading that is there is never replaced."""
    from labeler.audit.exchange.run import import_readings, write_rejects

    allowed = allowance(max_failures)
    done = import_readings(audit, file, form=from_ and from_.value, reader=reader, rest_blank=rest_blank)
    failures = audit / f"{file.name}.failures.jsonl"
    if done.rejects:
        write_rejects(failures, done.rejects)
    if json_:
        counts = {"added": done.added, "known": done.known, "empty": done.empty, "refused": len(done.rejects)}
        typer.echo(json.dumps(counts, indent=2))
    typer.echo(
        f"{done.added:,} readings added, {done.known:,} were there, {done.empty:,} rows are not filled in", err=True
    )
    if done.rejects:
        typer.echo(f"{len(done.rejects):,} rows refused; the reasons are in {failures}", err=True)
    too_many = not allowed(len(done.rejects), done.added + done.known + len(done.rejects))
    end_if_more(too_many, "rows were refused", max_failures)
