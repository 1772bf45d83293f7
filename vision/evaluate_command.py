"""The command ``radloop vision evaluate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpora.allowance import allowance
from corpora.options import end_if_more

if TYPE_CHECKING:
    from rich.table import Table

    from vision.evaluate import Choices, Evaluation
    from vision.evaluate_boxes import BoxChoices


def evaluate_cli(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help="Probabilities by study: .parquet, .csv, .jsonl, or a folder.")
    ],
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Label table with the truth of the studies.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="EVAL", help="Folder for the evaluation.")],
    thresholds_from: Annotated[
        str | None,
        typer.Option(
            metavar="VAL[,LABELS]",
            help="Predictions to choose thresholds on, and their label table if it is another; else 0.5.",
        ),
    ] = None,
    subgroups: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="Age, sex, view, vendor, site, patient_id by study: tables by group."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(metavar="CORPUS", help="Corpus that knows patients, ages, views, vendors.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="PREDICTIONS2", help="Predictions of a second system to compare with.")
    ] = None,
    uncertain: Annotated[
        str, typer.Option(metavar="ignore|positive|negative", help="What an uncertain truth counts as.")
    ] = "ignore",
    blank: Annotated[str, typer.Option(metavar="negative|ignore", help="What a blank truth counts as.")] = "negative",
    unit: Annotated[
        str, typer.Option(metavar="study|image", help="What is counted; a study is the mean of its images.")
    ] = "study",
    boxes: Annotated[
        bool,
        typer.Option(
            "--boxes", help="PREDICTIONS are detections, LABELS boxes (.csv as VinDr-CXR, COCO .json): FROC and AP."
        ),
    ] = False,
    iou: Annotated[float, typer.Option(metavar="P", help="Overlap that a detection must exceed, with --boxes.")] = 0.4,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME", help="Measure only this label, with --boxes; repeatable."),
    ] = None,
    sensitivity: Annotated[float, typer.Option(metavar="P", help="Target of the threshold by sensitivity.")] = 0.9,
    specificity: Annotated[float, typer.Option(metavar="P", help="Target of the threshold by specificity.")] = 0.9,
    replicates: Annotated[int, typer.Option(metavar="N", help="Bootstrap replicates; 0 for no intervals.")] = 10_000,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the bootstrap.")] = 0,
    max_failures: Annotated[
        str, typer.Option(metavar="N|P%", help="More rejected rows than this end with exit code 1.")
    ] = "1%",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure how good predictions are, with intervals, thresholds from validation, groups and a second system."""
    if boxes:
        from vision.evaluate_boxes import BoxChoices

        _refuse_beside_boxes(thresholds_from, subgroups, compare)
        measured = BoxChoices(iou, replicates, seed, tuple(dict.fromkeys(label or ())))
        _evaluate_boxes(predictions, labels, out, corpus, measured, max_failures, as_json=json_)
    else:
        from vision.evaluate import Choices

        choices = Choices(uncertain, blank, unit, sensitivity, specificity, replicates, seed)
        given = (predictions, labels, *_parted(thresholds_from), subgroups, corpus, compare)
        _evaluate(given, out, choices, max_failures, as_json=json_)


Given = tuple[Path, Path, Path | None, Path | None, Path | None, Path | None, Path | None]


def _parted(thresholds_from: str | None) -> tuple[Path | None, Path | None]:
    """Predictions of the validation part, and their label table if it is another."""
    validation, _, labels = (thresholds_from or "").partition(",")
    return (Path(validation) if validation else None, Path(labels) if labels else None)


def _evaluate(given: Given, out: Path, choices: Choices, max_failures: str, *, as_json: bool) -> None:
    """``given``: predictions, labels, those of the validation part, subgroups, corpus, predictions to compare with."""
    import json
    from time import monotonic

    from rich.console import Console

    from vision.evaluate import evaluate, to_json, write

    begun, allowed = monotonic(), allowance(max_failures)
    predictions, labels, validation, validation_labels, subgroups, corpus, compare = given
    with watching() as watch:
        found = evaluate(
            predictions, labels, thresholds_from=validation, threshold_labels=validation_labels,
            subgroups=subgroups, corpus=corpus, against=compare, choices=choices, watch=watch,
        )  # fmt: skip
        watch("writing")
        target = write(found, out, inputs=[path for path in given if path], command=sys.argv, begun=begun)
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    else:
        Console().print(_summary(found))
    _say(found.notes, target.out / "evaluation.html", len(found.rejects), "rows", target.failures)
    end_if_more(not allowed(len(found.rejects), found.rows), "rows were rejected", max_failures)


def _say(notes: Iterable[str], wrote: Path, rejected: int, what: str, failures: Path) -> None:
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"wrote {wrote}", err=True)
    if rejected:
        typer.echo(f"{rejected:,} {what} rejected; the reasons are in {failures}", err=True)


def _refuse_beside_boxes(*given: object) -> None:
    from corpora.errors import ConfigError

    names = ("--thresholds-from", "--subgroups", "--compare")
    used = [name for name, value in zip(names, given, strict=True) if value is not None]
    if used:
        raise ConfigError("config.value", f"{', '.join(used)} is for probabilities, not for boxes", where="--boxes")


def _evaluate_boxes(
    detections: Path, truth: Path, out: Path, corpus: Path | None, choices: BoxChoices, max_failures: str, *,
    as_json: bool,
) -> None:  # fmt: skip
    import json
    from time import monotonic

    from vision.evaluate_boxes import box_grids, evaluate_boxes, to_json, write
    from vision.tables import to_text

    begun, allowed = monotonic(), allowance(max_failures)
    with watching() as watch:
        found = evaluate_boxes(detections, truth, corpus=corpus, choices=choices, watch=watch)
        inputs = [path for path in (detections, truth, corpus) if path]
        target = write(found, out, inputs=inputs, command=sys.argv, begun=begun)
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=2, ensure_ascii=False))
    else:
        for grid in box_grids(found):
            typer.echo(to_text(grid))
    _say(found.notes, target.out, len(found.rejects), "boxes", target.failures)
    end_if_more(not allowed(len(found.rejects), found.rows), "boxes were rejected", max_failures)


@contextmanager
def watching() -> Iterator[Callable[[str], None]]:
    """A function to call with the name of the step that begins; shown only to a person, on stderr."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        yield status.update


def _summary(found: Evaluation) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from vision.tables import shown

    rule = next(iter(found.cuts))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False,
                  title=f"{len(found.cohort.ids):,} units; {found.choices.said()}", title_justify="left")  # fmt: skip
    table.add_column("label")
    for heading in ("positive", "AUROC", "AUPRC", f"F1 at {rule}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, row in found.table.rows().items():
        cells = (shown(row.scores["auroc"], 2), shown(row.scores["auprc"], 2), shown(row.at[rule]["f1"], 2))
        table.add_row(Text(name), f"{row.positives:,}", *cells)
    return table
