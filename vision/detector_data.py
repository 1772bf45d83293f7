"""What the detector learns from: films of a corpus with the boxes drawn on them, in parts that share no patient."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.boxes import read_boxes
from corpora.boxes.layer import BoxImage, BoxLayer, against_corpus
from corpora.config import config_sha256
from corpora.errors import ConfigError, DataError
from corpora.images.cache import Film, ImageCache
from corpora.images.fit import Transform, transform_of
from corpora.splits.files import read_split
from corpora.store import read_studies
from corpora.types import Provenance, Reject
from vision.augment import affine_matrices
from vision.batches import Store
from vision.data import TRAIN, VALIDATE, films_of, refuse_leak
from vision.detector import to_shares
from vision.detector_recipe import DetectorRecipe
from vision.froc import no_lesion
from vision.recipe import AugmentRecipe

Array = NDArray[np.float64]
#: A box of which augmentation leaves less than this share on the film is not a target.
_LEFT = 0.35


@dataclass(frozen=True, slots=True)
class BoxedFilms:
    """Films of one part: their store, transforms, and for each the boxes (n, 4) in pixels of the film and labels (n,).

    ``patients`` (N,) number the patients.
    """

    image_ids: tuple[str, ...]
    store: Store
    transforms: tuple[Transform, ...]
    boxes: tuple[Array, ...]
    labels: tuple[NDArray[np.int64], ...]
    patients: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image_ids)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Films by part, what is drawn on them by image, and what could not be used."""

    of_part: Mapping[str, list[Film]]
    layer: BoxLayer
    names: Mapping[str, str]
    rejects: list[Reject]


def gather_boxed(corpus: Path, boxes: Path, split: Path | None, views: str) -> Gathered:
    """The films of the parts to train and validate on, and the boxes on films of the corpus.

    Boxes outside their film, without area, or on no film of the corpus are rejects. Raises ``DataError`` as
    ``read_boxes``, ``read_studies`` and ``read_split``; ``vision.no_part``; ``split.leak`` for a patient in two parts.
    """
    parts = read_split(split or corpus)
    of_part: dict[str, list[Film]] = {TRAIN: [], VALIDATE: []}
    called: dict[str, set[str]] = defaultdict(set)
    of_patient: dict[str, set[str]] = defaultdict(set)
    for study in read_studies(corpus):
        for image in study.images:
            name = image.image_id or Path(image.path).stem
            for other in (name, image.path, Path(image.path).name, Path(image.path).stem):
                called[other].add(name)
        part = parts.get(study.study_id)
        if part is not None and study.patient_id:
            of_patient[study.patient_id].add(part)
        if part in of_part:
            of_part[part] += films_of(corpus, study, views)
    refuse_leak(of_patient, corpus)
    for part, films in of_part.items():
        if not films:
            raise DataError(
                "vision.no_part", f"the part {part} of the split has no film", where=str(corpus),
                hint="radloop corpus split makes train, validate and test",
            )  # fmt: skip
    # a name that two images share is that of neither
    names = {other: min(images) for other, images in called.items() if len(images) == 1}
    layer, problems = read_boxes(boxes)
    layer, more = against_corpus(layer, {other: BoxImage(name) for other, name in names.items()}, str(boxes))
    rejects = [Reject(each.code, each.message, Provenance(each.where)) for each in (*problems, *more)]
    return Gathered(of_part, layer, names, rejects)


def boxed_films(
    gathered: Gathered, cache: ImageCache, recipe: DetectorRecipe, rejects: list[Reject]
) -> tuple[tuple[str, ...], dict[str, BoxedFilms], list[str]]:
    """The labels that are learned, the films of both parts, and notes. Boxes outside their film go to ``rejects``.

    Raises ``DataError``: ``vision.no_boxes`` if no label has enough boxes; ``ConfigError`` (``config.value``) for a
    label of the recipe that no box has.
    """
    transforms = {row["image_id"]: transform_of(row["rows"], row["columns"], row["size"]) for row in cache.rows}
    drawn: dict[str, list[tuple[str, tuple[float, float, float, float]]]] = {}
    for box in gathered.layer.boxes:
        name = gathered.names[box.image_id]
        film = transforms.get(name)
        if box.corners is None or film is None:
            continue
        if box.corners[2] > film.columns + 0.5 or box.corners[3] > film.rows + 0.5:
            message = f"the box reaches outside its image of {film.columns} x {film.rows} pixels"
            rejects.append(Reject("boxes.outside", message, Provenance(box.where or name)))
        else:
            drawn.setdefault(name, []).append((box.label, box.corners))
    films = {part: [film for film in of if film.image_id in transforms] for part, of in gathered.of_part.items()}
    labels, notes = _labels(films, drawn, recipe, rejects)
    readers = {box.reader for box in gathered.layer.boxes if box.corners is not None}
    notes += [f"boxes of {len(readers)} readers, each learned as one of its own"] * (len(readers) > 1)
    parts = {}
    for part, of in films.items():
        kept = [film for film in of if recipe.bare == "keep" or _known(drawn.get(film.image_id, ()), labels)]
        if not kept:
            raise DataError("vision.no_part", f"the part {part} of the split has no film with a box", where="bare")
        bare = sum(not _known(drawn.get(film.image_id, ()), labels) for film in kept)
        notes.append(f"{part}: {bare:,} of {len(kept):,} films have no box") if bare else None
        parts[part] = _part(kept, drawn, labels, transforms, cache)
    return labels, parts, notes


def labels_of(gathered: Gathered, recipe: DetectorRecipe) -> tuple[str, ...]:
    """The labels that are learned if all films can be read. Raises as ``boxed_films``."""
    drawn: dict[str, list[tuple[str, object]]] = {}
    for box in gathered.layer.boxes:
        if box.corners is not None:
            drawn.setdefault(gathered.names[box.image_id], []).append((box.label, box.corners))
    return _labels(gathered.of_part, drawn, recipe, gathered.rejects)[0]


def _known(boxes: Sequence[tuple[str, object]], labels: Sequence[str]) -> bool:
    return any(label in labels for label, _ in boxes)


def _labels(
    films: Mapping[str, Sequence[Film]], drawn: Mapping[str, Sequence[tuple[str, object]]], recipe: DetectorRecipe,
    rejects: Sequence[Reject],
) -> tuple[tuple[str, ...], list[str]]:  # fmt: skip
    counts = {
        part: Counter(label for film in of for label, _ in drawn.get(film.image_id, ())) for part, of in films.items()
    }
    every = dict.fromkeys(label for count in counts.values() for label in count)
    lacking = [label for label in recipe.labels or () if label not in every]
    if lacking:
        raise ConfigError("config.value", f"no box has the label {lacking[0]!r}", where="labels",
                          hint=f"boxes have {', '.join(sorted(every)) or 'no label at all'}")  # fmt: skip
    # there is nothing to find where there is nothing
    wanted = recipe.labels or sorted(label for label in every if not no_lesion(label))
    few = [label for label in wanted if any(count[label] < recipe.min_boxes for count in counts.values())]
    labels = tuple(label for label in wanted if label not in few)
    if not labels:
        said = [
            f"{label}: {', '.join(f'{count[label]:,} in {part}' for part, count in counts.items())}" for label in few
        ]
        raise DataError(
            "vision.no_boxes", f"no label has {recipe.min_boxes} boxes in each of {' and '.join(films)}",
            where="; ".join(said[:5]) or "no box is on a film of these parts", hint=_lacking_boxes(rejects),
        )  # fmt: skip
    notes = [f"{label} is not learned: fewer than {recipe.min_boxes} boxes in a part" for label in few]
    unknown = [label for label in sorted(every) if label not in wanted]
    notes += [f"boxes of other labels, left out: {', '.join(unknown)}"] * bool(unknown)
    return labels, notes


def _lacking_boxes(rejects: Sequence[Reject]) -> str:
    bad = [reject for reject in rejects if reject.code.startswith("boxes.")]
    if not bad:
        return "a larger corpus, or --set min_boxes=1"
    first = bad[0]
    return f"{len(bad):,} boxes are rejected, the first at {first.provenance.file}: {first.message}"


def _part(
    films: Sequence[Film], drawn: Mapping[str, Sequence[tuple[str, tuple[float, float, float, float]]]],
    labels: Sequence[str], transforms: Mapping[str, Transform], cache: ImageCache,
) -> BoxedFilms:  # fmt: skip
    ids = [film.image_id for film in films]
    kept = [[(labels.index(label), box) for label, box in drawn.get(name, ()) if label in labels] for name in ids]
    whose = [film.patient_id or film.study_id or film.image_id for film in films]
    place = {name: at for at, name in enumerate(dict.fromkeys(whose))}
    return BoxedFilms(
        tuple(ids), Store(cache, ids), tuple(transforms[name] for name in ids),
        tuple(np.array([box for _, box in of], dtype=np.float64).reshape(-1, 4) for of in kept),
        tuple(np.array([label for label, _ in of], dtype=np.int64) for of in kept),
        np.array([place[name] for name in whose], dtype=np.int64),
    )  # fmt: skip


def repeats(films: BoxedFilms, labels: int, share: float) -> Array:
    """How often each film [N] is to be seen in an epoch, at least once: repeat factor sampling (Gupta et al. 2019).

    A label on a share f of the films has the factor max(1, sqrt(share / f)); a film that of its rarest label.
    """
    has = np.zeros((len(films), labels), dtype=bool)
    for row, of in enumerate(films.labels):
        has[row, of] = True
    factors = np.maximum(1.0, np.sqrt(share / np.maximum(has.mean(axis=0), 1e-12)))
    often: Array = np.where(has, factors, 1.0).max(axis=1, initial=1.0)
    return often


def epoch_order(often: Array, draw: np.random.Generator) -> NDArray[np.int64]:
    """The rows of an epoch in the order they are seen: each ``often`` [N] times, its fraction by chance.

    All epochs have the same length: the sum of ``often``, rounded.
    """
    count = round(float(often.sum()))
    if count == len(often):
        return draw.permutation(count)
    # places at equal distances from a start by chance: a film gets its whole part for certain
    mixed = draw.permutation(len(often))
    ends = np.cumsum(often[mixed])
    places = (np.arange(count) + draw.random()) * (ends[-1] / count)
    rows: NDArray[np.int64] = mixed[np.minimum(np.searchsorted(ends, places, side="right"), len(often) - 1)]
    draw.shuffle(rows)
    return rows


def targets(
    films: BoxedFilms, rows: NDArray[np.int64], augment: AugmentRecipe | None, seed: int
) -> list[dict[str, Tensor]]:
    """What RT-DETR learns from of the films in ``rows``: ``class_labels`` [n], ``boxes`` [n, 4] as shares.

    With ``augment``, as ``vision.augment.augmented`` moves them by a generator of ``seed``.
    """
    matrices = np.tile(np.eye(2, 3), (len(rows), 1, 1))
    if augment is not None:
        matrices = affine_matrices(len(rows), augment, torch.Generator().manual_seed(seed)).double().numpy()
    found = []
    for matrix, row in zip(matrices, rows.tolist(), strict=True):
        film = films.transforms[row]
        moved, kept = moved_boxes(film.to_model(films.boxes[row]), matrix, film.size)
        found.append({
            "class_labels": torch.from_numpy(films.labels[row][kept]),
            "boxes": torch.from_numpy(to_shares(moved, film.size).astype(np.float32)),
        })  # fmt: skip
    return found


def moved_boxes(boxes: Array, matrix: Array, size: int) -> tuple[Array, NDArray[np.bool_]]:
    """Boxes [n, 4] in a square of ``size`` moved as its film is; and which [n] are still on it well enough.

    ``matrix`` [2, 3] goes from new coordinates to old ones, both from -1 to 1. A box that was turned becomes the box
    around it, cut off at the edge.
    """
    corners = np.stack([boxes[:, [0, 1]], boxes[:, [2, 1]], boxes[:, [2, 3]], boxes[:, [0, 3]]], axis=1)
    old = corners / size * 2 - 1
    new = (old - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    pixels = (new + 1) / 2 * size
    around = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    cut = np.clip(around, 0, size)
    area, whole = (np.prod(each[:, 2:] - each[:, :2], axis=1) for each in (cut, around))
    kept = (area > _LEFT * whole) & (cut[:, 2:] - cut[:, :2] >= 1).all(axis=1)
    return cut[kept], kept


def key_of(recipe: DetectorRecipe, parts: Mapping[str, BoxedFilms], labels: Sequence[str]) -> str:
    """What says that two runs are the same: recipe, films, boxes."""
    digest = blake2b(config_sha256(recipe).encode(), digest_size=16)
    digest.update("\0".join(labels).encode("utf-8", "surrogatepass"))
    for part in parts.values():
        digest.update("\0".join(part.image_ids).encode("utf-8", "surrogatepass"))
        for boxes, of in zip(part.boxes, part.labels, strict=True):
            digest.update(boxes.tobytes() + of.tobytes())
    return digest.hexdigest()
