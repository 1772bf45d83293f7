"""Label radiology reports, explain the labels, score them against gold.

radloop label run reports.csv -o labels.csv
radloop label explain "No effusion. Possible small pneumothorax."
radloop label score labels.csv gold.jsonl
"""

from __future__ import annotations

import sys
from enum import StrEnum
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
    SourceFormat,
    TextColumn,
    Workers,
    end_if_more,
    resumable,
)
from labeler.hybrid_command import tune_cli
from labeler.map_command import map_cli
from labeler.neural.commands import train_cli
from labeler.neural.pretrain_command import pretrain_cli

if TYPE_CHECKING:
    from labeler.batch import RunSummary

app = typer.Typer(
    help="Label radiology reports, explain the labels, score them against gold.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Method(StrEnum):
    """How the evidence of a network is found."""

    occlusion = "occlusion"
    integrated_gradients = "integrated-gradients"


class Engine(StrEnum):
    """Where a batch runs."""

    local = "local"
    ray = "ray"


Labeler = Annotated[
    str,
    typer.Option(
        metavar="NAME|RUN", help="Labeler; `radloop ls labelers` lists them; a trained one's folder; or hybrid.v1:RUN."
    ),
]
Schema = Annotated[str, typer.Option(metavar="NAME|FILE", help="Label schema: a shipped name, or a YAML file.")]
Schemas = Annotated[
    str, typer.Option(metavar="NAME|FILE,...", help="Label schema: a shipped name, or a YAML file; a table for each.")
]
Language = Annotated[str, typer.Option(metavar="CODE", help="Language of the reports: en, de, fr, es; auto finds out.")]
Sections = Annotated[str, typer.Option(metavar="NAMES", help='Sections to read; "a|b" is the first one present.')]
Text = Annotated[str | None, typer.Option(metavar="NAME")]


@app.command("run")
def run_cli(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Table, folder or archive of reports; - for stdin.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help=".csv, .parquet, .jsonl, or a run folder.")],
    labeler: Labeler = "rules.v1",
    schema: Schemas = "chexpert14.v1",
    language: Language = "en",
    sections: Sections = "findings,impression",
    hierarchy: Annotated[bool, typer.Option("--hierarchy", help="Fill parents by the labels under them.")] = False,
    evidence: Annotated[Path | None, typer.Option(metavar="FILE.jsonl", help="Write every mention, too.")] = None,
    workers: Workers = None,
    engine: Annotated[Engine, typer.Option(help="ray: a Ray cluster, RAY_ADDRESS or its own.")] = Engine.local,
    resume: Resume = False,
    max_failures: Annotated[
        str, typer.Option(metavar="N|P%", help="More rejected records than this end with exit code 1.")
    ] = "1%",
    format_: SourceFormat = None,
    encoding: Encoding = None,
    id_column: IdColumn = None,
    text_column: TextColumn = None,
    findings_column: FindingsColumn = None,
    impression_column: ImpressionColumn = None,
) -> None:
    """Label a corpus of reports into one table."""
    from labeler.batch import LabelRun, label_batch
    from labeler.progress import watching

    allowed = allowance(max_failures)
    run = LabelRun(
        labeler=labeler, label_schema=schema, language=language, sections=sections,
        evidence=evidence is not None, format=format_,
        encoding=encoding, id_column=id_column, text_column=text_column, findings_column=findings_column,
        impression_column=impression_column, hierarchy=hierarchy,
    )  # fmt: skip
    with resumable(), watching(source) as watch:
        summary = label_batch(
            source, out, run, evidence=evidence, workers=workers, engine=engine.value, resume=resume,
            command=sys.argv, watch=watch,
        )  # fmt: skip
    _say(summary)
    too_many = not allowed(summary.rejected, summary.reports + summary.rejected)
    end_if_more(too_many, "records were rejected", max_failures)


app.command("map")(map_cli)
app.command("pretrain")(pretrain_cli)
app.command("train")(train_cli)
app.command("tune")(tune_cli)


@app.command("explain")
def explain_cli(
    text: Annotated[str, typer.Argument(metavar="TEXT|FILE", help="A report, a file that holds one, or - for stdin.")],
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with the text marked up.")] = None,
    labeler: Labeler = "rules.v1",
    schema: Schema = "chexpert14.v1",
    language: Language = "en",
    sections: Sections = "findings,impression",
    method: Annotated[Method, typer.Option(help="How the evidence of a network is found.")] = Method.occlusion,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a labeler reads in one report, and why."""
    import json

    from rich.console import Console

    from corpora.runs import atomic_writer
    from corpora.types import Report
    from labeler.base import explain_by, is_trained, load
    from labeler.explain import explain_html, explain_text, to_json
    from labeler.languages import in_its_language
    from labeler.schemas import load_schema

    report = Report("", _report_text(text))
    reader = load(labeler, schema, language)
    report = in_its_language(report, language)
    explain_by(reader, method.name)
    vector = reader(report, sections)
    rules = None if is_trained(labeler) else load_schema(schema)
    if html is not None:
        with atomic_writer(html) as file:
            file.write(explain_html([(report, vector)], "Labels and their evidence", schema=rules))
        typer.echo(f"wrote {html}", err=True)
    if json_:
        typer.echo(json.dumps(to_json(report, vector), indent=2, ensure_ascii=False))
    else:
        Console().print(explain_text(report, vector, schema=rules))


@app.command("score")
def score_cli(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Table of labels: .csv, .jsonl or .parquet.")],
    gold: Annotated[Path, typer.Argument(metavar="GOLD", help="Gold labels in the same formats; x is left out.")],
    replicates: Annotated[int, typer.Option(metavar="N", help="Bootstrap replicates; 0 for no intervals.")] = 1000,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the bootstrap.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how well labels agree with gold ones, with intervals."""
    import json

    from rich.console import Console

    from labeler.score import score, to_json, to_table

    report = score(labels, gold, replicates=replicates, seed=seed)
    if json_:
        typer.echo(json.dumps(to_json(report), indent=2, ensure_ascii=False))
    else:
        Console().print(to_table(report))


def _report_text(text: str) -> str:
    """The report itself, or what is in the file of that name."""
    from corpora.errors import DataError

    if text == "-":
        return sys.stdin.read()
    path = Path(text)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # a report is no file name: too long, or with a NUL in it
        is_file = False
    if not is_file:
        if path.suffix in (".txt", ".text") and " " not in text:
            raise DataError("data.missing", "no such file", where=text)
        return text
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("data.encoding", "not UTF-8 text", where=f"{path}, byte {error.start}") from error


def _and(tables: list[Path]) -> str:
    return ", ".join(map(str, tables))


def _say(summary: RunSummary) -> None:
    target = summary.target
    if summary.untouched:
        typer.echo(f"nothing left to do: {_and(summary.tables)} is complete", err=True)
    else:
        rate = summary.reports / max(summary.seconds, 1e-9)
        before = f", {summary.resumed_at:,} of them before the interruption" if summary.resumed_at else ""
        typer.echo(f"{summary.reports:,} reports labeled in {summary.seconds:.1f} s ({rate:,.0f}/s){before}", err=True)
        typer.echo(f"wrote {_and(summary.tables)}", err=True)
    if summary.rejected:
        typer.echo(f"{summary.rejected:,} records rejected; the reasons are in {target.failures}", err=True)
