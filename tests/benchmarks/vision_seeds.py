"""The phantom recipe over several seeds on a card: each uncertainty policy, plain and noise-aware, ways to gather.

    python -m tests.benchmarks.vision_seeds pack FOLDER PACK               FOLDER as vision_phantom.py leaves it
    python -m tests.benchmarks.vision_seeds run PACK OUT [--minutes 4]     trainings side by side, a JSON line for each
    python -m tests.benchmarks.vision_seeds table PACK OUT                 tables with intervals

PACK is small enough to be carried: films of the recipe's size as WebP (quality 75), labels, split and truth. ``run``
needs torch, transformers, accelerate, pydantic, PyYAML, Pillow and a checkout; it ends by itself after so many minutes
and leaves what is not done. OUT has the scores of the test part of each training. The trainings differ from
``configs/vision/phantom.yaml`` in 12 epochs, in the network, and in what their name says.

Noise: the label of each study is turned with a chance of 30 % (a positive denied, any other one called positive), in
train and validation part alike; a tenth of the studies is audited, whence the matrix. The other labels stay. Areas are
against what was drawn, as in ``vision_phantom.py``; intervals by patient, of the mean over the seeds of noise, weights
and order, each with its own 2,000 replicates of the same draws.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

WRONG, AUDITED = 0.3, 0.1
POLICIES = ("ignore", "zeros", "ones", "zeros_lsr", "ones_lsr", "three_way", "self_trained")
PARTS = ("train", "validate", "test")
QUALITY = 75
#: The network of all but the ``way-`` trainings: three stages, and the peak of each feature.
NETWORK = [
    'backbone.gather="mean_max"', "backbone.settings.hidden_sizes=[24,48,96]", "backbone.settings.depths=[1,1,2]",
]  # fmt: skip
STATE_NAMES = ["positive", "negative", "uncertain", "blank"]


def wrong_states(states, seed):
    """States [N] of a label with a share of them turned, and the matrix [4, 4] that an audit of some counts."""
    draw = np.random.default_rng(seed)
    wrong = draw.random(len(states)) < WRONG
    found = np.where(wrong, np.where(states == 1, 0, 1), states)
    audited = draw.random(len(states)) < AUDITED
    codes = {1: 0, 0: 1, -1: 2, -2: 3}
    matrix = np.zeros((4, 4), dtype=int)
    for truth, machine in zip(states[audited], found[audited], strict=True):
        matrix[codes[int(truth)], codes[int(machine)]] += 1
    return found.astype(states.dtype), matrix


def confusion_text(label, matrix):
    """The matrix as ``radloop audit apply`` writes it."""
    entry = {"states": STATE_NAMES, "matrix": matrix.tolist(), "n": int(matrix.sum())}
    return json.dumps({"labels": {label: entry}})


# Pack


def pack(folder, out, recipe):
    """The films, labels, parts and truth of a benchmark's folder in one that can be carried."""
    from corpora.images.cache import ImageCache
    from corpora.label_table import read_label_matrix
    from tests.benchmarks.vision_phantom import drawn
    from vision.batches import Store
    from vision.data import gather

    corpus, table = folder / "corpus", read_label_matrix(folder / "labels.csv")
    gathered = gather(corpus, table, None, recipe.views)
    films = [(part, film) for part in PARTS for film in gathered.of_part[part]]
    store = Store(ImageCache(folder / f"cache-{recipe.size}"), [film.image_id for _, film in films])
    out.mkdir(parents=True, exist_ok=True)
    sizes = []
    with (out / "films.bin").open("wb") as file:
        for row in range(len(films)):
            kept = io.BytesIO()
            Image.fromarray(store.take(np.array([row]))[0]).convert("RGB").save(kept, "WEBP", quality=QUALITY, method=6)
            sizes.append(file.write(kept.getvalue()))
    found, studies = drawn(corpus), [film.study_id for _, film in films]
    np.savez_compressed(
        out / "tables.npz", sizes=np.array(sizes), part=np.array([PARTS.index(part) for part, _ in films]),
        image_id=np.array([film.image_id for _, film in films]), study_id=np.array(studies),
        patient_id=np.array([film.patient_id for _, film in films]), labels=np.array(table.labels),
        states=table.states[[table.rows[study] for study in studies]],
        truth=np.array([[label in found[study] for label in table.labels] for study in studies], dtype=np.int8),
    )  # fmt: skip


def unpack(folder, out):
    """The films of a pack as one memory-mapped file in ``out``."""
    sizes = np.load(folder / "tables.npz")["sizes"]
    data, ends = (folder / "films.bin").read_bytes(), np.cumsum(sizes)
    films = [
        np.asarray(Image.open(io.BytesIO(data[end - size : end])).convert("L"))
        for size, end in zip(sizes, ends, strict=True)
    ]
    np.save(out / "films-00000.npy", np.stack(films))


class Pack:
    """A pack's tables and its films, as training takes them."""

    def __init__(self, folder, films):
        self.tables = dict(np.load(folder / "tables.npz"))
        size = np.load(films / "films-00000.npy", mmap_mode="r").shape[1]
        ids = self.tables["image_id"].tolist()
        self.cache = _Cache(
            [{"image_id": each, "shard": 0, "row": at, "size": size} for at, each in enumerate(ids)], films
        )

    def gathered(self):
        from corpora.images.cache import Film
        from vision.data import Gathered

        t = self.tables
        films = [
            Film(str(i), "", str(s), str(p))
            for i, s, p in zip(t["image_id"], t["study_id"], t["patient_id"], strict=True)
        ]
        of_part = {part: [films[at] for at in np.flatnonzero(t["part"] == number)] for number, part in enumerate(PARTS)}
        return Gathered(films, of_part, 0, 0, 0)

    def matrix(self, states):
        from corpora.label_table import LabelMatrix

        ids, first = np.unique(self.tables["study_id"], return_index=True)
        ids = [str(each) for each in ids]
        labels = tuple(str(each) for each in self.tables["labels"])
        return LabelMatrix(Path("pack"), tuple(ids), labels, states[first], {each: at for at, each in enumerate(ids)})


class _Cache(SimpleNamespace):
    def __init__(self, rows, folder):
        super().__init__(rows=rows, folder=folder, known={row["image_id"] for row in rows})

    def __contains__(self, image_id):
        return image_id in self.known


# Run


def jobs(label, seeds):
    """(name, seed, changes, whether the label is made wrong) of every training, the first the most wanted."""
    peak = 'backbone.gather="mean_peak"'
    fine = ["backbone.settings.hidden_sizes=[24,64]", "backbone.settings.depths=[1,2]"]
    wide = ["backbone.settings.hidden_sizes=[32,64]", "backbone.settings.depths=[1,3]"]
    ways = {
        "peak": [peak],
        "peak-fine": [peak, *fine],
        "fine": fine,
        "peak-asymmetric": [peak, 'loss.kind="asymmetric"'],
        "peak-fine-wide": [peak, *wide],
    }
    for seed in range(seeds):
        yield "policy-ignore", seed, [], False
        for kind in ("ignore", "noise_aware"):
            policies = json.dumps({label: {"uncertain": kind, "blank": "negative"}})
            yield f"noise-{kind}", seed, [f"policies={policies}"], True
        if seed == 0:
            for name, changes in ways.items():
                yield f"way-{name}", seed, changes, False
        for policy in POLICIES[1:]:
            yield f"policy-{policy}", seed, [f'default_policy={{"uncertain": "{policy}", "blank": "negative"}}'], False


def work(todo, done, folder, films, out, label, common):
    """A process: trainings from the queue until it is empty."""
    import queue

    import torch

    torch.set_num_threads(1)
    pack_ = Pack(folder, films)
    while True:
        try:
            job = todo.get(timeout=1)
        except queue.Empty:
            return
        try:
            done.put(train_one(pack_, out, label, common, *job))
        except Exception as error:
            done.put({"name": job[0], "seed": job[1], "error": f"{type(error).__name__}: {error}"})


def train_one(pack_, out, label, common, name, seed, changes, wrong):
    """Train, score the test part, keep the scores; a line for the log."""
    from accelerate import Accelerator

    from corpora.runs import output_target
    from vision.batches import Store
    from vision.calibrate import study_probabilities, temperatures
    from vision.data import part_films
    from vision.forward import film_logits
    from vision.lessons import lessons_of
    from vision.pooling import auroc
    from vision.stages import all_stages
    from vision.train_command import recipe_of

    begun = time.perf_counter()
    recipe = recipe_of("vision/phantom", [*NETWORK, *common, f"seed={seed}", *changes])
    states = pack_.tables["states"].copy()
    with tempfile.TemporaryDirectory() as scratch:
        confusion = None
        if wrong:
            table = pack_.matrix(states)
            at = table.labels.index(label)
            turned, counts = wrong_states(table.states[:, at], seed)
            states[:, at] = turned[[table.rows[str(study)] for study in pack_.tables["study_id"]]]
            confusion = Path(scratch) / "confusion.json"
            confusion.write_text(confusion_text(label, counts), encoding="utf-8")
        gathered, table = pack_.gathered(), pack_.matrix(states)
        lessons = lessons_of(gathered, pack_.cache, table, recipe, confusion)
        target = output_target(Path(scratch) / "run", "model.safetensors")
        target.work.mkdir(parents=True)
        model, _ = all_stages(
            lessons, recipe, Accelerator(mixed_precision=recipe.training.precision), target, resume=False,
            watch=lambda epoch: None, steps=lambda step: None,
        )  # fmt: skip
    places = [table.labels.index(each) for each in lessons.labels]
    films = {"validate": lessons.heldout, "test": part_films(gathered.of_part["test"], pack_.cache, table)}
    logits = {p: film_logits(model, Store(pack_.cache, f.image_ids), np.arange(len(f)), 256) for p, f in films.items()}
    heat = temperatures(
        logits["validate"], films["validate"].study, lessons.heldout_truth, recipe.pooling, lessons.written()
    )
    said = {"name": name, "seed": seed}
    for part, f in films.items():
        scores = study_probabilities(logits[part], f.study, len(f.study_ids), heat, recipe.pooling)
        rows = np.searchsorted(np.unique(pack_.tables["study_id"]), f.study_ids)
        truth = pack_.matrix(pack_.tables["truth"]).states[rows][:, places]
        areas = {each: round(auroc(scores[:, at], truth[:, at]) or 0.0, 4) for at, each in enumerate(lessons.labels)}
        said[part] = round(float(np.mean(list(areas.values()))), 4)
        if part == "test":
            np.savez_compressed(
                out / f"{name}.{seed}.npz", scores=scores.astype(np.float32), truth=truth,
                labels=np.array(lessons.labels), patient=np.array(f.patient_ids), study=np.array(f.study_ids),
            )  # fmt: skip
            said["areas"] = areas
    return said | {"seconds": round(time.perf_counter() - begun, 1)}


def run(given):
    """All trainings, side by side, until they are done or the minutes are over."""
    import torch
    from torch import multiprocessing

    ends = time.monotonic() + 60 * given.minutes
    given.out.mkdir(parents=True, exist_ok=True)
    common = [
        f"training.epochs={given.epochs}",
        f"training.patience={given.epochs}",
        "training.batch_size=32",
        *given.set,
    ]
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch:
        unpack(given.pack, Path(scratch))
        todo, done = context.Queue(), context.Queue()
        wanted = [job for job in jobs(given.label, given.seeds) if job[0].startswith(given.only)][: given.most]
        for job in wanted:
            todo.put(job)
        arguments = (todo, done, given.pack, Path(scratch), given.out, given.label, common)
        workers = [context.Process(target=work, args=arguments, daemon=True) for _ in range(given.workers)]
        for worker in workers:
            worker.start()
        card = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        print(json.dumps({"card": card, "jobs": len(wanted), "common": common}), flush=True)
        left = len(wanted)
        while left and (rest := ends - time.monotonic()) > 0 and any(worker.is_alive() for worker in workers):
            try:
                line = done.get(timeout=min(rest, 5))
            except Exception:  # nothing yet
                continue
            left -= 1
            with (given.out / "lines.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
        for worker in workers:
            worker.kill()
    print(json.dumps({"not done": left}), flush=True)


# Tables


def table(given):
    """Each kind of training with the others: areas over seeds with intervals, and differences."""
    from tests.benchmarks.vision_phantom import Scores, estimate

    runs = {}
    for path in sorted(given.out.glob("*.npz")):
        name, seed = path.stem.rsplit(".", 1)
        kept = dict(np.load(path))
        scores = Scores(kept["labels"].tolist(), kept["patient"].tolist(), kept["scores"].astype(float), kept["truth"])
        runs.setdefault(name, {})[int(seed)] = (scores, scores.replicates())
    n = len(set(next(iter(next(iter(runs.values())).values()))[0].patients))
    macro = {
        name: {seed: (np.nanmean(s.areas), np.nanmean(r, axis=1)) for seed, (s, r) in of.items()}
        for name, of in runs.items()
    }
    found = {"seeds": {name: sorted(of) for name, of in runs.items()}, "macro": {}, "noise": {}}
    for name, of in macro.items():
        if name.startswith("noise"):
            continue
        both = sorted(set(of) & set(macro["policy-ignore"]))
        row = found["macro"][name] = {"auroc": _mean(of, sorted(of), n, estimate)}
        row["minus ignore"] = _difference(of, macro["policy-ignore"], both, n, estimate)
        row["labels"] = {
            label: round(float(np.mean([s.areas[s.labels.index(label)] for s, _ in runs[name].values()])), 3)
            for label in next(iter(runs[name].values()))[0].labels
        }
    plain, aware = runs.get("noise-ignore", {}), runs.get("noise-noise_aware", {})
    for what in ("auroc", "auprc", "brier"):
        of = [{seed: _of_label(s, given.label, what) for seed, (s, _) in kind.items()} for kind in (plain, aware)]
        both = sorted(set(of[0]) & set(of[1]))
        if both:
            found["noise"][what] = {
                "plain": _mean(of[0], both, n, estimate), "noise-aware": _mean(of[1], both, n, estimate),
                "noise-aware minus plain": _difference(of[1], of[0], both, n, estimate),
            }  # fmt: skip
    print(json.dumps(found, indent=1))


def _mean(of, seeds, n, estimate):
    return estimate(np.mean([of[s][0] for s in seeds]), np.mean([of[s][1] for s in seeds], axis=0), n)


def _difference(of, other, seeds, n, estimate):
    if not seeds:
        return None
    values = np.mean([of[s][0] - other[s][0] for s in seeds])
    return estimate(values, np.mean([of[s][1] - other[s][1] for s in seeds], axis=0), n)


def _of_label(scores, label, what):
    from sklearn.metrics import average_precision_score

    from vision.pooling import auroc

    measures = {
        "auroc": auroc, "auprc": lambda s, t: average_precision_score(t, s),
        "brier": lambda s, t: float(np.mean((s - t) ** 2)),
    }  # fmt: skip
    at = scores.labels.index(label)
    s, t = scores.scores[:, at], scores.truth[:, at]
    return measures[what](s, t), np.array([measures[what](s[rows], t[rows]) for rows in scores.draws()])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pack", "run", "table"])
    parser.add_argument("pack", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="trainings whose name begins so, such as noise")
    parser.add_argument("--most", type=int, default=999)
    parser.add_argument("--label", default="Pleural Effusion")
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    if given.what == "pack":
        from vision.train_command import recipe_of

        pack(given.pack, given.out, recipe_of("vision/phantom", given.set))
    else:
        {"run": run, "table": table}[given.what](given)


if __name__ == "__main__":
    sys.exit(main())
