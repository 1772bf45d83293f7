"""Drafts of reports, and their benchmarks: score drafts, compare systems, run generators, show the leaderboard.

radloop report train --corpus corpus --vision run -o drafter
radloop report draft drafter corpus --part test -o drafts.jsonl
radloop bench score --predictions res.csv --references annotation.json --protocol r2gen-iu -o runs/mine
radloop bench compare runs/mine runs/theirs
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from reportgen.report_commands import draft_cli, export_cli, pretrain_cli, train_cli, view_cli

report_app = typer.Typer(
    help="Draft reports from films: pretrain a decoder, train a drafter, draft, export, view.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
report_app.command("pretrain")(pretrain_cli)
report_app.command("train")(train_cli)
report_app.command("draft")(draft_cli)
report_app.command("export")(export_cli)
report_app.command("view")(view_cli)

bench_app = typer.Typer(
    help="Benchmark drafts of reports: score, compare, run, show.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# narrower terminals get the values without their intervals
_WIDE = 110

Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all that is drawn.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@bench_app.command("score")
def score_cli(
    predictions: Annotated[Path, typer.Option(metavar="P", help="Drafts: a table, JSON, or a corpus folder.")],
    references: Annotated[Path, typer.Option(metavar="R", help="References: a table, JSON, or a corpus folder.")],
    protocol: Annotated[str, typer.Option(metavar="NAME|FILE", help="`radloop bench protocols` lists them.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Run folder.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Name of the system; the file's if not given.")] = "",
    train: Annotated[
        Path | None, typer.Option(metavar="T", help="Training reports: for baselines, and for protocols that cut.")
    ] = None,
    labels_of_references: Annotated[
        Path | None,
        typer.Option(metavar="L", help="Label table of the references; the labeler reads them if not given."),
    ] = None,
    any_references: Annotated[
        bool, typer.Option("--any-references", help="Take references that are not those of the protocol.")
    ] = False,
    replicates: Annotated[int, typer.Option(min=0, metavar="N", help="Bootstrap replicates; 0: no intervals.")] = 1000,
    randomisations: Annotated[
        int, typer.Option(min=0, metavar="N", help="Randomisations against the constant report; 0: no test.")
    ] = 10_000,
    seed: Seed = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=JSON", help="Override a field of the protocol.")
    ] = None,
    json_: Json = False,
) -> None:
    """Score drafts against references under a protocol, beside the rows that a system should beat."""
    import json

    from reportgen.bench import score
    from reportgen.tables import to_json

    with _watching() as watch:
        bench = score(
            predictions, references, protocol, out, name=name, train=train, labels=labels_of_references,
            any_references=any_references, replicates=replicates, randomisations=randomisations, seed=seed,
            overrides=set_ or (), command=sys.argv, watch=watch,
        )  # fmt: skip
    data = to_json(bench)
    if json_:
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        _print_table(data)
    for note in bench.notes:
        typer.echo(f"note: {note}", err=True)
    if bench.without_reference:
        typer.echo(f"{len(bench.without_reference)} studies have an empty reference and are left out", err=True)
    typer.echo(f"wrote {out / 'table.md'} and {out / 'report.html'}", err=True)


@bench_app.command("compare")
def compare_cli(
    runs: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folders of `radloop bench score`.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="Write compare.json and .md.")] = None,
    replicates: Annotated[int, typer.Option(min=1, metavar="N", help="Bootstraps and randomisations.")] = 10_000,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Compare systems on the same reports: intervals of differences, p values with Holm, wins and losses."""
    import json

    from reportgen.compare import compare, to_markdown, write

    data = compare(runs, replicates=replicates, seed=seed)
    if out is not None:
        write(out, data, runs, sys.argv)
        typer.echo(f"wrote {out / 'compare.md'}", err=True)
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False) if json_ else to_markdown(data))


@bench_app.command("run")
def run_cli(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A bench recipe: systems, splits, seeds.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder of all runs.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=JSON", help="Override a field of the recipe.")
    ] = None,
    json_: Json = False,
) -> None:
    """Draft with each system and seed, score all drafts, tell mean and spread; what is done is not done again."""
    import json

    from reportgen.runner import run, to_markdown

    with _watching() as watch:
        data = run(config, out, overrides=set_ or (), command=sys.argv, watch=watch)
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False) if json_ else to_markdown(data))
    typer.echo(f"wrote {out / 'summary.json'}", err=True)
    if data["failed"]:
        typer.echo(
            f"{len(data['failed'])} drafts could not be had; the reasons are in {out / 'failures.jsonl'}", err=True
        )
        raise typer.Exit(1)


@bench_app.command("show")
def show_cli(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that holds run folders.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="SITE", help="Where the pages go; DIR/site if not given.")
    ] = None,
    json_: Json = False,
) -> None:
    """Write the leaderboard as pages that need no network."""
    import json

    from reportgen.show import show

    site = out or folder / "site"
    data = show(folder, site, command=sys.argv)
    if json_:
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    for skipped in data["skipped"]:
        typer.echo(f"left out: {skipped['folder']}: {skipped['reason']}", err=True)
    typer.echo(f"wrote {site / 'index.html'}", err=True)


@bench_app.command("protocols")
def protocols_cli(json_: Json = False) -> None:
    """List the protocols, with all that they decide."""
    import json

    from reportgen.protocols import load_protocol, protocol_names, protocol_sha256

    found = [load_protocol(name) for name in protocol_names()]
    if json_:
        data = [protocol.model_dump() | {"sha256": protocol_sha256(protocol)} for protocol in found]
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    for protocol in found:
        typer.echo(f"{protocol.name:<12} {protocol_sha256(protocol)[:12]}  {protocol.description}")


@contextmanager
def _watching() -> Iterator[Callable[[str], None]]:
    """What is being done, on stderr, for a person who waits."""
    if not sys.stderr.isatty():
        yield lambda what: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        yield lambda what: status.update(what)


def _print_table(data: dict[str, object]) -> None:
    from rich.console import Console

    from reportgen.terminal import to_table

    console = Console()
    console.print(to_table(data, interval=console.width >= _WIDE))
