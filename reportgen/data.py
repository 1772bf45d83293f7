"""Studies to draft of: their films, what is told, what is to be written; what the encoder sees, worked out once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.errors import RunError
from corpora.images.cache import Film, ImageCache
from corpora.runs import atomic_writer, writing
from corpora.types import Provenance, Reject, Study
from reportgen.model import Drafter, Films
from reportgen.targets import Target, as_report, indication_of, prompt_of, target_of, with_hints
from vision.batches import Store, read_ahead, to_greys
from vision.data import wanted_view

FRONTAL, LATERAL, UNKNOWN = range(3)
_IGNORED: Final = -100
_FILMS_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Example:
    """A study: its films, frontal first, with their views; the prompt before the draft; the target, if known; the
    report before, if it is told."""

    study_id: str
    patient_id: str
    image_ids: tuple[str, ...]
    views: tuple[int, ...]
    prompt: str
    target: Target | None
    before: str = ""


@dataclass(frozen=True, slots=True)
class Telling:
    """What the prompt holds beside the film: Indication, the patient's last report; the section to begin with."""

    indication: bool = True
    prior: bool = False
    begin: str = ""


def view_of(view: str | None) -> int:
    """The place of a view in the model's embedding.

    >>> view_of("PA"), view_of("LATERAL"), view_of(None)
    (0, 1, 2)
    """
    if not (view or "").strip():
        return UNKNOWN
    return FRONTAL if wanted_view(view, "frontal") else LATERAL


def views_for(most: int) -> str:
    """The views to read where a study has so many films at most: with one, the frontal one.

    >>> views_for(1), views_for(2)
    ('frontal', 'all')
    """
    return "frontal" if most == 1 else "all"


def examples(
    studies: Mapping[str, Study], films: Iterable[Film], cache: ImageCache, most: int, telling: Telling
) -> tuple[list[Example], list[Reject]]:
    """A study for each that has a film in the cache that may be frontal; the others are rejects."""
    of_study: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        of_study[film.study_id or film.image_id].append(film)
    priors = last_reports(studies.values()) if telling.prior else {}
    found, rejects = [], []
    for study_id, several in of_study.items():
        here = sorted((film for film in several if film.image_id in cache), key=lambda film: view_of(film.view) % 3)
        views = tuple(view_of(film.view) for film in here)
        if not here:
            # the films themselves are rejects already
            continue
        if FRONTAL not in views and UNKNOWN not in views:
            rejects.append(
                Reject("report.no_frontal", "the study has no frontal film", Provenance(here[0].path), study_id)
            )
            continue
        study = studies.get(study_id)
        found.append(_example(study_id, study, here[:most], views[:most], priors.get(study_id, ""), telling))
    return found, rejects


def _example(
    study_id: str, study: Study | None, films: Sequence[Film], views: tuple[int, ...], prior: str, telling: Telling
) -> Example:
    report = study.report if study else None
    target = target_of(report, prior=bool(prior)) if report else None
    prompt = prompt_of(indication_of(report) if telling.indication else "", prior, telling.begin)
    patient = films[0].patient_id or study_id
    return Example(study_id, patient, tuple(film.image_id for film in films), views, prompt, target, prior)


def last_reports(studies: Iterable[Study]) -> dict[str, str]:
    """The report before each study of the same patient, where year and age say which one that is."""
    of_patient: dict[str, list[tuple[tuple[float, float], str, str]]] = defaultdict(list)
    for study in studies:
        year, age = study.meta.get("year"), study.meta.get("age")
        if study.patient_id and study.report and year is not None and age is not None:
            text = as_report(dict(target_of(study.report, prior=True).sections))
            of_patient[study.patient_id].append(((float(year), float(age)), study.study_id, text))
    found = {}
    for several in of_patient.values():
        several.sort()
        when = Counter(at for at, _, _ in several)
        for (before, _, text), (at, study_id, _) in pairwise(several):
            if before < at and when[before] == 1:
                found[study_id] = text
    return found


# What the encoder sees


def _seen(study: Example, views: str) -> list[str]:
    """The films that an encoder of such views was trained to read; all of them if none is."""
    wanted = {"frontal": (FRONTAL, UNKNOWN), "lateral": (LATERAL,)}.get(views, (FRONTAL, LATERAL, UNKNOWN))
    found = [name for name, view in zip(study.image_ids, study.views, strict=True) if view in wanted]
    return found or list(study.image_ids)


class Sight:
    """Cells [F, P, C] and logits [F, L] of films, in files that are mapped into memory; ``row[image_id]`` finds one."""

    def __init__(self, folder: Path) -> None:
        self.cells: NDArray[np.float16] = np.load(folder / "cells.npy", mmap_mode="r", allow_pickle=False)
        self.logits: NDArray[np.float32] = np.load(folder / "logits.npy", allow_pickle=False)
        ids = json.loads((folder / "films.json").read_text(encoding="utf-8"))["films"]
        self.row = {image_id: row for row, image_id in enumerate(ids)}

    def pooled(self, image_ids: Sequence[str]) -> NDArray[np.float32]:
        """The mean cells [N, C] of films."""
        rows = [self.row[image_id] for image_id in image_ids]
        return np.stack([self.cells[row].astype(np.float32).mean(axis=0) for row in rows])

    def study_logits(self, studies: Sequence[Example], views: str = "all") -> NDArray[np.float32]:
        """Logits [N, L] of studies: of the mean probability of their films, those of ``views`` if there are any."""
        found = [self._logit([self.row[name] for name in _seen(study, views)]) for study in studies]
        return np.array(found, dtype=np.float32).reshape(len(studies), self.logits.shape[1])

    def _logit(self, rows: Sequence[int]) -> NDArray[np.float64]:
        p = (1 / (1 + np.exp(-self.logits[list(rows)].astype(np.float64)))).mean(axis=0).clip(1e-6, 1 - 1e-6)
        found: NDArray[np.float64] = np.log(p / (1 - p))
        return found


def sight_key(model: Drafter) -> str:
    """What a sight depends on: the encoder's weights, its temperatures, the cells a side."""
    digest = hashlib.sha256(f"{model.config.side} {model.encoder.config.temperatures}".encode())
    for name, value in sorted(model.encoder.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def look(
    model: Drafter, cache: ImageCache, image_ids: Sequence[str], folder: Path,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Sight:  # fmt: skip
    """What the encoder sees in films, worked out once and kept in ``folder``; of another encoder it is made again.

    Raises ``RunError``: ``report.memory``, and as ``corpora.runs.writing``.
    """
    note = folder / "films.json"
    key = sight_key(model)
    if note.is_file():
        made = json.loads(note.read_text(encoding="utf-8"))
        if made.get("key") == key and set(image_ids) <= set(made["films"]):
            return Sight(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)
        _write_sight(model, Store(cache, image_ids), folder, watch)
    with atomic_writer(note) as file:
        json.dump({"key": key, "films": list(image_ids)}, file)
    return Sight(folder)


def _write_sight(model: Drafter, store: Store, folder: Path, watch: Callable[[int, int], None]) -> None:
    groups = [np.arange(at, min(at + _FILMS_AT_ONCE, len(store))) for at in range(0, len(store), _FILMS_AT_ONCE)]
    cells: Any = None
    logits = []
    for rows, films in zip(groups, read_ahead(store, groups, model.device), strict=True):
        try:
            seen = model.see(to_greys(films))
        except torch.OutOfMemoryError as error:
            raise RunError("report.memory", "the GPU's memory does not hold the encoder", hint="free it") from error
        if cells is None:
            shape = (len(store), *seen.cells.shape[1:])
            cells = np.lib.format.open_memmap(folder / "cells.npy", mode="w+", dtype=np.float16, shape=shape)
        cells[rows] = seen.cells.cpu().numpy()
        logits.append(seen.logits.float().cpu().numpy())
        watch(int(rows[-1]) + 1, len(store))
    cells.flush()
    np.save(folder / "logits.npy", np.concatenate(logits), allow_pickle=False)


# Batches


@dataclass(frozen=True, slots=True)
class Batch:
    """Films and text of studies: ``ids``, ``mask``, ``labels`` [B, T]; without targets ``labels`` learn nothing."""

    films: Films
    ids: Tensor
    mask: Tensor
    labels: Tensor


class Desk:
    """Studies as tokens; ``desk.batch(rows)`` is what the model takes. ``hints`` are labels to tell, by study."""

    def __init__(
        self, studies: Sequence[Example], sight: Sight, tokenizer: Any, most: int,
        prompt_tokens: int = 96, max_tokens: int = 192, hints: Sequence[Sequence[str]] | None = None,
    ) -> None:  # fmt: skip
        self.studies, self.sight, self.most = studies, sight, most
        self.pad = tokenizer.pad_token_id
        prompts = [study.prompt for study in studies]
        if hints is not None:
            prompts = [with_hints(prompt, labels) for prompt, labels in zip(prompts, hints, strict=True)]
        # what is nearest to the draft counts most in a prompt that is too long
        self.prompts = [ids[-prompt_tokens:] for ids in _ids(tokenizer, prompts)]
        marked = [study.target.marked if study.target else "" for study in studies]
        self.targets = [ids[:max_tokens] for ids in _ids(tokenizer, marked)]
        self.lengths = np.array([len(a) + len(b) for a, b in zip(self.prompts, self.targets, strict=True)])

    def films(self, rows: Sequence[int]) -> Films:
        """The films of studies."""
        shape = self.sight.cells.shape[1:]
        cells = np.zeros((len(rows), self.most, *shape), dtype=np.float32)
        present = np.zeros((len(rows), self.most), dtype=np.int64)
        views = np.full((len(rows), self.most), UNKNOWN, dtype=np.int64)
        for at, row in enumerate(rows):
            study = self.studies[row]
            for place, (name, view) in enumerate(zip(study.image_ids, study.views, strict=True)):
                # to the right, so that what is absent is padding on the left
                where = self.most - len(study.image_ids) + place
                cells[at, where] = self.sight.cells[self.sight.row[name]]
                present[at, where], views[at, where] = 1, view
        return Films(torch.from_numpy(cells), torch.from_numpy(present), torch.from_numpy(views))

    def batch(self, rows: Iterable[int], *, targets: bool = True) -> Batch:
        """Prompts padded to the left, targets to the right."""
        chosen = [int(row) for row in rows]
        before = max(len(self.prompts[row]) for row in chosen)
        after = max(len(self.targets[row]) for row in chosen) if targets else 0
        ids, mask, labels = [], [], []
        for row in chosen:
            prompt, target = self.prompts[row], self.targets[row] if targets else []
            left, right = before - len(prompt), after - len(target)
            ids.append([self.pad] * left + prompt + target + [self.pad] * right)
            mask.append([0] * left + [1] * (len(prompt) + len(target)) + [0] * right)
            labels.append([_IGNORED] * before + target + [_IGNORED] * right)
        return Batch(self.films(chosen), torch.tensor(ids), torch.tensor(mask), torch.tensor(labels))


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    found: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    return found


def by_length(lengths: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Rows in batches of texts about as long, the longest first: memory runs out at once or never."""
    order = np.argsort(-lengths, kind="stable")
    for at in range(0, len(order), size):
        yield order[at : at + size]
