"""The command ``radloop vision readers``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision.options import Seed

if TYPE_CHECKING:
    from vision.readers import Agreement, ReaderReport
    from vision.readers_change import Change, ChangeReport
    from vision.tables import Grid

    Rows = tuple[tuple[str, ...], ...]


def readers_cli(
    table: Annotated[
        Path,
        typer.Argument(metavar="TABLE", help="Readings: image_id, reader, a column by label; or boxes as VinDr-CXR."),
    ],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FOLDER", help="Write JSON, a page, LaTeX and Markdown.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="TABLE2", help="The same films read again: what the agreement gains.")
    ] = None,
    labels: Annotated[
        str, typer.Option(metavar="NAMES", help="Labels to compare, with commas; all if not given.")
    ] = "",
    blank: Annotated[
        str, typer.Option(metavar="negative|state", help="What a blank answer is: negative, or an answer of its own.")
    ] = "negative",
    replicates: Annotated[int, typer.Option(min=0, metavar="N", help="Bootstrap replicates.")] = 10_000,
    seed: Seed = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how far readers of the same films agree: agreement, Cohen's and Fleiss' kappa."""
    import json
    from time import monotonic

    from vision.readers import readers, to_json
    from vision.readers_change import compare_readings
    from vision.tables import to_text

    begun = monotonic()
    names = [name.strip() for name in labels.split(",") if name.strip()]
    report = readers(table, labels=names, blank=blank, replicates=replicates, seed=seed)
    change = None
    if compare is not None:
        change = compare_readings(table, compare, labels=names, blank=blank, replicates=replicates, seed=seed)
    grids = [*reader_grids(report), *([] if change is None else change_grids(change, report))]
    found = to_json(report) | ({} if change is None else {"change": change.to_json()})
    if json_:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n\n".join(to_text(grid) for grid in grids))
    for note in (*report.notes, *(change.notes if change else ())):
        typer.echo(f"note: {note}", err=True)
    if out is not None:
        write_readers(report, found, grids, [table] if compare is None else [table, compare], out, monotonic() - begun)
        typer.echo(f"wrote {out / 'readers.html'}", err=True)


def reader_grids(report: ReaderReport) -> list[Grid]:
    """The tables of a report: one a pair of readers, one of all readers."""
    head = ("label", "agreement", "kappa, as printed", "kappa, bootstrap")
    note = f"In brackets {100 * report.method['confidence']:g} % intervals. {report.method['bootstrap']}, " \
           f"{report.method['replicates']:,} replicates. {report.method['printed']}."  # fmt: skip
    every = f"Fleiss' kappa, {report.fleiss_raters} readers an item"
    pairs = {names: _rows(rows) for names, rows in report.pairs.items()}
    return _grids("", ("Cohen's kappa", every), head, pairs, _rows(report.fleiss), note)


def _rows(found: Mapping[str, Agreement]) -> Rows:
    from vision.tables import shown

    return tuple(
        (label, *(shown(each) for each in (row.agreement, row.printed, row.bootstrap))) for label, row in found.items()
    )


def change_grids(change: ChangeReport, report: ReaderReport) -> list[Grid]:
    """The tables of what agreement gains: one of all readers, one a pair."""
    head = ("label", "first reading", "second reading", "difference")
    note = f"Over {change.items:,} films that these readers read both times. In brackets " \
           f"{100 * report.method['confidence']:g} % intervals. {report.method['bootstrap']}, the same draws " \
           f"for both readings, {report.method['replicates']:,} replicates."  # fmt: skip
    titles = ("What Cohen's kappa gains", f"What Fleiss' kappa gains, {len(change.readers)} readers")
    pairs = {names: _changes(rows) for names, rows in change.pairs.items()}
    return _grids("change-", titles, head, pairs, _changes(change.fleiss), note)


def _grids(
    begin: str, titles: tuple[str, str], head: tuple[str, ...], pairs: Mapping[tuple[str, str], Rows], every: Rows,
    note: str,
) -> list[Grid]:  # fmt: skip
    from vision.tables import Grid

    of_pair, of_all = titles
    grids = [
        Grid(f"{begin or 'pair-'}{number}", f"{of_pair}, {first} and {second}", head, rows, note)
        for number, ((first, second), rows) in enumerate(pairs.items(), 1)
    ]
    return [*grids, Grid(f"{begin}fleiss", of_all, head, every, note)] if every else grids


def _changes(found: Mapping[str, Change]) -> Rows:
    from vision.tables import shown

    return tuple(
        (label, *(shown(each) for each in (row.first, row.second, row.difference))) for label, row in found.items()
    )


def write_readers(
    report: ReaderReport,
    found: Mapping[str, Any],
    grids: Sequence[Grid],
    tables: Sequence[Path],
    out: Path,
    seconds: float,
) -> None:
    """Write what was ``found`` as ``readers.json``, ``readers.html`` and tables, and the manifest of a study that took
    ``seconds``.

    Raises ``RunError`` as ``corpora.runs``.
    """
    import json

    from corpora.runs import atomic_writer, write_manifest, writing
    from vision.evaluate_page import template
    from vision.tables import to_latex, to_markdown

    files = {"readers.json": json.dumps(found, indent=1, ensure_ascii=False) + "\n"}
    for grid in grids:
        files |= {f"tables/{grid.name}.tex": to_latex(grid), f"tables/{grid.name}.md": to_markdown(grid)}
    files["readers.html"] = template("readers.html").render(report=report, grids=grids)
    with writing(out):
        (out / "tables").mkdir(parents=True, exist_ok=True)
        (out / "manifest.json").unlink(missing_ok=True)
    for name, text in files.items():
        with atomic_writer(out / name) as file:
            file.write(text)
    write_manifest(
        out / "manifest.json", command=sys.argv, config=dict(report.method), inputs=list(tables),
        counts={"items": report.items, "readers": len(report.readers)}, wall_seconds=seconds,
        seed=report.method["seed"],
        packages=("numpy",),
    )  # fmt: skip
