"""Predict: films of a corpus, a folder or a single file to a table of calibrated probabilities, one row a study.

Films are fitted as in training; those of a study are pooled as in training. A film that cannot be read is a reject, and
the rest goes on. A folder that is no corpus is films by name: each file is a study of its own, called by its path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from corpora.accelerating import quiet
from corpora.allowance import allowance
from corpora.errors import ConfigError, DataError, RadloopError
from corpora.images.cache import Film
from corpora.images.files import read_any
from corpora.images.fit import fit
from corpora.pool import ordered, usable_cores
from corpora.readers.corpus import is_corpus
from corpora.runs import atomic_writer, begin, discard_work, output_target, write_manifest, writing
from corpora.splits.files import read_split
from corpora.store import read_studies
from corpora.types import Provenance, Reject
from vision.calibrate import sigmoid
from vision.data import films_of
from vision.encoder import FilmEncoder, FilmEncoderConfig
from vision.forward import logits_of
from vision.kinds import kind_of
from vision.pooling import Probabilities, pooled
from vision.predictions import write_predictions
from vision.rejects import write_rejects

_SUFFIXES: Final = (".dcm", ".dicom", ".png", ".jpg", ".jpeg", "")
_PACKAGES: Final = ("torch", "transformers", "numpy", "pydicom", "pillow")
Level = str


@dataclass(frozen=True, slots=True)
class PredictSummary:
    """What was predicted: the table, its rows, films read and rejected, seconds; whether too many were rejected."""

    table: Path
    rows: int
    films: int
    rejected: int
    seconds: float
    too_many: bool


def load_model(run: Path | str, device: str | None = None) -> FilmEncoder:
    """The network of a run, ready to predict, on the GPU if there is one.

    Raises ``ConfigError``: ``model.missing``, ``model.kind``, ``model.damaged``.
    """
    folder = Path(run)
    kind = kind_of(run, "trained encoder", "radloop vision train makes one")
    from vision.diagnosis import DiagnosisConfig, DiagnosisEncoder

    kinds = {FilmEncoderConfig.model_type: FilmEncoder, DiagnosisConfig.model_type: DiagnosisEncoder}
    if kind not in kinds:
        raise ConfigError("model.kind", f"this is a {kind}, not an encoder of radloop vision train", where=str(run))
    quiet()
    try:
        model: FilmEncoder = kinds[kind].from_pretrained(folder, local_files_only=True)
    except Exception as error:  # safetensors, torch and transformers raise their own kinds for damaged files
        raise ConfigError(
            "model.damaged", "its files cannot be read, or do not fit each other", where=str(run),
            hint="copy it again, or train it again",
        ) from error  # fmt: skip
    nn.Module.to(model, torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    model.train(False)
    return model


def predict(
    run: Path,
    source: Path,
    out: Path,
    *,
    part: str | None = None,
    split: Path | None = None,
    level: Level = "study",
    decide: Path | None = None,
    batch_size: int = 64,
    workers: int | None = None,
    max_failures: str = "1%",
    command: Iterable[str] = (),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> PredictSummary:
    """Predict the films of ``source`` into the table ``out``.

    ``part`` is a part of the split (``train``, ``validate``, ``test``) of a corpus. ``level`` is ``study`` or
    ``image``. ``decide`` is a label table of ones and zeros to write beside, by the thresholds of the validation part.
    ``watch`` is called with films done and of how many.

    Raises ``ConfigError`` (``model.*``, ``config.value``), ``DataError`` (``vision.no_films``, ``vision.thresholds``,
    ``data.*``) and ``RunError``.
    """
    began = time.monotonic()
    within = allowance(max_failures)
    model = load_model(run)
    thresholds = _thresholds(model, run) if decide else []
    films = _films(source, model.config.views, part, split)
    target = output_target(out, "predictions.parquet")
    begin(target)
    kept, logits, rejects = film_predictions(model, films, batch_size, workers or usable_cores(), watch)
    write_rejects(target.failures, rejects)
    if not kept:
        raise DataError("image.none", f"none of the {len(films):,} films could be read", where=str(source))
    ids, probabilities = rows_of(model, kept, logits, level)
    labels = model.config.label_names
    write_predictions(target.table, ids, labels, probabilities)
    if decide:
        _write_decisions(decide, ids["study_id"], labels, probabilities, thresholds)
    config = {"run": str(run), "source": str(source), "part": part, "level": level, "batch_size": batch_size}
    seconds = time.monotonic() - began
    write_manifest(
        target.manifest, command=list(command), config=config, inputs=_inputs(run, source),
        counts={"rows": len(probabilities), "films": len(kept), "rejected": len(rejects)}, wall_seconds=seconds,
        packages=_PACKAGES,
    )  # fmt: skip
    with writing(target.work):
        discard_work(target)
    too_many = not within(len(rejects), len(films))
    return PredictSummary(target.table, len(probabilities), len(kept), len(rejects), seconds, too_many)


def _inputs(run: Path, source: Path) -> list[Path | str]:
    of_source = source / "manifest.json" if source.is_dir() and is_corpus(str(source)) else source
    return [run / "config.json", run / "model.safetensors", of_source]


def _thresholds(model: FilmEncoder, run: Path) -> list[float]:
    found = model.config.thresholds or {}
    lacking = [label for label in model.config.label_names if found.get(label) is None]
    if lacking:
        raise DataError(
            "vision.thresholds", f"the model has no threshold of {', '.join(lacking[:5])}", where=str(run),
            hint="they come from the validation part in training; leave out --decide and choose by vision evaluate",
        )  # fmt: skip
    return [float(found[label]) for label in model.config.label_names]


# What to predict


def _films(source: Path, views: str, part: str | None, split: Path | None) -> list[Film]:
    if source.is_dir() and is_corpus(str(source)):
        parts = read_split(split or source) if part else {}
        films = [
            film
            for study in read_studies(source)
            if part is None or parts.get(study.study_id) == part
            for film in films_of(source, study, views)
        ]
    elif part:
        raise ConfigError("config.value", "only a corpus has a split", where="--part")
    else:
        films = list(_loose(source))
    if not films:
        raise DataError("vision.no_films", "there is no film in it", where=str(source), hint="DICOM, PNG or JPEG")
    return films


def _loose(source: Path) -> Iterator[Film]:
    """Each file is a study: a film by itself says not whose it is."""
    if source.is_file():
        yield Film(source.stem, str(source), source.stem, source.stem, None)
        return
    if not source.is_dir():
        raise DataError("data.missing", "there is no such source", where=str(source))
    for path in sorted(source.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
        if path.is_file() and not hidden and path.suffix.lower() in _SUFFIXES:
            name = path.relative_to(source).with_suffix("").as_posix()
            yield Film(name, str(path), name, name, None)


# Films through the network


def film_predictions(
    model: FilmEncoder, films: Sequence[Film], batch_size: int, workers: int,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Film], NDArray[np.float32], list[Reject]]:  # fmt: skip
    """The films that could be read with their logits [N, L], and the others."""
    kept: list[Film] = []
    rejects: list[Reject] = []

    def readable() -> Iterator[NDArray[np.uint8]]:
        work = partial(_fitted, size=model.config.image_size)
        done = 0
        for group in ordered(work, iter(films), len(films), workers, _killed):
            for film, pixels, code, message in group:
                done += 1
                if pixels is None:
                    rejects.append(Reject(code, message, Provenance(film.path), film.study_id))
                else:
                    kept.append(film)
                    yield pixels
            watch(done, len(films))

    half = model.device.type == "cuda"
    logits = logits_of(model, _batched(readable(), batch_size, model.device), half=half)
    return kept, logits, rejects


_Fitted = tuple[Film, NDArray[np.uint8] | None, str, str]


def _fitted(film: Film, size: int) -> _Fitted:
    try:
        greys, _ = fit(read_any(film.path), size)
    except RadloopError as error:
        return film, None, error.code, error.message
    except OSError as error:
        return film, None, "data.unreadable", error.strerror or "cannot be read"
    except MemoryError:
        return film, None, "image.too_large", "there is not enough memory to read it"
    # as the cache rounds, so that a film is the same in training and here
    return film, np.rint(greys / 257).astype(np.uint8), "", ""


def _killed(film: Film) -> _Fitted:
    return film, None, "image.crash", "the decoder crashed on it"


def _batched(films: Iterable[NDArray[np.uint8]], size: int, device: torch.device) -> Iterator[torch.Tensor]:
    for _, group in groupby(enumerate(films), key=lambda pair: pair[0] // size):
        yield torch.from_numpy(np.stack([film for _, film in group])).to(device)


# Rows


def rows_of(
    model: FilmEncoder, films: Sequence[Film], logits: NDArray[np.float32], level: Level
) -> tuple[dict[str, list[str]], Probabilities]:
    """The ids and calibrated probabilities [R, L] of rows: a film each, or a study each.

    Raises ``ConfigError`` (``config.value``) for another level.
    """
    if level not in ("study", "image"):
        raise ConfigError("config.value", f"{level!r} is neither study nor image", where="--level")
    probabilities = sigmoid(logits / np.array(model.config.temperatures))
    if level == "image":
        ids = {
            "study_id": [film.study_id or film.image_id for film in films],
            "image_id": [film.image_id for film in films],
            "patient_id": [film.patient_id or film.image_id for film in films],
        }
        return ids, probabilities
    places: dict[str, int] = {}
    patients: list[str] = []
    study = []
    for film in films:
        name = film.study_id or film.image_id
        if name not in places:
            places[name] = len(places)
            patients.append(film.patient_id or name)
        study.append(places[name])
    found = pooled(probabilities, np.array(study), len(places), model.config.pooling)
    return {"study_id": list(places), "patient_id": patients}, found


def _write_decisions(
    path: Path, ids: Sequence[str], labels: Sequence[str], probabilities: Probabilities, thresholds: Sequence[float]
) -> None:
    """A label table: 1 where a probability reaches its threshold, else 0."""
    import csv

    decided: NDArray[Any] = (probabilities >= np.array(thresholds)).astype(int)
    with atomic_writer(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["study_id", *labels])
        writer.writerows([study_id, *row] for study_id, row in zip(ids, decided.tolist(), strict=True))
