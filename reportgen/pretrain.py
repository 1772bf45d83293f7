"""Pretrain a decoder on reports alone: its tokenizer, then next tokens; the result is a folder of transformers.

RUN/config.json, model.safetensors, tokenizer.json     the decoder
RUN/history.jsonl                                      losses by epoch
RUN/manifest.json                                      last
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.accelerating import accelerator_of, begin_together, quiet
from corpora.bars import Step
from corpora.complete import damaged_run
from corpora.config import config_sha256
from corpora.errors import DataError, RunError
from corpora.readers import open_source
from corpora.readers.corpus import is_corpus
from corpora.runs import OutputTarget, atomic_writer, discard_work, output_target, write_manifest, writing
from corpora.store import read_studies
from corpora.types import Report, Study
from labeler.base import load
from reportgen.compose import compose
from reportgen.data import last_reports
from reportgen.decoder import fitted_tokenizer, load_decoder, new_decoder, train_tokenizer
from reportgen.loop import Course, Epoch, Stage, fit
from reportgen.recipes import ReportPretrainRecipe
from reportgen.scorer import labels_in
from reportgen.targets import HINTS, Target, counts_of, indication_of, prompt_of, target_of, with_hints

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
    learned, heldout = _parts(sources, leave_out, recipe)
    targets = [*learned, *heldout]
    made = _made(learned, recipe)
    quiet()
    accelerator = accelerator_of(recipe.precision, None, "pretrain", out)
    begin_together(accelerator, target, resume=resume)
    model, tokenizer = _begun(recipe, learned)
    model.to(accelerator.device)
    run = _Reading(model, tokenizer, [*learned, *made], heldout, recipe)
    key = hashlib.sha256(f"{config_sha256(recipe)}{[each.whole for each in targets]}".encode()).hexdigest()
    stage = Stage("pretrain", recipe.lm_course, model, run.loss, run.measure, run.lengths, recipe.seed,
                  target.work / "checkpoint.pt", key)  # fmt: skip
    course = fit(stage, accelerator, resume=resume, watch=watch)
    taken_out = counts_of([each.target for each in targets])
    counts = {
        "reports": len(targets), "training": len(learned), "made": len(made), "held out": len(heldout),
        "tokens": len(tokenizer),
        "parameters": sum(value.numel() for value in model.parameters()), **taken_out,
    }  # fmt: skip
    seconds = time.monotonic() - begun
    if accelerator.is_main_process:
        _publish(target, model, tokenizer, recipe, course, counts, seconds, sources, command)
    return ReportPretrainSummary(out, counts, tuple(course.epochs), seconds)


def _parts(
    sources: Sequence[str], leave_out: frozenset[str], recipe: ReportPretrainRecipe
) -> tuple[list[_Text], list[_Text]]:
    """The reports to learn from and those to measure by. Raises ``DataError`` (``report.no_reports``)."""
    texts = _texts(sources, leave_out, recipe)
    held = [_held_out(each.target, recipe.heldout) for each in texts]
    learned = [each for each, out_ in zip(texts, held, strict=True) if not out_]
    heldout = [each for each, out_ in zip(texts, held, strict=True) if out_]
    if not learned or not heldout:
        raise DataError(
            "report.no_reports", f"{len(texts):,} reports with Findings or Impression are too few",
            where=", ".join(sources)[:200], hint="give more reports, or another share heldout",
        )  # fmt: skip
    return learned, heldout


def _begun(recipe: ReportPretrainRecipe, learned: Sequence[_Text]) -> tuple[Any, Any]:
    """The decoder before training, and its tokenizer."""
    torch.manual_seed(recipe.seed)
    source, decoder = recipe.decoder_source, recipe.decoder
    if source:
        tokenizer = fitted_tokenizer(source)
        return load_decoder(source, tokenizer), tokenizer
    tokenizer = train_tokenizer([each.whole for each in learned], decoder.vocab_size, decoder.min_frequency)
    return new_decoder(decoder, tokenizer), tokenizer


def _publish(
    target: OutputTarget, model: Any, tokenizer: Any, recipe: ReportPretrainRecipe, course: Course,
    counts: dict[str, int], seconds: float, sources: Sequence[str], command: Iterable[str],
) -> None:  # fmt: skip
    with writing(target.out):
        model.save_pretrained(target.out)
        tokenizer.save_pretrained(target.out)
    write_history(target.out / "history.jsonl", course.epochs)
    write_manifest(
        target.manifest, command=list(command), config=recipe.model_dump(mode="json"), inputs=sources,
        leave_out=[target.out], counts=counts, wall_seconds=seconds, seed=recipe.seed, packages=PACKAGES,
    )  # fmt: skip
    with writing(target.work):
        discard_work(target)


def write_history(path: Path, epochs: Iterable[Epoch]) -> None:
    """Epochs as JSON lines."""
    with atomic_writer(path) as file:
        file.writelines(json.dumps(asdict(epoch)) + "\n" for epoch in epochs)


def read_history(path: Path) -> tuple[Epoch, ...]:
    """What ``write_history`` wrote."""
    return tuple(Epoch(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())


@dataclass(frozen=True, slots=True)
class _Text:
    """A report to read, and what stands before it."""

    target: Target
    prompt: str
    #: Whether the labels in the prompt are those of a real report, and worth foreseeing.
    real: bool = True

    @property
    def whole(self) -> str:
        return f"{self.prompt}{self.target.marked}"


@dataclass(frozen=True, slots=True)
class _Ids:
    """Tokens of a prompt and of a report; the last ``foreseen`` of the prompt are learned, too."""

    prompt: list[int]
    target: list[int]
    foreseen: int

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


class _Reading:
    """The decoder over reports: a loss of rows, and the held-out one."""

    def __init__(
        self, model: Any, tokenizer: Any, learned: Sequence[_Text], heldout: Sequence[_Text],
        recipe: ReportPretrainRecipe,
    ) -> None:  # fmt: skip
        self.model, self.recipe, self.pad = model, recipe, tokenizer.pad_token_id
        self.learned, self.heldout = _ids(tokenizer, learned, recipe), _ids(tokenizer, heldout, recipe)
        self.lengths = np.array([len(text) for text in self.learned])

    def loss(self, rows: NDArray[np.int64]) -> Tensor:
        """The mean loss of a token."""
        return self._loss([self.learned[row] for row in rows])

    def _loss(self, texts: Sequence[_Ids]) -> Tensor:
        longest = max(map(len, texts))
        ids: list[list[int]] = []
        mask: list[list[int]] = []
        labels: list[list[int]] = []
        for text in texts:
            here, known = len(text), len(text.prompt) - text.foreseen
            whole = [*text.prompt, *text.target]
            ids.append([*whole, *[self.pad] * (longest - here)])
            mask.append([1] * here + [0] * (longest - here))
            labels.append([*[_IGNORED] * known, *whole[known:], *[_IGNORED] * (longest - here)])
        made = [torch.tensor(each, device=self.model.device) for each in (ids, mask, labels)]
        found: Tensor = self.model(input_ids=made[0], attention_mask=made[1], labels=made[2], use_cache=False).loss
        return found

    def measure(self) -> tuple[float, dict[str, float]]:
        """The held-out loss; less of it is better."""
        self.model.train(False)
        size = self.recipe.lm_course.batch_size
        with torch.inference_mode():
            losses = [float(self._loss(self.heldout[at : at + size])) for at in range(0, len(self.heldout), size)]
        loss = float(np.mean(losses))
        return -loss, {"heldout_loss": loss}


def _texts(sources: Sequence[str], leave_out: frozenset[str], recipe: ReportPretrainRecipe) -> list[_Text]:
    """The reports to read, each behind the prompt that a drafter will give."""
    studies = [each for each in _studies(sources) if each.report and each.study_id not in leave_out]
    priors = last_reports(studies) if recipe.prior else {}
    found = [_text(each.report, priors.get(each.study_id, "")) for each in studies if each.report]
    found = [each for each in found if each.target.sections]
    if not recipe.hints:
        return found
    labels = labels_in(recipe.hints, [each.target.text for each in found], load(recipe.hints).schema.labels)
    return [_Text(each.target, with_hints(each.prompt, some)) for each, some in zip(found, labels, strict=True)]


def _studies(sources: Sequence[str]) -> Iterator[Study]:
    """The studies of sources; of a corpus all that is known, since patient and age say which report was before."""
    for source in sources:
        found = read_studies(Path(source)) if is_corpus(source) else open_source(source)
        yield from (each for each in found if isinstance(each, Study))


def _text(report: Report, prior: str) -> _Text:
    return _Text(target_of(report, prior=bool(prior)), prompt_of(indication_of(report), prior))


def _made(texts: Sequence[_Text], recipe: ReportPretrainRecipe) -> list[_Text]:
    """Reports put together of sentences, behind their labels."""
    if not recipe.hints or not recipe.composed:
        return []
    count = round(recipe.composed * len(texts))
    found = compose([each.target for each in texts], recipe.hints, count, recipe.seed)
    return [_Text(target, with_hints(prompt_of(), labels), real=False) for target, labels in found]


def _ids(tokenizer: Any, texts: Sequence[_Text], recipe: ReportPretrainRecipe) -> list[_Ids]:
    prompts = tokenizer([each.prompt for each in texts], add_special_tokens=False)["input_ids"]
    targets = tokenizer([each.target.marked for each in texts], add_special_tokens=False)["input_ids"]
    # what is nearest to the report counts most in a prompt that is too long
    cut, asking = recipe.max_tokens, tokenizer.convert_tokens_to_ids(HINTS)
    found = []
    for text, prompt, target in zip(texts, prompts, targets, strict=True):
        told = prompt[::-1].index(asking) if text.real and asking in prompt else 0
        found.append(_Ids(prompt[-cut:], target[:cut], min(told, cut)))
    return found


def _held_out(target: Target, share: float) -> bool:
    digest = hashlib.sha256(target.text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4]) / 2**32 < share


def _untouched(out: Path) -> ReportPretrainSummary:
    try:
        made = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        epochs = read_history(out / "history.jsonl")
        return ReportPretrainSummary(out, made["counts"], epochs, made["wall_seconds"], untouched=True)
    except (OSError, ValueError, KeyError, TypeError):
        raise damaged_run(out) from None


def course_epochs(*courses: Course) -> list[Epoch]:
    """The epochs of stages one after another."""
    return [epoch for course in courses for epoch in course.epochs]
