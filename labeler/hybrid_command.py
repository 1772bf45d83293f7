"""`radloop label tune`: the command, thin, without torch until it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tune_cli(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Reports, those of the gold among them.")],
    network: Annotated[Path, typer.Option(metavar="RUN", help="Folder that `radloop label train` wrote.")],
    gold: Annotated[Path, typer.Option(metavar="TABLE", help="Gold labels that the network did not learn from.")],
    schema: Annotated[str, typer.Option(metavar="NAME|FILE", help="Label schema of both.")] = "chexpert14.v1",
    sections: Annotated[str, typer.Option(metavar="NAMES", help="Sections to read.")] = "findings,impression",
) -> None:
    """Find when the network of hybrid.v1:RUN overrules the rules, by gold labels; kept in RUN/hybrid.yaml."""
    from corpora.readers import ReadOptions
    from labeler.hybrid import load_hybrid, write_recipe
    from labeler.hybrid_fit import fit, read_gold
    from labeler.neural.data import collect

    hybrid = load_hybrid(network, schema)
    labels = read_gold(gold, hybrid.schema.labels)
    reports = [one for one in collect(sources, ReadOptions(), sections).reports if one.study_id in labels]
    recipe = fit(hybrid, reports, labels, sections)
    path = write_recipe(recipe, network)
    followed = sum(value is not None for kind in recipe.model_dump().values() if isinstance(kind, dict)
                   for value in kind.values())  # fmt: skip
    typer.echo(
        f"{len(reports):,} reports with gold labels; {followed} thresholds at which the network speaks", err=True
    )
    typer.echo(f"wrote {path}", err=True)
