"""Train a drafter: stage 1 aligns the projector, stage 2 trains adapters and projector, stage 3, if wanted, these by
the labels of drafts (see reportgen.reward); the encoder stays as it is.

RUN/config.json, model.safetensors, adapter/, tokenizer.json ...     see reportgen.store
RUN/history.jsonl                                                    loss, clinical F1, distinct drafts by epoch
RUN/failures.jsonl                                                   films and studies left out, if any
RUN/manifest.json                                                    last

The best epoch is the one whose sampled drafts of validation studies have the best macro F1 of labels, with a bonus for
distinct drafts: the loss goes on falling while drafts become one and the same.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from torch import Tensor

from corpora.accelerating import accelerator_of, begin_together, quiet
from corpora.allowance import allowance
from corpora.bars import Step
from corpora.complete import damaged_run
from corpora.config import config_sha256
from corpora.errors import ConfigError, DataError, RunError
from corpora.images.cache import ImageCache
from corpora.label_table import LabelMatrix
from corpora.runs import OutputTarget, discard_work, output_target, write_manifest, writing
from corpora.store import read_studies
from corpora.types import Reject, Study
from reportgen.data import Desk, Example, Sight, Telling, by_length, examples, look, views_for
from reportgen.decoder import fitted_tokenizer, load_decoder
from reportgen.flags import best_thresholds
from reportgen.generate import Decoding, generate
from reportgen.hints import probabilities_of, seen_labels, thresholds_of
from reportgen.judging import fit_judgement, hidden_from, judging_loss, opinions, told
from reportgen.loop import Course, Epoch, Stage, fit
from reportgen.model import Drafter, DrafterConfig
from reportgen.pretrain import PACKAGES, course_epochs, read_history, write_history
from reportgen.recipes import CourseRecipe, ReportTrainRecipe, RewardRecipe
from reportgen.reward import Rewarding
from reportgen.scorer import ClinicalScore, labels_of
from reportgen.sources import inputs_of
from reportgen.store import peft_quiet, save_drafter, weights_sha256
from reportgen.targets import HINTS, counts_of, sections_of
from vision.data import TRAIN, VALIDATE, gather, open_cache, rejects_of
from vision.predict import load_model
from vision.rejects import refuse_too_many, write_rejects

_WEIGHTS: Final = "model.safetensors"
#: Largest share of the decoder's weights that adapters should train.
MOST_ADAPTED: Final = 0.05
#: Share of training films within the limit of what is usual.
_USUAL: Final = 0.999
_NORMAL: Final = "No Finding"


@dataclass(frozen=True, slots=True)
class ReportTrainSummary:
    """How it ended: folder, counts, epochs, the best score, warnings, seconds; ``untouched`` if it was complete."""

    folder: Path
    counts: Mapping[str, int]
    epochs: tuple[Epoch, ...]
    best: float
    warnings: tuple[str, ...]
    seconds: float
    untouched: bool = False


def train(
    corpus: Path,
    vision: Path,
    out: Path,
    recipe: ReportTrainRecipe,
    *,
    split: Path | None = None,
    cache: Path | None = None,
    seen: Path | None = None,
    resume: bool = False,
    max_failures: str = "1%",
    command: Iterable[str] = (),
    watch: Callable[[Step], None] = lambda step: None,
    told: Callable[[Epoch], None] = lambda epoch: None,
    caching: Callable[[int, int], None] = lambda done, total: None,
) -> ReportTrainSummary:
    """Train a drafter on the films and reports of a corpus, with the encoder of the run ``vision``, into ``out``.

    Raises ``DataError`` (``report.no_reports``, ``split.leak``, ``vision.*``), ``ConfigError`` (``model.*``) and
    ``RunError`` (``report.memory``, ``train.nan``, ``vision.rejects``, ``run.*``).
    """
    begun = time.monotonic()
    target = output_target(out, _WEIGHTS)
    if not target.is_folder:
        raise RunError("run.is_file", f"{out} names a table, and a model is a folder", hint="name a run folder")
    if resume and target.complete:
        return _untouched(out)
    within = allowance(max_failures)
    accelerator = accelerator_of(recipe.precision, None, "report", out)
    begin_together(accelerator, target, resume=resume)
    model, tokenizer = build(vision, recipe)
    model.to(accelerator.device)
    films = partial(open_cache, folder=cache or target.work / "films", command=command, watch=caching)
    parts, rejects = _parts(corpus, split, films, model, recipe)
    write_rejects(target.failures, rejects)
    refuse_too_many(len(rejects), len(rejects) + sum(map(len, parts.values())), within, target.failures)
    _refuse_empty(parts, corpus)
    key = _key(recipe, model, parts)
    image_ids = sorted({name for part in parts.values() for study in part for name in study.image_ids})
    with accelerator.main_process_first():
        kept = ImageCache(cache or target.work / "films")
        sight = look(model, kept, image_ids, seen or target.work / "sight", caching)
    _note_usual(model, sight, parts[TRAIN])
    _note_thresholds(model, recipe, sight, parts[VALIDATE])
    work = Training(model, tokenizer, recipe, parts, sight, target, key, accelerator, told)
    courses = work.run(resume=resume, watch=watch)
    counts = {
        "studies, train": len(parts[TRAIN]), "studies, validate": len(parts[VALIDATE]), "rejected": len(rejects),
        **counts_of([study.target for study in parts[TRAIN] if study.target]), **work.sizes,
    }  # fmt: skip
    seconds = time.monotonic() - begun
    if accelerator.is_main_process:
        inputs = _inputs(corpus, split, vision, recipe)
        _publish(target, model, tokenizer, recipe, courses, counts, seconds, inputs, command)
    best = courses[-1].best_score if courses else 0.0
    return ReportTrainSummary(out, counts, tuple(course_epochs(*courses)), best, tuple(work.warnings), seconds)


def _inputs(corpus: Path, split: Path | None, vision: Path, recipe: ReportTrainRecipe) -> list[Path]:
    """What the drafter is made from: films and reports, their parts, the encoder, and a decoder that is a folder."""
    of_decoder = (Path(recipe.decoder_source) / name for name in ("config.json", "model.safetensors", "tokenizer.json"))
    return inputs_of(vision, corpus, split) + [path for path in of_decoder if path.is_file()]


def build(vision: Path, recipe: ReportTrainRecipe) -> tuple[Drafter, Any]:
    """The drafter of a recipe before training, and its tokenizer. Raises ``ConfigError`` (``model.*``)."""
    quiet()
    eye = load_model(vision, "cpu")
    tokenizer = fitted_tokenizer(recipe.decoder_source)
    decoder = load_decoder(recipe.decoder_source, tokenizer)
    longest = getattr(decoder.config, "max_position_embeddings", None)
    needed = recipe.films * recipe.side**2 + recipe.prompt_tokens + recipe.max_tokens
    if longest is not None and needed > longest:
        raise ConfigError(
            "config.value", f"films, prompt and target come to {needed} tokens, and the decoder reads {longest}",
            where=recipe.decoder_source, hint="lower side, films, prompt_tokens or max_tokens",
        )  # fmt: skip
    torch.manual_seed(recipe.seed)
    config = DrafterConfig(
        eye.config, decoder.config, recipe.side, recipe.films, recipe.hints, None, recipe.indication, recipe.prior,
        recipe.prompt_tokens, recipe.max_tokens, recipe.cells,
        tokenizer.get_vocab()[HINTS] if recipe.judge else None,
    )  # fmt: skip
    model = Drafter(config)
    model.encoder.load_state_dict(eye.state_dict())
    model.decoder = decoder
    return model, tokenizer


class Training:
    """The two stages of one run."""

    def __init__(
        self, model: Drafter, tokenizer: Any, recipe: ReportTrainRecipe, parts: Mapping[str, Sequence[Example]],
        sight: Sight, target: OutputTarget, key: str, accelerator: Any, say: Callable[[Epoch], None],
    ) -> None:  # fmt: skip
        self.model, self.tokenizer, self.recipe, self.say = model, tokenizer, recipe, say
        self.target, self.key, self.accelerator = target, key, accelerator
        sizes = self.sizes_of_texts = (recipe.films, recipe.prompt_tokens, recipe.max_tokens)
        labels = model.encoder.config.label_names
        self.meant = meant_in(recipe.choice.labeler, parts[TRAIN], labels)
        told_labels = [[labels[at] for at in np.flatnonzero(row)] for row in self.meant]
        self.learned = Desk(parts[TRAIN], sight, tokenizer, *sizes, hints=told_labels if recipe.hints else None)
        self.heldout = (sight, parts[VALIDATE], meant_in(recipe.choice.labeler, parts[VALIDATE], labels))
        asked = _some(parts[VALIDATE], recipe.choice.studies, recipe.seed)
        self.asked = Desk(asked, sight, tokenizer, *sizes, hints=seen_labels(model, sight, asked))
        self.scorer = ClinicalScore(recipe.choice.labeler, [study.target.text for study in asked if study.target])
        self.courses: list[Course] = []
        self.warnings: list[str] = []
        self.sizes: dict[str, int] = {}

    def run(self, *, resume: bool, watch: Callable[[Step], None]) -> list[Course]:
        """Both stages, as far as the recipe has them."""
        recipe, model = self.recipe, self.model
        if recipe.gradient_checkpointing:
            model.decoder.gradient_checkpointing_enable()
        model.decoder.requires_grad_(False)
        for part in model.joint().values():
            part.requires_grad_(True)
        if recipe.align.epochs:
            self._stage("align", recipe.align, resume, watch)
        self._adapt()
        if recipe.adapt.epochs:
            self._stage("adapt", recipe.adapt, resume, watch)
        if recipe.reward and recipe.reward.course.epochs:
            self._rewarded(recipe.reward, resume, watch)
        self._judge()
        return self.courses

    def _judge(self) -> None:
        """Mix the drafter's judgement with the encoder's, as it is now, and tell the validation studies what comes."""
        if self.recipe.judge is None:
            return
        sight, studies, meant = self.heldout
        labels, sizes = self.model.encoder.config.label_names, self.sizes_of_texts
        asking: list[list[str]] = [[] for _ in studies]
        labeler = self.recipe.choice.labeler
        views = opinions(self.model, Desk(studies, sight, self.tokenizer, *sizes, hints=asking), labeler)
        found = fit_judgement(views, meant, labels, labeler)
        self.model.config.judgement = found.as_config()
        p = found.probabilities(views, labels)
        told_labels = dict(zip([study.study_id for study in studies],
                               told(p, found.limits(thresholds_of(self.model))), strict=True))  # fmt: skip
        asked = self.asked.studies
        self.asked = Desk(asked, sight, self.tokenizer, *sizes, hints=[told_labels[s.study_id] for s in asked])

    def _adapt(self) -> None:
        lora, decoder = self.recipe.lora, self.model.decoder
        base = sum(value.numel() for value in decoder.parameters())
        torch.manual_seed(self.recipe.seed)
        adapters = LoraConfig(
            r=lora.rank, lora_alpha=int(lora.alpha), lora_dropout=lora.dropout, target_modules=lora.targets,
            task_type="CAUSAL_LM", fan_in_fan_out=decoder.config.model_type == "gpt2",
        )  # fmt: skip
        try:
            with peft_quiet():
                self.model.decoder = get_peft_model(decoder, adapters)
        except ValueError as error:
            message = f"the decoder has no modules that end in {lora.targets}"
            raise ConfigError("config.value", message, where="lora.targets") from error
        adapted = sum(value.numel() for value in self.model.decoder.parameters() if value.requires_grad)
        self.sizes = {"decoder weights": base, "adapter weights": adapted}
        if adapted > MOST_ADAPTED * base:
            self.warnings.append(
                f"the adapters are {adapted / base:.1%} of the decoder: a lower lora.rank learns less by heart"
            )

    def _rewarded(self, recipe: RewardRecipe, resume: bool, watch: Callable[[Step], None]) -> None:
        """Stage 3, on some of the training studies."""
        rows = np.random.default_rng(self.recipe.seed).permutation(len(self.learned.studies))[: recipe.studies]
        labels = self.model.encoder.config.label_names
        findings = [at for at, label in enumerate(labels) if label != _NORMAL]
        work = Rewarding(
            self.model, self.tokenizer, self.learned, self.meant[:, findings],
            lambda texts: labels_of(self.recipe.choice.labeler, texts, labels)[:, findings], recipe,
            self.recipe.max_tokens,
        )  # fmt: skip
        self._stage("reward", recipe.course, resume, watch, lambda some: work.loss(rows[some], self._loss), rows)

    def _stage(
        self, name: str, recipe: CourseRecipe, resume: bool, watch: Callable[[Step], None],
        loss: Callable[[NDArray[np.int64]], Tensor] | None = None, rows: NDArray[np.int64] | None = None,
    ) -> None:  # fmt: skip
        lengths = self.learned.lengths if rows is None else self.learned.lengths[rows]
        stage = Stage(name, recipe, self.model, loss or self._loss, self._measured, lengths,
                      self.recipe.seed, self.target.work / f"{name}.pt", self.key,
                      self.courses[-1].best_score if self.courses else None)  # fmt: skip
        course = fit(stage, self.accelerator, resume=resume, watch=watch)
        for epoch in course.epochs:
            self.say(epoch)
        self.courses.append(course)

    def _loss(self, rows: NDArray[np.int64]) -> Tensor:
        batch, device, judge = self.learned.batch(rows), self.accelerator.device, self.recipe.judge
        films, ids = batch.films.to(device), batch.ids.to(device)
        if judge is None:
            found: Tensor = self.model(films, ids, batch.mask.to(device), batch.labels.to(device)).loss
            return found
        films = hidden_from(films, torch.rand(len(rows), device=device) < judge.blind)
        output = self.model(films, ids, batch.mask.to(device), batch.labels.to(device), output_hidden_states=True)
        meant = torch.from_numpy(self.meant[rows]).to(device, torch.float32)
        own = self.model.judged(output.hidden_states[-1], ids)
        whole: Tensor = output.loss + judge.weight * judging_loss(own, meant)
        return whole

    def _measured(self) -> tuple[float, dict[str, float]]:
        self._judge()
        texts = self._texts()
        f1, distinct = self.scorer(texts), len(set(texts)) / max(1, len(texts))
        return f1 + self.recipe.choice.distinct * distinct, {"macro_f1": f1, "distinct": distinct}

    def _texts(self) -> list[str]:
        how = Decoding(self.recipe.max_tokens, sample=True, temperature=self.recipe.choice.temperature)
        texts = [""] * len(self.asked.studies)
        for number, rows in enumerate(by_length(np.array([len(ids) for ids in self.asked.prompts]), 64)):
            found = generate(self.model, self.asked, self.tokenizer, rows, how, seed=number, sure=False)
            for row, drafted in zip(rows, found, strict=True):
                texts[row] = " ".join(sections_of(self.tokenizer.decode(drafted.tokens)).values())
        return texts


def meant_in(labeler: str, studies: Sequence[Example], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Which of ``labels`` the reports of studies have [N, L], surely or perhaps."""
    return labels_of(labeler, [study.target.text if study.target else "" for study in studies], labels)


def _note_thresholds(model: Drafter, recipe: ReportTrainRecipe, sight: Sight, studies: Sequence[Example]) -> None:
    """Where a label counts as seen: the best F1 against the reports of the validation part."""
    labels = model.encoder.config.label_names
    probabilities = probabilities_of(sight.study_logits(studies, model.encoder.config.views))
    meant = meant_in(recipe.choice.labeler, studies, labels)
    model.config.thresholds = best_thresholds(probabilities, meant, labels)


def _some(studies: Sequence[Example], most: int, seed: int) -> list[Example]:
    chosen = np.random.default_rng(seed).permutation(len(studies))[:most]
    return [studies[at] for at in sorted(chosen)]


def _parts(
    corpus: Path, split: Path | None, cached: Callable[..., ImageCache], model: Drafter, recipe: ReportTrainRecipe
) -> tuple[dict[str, list[Example]], list[Reject]]:  # fmt: skip
    studies = {study.study_id: study for study in read_studies(corpus)}
    gathered = gather(corpus, _reported(corpus, studies), split, views_for(recipe.films))
    films = [film for part in (TRAIN, VALIDATE) for film in gathered.of_part.get(part, [])]
    kept = cached(films, size=model.encoder.config.image_size)
    rejects = rejects_of(films, kept)
    telling = Telling(recipe.indication, recipe.prior)
    parts = {}
    for part in (TRAIN, VALIDATE):
        found, refused = examples(studies, gathered.of_part.get(part, []), kept, recipe.films, telling)
        parts[part] = [study for study in found if study.target and study.target.sections]
        rejects += refused
    return parts, rejects


def _reported(corpus: Path, studies: Mapping[str, Study]) -> LabelMatrix:
    """The studies that have a report, as the table of labels that films are gathered by."""
    ids = tuple(name for name, study in studies.items() if study.report and study.report.text.strip())
    if not ids:
        raise DataError(
            "report.no_reports", "no study of the corpus has a report", where=str(corpus),
            hint="import the corpus with its reports",
        )  # fmt: skip
    states = np.zeros((len(ids), 0), dtype=np.int8)
    return LabelMatrix(corpus, ids, (), states, {name: row for row, name in enumerate(ids)})


def _refuse_empty(parts: Mapping[str, Sequence[Example]], corpus: Path) -> None:
    for part, studies in parts.items():
        if not studies:
            raise DataError(
                "report.no_reports", f"no study of the part {part} has a frontal film and a report", where=str(corpus)
            )


def _note_usual(model: Drafter, sight: Sight, studies: Sequence[Example]) -> None:
    names = [name for study in studies for name in study.image_ids]
    pooled = torch.from_numpy(sight.pooled(names))
    model.usual_mean.copy_(pooled.mean(dim=0))
    model.usual_spread.copy_(pooled.std(dim=0, correction=0).clamp_min(1e-4))
    far = ((pooled - model.usual_mean.cpu()) / model.usual_spread.cpu()).square().mean(dim=1).sqrt()
    model.usual_limit.fill_(max(1e-6, float(torch.quantile(far, _USUAL))))


def _key(recipe: ReportTrainRecipe, model: Drafter, parts: Mapping[str, Sequence[Example]]) -> str:
    digest = hashlib.sha256(config_sha256(recipe).encode())
    digest.update(weights_sha256(model.encoder).encode() + weights_sha256(model.decoder).encode())
    for part, studies in parts.items():
        digest.update(part.encode())
        for study in studies:
            digest.update(
                repr((study.study_id, study.image_ids, study.prompt, study.target)).encode("utf-8", "replace")
            )
    return digest.hexdigest()


def _publish(
    target: OutputTarget, model: Drafter, tokenizer: Any, recipe: ReportTrainRecipe, courses: Sequence[Course],
    counts: Mapping[str, int], seconds: float, inputs: Sequence[Path], command: Iterable[str],
) -> None:  # fmt: skip
    save_drafter(model, tokenizer, target.out)
    write_history(target.out / "history.jsonl", course_epochs(*courses))
    write_manifest(
        target.manifest, command=list(command), config=recipe.model_dump(mode="json"), inputs=inputs, counts=counts,
        wall_seconds=seconds, seed=recipe.seed, packages=PACKAGES,
    )  # fmt: skip
    with writing(target.work):
        discard_work(target)


def _untouched(out: Path) -> ReportTrainSummary:
    try:
        made = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        epochs = read_history(out / "history.jsonl")
        best = max((epoch.score for epoch in epochs), default=0.0)
        return ReportTrainSummary(out, made["counts"], epochs, best, (), made["wall_seconds"], untouched=True)
    except (OSError, ValueError, KeyError, TypeError):
        raise damaged_run(out) from None
