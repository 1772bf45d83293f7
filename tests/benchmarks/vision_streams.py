"""The two-stream diagnosis network against one stream of the same size, on the disease group of deepmrdtr.v1.

    python -m tests.benchmarks.vision_streams run PACK -o SCORES [--seeds 0,1,2] [--epochs 10] [--share 1]
    python -m tests.benchmarks.vision_streams table PACK SCORES

PACK is of a corpus of ``radloop corpus phantom``, made by ``python -m tests.benchmarks.vision_pretrain pack``. Of the
group its truth knows three diseases: pneumonia, pleural effusion and pneumothorax; and of the abnormalities
atelectasis, consolidation, nodule, pleural effusion, pleural thickening and pneumothorax. The abnormality path learns
those from the whole part to train on, the diagnosis networks the diseases from ``--share`` of its patients, all by the
recipe vision/phantom. The one stream is as wide as makes it as large as both paths and the fusion together. The
validation part chooses the epoch; the test part gives the difference of macro AUROC, the mean over seeds, with an
interval by patient.
"""

from __future__ import annotations

import argparse
import tempfile
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


def one_seed(pack, seed, epochs, share, out):
    device = torch.device("cpu")
    places = {name: [pack.labels.index(label) for label in names]
              for name, names in (("a", ABNORMALITIES), ("d", DISEASES))}  # fmt: skip
    every, (rows, _) = np.flatnonzero(pack.part == "train"), few(pack, seed, share)
    cpu = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        made = recipe(pack, seed, epochs)
        path = build(made, ABNORMALITIES, [-1] * len(ABNORMALITIES))
        seen, _ = learned(pack, path, made, every, places["a"], device)
        path.save_pretrained(name)
        made = recipe(pack, seed, epochs, name)
        two = build_diagnosis(made, DISEASES, [-1] * len(DISEASES))
        one, wide = as_large(pack, seed, epochs, size_of(two))
        out.mkdir(parents=True, exist_ok=True)
        for kind, model, how in (("two", two, made), ("one", one, wide)):
            best, scores = learned(pack, model, how, rows, places["d"], device)
            np.savez(out / f"{kind}-{seed}.npz", scores=scores, labels=places["d"])
            say(measured=kind, seed=seed, weights=size_of(model), films=len(rows), abnormality_auroc=round(seen, 4),
                validation_auroc=round(best, 4), cpu_s=round(time.process_time() - cpu, 1))  # fmt: skip


def table(pack, folder, replicates=2000):
    from corpora.statistics.resample import replicate_weights

    test = np.flatnonzero(pack.part == "test")
    _, cluster = np.unique(pack.patient[test], return_inverse=True)
    seeds = sorted(path.stem.rpartition("-")[2] for path in folder.glob("two-*.npz"))
    ones = np.ones((1, cluster.max() + 1), dtype=np.int64)
    weights = np.concatenate([ones, *replicate_weights(cluster.max() + 1, replicates, 0)])
    found = {
        kind: np.stack([
            macro(pack.truth[test], np.load(folder / f"{kind}-{seed}.npz"), cluster, weights) for seed in seeds
        ])
        for kind in ("two", "one")
    }  # fmt: skip
    difference = (found["two"] - found["one"]).mean(axis=0)
    lo, hi = np.quantile(difference[1:], [0.025, 0.975])
    rows = {kind: values[:, 0].round(4).tolist() for kind, values in found.items()}
    say(seeds=seeds, films=len(test), **rows, difference=[round(float(each), 4) for each in (difference[0], lo, hi)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("run", "table"))
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--share", type=float, default=1.0)
    args = parser.parse_args()
    pack = read_pack(args.folders[0])
    if args.part == "table":
        table(pack, args.folders[1])
        return
    torch.set_num_threads(1)
    for seed in map(int, args.seeds.split(",")):
        one_seed(pack, seed, args.epochs, args.share, args.out)


if __name__ == "__main__":
    main()
