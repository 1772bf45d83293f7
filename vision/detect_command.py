"""`radloop vision detect` and `radloop vision train-detector`: the commands, thin, without torch until they run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpora.allowance import allowance
from corpora.options import Cache, Changes, Config, Resume, Summary, end_if_more, recipe_from, resumable
from vision.options import Part, Split, Unread, beginning

if TYPE_CHECKING:
    from vision.detector_loop import DetectorEpoch
    from vision.detector_recipe import DetectorRecipe
    from vision.detector_train import DetectorSummary


def detect_cli(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained detector.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A corpus, a folder of films, or one film.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for detections and overlays.")],
    part: Part = "",
    least: Annotated[float, typer.Option(metavar="P", help="Least score of a box that is written.")] = 0.01,
    draw: Annotated[float, typer.Option(metavar="P", help="Least score of a box that is drawn.")] = 0.3,
    most: Annotated[int, typer.Option(metavar="N", help="Most boxes of a film.")] = 100,
    nms: Annotated[
        float, typer.Option(metavar="P", help="Of boxes of a label that overlap more, the surest alone; 1 keeps all.")
    ] = 0.5,
    longest: Annotated[
        int, typer.Option(min=0, metavar="N", help="Longer side of overlays in pixels; 0 for the film's own.")
    ] = 1024,
    normal: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="Label table: studies with No Finding in it get no boxes.")
    ] = None,
    reports: Annotated[bool, typer.Option("--sr", help="Write a DICOM structured report for each DICOM film.")] = False,
    resume: Resume = False,
    max_failures: Unread = "1%",
    as_json: Annotated[bool, typer.Option("--json", help="Write the counts as JSON to stdout.")] = False,
) -> None:
    """Find boxes on films: COCO JSON, the CSV of VinDr-CXR, films with boxes drawn, DICOM structured reports."""
    allowed = allowance(max_failures)
    from corpora.bars import counting
    from vision.detect import Finding, detect

    asked = Finding(least, draw, most, nms, longest, part, reports, normal)
    with resumable(), counting("finding") as watch:
        found = detect(run, source, out, asked=asked, resume=resume, command=sys.argv, watch=watch)
    if as_json:
        counts = {"films": found.films, "boxes": found.boxes, "drawn": found.drawn, "reports": found.reports}
        typer.echo(json.dumps(counts | {"rejected": found.rejected}))
    if found.untouched:
        typer.echo(f"nothing left to do: {found.folder} is complete", err=True)
    else:
        said = f"{found.boxes:,} boxes on {found.films:,} films in {found.seconds:.0f} s; {found.drawn:,} drawn"
        typer.echo(f"{said}\nwrote {found.folder}", err=True)
    if found.rejected:
        said = f"{found.rejected:,} films could not be read, or not be reported on"
        typer.echo(f"{said}; see {found.folder / 'failures.jsonl'}", err=True)
    end_if_more(not allowed(found.rejected, found.films + found.rejected), "films could not be read", max_failures)


def train_detector_cli(
    corpus: Annotated[Path, typer.Option(metavar="CORPUS", help="Corpus folder with the films.")],
    boxes: Annotated[Path, typer.Option(metavar="FILE", help="Boxes: .csv as VinDr-CXR has them, or COCO .json.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="RUN", help="Folder for the detector.")],
    config: Config = "vision/detector",
    set_: Changes = None,
    init: Annotated[
        str | None,
        typer.Option(metavar="WEIGHTS", help="Weights to begin with: of pretrain, train, a detector, a file."),
    ] = None,
    split: Split = None,
    cache: Cache = None,
    resume: Resume = False,
    max_failures: Annotated[
        str, typer.Option(metavar="N|SHARE", help="Films and boxes that may be unusable before it stops.")
    ] = "1%",
    as_json: Summary = False,
) -> None:
    """Train a detector on the films of a corpus and the boxes drawn on them."""
    recipe = detector_recipe_of(config, set_ or [], init)
    from corpora.bars import counting, training
    from vision.detector_train import train_detector

    with resumable(), counting("fitting films") as caching, training("training", "films") as steps:
        summary = train_detector(
            corpus, boxes, out, recipe, split=split, cache=cache, resume=resume, max_failures=max_failures,
            command=sys.argv, watch=_say_epoch, steps=steps, caching=caching,
        )  # fmt: skip
    _say(summary)
    if as_json:
        said = {"froc": summary.froc, "labels": list(summary.labels), "counts": summary.counts}
        typer.echo(json.dumps(said))


def detector_recipe_of(config: str, changes: list[str], init: str | None = None) -> DetectorRecipe:
    """The recipe of that name or file, with changes. Raises ``ConfigError``."""
    from vision.detector_recipe import DetectorRecipe

    return recipe_from(config, DetectorRecipe, [*changes, *beginning(init)])


def _say_epoch(epoch: DetectorEpoch) -> None:
    froc = "" if epoch.froc is None else f", validation FROC {epoch.froc:.4f}"
    typer.echo(f"epoch {epoch.epoch}: loss {epoch.loss:.4f}{froc}", err=True)


def _say(summary: DetectorSummary) -> None:
    if summary.untouched:
        typer.echo(f"nothing left to do: {summary.folder} is complete", err=True)
        return
    for note in summary.notes:
        typer.echo(f"note: {note}", err=True)
    counts = summary.counts
    if counts["rejected"]:
        said = f"{counts['rejected']:,} films or boxes could not be used; see {summary.folder / 'failures.jsonl'}"
        typer.echo(said, err=True)
    learned = f"{counts['films, train']:,} films with {counts['boxes, train']:,} boxes"
    typer.echo(f"{learned} learned from in {summary.seconds:.0f} s", err=True)
    typer.echo(f"FROC on the validation part, the mean over labels: {summary.froc:.4f}", err=True)
    typer.echo(f"wrote {summary.folder}", err=True)
