"""Draft reports of films: a line of JSON for each study, marked as a draft.

    {"study_id": ..., "status": "draft", "notice": ..., "text": ..., "findings": ..., "impression": ...,
     "confidence": ..., "tokens": [...], "token_probabilities": [...], "labels": {...}, "probabilities": {...},
     "flags": [{"label", "kind", "probability"}], "warnings": [...], "images": [...], "made_by": ...}

Batches are of prompts about as long, and are the same in a run that is resumed; each has a seed of its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from corpora.allowance import allowance
from corpora.errors import ConfigError, DataError, RunError
from corpora.images.cache import Film
from corpora.readers.corpus import is_corpus
from corpora.runs import OutputTarget, atomic_writer, begin, discard_work, output_target, write_manifest, writing
from corpora.splits.files import read_split
from corpora.store import read_studies
from corpora.types import Provenance, Reject, Report, Study
from labeler.base import load
from reportgen.data import Desk, Example, Telling, by_length, examples, look
from reportgen.flags import agreement, flags
from reportgen.generate import Decoding, Drafted, generate
from reportgen.hints import seen_labels, study_probabilities, thresholds_of
from reportgen.model import Drafter
from reportgen.pretrain import PACKAGES
from reportgen.store import load_drafter, weights_sha256
from reportgen.targets import as_report, sections_of
from vision.data import films_of, open_cache, rejects_of
from vision.rejects import write_rejects

#: Stands on every draft.
NOTICE: Final = "Draft written by a model. Not for clinical use. Not read by a radiologist."
_SUFFIXES: Final = (".dcm", ".dicom", ".png", ".jpg", ".jpeg", "")

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DraftSummary:
    """What was drafted: the file, drafts, distinct ones, empty ones, flagged ones, rejects, seconds."""

    table: Path
    drafts: int
    distinct: int
    empty: int
    flagged: int
    unusual: int
    rejected: int
    seconds: float
    too_many: bool


def draft(
    run: Path,
    source: Path,
    out: Path,
    *,
    how: Decoding | None = None,
    part: str | None = None,
    split: Path | None = None,
    cache: Path | None = None,
    batch_size: int = 64,
    candidates: int = 1,
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

    With several ``candidates`` each study gets so many sampled drafts, of which the one that agrees best with the
    encoder is kept. Raises ``ConfigError`` (``model.*``, ``report.adapter``, ``config.value``), ``DataError``
    (``report.no_studies``, ``data.*``) and ``RunError`` (``report.memory``, ``run.*``).
    """
    begun = time.monotonic()
    how = replace(how or Decoding(), **({"sample": True} if candidates > 1 else {}))
    within, target = allowance(max_failures), output_target(out, "drafts.jsonl")
    if target.format != "jsonl":
        raise ConfigError("config.value", "drafts are written as .jsonl", where=str(out), hint="radloop report export")
    model, tokenizer = load_drafter(run, merged=merged, adapter=adapter)
    in_bf16(model)
    desk, rejects = _desk(model, tokenizer, source, target, part, split, cache, how, resume)
    work = Drafting(model, tokenizer, desk, how, candidates, labeler, seed, f"{run.name}")
    settings = {
        "run": str(run), "source": str(source), "part": part, "how": asdict(how), "batch_size": batch_size,
        "candidates": candidates, "labeler": labeler, "seed": seed, "weights": weights_sha256(model),
    }  # fmt: skip
    records = _records(work, target, batch_size, settings, resume, watch)
    records.sort(key=lambda record: record.pop("row"))
    rejects += [_empty(record) for record in records if not record["text"]]
    write_rejects(target.failures, rejects)
    with atomic_writer(target.table) as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    summary = _summary(records, rejects, target, within, time.monotonic() - begun)
    write_manifest(
        target.manifest, command=list(command), config=settings,
        inputs=[run / "config.json", run / "model.safetensors"],
        counts={"drafts": summary.drafts, "distinct": summary.distinct, "empty": summary.empty,
                "flagged": summary.flagged, "unusual films": summary.unusual, "rejected": summary.rejected},
        wall_seconds=summary.seconds, seed=seed, packages=PACKAGES,
    )  # fmt: skip
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
        self, model: Drafter, tokenizer: Any, desk: Desk, how: Decoding, candidates: int, labeler: str, seed: int,
        made_by: str,
    ) -> None:  # fmt: skip
        self.model, self.tokenizer, self.desk, self.how = model, tokenizer, desk, how
        self.candidates, self.seed, self.made_by = candidates, seed, made_by
        self.reader = load(labeler)
        self.labels = model.encoder.config.label_names
        self.thresholds = thresholds_of(model)
        self.probabilities = study_probabilities(model, desk.sight, desk.studies)

    def records(self, number: int, rows: NDArray[np.int64]) -> list[Record]:
        """The records of a batch, one for each study, in its order."""
        several = [self._generated(number * 1009 + turn, rows) for turn in range(self.candidates)]
        made = [[self._record(row, drafted) for row, drafted in zip(rows, found, strict=True)] for found in several]
        return [self._best(choices) for choices in zip(*made, strict=True)]

    def _best(self, choices: Sequence[Record]) -> Record:
        if len(choices) == 1:
            return choices[0]
        return max(choices, key=lambda record: (
            bool(record["text"]), agreement(record["labels"], record["probabilities"], self.thresholds),
            record["confidence"] or 0.0,
        ))  # fmt: skip

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
        study = self.desk.studies[row]
        text = self.tokenizer.decode(drafted.tokens)
        sections = sections_of(text, self.how.only)
        labels = self._labels(" ".join(sections.values()))
        probabilities = dict(zip(self.labels, self.probabilities[row].tolist(), strict=True))
        found = flags(labels, probabilities, self.thresholds) if sections else []
        return {
            "row": int(row), "study_id": study.study_id, "status": "draft", "notice": NOTICE,
            "text": as_report(sections), **sections,
            "confidence": None if drafted.confidence is None else round(drafted.confidence, 4),
            "tokens": [self.tokenizer.decode([token]) for token in drafted.tokens],
            "token_probabilities": [round(float(np.exp(log)), 4) for log in drafted.log_probabilities],
            "labels": {label: state for label, state in labels.items() if state is not None},
            "probabilities": {label: round(p, 4) for label, p in probabilities.items()},
            "flags": [asdict(flag) for flag in found], "warnings": self._warnings(study),
            "images": list(study.image_ids), "made_by": self.made_by,
        }  # fmt: skip

    def _labels(self, text: str) -> dict[str, Any]:
        states = self.reader.states([Report("", text)])[0] if text else (None,) * len(self.reader.schema.labels)
        return dict(zip(self.reader.schema.labels, states, strict=True))

    def _warnings(self, study: Example) -> list[str]:
        cells = np.stack([self.desk.sight.cells[self.desk.sight.row[name]] for name in study.image_ids])
        far = self.model.unusual(torch.from_numpy(cells.astype(np.float32)).to(self.model.device)).tolist()
        return [
            f"image {name} is unlike the films of training ({ratio:.1f} times their limit): perhaps no chest film"
            for name, ratio in zip(study.image_ids, far, strict=True)
            if ratio > 1
        ]  # fmt: skip


def _desk(
    model: Drafter, tokenizer: Any, source: Path, target: OutputTarget, part: str | None, split: Path | None,
    cache: Path | None, how: Decoding, resume: bool,
) -> tuple[Desk, list[Reject]]:  # fmt: skip
    studies, films = sources(source, part, split)
    begin(target, resume=resume)
    kept = open_cache(films, cache or target.work / "films", model.encoder.config.image_size)
    rejects = rejects_of(films, kept)
    config = model.config
    telling = Telling(config.telling_indication, config.telling_prior, how.only)
    found, refused = examples(studies, films, kept, config.films, telling)
    if not found:
        raise DataError(
            "report.no_studies", f"none of the {len(films):,} films is a frontal film that can be read",
            where=str(source),
        )  # fmt: skip
    names = sorted({name for study in found for name in study.image_ids})
    sight = look(model, kept, names, target.work / "sight")
    told = seen_labels(model, sight, found)
    return Desk(found, sight, tokenizer, config.films, config.prompt_tokens, hints=told), rejects + refused


def sources(source: Path, part: str | None = None, split: Path | None = None) -> tuple[dict[str, Study], list[Film]]:
    """The studies of a corpus, or of its part, with their films; or films by themselves, each a study.

    Raises ``DataError`` (``data.missing``, ``report.no_studies``) and ``ConfigError`` (``config.value``).
    """
    if source.is_dir() and is_corpus(str(source)):
        parts = read_split(split or source) if part else {}
        studies = {each.study_id: each for each in read_studies(source)}
        chosen = [each for name, each in studies.items() if part is None or parts.get(name) == part]
        films = [film for each in chosen for film in films_of(source, each, "all")]
    elif part:
        raise ConfigError("config.value", "only a corpus has a split", where="--part")
    else:
        studies, films = {}, list(_loose(source))
    if not films:
        raise DataError("report.no_studies", "there is no film in it", where=str(source), hint="DICOM, PNG or JPEG")
    return studies, films


def _loose(source: Path) -> Iterator[Film]:
    if source.is_file():
        yield Film(source.stem, str(source), source.stem, source.stem, None)
        return
    if not source.is_dir():
        raise DataError("data.missing", "there is no such source", where=str(source))
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if path.is_file() and path.suffix.lower() in _SUFFIXES and not any(p.startswith(".") for p in inside.parts):
            name = inside.with_suffix("").as_posix()
            yield Film(name, str(path), name, name, None)


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


def _empty(record: Record) -> Reject:
    return Reject("report.empty", "the draft is empty", Provenance(""), record["study_id"])


def _summary(
    records: Sequence[Record], rejects: Sequence[Reject], target: OutputTarget, within: Callable[[int, int], bool],
    seconds: float,
) -> DraftSummary:  # fmt: skip
    texts = [record["text"] for record in records]
    empty = sum(not text for text in texts)
    return DraftSummary(
        target.table, len(texts), len(set(texts)), empty, sum(bool(record["flags"]) for record in records),
        sum(bool(record["warnings"]) for record in records), len(rejects), seconds,
        not within(len(rejects), len(texts) + len(rejects) - empty),
    )  # fmt: skip
