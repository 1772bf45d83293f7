"""What the tests of training and prediction share: a made corpus of films with a bright spot for each finding."""

import csv
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import torch
from PIL import Image

from corpora.store import StudyWriter
from corpora.types import ImageRef, Study
from vision.recipe import VisionRecipe
from vision.train import train

torch.set_num_threads(1)

LABELS = ("Left", "Right", "Rare")
TINY = VisionRecipe.model_validate(
    {
        "size": 32,
        "min_positive": 2,
        "backbone": {
            "settings": {"layer_type": "basic", "embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]},
            "gather": "mean_max",
        },
        "augment": {"degrees": 2, "shift": 0.02, "zoom": 0.02, "brightness": 0.02, "contrast": 0.02, "noise": 0.01},
        "training": {"epochs": 3, "batch_size": 16, "learning_rate": 1e-2, "ema": 0.5},
    }
)


def changed(**fields):
    """The tiny recipe with other fields; a mapping changes fields inside one."""
    old = TINY.model_dump()
    return VisionRecipe.model_validate(
        old | {name: old[name] | value if isinstance(value, dict) else value for name, value in fields.items()}
    )


def film(left, right, draw):
    """A grey film; a bright spot at a side is its finding."""
    greys = draw.integers(60, 120, (40, 32)).astype(np.uint8)
    if left:
        greys[10:18, 4:12] = 250
    if right:
        greys[22:30, 20:28] = 250
    return greys


def write_corpus(folder, studies=90, seed=0):
    """A corpus with two films a study for every third; its label table, and its split by patient."""
    draw = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    rows, parts = [], []
    with StudyWriter(folder) as writer:
        for number in range(studies):
            left, right = number % 2, number // 2 % 2
            images = []
            for view in ("PA", "LATERAL")[: 2 if number % 3 == 0 else 1]:
                path = f"images/f{number}-{view}.png"
                Image.fromarray(film(left, right, draw)).save(folder / path)
                images.append(ImageRef(path, view, image_id=f"f{number}-{view}"))
            writer.append(Study(f"s{number}", f"p{number // 2}", tuple(images)))
            cells = [left, right, 1 if number == 0 else 0]
            # an uncertain cell and a blank one now and then
            if number % 10 == 5:
                cells[0] = -1
            if number % 10 == 6:
                cells[1] = "" if not right else 1
            rows.append([f"s{number}", *cells])
            part = ("train", "train", "train", "validate", "test")[number // 2 % 5]
            parts.append([f"s{number}", f"p{number // 2}", part])
    (folder / "manifest.json").write_text("{}\n")
    write_rows(folder / "split.csv", ("study_id", "patient_id", "split"), parts)
    write_rows(folder / "labels.csv", ("study_id", *LABELS), rows)
    return folder


def write_rows(path, header, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


@pytest.fixture(scope="session")
def eye_corpus(tmp_path_factory):
    """90 studies of 45 patients with labels and a split."""
    return write_corpus(tmp_path_factory.mktemp("eye") / "corpus")


@pytest.fixture(scope="session")
def eye_run(eye_corpus, tmp_path_factory):
    """What training on them came to."""
    out = tmp_path_factory.mktemp("eye-run") / "run"
    return train(eye_corpus, eye_corpus / "labels.csv", out, changed(training={"epochs": 8}))
