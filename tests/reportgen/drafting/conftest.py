"""A made corpus of films with reports, an encoder, a decoder and a drafter of it, all tiny. Sentences are invented."""

import csv
import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import torch
from PIL import Image

from corpora.store import StudyWriter
from corpora.types import ImageRef, Report, Study
from reportgen.pretrain import pretrain
from reportgen.recipes import ReportPretrainRecipe, ReportTrainRecipe
from reportgen.train import train
from vision.recipe import VisionRecipe
from vision.train import train as train_vision

torch.set_num_threads(1)

LABELS = ("Pleural Effusion", "Cardiomegaly")
SAID = ("There is a pleural effusion.", "The heart is enlarged.")
PARTS = ("train", "train", "train", "validate", "test")
EYE = VisionRecipe.model_validate({
    "size": 32, "min_positive": 2,
    "backbone": {"settings": {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]},
                 "gather": "mean_max"},
    "augment": {"degrees": 2, "shift": 0.02, "zoom": 0.02, "brightness": 0.02, "contrast": 0.02, "noise": 0.01},
    "training": {"epochs": 3, "batch_size": 16, "learning_rate": 1e-2, "ema": 0.5},
})  # fmt: skip
DECODER = ReportPretrainRecipe.model_validate({
    "decoder": {"kind": "llama", "vocab_size": 340, "settings": {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
        "max_position_embeddings": 256}},
    "max_tokens": 64, "heldout": 0.2, "lm_course": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2},
})  # fmt: skip
COURSE = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3}


def training(**changed):
    """The tiny recipe of a drafter."""
    return ReportTrainRecipe.model_validate({
        "decoder_source": "decoder", "side": 2, "films": 2, "max_tokens": 32, "prompt_tokens": 24, "align": COURSE,
        "adapt": COURSE, "lora": {"rank": 2, "alpha": 4, "dropout": 0.1, "targets": ["q_proj", "down_proj"]},
        "choice": {"studies": 4},
    } | changed)  # fmt: skip


def report_of(number, left, right):
    findings = [text for text, here in zip(SAID, (left, right), strict=True) if here] or ["The lungs are clear."]
    compared = ["No change since the prior study."] if number % 4 == 0 else []
    text = " ".join([*compared, f"The marker is B{number}.", *findings])
    return f"INDICATION: Cough {number % 3}.\n\nFINDINGS: {text}\n\nIMPRESSION: As above."


def film(left, right, draw):
    greys = draw.integers(60, 120, (40, 32)).astype(np.uint8)
    if left:
        greys[10:18, 4:12] = 250
    if right:
        greys[22:30, 20:28] = 250
    return greys


def write_corpus(folder, studies=60, dated=False):
    """Two studies a patient; ``dated`` says when they were, the second one before the first."""
    draw = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    labels, parts = [], []
    with StudyWriter(folder) as writer:
        for number in range(studies):
            left, right = number % 2, number // 2 % 2
            images = []
            for view in ("PA", "LATERAL")[: 2 if number % 3 == 0 else 1]:
                path = f"images/f{number}-{view}.png"
                Image.fromarray(film(left, right, draw)).save(folder / path)
                images.append(ImageRef(path, view, image_id=f"f{number}-{view}"))
            report = Report(f"s{number}", report_of(number, left, right))
            meta = {"year": 2001 - number % 2, "age": 51.0 - number % 2} if dated else {}
            writer.append(Study(f"s{number}", f"p{number // 2}", tuple(images), report, meta))
            labels.append([f"s{number}", left, right])
            parts.append([f"s{number}", f"p{number // 2}", PARTS[number // 2 % 5]])
    (folder / "manifest.json").write_text("{}\n")
    write_rows(folder / "split.csv", ("study_id", "patient_id", "split"), parts)
    write_rows(folder / "labels.csv", ("study_id", *LABELS), labels)
    return folder


def write_rows(path, header, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def read_records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def films(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("films") / "corpus")


@pytest.fixture(scope="session")
def eye(films, tmp_path_factory):
    run = tmp_path_factory.mktemp("eye") / "run"
    train_vision(films, films / "labels.csv", run, EYE)
    return run


@pytest.fixture(scope="session")
def decoder(films, tmp_path_factory):
    run = tmp_path_factory.mktemp("decoder") / "run"
    pretrain([str(films)], run, DECODER)
    return run


@pytest.fixture(scope="session")
def drafter(films, eye, decoder, tmp_path_factory):
    run = tmp_path_factory.mktemp("drafter") / "run"
    train(films, eye, run, training(decoder_source=str(decoder)))
    return run
