"""Real films end to end: imported, split by patient, learned from and measured, by view and with intervals.

    python -m tests.benchmarks.vision_nih FILMS FOLDER [--epochs 12] [--set KEY=VALUE ...]

FILMS is a folder of ChestX-ray14 as `radloop corpus import` takes it. FOLDER keeps the corpus, its label table, split,
cache, run and evaluation; what is there stays. The recipe is vision/phantom at 128 pixels with the labels that have
positives enough. Prints the evaluation as JSON to stdout; says CPU and wall seconds of the training on stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from corpora.cli import run as radloop
from corpora.store import read_studies
from vision.train import train
from vision.train_command import recipe_of

LEARNED = ["No Finding", "Pneumonia", "Infiltration", "Atelectasis", "Edema", "Effusion"]
RATIOS = "train=.55,validate=.15,test=.3"


def label_table(corpus, path):
    """What the collection says of each film as a label table: 1 where it names the finding, else 0."""
    said = {
        study.study_id: {label for label, state in study.meta.get("labels", {}).items() if state == 1}
        for study in read_studies(corpus)
    }
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(["study_id", *LEARNED]) + "\n")
        for study_id, found in said.items():
            file.write(",".join([study_id, *(str(int(label in found)) for label in LEARNED)]) + "\n")


def command(*parts):
    if code := radloop([str(part) for part in parts]):
        sys.exit(code)


def prepare(films, folder):
    """The corpus, its labels and its split by patient."""
    corpus, labels = folder / "corpus", folder / "labels.csv"
    folder.mkdir(parents=True, exist_ok=True)
    if not (corpus / "manifest.json").is_file():
        command("corpus", "import", films, "-o", corpus)
    if not labels.is_file():
        label_table(corpus, labels)
    if not (corpus / "split.csv").is_file():
        command("corpus", "split", corpus, "--labels", labels, "--ratios", RATIOS)
    return corpus, labels


def learn(corpus, labels, folder, changes):
    cpu, wall = time.process_time(), time.perf_counter()
    out = folder / "run"
    summary = train(
        corpus, labels, out, recipe_of("vision/phantom", changes), cache=folder / "cache", resume=True,
        watch=lambda epoch: print(epoch, file=sys.stderr, flush=True),
    )  # fmt: skip
    seconds = (time.process_time() - cpu, time.perf_counter() - wall)
    print(f"{summary.counts}, CPU {seconds[0]:.0f} s, wall {seconds[1]:.0f} s", file=sys.stderr)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    corpus, labels = prepare(given.films, given.folder)
    changes = ["size=128", f"training.epochs={given.epochs}", f"labels={json.dumps(LEARNED)}", *given.set]
    out = learn(corpus, labels, given.folder, changes)
    command("vision", "predict", out, corpus, "-o", given.folder / "test.parquet", "--part", "test")
    command("vision", "evaluate", given.folder / "test.parquet", labels, "-o", given.folder / "evaluation",
            "--corpus", corpus, "--thresholds-from", out / "validate.parquet", "--json")  # fmt: skip


if __name__ == "__main__":
    main()
