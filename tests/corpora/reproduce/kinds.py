"""Every kind of run that the commands leave, at its smallest: which commands make it, and where it lies.

All of it is made in one folder, by relative paths; networks see a dozen phantom films, once.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_EXTRAS: Final = {
    "@PRETRAINED": _PRETRAINED, "@TAUGHT": _TAUGHT, "@DETECTOR": _DETECTOR, "@DECODER": _DECODER, "@DRAFTER": _DRAFTER,
}  # fmt: skip
_BEFORE: Final = {"label train, gold": _some_gold, "audit import": _read}
#: Name -> run <- what it needs; then the command, if it is not that of another kind.
_LISTED: Final = """\
corpus phantom -> ph
    corpus phantom -o ph -n 60 --size 64 --seed 3 --workers 1
corpus split -> ph/split.csv <- corpus phantom
    corpus split ph --pixels none --ratios train=.5,validate=.25,test=.25
corpus import -> imported <- corpus split
    corpus import ph/images -o imported --workers 1
corpus cache -> cache <- corpus split
    corpus cache ph -o cache --size 32 --workers 1
corpus key -> site.key
    corpus key site.key
corpus deidentify -> clean <- corpus split; corpus key
    corpus deidentify ph -o clean --key-file site.key --workers 1
corpus scan -> scan.json <- corpus deidentify
    corpus scan clean --source ph --key-file site.key --no-pixels -o scan.json --workers 1
corpus check -> check.html <- corpus split
    corpus check ph --pixels 10 --html check.html
corpus card -> card <- corpus split; label run
    corpus card ph -o card --labels labels.csv
label run -> labels.csv <- corpus split
    label run ph -o labels.csv --evidence mentions.jsonl --workers 1
label run, folder -> labeled <- corpus split
    label run ph -o labeled --workers 1
label map -> mapped.csv <- label run
    label map labels.csv --to nih14 -o mapped.csv
label pretrain -> words <- corpus split
    label pretrain ph -o words @PRETRAINED
label train -> network <- corpus split
    label train ph -o network @TAUGHT
label train, gold -> golden <- label pretrain; label run
    label train ph -o golden --gold gold.csv --encoder words @TAUGHT
label run, network -> seen.csv <- label train
    label run ph -o seen.csv --labeler network --workers 1
label run, hybrid -> both.csv <- label train
    label run ph -o both.csv --labeler hybrid.v1:network --workers 1
label tune -> thresholds.yaml <- label train; label run
    label tune ph --network network --gold labels.csv -o thresholds.yaml
audit plan -> planned <- label run
    audit plan labels.csv --reports ph -o planned --seed one
audit draw -> audit <- audit plan, drawn
    audit draw audit
audit plan, drawn -> audit <- label run
    audit plan labels.csv --reports ph -o audit --seed one
audit export -> tasks.jsonl <- audit draw
    audit export audit --to jsonl -o tasks.jsonl
audit import -> audit <- audit export
    audit import audit filled.jsonl --reader anna
audit estimate -> estimates <- audit import
    audit estimate audit -o estimates
audit certify -> certificate.json <- audit import
    audit certify audit -o certificate.json
audit apply -> final.csv <- audit import
    audit apply audit labels.csv -o final.csv
vision pretrain -> moco <- corpus split
    vision pretrain --corpus ph -o moco --config vision/moco_phantom --set size=32 --set training.epochs=1
    --set training.batch_size=8 --set moco.queue=8
vision train -> eye <- label run
    vision train --corpus ph --labels labels.csv -o eye --config vision/phantom --cache films --set size=32
    --set min_positive=1 --set training.epochs=1
vision train-detector -> detector <- corpus split
    vision train-detector --corpus ph --boxes ph/truth/boxes.csv -o detector @DETECTOR
vision predict -> predicted <- vision train
    vision predict eye ph -o predicted --part test --decide predicted/decided.csv --workers 1
vision predict, table -> predicted.csv <- vision train
    vision predict eye ph -o predicted.csv --workers 1
vision detect -> detected <- vision train-detector
    vision detect detector ph -o detected --part test --sr
vision evaluate -> evaluation <- vision predict
    vision evaluate predicted labels.csv -o evaluation --corpus ph --replicates 20
vision evaluate, boxes -> froc <- vision detect
    vision evaluate detected ph/truth/boxes.csv --boxes --corpus ph -o froc --replicates 20
vision readers -> readers
    vision readers readings.csv -o readers --replicates 20
vision explain -> maps <- vision train
    vision explain eye ph -o maps --boxes ph/truth/boxes.csv --part test --most 1 --replicates 20
vision weak-boxes -> weak <- vision train
    vision weak-boxes eye ph -o weak --part test --replicates 20
vision export -> exported <- vision train
    vision export eye -o exported
report pretrain -> decoder <- corpus split
    report pretrain ph -o decoder --split ph/split.csv @DECODER
report train -> drafter <- vision train; report pretrain
    report train --corpus ph --vision eye -o drafter --config report/phantom --decoder decoder --cache films
    --seen sight @DRAFTER
report draft -> drafts <- report train
    report draft drafter ph -o drafts --part test --max-tokens 24 --cache films --seen sight
report draft, table -> drafts.jsonl <- report train
    report draft drafter ph -o drafts.jsonl --part test --max-tokens 24 --sample --seed 2
report draft, generator -> nearest <- report train
    report draft drafter ph -o nearest --part test --generator nearest-neighbour.v1
report export -> texts <- report draft
    report export drafts -o texts --format sr
report export, fhir -> resources <- report draft
    report export drafts -o resources --format fhir
report view -> pages <- report draft
    report view drafts -o pages --most 2
bench score -> scores/nearest <- report draft, generator
    bench score --predictions nearest/drafts.jsonl --references ph --protocol radloop -o scores/nearest
    --replicates 20 --randomisations 20
bench score, drafter -> scores/drafter <- report draft
    bench score --predictions drafts/drafts.jsonl --references ph --protocol radloop -o scores/drafter
    --replicates 20 --randomisations 20
bench compare -> compared <- bench score; bench score, drafter
    bench compare scores/drafter scores/nearest -o compared --replicates 20
bench run -> bench <- report train
    bench run bench.yaml -o bench
bench run, scores -> bench/scores/nearest/test-0 <- bench run
bench run, drafts -> bench/drafts/nearest/test-0.jsonl <- bench run
bench show -> board <- bench score; bench score, drafter
    bench show scores -o board
loop trace -> trace <- label run
    loop trace truth=ph/truth/labels.csv report=labels.csv -o trace
"""


def _kinds() -> Iterator[tuple[str, Kind]]:
    for head, *lines in _blocks():
        name, _, rest = head.partition(" -> ")
        run, _, needs = rest.partition(" <- ")
        words = [more for word in " ".join(lines).split() for more in _EXTRAS.get(word, [word])]
        yield name, Kind(run, words, needs.split("; ") if needs else (), _BEFORE.get(name, lambda folder: None))


def _blocks() -> Iterator[list[str]]:
    block: list[str] = []
    for line in _LISTED.splitlines():
        if block and not line.startswith(" "):
            yield block
            block = []
        block.append(line)
    yield block


KINDS: Final[dict[str, Kind]] = dict(_kinds())
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
