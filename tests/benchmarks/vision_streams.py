"""The two-stream diagnosis network against one stream of the same size, on the disease group of deepmrdtr.v1.

    python -m tests.benchmarks.vision_streams run PACK -o SCORES [--seeds 0,1,2] [--path-epochs 20] [--epochs 10]
        [--share 1]
    python -m tests.benchmarks.vision_streams table PACK SCORES

PACK is of a corpus of ``radloop corpus phantom``, made by ``python -m tests.benchmarks.vision_pretrain pack``. Of the
group its truth knows three diseases: pneumonia, pleural effusion and pneumothorax; and of the abnormalities
atelectasis, consolidation, nodule, pleural effusion, pleural thickening and pneumothorax. The abnormality path learns
those from the whole part to train on, the diagnosis networks the diseases from ``--share`` of its patients, all by the
recipe vision/phantom. The one stream is as wide as makes it as large as both paths and the fusion together. It is
trained twice: for the epochs of the diagnosis path ("one"), which is how a single network would be trained, and for as
many films as both paths have seen ("longer"). The validation part chooses the epoch; the test part gives the
difference of macro AUROC, the mean over seeds, with an interval by patient.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from tests.benchmarks.vision_pretrain import few, learned, macro, read_pack, say
from vision.build import build
from vision.diagnosis import build_diagnosis
from vision.train_command import recipe_of

#: Labels of the truth, and what they are called in deepmrdtr.v1.
DISEASES = ("Pleural Effusion", "Pneumonia", "Pneumothorax")
ABNORMALITIES = ("Atelectasis", "Consolidation", "Lung Lesion", "Pleural Effusion", "Pleural Other", "Pneumothorax")
KINDS = ("two", "one", "longer")
CPU = torch.device("cpu")


def recipe(pack, seed, epochs, abnormality=None, widths=None):
    changes = [
        f"size={pack.films.shape[1]}",
        f"seed={seed}",
        f"training.epochs={epochs}",
        f"training.patience={epochs}",
    ]
    if widths:
        changes.append(f"backbone.settings.hidden_sizes={list(widths)}")
    return recipe_of("vision/phantom", changes, None, abnormality)


def size_of(model):
    return sum(weight.numel() for weight in model.parameters())


def as_large(pack, seed, epochs, wanted):
    """One stream with at least ``wanted`` weights, all its stages wider by the same factor."""
    narrow = recipe(pack, seed, epochs).backbone.settings["hidden_sizes"]
    for tenths in range(10, 40):
        made = recipe(pack, seed, epochs, widths=[round(width * tenths / 10) for width in narrow])
        model = build(made, DISEASES, [-1] * len(DISEASES))
        if size_of(model) >= wanted:
            return model, made
    raise ValueError(f"no stream has {wanted} weights")


def path_of(pack, seed, epochs, out):
    """The folder of the abnormality path of a seed, trained if it is not there, and its validation AUROC."""
    folder = out / f"path-{seed}"
    if not folder.is_dir():
        made = recipe(pack, seed, epochs)
        model = build(made, ABNORMALITIES, [-1] * len(ABNORMALITIES))
        every = np.flatnonzero(pack.part == "train")
        cpu = time.process_time()
        best, _ = learned(pack, model, made, every, places_of(pack, ABNORMALITIES), CPU)
        model.save_pretrained(folder)
        say(measured="path", seed=seed, weights=size_of(model), films=len(every), validation_auroc=round(best, 4),
            cpu_s=round(time.process_time() - cpu, 1))  # fmt: skip
    return folder


def places_of(pack, names):
    return [pack.labels.index(name) for name in names]


def one_seed(pack, seed, path_epochs, epochs, share, kinds, out):
    path = path_of(pack, seed, path_epochs, out)
    every, (rows, _) = int((pack.part == "train").sum()), few(pack, seed, share)
    longer = epochs + round(path_epochs * every / len(rows))
    for kind in kinds:
        made = recipe(pack, seed, epochs, str(path))
        model = build_diagnosis(made, DISEASES, [-1] * len(DISEASES))
        if kind != "two":
            model, made = as_large(pack, seed, epochs if kind == "one" else longer, size_of(model))
        cpu = time.process_time()
        best, scores = learned(pack, model, made, rows, places_of(pack, DISEASES), CPU)
        np.savez(out / f"{kind}-{seed}.npz", scores=scores, labels=places_of(pack, DISEASES))
        say(measured=kind, seed=seed, weights=size_of(model), films=len(rows), epochs=made.training.epochs,
            validation_auroc=round(best, 4), cpu_s=round(time.process_time() - cpu, 1))  # fmt: skip


def table(pack, folder, replicates=2000):
    from corpora.statistics.resample import replicate_weights

    test = np.flatnonzero(pack.part == "test")
    _, cluster = np.unique(pack.patient[test], return_inverse=True)
    seeds = sorted(path.stem.rpartition("-")[2] for path in folder.glob("two-*.npz"))
    ones = np.ones((1, cluster.max() + 1), dtype=np.int64)
    weights = np.concatenate([ones, *replicate_weights(cluster.max() + 1, replicates, 0)])
    rows = {}
    found = {}
    for kind in KINDS:
        files = [folder / f"{kind}-{seed}.npz" for seed in seeds]
        if all(file.is_file() for file in files):
            found[kind] = np.stack([macro(pack.truth[test], np.load(file), cluster, weights) for file in files])
            rows[kind] = found[kind][:, 0].round(4).tolist()
    for kind in found.keys() - {"two"}:
        difference = (found["two"] - found[kind]).mean(axis=0)
        lo, hi = np.quantile(difference[1:], [0.025, 0.975])
        rows[f"two less {kind}"] = [round(float(each), 4) for each in (difference[0], lo, hi)]
    say(seeds=seeds, films=len(test), **rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("run", "table"))
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--path-epochs", type=int, default=20, help="Epochs of the abnormality path")
    parser.add_argument("--epochs", type=int, default=10, help="Epochs of the diagnosis network")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--share", type=float, default=1.0)
    args = parser.parse_args()
    pack = read_pack(args.folders[0])
    if args.part == "table":
        table(pack, args.folders[1])
        return
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in map(int, args.seeds.split(",")):
        one_seed(pack, seed, args.path_epochs, args.epochs, args.share, args.kinds.split(","), args.out)


if __name__ == "__main__":
    main()
