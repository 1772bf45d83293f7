"""Drafts of phantom films against what was drawn: a trained drafter beside every generator that it should beat.

    python -m tests.benchmarks.report_phantom FOLDER [--studies 3400] [--size 256] [--set KEY=VALUE ...]

FOLDER is that of ``tests.benchmarks.vision_phantom`` (its corpus, split, cache and encoder are taken, or made). Steps:
a decoder from the training reports (``report/pretrain-small``), a drafter (``report/phantom``), drafts of the test
part (sampled until one says what encoder and drafter judge together, 8 at most; the same without the reports before,
and greedy ones, merged and unmerged), and those of the registered generators: with the encoder's own thresholds, and
(label-template, retrieval) with the drafter's.
Labels of a draft are those that rules.v1 reads in it, surely or perhaps; truth is that of
``vision_phantom``. Comparisons are counted in drafts of studies without a report before, and in those of the others
apart. Macro F1 is over the thirteen findings. Intervals are percentile bootstraps by patient, 2,000
replicates, differences paired. Prints a table as JSON, writes it to FOLDER/report.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from corpora.config import load_yaml
from corpora.resources import config_path
from corpora.splits.files import read_split
from corpora.statistics.resample import percentile_estimate, replicate_weights
from corpora.store import read_studies
from reportgen.data import last_reports
from reportgen.draft import draft
from reportgen.generate import Decoding
from reportgen.generating import draft_by
from reportgen.pretrain import pretrain
from reportgen.recipes import ReportPretrainRecipe, ReportTrainRecipe
from reportgen.scorer import positives
from reportgen.targets import mentions_prior
from reportgen.train import train
from tests.benchmarks.vision_phantom import drawn, fitted, prepare

REPLICATES = 2000
BLIND = ("constant.v1", "most-common.v1", "random-train.v1")
LOOKING = ("label-template.v1", "nearest-neighbour.v1", "retrieval.v1")
NORMAL = "No Finding"
CANDIDATES = 8


def said(text):
    print(text, file=sys.stderr, flush=True)


def timed(name, seconds, work):
    cpu, wall = time.process_time(), time.perf_counter()
    found = work()
    seconds[name] = {"cpu_s": round(time.process_time() - cpu, 1), "wall_s": round(time.perf_counter() - wall, 1)}
    said(f"{name}: {seconds[name]}")
    return found


def recipe(name, kind, changes=()):
    return load_yaml(config_path(name), kind, changes)


def drafted(folder, corpus, changes, seconds):
    """Drafts by system: files under FOLDER/drafts."""
    cache = folder / "cache-160"
    eye, decoder, run = folder / "runs" / "main", folder / "runs" / "decoder", folder / "runs" / "drafter"
    seen, out = folder / "seen", folder / "drafts"
    if not (eye / "manifest.json").is_file():
        timed("encoder", seconds, lambda: fitted(folder, corpus, "main", []))
    outside = frozenset(name for name, part in read_split(corpus).items() if part != "train")
    pretraining = recipe("report/pretrain-small", ReportPretrainRecipe)
    timed("decoder", seconds, lambda: pretrain([str(corpus)], decoder, pretraining, leave_out=outside, resume=True))
    training = recipe("report/phantom", ReportTrainRecipe, [f"decoder_source={json.dumps(str(decoder))}", *changes])
    trained = timed("training", seconds, lambda: train(
        corpus, eye, run, training, cache=cache, seen=seen, resume=True, told=lambda epoch: said(epoch)
    ))  # fmt: skip
    given = {"part": "test", "cache": cache, "seen": seen}
    files = {}
    for name in (*BLIND, *LOOKING):
        files[name] = out / f"{name}.jsonl"
        timed(name, seconds, lambda name=name: draft_by(name, eye, corpus, files[name], **given))
    for name in ("label-template.v1", "retrieval.v1"):
        key = f"{name}, the drafter's thresholds"
        files[key] = out / f"{name}-same.jsonl"
        timed(key, seconds, lambda name=name, key=key: draft_by(name, run, corpus, files[key], **given))
    greedy, sampled = Decoding(training.max_tokens), Decoding(training.max_tokens, temperature=0.7)
    ways = {
        "drafter": {"how": sampled, "candidates": CANDIDATES},
        "drafter, no reports before": {"how": sampled, "candidates": CANDIDATES, "prior": False},
        "drafter, greedy": {"how": greedy},
        "drafter, greedy, unmerged": {"how": greedy, "merged": False},
    }
    for number, (name, way) in enumerate(ways.items()):
        files[name] = out / f"drafter-{number}.jsonl"
        timed(name, seconds, lambda name=name, way=way: draft(run, corpus, files[name], **way, **given))
    return files, trained


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Counts:
    """Of each study [N, L]: true positives, positives of the draft, positives drawn; sums of these in replicates."""

    def __init__(self, records, truth):
        labels, found = positives("rules.v1", [" ".join(r.get(n, "") for n in ("findings", "impression"))
                                               for r in records])  # fmt: skip
        kept = [at for at, label in enumerate(labels) if label != NORMAL]
        self.labels = [labels[at] for at in kept]
        said_, meant = found[:, kept], np.array([[label in truth[r["study_id"]] for label in self.labels]
                                                 for r in records])  # fmt: skip
        self.parts = np.stack([said_ & meant, said_, meant]).astype(np.float64)

    def f1(self, weights):
        """F1 [R, L] by weights [R, N] of studies; a label that no one has is left out (nan)."""
        hits, said_, meant = weights @ self.parts
        with np.errstate(invalid="ignore"):
            return np.where(said_ + meant > 0, 2 * hits / (said_ + meant), np.nan)


def study_weights(records):
    """Weights [REPLICATES, N] of studies, drawn by patient, and ones [1, N]."""
    rows = defaultdict(list)
    for row, record in enumerate(records):
        rows[record["patient_id"]].append(row)
    place = np.empty(len(records), dtype=int)
    for number, several in enumerate(rows.values()):
        place[several] = number
    blocks = [np.asarray(block)[:, place] for block in replicate_weights(len(rows), REPLICATES, seed=0)]
    return np.concatenate(blocks).astype(np.float64), len(rows)


def estimate(value, replicates, n):
    found = percentile_estimate(float(value), replicates, n=n, confidence=0.95, unit="patient")
    return [round(found.value, 4), round(found.lo, 4), round(found.hi, 4)]


def compared(records):
    """The share of drafts that speak of an earlier film."""
    return round(float(np.mean([mentions_prior(record["text"]) for record in records])), 4) if records else None


def table(files, corpus):
    records = {name: read(path) for name, path in files.items()}
    order = [record["study_id"] for record in records["drafter"]]
    records = {name: sorted(some, key=lambda record: order.index(record["study_id"])) for name, some in records.items()}
    truth = drawn(corpus)
    before = set(last_reports(read_studies(corpus)))
    weights, patients = study_weights(records["drafter"])
    ones = np.ones((1, len(order)))
    macros, labels = {}, {}
    for name, some in records.items():
        counts = Counts(some, truth)
        single = counts.f1(ones)[0]
        macros[name] = float(np.nanmean(single)), np.nanmean(counts.f1(weights), axis=1)
        labels[name] = {label: round(float(value), 3) for label, value in zip(counts.labels, single, strict=True)}
    rows = {}
    for name, some in records.items():
        texts = [record["text"] for record in some]
        value, replicates = macros[name]
        rows[name] = {
            "macro_f1": estimate(value, replicates, patients),
            "drafter minus it": estimate(macros["drafter"][0] - value, macros["drafter"][1] - replicates, patients),
            "distinct of the first 200": len(set(texts[:200])), "distinct": len(set(texts)),
            "comparisons, none before": compared([r for r in some if r["study_id"] not in before]),
            "comparisons, one before": compared([r for r in some if r["study_id"] in before]),
            "empty": sum(not text for text in texts), "labels": labels[name],
        }  # fmt: skip
    same = [
        a["text"] == b["text"]
        for a, b in zip(records["drafter, greedy"], records["drafter, greedy, unmerged"], strict=True)
    ]
    return {
        "studies": len(order),
        "with a report before": len(before & set(order)),
        "patients": patients,
        "same text unmerged": float(np.mean(same)),
        "systems": rows,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--studies", type=int, default=3400)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    corpus, seconds = prepare(given.folder, given.studies, given.size), {}
    files, trained = drafted(given.folder, corpus, given.set, seconds)
    counts = trained.counts
    judgement = json.loads((given.folder / "runs" / "drafter" / "config.json").read_text(encoding="utf-8"))["judgement"]
    found = table(files, corpus) | {
        "judgement": judgement,
        "lora share": round(counts["adapter weights"] / counts["decoder weights"], 4),
        "epochs": [{"stage": e.stage, "epoch": e.epoch, **e.measured} for e in trained.epochs], "seconds": seconds,
    }  # fmt: skip
    text = json.dumps(found, indent=2)
    (given.folder / "report.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
