"""`radloop label tune`: the command, thin, without torch until it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

_OF_NETWORK: Final = ("config.json", "model.safetensors", "tokenizer.json")


@dataclass(frozen=True, slots=True)
class Tuned:
    """Where the thresholds are, how many reports had gold labels, at how many thresholds the network speaks."""

    path: Path
    reports: int
    followed: int


def tune(
    sources: Sequence[str], network: Path, gold: Path, *, schema: str = "chexpert14.v1",
    sections: str = "findings,impression", out: Path | None = None, command: Sequence[str] = (),
) -> Tuned:  # fmt: skip
    """Find when a network overrules the rules by gold labels, and write it with its manifest; into the network's folder
    if ``out`` is None.

    Raises ``ConfigError`` and ``DataError`` as ``load_hybrid``, ``read_gold`` and ``corpora.readers.open_source``;
    ``RunError`` as ``corpora.runs.atomic_writer``.
    """
    from corpora.readers import ReadOptions
    from corpora.runs import manifest_beside, write_manifest
    from labeler.hybrid import load_hybrid, write_recipe
    from labeler.hybrid_fit import fit, read_gold
    from labeler.neural.data import collect

    begun = time.perf_counter()
    hybrid = load_hybrid(network, schema)
    labels = read_gold(gold, hybrid.schema.labels)
    reports = [one for one in collect(sources, ReadOptions(), sections).reports if one.study_id in labels]
    recipe = fit(hybrid, reports, labels, sections)
    path = write_recipe(recipe, network, out)
    kinds = [kind for kind in recipe.model_dump().values() if isinstance(kind, dict)]
    followed = sum(value is not None for kind in kinds for value in kind.values())
    write_manifest(
        manifest_beside(path), command=command, config={"schema": schema, "sections": sections},
        inputs=[*sources, gold, *(network / name for name in _OF_NETWORK)],
        counts={"reports": len(reports), "thresholds": followed}, wall_seconds=time.perf_counter() - begun,
    )  # fmt: skip
    return Tuned(path, len(reports), followed)


def tune_cli(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Reports, those of the gold among them.")],
    network: Annotated[Path, typer.Option(metavar="RUN", help="Folder that `radloop label train` wrote.")],
    gold: Annotated[Path, typer.Option(metavar="TABLE", help="Gold labels that the network did not learn from.")],
    schema: Annotated[str, typer.Option(metavar="NAME|FILE", help="Label schema of both.")] = "chexpert14.v1",
    sections: Annotated[str, typer.Option(metavar="NAMES", help="Sections to read.")] = "findings,impression",
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help="Where else than in RUN it is kept."),
    ] = None,
) -> None:
    """Find when the network of hybrid.v1:RUN overrules the rules, by gold labels; kept in RUN/hybrid.yaml."""
    found = tune(sources, network, gold, schema=schema, sections=sections, out=out, command=sys.argv)
    typer.echo(
        f"{found.reports:,} reports with gold labels; {found.followed} thresholds at which the network speaks", err=True
    )
    typer.echo(f"wrote {found.path}", err=True)
