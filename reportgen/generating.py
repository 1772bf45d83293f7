"""Drafts by a registered generator: training reports as its bank, the encoder of a run as its eye."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from corpora.accelerating import quiet
from corpora.allowance import allowance
from corpora.errors import ConfigError, DataError
from corpora.images.cache import Film, ImageCache
from corpora.registry import load as load_registered
from corpora.runs import begin, discard_work, output_target, writing
from corpora.types import Reject, Study
from reportgen.data import Example, Sight, Telling, examples, look, views_for
from reportgen.generators import Asked, Bank, Generator
from reportgen.hints import study_probabilities, thresholds_of
from reportgen.model import Drafter, DrafterConfig
from reportgen.records import DraftSummary, Recorder, publish
from reportgen.scorer import positives
from reportgen.sources import inputs_of, sources
from reportgen.store import load_drafter
from vision.data import TRAIN, open_cache, rejects_of
from vision.encoder import FilmEncoderConfig
from vision.predict import load_model

_SIDE: Final = 4


@dataclass(frozen=True, slots=True)
class _Gathered:
    studies: Mapping[str, Study]
    films: Sequence[Film]
    rejects: list[Reject]


def draft_by(
    generator: str,
    run: Path,
    source: Path,
    out: Path,
    *,
    part: str | None = None,
    split: Path | None = None,
    cache: Path | None = None,
    seen: Path | None = None,
    labeler: str = "rules.v1",
    seed: int = 0,
    max_failures: str = "1%",
    command: Iterable[str] = (),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> DraftSummary:
    """Draft the part ``part`` of a corpus by a registered generator, from the reports of its part train.

    ``run`` is a run of ``radloop vision train`` or of ``radloop report train``: its encoder looks, and its thresholds
    say what is seen. Raises as ``reportgen.draft.draft``, and ``RegistryError`` for an unknown generator.
    """
    begun = time.monotonic()
    within, target = allowance(max_failures), output_target(out, "drafts.jsonl")
    if target.format != "jsonl":
        raise ConfigError("config.value", "drafts are written as .jsonl", where=str(out))
    made: Generator = load_registered("generators", generator)
    eye = eye_of(run)
    learned = _gathered(source, TRAIN, split, eye)
    asked = _gathered(source, part, split, eye) if part != TRAIN else learned
    begin(target)
    films = list({film.image_id: film for film in (*learned.films, *asked.films)}.values())
    kept = open_cache(films, cache or target.work / "films", eye.encoder.config.image_size, command=command)
    known, found, refused = _studies(learned, asked, kept, eye, source)
    sight = None
    if getattr(made, "looks", True):
        names = sorted({name for study in (*known, *found) for name in study.image_ids})
        sight = look(eye, kept, names, seen or target.work / "sight", watch)
    p = study_probabilities(eye, sight, found) if sight else np.zeros((len(found), 0))
    limits = thresholds_of(eye)
    drafts = made(_bank(known, sight, labeler), _asked(found, sight, p, limits), np.random.default_rng(seed))
    recorder = Recorder(labeler, limits, {film.image_id: film.path for film in asked.films}, generator, seed)
    records = [recorder.record(study, draft, row.tolist()) for study, draft, row in zip(found, drafts, p, strict=True)]
    settings = {
        "generator": generator, "run": str(run), "source": str(source), "part": part, "labeler": labeler, "seed": seed,
        "training reports": len(known),
    }  # fmt: skip
    rejects = [*asked.rejects, *rejects_of(list(asked.films), kept), *refused]
    inputs = inputs_of(run, source, split)
    summary = publish(target, records, rejects, within, time.monotonic() - begun, settings, inputs, command)
    with writing(target.work):
        discard_work(target)
    return summary


def _studies(
    learned: _Gathered, asked: _Gathered, kept: ImageCache, eye: Drafter, source: Path
) -> tuple[list[Example], list[Example], list[Reject]]:
    """Studies to learn from, studies to draft of, and those that cannot be. Raises ``DataError`` (``report.*``)."""
    telling, most = Telling(), eye.config.films
    known, _ = examples(learned.studies, learned.films, kept, most, telling)
    known = [study for study in known if study.target and study.target.sections]
    if not known:
        raise DataError("report.no_reports", "no study of the part train has a film and a report", where=str(source))
    found, refused = examples(asked.studies, asked.films, kept, most, telling)
    if not found:
        raise DataError("report.no_studies", "none of the films is a frontal film that can be read", where=str(source))
    return known, found, refused


def eye_of(run: Path) -> Drafter:
    """The encoder of a run of either kind, in a drafter; that of an encoder's run has a decoder of no use.

    Raises ``ConfigError``: ``model.*``.
    """
    try:
        kind = json.loads((run / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        kind = FilmEncoderConfig.model_type
    if kind == DrafterConfig.model_type:
        return load_drafter(run)[0]
    encoder = load_model(run)
    quiet()
    small = {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1, "vocab_size": 8, "n_positions": 8,
             "bos_token_id": None, "eos_token_id": 0}  # fmt: skip
    films = 1 if encoder.config.views == "frontal" else 2
    eye = Drafter(DrafterConfig(encoder.config, small, _SIDE, films))
    eye.encoder.load_state_dict(encoder.state_dict())
    torch.nn.Module.to(eye, encoder.device)
    eye.train(False)
    return eye


def _gathered(source: Path, part: str | None, split: Path | None, eye: Drafter) -> _Gathered:
    studies, films, rejects = sources(source, part, split, views_for(eye.config.films))
    return _Gathered(studies, films, rejects)


def _bank(studies: Sequence[Example], sight: Sight | None, labeler: str) -> Bank:
    reports = [dict(study.target.sections) for study in studies if study.target]
    labels, found = positives(labeler, [" ".join(report.values()) for report in reports])
    return Bank(reports, labels, found, _features(studies, sight), lambda texts: positives(labeler, texts)[1])


def _asked(
    studies: Sequence[Example], sight: Sight | None, probabilities: NDArray[np.float64], limits: Mapping[str, float]
) -> Asked:
    if sight is None:
        return Asked(len(studies), None, [[] for _ in studies])
    seen = probabilities >= np.array(list(limits.values()))
    told = [[label for label, here in zip(limits, row, strict=True) if here] for row in seen]
    return Asked(len(studies), _features(studies, sight), told)


def _features(studies: Sequence[Example], sight: Sight | None) -> Any:
    """The mean and the maximum of the cells of a study's first film [N, 2 C]."""
    if sight is None:
        return None
    cells = [sight.cells[sight.row[study.image_ids[0]]].astype(np.float32) for study in studies]
    return np.stack([np.concatenate([each.mean(axis=0), each.max(axis=0)]) for each in cells])
