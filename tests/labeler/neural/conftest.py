"""A tiny network trained on 200 invented reports, once for all tests."""

import itertools
import json
import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from labeler.neural.recipe import EncoderRecipe, HeadRecipe, StageRecipe, TrainRecipe
from labeler.neural.train import train

torch.set_num_threads(1)

INVENTED = Path(__file__).resolve().parents[1] / "data" / "invented.jsonl"
TINY = TrainRecipe(
    encoder=EncoderRecipe(hidden_size=64, layers=1, attention_heads=2, intermediate_size=64, vocab_size=600),
    head=HeadRecipe(widths=(1, 2, 3), filters=64, dropout=0.0),
    max_length=96,
    heldout=0.15,
    made=2500,
    fresh=False,
    varied=0.5,
    word_dropout=0.02,
    balance=0.3,
    weak=StageRecipe(epochs=6, patience=6, batch_size=16, learning_rate=2e-3),
    gold=StageRecipe(epochs=2, patience=2, batch_size=8, learning_rate=1e-3),
    folds=3,
)


def changed(**fields):
    """The tiny recipe with other fields; a mapping changes fields inside one."""
    old = TINY.model_dump()
    return TrainRecipe.model_validate(
        old | {name: old[name] | value if isinstance(value, dict) else value for name, value in fields.items()}
    )


@pytest.fixture(scope="session")
def invented():
    """200 invented reports with their gold labels."""
    with INVENTED.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in itertools.islice(lines, 200)]


@pytest.fixture(scope="session")
def source(invented, tmp_path_factory):
    """These reports as a source."""
    path = tmp_path_factory.mktemp("reports") / "reports.jsonl"
    lines = [json.dumps({"study_id": record["id"], "report": record["text"]}) + "\n" for record in invented]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(source, tmp_path_factory):
    """What training on them came to."""
    return train([str(source)], tmp_path_factory.mktemp("runs") / "run", TINY, command=["radloop", "label", "train"])
