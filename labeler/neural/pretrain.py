"""Pretrain an encoder on reports: word pieces, then a BERT that fills in masked words; the result is a folder.

RUN/config.json, model.safetensors     the network with its masked-word head, as transformers saves models
RUN/tokenizer.json ...                 its tokenizer
RUN/history.jsonl                      loss of every epoch, in training and on the held-out part
RUN/manifest.json                      last of all

`radloop label train --encoder RUN` goes on from it. Every step follows from the seed and its number alone, so a run
that is resumed comes to the weights of one that was left alone (on the same hardware).

Devlin et al., "BERT: pre-training of deep bidirectional transformers", NAACL 2019: 15 % of the tokens, 8 of 10 of them
masked and 1 of 10 another token; its task of sentence pairs is left out, as in RoBERTa (Liu et al., 2019).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerFast

from corpora.accelerating import accelerator_of, begin_together, quiet
from corpora.complete import read_complete
from corpora.config import config_sha256
from corpora.errors import DataError, RunError
from corpora.readers import ReadOptions
from corpora.runs import (
    OutputTarget,
    atomic_writer,
    discard_work,
    output_target,
    write_manifest,
    writing,
)
from labeler.neural.build import check_fit, pretrained, small_bert
from labeler.neural.data import collect, held_out
from labeler.neural.loop import MADE_FROM
from labeler.neural.pretrain_recipe import PretrainRecipe
from labeler.neural.pretrain_steps import PretrainEpoch, Pretraining, Watch
from labeler.neural.reading import read
from labeler.neural.tokenizer import train_tokenizer

WEIGHTS: Final = "model.safetensors"
HISTORY: Final = "history.jsonl"
_PACKAGES: Final = ("torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy")


@dataclass(frozen=True, slots=True)
class PretrainSummary:
    """How a pretraining run ended. ``untouched``: it was complete already, and nothing was done."""

    folder: Path
    counts: dict[str, int]
    epochs: tuple[PretrainEpoch, ...]
    seconds: float
    untouched: bool = False


def pretrain(
    sources: Sequence[str],
    out: Path,
    recipe: PretrainRecipe,
    *,
    options: ReadOptions | None = None,
    leave_out: frozenset[str] = frozenset(),
    resume: bool = False,
    command: Iterable[str] = (),
    watch: Watch = lambda step: None,
) -> PretrainSummary:
    """Pretrain an encoder on the reports of ``sources`` into the folder ``out``.

    ``leave_out`` are ids of studies that are not used at all, such as those of a test. ``watch`` is called after each
    step. Raises ``DataError``, ``ConfigError`` and ``RunError`` (``train.nan``, ``run.*``).
    """
    target = output_target(out, WEIGHTS)
    if not target.is_folder:
        raise RunError("run.is_file", f"{out} names a table, and a model is a folder", hint="name a run folder")
    if resume and target.complete and target.table.is_file():
        return _untouched(target, recipe, sources)
    collected = collect(sources, options or ReadOptions(), recipe.sections)
    texts = [read(report, recipe.sections).text for report in collected.reports if report.study_id not in leave_out]
    learned, heldout = _split(texts, recipe.heldout)
    quiet()
    accelerator = accelerator_of(recipe.precision, recipe.tracker, "pretrain", target.out)
    begin_together(accelerator, target, resume=resume)
    key = _key(recipe, texts)
    with accelerator.main_process_first():
        # the others find what the first one has learned
        tokenizer = _tokenizer(recipe, learned, target.work / "tokenizer", key)
    torch.manual_seed(recipe.seed)
    model = _model(recipe, tokenizer).to(accelerator.device)
    run = Pretraining(recipe, tokenizer, model, accelerator, target.work / "checkpoint.pt", key)
    course = run.fit(windows(tokenizer, learned, recipe.max_length), windows(tokenizer, heldout, recipe.max_length),
                     resume=resume, watch=watch)  # fmt: skip
    counts = {
        "reports": len(texts), "left out": len(collected.reports) - len(texts), "rejected": collected.rejected,
        "without words": collected.wordless, "training": len(learned), "held out": len(heldout),
        "word pieces": len(tokenizer), "parameters": sum(weight.numel() for weight in model.parameters()),
    }  # fmt: skip
    if accelerator.is_main_process:
        _publish(target, model, tokenizer, course.epochs)
        write_manifest(
            target.manifest, command=list(command), config=recipe.model_dump(mode="json"), inputs=sources,
            leave_out=[target.out], counts=counts, wall_seconds=course.seconds, seed=recipe.seed, packages=_PACKAGES,
        )  # fmt: skip
        with writing(target.work):
            discard_work(target)
    return PretrainSummary(target.out, counts, tuple(course.epochs), course.seconds)


def windows(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], length: int) -> list[list[int]]:
    """The token ids of ``texts``; one longer than ``length`` tokens is several, one behind the other."""
    if not texts:
        return []
    found = tokenizer(
        list(texts), truncation=True, max_length=length, return_overflowing_tokens=True, return_attention_mask=False,
        verbose=False,
    )  # fmt: skip
    return list(found["input_ids"])


def _split(texts: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    held = held_out(texts, share)
    if not len(held) or held.all() or not held.any():
        raise DataError(
            "data.empty", f"{len(texts)} reports are too few for a training and a held-out part",
            hint="give more reports, or another share heldout",
        )  # fmt: skip
    return [text for text, out in zip(texts, held, strict=True) if not out], [
        text for text, out in zip(texts, held, strict=True) if out
    ]


def _key(recipe: PretrainRecipe, texts: Sequence[str]) -> str:
    digest = blake2b(config_sha256(recipe).encode(), digest_size=16)
    digest.update("\0".join(texts).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _tokenizer(recipe: PretrainRecipe, texts: Sequence[str], folder: Path, key: str) -> PreTrainedTokenizerFast:
    """The tokenizer of the encoder to go on from; else one learned from ``texts``, kept in ``folder`` meanwhile."""
    source = recipe.encoder.source
    done = folder / "key.txt"
    if source is None and done.is_file() and done.read_text(encoding="utf-8") == key:
        source = str(folder)
    if source is not None:
        tokenizer = pretrained(AutoTokenizer, source)
        # how it was loaded is no part of what it is
        for name in ("is_local", "local_files_only"):
            tokenizer.init_kwargs.pop(name, None)
        return tokenizer  # type: ignore[no-any-return]
    encoder = recipe.encoder
    tokenizer = train_tokenizer(
        texts, vocab_size=encoder.vocab_size, min_frequency=encoder.min_frequency, max_length=recipe.max_length
    )
    with writing(folder):
        tokenizer.save_pretrained(folder)
        with atomic_writer(done) as file:
            file.write(key)
    return tokenizer


def _model(recipe: PretrainRecipe, tokenizer: PreTrainedTokenizerFast) -> Any:
    encoder = recipe.encoder
    if encoder.source is not None:
        model = pretrained(AutoModelForMaskedLM, encoder.source)
    else:
        model = AutoModelForMaskedLM.from_config(small_bert(encoder, tokenizer, recipe.max_length))  # type: ignore[no-untyped-call]
    check_fit(model.config, tokenizer, recipe.max_length, encoder.source or "encoder")
    return model


def _publish(
    target: OutputTarget, model: Any, tokenizer: PreTrainedTokenizerFast, epochs: Iterable[PretrainEpoch]
) -> None:
    made = target.work / "model"
    # how long the texts of this run were is no part of the tokenizer
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    with writing(target.out):
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
        # the weights last: a folder without them is not taken for a model
        for file in sorted(made.iterdir(), key=lambda file: file.name == WEIGHTS):
            file.replace(target.out / file.name)
    with atomic_writer(target.out / HISTORY) as history:
        history.writelines(json.dumps(asdict(epoch)) + "\n" for epoch in epochs)


def _untouched(target: OutputTarget, recipe: PretrainRecipe, inputs: Sequence[str]) -> PretrainSummary:
    """What the manifest says of a complete run, if it is this one."""
    counts, epochs, seconds = read_complete(target, HISTORY, PretrainEpoch, recipe, inputs, MADE_FROM)
    return PretrainSummary(target.out, counts, epochs, seconds, untouched=True)
