"""Draft reports of films: a line of JSON for each study, marked as a draft (see reportgen.records).

Batches are of prompts about as long, and are the same in a run that is resumed; each has a seed of its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from corpora.allowance import allowance
from corpora.errors import ConfigError, DataError, RunError
from corpora.images.cache import ImageCache
from corpora.runs import OutputTarget, begin, discard_work, output_target, writing
from corpora.types import Reject
from reportgen.data import Desk, Example, Sight, Telling, by_length, examples, look, views_for
from reportgen.flags import agreement, agrees
from reportgen.generate import Decoding, Drafted, generate
from reportgen.hints import seen_labels, study_probabilities, thresholds_of
from reportgen.judging import Judgement, opinions, told
from reportgen.model import Drafter
from reportgen.records import DraftSummary, Record, Recorder, publish
from reportgen.sources import inputs_of, sources
from reportgen.store import load_drafter, weights_sha256
from reportgen.targets import mentions_prior, sections_of
from vision.data import open_cache, rejects_of


def draft(
    run: Path,
    source: Path,
    out: Path,
    *,
    how: Decoding | None = None,
    part: str | None = None,
    split: Path | None = None,
    cache: Path | None = None,
    seen: Path | None = None,
    batch_size: int = 64,
    candidates: int = 1,
    prior: bool = True,
    labeler: str = "rules.v1",
    seed: int = 0,
    merged: bool = True,
    adapter: Path | None = None,
    resume: bool = False,
    max_failures: str = "1%",
    command: Iterable[str] = (),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> DraftSummary:
    """Draft the studies of ``source`` (a corpus, a folder of films, a film) with the drafter ``run`` into ``out``.

    With several ``candidates`` a study gets sampled drafts until one says what the encoder sees, so many at most, and
    the one that agrees best is kept. Without ``prior`` no report before is read. Raises ``ConfigError`` (``model.*``,
    ``report.adapter``, ``config.value``), ``DataError`` (``report.no_studies``, ``data.*``) and ``RunError``
    (``report.memory``, ``run.*``).
    """
    begun = time.monotonic()
    how = how or Decoding()
    how = replace(how, sample=how.sample or candidates > 1)
    within, target = allowance(max_failures), output_target(out, "drafts.jsonl")
    if target.format != "jsonl":
        raise ConfigError("config.value", "drafts are written as .jsonl", where=str(out), hint="radloop report export")
    model, tokenizer = load_drafter(run, merged=merged, adapter=adapter)
    in_bf16(model)
    model.config.telling_prior &= prior
    kept = partial(open_cache, folder=cache or target.work / "films", command=command)
    desk, rejects, paths = _desk(model, tokenizer, source, target, part, split, kept, seen, how, resume)
    desk, decided = told_of(model, tokenizer, desk)
    work = Drafting(model, tokenizer, desk, decided, how, candidates, labeler, seed, run.name, paths)
    settings = {
        "run": str(run), "source": str(source), "part": part, "how": asdict(how), "batch_size": batch_size,
        "candidates": candidates, "prior": model.config.telling_prior, "labeler": labeler, "seed": seed,
        "weights": weights_sha256(model),
    }  # fmt: skip
    records = _records(work, target, batch_size, settings, resume, watch)
    records.sort(key=lambda record: record.pop("row"))
    seconds = time.monotonic() - begun
    inputs = inputs_of(run, source, split, adapter)
    summary = publish(target, records, rejects, within, seconds, settings, inputs, command)
    with writing(target.work):
        discard_work(target)
    return summary


def in_bf16(model: Drafter) -> None:
    """On a GPU the decoder and what leads to it work in bf16; elsewhere they stay as they are."""
    if model.device.type == "cuda":
        for part in (model.decoder, *model.joint().values()):
            part.to(torch.bfloat16)


class Drafting:
    """What turns rows of a desk into records."""

    def __init__(
        self, model: Drafter, tokenizer: Any, desk: Desk, decided: Decided, how: Decoding, candidates: int,
        labeler: str, seed: int, made_by: str, paths: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.model, self.tokenizer, self.desk, self.how = model, tokenizer, desk, how
        self.candidates, self.seed = candidates, seed
        self.recorder = Recorder(labeler, thresholds_of(model), paths, made_by, seed)
        self.probabilities, self.decided = study_probabilities(model, desk.sight, desk.studies), decided

    def records(self, number: int, rows: NDArray[np.int64]) -> list[Record]:
        """The records of a batch, one for each study, in its order."""
        best: dict[int, Record] = {}
        left = rows
        for turn in range(self.candidates):
            found = self._generated(number * 1009 + turn, left)
            for row, drafted in zip(left, found, strict=True):
                record = self._record(row, drafted)
                if row not in best or self._worth(row, record) > self._worth(row, best[row]):
                    best[row] = record
            # only what does not say yet what is seen is drafted again
            left = np.array([row for row in left if not self._agrees(row, best[row])], dtype=np.int64)
            if not len(left):
                break
        return [best[row] for row in rows]

    def _worth(self, row: int, record: Record) -> tuple[bool, bool, float, float]:
        fit = agreement(self._states(record), self.decided.of(row), self.decided.limits)
        return bool(record["text"]), not self._invents(row, record), fit, record["confidence"] or 0.0

    def _agrees(self, row: int, record: Record) -> bool:
        if not record["text"] or self._invents(row, record):
            return False
        return agrees(self._states(record), self.decided.of(row), self.decided.limits)

    def _invents(self, row: int, record: Record) -> bool:
        """Whether a draft compares with a report that the decoder was not given."""
        return not self.desk.studies[row].before and mentions_prior(record["text"])

    def _states(self, record: Record) -> dict[str, Any]:
        return {label: record["labels"].get(label) for label in self.recorder.reader.schema.labels}

    def _generated(self, number: int, rows: NDArray[np.int64]) -> list[Drafted]:
        try:
            return generate(self.model, self.desk, self.tokenizer, rows, self.how, seed=self.seed * 1_000_003 + number)
        except torch.OutOfMemoryError as error:
            if len(rows) == 1:
                raise RunError(
                    "report.memory", "the GPU's memory does not hold the drafter and one study", hint="free it"
                ) from error
        torch.cuda.empty_cache()
        sys.stderr.write(f"the GPU's memory is full: a batch is halved to {len(rows) // 2} studies\n")
        half = len(rows) // 2
        return self._generated(number, rows[:half]) + self._generated(number, rows[half:])

    def _record(self, row: int, drafted: Drafted) -> Record:
        text = self.tokenizer.decode(drafted.tokens)
        ids: Record = {"row": int(row), "prompt_ids": self.desk.prompts[row], "token_ids": drafted.tokens}
        if self.decided.mixed:
            ids["judged"] = {label: round(p, 4) for label, p in self.decided.of(row).items()}
        return ids | self.recorder.record(
            self.desk.studies[row], sections_of(text, self.how.only), self.probabilities[row].tolist(),
            warnings_of(self.model, self.desk.sight, self.desk.studies[row]), drafted.confidence,
            [self.tokenizer.decode([token]) for token in drafted.tokens],
            [float(np.exp(log)) for log in drafted.log_probabilities],
        )  # fmt: skip


def warnings_of(model: Drafter, sight: Sight, study: Example) -> list[str]:
    """What should be said of a study's films: those unlike the films of training."""
    cells = np.stack([sight.cells[sight.row[name]] for name in study.image_ids])
    far = model.unusual(torch.from_numpy(cells.astype(np.float32)).to(model.device)).tolist()
    return [
        f"image {name} is unlike the films of training ({ratio:.1f} times their limit): perhaps no chest film"
        for name, ratio in zip(study.image_ids, far, strict=True)
        if ratio > 1
    ]


def _desk(
    model: Drafter, tokenizer: Any, source: Path, target: OutputTarget, part: str | None, split: Path | None,
    caching: Callable[..., ImageCache], seen: Path | None, how: Decoding, resume: bool,
) -> tuple[Desk, list[Reject], dict[str, str]]:  # fmt: skip
    studies, films, without = sources(source, part, split, views_for(model.config.films))
    begin(target, resume=resume)
    kept = caching(films, size=model.encoder.config.image_size)
    rejects = [*without, *rejects_of(films, kept)]
    config = model.config
    telling = Telling(config.telling_indication, config.telling_prior, how.only)
    found, refused = examples(studies, films, kept, config.films, telling)
    if not found:
        raise DataError(
            "report.no_studies", f"none of the {len(films):,} films is a frontal film that can be read",
            where=str(source),
        )  # fmt: skip
    names = sorted({name for study in found for name in study.image_ids})
    sight = look(model, kept, names, seen or target.work / "sight")
    paths = {film.image_id: film.path for film in films}
    asking: list[list[str]] | None = [[] for _ in found] if config.hints else None
    return Desk(found, sight, tokenizer, config.films, config.prompt_tokens, hints=asking), rejects + refused, paths


@dataclass(frozen=True, slots=True)
class Decided:
    """What drafts should say: probabilities [N, L] of labels, and the limit that each must reach; ``mixed`` if they are
    not the encoder's alone."""

    probabilities: NDArray[np.float64]
    limits: Mapping[str, float]
    mixed: bool

    def of(self, row: int) -> dict[str, float]:
        """The probabilities of a study by label."""
        return dict(zip(self.limits, self.probabilities[row].tolist(), strict=True))


def told_of(model: Drafter, tokenizer: Any, desk: Desk) -> tuple[Desk, Decided]:
    """A desk without hints, with them: labels that the encoder sees, or that the drafter judges to be there with it."""
    limits, judgement = thresholds_of(model), Judgement.of(model)
    if judgement is None:
        p = study_probabilities(model, desk.sight, desk.studies)
        hints = seen_labels(model, desk.sight, desk.studies)
    else:
        views = opinions(model, desk, judgement.labeler)
        p, limits = judgement.probabilities(views, list(limits)), judgement.limits(limits)
        hints = told(p, limits)
    config = model.config
    made = Desk(desk.studies, desk.sight, tokenizer, config.films, config.prompt_tokens, hints=hints)
    return made, Decided(p, limits, judgement is not None)


def _records(
    work: Drafting, target: OutputTarget, size: int, settings: Record, resume: bool,
    watch: Callable[[int, int], None],
) -> list[Record]:  # fmt: skip
    """The records of all batches: those in the journal of an interrupted run, and the rest."""
    journal = target.work / "drafts.jsonl"
    ids = [study.study_id for study in work.desk.studies]
    key = hashlib.sha256(json.dumps([settings, ids], sort_keys=True).encode()).hexdigest()
    done = _journalled(journal, key) if resume else {}
    batches = list(by_length(np.array([len(ids) for ids in work.desk.prompts]), size))
    found = [record for records in done.values() for record in records]
    with writing(journal), journal.open("w", encoding="utf-8") as file:
        file.write(json.dumps({"key": key}) + "\n")
        file.writelines(json.dumps([number, records]) + "\n" for number, records in done.items())
        for number, rows in enumerate(batches):
            if number in done:
                continue
            records = work.records(number, rows)
            file.write(json.dumps([number, records]) + "\n")
            file.flush()
            found += records
            watch(len(found), len(ids))
    return found


def _journalled(journal: Path, key: str) -> dict[int, list[Record]]:
    if not journal.is_file():
        return {}
    first, *lines = journal.read_text(encoding="utf-8").split("\n")
    try:
        same = json.loads(first)["key"] == key
    except (ValueError, KeyError, TypeError):
        return {}
    if not same:
        raise RunError(
            "run.changed", "this is not the run that was interrupted: another drafter, source or setting",
            where=str(journal), hint="run it as before, or without --resume to start over",
        )  # fmt: skip
    found: dict[int, list[Record]] = {}
    for line in lines:
        try:
            number, records = json.loads(line)
        except ValueError:
            # the line that the kill cut off
            break
        found[number] = records
    return found
