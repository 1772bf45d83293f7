"""What a pretrained start is worth: an encoder of drawn chests on 5 % of the labels, from nothing and from each start.

    python -m tests.benchmarks.vision_pretrain pack CORPUS CACHE [MORE CACHE] -o PACK [--size 64] [--labels FILE]
    python -m tests.benchmarks.vision_pretrain run PACK -o scores [--seeds 0,1,2] [--objectives none,moco,image_text]
    python -m tests.benchmarks.vision_pretrain table PACK scores

Pretraining sees the frontal films of the part to train on (and findings and impression of their reports), no label, by
the recipes vision/moco_phantom and vision/image_text_phantom at the size of the pack. Then 5 % (``--share``) of the
patients of that part teach the labels that have three positive and three negative films there; every start is trained
alike, in three ways (two rates of the whole network; the head alone first, then all at a low rate), and the validation
part chooses the way and the epoch. With ``--alone`` the head learns, and the start stays as it is. The test part gives
macro AUROC, and its difference to the start from nothing: the mean over seeds, with an interval of the bootstrap by
patient. Truth is what was drawn, or a table of labels. Films of a second corpus are test films, but for patients whom
the first one has.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from accelerate import Accelerator

from vision.batches import Store
from vision.build import build
from vision.contrast import weights_of
from vision.contrast_loop import PretrainEpoch, PretrainStage, pretrain_loop
from vision.contrast_recipe import PretrainVisionRecipe
from vision.data import Films
from vision.forward import film_logits
from vision.loop import Stage, fit
from vision.losses import Criterion
from vision.pretrain import build_contrast
from vision.pretrain_command import pretrain_recipe_of
from vision.recipe import VisionRecipe
from vision.reports import reports_of
from vision.stages import stages_from
from vision.uncertainty import codes_of, policies_of

OBJECTIVES = ("none", "moco", "image_text")
SHARE, LEAST = 0.05, 3
#: Rates of the whole network, and epochs in which the head learned alone before.
WAYS = ((3e-3, 0), (5e-4, 0), (3e-4, 30))
HEAD_RATE = 1e-2
#: The head alone, the start as it is: what a start's features are worth by themselves.
ALONE = ((HEAD_RATE, None),)


def pack(folders, out, size, labels=None):
    """Write the frontal films at ``size`` pixels, and what belongs to them: ``folders`` are a corpus and its cache,
    and perhaps a second corpus, for the test part alone, and its cache."""
    corpus, cache, *more = folders
    pixels, kept = gathered_films(corpus, cache, size, labels)
    if more:
        patients = {film[2] for film in kept["films"]}
        others, found = gathered_films(*more, size, None)
        mine = [at for at, film in enumerate(found["films"]) if film[2] not in patients]
        pixels += [others[at] for at in mine]
        kept["films"] += [(*found["films"][at][:3], "test") for at in mine]
        for name in ("truth", "sizes", "texts"):
            kept[name] = found[name] | kept[name]
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "films.npz", films=np.stack(pixels))
    with gzip.open(out / "studies.json.gz", "wt") as file:
        json.dump(kept, file)


def gathered_films(corpus, cache, size, labels):
    """The frontal films [size, size] of a corpus, and their studies, texts, truth, boxes and sizes."""
    import csv

    import pyarrow.parquet as pq
    from PIL import Image

    from corpora.splits.files import read_split
    from corpora.store import read_studies
    from vision.contrast_recipe import TextRecipe
    from vision.data import wanted_view
    from vision.reports import text_of

    rows = {row["image_id"]: row for row in pq.read_table(cache / "index.parquet").to_pylist()}
    shards = {path.name: np.load(path, mmap_mode="r") for path in cache.glob("films-*.npy")}
    parts = read_split(corpus)
    films, texts = [], {}
    for study in read_studies(corpus):
        texts[study.study_id] = text_of(study, TextRecipe().sections)
        for image in study.images:
            if wanted_view(image.view, "frontal"):
                films.append((image.image_id, study.study_id, study.patient_id, parts[study.study_id]))
    pixels = [shards[f"films-{rows[film[0]]['shard']:05d}.npy"][rows[film[0]]["row"]] for film in films]
    small = [np.asarray(Image.fromarray(each).resize((size, size), Image.Resampling.BOX)) for each in pixels]
    with (labels or corpus / "truth" / "labels.csv").open() as file:
        truth = {row["study_id"]: row for row in csv.DictReader(file)}
    boxes = []
    if labels is None:
        with (corpus / "truth" / "boxes.csv").open() as file:
            corners = ("x_min", "y_min", "x_max", "y_max")
            boxes = [[row["image_id"], row["class_name"], *(float(row[name]) for name in corners)]
                     for row in csv.DictReader(file) if row["x_min"]]  # fmt: skip
    sizes = {film[0]: [rows[film[0]]["rows"], rows[film[0]]["columns"]] for film in films}
    return small, {"films": films, "texts": texts, "truth": truth, "boxes": boxes, "sizes": sizes}


def read_pack(folder):
    with gzip.open(folder / "studies.json.gz", "rt") as file:
        kept = json.load(file)
    films = np.load(folder / "films.npz")["films"]
    labels = [name for name in next(iter(kept["truth"].values())) if name not in ("study_id", "No Finding")]
    truth = np.array([[kept["truth"][film[1]][label] == "1" for label in labels] for film in kept["films"]], np.int8)
    return SimpleNamespace(
        films=films, truth=truth, labels=labels, texts=kept["texts"],
        ids=[film[0] for film in kept["films"]], study=[film[1] for film in kept["films"]],
        patient=np.array([film[2] for film in kept["films"]]), part=np.array([film[3] for film in kept["films"]]),
        boxes=kept["boxes"], sizes=kept["sizes"],
    )  # fmt: skip


def store_of(pack, rows, folder):
    np.save(folder / "films-00000.npy", pack.films[rows])
    size = pack.films.shape[1]
    index = [{"image_id": str(at), "shard": 0, "row": at, "size": size} for at in range(len(rows))]
    return Store(SimpleNamespace(rows=index, folder=folder), [row["image_id"] for row in index])


def recipe_of(objective):
    """The recipe of an objective; that of a start from nothing is the first one's, for its backbone."""
    return pretrain_recipe_of(f"vision/{'moco' if objective == 'none' else objective}_phantom", [])


def pretrained(pack, objective, epochs, seed, device):
    """The backbone's weights after pretraining, and the last epoch."""
    recipe = recipe_of(objective).model_dump() | {"size": pack.films.shape[1], "seed": seed}
    if epochs:
        recipe["training"]["epochs"] = epochs
    recipe["moco"]["queue"] = min(recipe["moco"]["queue"], (pack.part == "train").sum() // 3)
    recipe = PretrainVisionRecipe.model_validate(recipe)
    rows = np.flatnonzero(pack.part == "train")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = store_of(pack, rows, folder)
        studies = [pack.study[row] for row in rows]
        reports = None
        if objective != "moco":
            reports = reports_of(studies, pack.texts, recipe.text, folder / "vocabulary.json")
        model = build_contrast(recipe, reports)
        stage = PretrainStage(store, reports, seed, "key", folder / "p.pt")
        done = pretrain_loop(model, stage, device, resume=False, watch=lambda epoch: None, steps=lambda step: None)
    return weights_of(model.state_dict()), done[-1]


def few(pack, seed, share):
    """Rows of a share of the patients to train on, and the places of the labels that can be learned from them."""
    at = np.flatnonzero(pack.part == "train")
    patients = np.unique(pack.patient[at])
    drawn = np.random.default_rng(seed).permutation(patients)[: max(round(share * len(patients)), 2)]
    rows = at[np.isin(pack.patient[at], drawn)]
    counts = pack.truth[rows].sum(axis=0)
    return rows, np.flatnonzero((counts >= LEAST) & (len(rows) - counts >= LEAST))


def fine_tuned(pack, weights, rows, labels, way, seed, device):
    """Validation AUROC of the best epoch, and the scores [N, L] of the test films."""
    rate, head_first = way
    recipe = VisionRecipe.model_validate({
        "size": pack.films.shape[1], "backbone": recipe_of("none").backbone, "seed": seed,
        "augment": {"degrees": 5, "shift": 0.04, "zoom": 0.08, "flip": 0.5},
        "training": {"epochs": 30, "patience": 30, "batch_size": 16, "learning_rate": rate, "weight_decay": 1e-2,
                     "warmup": 0.1, "ema": 0.95, "head_first": head_first or 0, "head_rate": HEAD_RATE},
    })  # fmt: skip
    model = build(recipe, tuple(pack.labels[at] for at in labels), [-1] * len(labels)).to(device)
    if weights is not None:
        model.backbone.load_state_dict(weights)
    return learned(pack, model, recipe, rows, labels, device, alone=head_first is None)


def learned(pack, model, recipe, rows, labels, device, *, alone=False):
    """Train ``model`` in place on the films in ``rows``, or its head ``alone``; validation AUROC of its best epoch, and
    the scores [N, L] of the test films."""
    names = tuple(pack.labels[at] for at in labels)
    policies = policies_of([recipe.default_policy] * len(names), [None] * len(names)).to(device)
    criterion = Criterion(policies, recipe.loss, torch.ones(len(names), device=device), list(range(len(names))),
                          [-1] * len(names), conditional=False)  # fmt: skip
    held, test = (np.flatnonzero(pack.part == part) for part in ("validate", "test"))
    parts = [Films([str(at) for at in of], np.arange(len(of)), [pack.study[at] for at in of],
                   pack.patient[of].tolist(), pack.truth[of][:, labels]) for of in (rows, held)]  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        stores = []
        for number, of in enumerate((rows, held, test)):
            folder = Path(name) / str(number)
            folder.mkdir()
            stores.append(store_of(pack, of, folder))
        stage = Stage(
            "main", 0, recipe.training, recipe.training.epochs, recipe.augment, criterion, parts[0], stores[0],
            codes_of(parts[0].states), None, parts[1], stores[1], parts[1].states, "mean", recipe.seed, "key",
        )  # fmt: skip
        accelerator = Accelerator(cpu=device.type == "cpu")
        for number, each in enumerate([replace(stage, head_only=True)] if alone else stages_from(stage, recipe)):
            kept = Path(name) / f"{number}.pt"
            course = fit(model, each, accelerator, kept, resume=False, watch=lambda epoch: None)
        return course.best_score, film_logits(model, stores[2], np.arange(len(test)), 256)


def begun_with(pack, objective, epochs, seed, device, out, one):
    """The weights of a start, and its last epoch; with ``one`` those of the one pretraining run of all seeds."""
    if objective == "none":
        return None, None
    if not one:
        return pretrained(pack, objective, epochs, seed, device)
    kept = out / f"{objective}.pt"
    if not kept.is_file():
        weights, last = pretrained(pack, objective, epochs, 0, device)
        torch.save({"weights": weights, "last": asdict(last)}, kept)
    made = torch.load(kept, weights_only=True)
    return made["weights"], PretrainEpoch(**made["last"])


def one_seed(pack, seed, objective, epochs, out, device, say, share=SHARE, one=False, ways=WAYS):
    """Pretrain, train on few labels, and write the scores of the test part."""
    begun, cpu = time.perf_counter(), time.process_time()
    out.mkdir(parents=True, exist_ok=True)
    weights, last = begun_with(pack, objective, epochs, seed, device, out, one)
    spent = time.process_time() - cpu
    rows, labels = few(pack, seed, share)
    tried = [(*fine_tuned(pack, weights, rows, labels, way, seed, device), way) for way in ways]
    best, scores, way = max(tried, key=lambda each: each[0])
    np.savez(out / f"{objective}-{seed}.npz", scores=scores, labels=labels)
    say(measured="start", objective=objective, seed=seed, films=len(rows), labels=len(labels), way=way,
        tried=[round(each[0], 4) for each in tried],
        validation_auroc=round(best, 4), pretraining_cpu_s=round(spent, 1),
        cpu_s=round(time.process_time() - cpu, 1), seconds=round(time.perf_counter() - begun, 1),
        loss=last and round(last.loss, 4), told=last and last.told, matched=last and last.matched)  # fmt: skip


def table(pack, folder, replicates=2000):
    """Macro AUROC of each start, and differences, the mean over seeds, with intervals by patient."""
    from corpora.statistics.resample import replicate_weights

    test = np.flatnonzero(pack.part == "test")
    _, cluster = np.unique(pack.patient[test], return_inverse=True)
    seeds = sorted({path.stem.rpartition("-")[2] for path in folder.glob("*.npz")})
    ones = np.ones((1, cluster.max() + 1), dtype=np.int64)
    again = np.concatenate(list(replicate_weights(cluster.max() + 1, replicates, 0)))
    values = {}
    for objective in OBJECTIVES:
        files = [folder / f"{objective}-{seed}.npz" for seed in seeds]
        if all(file.is_file() for file in files):
            per = [macro(pack.truth[test], np.load(file), cluster, np.concatenate([ones, again])) for file in files]
            values[objective] = np.stack(per)
    rows = {"seeds": seeds, "films": len(test)}
    for name, found in values.items():
        rows[name] = {"macro_auroc": found[:, 0].round(4).tolist(), "mean": round(float(found[:, 0].mean()), 4)}
    for first, second in (("moco", "none"), ("image_text", "none"), ("image_text", "moco")):
        if first in values and second in values:
            difference = (values[first] - values[second]).mean(axis=0)
            lo, hi = np.quantile(difference[1:], [0.025, 0.975])
            rows[f"{first} less {second}"] = [round(float(each), 4) for each in (difference[0], lo, hi)]
    return rows


def macro(truth, kept, cluster, weights):
    """Macro AUROC of each row of weights (replicates, patients), ties by half."""
    columns = []
    for at, label in enumerate(kept["labels"]):
        order = np.argsort(kept["scores"][:, at], kind="stable")
        y, counted = truth[order, label], weights[:, cluster[order]].astype(np.float64)
        negative = np.cumsum(counted * (y == 0), axis=1)
        below = (negative * counted * (y == 1)).sum(axis=1)
        pairs = (counted * (y == 1)).sum(axis=1) * (counted * (y == 0)).sum(axis=1)
        columns.append(np.divide(below, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0))
    return np.nanmean(columns, axis=0)


def say(**row):
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("pack", "run", "table"))
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--epochs", type=int, help="Epochs of pretraining, if not the recipe's")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--share", type=float, default=SHARE)
    parser.add_argument("--one", action="store_true", help="One pretraining run for all seeds, of seed 0")
    parser.add_argument("--alone", action="store_true", help="Train the head alone, the start as it is")
    parser.add_argument("--objectives", default=",".join(OBJECTIVES))
    args = parser.parse_args()
    if args.part == "pack":
        pack(args.folders, args.out, args.size, args.labels)
    elif args.part == "table":
        say(**table(read_pack(args.folders[0]), args.folders[1]))
    else:
        torch.set_num_threads(1)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        for seed in map(int, args.seeds.split(",")):
            for objective in args.objectives.split(","):
                one_seed(read_pack(args.folders[0]), seed, objective, args.epochs, args.out, device, say, args.share,
                         args.one, ALONE if args.alone else WAYS)  # fmt: skip


if __name__ == "__main__":
    main()
