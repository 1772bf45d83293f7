"""The commands ``radloop corpus deidentify`` and ``radloop corpus key``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpora.allowance import allowance
from corpora.options import (
    Encoding,
    FindingsColumn,
    IdColumn,
    ImpressionColumn,
    Resume,
    TextColumn,
    Workers,
    end_if_more,
    resumable,
)

if TYPE_CHECKING:
    from corpora.deid.run import DeidSummary

Watch = Callable[[int, "int | None"], None]


def deidentify(
    source: Path | str, out: Path | str, key_file: Path | str, *, preset: str = "basic", options: Iterable[str] = (),
    table: str | None = None, surrogates: bool = False, audit_fraction: float = 0.0, pixels: bool = False,
    workers: int | None = None, resume: bool = False, command: Sequence[str] = (),
    watch: Watch = lambda done, total: None, **read: str | None,
) -> DeidSummary:  # fmt: skip
    """Clean a DICOM file or folder, a corpus, or a table of reports, and write it to ``out``.

    ``options`` are those of PS3.15 Annex E, over those of ``preset``; ``table`` is another edition of its table, as
    CSV. ``pixels`` lists text in the pixels without blacking it out. ``read`` are fields of
    ``corpora.readers.ReadOptions``.

    What is broken is set aside with its reason. Raises ``DataError`` for a source that cannot be read and for a key
    file that is none (``deid.no_key``, ``deid.key``), ``ConfigError`` for options, ``RunError`` for an output that
    cannot be written, lies in the source, is not empty, or was begun with another key.
    """
    from corpora.deid.run import run_deidentify
    from corpora.readers import ReadOptions

    return run_deidentify(
        source, out, key_file, preset=preset, options=options, table=table, surrogates=surrogates,
        audit_fraction=audit_fraction, pixels=pixels, workers=workers, resume=resume, read=ReadOptions(**read),
        command=command, watch=watch,
    )  # fmt: skip


def deidentify_cli(
    source: Annotated[str, typer.Argument(metavar="SRC", help="DICOM file or folder, corpus, or table of reports.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="Folder, or a table or DICOM file, to write.")
    ],
    key_file: Annotated[Path, typer.Option(metavar="FILE", help="Key of the site; `radloop corpus key` makes one.")],
    preset: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Choice of options: basic, pedicxr, research-40k, or a YAML file.")
    ] = "basic",
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Option of PS3.15 Annex E, such as modify-dates; repeatable."),
    ] = None,
    table: Annotated[
        str | None, typer.Option(metavar="FILE", help="Another edition of the table of Annex E, as CSV.")
    ] = None,
    surrogates: Annotated[
        bool, typer.Option("--surrogates", help="Put invented values into reports, instead of categories.")
    ] = False,
    pixels: Annotated[
        bool, typer.Option("--pixels", help="List text in the pixels, also where it is not blacked out.")
    ] = False,
    audit_fraction: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, metavar="F", help="Share of films and reports listed for a person's check."),
    ] = 0.0,
    workers: Workers = None,
    resume: Resume = False,
    max_failures: Annotated[
        str, typer.Option(metavar="N|P%", help="More rejected files than this end with exit code 1.")
    ] = "1%",
    format_: Annotated[str | None, typer.Option("--format", metavar="NAME", help="Format of reports.")] = None,
    encoding: Encoding = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
    findings_column: FindingsColumn = None,
    impression_column: ImpressionColumn = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON: counts and actions.")] = False,
) -> None:
    """Remove from films and reports what tells who somebody is."""
    from corpora.deid.key import is_open
    from corpora.importing.progress import watching

    allowed = allowance(max_failures)
    with resumable(), watching() as watch:
        summary = deidentify(
            source, out, key_file, preset=preset, options=option or (), table=table, surrogates=surrogates,
            audit_fraction=audit_fraction, pixels=pixels, workers=workers, resume=resume, command=sys.argv,
            watch=lambda done, total: watch("items", done, total), format=format_, encoding=encoding,
            id_column=id_column, text_column=text_column, findings_column=findings_column,
            impression_column=impression_column,
        )  # fmt: skip
    if is_open(key_file):
        typer.echo(f"others may read the key: chmod 600 {key_file}", err=True)
    if json_:
        import json

        typer.echo(json.dumps({"counts": summary.counts, "actions": summary.actions}, indent=2))
    for line in lines_of(summary):
        typer.echo(line, err=True)
    rejected = summary.counts.get("rejected", 0)
    items = rejected + sum(summary.counts.get(name, 0) for name in ("films", "images", "reports"))
    end_if_more(not allowed(rejected, items), "was rejected", max_failures)


def lines_of(summary: DeidSummary) -> list[str]:
    """What a person should know of a run."""
    if summary.untouched:
        return [f"nothing left to do: {summary.out} is complete"]
    counts = summary.counts
    films, reports = counts.get("films", counts.get("images", 0)), counts.get("reports", 0)
    lines = [f"wrote {summary.out}: {films:,} films and {reports:,} reports in {summary.seconds:.1f} s"]
    spans = {name[6:].upper(): number for name, number in counts.items() if name.startswith("spans_")}
    if spans:
        lines.append(
            "removed from reports: " + ", ".join(f"{number:,} {name}" for name, number in sorted(spans.items()))
        )
    if counts.get("films_with_text_in_pixels"):
        lines.append(f"{counts['films_with_text_in_pixels']:,} films have text in their pixels: see pixels.csv")
    if counts.get("other_files"):
        lines.append(f"{counts['other_files']:,} files that are no DICOM, left behind")
    if counts.get("rejected"):
        lines.append(f"{counts['rejected']:,} rejected, none of it written; the reasons are in failures.jsonl")
        lines += [f"  {fault}" for fault in summary.faults]
    return lines


def key_cli(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File for the key; it must not be there yet.")],
) -> None:
    """Make the key of a site: 32 random bytes, for pseudonyms that nobody without it can test."""
    from corpora.deid.key import make_key

    make_key(path)
    typer.echo(f"wrote {path}; keep it apart from what it is used on", err=True)
