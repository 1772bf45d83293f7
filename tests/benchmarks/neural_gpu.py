"""The neural labeler on a GPU: its speed, and what several seeds of its training come to.

    python -m tests.benchmarks.neural_gpu prepare DATA.npz --corpus SOURCE --leave-out IDS --gold TABLE
    python -m tests.benchmarks.neural_gpu speed
    python -m tests.benchmarks.neural_gpu learn DATA.npz... --seeds 0,1,2,3 --seconds 150

``prepare`` needs the rules, and writes what is to be learned as tokens; the others need torch, transformers,
accelerate, pydantic and numpy. ``learn`` trains all at once, a process for each file and seed, and ends what is not
done in time. After each epoch it measures agreement with the teacher on the reports that were left out, and the gold
reports; after the last also what learning further from the gold does, by five folds. Each measurement is a line of JSON
on stdout, at once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertConfig

from corpora.accelerating import accelerator_of, quiet
from labeler.neural.batches import logits_of
from labeler.neural.combine import report_probabilities
from labeler.neural.loop import Encoded, Stage, Tokens, fit
from labeler.neural.measure import softmax, weighted_f1
from labeler.neural.model import BertCnnConfig, BertCnnForLabels
from labeler.neural.reading import IGNORED
from labeler.neural.recipe import StageRecipe, TrainRecipe
from tests.benchmarks.neural import learning, operations_per_second, reading

_PARTS: Final = ("weak", "left", "gold", "replay")
_STATES: Final = ("positive", "negative", "uncertain")
_FOLDS: Final = 5
_REPLAYED: Final = 300
#: Rate, epochs and reports of the teacher's beside the gold ones, in learning further from gold.
FURTHER: Final = ((1e-4, 6, 0), (1e-4, 6, 300), (3e-4, 6, 300), (3e-5, 6, 0), (3e-4, 12, 300))


def say(**figures: Any) -> None:
    """One line of JSON."""
    print(json.dumps(figures), flush=True)


# what is to be learned


def prepare(options: argparse.Namespace) -> None:
    """Write the tokens and classes of a recipe's sentences, of the reports left out and of gold ones."""
    from corpora.config import load_yaml
    from corpora.readers import ReadOptions
    from corpora.resources import config_path
    from labeler.base import load
    from labeler.neural.data import class_weights, collect, gold_examples, whole_reports
    from labeler.neural.encode import encode, encode_reports
    from labeler.neural.train import _lessons, _tokenizer

    recipe = load_yaml(config_path(options.config), TrainRecipe, options.set)
    teacher = load(recipe.teacher, recipe.label_schema)
    reports = collect([options.corpus], ReadOptions(), recipe.sections).reports
    apart = set(options.leave_out.read_text(encoding="utf-8").split())
    learned = [report for report in reports if report.study_id not in apart]
    lessons = _lessons(teacher, learned, recipe, [])
    gold, ids = gold_examples(options.gold, teacher.schema.labels, reports, recipe.sections)
    left = [report for report in reports if report.study_id in apart.difference(ids)]
    tokenizer = _tokenizer(recipe, lessons.weak.texts)
    length = recipe.max_length
    parts = {
        "weak": encode(tokenizer, lessons.weak, length), "gold": encode_reports(tokenizer, gold, length),
        "left": encode_reports(tokenizer, whole_reports(teacher, left, recipe.sections), length),
        "replay": encode_reports(
            tokenizer, whole_reports(teacher, learned[:_REPLAYED], recipe.sections), length
        ),
    }  # fmt: skip
    about = {
        "recipe": recipe.model_dump(mode="json"), "labels": teacher.schema.labels, "pieces": len(tokenizer),
        "no_finding": teacher.schema.no_finding, "pad": tokenizer.pad_token_id, "mask": tokenizer.mask_token_id,
        "special": sorted(set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}), "made": lessons.made,
    }  # fmt: skip
    arrays = {f"{name}.{key}": value for name, part in parts.items() for key, value in _packed(part).items()}
    weights = class_weights(parts["weak"].classes, recipe.balance)
    np.savez_compressed(options.data, about=np.array(json.dumps(about)), weights=weights, **arrays)


def _packed(part: Encoded) -> dict[str, NDArray[Any]]:
    return {
        "tokens": np.array([one for text in part.tokens for one in text], dtype=np.uint16),
        "lengths": np.array([len(text) for text in part.tokens], dtype=np.uint16),
        "classes": part.classes.astype(np.int8), "trust": part.trust.astype(np.float16),
        "sizes": np.array(part.sizes if part.sizes is not None else [], dtype=np.uint16),
    }  # fmt: skip


def _unpacked(arrays: Mapping[str, NDArray[Any]], name: str) -> Encoded:
    flat = arrays[f"{name}.tokens"].tolist()
    ends = [0, *accumulate(arrays[f"{name}.lengths"].tolist())]
    sizes = tuple(arrays[f"{name}.sizes"].tolist()) or None
    classes = arrays[f"{name}.classes"].astype(np.int64)
    return Encoded(
        [flat[at:end] for at, end in pairwise(ends)], classes, arrays[f"{name}.trust"].astype(np.float32), sizes
    )


# learning


class Lesson:
    """One training, of one file and seed."""

    def __init__(self, data: Path, seed: int, epochs: int | None) -> None:
        with np.load(data) as arrays:
            self.about: dict[str, Any] = json.loads(str(arrays["about"]))
            self.weights = arrays["weights"]
            self.parts = {name: _unpacked(arrays, name) for name in _PARTS}
        self.recipe = TrainRecipe.model_validate(self.about["recipe"])
        self.name, self.seed, self.epochs = data.stem, seed, epochs or self.recipe.weak.epochs
        self.no_finding = self.about["labels"].index(self.about["no_finding"])
        self.accelerator = accelerator_of("no", None, "train", Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp())
        torch.manual_seed(seed)
        self.model = _model(self.recipe, self.about).to(self.accelerator.device)

    def run(self) -> None:
        """Learn, and say what comes of it."""
        began = time.monotonic()
        recipe = self.recipe.weak.model_copy(update={"epochs": self.epochs, "keep": "last"})
        stage = self._stage("weak", recipe, self.parts["weak"], self.weights)
        fit(
            self.model, stage, self.accelerator, self.folder / "weak.pt", resume=False,
            watch=lambda epoch: say(
                data=self.name, seed=self.seed, epoch=epoch.epoch, seconds=round(time.monotonic() - began),
                **self._measured(),
            ),
        )  # fmt: skip
        for rate, epochs, replayed in FURTHER:
            found = self._folds(
                StageRecipe(epochs=epochs, patience=1, keep="last", batch_size=16, learning_rate=rate), replayed
            )
            say(data=self.name, seed=self.seed, further=[rate, epochs, replayed], gold=self._scores(found, "gold"))

    def _stage(self, name: str, recipe: StageRecipe, learned: Encoded, weights: NDArray[np.float32]) -> Stage:
        tokens = Tokens(self.about["pad"], self.about["mask"], frozenset(self.about["special"]))
        few = _rows(self.parts["gold"], range(2))
        return Stage(
            name,
            recipe,
            learned,
            few,
            weights,
            tokens,
            self.recipe.word_dropout,
            self.seed,
            "",
            self.no_finding,
            in_turn=self.about["made"] if name == "weak" and self.recipe.fresh else 0,
        )

    def _measured(self) -> dict[str, Any]:
        return {name: self._scores(self._found(self.parts[name]), name) for name in ("left", "gold")}

    def _found(self, part: Encoded) -> NDArray[np.int64]:
        logits = logits_of(self.model, part.tokens, self.about["pad"], 256)
        found: NDArray[np.int64] = report_probabilities(softmax(logits), part.sizes or (), self.no_finding).argmax(-1)
        return found

    def _scores(self, found: NDArray[np.int64], name: str) -> dict[str, float]:
        truth = self.parts[name].classes
        scores = {"weighted_f1": round(weighted_f1(found, truth), 4)}
        for number, state in enumerate(_STATES, 1):
            said, true = (found == number) & (truth != IGNORED), truth == number
            scores[state] = round(2 * float((said & true).sum()) / max(int(said.sum() + true.sum()), 1), 4)
        return scores

    def _folds(self, recipe: StageRecipe, replayed: int) -> NDArray[np.int64]:
        """What the gold reports are found to be by networks that learned further from the others of them."""
        from labeler.neural.data import class_weights

        before = deepcopy(self.model.state_dict())
        gold = self.parts["gold"]
        fold = np.random.default_rng(0).permutation(len(gold)) % _FOLDS
        found = np.zeros_like(gold.classes)
        for number in range(_FOLDS):
            learned = _rows(gold, np.flatnonzero(fold != number))
            if replayed:
                learned = _together(learned, _rows(self.parts["replay"], range(replayed)))
            self.model.load_state_dict(before)
            stage = self._stage("gold", recipe, learned, class_weights(learned.classes, self.recipe.balance))
            fit(self.model, stage, self.accelerator, self.folder / "gold.pt", resume=False, watch=lambda epoch: None)
            rows = np.flatnonzero(fold == number)
            found[rows] = self._found(_rows(gold, rows))
        self.model.load_state_dict(before)
        return found


def _model(recipe: TrainRecipe, about: Mapping[str, Any]) -> BertCnnForLabels:
    encoder, head = recipe.encoder, recipe.head
    bert = BertConfig(
        vocab_size=about["pieces"], hidden_size=encoder.hidden_size, num_hidden_layers=encoder.layers,
        num_attention_heads=encoder.attention_heads, intermediate_size=encoder.intermediate_size,
        max_position_embeddings=recipe.max_length, pad_token_id=about["pad"],
    )  # fmt: skip
    return BertCnnForLabels(
        BertCnnConfig(
            encoder=bert.to_dict(), head=head.kind, widths=list(head.widths), filters=head.filters,
            dropout=head.dropout, label_names=list(about["labels"]), no_finding=about["no_finding"],
            max_length=recipe.max_length,
        )
    )  # fmt: skip


def _rows(part: Encoded, rows: Sequence[int] | NDArray[np.int64] | range) -> Encoded:
    groups = part.groups()
    chosen = [groups[at] for at in rows]
    at = np.array(list(rows), dtype=np.int64)
    sizes = tuple(map(len, chosen)) if part.sizes is not None else None
    return Encoded([text for group in chosen for text in group], part.classes[at], part.trust[at], sizes)


def _together(one: Encoded, other: Encoded) -> Encoded:
    return Encoded(
        one.tokens + other.tokens,
        np.concatenate([one.classes, other.classes]), np.concatenate([one.trust, other.trust]),
        (one.sizes or ()) + (other.sizes or ()),
    )  # fmt: skip


def learn(options: argparse.Namespace) -> None:
    """All files and seeds at once, in processes of their own, that end in time."""
    seeds = [int(seed) for seed in options.seeds.split(",")]
    if len(options.data) == 1 and len(seeds) == 1:
        quiet()
        torch.set_num_threads(1)
        Lesson(options.data[0], seeds[0], options.epochs).run()
        return
    epochs = ["--epochs", str(options.epochs)] if options.epochs else []
    call = [sys.executable, "-m", "tests.benchmarks.neural_gpu", "learn"]
    started = [
        subprocess.Popen([*call, str(data), "--seeds", str(seed), *epochs]) for seed in seeds for data in options.data
    ]
    until = time.monotonic() + options.seconds
    for process in started:
        try:
            process.wait(max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def speed(options: argparse.Namespace) -> None:
    """Texts read and learned from per second, and their share of the bound."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes = [int(size) for size in options.batches.split(",")]
    model = BertCnnForLabels(BertCnnConfig(label_names=[f"label {number}" for number in range(14)])).to(device)
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    say(device=card, bf16_operations_per_second=operations_per_second(device, "bf16"), torch=torch.__version__)
    for tokens in map(int, options.tokens.split(",")):
        for size in sizes:
            for row in (*reading(model, "eager", "bf16", [size], tokens), *learning(model, "bf16", [size], tokens)):
                say(task=row.task, batch=row.batch, tokens=row.tokens, texts_per_second=round(row.rate),
                    share=round(row.share, 4), peak_gib=row.peak_gib)  # fmt: skip


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.neural_gpu", description=(__doc__ or "").split("\n")[0]
    )
    tasks = parser.add_subparsers(required=True)
    one = tasks.add_parser("prepare", help="write what is to be learned, with the rules at hand")
    one.add_argument("data", type=Path)
    one.add_argument("--corpus", required=True)
    one.add_argument("--leave-out", type=Path, required=True, help="study ids not to learn from, one a line")
    one.add_argument("--gold", type=Path, required=True)
    one.add_argument("--config", default="label/bertcnn")
    one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    one.set_defaults(work=prepare)
    one = tasks.add_parser("speed", help="how fast it reads and learns")
    one.add_argument("--batches", default="64,512,4096")
    one.add_argument("--tokens", default="16,64")
    one.set_defaults(work=speed)
    one = tasks.add_parser("learn", help="what several seeds come to")
    one.add_argument("data", type=Path, nargs="+")
    one.add_argument("--seeds", default="0,1,2,3")
    one.add_argument("--epochs", type=int, help="other than the recipe's")
    one.add_argument("--seconds", type=float, default=150, help="then the processes are ended (%(default)s)")
    one.set_defaults(work=learn)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    options = _options(arguments)
    options.work(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
