"""Boxes for those who have none: drawn around what the maps of a trained encoder mark, to begin a detector with.

radloop vision weak-boxes RUN CORPUS --labels labels.csv -o OUT

A label gets boxes on a film where the label table calls it positive (or, without a table, where the network does): one
around each region of its map above a share of the highest value, the strongest region first. They are the network's
guess and no one's reading: ``rad_id`` says so.

OUT/boxes.csv           the layout of VinDr-CXR, as ``radloop vision train-detector --boxes`` takes it
OUT/detections.json     the same with scores, as ``radloop vision evaluate --boxes`` takes it
OUT/scores/             FROC and average precision against true boxes, if there are any
OUT/failures.jsonl      films that could not be read, if any
OUT/manifest.json       last of all
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from corpora.boxes import to_csv
from corpora.boxes.layer import Box, BoxLayer
from corpora.errors import ConfigError, DataError
from corpora.images.fit import Transform
from corpora.label_table import read_label_matrix
from corpora.runs import OutputTarget, atomic_writer, begin, discard_work, output_target, write_manifest, writing
from vision.detections import Detection, Looked, detections_coco
from vision.evaluate_boxes import BoxChoices, BoxEvaluation, evaluate_boxes
from vision.evaluate_boxes import write as write_evaluation
from vision.explain import Asked, Explained, Mapped, explain
from vision.froc import no_lesion
from vision.pointing import inside
from vision.rejects import write_rejects

READER: Final = "weak"


@dataclass(frozen=True, slots=True)
class Weak:
    """How boxes are drawn: the share of the highest value that is marked, most regions of a label, the least share of
    the strongest region's weight that another has, the least probability without a label table, the method and stage
    of the maps, the part of a corpus' split."""

    marked: float = 0.5
    most: int = 2
    share: float = 0.3
    least: float = 0.5
    method: str = "grad-cam"
    stage: int = 0
    part: str = ""
    replicates: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class WeakSummary:
    """What came out: the folder, films, boxes, films that could not be read, and what the boxes score, if known."""

    folder: Path
    films: int
    boxes: int
    rejected: int
    scores: BoxEvaluation | None
    notes: tuple[str, ...]


def weak_boxes(
    run: Path | str, corpus: Path | str, out: Path | str, *, labels: Path | None = None, truth: Path | None = None,
    how: Weak = Weak(), command: Iterable[str] = (), watch: Callable[[int, int], None] = lambda done, total: None,
) -> WeakSummary:  # fmt: skip
    """Draw boxes on the films of ``corpus`` by the encoder in ``run`` into the folder ``out``.

    ``labels`` is a label table, ``truth`` a file of boxes to score by. Raises as ``vision.explain.explain``,
    ``read_label_matrix``, ``vision.evaluate_boxes.evaluate_boxes``; ``DataError`` (``vision.no_boxes``) if nothing is
    marked; ``ConfigError`` (``config.value``) for numbers out of range.
    """
    began = time.monotonic()
    if not (0 < how.marked < 1 and how.most > 0 and 0 <= how.share <= 1 and 0 <= how.least <= 1):
        raise ConfigError("config.value", "a share lies between 0 and 1, and a number of regions above 0",
                          where="--marked, --most, --share, --least")  # fmt: skip
    target = output_target(out, "boxes.csv")
    if not target.is_folder:
        raise ConfigError("config.value", "weak boxes go into a folder, not a table", where=str(out))
    wanted = _positive(labels) if labels else None
    asked = Asked(method=how.method, stage=how.stage, part=how.part, replicates=0)
    found = explain(run, corpus, asked=asked, watch=watch)
    begin(target)
    write_rejects(target.failures, found.rejects)
    boxes = [box for each in found.mapped for box in _of_film(each, found, wanted, how)]
    if not boxes:
        raise DataError("vision.no_boxes", "no film has a map to draw a box around", where=str(labels or run),
                        hint="a label table with positive studies of this corpus, or a lower --least")  # fmt: skip
    _write(target, found.mapped, boxes, found.labels)
    scores = _scored(target, truth, how) if truth else None
    inputs: list[Path | str] = [Path(run) / "model.safetensors", *[each for each in (labels, truth) if each]]
    write_manifest(
        target.manifest, command=list(command), config=asdict(how) | {"run": str(run)}, inputs=inputs,
        counts={"films": len(found.mapped), "boxes": len(boxes), "rejected": len(found.rejects)}, seed=how.seed,
        wall_seconds=time.monotonic() - began, packages=("torch", "transformers", "numpy", "scipy"),
    )  # fmt: skip
    with writing(target.work):
        discard_work(target)
    notes = scores.notes if scores else ()
    return WeakSummary(target.out, len(found.mapped), len(boxes), len(found.rejects), scores, notes)


def _positive(labels: Path) -> Mapping[str, frozenset[str]]:
    """Labels that are positive, by study."""
    table = read_label_matrix(labels)
    return {
        study: frozenset(table.labels[at] for at in np.flatnonzero(table.states[row] == 1).tolist())
        for study, row in table.rows.items()
    }


def _of_film(
    film: Mapped, found: Explained, wanted: Mapping[str, frozenset[str]] | None, how: Weak
) -> Iterator[Detection]:
    from vision.explain_maps import enlarged

    for at, label in enumerate(found.labels):
        probability = float(film.probabilities[at])
        if no_lesion(label):
            continue
        chosen = probability >= how.least if wanted is None else label in wanted.get(film.film.study_id or "", ())
        if chosen:
            values = enlarged(film.maps[at], found.side)
            for corners, weight in regions(values, film.transform, how.marked, how.most, how.share):
                yield Detection(film.film.image_id, label, corners, probability * weight)


def regions(
    values: NDArray[np.float32], transform: Transform, marked: float, most: int, share: float
) -> list[tuple[tuple[float, float, float, float], float]]:
    """Boxes, in pixels of the film, around regions of a map (S, S) above ``marked`` of its highest value, and weights.

    A region's weight is its sum relative to the heaviest one's, which comes first with 1; those below ``share`` and
    beyond ``most`` are left out. Nothing for a map without a value.
    """
    from scipy.ndimage import find_objects, label, sum_labels

    film = np.where(inside(values.shape, transform), values, 0)
    if film.max(initial=0) <= 0:
        return []
    places, count = label(film >= marked * film.max())
    weights = np.asarray(sum_labels(film, places, range(1, count + 1)))
    slices = find_objects(places)
    scale = transform.size / values.shape[0]
    found = []
    for at in np.argsort(-weights, kind="stable")[:most].tolist():
        weight = float(weights[at] / weights.max())
        rows, columns = slices[at]
        square = np.array([columns.start, rows.start, columns.stop, rows.stop], dtype=np.float64) * scale
        x, y, right, bottom = transform.to_image(square).tolist()
        if weight >= share and right > x and bottom > y:
            found.append(((x, y, right, bottom), weight))
    return found


def _write(target: OutputTarget, films: Sequence[Mapped], boxes: Sequence[Detection], labels: Sequence[str]) -> None:
    looked = [
        Looked(each.film.image_id, each.transform.columns, each.transform.rows, each.film.path.name,
               each.film.study_id, each.film.patient_id)
        for each in films
    ]  # fmt: skip
    with atomic_writer(target.out / "detections.json") as file:
        json.dump(detections_coco(boxes, looked, labels), file, ensure_ascii=False, indent=1)
        file.write("\n")
    drawn = tuple(Box(each.image_id, each.label, each.corners, READER) for each in boxes)
    with atomic_writer(target.table) as file:
        file.write(to_csv(BoxLayer(drawn)))


def _scored(target: OutputTarget, truth: Path, how: Weak) -> BoxEvaluation:
    begun = time.monotonic()
    choices = BoxChoices(replicates=how.replicates, seed=how.seed)
    scores = evaluate_boxes(target.out / "detections.json", truth, choices=choices)
    write_evaluation(scores, target.out / "scores", inputs=[target.out / "detections.json", truth], begun=begun)
    return scores
