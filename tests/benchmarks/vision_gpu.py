"""ResNet-50 on a GPU: films per second in training and inference, share of the card's bf16 peak, memory.

    python -m tests.benchmarks.vision_gpu [--sizes 224,512] [--batch 224=256,512=64] [--steps 96] [--compile] > gpu.json

Training is our own loop (``vision.loop``) with its augmentation, over a store of made films on the disk. Beside it, in
the same run, a plain PyTorch loop: the ResNet-50 of torchvision or timm, whichever is installed, else that of
transformers (the result says which); autocast, channels_last, AdamW, one batch that already lies on the card, so that
it waits for no data. The store alone is timed too: films per second that it can bring to the card.

Runs from a checkout; needs torch, transformers, accelerate, pydantic, numpy, Pillow, PyYAML. On a CPU it runs, slowly:
``--steps 2 --sizes 64 --batch 64=4``.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import transformers
from accelerate import Accelerator
from torch.utils.flop_counter import FlopCounterMode

from vision.batches import Store, read_ahead, to_greys
from vision.data import Films
from vision.encoder import FilmEncoder, FilmEncoderConfig, backbone_config
from vision.loop import Stage, fit
from vision.losses import Criterion
from vision.recipe import AugmentRecipe, CourseRecipe, LossRecipe, PolicyRecipe
from vision.uncertainty import policies_of

LABELS = 14
#: Dense bf16 peaks in TFLOP/s, from the data sheets of the SXM cards.
PEAKS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0, "A10G": 70.0}


def made_store(folder, films, size):
    """A store of made films in shards of 64 MiB, as a cache has them."""
    draw = np.random.default_rng(0)
    each = max(16, (64 << 20) // size**2)
    rows = []
    for shard, at in enumerate(range(0, films, each)):
        count = min(each, films - at)
        np.save(folder / f"films-{shard:05d}.npy", draw.integers(0, 256, (count, size, size), dtype=np.uint8))
        rows += [{"image_id": f"{at + row}", "shard": shard, "row": row, "size": size} for row in range(count)]
    return Store(SimpleNamespace(rows=rows, folder=folder), [row["image_id"] for row in rows])


def ours(size, channels=1):
    body = backbone_config("resnet", {}, channels, size)
    return FilmEncoder(FilmEncoderConfig(body.to_dict(), [f"l{at}" for at in range(LABELS)], image_size=size))


def synchronize():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_memory():
    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_available() else None


def fresh_memory():
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def train_ours(store, size, batch, steps, compiled, device):
    """Films per second of ``vision.loop.fit`` from the second look at the losses on: warming up is not in it."""
    fresh_memory()
    films = len(store)
    recipe = CourseRecipe(
        epochs=1, batch_size=batch, precision="bf16", channels_last=True, compile=compiled, ema=0.0, learning_rate=1e-4
    )
    criterion = Criterion(
        policies_of([PolicyRecipe()] * LABELS, [None] * LABELS).to(device), LossRecipe(),
        torch.ones(LABELS, device=device), list(range(LABELS)), [-1] * LABELS, conditional=False,
    )  # fmt: skip
    codes = np.random.default_rng(0).integers(0, 2, (films, LABELS))
    ids = [f"{at}" for at in range(films)]
    part = Films(ids, np.arange(films), ids, ids, (codes == 0).astype(np.int8))
    few = Films(ids[:batch], np.arange(batch), ids[:batch], ids[:batch], part.states[:batch])
    accelerator = Accelerator(mixed_precision="bf16", cpu=device.type == "cpu")
    model = ours(size).to(device).to(memory_format=torch.channels_last)
    looks = []

    def look(step):
        synchronize()
        looks.append((time.perf_counter(), step.items))

    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(
            "main", 0, recipe, 1, AugmentRecipe(), criterion, part, store, codes, None, few, store, part.states[:batch],
            "mean", 0, "key",
        )  # fmt: skip
        fit(model, stage, accelerator, Path(folder) / "main.pt", resume=False, watch=lambda epoch: None, steps=look)
    (begun, before), (ended, after) = looks[min(1, len(looks) - 2)], looks[-1]
    return {"films_per_s": round((after - before) / (ended - begun), 1), "peak_gib": peak_memory()}


def peer():
    """A plain ResNet-50 with 14 outputs, and whose it is."""
    try:
        from torchvision.models import resnet50

        return "torchvision", resnet50(num_classes=LABELS)
    except ImportError:
        pass
    try:
        from timm import create_model

        return "timm", create_model("resnet50", num_classes=LABELS)
    except ImportError:
        pass
    config = transformers.ResNetConfig(num_labels=LABELS)
    return "transformers", transformers.ResNetForImageClassification(config)


def train_peer(size, batch, steps, compiled, device):
    fresh_memory()
    name, model = peer()
    model = model.to(device).to(memory_format=torch.channels_last).train()
    run = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    films = torch.rand(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    target = torch.randint(0, 2, (batch, LABELS), device=device).float()

    def step():
        with torch.autocast(device.type, torch.bfloat16):
            logits = run(films)
            logits = logits if isinstance(logits, torch.Tensor) else logits.logits
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return {"of": name, "films_per_s": rate(step, steps, batch), "peak_gib": peak_memory()}


def rate(step, steps, batch):
    for _ in range(min(10, steps)):
        step()
    synchronize()
    begun = time.perf_counter()
    for _ in range(steps):
        step()
    synchronize()
    return round(steps * batch / (time.perf_counter() - begun), 1)


def infer(size, batch, steps, compiled, device):
    fresh_memory()
    model = ours(size).to(device).to(memory_format=torch.channels_last).eval()
    run = torch.compile(model) if compiled else model
    films = torch.randint(0, 256, (batch, size, size), dtype=torch.uint8, device=device)

    def step():
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            run(to_greys(films).contiguous(memory_format=torch.channels_last))

    return {"films_per_s": rate(step, steps, batch), "peak_gib": peak_memory()}


def read(store, batch, device):
    """Films per second from the store to the card, by random rows."""
    order = np.random.default_rng(1).permutation(len(store))
    groups = [order[at : at + batch] for at in range(0, len(order), batch)]
    begun = time.perf_counter()
    for films in read_ahead(store, groups, device):
        films.sum()
    synchronize()
    return round(len(order) / (time.perf_counter() - begun), 1)


def gflop_per_film(size):
    """Training GFLOP of one film (a multiply-add counts two): three times those of the forward pass."""
    model = ours(size).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.rand(1, 1, size, size))
    return 3 * counter.get_total_flops() / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="224,512")
    parser.add_argument("--batch", default="224=256,512=64")
    parser.add_argument("--steps", type=int, default=96)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    card = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or "cpu"
    peak = next((value for name, value in PEAKS.items() if name in card), None)
    batches = {int(size): int(count) for size, count in (each.split("=") for each in given.batch.split(","))}
    found = {"card": card, "torch": torch.__version__, "transformers": transformers.__version__, "sizes": {}}
    for size in map(int, given.sizes.split(",")):
        batch = batches[size]
        with tempfile.TemporaryDirectory() as folder:
            store = made_store(Path(folder), batch * max(given.steps, 2), size)
            row = {"batch": batch, "store_films_per_s": read(store, batch, device)}
            row["train"] = train_ours(store, size, batch, given.steps, given.compile, device)
        row["plain_loop"] = train_peer(size, batch, given.steps, given.compile, device)
        row["ratio"] = round(row["train"]["films_per_s"] / row["plain_loop"]["films_per_s"], 3)
        row["inference"] = infer(size, batch, given.steps, given.compile, device)
        row["gflop_per_film"] = round(gflop_per_film(size), 2)
        tflops = row["train"]["films_per_s"] * row["gflop_per_film"] / 1e3
        row["tflop_per_s"] = round(tflops, 1)
        row["share_of_bf16_peak"] = round(tflops / peak, 3) if peak else None
        found["sizes"][size] = row
        print(json.dumps({size: row}), file=sys.stderr, flush=True)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
