"""What there is to learn from: the films of a corpus with the labels of their studies, in parts that share no patient.

One sample is one film. The films come from a cache (``radloop corpus cache``), which is made here if there is none.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from corpora.images.cache import Film, ImageCache, build_cache
from corpora.label_table import BLANK_CELL, LabelMatrix
from corpora.store import image_file, read_studies
from corpora.types import Provenance, Reject, Study

TRAIN, VALIDATE, TEST = "train", "validate", "test"
_LATERAL: Final = ("LATERAL", "LL", "RL", "LLD", "RLD", "LATERAL LEFT", "LATERAL RIGHT")


@dataclass(frozen=True, slots=True)
class Films:
    """Films of one part: ``image_ids`` [N], ``study`` [N] is the row in ``study_ids``, ``states`` [S, L] by study.

    ``patient_ids`` [S] go with ``study_ids``; a study whose patient is not known is its own.
    """

    image_ids: list[str]
    study: NDArray[np.int64]
    study_ids: list[str]
    patient_ids: list[str]
    states: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def film_states(self) -> NDArray[np.int8]:
        """The states [N, L] of each film: those of its study."""
        found: NDArray[np.int8] = self.states[self.study]
        return found

    def labels_at(self, places: Sequence[int]) -> Films:
        """The same films with some of the labels."""
        return Films(self.image_ids, self.study, self.study_ids, self.patient_ids, self.states[:, list(places)])


@dataclass(frozen=True, slots=True)
class Gathered:
    """All films of labeled studies by part, and what was left out."""

    films: list[Film]
    of_part: Mapping[str, list[Film]]
    without_labels: int
    without_films: int
    outside_split: int


def gather(corpus: Path, table: LabelMatrix, split: Path | None, views: str) -> Gathered:
    """The films of a corpus whose studies have labels and a part.

    Raises ``DataError``: ``split.leak`` for a patient in two parts, ``vision.no_match`` if no study of the corpus is in
    the table or none in the split, ``data.missing`` without a split, and as ``read_studies``.
    """
    parts = _parts(corpus, split)
    found: dict[str, list[Film]] = defaultdict(list)
    of_patient: dict[str, set[str]] = defaultdict(set)
    left: Counter[str] = Counter()
    for study in read_studies(corpus):
        part = parts.get(study.study_id)
        if part is not None and study.patient_id:
            of_patient[study.patient_id].add(part)
        films = films_of(corpus, study, views)
        if study.study_id not in table.rows:
            left["labels"] += 1
        elif part is None:
            left["split"] += 1
        elif not films:
            left["films"] += 1
        else:
            found[part] += films
    refuse_leak(of_patient, corpus)
    every = [film for films in found.values() for film in films]
    _refuse_strangers(every, left, table, corpus)
    return Gathered(every, found, left["labels"], left["films"], left["split"])


def films_of(corpus: Path, study: Study, views: str) -> list[Film]:
    """The films of a study that are of the wanted views."""
    return [
        Film(
            image.image_id or Path(image.path).stem, str(image_file(corpus, image)), study.study_id,
            study.patient_id or study.study_id, image.view,
        )
        for image in study.images
        if wanted_view(image.view, views)
    ]  # fmt: skip


def wanted_view(view: str | None, views: str) -> bool:
    """Whether a film's view is among ``views``; one that is not known is, unless it must be lateral.

    >>> wanted_view("LATERAL", "frontal"), wanted_view(None, "frontal"), wanted_view("AP", "all")
    (False, True, True)
    """
    known = (view or "").strip().upper()
    if views == "frontal":
        return known not in _LATERAL
    return views == "all" or known in _LATERAL


def _parts(corpus: Path, split: Path | None) -> dict[str, str]:
    # with its command, which training from a checkout need not have
    from corpora.splits.files import read_split

    try:
        return read_split(split or corpus)
    except DataError as error:
        if error.code != "data.missing" or split is not None:
            raise
        raise DataError(
            "data.missing", "the corpus has no split.csv", where=str(corpus),
            hint=f"radloop corpus split {corpus}, or name one by --split",
        ) from None  # fmt: skip


def refuse_leak(of_patient: Mapping[str, set[str]], corpus: Path) -> None:
    """Raise ``DataError`` (``split.leak``) if a patient has studies in two parts."""
    leaking = sorted(patient for patient, parts in of_patient.items() if len(parts) > 1)
    if leaking:
        # ids of patients are not for messages
        raise DataError(
            "split.leak", f"{len(leaking):,} patients have studies in two parts of the split", where=str(corpus),
            hint="radloop corpus split makes one by patient",
        )  # fmt: skip


def _refuse_strangers(films: Sequence[Film], left: Mapping[str, int], table: LabelMatrix, corpus: Path) -> None:
    if films:
        return
    if left["split"] or left["films"]:
        message = f"of {left['split'] + left['films']:,} labeled studies none has both a part in the split and films"
    else:
        message = f"none of the {left['labels']:,} studies of the corpus is in the label table"
    raise DataError(
        "vision.no_match", message, where=f"{corpus} and {table.path}", hint="label the reports of this corpus"
    )


def open_cache(
    films: Sequence[Film], folder: Path, size: int, *, command: Iterable[str] = (),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> ImageCache:  # fmt: skip
    """The cache in ``folder``, made or finished first, by ``command``, if it is not whole.

    Raises ``DataError`` (``vision.cache``) if it holds films of another size, and as ``build_cache``.
    """
    if not (folder / "manifest.json").is_file():
        build_cache(films, folder, size, 8, resume=True, command=list(command), watch=watch)
    cache = ImageCache(folder)
    made = cache.rows[0]["size"] if len(cache) else size
    if made != size:
        raise DataError(
            "vision.cache", f"the films of this cache have {made} pixels a side, and the recipe wants {size}",
            where=str(folder), hint=f"--set size={made}, or another --cache",
        )  # fmt: skip
    return cache


def rejects_of(films: Iterable[Film], cache: ImageCache) -> list[Reject]:
    """The films that the cache does not have, with the reason where it notes one."""
    notes: dict[str, tuple[str, str]] = {}
    failures = cache.folder / "failures.jsonl"
    if failures.is_file():
        for line in failures.read_text(encoding="utf-8").splitlines():
            note = json.loads(line)
            notes[note["image_id"]] = (note["code"], note["message"])
    other = ("vision.not_cached", "the cache does not have this film")
    return [
        Reject(*notes.get(film.image_id, other), Provenance(film.path), film.study_id)
        for film in films
        if film.image_id not in cache
    ]


def refuse_same_films(of_part: Mapping[str, Sequence[Film]], cache: ImageCache) -> None:
    """Raise ``DataError`` (``split.leak``) if the very same file of a film is in two parts."""
    parts: dict[str, set[str]] = defaultdict(set)
    part_of = {film.image_id: part for part, films in of_part.items() for film in films}
    for row in cache.rows:
        if row["image_id"] in part_of:
            parts[row["sha256"]].add(part_of[row["image_id"]])
    twice = sum(len(found) > 1 for found in parts.values())
    if twice:
        raise DataError(
            "split.leak", f"{twice:,} films are in two parts of the split, the same byte for byte",
            where=str(cache.folder), hint="import the corpus anew, which leaves out a film that comes twice",
        )  # fmt: skip


def part_films(films: Iterable[Film], cache: ImageCache, table: LabelMatrix) -> Films:
    """The films of a part that the cache has, with the states of their studies."""
    places: dict[str, int] = {}
    patients: list[str] = []
    image_ids: list[str] = []
    study: list[int] = []
    for film in films:
        if film.image_id not in cache or film.study_id is None:
            continue
        if film.study_id not in places:
            places[film.study_id] = len(places)
            patients.append(film.patient_id or film.study_id)
        image_ids.append(film.image_id)
        study.append(places[film.study_id])
    rows = [table.rows[study_id] for study_id in places]
    states = table.states[rows] if rows else np.zeros((0, len(table.labels)), dtype=np.int8)
    return Films(image_ids, np.array(study, dtype=np.int64), list(places), patients, states)


def truth_of(states: NDArray[np.int8], blank_negative: NDArray[np.bool_]) -> NDArray[np.int8]:
    """What a part's labels say for measuring [S, L]: 1, 0, or -1 where they leave it open.

    Blank counts as negative for the labels [L] where ``blank_negative``.
    """
    found = np.where(states == BLANK_CELL, np.where(blank_negative, 0, -1), states)
    return found.astype(np.int8)


def learnable(
    labels: Sequence[str], parts: Mapping[str, NDArray[np.int8]], least: int
) -> tuple[list[int], dict[str, str]]:
    """Places of the labels with at least ``least`` positive and negative studies in each part; why others are not.

    ``parts`` are truths [S, L] by name. Raises ``DataError`` (``vision.no_positive``) if no label is left.
    """
    kept: list[int] = []
    reasons: dict[str, str] = {}
    for at, label in enumerate(labels):
        few = [
            f"{(truth[:, at] == state).sum():,} {name} in {part}"
            for part, truth in parts.items()
            for state, name in ((1, "positive"), (0, "negative"))
            if (truth[:, at] == state).sum() < least
        ]
        if few:
            reasons[label] = ", ".join(few)
        else:
            kept.append(at)
    if not kept:
        message = f"no label has {least} positive and negative studies in each of {' and '.join(parts)}"
        said = "; ".join(f"{label}: {why}" for label, why in list(reasons.items())[:5])
        raise DataError("vision.no_positive", message, where=said, hint="a larger corpus, or --set min_positive=1")
    return kept, reasons
