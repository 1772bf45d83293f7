"""The command ``radloop corpus import``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpora.allowance import allowance
from corpora.options import (
    Encoding,
    FindingsColumn,
    IdColumn,
    ImpressionColumn,
    TextColumn,
    Workers,
    end_if_more,
    resumable,
)

if TYPE_CHECKING:
    from corpora.importing.run import ImportSummary

Watch = Callable[[str, int, int | None], None]


class JoinBy(StrEnum):
    """What joins films and reports."""

    auto = "auto"
    study_uid = "study_uid"
    accession = "accession"
    layout = "layout"
    mapping = "mapping"


def import_corpus(
    sources: Iterable[str | Path] | str | Path,
    out: Path | str,
    *,
    workers: int | None = None,
    resume: bool = False,
    command: Sequence[str] = ("corpora.importing.import_corpus",),
    watch: Watch = lambda stage, done, total: None,
    **options: Any,
) -> ImportSummary:
    """Build the corpus folder ``out`` from ``sources``: reports, films, tables that describe films, archives, corpora.

    ``options`` are fields of ``corpora.importing.plan.ImportRun``: ``formats``, ``join``, ``mapping``, ``hash``,
    ``copy_images``, ``id_column`` ... Files are read by ``workers`` processes, all cores if not given. ``watch`` is
    called with the stage, how many are done and of how many.

    What is broken is set aside with its reason in ``failures.jsonl``. Raises ``DataError`` for sources that cannot be
    read or hold nothing, ``import.no_match`` for a mapping or join that fits nothing, ``archive.bomb``; ``ConfigError``
    for options that contradict each other; ``RunError`` for an output that cannot be written, is not empty, or was left
    by another import. What was done before an error can be resumed.
    """
    from corpora.importing.plan import ImportRun
    from corpora.importing.run import run_import

    named = [sources] if isinstance(sources, str | Path) else list(sources)
    run = ImportRun(sources=tuple(map(str, named)), **options)
    return run_import(run, Path(out), workers=workers, resume=resume, command=command, watch=watch)


Text = Annotated[str | None, typer.Option(metavar="NAME")]


def import_cli(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...", help="Reports, folders or archives of films, tables, corpora; - for stdin."
        ),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="CORPUS", help="Folder that the corpus is written to.")],
    join: Annotated[
        JoinBy, typer.Option(help="What joins films and reports; auto takes what fits most.")
    ] = JoinBy.auto,
    mapping: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Table of film and study_id, patient_id.")
    ] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option(
            "--format", metavar="NAME", help="Format, for all sources or each; films, nih, chexpert, openi ..."
        ),
    ] = None,
    hash_: Annotated[
        bool, typer.Option("--hash/--no-hash", help="Read all pixels, for a hash that tells like films.")
    ] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the films into CORPUS/images.")] = False,
    workers: Workers = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted import stopped.")] = False,
    max_failures: Annotated[
        str, typer.Option(metavar="N|P%", help="More rejected files than this end with exit code 1.")
    ] = "1%",
    encoding: Encoding = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
    findings_column: FindingsColumn = None,
    impression_column: ImpressionColumn = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON: the counts.")] = False,
) -> None:
    """Build one corpus from reports and films of any number of sources."""
    from corpora.importing.progress import watching

    allowed = allowance(max_failures)
    with resumable(), watching() as watch:
        summary = import_corpus(
            sources, out, workers=workers, resume=resume, command=sys.argv, watch=watch,
            formats=tuple(format_ or ()),
            join=join.value, mapping=mapping and str(mapping), hash=hash_, copy_images=copy, encoding=encoding,
            id_column=id_column, text_column=text_column, findings_column=findings_column,
            impression_column=impression_column,
        )  # fmt: skip
    if json_:
        import json

        typer.echo(json.dumps(summary.counts, indent=2))
    for line in lines_of(summary):
        typer.echo(line, err=True)
    end_if_more(not allowed(summary.counts["rejected"], summary.looked_at), "was rejected", max_failures)


def lines_of(summary: ImportSummary) -> list[str]:
    """What a person should know of an import."""
    counts = summary.counts
    if summary.untouched:
        return [f"nothing left to do: {summary.out} is complete"]
    lines = [
        f"wrote {summary.out}: {counts['studies']:,} studies with {counts['images']:,} films and"
        f" {counts['reports']:,} reports in {summary.seconds:.1f} s{' after the interruption' * summary.resumed}"
    ]
    for one in summary.joined:
        if counts["reports"]:
            by = f"by {one.way}" if one.way else "in any way"
            lines.append(f"{one.source}: {one.matched:,} of {one.films:,} films joined with a report {by}")
    notes = {
        "films without a report": counts["images_without_report"] if counts["reports"] else 0,
        "reports without a film": counts["studies_without_image"] if counts["images"] else 0,
        "studies without a patient id": counts["studies_without_patient"],
        "films that no row of a table describes": counts["images_without_row"],
        "rows of tables whose film is not there": counts["rows_without_image"],
        "films that are there twice, of which one was kept": counts["same_images"],
        "films with the UID of another film and other content, of which one was kept": counts["same_uids"],
        "reports that are there twice, of which one was kept": counts["same_reports"],
        "further reports of a study, of which the first was kept": counts["later_reports"],
        "films of another patient than the rest of their study, set aside": counts["images_of_two_patients"],
        "files in folders of films that are no films": counts["other_files"],
        "files and records rejected": counts["rejected"],
    }
    lines += [f"{number:,} {what}" for what, number in notes.items() if number]
    if any(counts[name] for name in ("rejected", "same_images", "same_uids", "same_reports")):
        lines.append(f"the reasons are in {summary.out / 'failures.jsonl'}")
    return lines
