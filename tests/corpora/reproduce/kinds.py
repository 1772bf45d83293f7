"""Every kind of run that the commands leave, at its smallest: which commands make it, and where it lies.

All of it is made in one folder, by relative paths; networks see a dozen phantom films, once.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPORTS: Final = """study_id,report
s1,"FINDINGS: Small left effusion. No pneumothorax."
s2,"Possible pneumonia. The heart is enlarged."
s3,"No acute cardiopulmonary process."
"""
BACKBONE: Final = {
    "settings": {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]},
}  # fmt: skip
EYE: Final = ("size=32", "min_positive=1", "training.epochs=1")
COURSE: Final = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3}
READINGS: Final = ["image_id,reader,Opacity", "a,anna,1", "a,boris,1", "b,anna,0", "b,boris,1", "c,anna,0", "c,boris,0"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A run: its folder or table, the command that makes it, the runs it needs, what happens before."""

    run: str
    command: Sequence[str]
    needs: Sequence[str] = ()
    before: Callable[[Path], None] = lambda folder: None


def _set(fields: Mapping[str, object]) -> list[str]:
    return [word for name, value in fields.items() for word in ("--set", f"{name}={json.dumps(value)}")]


def _changes(changes: Sequence[str]) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def _words(line: str, *more: str) -> list[str]:
    return [*line.split(), *more]


def _some_gold(folder: Path) -> None:
    """Every third row of the labels as gold."""
    head, *rows = (folder / "labels.csv").read_text().splitlines(keepends=True)
    (folder / "gold.csv").write_text("".join([head, *rows[::3]]))


def _read(folder: Path) -> None:
    """The drawn texts, read by somebody who agrees with the machine."""
    with (folder / "labels.csv").open() as file:
        machine = {row.pop("study_id"): row for row in csv.DictReader(file)}
    tasks = [json.loads(line) for line in (folder / "tasks.jsonl").read_text().splitlines()]
    lines = [json.dumps(task | {"labels": _states(machine[task["study_id"]])}) for task in tasks]
    (folder / "filled.jsonl").write_text("\n".join(lines) + "\n")


def _states(row: Mapping[str, str]) -> dict[str, int | None]:
    return {label: int(cell) if cell else None for label, cell in row.items()}


_NETWORK: Final = _set({
    "encoder.hidden_size": 16, "encoder.layers": 1, "encoder.attention_heads": 2, "encoder.intermediate_size": 16,
    "encoder.vocab_size": 300, "encoder.min_frequency": 1, "max_length": 64,
})  # fmt: skip
_PRETRAINED: Final = [*_NETWORK, *_set({"epochs": 1})]
_TAUGHT: Final = [
    *_NETWORK,
    *_set({"head.filters": 8, "head.widths": [1, 2], "made": 50, "weak.epochs": 1, "gold.epochs": 1, "folds": 2}),
]
_DETECTOR: Final = _set({
    "size": 32, "min_boxes": 1, "backbone.settings": BACKBONE["settings"],
    "transformer": {"levels": 2, "width": 16, "feed_forward": 32, "heads": 2, "decoder_layers": 2, "queries": 8,
                    "denoising": 4, "expansion": 0.5},
    "training.epochs": 1, "training.precision": "no",
})  # fmt: skip
_DECODER: Final = _set({
    "decoder.vocab_size": 340, "lm_course": COURSE, "composed": 0, "max_tokens": 64, "heldout": 0.2,
    "decoder.settings": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
                         "max_position_embeddings": 256},
})  # fmt: skip
_DRAFTER: Final = _set({
    "side": 2, "max_tokens": 24, "prompt_tokens": 24, "align": COURSE, "adapt": COURSE,
    "lora": {"rank": 2, "alpha": 4, "dropout": 0.1, "targets": ["q_proj", "down_proj"]}, "choice": {"studies": 2},
})  # fmt: skip
_EYE_IMAGES: Final = "vision train --corpus ph --labels labels.csv -o eye --config vision/phantom --cache films"

KINDS: Final[dict[str, Kind]] = {
    # the ground floor
    "corpus phantom": Kind("ph", _words("corpus phantom -o ph -n 60 --size 64 --seed 3 --workers 1")),
    "corpus split": Kind("ph/split.csv", _words("corpus split ph --pixels none --ratios train=.5,validate=.25,test=.25"), ("corpus phantom",)),
    "corpus import": Kind("imported", _words("corpus import ph/images -o imported --workers 1"), ("corpus phantom",)),
    "corpus cache": Kind("cache", _words("corpus cache ph -o cache --size 32 --workers 1"), ("corpus phantom",)),
    "corpus key": Kind("site.key", _words("corpus key site.key")),
    "corpus deidentify": Kind("clean", _words("corpus deidentify ph -o clean --key-file site.key --workers 1"), ("corpus phantom", "corpus key")),
    "corpus scan": Kind("scan.json", _words("corpus scan clean --source ph --key-file site.key --no-pixels -o scan.json --workers 1"), ("corpus deidentify",)),
    "corpus check": Kind("check.html", _words("corpus check ph --html check.html"), ("corpus phantom",)),
    "corpus card": Kind("card", _words("corpus card ph -o card --labels labels.csv"), ("corpus phantom", "label run")),
    # the labeler
    "label run": Kind("labels.csv", _words("label run ph -o labels.csv --evidence mentions.jsonl --workers 1"), ("corpus split",)),
    "label run, folder": Kind("labeled", _words("label run ph -o labeled --workers 1"), ("corpus phantom",)),
    "label map": Kind("mapped.csv", _words("label map labels.csv --to nih14 -o mapped.csv"), ("label run",)),
    "label pretrain": Kind("words", _words("label pretrain ph -o words", *_PRETRAINED), ("corpus phantom",)),
    "label train": Kind("network", _words("label train ph -o network", *_TAUGHT), ("corpus phantom",)),
    "label train, gold": Kind("golden", _words("label train ph -o golden --gold gold.csv --encoder words", *_TAUGHT), ("label pretrain", "label run"), _some_gold),
    "label run, network": Kind("seen.csv", _words("label run ph -o seen.csv --labeler network --workers 1"), ("label train",)),
    "label run, hybrid": Kind("both.csv", _words("label run ph -o both.csv --labeler hybrid.v1:network --workers 1"), ("label train",)),
    "label tune": Kind("thresholds.yaml", _words("label tune ph --network network --gold labels.csv -o thresholds.yaml"), ("label train", "label run")),
    # the audit
    "audit plan": Kind("planned", _words("audit plan labels.csv --reports ph -o planned --seed one"), ("label run",)),
    "audit draw": Kind("audit", _words("audit draw audit"), ("audit plan, drawn",)),
    "audit plan, drawn": Kind("audit", _words("audit plan labels.csv --reports ph -o audit --seed one"), ("label run",)),
    "audit export": Kind("tasks.jsonl", _words("audit export audit --to jsonl -o tasks.jsonl"), ("audit draw",)),
    "audit import": Kind("audit", _words("audit import audit filled.jsonl --reader anna"), ("audit export",), _read),
    "audit estimate": Kind("estimates", _words("audit estimate audit -o estimates"), ("audit import",)),
    "audit certify": Kind("certificate.json", _words("audit certify audit -o certificate.json"), ("audit import",)),
    "audit apply": Kind("final.csv", _words("audit apply audit labels.csv -o final.csv"), ("audit import",)),
    # the eye
    "vision pretrain": Kind("moco", _words("vision pretrain --corpus ph -o moco --config vision/moco_phantom", *_changes(("size=32", "training.epochs=1", "training.batch_size=8", "moco.queue=8"))), ("corpus split",)),
    "vision train": Kind("eye", _words(_EYE_IMAGES, *_changes(EYE)), ("label run",)),
    "vision train-detector": Kind("detector", _words("vision train-detector --corpus ph --boxes ph/truth/boxes.csv -o detector", *_DETECTOR), ("corpus split",)),
    "vision predict": Kind("predicted", _words("vision predict eye ph -o predicted --part test --decide predicted/decided.csv --workers 1"), ("vision train",)),
    "vision predict, table": Kind("predicted.csv", _words("vision predict eye ph -o predicted.csv --workers 1"), ("vision train",)),
    "vision detect": Kind("detected", _words("vision detect detector ph -o detected --part test --sr"), ("vision train-detector",)),
    "vision evaluate": Kind("evaluation", _words("vision evaluate predicted labels.csv -o evaluation --corpus ph --replicates 20"), ("vision predict",)),
    "vision evaluate, boxes": Kind("froc", _words("vision evaluate detected ph/truth/boxes.csv --boxes --corpus ph -o froc --replicates 20"), ("vision detect",)),
    "vision readers": Kind("readers", _words("vision readers readings.csv -o readers --replicates 20")),
    "vision explain": Kind("maps", _words("vision explain eye ph -o maps --boxes ph/truth/boxes.csv --part test --most 1 --replicates 20"), ("vision train",)),
    "vision weak-boxes": Kind("weak", _words("vision weak-boxes eye ph -o weak --part test --replicates 20"), ("vision train",)),
    "vision export": Kind("exported", _words("vision export eye -o exported"), ("vision train",)),
    # the hand
    "report pretrain": Kind("decoder", _words("report pretrain ph -o decoder --split ph/split.csv", *_DECODER), ("corpus split",)),
    "report train": Kind("drafter", _words("report train --corpus ph --vision eye -o drafter --config report/phantom --decoder decoder --cache films --seen sight", *_DRAFTER), ("vision train", "report pretrain")),
    "report draft": Kind("drafts", _words("report draft drafter ph -o drafts --part test --max-tokens 24 --cache films --seen sight"), ("report train",)),
    "report draft, table": Kind("drafts.jsonl", _words("report draft drafter ph -o drafts.jsonl --part test --max-tokens 24 --sample --seed 2"), ("report train",)),
    "report draft, generator": Kind("nearest", _words("report draft drafter ph -o nearest --part test --generator nearest-neighbour.v1"), ("report train",)),
    "report export": Kind("texts", _words("report export drafts -o texts --format sr"), ("report draft",)),
    "report view": Kind("pages", _words("report view drafts -o pages --most 2"), ("report draft",)),
    "bench score": Kind("scores/nearest", _words("bench score --predictions nearest/drafts.jsonl --references ph --protocol radloop -o scores/nearest --replicates 20 --randomisations 20"), ("report draft, generator",)),
    "bench score, drafter": Kind("scores/drafter", _words("bench score --predictions drafts/drafts.jsonl --references ph --protocol radloop -o scores/drafter --replicates 20 --randomisations 20"), ("report draft",)),
    "bench compare": Kind("compared", _words("bench compare scores/drafter scores/nearest -o compared --replicates 20"), ("bench score", "bench score, drafter")),
    "bench run": Kind("bench", _words("bench run bench.yaml -o bench"), ("report train",)),
    "bench run, scores": Kind("bench/scores/nearest/test-0", (), ("bench run",)),
    "bench run, drafts": Kind("bench/drafts/nearest/test-0.jsonl", (), ("bench run",)),
    "bench show": Kind("board", _words("bench show scores -o board"), ("bench score", "bench score, drafter")),
    "loop trace": Kind("trace", _words("loop trace truth=ph/truth/labels.csv report=labels.csv -o trace"), ("label run",)),
}  # fmt: skip
BENCH: Final = """name: small
protocol: radloop
references: ph
any_references: true
splits: [test]
systems:
  nearest: {generator: nearest-neighbour.v1, run: drafter, source: ph}
  constant: {command: "cp nearest/drafts.jsonl {out}", format: jsonl}
"""


def order(names: Sequence[str]) -> list[str]:
    """The kinds with all that they need, each behind what it needs."""
    found: list[str] = []

    def add(name: str) -> None:
        if name not in found:
            for need in KINDS[name].needs:
                add(need)
            found.append(name)

    for name in names:
        add(name)
    return found


def write_inputs(folder: Path) -> None:
    """The files that the commands begin with."""
    (folder / "reports.csv").write_text(REPORTS)
    (folder / "readings.csv").write_text("\n".join(READINGS) + "\n")
    (folder / "bench.yaml").write_text(BENCH)
    os.environ["HF_HUB_OFFLINE"] = "1"
