"""Train a labeler on reports: weak labels of a teacher, then gold labels if there are any; the result is a folder.

RUN/config.json, model.safetensors     the network, as transformers saves models
RUN/tokenizer.json ...                 its tokenizer
RUN/history.jsonl                      loss and held-out weighted F1 of every epoch
RUN/calibration.json                   per label the temperature, and the calibration error without and with it
RUN/gold.json                          how rules, network and hybrid read the gold, by folds, if there is any
RUN/hybrid.yaml                        when hybrid.v1 follows the network, if gold says otherwise than as shipped
RUN/synonyms.jsonl                     words taken for names of findings that the teacher does not know, if any
RUN/manifest.json                      last of all
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from corpora.accelerating import accelerator_of, begin_together, quiet
from corpora.complete import read_complete
from corpora.errors import ConfigError, DataError, RunError
from corpora.readers import ReadOptions
from corpora.runs import (
    OutputTarget,
    atomic_writer,
    discard_work,
    output_target,
    write_manifest,
    writing,
)
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.base import load
from labeler.hybrid import BESIDE_NETWORK, NAMES_TAUGHT, HybridRecipe, write_recipe
from labeler.neural.build import check_fit, pretrained, small_bert
from labeler.neural.calibrate import calibration, temperatures
from labeler.neural.data import (
    Collected,
    Examples,
    collect,
    held_out,
    never_positive,
    weak_examples,
    whole_reports,
)
from labeler.neural.encode import number_cut
from labeler.neural.gold import Crossed, Gold, Scores, compare, no_finding_of, page, read_gold
from labeler.neural.loop import MADE_FROM, Epoch, StepWatch, Watch
from labeler.neural.model import BertCnnConfig, BertCnnForLabels
from labeler.neural.passes import Passes
from labeler.neural.reading import read, sentences_of
from labeler.neural.recipe import TrainRecipe
from labeler.neural.synonyms import Suspect, ToldLabeler, suspects
from labeler.neural.tokenizer import train_tokenizer
from labeler.neural.variants import Variants

WEIGHTS: Final = "model.safetensors"
HISTORY: Final = "history.jsonl"
GOLD: Final = "gold.json"
CALIBRATION: Final = "calibration.json"
_PACKAGES: Final = ("torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy")


@dataclass(frozen=True, slots=True)
class TrainSummary:
    """How a training run ended. ``weighted_f1`` is that of the held-out part in the kept epoch of the last stage.

    ``untouched``: it was complete already, and nothing was done. ``gold``: how well each
    reader reads the gold, by folds.
    """

    folder: Path
    counts: dict[str, int]
    epochs: tuple[Epoch, ...]
    weighted_f1: float
    warnings: tuple[str, ...]
    seconds: float
    untouched: bool = False
    gold: Scores = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Lessons:
    """What there is to learn: weakly labeled sentences of ``reports`` reports and ``made`` ones, the last of them; the
    reports held out of these; gold reports; and the words that were taken for names of findings."""

    weak: Examples
    weak_heldout: Examples
    reports: int
    made: int
    gold: Gold | None
    suspects: tuple[Suspect, ...]


def train(
    sources: Sequence[str],
    out: Path,
    recipe: TrainRecipe,
    *,
    gold: Sequence[Path] = (),
    options: ReadOptions | None = None,
    leave_out: frozenset[str] = frozenset(),
    resume: bool = False,
    command: Iterable[str] = (),
    watch: Watch = lambda epoch: None,
    steps: StepWatch = lambda step: None,
) -> TrainSummary:
    """Train a labeler on the reports of ``sources`` into the folder ``out``.

    ``gold`` are label tables of studies of the sources, on whose labels the network is trained last; these studies are
    not among the weak ones. ``leave_out`` are ids of studies that are not used at all, such as those of a test.
    ``watch`` is called after each epoch, ``steps`` after each step. Raises ``DataError``, ``ConfigError``,
    ``RegistryError`` and ``RunError`` (``train.nan``, ``neural.memory``, ``run.*``).
    """
    began = time.monotonic()
    target = _folder(out)
    inputs: list[Path | str] = [*sources, *gold]
    if resume and target.complete and target.table.is_file():
        return _untouched(target, recipe, inputs)
    teacher = load(recipe.teacher, recipe.label_schema)
    collected = collect(sources, options or ReadOptions(), recipe.sections)
    reports = [report for report in collected.reports if report.study_id not in leave_out]
    lessons = _lessons(teacher, reports, recipe, gold)
    accelerator = accelerator_of(recipe.precision, recipe.tracker, "train", target.out)
    begin_together(accelerator, target, resume=resume)
    quiet()
    torch.manual_seed(recipe.seed)
    tokenizer = _tokenizer(recipe, lessons.weak.texts)
    model = _model(recipe, teacher.schema, tokenizer)
    model.to(accelerator.device)
    passes = Passes(model, tokenizer, recipe, accelerator, target.work, resume, watch, steps)
    courses, crossed = passes.all(lessons.weak, lessons.made, lessons.gold, lessons.weak_heldout)
    calibrated = _calibrate(passes, lessons.weak_heldout, lessons.gold, crossed)
    thresholds, compared = _compared(lessons, crossed, model, teacher.schema, recipe)
    counts = _counts(collected, reports, lessons, tokenizer, recipe.max_length)
    seconds = time.monotonic() - began
    epochs = tuple(epoch for course in courses for epoch in course.epochs)
    if accelerator.is_main_process:
        _publish(target, model, tokenizer, epochs, calibrated, lessons.suspects)
        _publish_gold(target.out, thresholds, compared)
        write_manifest(
            target.manifest, command=list(command), config=recipe.model_dump(mode="json"), inputs=inputs,
            leave_out=[target.out], counts=counts, wall_seconds=seconds, seed=recipe.seed, packages=_PACKAGES,
        )  # fmt: skip
        with writing(target.work):
            discard_work(target)
    warnings = (
        *never_positive(lessons.weak.classes, teacher.schema.labels, lessons.made),
        *(f"{one.word!r} is no name the teacher knows, and was read as {one.name!r}" for one in lessons.suspects),
    )
    readers = compared["readers"] if compared else {}
    return TrainSummary(target.out, counts, epochs, courses[-1].best_f1, warnings, seconds, gold=readers)


def _folder(out: Path) -> OutputTarget:
    target = output_target(out, WEIGHTS)
    if not target.is_folder:
        raise RunError("run.is_file", f"{out} names a table, and a model is a folder", hint="name a run folder")
    return target


def _untouched(target: OutputTarget, recipe: TrainRecipe, inputs: Sequence[Path | str]) -> TrainSummary:
    """What the manifest says of a complete run, if it is this one."""
    counts, epochs, seconds = read_complete(target, HISTORY, Epoch, recipe, inputs, MADE_FROM)
    stage = recipe.gold if epochs[-1].stage == "gold" else recipe.weak
    scores = [epoch.weighted_f1 for epoch in epochs if epoch.stage == epochs[-1].stage]
    kept = scores[-1] if stage.keep == "last" else max(scores)
    return TrainSummary(target.out, counts, epochs, kept, (), seconds, untouched=True)


# What to learn


def _lessons(teacher: Any, reports: Sequence[Report], recipe: TrainRecipe, gold: Sequence[Path]) -> _Lessons:
    sections = recipe.sections
    found = None
    if gold:
        found = read_gold(gold, teacher.schema.labels, reports, recipe)
        known = {report.study_id for report in found.reports}
        reports = [report for report in reports if report.study_id not in known]
    learned, heldout = _apart(reports, sections, recipe.heldout)
    texts = [read(report, sections).text for report in learned]
    suspected = suspects(teacher, texts, recipe.synonyms) if recipe.synonyms else []
    teacher = ToldLabeler(teacher, suspected) if suspected else teacher
    sentences = [text[start:end] for text in texts for start, end in sentences_of(text)]
    variants = Variants(teacher, texts, recipe.label_schema)
    made = variants.sentences(recipe.made, recipe.seed, varied=recipe.varied, strange=recipe.strange, cut=recipe.cut)
    weak = weak_examples(teacher, [*sentences, *made], recipe.trust)
    weak_heldout = whole_reports(teacher, heldout, sections)
    return _Lessons(weak, weak_heldout, len(learned), len(made), found, tuple(suspected))


def _apart(reports: Sequence[Report], sections: str, share: float) -> tuple[list[Report], list[Report]]:
    held = _held([read(report, sections).text for report in reports], share, "the reports")
    apart = [[report for report, out in zip(reports, held, strict=True) if out == side] for side in (False, True)]
    return apart[0], apart[1]


def _held(texts: Sequence[str], share: float, what: str) -> NDArray[np.bool_]:
    held = held_out(texts, share)
    if held.all() or not held.any():
        raise DataError(
            "data.empty", f"{len(texts)} reports are too few for a training and a held-out part", where=what,
            hint="give more reports, or another share heldout",
        )  # fmt: skip
    return held


# What learns it


def _tokenizer(recipe: TrainRecipe, texts: Sequence[str]) -> PreTrainedTokenizerFast:
    encoder = recipe.encoder
    if encoder.source is not None:
        return pretrained(AutoTokenizer, encoder.source)  # type: ignore[no-any-return]
    return train_tokenizer(
        texts, vocab_size=encoder.vocab_size, min_frequency=encoder.min_frequency, max_length=recipe.max_length
    )


def _model(recipe: TrainRecipe, schema: LabelSchema, tokenizer: PreTrainedTokenizerFast) -> BertCnnForLabels:
    source, head = recipe.encoder.source, recipe.head
    config = pretrained(AutoConfig, source) if source else small_bert(recipe.encoder, tokenizer, recipe.max_length)
    if source and isinstance(config, BertCnnConfig):
        return _trained(source, config, recipe, schema, tokenizer)
    check_fit(config, tokenizer, recipe.max_length, source or "encoder")
    model = BertCnnForLabels(
        BertCnnConfig(
            encoder=config.to_dict(),
            head=head.kind,
            widths=list(head.widths),
            filters=head.filters,
            dropout=head.dropout,
            label_names=list(schema.labels),
            schema_name=schema.name,
            no_finding=schema.no_finding,
            sections=recipe.sections,
            max_length=recipe.max_length,
        )
    )
    if source:
        model.encoder.load_state_dict(pretrained(AutoModel, source).state_dict(), strict=False)
    return model


def _trained(
    source: str, config: BertCnnConfig, recipe: TrainRecipe, schema: LabelSchema, tokenizer: PreTrainedTokenizerFast
) -> BertCnnForLabels:
    """A network that is trained already, with its head. Raises ``ConfigError`` (``model.schema``)."""
    own = (config.schema_name, tuple(config.label_names))
    if own != (schema.name, schema.labels):
        message = f"it gives the labels of {own[0]!r}, and {schema.name!r} is to be learned"
        raise ConfigError("model.schema", message, where=source, hint="begin with an encoder, or with another schema")
    check_fit(config.encoder, tokenizer, recipe.max_length, source)
    model: BertCnnForLabels = pretrained(BertCnnForLabels, source)
    model.config.sections, model.config.max_length = recipe.sections, recipe.max_length
    return model


# What it came to


def _calibrate(passes: Passes, heldout: Examples, gold: Gold | None, crossed: Crossed | None) -> dict[str, Any]:
    """Temperatures by the reports held out of the weak labels, and by gold ones, each read by what did not learn it."""
    logits, sizes = passes.reads(heldout)
    truth = heldout.classes
    if gold is not None and crossed is not None:
        logits, sizes = np.concatenate([logits, crossed.logits]), (*sizes, *crossed.sizes)
        truth = np.concatenate([truth, gold.examples.classes[crossed.rows]])
    model = passes.model
    found = temperatures(logits, sizes, truth, no_finding_of(model))
    model.config.temperatures = found
    return calibration(logits, sizes, truth, list(model.config.label_names), found, no_finding_of(model))


def _counts(
    collected: Collected, reports: Sequence[Report], lessons: _Lessons, tokenizer: PreTrainedTokenizerFast, length: int
) -> dict[str, int]:
    return {
        "reports": len(reports),
        "left out": len(collected.reports) - len(reports),
        "rejected": collected.rejected,
        "without words": collected.wordless,
        "weak, training": lessons.reports,
        "weak, held out": len(lessons.weak_heldout),
        "sentences": len(lessons.weak) - lessons.made,
        "sentences, made": lessons.made,
        "unknown names": len(lessons.suspects),
        "gold": len(lessons.gold.examples) if lessons.gold else 0,
        "gold, said otherwise": len(lessons.gold.copies) if lessons.gold else 0,
        "cut to max_length": number_cut(tokenizer, lessons.weak.texts, length),
        "word pieces": len(tokenizer),
    }


def _compared(
    lessons: _Lessons, crossed: Crossed | None, model: BertCnnForLabels, schema: LabelSchema, recipe: TrainRecipe
) -> tuple[HybridRecipe | None, dict[str, Any] | None]:
    if lessons.gold is None or crossed is None:
        return None, None
    taught = [one.label for one in lessons.suspects]
    thresholds, scores = compare(lessons.gold, crossed, model.config.temperatures, schema, recipe, taught)
    return thresholds, page(lessons.gold, crossed, scores)


def _publish_gold(out: Path, thresholds: HybridRecipe | None, compared: Mapping[str, Any] | None) -> None:
    if thresholds is not None:
        write_recipe(thresholds, out)
    else:
        with writing(out):
            (out / BESIDE_NETWORK).unlink(missing_ok=True)
    if compared is not None:
        with atomic_writer(out / GOLD) as file:
            json.dump(compared, file, indent=2)
            file.write("\n")


def _publish(
    target: OutputTarget, model: BertCnnForLabels, tokenizer: PreTrainedTokenizerFast, epochs: Iterable[Epoch],
    calibrated: Mapping[str, Any], suspected: Sequence[Suspect],
) -> None:  # fmt: skip
    made = target.work / "model"
    with writing(target.out):
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
        # the weights last: a folder without them is not taken for a model
        for file in sorted(made.iterdir(), key=lambda file: file.name == WEIGHTS):
            file.replace(target.out / file.name)
    with atomic_writer(target.out / HISTORY) as history:
        history.writelines(json.dumps(asdict(epoch)) + "\n" for epoch in epochs)
    if suspected:
        with atomic_writer(target.out / NAMES_TAUGHT) as names:
            names.writelines(json.dumps(asdict(one)) + "\n" for one in suspected)
    with atomic_writer(target.out / CALIBRATION) as page:
        json.dump(calibrated, page, indent=2)
        page.write("\n")
