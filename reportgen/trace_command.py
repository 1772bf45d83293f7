"""The loop as a whole: what it loses on the way from film to draft.

radloop vision predict run corpus --part test -o predictions.parquet --decide seen.csv
radloop loop trace truth=truth.csv report=labels.csv encoder=seen.csv draft=drafts.jsonl -o trace
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from corpora.errors import ConfigError

if TYPE_CHECKING:
    from reportgen.trace import Trace

app = typer.Typer(
    help="The loop as a whole: what it loses on the way from film to draft.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Uncertain(StrEnum):
    """What an uncertain cell counts as."""

    positive = "positive"
    negative = "negative"


@app.callback()
def _group() -> None:
    """With one command alone, its name would be left out."""


@app.command("trace")
def trace_cli(
    stations: Annotated[
        list[str], typer.Argument(metavar="NAME=TABLE...", help="Label tables or drafts.jsonl, from truth to draft.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Run folder.")],
    uncertain: Annotated[Uncertain, typer.Option(help="What an uncertain cell counts as.")] = Uncertain.positive,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say where findings are lost between stations of the loop, label by label."""
    import json

    from reportgen.trace import to_json, to_markdown

    traced = trace_command(stations, out, uncertain.value, command=sys.argv)
    typer.echo(json.dumps(to_json(traced), indent=2) if json_ else to_markdown(traced), nl=False)
    for name, count in traced.left_out.items():
        if count:
            typer.echo(f"{count:,} studies of {name} are not in all tables", err=True)
    typer.echo(f"{traced.studies:,} studies traced; wrote {out / 'table.md'}", err=True)


def trace_command(stations: Sequence[str], out: Path, uncertain: str, *, command: Sequence[str] = ()) -> Trace:
    """Trace, and write ``table.json``, ``table.md``, ``table.csv`` and the manifest into ``out``; returns the trace.

    Raises as ``reportgen.trace.trace``, ``ConfigError`` (``config.value``) for a station that is not NAME=TABLE or
    comes twice, and ``RunError``.
    """
    import csv
    import json

    from corpora.runs import atomic_writer, write_manifest, writing
    from reportgen.trace import to_json, to_markdown, trace

    began = time.monotonic()
    tables = _tables(stations)
    traced = trace(tables, "positive" if uncertain == "positive" else "negative")
    data = to_json(traced)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    texts = {"table.json": json.dumps(data, indent=2, ensure_ascii=False) + "\n", "table.md": to_markdown(traced)}
    for name, text in texts.items():
        with atomic_writer(out / name) as file:
            file.write(text)
    with atomic_writer(out / "table.csv") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(_csv_rows(data))
    write_manifest(
        out / "manifest.json", command=list(command), config={"uncertain": uncertain, "stations": list(tables)},
        inputs=list(tables.values()), counts={"studies": traced.studies}, wall_seconds=time.monotonic() - began,
    )  # fmt: skip
    return traced


_COLUMNS: Final = (
    "label", "station", "positive", "lost", "added", "kept", "kept_lo", "kept_hi", "through", "through_lo",
    "through_hi", "right", "right_lo", "right_hi",
)  # fmt: skip


def _csv_rows(data: dict[str, Any]) -> Iterator[list[Any]]:
    for label, rows in data["labels"].items():
        for row in rows:
            shares = [row[name][bound] for name in ("kept", "through", "right") for bound in ("value", "lo", "hi")]
            yield [label, row["station"], row["positive"], row["lost"], row["added"], *shares]


def _tables(stations: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for station in stations:
        name, given, path = station.partition("=")
        if not (name and given and path):
            raise ConfigError("config.value", f"{station!r} is not NAME=TABLE", hint="such as report=labels.csv")
        if name in found:
            raise ConfigError("config.value", f"station {name!r} is named twice", hint="each needs a name of its own")
        found[name] = Path(path)
    return found
