"""The whole loop once, on phantoms or on your own reports, with a page that shows what each part did.

radloop demo -o demo
radloop demo -o demo --quick
radloop demo -o mine --reports reports.csv
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from corpora.options import Changes

app = typer.Typer(
    help="The whole loop once, on phantoms or on your own reports, with a page that shows what each part did.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def demo_cli(
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for all that the demo makes.")],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer studies, and no hybrid labeler.")] = False,
    reports: Annotated[
        str | None, typer.Option(metavar="FILE", help="Reports of your own, through the text half of the loop.")
    ] = None,
    studies: Annotated[int | None, typer.Option(min=60, metavar="N", help="Phantom studies, of the recipe's.")] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all that is drawn and trained.")] = 0,
    config: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Recipe, in place of demo/full and demo/quick.")
    ] = None,
    set_: Changes = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the summary as JSON to stdout.")] = False,
) -> None:
    """The whole loop once, on phantoms or on your own reports; prints where its page is. Interrupted, it goes on."""
    from reportgen.demo.job import lacks
    from reportgen.demo.run import SAMPLE, demo, load_recipe

    if reports is None and lacks("corpus"):
        typer.echo(
            "films need more than is installed (pip install 'radloop[report,review,bench]'): this is the text half, on "
            "a bundled sample of invented reports", err=True,
        )  # fmt: skip
        reports = str(SAMPLE)
    changes = [*(set_ or ()), *([f"studies={studies}"] if studies is not None else [])]
    recipe = load_recipe(config or ("demo/quick" if quick else "demo/full"), changes)
    try:
        found = demo(out, recipe, reports=reports, seed=seed, command=sys.argv)
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command goes on from here", err=True)
        raise
    for name, extra in found.left_out:
        typer.echo(f"left out: {name}; pip install 'radloop[{extra}]'", err=True)
    typer.echo(
        f"{len(found.done)} stages in {found.seconds:.0f} s, {len(found.kept)} were there; in all they took "
        f"{found.cpu_seconds:.0f} s of a core. Not for clinical use.",
        err=True,
    )
    typer.echo(json.dumps(asdict(found), default=str, indent=2) if as_json else str(found.page))
