"""Where a trained network sees its labels: maps on the original films, sheets by label, scores against boxes.

radloop vision explain RUN CORPUS -o maps
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import ConfigError, DataError, RadloopError
from corpora.images.files import read_any
from corpora.images.fit import Transform, fit
from corpora.runs import OutputTarget, atomic_writer, begin, discard_work, output_target, write_manifest
from corpora.statistics.types import Estimate
from corpora.types import Provenance, Reject
from vision.explain_source import FilmFile, boxes_of, films_of
from vision.pointing import Scored, peak, score, summary

if TYPE_CHECKING:
    from vision.encoder import FilmEncoder
    from vision.explain_overlay import Tile

Boxes = Mapping[str, Mapping[str, Sequence[tuple[float, float, float, float]]]]
_BATCH: Final = 16
_ON_PAGE: Final = 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """What maps were asked for: labels (all if none), the method, the stage of the network from the last (chosen by
    ``stage_for`` if 0), the side that
    films are fitted to (the network's if 0), most films on a sheet, the longer side of overlays (0 is the film's), the
    part of a corpus's split (all of it if empty)."""

    labels: tuple[str, ...] = ()
    method: str = "layer-cam"
    stage: int = 0
    size: int = 0
    most: int = 24
    longest: int = _ON_PAGE
    replicates: int = 10_000
    seed: int = 0
    part: str = ""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A film as the network saw it: probabilities (L,) and maps (L, h, w) of the labels asked for."""

    film: FilmFile
    transform: Transform
    probabilities: NDArray[np.float32]
    maps: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Explained:
    """All maps, and what they score against boxes. ``side`` is that of the square."""

    asked: Asked
    labels: tuple[str, ...]
    side: int
    mapped: Sequence[Mapped]
    boxes: Boxes
    boxes_from: Path | None
    scored: Sequence[Scored]
    scores: Mapping[str, Mapping[str, Estimate]]
    rejects: tuple[Reject, ...]
    notes: tuple[str, ...]


def explain(
    run: Path | str,
    source: Path | str,
    *,
    boxes: Path | None = None,
    asked: Asked = Asked(),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Explained:
    """Maps of the films of ``source`` by the network in ``run``.

    A film that cannot be read is rejected. Raises ``DataError`` as ``films_of`` and ``boxes_of``,
    ``image.none`` if no film can be read; ``ConfigError`` as ``vision.predict.load_model``, ``config.value`` for a
    label the network has not or a method or stage there is none of.
    """
    from vision.explain_maps import stage_for
    from vision.predict import load_model

    model = load_model(run)
    model.requires_grad_(False)
    labels = _labels(model, asked)
    films = films_of(source, model.config.views, asked.part)
    drawn, notes, file = boxes_of(source, films, boxes)
    side = asked.size or model.config.image_size
    asked = replace(asked, stage=asked.stage or stage_for(model, side))
    rejects: list[Reject] = []
    mapped = list(_map_films(model, films, labels, side, asked, rejects, watch))
    if not mapped:
        raise DataError("image.none", f"none of the {len(films):,} films could be read", where=str(source))
    scored = list(_scored(mapped, labels, side, drawn))
    unknown = sorted({label for of in drawn.values() for label in of} - {*labels})
    notes += [f"boxes of other labels, not scored: {', '.join(unknown)}"] * bool(unknown)
    without = sum(each.peak is None for each in scored)
    notes += [f"{without:,} maps against boxes say nothing for the label: misses"] * bool(without)
    scores = summary(scored, replicates=asked.replicates, seed=asked.seed)
    return Explained(asked, labels, side, mapped, drawn, file, scored, scores, tuple(rejects), tuple(notes))


def _labels(model: FilmEncoder, asked: Asked) -> tuple[str, ...]:
    from vision.explain_maps import METHODS

    if asked.method not in METHODS:
        raise ConfigError("config.value", f"no method {asked.method!r}", where="--method", hint=" or ".join(METHODS))
    if asked.size < 0 or asked.most < 1 or asked.longest < 0:
        raise ConfigError("config.value", "a size or number is negative or 0", where="--size, --most, --longest")
    lacking = [label for label in asked.labels if label not in model.config.label_names]
    if lacking:
        raise ConfigError("config.value", f"the network has no label {lacking[0]!r}", where="--labels",
                          hint=f"it has {', '.join(model.config.label_names)}")  # fmt: skip
    return asked.labels or tuple(model.config.label_names)


def _map_films(
    model: FilmEncoder, films: Sequence[FilmFile], labels: Sequence[str], side: int, asked: Asked,
    rejects: list[Reject], watch: Callable[[int, int], None],
) -> Iterator[Mapped]:  # fmt: skip
    fitted = _fitted(films, side, rejects)
    done = 0
    while batch := list(islice(fitted, _BATCH)):
        yield from _map_batch(model, batch, labels, asked)
        done += len(batch)
        watch(done + len(rejects), len(films))


def _fitted(
    films: Sequence[FilmFile], side: int, rejects: list[Reject]
) -> Iterator[tuple[FilmFile, NDArray[np.uint16], Transform]]:
    for film in films:
        try:
            square, transform = fit(read_any(film.path), side)
        except RadloopError as error:
            rejects.append(Reject(error.code, error.message, Provenance(str(film.path)), film.study_id))
        else:
            yield film, square, transform


def _map_batch(
    model: FilmEncoder, batch: Sequence[tuple[FilmFile, NDArray[np.uint16], Transform]], labels: Sequence[str],
    asked: Asked,
) -> Iterator[Mapped]:  # fmt: skip
    import torch

    from vision.encoder import POSITIVE_AT
    from vision.explain_maps import label_maps, seen

    at = [model.config.label_names.index(label) for label in labels]
    columns = [model.places[place] + POSITIVE_AT * (model.config.heads[place] > 1) for place in at]
    # rounded as in training, so that a film has the probabilities it has there
    films = np.rint(np.stack([square for _, square, _ in batch]) / 257).astype(np.float32) / 255
    greys = torch.from_numpy(films)[:, None].to(model.device)
    features, outputs = seen(model, greys, asked.stage)
    with torch.no_grad():
        logits = model.chained(model.own_logits(outputs))
        probabilities = torch.sigmoid(logits / logits.new_tensor(model.config.temperatures))[:, at].cpu().numpy()
    maps = label_maps(features, outputs, columns, asked.method).cpu().numpy()
    for number, (film, _, transform) in enumerate(batch):
        yield Mapped(film, transform, probabilities[number], maps[number])


def _scored(mapped: Sequence[Mapped], labels: Sequence[str], side: int, boxes: Boxes) -> Iterator[Scored]:
    from vision.explain_maps import enlarged

    for each in mapped:
        drawn = boxes.get(each.film.image_id, {})
        for at, label in enumerate(labels):
            if label in drawn:
                found = score(enlarged(each.maps[at], side), drawn[label], each.transform)
                yield Scored(
                    each.film.image_id, label, each.film.cluster, float(each.probabilities[at]), *found
                )  # fmt: skip


def to_json(found: Explained) -> dict[str, Any]:
    """The scores in JSON's types."""
    return {
        "method": found.asked.method, "stage": found.asked.stage, "labels": list(found.labels),
        "films": len(found.mapped),
        "boxes_from": None if found.boxes_from is None else str(found.boxes_from), "maps_scored": len(found.scored),
        "scores": {label: {name: asdict(e) for name, e in row.items()} for label, row in found.scores.items()},
        "rejected": len(found.rejects), "notes": list(found.notes),
    }  # fmt: skip


def write(
    found: Explained, out: Path | str, *, inputs: Sequence[Path | str], command: Sequence[str] = (), begun: float
) -> OutputTarget:
    """Write overlays, sheets, the table of maps, scores, a page, failures, and the manifest last.

    Raises ``RunError`` as ``corpora.runs``; ``ConfigError`` (``config.value``) if ``out`` names a table.
    """
    from vision.evaluate_page import template
    from vision.explain_overlay import data_uri, png, sheet

    target = output_target(out, "maps.csv")
    if not target.is_folder:
        raise ConfigError("config.value", "maps go into a folder, not a table", where=str(out))
    begin(target)
    shown: dict[str, str] = {}
    written = 0
    for at, label in enumerate(found.labels):
        tiles = []
        for each in _chosen(found, at):
            tile = _tile(found, each, at)
            _put(target.out / "overlays" / _file(label) / f"{_file(each.film.image_id)}.png", png(tile.picture))
            tiles.append(tile)
            written += 1
        picture = png(sheet(tiles))
        _put(target.out / "sheets" / f"{_file(label)}.png", picture)
        shown[label] = data_uri(picture)
    _put(target.table, _maps_csv(found).encode())
    _put(target.out / "scores.json", (json.dumps(to_json(found), indent=1, ensure_ascii=False) + "\n").encode())
    page = template("explain.html").render(found=found, grids=score_grids(found), sheets=shown)
    _put(target.out / "explain.html", page.encode())
    if found.rejects:
        _put(target.failures, "".join(_failure(reject) for reject in found.rejects).encode())
    discard_work(target)
    write_manifest(
        target.manifest, command=command, config=asdict(found.asked), inputs=inputs,
        counts={"films": len(found.mapped), "overlays": written, "rejected": len(found.rejects),
                "scored": len(found.scored)},
        wall_seconds=monotonic() - begun, seed=found.asked.seed,
        packages=("torch", "transformers", "numpy", "pillow"),
    )  # fmt: skip
    return target


def _put(path: Path, content: bytes) -> None:
    from corpora.runs import writing

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(path, "wb") as file:
        file.write(content)


def _file(name: str) -> str:
    """A label or image id as a file name: itself with its spaces filled, or with a hash where it has other characters.

    >>> _file("Pleural Effusion"), _file("a/b") == _file("a:b")
    ('Pleural_Effusion', False)
    """
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}", name) and not name.endswith((".", " ")):
        return name.replace(" ", "_")
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name)[:60].strip("_")
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")


def _chosen(found: Explained, at: int) -> list[Mapped]:
    """The films of a label's sheet: those with a box first, then by probability."""
    label = found.labels[at]

    def rank(each: Mapped) -> tuple[bool, float]:
        return label not in found.boxes.get(each.film.image_id, {}), -float(each.probabilities[at])

    return sorted(found.mapped, key=rank)[: found.asked.most]


def _tile(found: Explained, each: Mapped, at: int) -> Tile:
    from vision.explain_maps import enlarged
    from vision.explain_overlay import Tile, overlay

    label = found.labels[at]
    values = enlarged(each.maps[at], found.side)
    drawn = found.boxes.get(each.film.image_id, {}).get(label, ())
    top = peak(values, each.transform)
    picture = overlay(
        read_any(each.film.path), values, each.transform, boxes=drawn, peak=top, longest=found.asked.longest
    )  # fmt: skip
    hit = next((s.hit for s in found.scored if (s.image_id, s.label) == (each.film.image_id, label)), None)
    verdict = "" if hit is None else ", on the box" if hit else ", off the box"
    return Tile(picture, (each.film.image_id, f"p {each.probabilities[at]:.3f}{verdict}"))


def _maps_csv(found: Explained) -> str:
    """One row a film and label: probability, highest point in pixels of the film, and scores if it has boxes."""
    from vision.explain_maps import enlarged

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image_id", "study_id", "label", "probability", "peak_x", "peak_y", "hit", "pixel_iou", "box_iou"])
    scored = {(each.image_id, each.label): each for each in found.scored}
    for each in found.mapped:
        values = enlarged(each.maps, found.side)
        for at, label in enumerate(found.labels):
            known = scored.get((each.film.image_id, label))
            top = peak(values[at], each.transform)
            where = ["", ""] if top is None else [f"{top[0]:.1f}", f"{top[1]:.1f}"]
            scores = ["", "", ""] if known is None else [int(known.hit), round(known.pixel_iou, 4),
                                                        round(known.box_iou, 4)]  # fmt: skip
            writer.writerow([each.film.image_id, each.film.study_id or "", label,
                             f"{each.probabilities[at]:.6f}", *where, *scores])  # fmt: skip
    return out.getvalue()


def score_grids(found: Explained) -> list[Any]:
    """The table of scores, if there were boxes."""
    from vision.tables import Grid, shown

    if not found.scores:
        return []
    rows = tuple(
        (label, f"{row['pointing'].n:,}", *(shown(row[name]) for name in ("pointing", "pixel_iou", "box_iou")))
        for label, row in found.scores.items()
    )
    note = (
        f"{found.asked.method}, stage {found.asked.stage} from the last, on films of {found.side} pixels. A hit is a "
        "highest point inside a box of the label; overlap is that of the pixels above half of the highest value with "
        "the boxes, and of the box around the largest region of them with the nearest box. Bootstrap by patient."
    )
    return [
        Grid("pointing", "Maps against boxes", ("label", "maps", "pointing game", "pixel IoU", "box IoU"), rows, note)
    ]


def _failure(reject: Reject) -> str:
    row = {"code": reject.code, "message": reject.message, "study_id": reject.study_id, "file": reject.provenance.file}
    return json.dumps(row, ensure_ascii=False) + "\n"
