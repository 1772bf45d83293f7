"""`radloop label map`: the labels of a table told in those of another schema."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from corpora.labels import State
    from corpora.runs import OutputTarget
    from labeler.maps import Source
    from labeler.score_io import LabelTable


@dataclass(frozen=True, slots=True)
class MapSummary:
    """What a mapping came to: rows, the labels of the target that come from somewhere, and those that stay blank."""

    source: str
    target: str
    rows: int
    mapped: tuple[str, ...]
    blank: tuple[str, ...]


def map_cli(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Table of labels: .csv, .jsonl or .parquet.")],
    to: Annotated[str, typer.Option("--to", metavar="SCHEMA", help="Schema to tell them in.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help=".csv, .parquet, .jsonl, or a run folder.")],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="SCHEMA", help="Schema of the table; found out if not given.")
    ] = None,
    map_: Annotated[
        Path | None, typer.Option("--map", metavar="FILE", help="Map of your own in place of the shipped one.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell the labels of a table in those of another schema, as far as they mean the same."""
    import json

    summary = map_table(labels, to, out, source=from_, file=map_, command=sys.argv)
    if json_:
        typer.echo(json.dumps(asdict(summary), indent=2, ensure_ascii=False))
    done = f"{summary.rows:,} rows from {summary.source} to {summary.target}: {len(summary.mapped)} labels"
    typer.echo(f"{done}, {len(summary.blank)} without a counterpart stay blank", err=True)
    if summary.blank and not json_:
        typer.echo(f"blank: {', '.join(summary.blank)}", err=True)
    typer.echo(f"wrote {out}", err=True)


def map_table(
    labels: Path,
    to: str,
    out: Path,
    *,
    source: str | None = None,
    file: Path | None = None,
    command: Sequence[str] = (),
) -> MapSummary:
    """Write the table ``labels`` in the labels of the schema ``to``; ``file`` is a map in place of the shipped one.

    Raises ``DataError`` for a table that cannot be read, or whose schema is not known (``map.schema``), ``ConfigError``
    for a map with a mistake, or that leads from none of the labels to the schema (``map.none``), and ``RunError``.
    """
    from corpora.errors import ConfigError, RunError
    from corpora.runs import begin, discard_work, output_target, write_manifest
    from labeler.maps import read_map, schema_of, sources
    from labeler.schemas import load_schema
    from labeler.score_io import read_labels

    began = time.monotonic()
    target = output_target(out)
    if target.table.exists() and labels.exists() and target.table.samefile(labels):
        raise RunError("run.same_file", "the output would replace its source", where=str(out), hint="name another file")
    table = read_labels(labels)
    name = source or schema_of(table.columns, labels, sparse=table.sparse)
    by = sources(read_map(file), load_schema(name).schema.name, load_schema(to).schema.name)
    mapped = tuple(label for label, one in by.items() if one.parts or one.kinds)
    if not mapped:
        message = f"the map leads from no label of {name} to one of {to}"
        raise ConfigError("map.none", message, where=str(file or ""), hint="name another map with --map")
    begin(target)
    _write(table, by, target)
    summary = MapSummary(
        load_schema(name).schema.name, load_schema(to).schema.name, len(table.ids), mapped,
        tuple(label for label in by if label not in mapped),
    )  # fmt: skip
    write_manifest(
        target.manifest,
        command=list(command),
        config={"from": summary.source, "to": summary.target, "map": str(file) if file else "chest.v1"},
        inputs=[labels, *([file] if file else [])],
        counts={"rows": summary.rows, "mapped": len(mapped), "blank": len(summary.blank)},
        wall_seconds=time.monotonic() - began,
    )
    discard_work(target)
    return summary


def _write(table: LabelTable, by: dict[str, Source], target: OutputTarget) -> None:
    from corpora.runs import atomic_writer
    from corpora.types import Report
    from labeler.table import header, row_writer, write_parquet

    names = tuple(by)
    write = row_writer(target.format, names)
    lines = (
        write(Report(study_id, ""), states) for study_id, states in zip(table.ids, _states(table, by), strict=True)
    )
    place = target.work / "rows" if target.format == "parquet" else target.table
    with atomic_writer(place) as file:
        file.write(header(target.format, names))
        file.writelines(lines)
    if target.format == "parquet":
        write_parquet(place, names, target.table)


def _states(table: LabelTable, by: dict[str, Source]) -> Iterator[tuple[State, ...]]:
    """The target's states of each row. Raises ``DataError`` for a cell of a column that is needed and is no state."""
    from labeler.score_io import STATES

    blank = STATES.index(None)
    columns = {label: column.codes for label, column in table.columns.items()}
    needed = {label for one in by.values() for label in (*one.parts, *one.kinds)}
    _check_cells(table, needed)
    rows = len(table.ids)
    empty = bytes([blank]) * rows
    known: dict[tuple[str, bytes], State] = {}
    members = {label: [columns.get(name, empty) for name in (*one.parts, *one.kinds)] for label, one in by.items()}
    for row in range(rows):
        states = []
        for label, one in by.items():
            codes = bytes([column[row] for column in members[label]])
            key = (label, codes)
            if key not in known:
                told = [STATES[code] for code in codes]
                known[key] = one.state(told[: len(one.parts)], told[len(one.parts) :])
            states.append(known[key])
        yield tuple(states)


def _check_cells(table: LabelTable, needed: set[str]) -> None:
    from corpora.errors import DataError
    from labeler.score_io import at_row

    for label in table.columns:
        bad = table.columns[label].bad
        if label in needed and bad is not None:
            row, shown = bad
            message = f"{shown} in column {label!r} is none of 1, 0, -1 and empty"
            raise DataError("data.cell", message, where=at_row(table.path, row))
