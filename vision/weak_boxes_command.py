"""`radloop vision weak-boxes`: the command, thin, without torch until it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from corpora.allowance import allowance
from corpora.options import end_if_more
from vision.options import Part, Seed, Unread


def weak_boxes_cli(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained encoder.")],
    source: Annotated[Path, typer.Argument(metavar="CORPUS", help="A corpus, or a folder of films.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for the boxes.")],
    labels: Annotated[
        Path | None,
        typer.Option(metavar="LABELS", help="Label table: boxes for its positive labels; else for what the run sees."),
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="True boxes to score by (.csv as VinDr-CXR, COCO .json).")
    ] = None,
    part: Part = "",
    marked: Annotated[float, typer.Option(metavar="P", help="Share of a map's highest value that is marked.")] = 0.5,
    most: Annotated[int, typer.Option(metavar="N", help="Most regions of a label on a film.")] = 2,
    share: Annotated[float, typer.Option(metavar="P", help="Least weight of a region, of the heaviest one's.")] = 0.3,
    least: Annotated[float, typer.Option(metavar="P", help="Least probability, without a label table.")] = 0.5,
    method: Annotated[str, typer.Option(metavar="grad-cam|layer-cam|pca", help="How maps are made.")] = "grad-cam",
    stage: Annotated[
        int, typer.Option(min=0, metavar="N", help="Stage of the network from the last; 0: chosen by its map.")
    ] = 0,
    replicates: Annotated[int, typer.Option(min=0, metavar="N", help="Bootstrap replicates of the scores.")] = 1000,
    seed: Seed = 0,
    max_failures: Unread = "1%",
    as_json: Annotated[bool, typer.Option("--json", help="Write counts and scores as JSON to stdout.")] = False,
) -> None:
    """Draw boxes around what a trained encoder's maps mark, to begin a detector with where no one drew any."""
    allowed = allowance(max_failures)
    from corpora.bars import counting
    from vision.evaluate_boxes import box_grids, to_json
    from vision.tables import to_text
    from vision.weak_boxes import Weak, weak_boxes

    how = Weak(marked, most, share, least, method, stage, part, replicates, seed)
    with counting("drawing") as watch:
        found = weak_boxes(run, source, out, labels=labels, truth=boxes, how=how, command=sys.argv, watch=watch)
    if as_json:
        scores = {} if found.scores is None else {"scores": to_json(found.scores)}
        typer.echo(json.dumps({"films": found.films, "boxes": found.boxes, "rejected": found.rejected} | scores))
    elif found.scores is not None:
        for grid in box_grids(found.scores):
            typer.echo(to_text(grid))
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{found.boxes:,} boxes on {found.films:,} films; wrote {found.folder}", err=True)
    end_if_more(not allowed(found.rejected, found.films + found.rejected), "films could not be read", max_failures)
