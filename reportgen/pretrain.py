"""Pretrain a decoder on reports alone: its tokenizer, then next tokens; the result is a folder of transformers.

RUN/config.json, model.safetensors, tokenizer.json     the decoder
RUN/history.jsonl                                      losses by epoch
RUN/manifest.json                                      last
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.accelerating import accelerator_of, begin_together, quiet
from corpora.bars import Step
from corpora.config import config_sha256
from corpora.errors import DataError, RunError
from corpora.readers import open_source
from corpora.runs import atomic_writer, discard_work, output_target, write_manifest, writing
from corpora.types import Study
from labeler.base import load
from reportgen.decoder import fitted_tokenizer, load_decoder, new_decoder, train_tokenizer
from reportgen.loop import Course, Epoch, Stage, fit
from reportgen.recipes import ReportPretrainRecipe
from reportgen.scorer import labels_in
from reportgen.targets import Target, counts_of, prompt_of, target_of, with_hints

WEIGHTS: Final = "model.safetensors"
PACKAGES: Final = ("torch", "transformers", "tokenizers", "accelerate", "peft", "safetensors", "numpy")
_IGNORED: Final = -100


@dataclass(frozen=True, slots=True)
class ReportPretrainSummary:
    """How it ended: folder, counts, epochs, seconds; ``untouched`` if it was complete already."""

    folder: Path
    counts: dict[str, int]
    epochs: tuple[Epoch, ...]
    seconds: float
    untouched: bool = False


def pretrain(
    sources: Sequence[str],
    out: Path,
    recipe: ReportPretrainRecipe,
    *,
    leave_out: frozenset[str] = frozenset(),
    resume: bool = False,
    command: Iterable[str] = (),
    watch: Callable[[Step], None] = lambda step: None,
) -> ReportPretrainSummary:
    """Pretrain a decoder on the Findings and Impressions of ``sources``; ``leave_out`` are ids of studies not to use.

    Raises ``DataError`` (``report.no_reports``), ``ConfigError`` and ``RunError`` (``train.nan``, ``run.*``).
    """
    begun = time.monotonic()
    target = output_target(out, WEIGHTS)
    if not target.is_folder:
        raise RunError("run.is_file", f"{out} names a table, and a model is a folder", hint="name a run folder")
    if resume and target.complete:
        return _untouched(out)
    targets = _targets(sources, leave_out)
    held = [_held_out(each, recipe.heldout) for each in targets]
    learned = [each for each, out_ in zip(targets, held, strict=True) if not out_]
    heldout = [each for each, out_ in zip(targets, held, strict=True) if out_]
    if not learned or not heldout:
        raise DataError(
            "report.no_reports", f"{len(targets):,} reports with Findings or Impression are too few",
            where=", ".join(sources)[:200], hint="give more reports, or another share heldout",
        )  # fmt: skip
    quiet()
    accelerator = accelerator_of(recipe.precision, None, "pretrain", out)
    begin_together(accelerator, target, resume=resume)
    torch.manual_seed(recipe.seed)
    source, decoder = recipe.decoder_source, recipe.decoder
    tokenizer = (
        fitted_tokenizer(source)
        if source
        else train_tokenizer([each.text for each in learned], decoder.vocab_size, decoder.min_frequency)
    )
    model = load_decoder(source, tokenizer) if source else new_decoder(decoder, tokenizer)
    model.to(accelerator.device)
    run = _Reading(model, tokenizer, learned, heldout, recipe)
    key = hashlib.sha256(f"{config_sha256(recipe)}{[each.marked for each in targets]}".encode()).hexdigest()
    stage = Stage("pretrain", recipe.lm_course, model, run.loss, run.measure, run.lengths, recipe.seed,
                  target.work / "checkpoint.pt", key)  # fmt: skip
    course = fit(stage, accelerator, resume=resume, watch=watch)
    counts = {
        "reports": len(targets), "training": len(learned), "held out": len(heldout), "tokens": len(tokenizer),
        "parameters": sum(value.numel() for value in model.parameters()), **counts_of(targets),
    }  # fmt: skip
    seconds = time.monotonic() - begun
    if accelerator.is_main_process:
        with writing(out):
            model.save_pretrained(out)
            tokenizer.save_pretrained(out)
        write_history(out / "history.jsonl", course.epochs)
        write_manifest(
            target.manifest, command=list(command), config=recipe.model_dump(mode="json"), inputs=sources,
            leave_out=[out], counts=counts, wall_seconds=seconds, seed=recipe.seed, packages=PACKAGES,
        )  # fmt: skip
        with writing(target.work):
            discard_work(target)
    return ReportPretrainSummary(out, counts, tuple(course.epochs), seconds)


def write_history(path: Path, epochs: Iterable[Epoch]) -> None:
    """Epochs as JSON lines."""
    with atomic_writer(path) as file:
        file.writelines(json.dumps(asdict(epoch)) + "\n" for epoch in epochs)


def read_history(path: Path) -> tuple[Epoch, ...]:
    """What ``write_history`` wrote."""
    return tuple(Epoch(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())


class _Reading:
    """The decoder over reports: a loss of rows, and the held-out one."""

    def __init__(
        self, model: Any, tokenizer: Any, learned: Sequence[Target], heldout: Sequence[Target],
        recipe: ReportPretrainRecipe,
    ) -> None:  # fmt: skip
        self.model, self.recipe, self.pad = model, recipe, tokenizer.pad_token_id
        self.labels = load(recipe.hints).schema.labels if recipe.hints else ()
        self.learned = self._ids(tokenizer, learned)
        self.heldout = self._ids(tokenizer, heldout)
        self.lengths = np.array([len(ids) for ids in self.learned])

    def _ids(self, tokenizer: Any, targets: Sequence[Target]) -> list[list[int]]:
        prompts = [prompt_of() for _ in targets]
        if self.recipe.hints:
            hints = labels_in(self.recipe.hints, [target.text for target in targets], self.labels)
            prompts = [with_hints(prompt, labels) for prompt, labels in zip(prompts, hints, strict=True)]
        texts = [f"{prompt}{target.marked}" for prompt, target in zip(prompts, targets, strict=True)]
        return [ids[: self.recipe.max_tokens] for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]

    def loss(self, rows: NDArray[np.int64]) -> Tensor:
        """The mean loss of a token."""
        return self._loss([self.learned[row] for row in rows])

    def _loss(self, texts: Sequence[Sequence[int]]) -> Tensor:
        longest = max(map(len, texts))
        ids = torch.tensor([[*text, *[self.pad] * (longest - len(text))] for text in texts])
        mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts])
        ids, mask = ids.to(self.model.device), mask.to(self.model.device)
        labels = ids.masked_fill(mask == 0, _IGNORED)
        found: Tensor = self.model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
        return found

    def measure(self) -> tuple[float, dict[str, float]]:
        """The held-out loss; less of it is better."""
        self.model.train(False)
        size = self.recipe.lm_course.batch_size
        with torch.inference_mode():
            losses = [float(self._loss(self.heldout[at : at + size])) for at in range(0, len(self.heldout), size)]
        loss = float(np.mean(losses))
        return -loss, {"heldout_loss": loss}


def _targets(sources: Sequence[str], leave_out: frozenset[str]) -> list[Target]:
    studies = (each for source in sources for each in open_source(source) if isinstance(each, Study))
    found = [target_of(each.report) for each in studies if each.report and each.study_id not in leave_out]
    return [each for each in found if each.sections]


def _held_out(target: Target, share: float) -> bool:
    digest = hashlib.sha256(target.text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4]) / 2**32 < share


def _untouched(out: Path) -> ReportPretrainSummary:
    try:
        made = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        epochs = read_history(out / "history.jsonl")
        return ReportPretrainSummary(out, made["counts"], epochs, made["wall_seconds"], untouched=True)
    except (OSError, ValueError, KeyError, TypeError):
        hint = "run without --resume to start over"
        raise RunError("run.damaged", "its manifest or history cannot be read", where=str(out), hint=hint) from None


def course_epochs(*courses: Course) -> list[Epoch]:
    """The epochs of stages one after another."""
    return [epoch for course in courses for epoch in course.epochs]
