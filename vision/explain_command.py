"""The command ``radloop vision explain``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from corpora.allowance import allowance
from corpora.options import end_if_more
from vision.options import Part, Seed, Unread


def explain_cli(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained network.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A corpus, a folder of films, or one film.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for maps, sheets and scores.")],
    labels: Annotated[
        str, typer.Option(metavar="NAMES", help="Labels to map, with commas; all of the network's if not given.")
    ] = "",
    method: Annotated[str, typer.Option(metavar="layer-cam|grad-cam|pca", help="How maps are made.")] = "layer-cam",
    stage: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Stage of the network from the last; 0: the last one of 7 x 7 cells."),
    ] = 0,
    boxes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Boxes to score against (.csv as VinDr-CXR, COCO .json); a corpus's own."),
    ] = None,
    part: Part = "",
    size: Annotated[
        int, typer.Option(min=0, metavar="N", help="Pixels that films are fitted to; the network's size if not given.")
    ] = 0,
    most: Annotated[int, typer.Option(min=1, metavar="N", help="Most films on the sheet of a label.")] = 24,
    longest: Annotated[
        int, typer.Option(min=0, metavar="N", help="Longer side of overlays in pixels; 0 for the film's own.")
    ] = 1024,
    replicates: Annotated[int, typer.Option(min=0, metavar="N", help="Bootstrap replicates of the scores.")] = 10_000,
    seed: Seed = 0,
    max_failures: Unread = "1%",
    json_: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Map where a network sees its labels, on the original films; score the maps against boxes."""
    import json
    from time import monotonic

    from corpora.importing.progress import watching
    from vision.explain import Asked, explain, score_grids, to_json, write
    from vision.tables import to_text

    begun = monotonic()
    allowed = allowance(max_failures)
    names = tuple(name.strip() for name in labels.split(",") if name.strip())
    asked = Asked(names, method, stage, size, most, longest, replicates, seed, part)
    with watching() as watch:
        found = explain(
            run, source, boxes=boxes, asked=asked, watch=lambda done, total: watch("films", done, total)
        )  # fmt: skip
        inputs = [run, source, *([found.boxes_from] if found.boxes_from else [])]
        target = write(found, out, inputs=inputs, command=sys.argv, begun=begun)
    if json_:
        typer.echo(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    else:
        for grid in score_grids(found):
            typer.echo(to_text(grid))
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{len(found.mapped):,} films mapped; wrote {target.out / 'explain.html'}", err=True)
    if found.rejects:
        typer.echo(f"{len(found.rejects):,} films could not be read; see {target.failures}", err=True)
    end_if_more(
        not allowed(len(found.rejects), len(found.mapped) + len(found.rejects)), "films could not be read", max_failures
    )
