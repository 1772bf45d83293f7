"""Pretraining and the detector on a GPU: images per second, memory, share of the peak; and what a start is worth.

    python -m tests.benchmarks.pretrain_gpu speed [--steps 24] [--batch 256] [--detector-size 640]
    python -m tests.benchmarks.pretrain_gpu starts PACK -o scores [--seeds 0,1,2] [--epochs 40] [--seconds 90]
    python -m tests.benchmarks.pretrain_gpu boxes PACK -o scores [--epochs 14] [--seconds 90]
    python -m tests.benchmarks.pretrain_gpu all PACK -o scores         # starts and boxes side by side, then speed

``speed`` times ResNet-50 with MoCo, mix-up and queue in our own loop, from a store on the disk with our augmentation,
and RT-DETRv2 behind ResNet-50 in training and alone. ``starts`` trains an encoder on 5 % of the labels of drawn chests
from nothing, from MoCo and from films with reports, a process a seed at once; it writes the scores of the test part, of
which ``tests.benchmarks.vision_pretrain`` makes differences with intervals. PACK is a folder that
``python -m tests.benchmarks.vision_pretrain pack`` makes. ``boxes`` trains the small detector of
``configs/vision/detector_phantom.yaml`` on it, as many epochs as fit the time, and measures FROC on the test part.
One JSON line a measurement, at once.

Runs from a checkout; needs torch, transformers, accelerate, pydantic, numpy, scipy, Pillow. On a CPU it runs, slowly:
``speed --steps 2 --size 64 --batch 4 --queue 8 --detector-size 64 --detector-batch 2``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from corpora.images.fit import transform_of
from corpora.statistics.froc import Detections
from tests.benchmarks.vision_gpu import PEAKS, fresh_memory, made_store, peak_memory, synchronize
from tests.benchmarks.vision_pretrain import OBJECTIVES, one_seed, read_pack, store_of
from vision.augment import augmented
from vision.batches import to_greys
from vision.contrast_loop import PretrainStage, pretrain_loop
from vision.contrast_recipe import PretrainVisionRecipe
from vision.detector import build_detector
from vision.detector_data import BoxedFilms, targets
from vision.detector_loop import DetectorStage, detector_loop, found_on
from vision.detector_recipe import DetectorRecipe
from vision.froc import Frame, froc_by_label
from vision.pretrain import build_contrast


def say(**row):
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def peak_of(device):
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    return name, next((peak for card, peak in PEAKS.items() if card in name), None)


def share(flops, rate, peak):
    return round(flops * rate / 1e12 / peak, 3) if peak else None


def pretraining(args, device):
    """Films per second of the pretraining loop; each in two views, mixed too, against a queue."""
    recipe = PretrainVisionRecipe.model_validate(
        {"size": args.size, "moco": {"queue": args.queue}, "training": {
            "epochs": 1, "batch_size": args.batch, "precision": "bf16" if device.type == "cuda" else "no"}}
    )  # fmt: skip
    fresh_memory()
    looks = []

    def look(step):
        synchronize()
        looks.append((time.perf_counter(), step.items))

    with tempfile.TemporaryDirectory() as folder:
        store = made_store(Path(folder), args.batch * args.steps, args.size)
        stage = PretrainStage(store, None, 0, "key", Path(folder) / "p.pt")
        pretrain_loop(build_contrast(recipe, None), stage, device, resume=False, watch=lambda epoch: None, steps=look)
    (begun, before), (ended, after) = looks[0], looks[-1]
    rate = (after - before) / (ended - begun)
    model = build_contrast(recipe, None).to(device)
    with FlopCounterMode(display=False) as counter:
        views = torch.rand(2, 1, args.size, args.size, device=device)
        loss, _ = model.film_loss(views, views, torch.ones(2, device=device), torch.arange(2, device=device))
        loss.backward()
    flops = counter.get_total_flops() / 2
    name, peak = peak_of(device)
    say(measured="pretraining", device=name, size=args.size, batch=args.batch, queue=args.queue,
        films_per_s=round(rate, 1), gflop_per_film=round(flops / 1e9, 2), share_of_peak=share(flops, rate, peak),
        peak_gib=peak_memory())  # fmt: skip


def detecting(args, device):
    """Films per second of the detector's training step, and of finding boxes."""
    recipe = DetectorRecipe(size=args.detector_size)
    batch, size = args.detector_batch, args.detector_size
    fresh_memory()
    model = build_detector(recipe, [f"l{at}" for at in range(14)]).to(device)
    draw = np.random.default_rng(0)
    low = draw.uniform(0, 0.6, (batch, 4, 2)) * size
    boxes = np.concatenate([low, low + draw.uniform(0.05, 0.35, (batch, 4, 2)) * size], axis=2)
    films = BoxedFilms(
        tuple(map(str, range(batch))), None, (transform_of(size, size, size),) * batch, tuple(boxes),
        tuple(draw.integers(0, 14, (batch, 4))), np.arange(batch),
    )  # fmt: skip
    greys = torch.randint(0, 256, (batch, size, size), dtype=torch.uint8, device=device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    half = device.type == "cuda"

    def train(number):
        seen = augmented(to_greys(greys), recipe.augment, torch.Generator().manual_seed(number))
        wanted = targets(films, np.arange(batch), recipe.augment, number)
        wanted = [{name: value.to(device) for name, value in each.items()} for each in wanted]
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = model(seen, labels=wanted).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def find(number):
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
            model(to_greys(greys))

    for what, step in (("detector, training", train), ("detector, finding", find)):
        model.train(what.endswith("training"))
        fresh_memory()
        for number in range(3):
            step(number)
        synchronize()
        begun = time.perf_counter()
        for number in range(args.steps):
            step(number)
        synchronize()
        rate = args.steps * batch / (time.perf_counter() - begun)
        with FlopCounterMode(display=False) as counter:
            step(0)
        name, peak = peak_of(device)
        flops = counter.get_total_flops() / batch
        say(measured=what, device=name, size=size, batch=batch, films_per_s=round(rate, 1),
            gflop_per_film=round(flops / 1e9, 2), share_of_peak=share(flops, rate, peak),
            peak_gib=peak_memory())  # fmt: skip


def starts(args):
    """A process for each seed, all at once; those that are not done in time are stopped, and said."""
    end = time.monotonic() + args.seconds
    command = [sys.executable, "-m", "tests.benchmarks.pretrain_gpu", "seed", args.pack, "-o", args.out]
    running = {
        seed: subprocess.Popen([*command, "--seeds", seed, "--epochs", str(args.epochs)])
        for seed in args.seeds.split(",")
    }
    for seed, process in running.items():
        try:
            process.wait(timeout=max(end - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.terminate()
            say(measured="start", seed=int(seed), stopped=f"not done in {args.seconds} s")


def boxes(args, device, begun):
    """Train the small detector, and measure it on the test part by patient."""
    import yaml

    pack = read_pack(Path(args.pack))
    size = pack.films.shape[1]
    recipe = yaml.safe_load(Path("configs/vision/detector_phantom.yaml").read_text())
    # the safe reader takes 1e-3 for text
    recipe["training"] = {name: float(value) if isinstance(value, str) else value
                          for name, value in recipe["training"].items()}  # fmt: skip
    recipe["training"] |= {"epochs": args.epochs, "patience": args.epochs}
    labels = tuple(sorted({box[1] for box in pack.boxes} - {"No Finding"}))
    _, whose = np.unique(pack.patient, return_inverse=True)
    with tempfile.TemporaryDirectory() as name:
        parts = {}
        for part in ("train", "validate", "test"):
            rows = np.flatnonzero(pack.part == part)
            folder = Path(name) / part
            folder.mkdir()
            ids = tuple(pack.ids[row] for row in rows)
            drawn = [[(labels.index(box[1]), box[2:]) for box in pack.boxes if box[0] == image] for image in ids]
            parts[part] = BoxedFilms(
                ids, store_of(pack, rows, folder), tuple(transform_of(*pack.sizes[image], size) for image in ids),
                tuple(np.array([box for _, box in of], dtype=float).reshape(-1, 4) for of in drawn),
                tuple(np.array([label for label, _ in of], dtype=np.int64) for of in drawn), whose[rows],
            )  # fmt: skip
        model = build_detector(DetectorRecipe.model_validate(recipe | {"size": size}), labels).to(device)
        epochs = _epochs_in(model, parts["train"], recipe["training"], args, device, begun)
        recipe["training"] |= {"epochs": epochs, "patience": epochs}
        made = DetectorRecipe.model_validate(recipe | {"size": size})
        stage = DetectorStage(made, labels, parts["train"], parts["validate"], "key", Path(name) / "d.pt")
        begun = time.perf_counter()
        model = build_detector(made, labels)
        detector_loop(model, stage, device, resume=False, steps=lambda step: None, watch=lambda epoch: say(
            measured="boxes", epoch=epoch.epoch, loss=round(epoch.loss, 3), froc_validate=round(epoch.froc, 4),
            seconds=round(time.perf_counter() - begun, 1)))  # fmt: skip
        _measure_boxes(model, parts["test"], labels, size, epochs)


def _epochs_in(model, films, course, args, device, begun):
    """Epochs that fit: as many as asked for, or fewer by the time of some steps."""
    model.train()
    rows = np.arange(course["batch_size"])
    greys = to_greys(torch.from_numpy(films.store.take(rows)).to(device))
    for number in range(12):
        if number == 4:
            synchronize()
            first = time.perf_counter()
        wanted = [{name: value.to(device) for name, value in each.items()} for each in targets(films, rows, None, 0)]
        model(greys, labels=wanted).loss.backward()
        model.zero_grad(set_to_none=True)
    synchronize()
    # the optimiser, the average and the validation part come on top
    each = 1.5 * (time.perf_counter() - first) / 8 * len(films) / course["batch_size"]
    left = args.seconds - (time.monotonic() - begun)
    return int(max(1, min(args.epochs, left / each)))


def _measure_boxes(model, films, labels, size, epochs):
    drawn, seen = {}, {}
    for at, of in enumerate(found_on(model, films, 64)):
        name = films.image_ids[at]
        for box, label in zip(films.boxes[at].tolist(), films.labels[at].tolist(), strict=True):
            drawn.setdefault(name, {}).setdefault(labels[label], []).append(tuple(box))
        for label in {label for label, _, _ in of}:
            mine = [(box, score) for other, box, score in of if other == label]
            seen.setdefault(name, {})[labels[label]] = Detections(
                np.array([box for box, _ in mine]), np.array([score for _, score in mine])
            )
    _, cluster = np.unique(films.patients, return_inverse=True)
    frame = Frame(films.image_ids, cluster)
    for label, row in froc_by_label(labels, drawn, seen, frame, replicates=500).items():
        rates = {f"{rate:g}": round(e.value, 4) for rate, e in row.rates.items() if e.value is not None}
        say(measured="boxes", label=label, epochs=epochs, size=size, boxes=row.lesions, images=row.images,
            froc=[round(each, 4) for each in (row.mean.value, row.mean.lo, row.mean.hi) if each is not None],
            sensitivity=rates)  # fmt: skip
    four = [label for label in ("Pleural Effusion", "Lung Lesion", "Cardiomegaly", "Pneumothorax") if label in labels]
    row = froc_by_label(four, drawn, seen, frame, replicates=500)["mean"]
    say(measured="boxes", label="mean of " + ", ".join(four), epochs=epochs, size=size,
        froc=[round(each, 4) for each in (row.mean.value, row.mean.lo, row.mean.hi)])  # fmt: skip


def everything(args):
    """Starts and boxes side by side, then speed, which wants the card for itself."""
    base = [sys.executable, "-m", "tests.benchmarks.pretrain_gpu"]
    seconds = str(args.seconds)
    given = [args.pack, "-o", args.out, "--seconds", seconds]
    running = [
        subprocess.Popen([*base, "boxes", *given]),
        subprocess.Popen([*base, "starts", *given, "--seeds", args.seeds, "--epochs", str(args.epochs)]),
    ]
    end = time.monotonic() + args.seconds + 5
    for process in running:
        try:
            process.wait(timeout=max(end - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.terminate()
            say(measured=process.args[3], stopped=f"not done in {seconds} s")
    try:
        subprocess.run([*base, "speed"], timeout=45, check=False)
    except subprocess.TimeoutExpired:
        say(measured="speed", stopped="not done in 45 s")


def parser():
    found = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = found.add_subparsers(dest="part", required=True)
    speed = parts.add_parser("speed")
    for name, value in (("steps", 24), ("size", 224), ("batch", 256), ("queue", 65_536), ("detector-size", 640),
                        ("detector-batch", 16)):  # fmt: skip
        speed.add_argument(f"--{name}", type=int, default=value)
    for name in ("starts", "seed", "boxes", "all"):
        part = parts.add_parser(name)
        part.add_argument("pack")
        part.add_argument("-o", "--out", required=True)
        part.add_argument("--seeds", default="0,1,2")
        part.add_argument("--epochs", type=int, default=14 if name == "boxes" else 40)
        part.add_argument("--seconds", type=float, default=90)
    return found


def main():
    args = parser().parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if args.part == "speed":
        for measure in (pretraining, detecting):
            try:
                measure(args, device)
            except torch.OutOfMemoryError:
                say(measured=measure.__name__, stopped="the GPU's memory does not hold it")
    elif args.part == "starts":
        starts(args)
    elif args.part == "all":
        everything(args)
    elif args.part == "boxes":
        torch.set_num_threads(2)
        boxes(args, device, time.monotonic())
    else:
        torch.set_num_threads(2)
        pack = read_pack(Path(args.pack))
        for objective in OBJECTIVES:
            one_seed(pack, int(args.seeds), objective, args.epochs, Path(args.out), device, say)


if __name__ == "__main__":
    main()
