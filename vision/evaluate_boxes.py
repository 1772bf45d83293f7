"""Evaluate detections against boxes: FROC and average precision by label, curves, tables, a page.

radloop vision evaluate detections.json boxes.csv --boxes -o evaluation

EVAL/froc.csv           an estimate a row: label, measure, value, interval
EVAL/froc.json          the same as JSON; curves.csv is sensitivity over false positives per image with its band
EVAL/plots/froc.svg     curves by label, and as .png
EVAL/tables/*.tex, .md  for a paper
EVAL/failures.jsonl     detections and boxes that could not be used, if any
EVAL/manifest.json      last of all
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from corpora.boxes import Box, read_boxes
from corpora.errors import ConfigError, DataError
from corpora.runs import OutputTarget, atomic_writer, begin, discard_work, output_target, write_manifest, writing
from corpora.statistics.types import Estimate
from corpora.types import Provenance, Reject
from vision.box_precision import precision_by_label
from vision.detections import DetectionFile, Looked, read_detections
from vision.froc import CURVE, IOU, Frame, LabelFroc, froc_by_label, to_rows
from vision.rejects import write_rejects
from vision.tables import Grid, shown, to_latex, to_markdown

#: The bootstrap of average precision goes over ten thresholds and costs ten times that of FROC.
_PRECISION_REPLICATES = 1000


@dataclass(frozen=True, slots=True)
class BoxChoices:
    """Overlap that a hit must exceed, replicates of the bootstrap (those of average precision at most 1,000), seed;
    ``labels`` that are measured, all that have a box if none are named."""

    iou: float = IOU
    replicates: int = 10_000
    seed: int = 0
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BoxEvaluation:
    """FROC and average precision by label and ``mean``; how many rows were read, and what was left out."""

    choices: BoxChoices
    labels: tuple[str, ...]
    froc: Mapping[str, LabelFroc]
    precision: Mapping[str, Mapping[str, Estimate]]
    images: int
    patients: int
    rows: int
    rejects: tuple[Reject, ...]
    notes: tuple[str, ...]


def evaluate_boxes(
    detections: Path | str, truth: Path | str, *, corpus: Path | str | None = None, choices: BoxChoices = BoxChoices(),
    watch: Callable[[str], None] = lambda step: None,
) -> BoxEvaluation:  # fmt: skip
    """Measure ``detections`` by the boxes of ``truth``, over the films that were looked at.

    These are the images of the detections; where their file names none, all that either file names. Patients are
    those in the file of detections, else those of ``corpus``; else an image is its own. Raises as ``read_detections``,
    ``read_boxes``; ``DataError`` (``vision.no_boxes``) if no box lies on a film that was looked at; ``ConfigError``
    (``config.value``) for an overlap that is none, and for a label without a box there.
    """
    if not 0 < choices.iou < 1 or choices.replicates < 0:
        raise ConfigError("config.value", "an overlap lies between 0 and 1, and replicates are not negative",
                          where="--iou, --replicates")  # fmt: skip
    watch("reading")
    found = read_detections(detections)
    layer, problems = read_boxes(truth)
    rejects = [Reject(each.code, each.message, Provenance(each.where)) for each in problems]
    notes: list[str] = []
    looked = _looked(found, [box.image_id for box in layer.boxes], corpus, notes)
    names = {name: film.image_id for film in looked for name in film.names}
    drawn = _drawn(layer.boxes, names, notes)
    if not drawn:
        raise DataError("vision.no_boxes", "no box lies on a film that was looked at", where=str(truth),
                        hint="the two files name films in other ways, or are of other films")  # fmt: skip
    labels = _labels(dict.fromkeys(label for of in drawn.values() for label in of), choices)
    missed = [label for label in labels if found.labels and label not in found.labels]
    notes += [f"drawn, but no label of the detections: {', '.join(missed)}; --label leaves such out"] * bool(missed)
    unknown = [label for label in found.labels if label not in labels]
    notes += [f"found, but never drawn, and not measured: {', '.join(unknown)}"] * bool(unknown)
    frame = _frame(looked)
    seen = {names.get(image, image): of for image, of in found.by_image().items()}
    watch("FROC")
    froc = froc_by_label(labels, drawn, seen, frame, iou=choices.iou, replicates=choices.replicates, seed=choices.seed)
    watch("average precision")
    few = min(choices.replicates, _PRECISION_REPLICATES)
    precision = precision_by_label(labels, drawn, seen, frame, replicates=few, seed=choices.seed)
    return BoxEvaluation(
        choices, labels, froc, precision, len(frame.images), frame.clusters,
        len(found.detections) + len(found.rejects) + len(layer.boxes) + len(problems),
        (*found.rejects, *rejects), tuple(notes),
    )  # fmt: skip


Drawn = dict[str, dict[str, list[tuple[float, float, float, float]]]]


def _drawn(boxes: Iterable[Box], names: Mapping[str, str], notes: list[str]) -> Drawn:
    """The corners of boxes by film and label, of films that were looked at; ``names`` are theirs."""
    drawn: Drawn = {}
    away = 0
    readers: set[str | None] = set()
    for box in boxes:
        if box.corners is None:
            continue
        readers.add(box.reader)
        if box.image_id in names:
            drawn.setdefault(names[box.image_id], {}).setdefault(box.label, []).append(box.corners)
        else:
            away += 1
    notes += [f"{away:,} boxes are on films that were not looked at, left out"] * bool(away)
    notes += [f"boxes of {len(readers)} readers, each counted as a lesion of its own"] * (len(readers) > 1)
    return drawn


def _labels(drawn: Mapping[str, None], choices: BoxChoices) -> tuple[str, ...]:
    lacking = [label for label in choices.labels if label not in drawn]
    if lacking:
        raise ConfigError("config.value", f"no box of the label {lacking[0]!r} lies on a film that was looked at",
                          where="--label", hint=f"boxes have {', '.join(drawn)}")  # fmt: skip
    return choices.labels or tuple(drawn)


def _looked(
    found: DetectionFile, drawn_on: Sequence[str], corpus: Path | str | None, notes: list[str]
) -> tuple[Looked, ...]:
    looked = found.looked
    if not looked:
        named = dict.fromkeys((*(each.image_id for each in found.detections), *drawn_on))
        looked = tuple(Looked(name) for name in named)
        notes.append("the detections do not say which films were looked at: those that either file names are counted")
    if corpus is not None:
        patients = _patients(corpus)
        looked = tuple(_with_patient(each, patients) for each in looked)
    # a film that is listed twice was looked at once
    looked = tuple({each.image_id: each for each in looked}.values())
    if not all(each.patient_id or each.study_id for each in looked):
        notes.append("patients are not known: intervals are by image, and too narrow if a patient has several")
    return looked


def _patients(corpus: Path | str) -> dict[str, str]:
    from corpora.store import read_studies

    return {
        image.image_id or Path(image.path).stem: study.patient_id or study.study_id
        for study in read_studies(Path(corpus))
        for image in study.images
    }


def _with_patient(film: Looked, patients: Mapping[str, str]) -> Looked:
    known = next((patients[name] for name in film.names if name in patients), None)
    return replace(film, patient_id=film.patient_id or known)


def _frame(looked: Sequence[Looked]) -> Frame:
    whose = [each.patient_id or each.study_id or each.image_id for each in looked]
    place = {name: at for at, name in enumerate(dict.fromkeys(whose))}
    return Frame(tuple(each.image_id for each in looked), np.array([place[name] for name in whose], dtype=np.int64))


def to_json(found: BoxEvaluation) -> dict[str, Any]:
    """The evaluation in JSON's types."""
    rows = to_rows(found.froc)
    for label, row in found.precision.items():
        rows[label] |= {name: asdict(e) for name, e in row.items()}
    return {
        "iou": found.choices.iou, "images": found.images, "patients": found.patients, "labels": rows,
        "rejected": len(found.rejects), "notes": list(found.notes),
    }  # fmt: skip


def box_grids(found: BoxEvaluation) -> list[Grid]:
    """The two tables: FROC, and average precision."""
    said = f"{found.images:,} films of {found.patients:,} patients. {found.choices.replicates:,} bootstrap replicates"
    rates = [f"{rate:g}" for rate in next(iter(found.froc.values())).rates]
    froc = tuple(
        (label, f"{row.lesions:,}", *(shown(e) for e in row.rates.values()), shown(row.mean))
        for label, row in found.froc.items()
    )
    precision = tuple((label, shown(row["ap"]), shown(row["ap50"])) for label, row in found.precision.items())
    note = f"Sensitivity at false positives per image, overlap above {found.choices.iou:g}. {said} by patient."
    return [
        Grid("froc", "FROC", ("label", "boxes", *rates, "FROC"), froc, note),
        Grid("precision", "Average precision", ("label", "AP .50:.95", "AP .50"), precision, "As COCO has it."),
    ]  # fmt: skip


def write(
    found: BoxEvaluation, out: Path | str, *, inputs: Sequence[Path | str], command: Sequence[str] = (), begun: float
) -> OutputTarget:
    """Write the evaluation into the folder ``out``, the manifest last. Raises ``RunError`` as ``corpora.runs``;
    ``ConfigError`` (``config.value``) if ``out`` names a table."""
    from vision.froc_plot import froc_figure

    target = output_target(out, "froc.csv")
    if not target.is_folder:
        raise ConfigError("config.value", "an evaluation goes into a folder, not a table", where=str(out))
    begin(target)
    svg, png = froc_figure(found.froc, found.choices.iou)
    files: dict[str, str | bytes] = {"curves.csv": _curves_csv(found), "plots/froc.svg": svg, "plots/froc.png": png}
    for grid in box_grids(found):
        files |= {f"tables/{grid.name}.md": to_markdown(grid), f"tables/{grid.name}.tex": to_latex(grid)}
    files["froc.json"] = json.dumps(to_json(found), indent=1, ensure_ascii=False) + "\n"
    files["froc.csv"] = _froc_csv(found)
    for name, content in files.items():
        path = target.out / name
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_writer(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
    write_rejects(target.failures, found.rejects)
    discard_work(target)
    write_manifest(
        target.manifest, command=command, config=asdict(found.choices), inputs=inputs, seed=found.choices.seed,
        counts={"images": found.images, "patients": found.patients, "labels": len(found.labels),
                "rejected": len(found.rejects)},
        wall_seconds=monotonic() - begun, packages=("numpy", "matplotlib"),
    )  # fmt: skip
    return target


def _froc_csv(found: BoxEvaluation) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["label", "measure", "value", "lo", "hi", "n", "method", "reason"])
    for label, measure, e in _every(found):
        cells = [e.value, e.lo, e.hi, e.n, e.method, e.reason]
        writer.writerow([label, measure, *("" if cell is None else cell for cell in cells)])
    return out.getvalue()


def _every(found: BoxEvaluation) -> Iterator[tuple[str, str, Estimate]]:
    for label, row in found.froc.items():
        yield from ((label, f"sensitivity at {rate:g}", e) for rate, e in row.rates.items())
        yield label, "froc", row.mean
        yield from ((label, name, e) for name, e in found.precision[label].items())


def _curves_csv(found: BoxEvaluation) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["label", "false_positives_per_image", "sensitivity", "lo", "hi"])
    for label, row in found.froc.items():
        for rate, e in zip(CURVE, row.curve, strict=True):
            writer.writerow([label, rate, *("" if cell is None else cell for cell in (e.value, e.lo, e.hi))])
    return out.getvalue()
