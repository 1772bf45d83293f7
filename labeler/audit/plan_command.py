"""The commands ``radloop audit plan`` and ``radloop audit draw``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from labeler.audit.frame import Draw, Plan

AuditFolder = Annotated[Path, typer.Argument(metavar="AUDIT", help="Folder of the audit.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def plan_cli(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Label table to audit, or its run folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="AUDIT", help="Folder of the audit.")],
    second_labels: Annotated[
        Path | None, typer.Option(metavar="LABELS", help="Table of another labeler; where the two differ is a stratum.")
    ] = None,
    reports: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Source of the reports; the table's own if not given.")
    ] = None,
    sections: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Sections that are read; those that were labeled if not given.")
    ] = None,
    fraction: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Share to read; that of the recipe (.10) if not given.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Texts to read; as many as the gates ask for if not given.")
    ] = None,
    sites: Annotated[Path | None, typer.Option(metavar="FILE", help="Table with the site of each study.")] = None,
    site_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of sites, in --sites or else in LABELS.")
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Evidence of a hybrid labeler: where its two voices differ."),
    ] = None,
    seed: Annotated[str, typer.Option(metavar="TEXT", help="Seed of the draw.")] = "audit-1",
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Recipe of gates and assumed errors, in place of the shipped one."),
    ] = None,
    json_: Json = False,
) -> None:
    """Plan an audit: strata, how many texts of each to read, and how wide the intervals will be."""
    from rich.console import Console

    from labeler.audit.plan import plan
    from labeler.audit.recipe import load_recipe
    from labeler.progress import watching

    with watching(reports or "") as watch:
        made = plan(
            labels, out, second_labels=second_labels, reports=reports, sections=sections, budget=budget,
            fraction=fraction, sites=sites, site_column=site_column, evidence=evidence, seed=seed,
            recipe=load_recipe(config), command=sys.argv, watch=watch,
        )  # fmt: skip
    if json_:
        typer.echo(json.dumps(plan_json(made), indent=2, ensure_ascii=False))
    else:
        console = Console()
        console.print(strata_table(made))
        console.print(widths_table(made))
    for line in plan_lines(made):
        typer.echo(line, err=True)
    typer.echo(f"wrote {out}; `radloop audit draw {out}` draws the texts", err=True)


def draw_cli(
    audit: AuditFolder,
    extend: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Draw so many texts more than are drawn.")
    ] = None,
    json_: Json = False,
) -> None:
    """Draw the texts that are to be read; drawn again it is the same, and a larger draw contains the smaller."""
    from labeler.audit.draw import draw

    made = draw(audit, extend=extend, command=sys.argv)
    if json_:
        typer.echo(json.dumps(draw_json(made), indent=2, ensure_ascii=False))
    reports = sum(each.reports for each in made.texts)
    double = sum(each.double for each in made.texts)
    typer.echo(
        f"{len(made.texts):,} texts drawn, which stand for {reports:,} reports; {double:,} for two readers", err=True
    )


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan in JSON's types."""
    from dataclasses import asdict

    from labeler.audit.plan import counts_of

    return asdict(plan) | {"counts": counts_of(plan)}


def draw_json(draw: Draw) -> dict[str, Any]:
    """What was drawn, by stratum, in JSON's types."""
    from dataclasses import asdict

    return {
        "texts": len(draw.texts),
        "reports": sum(each.reports for each in draw.texts),
        "double": sum(each.double for each in draw.texts),
        "repeats": sum(each.repeat for each in draw.texts),
        "drawn_at": draw.drawn_at,
        "frame_sha256": draw.frame_sha256,
        "strata": [asdict(each) for each in draw.strata],
    }


def strata_table(plan: Plan) -> Table:
    """The strata, for a terminal."""
    from rich.table import Table

    table = Table(title="Strata, and texts to read of each", title_justify="left")
    table.add_column("stratum")
    for name in ("reports", "texts", "gates ask", "to read", "share"):
        table.add_column(name, justify="right")
    for each in plan.strata:
        share = f"{100 * each.planned / each.size:.0f} %"
        table.add_row(each.name, *(f"{n:,}" for n in (each.reports, each.size, each.floor, each.planned)), share)
    sums = [sum(getattr(each, name) for each in plan.strata) for name in ("reports", "size", "floor", "planned")]
    table.add_section()
    table.add_row("all", *(f"{n:,}" for n in sums), f"{100 * sums[3] / sums[1]:.0f} %")
    return table


def widths_table(plan: Plan) -> Table:
    """The widths of intervals that are to be expected, for a terminal."""
    from rich.table import Table

    table = Table(title="Expected width of the 95 % intervals (of positive)", title_justify="left")
    table.add_column("label")
    for name in ("precision", "recall", "f1"):
        table.add_column(name, justify="right")
    for label, widths in plan.widths.items():
        table.add_row(label, *("no positives" if width is None else f"{width:.3f}" for width in widths.values()))
    return table


def plan_lines(plan: Plan) -> list[str]:
    """What a person should know of a plan beside its tables."""
    errors = plan.errors
    texts, reports = sum(each.size for each in plan.strata), sum(each.reports for each in plan.strata)
    double, repeats = round(plan.double * plan.budget), round(plan.repeats * plan.budget)
    return [
        f"{plan.budget:,} of {texts:,} texts ({reports:,} reports) are to be read; with second readings and repeats "
        f"about {plan.budget + double + repeats:,} readings",
        f"assumed before anyone reads: {errors['positive']:.0%} of positive labels wrong, {errors['uncertain']:.0%} of "
        f"uncertain ones positive, one positive missed for every {1 / errors['missed']:.0f} found"
        + (f", {errors['disagree']:.0%} wrong where the two labelers differ" if plan.second_labels else ""),
        *plan.notes,
    ]
