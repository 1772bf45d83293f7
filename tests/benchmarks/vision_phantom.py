"""What the small recipe learns from phantom films, by labels of rules.v1 from their reports, against what was drawn.

    python -m tests.benchmarks.vision_phantom main FOLDER              train, and AUROC by label on the test part
    python -m tests.benchmarks.vision_phantom policies FOLDER          one table: each uncertainty policy
    python -m tests.benchmarks.vision_phantom noise FOLDER             30 % of one label made wrong: plain, noise-aware
    ... [--studies 8000] [--size 256] [--label "Pleural Effusion"] [--seeds 3] [--set KEY=VALUE ...]

FOLDER keeps the corpus, its labels, split and cache between calls. Truth is what was drawn in a film's study, or what
its report's own truth calls positive (an opacity where a consolidation is drawn); so a finding that the report leaves
open counts as drawn or not. No Finding is where nothing but devices was drawn: a third of such films have a report that
doubts something or says too little for the label, which no film shows. Intervals are percentile bootstraps by patient,
2,000 replicates; differences are paired. Says CPU and wall seconds. Prints a table to stdout and JSON to
FOLDER/NAME.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from corpora.cli import run as radloop
from corpora.label_table import read_label_matrix
from corpora.statistics.auroc_bootstrap import ranked, resampled_ranking
from corpora.statistics.resample import percentile_estimate, replicate_weights
from tests.benchmarks.vision_seeds import AUDITED, WRONG, confusion_text, wrong_states
from vision.pooling import auroc
from vision.predict import predict
from vision.train import train
from vision.train_command import recipe_of

REPLICATES = 2000
POLICIES = ("ignore", "zeros", "ones", "zeros_lsr", "ones_lsr", "three_way", "self_trained")


def prepare(folder, studies, size):
    """A corpus with labels, a split and a cache's place; what is there stays."""
    corpus = folder / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    steps = [
        (corpus / "manifest.json", ["corpus", "phantom", "-o", corpus, "-n", studies, "--size", size, "--seed", 1,
                                    "--resume"]),
        (folder / "labels.csv", ["label", "run", corpus, "-o", folder / "labels.csv"]),
        (corpus / "split.csv", ["corpus", "split", corpus, "--labels", folder / "labels.csv", "--ratios",
                                "train=.7,validate=.1,test=.2"]),
    ]  # fmt: skip
    for made, command in steps:
        if made.is_file():
            continue
        code = radloop([str(part) for part in command])
        # a split says 1 where films look alike across parts, as drawn chests do, and is written all the same
        if code and not made.is_file():
            sys.exit(code)
    return corpus


def drawn(corpus):
    """Truth by study and label."""
    found = defaultdict(set)
    with (corpus / "truth" / "findings.jsonl").open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            found[line["study_id"]].update(finding["label"] for finding in line["findings"])
    table = read_label_matrix(corpus / "truth" / "labels.csv")
    said = {
        study_id: {table.labels[at] for at in np.flatnonzero(table.states[row] == 1)} - {"No Finding"}
        for study_id, row in table.rows.items()
    }
    healthy = {study_id: {"No Finding"} for study_id in table.rows if not found[study_id] - {"Support Devices"}}
    return {study_id: found[study_id] | said[study_id] | healthy.get(study_id, set()) for study_id in table.rows}


class Scores:
    """A test part's predictions with its truth, and its areas in each replicate."""

    def __init__(self, labels, patients, scores, truth):
        self.labels, self.patients, self.scores, self.truth = labels, patients, scores, truth
        self.areas = np.array(
            [auroc(self.scores[:, at], self.truth[:, at]) or np.nan for at in range(len(self.labels))]
        )

    @classmethod
    def read(cls, path, truth):
        """Those of a table of predictions."""
        table = pq.read_table(path).to_pydict()
        studies, patients = table.pop("study_id"), table.pop("patient_id")
        labels = list(table)
        found = np.array([[label in truth[study] for label in labels] for study in studies], dtype=np.int8)
        return cls(labels, patients, np.array([table[label] for label in labels]).T, found)

    def replicates(self):
        """Areas [REPLICATES, L]."""
        names = {patient: at for at, patient in enumerate(dict.fromkeys(self.patients))}
        clusters = np.array([names[patient] for patient in self.patients])
        columns = [ranked(self.truth[:, at], self.scores[:, at], clusters) for at in range(len(self.labels))]
        return resampled_ranking(columns, len(names), REPLICATES, 0).auroc

    def draws(self):
        """Rows of each replicate; the same draws of patients for any model over the same studies."""
        rows = defaultdict(list)
        for row, patient in enumerate(self.patients):
            rows[patient].append(row)
        rows = [np.array(each) for each in rows.values()]
        for block in replicate_weights(len(rows), REPLICATES, seed=0):
            for weights in block:
                yield np.concatenate([np.tile(rows[at], weights[at]) for at in np.flatnonzero(weights)])


def estimate(value, replicates, n):
    found = percentile_estimate(float(value), replicates, n=n, confidence=0.95, unit="patient")
    return {"value": round(found.value, 4), "lo": round(found.lo, 4), "hi": round(found.hi, 4), "n": n}


def fitted(folder, corpus, name, changes, labels=None, confusion=None):
    """Train a recipe (or take the finished run), predict the test part; its scores, and CPU and wall seconds."""
    recipe, out = recipe_of("vision/phantom", changes), folder / "runs" / name
    cpu, wall = time.process_time(), time.perf_counter()
    summary = train(
        corpus, labels or folder / "labels.csv", out, recipe, cache=folder / f"cache-{recipe.size}", resume=True,
        confusion=confusion,
    )  # fmt: skip
    seconds = {"cpu_s": round(time.process_time() - cpu, 1), "wall_s": round(time.perf_counter() - wall, 1)}
    predict(out, corpus, out / "test.parquet", part="test", workers=1)
    print(f"{name}: validation macro AUROC {summary.macro_auroc:.4f}, {seconds}", file=sys.stderr, flush=True)
    return Scores.read(out / "test.parquet", drawn(corpus)), summary, seconds


def main_table(folder, corpus, given):
    scores, summary, seconds = fitted(folder, corpus, "main", given.set)
    replicates, n = scores.replicates(), len(set(scores.patients))
    rows = {
        label: estimate(scores.areas[at], replicates[:, at], n) | {"positive": int(scores.truth[:, at].sum())}
        for at, label in enumerate(scores.labels)
    }
    rows["macro"] = estimate(np.nanmean(scores.areas), np.nanmean(replicates, axis=1), n)
    return {"labels": rows, "left_out": list(summary.warnings), "studies": len(scores.truth), **seconds}


def policy_table(folder, corpus, given):
    rows, base = {}, None
    for policy in POLICIES:
        changes = [*given.set, f'default_policy={{"uncertain": "{policy}", "blank": "negative"}}', "policies={}"]
        scores, _, seconds = fitted(folder, corpus, f"policy-{policy}", changes)
        replicates, n = scores.replicates(), len(set(scores.patients))
        macro, macros = np.nanmean(scores.areas), np.nanmean(replicates, axis=1)
        base = base or (macro, macros)
        rows[policy] = estimate(macro, macros, n) | seconds
        rows[policy]["minus ignore"] = estimate(macro - base[0], macros - base[1], n)
        areas = zip(scores.labels, scores.areas, strict=True)
        rows[policy]["labels"] = {label: round(float(area), 4) for label, area in areas}
    return {"policies": rows}


def made_wrong(folder, corpus, label, seed):
    """The labels with one made wrong in a share of the studies that are learned from; what an audit of some finds."""
    table = read_label_matrix(folder / "labels.csv")
    at, states = table.labels.index(label), table.states.copy()
    states[:, at], matrix = wrong_states(states[:, at], seed)
    labels, path = folder / f"wrong-{seed}.csv", folder / f"wrong-{seed}.confusion.json"
    path.write_text(confusion_text(label, matrix), encoding="utf-8")
    with labels.open("w", encoding="utf-8") as file:
        file.write(",".join(("study_id", *table.labels)) + "\n")
        for study_id, row in zip(table.ids, states.tolist(), strict=True):
            file.write(",".join([study_id, *("" if state == -2 else str(state) for state in row)]) + "\n")
    return labels, path


def noise_table(folder, corpus, given):
    """One label's measures, plain and noise-aware, over some seeds of noise and weights."""
    found = {kind: [] for kind in ("ignore", "noise_aware")}
    for seed in range(given.seeds):
        labels, confusion = made_wrong(folder, corpus, given.label, seed)
        for kind, of in found.items():
            policies = json.dumps({given.label: {"uncertain": kind, "blank": "negative"}})
            changes = [*given.set, f"seed={seed}", f"policies={policies}"]
            name = f"noise-{seed}-{kind}"
            scores, _, seconds = fitted(folder, corpus, name, changes, labels, confusion)
            thresholds = json.loads((folder / "runs" / name / "config.json").read_text(encoding="utf-8"))["thresholds"]
            of.append(measured(scores, given.label, thresholds[given.label]) | {"seconds": seconds})
    n, rows = len(set(scores.patients)), {}
    for measure in MEASURES:
        plain, aware = (
            (np.mean([each[measure][0] for each in of]), np.mean([each[measure][1] for each in of], axis=0))
            for of in found.values()
        )
        rows[measure] = {
            "plain": estimate(*plain, n), "noise-aware": estimate(*aware, n),
            "noise-aware minus plain": estimate(aware[0] - plain[0], aware[1] - plain[1], n),
        }  # fmt: skip
    seconds = {kind: [each["seconds"] for each in of] for kind, of in found.items()}
    said = {"label": given.label, "wrong": WRONG, "audited": AUDITED, "seeds": given.seeds, "seconds": seconds}
    return said | {"measures": rows}


MEASURES = ("auroc", "auprc", "brier", "log loss", "mean probability", "f1 at the model's threshold", "f1 at one half")


def measured(scores, label, threshold):
    """Each measure of a label on the test part, with its replicates."""
    from sklearn.metrics import average_precision_score

    def f1(s, t, cut):
        said = s >= cut
        return float(2 * (said & (t == 1)).sum() / max(said.sum() + (t == 1).sum(), 1))

    def log_loss(s, t):
        inside = np.clip(s, 1e-7, 1 - 1e-7)
        return float(-np.mean(np.where(t == 1, np.log(inside), np.log(1 - inside))))

    ways = (
        auroc, lambda s, t: average_precision_score(t, s), lambda s, t: float(np.mean((s - t) ** 2)), log_loss,
        lambda s, t: float(s.mean()), lambda s, t: f1(s, t, threshold), lambda s, t: f1(s, t, 0.5),
    )  # fmt: skip
    at = scores.labels.index(label)
    s, t = scores.scores[:, at], scores.truth[:, at]
    draws = list(scores.draws())
    return {
        name: (way(s, t), np.array([way(s[rows], t[rows]) for rows in draws]))
        for name, way in zip(MEASURES, ways, strict=True)
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["main", "policies", "noise"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--studies", type=int, default=8000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--label", default="Pleural Effusion")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    corpus = prepare(given.folder, given.studies, given.size)
    work = {"main": main_table, "policies": policy_table, "noise": noise_table}[given.what]
    found = work(given.folder, corpus, given)
    text = json.dumps(found, indent=2)
    (given.folder / f"{given.what}.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
