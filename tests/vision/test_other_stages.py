"""A run of one stage given where that of another is wanted, and folders that hold no run: one line, nothing lost."""

import json
import shutil

import pytest

from tests.vision.conftest import TINY, detector_recipe
from vision.contrast_recipe import PretrainVisionRecipe
from vision.pretrain import pretrain
from vision.recipe import VisionRecipe
from vision.train import train

FILMS = {"size": 32, "dimension": 8, "backbone": TINY.backbone.model_dump(), "moco": {"queue": 16},
         "training": {"epochs": 1, "batch_size": 16}}  # fmt: skip


@pytest.fixture(scope="module")
def runs(boxed, detector, eye_run, tmp_path_factory):
    """A folder of each kind."""
    from tests.vision.test_diagnosis import recipe as diagnosis_recipe

    folder = tmp_path_factory.mktemp("stages")
    pretrain(boxed, folder / "start", PretrainVisionRecipe.model_validate(FILMS))
    short = diagnosis_recipe(eye_run.folder, training={"epochs": 1})
    train(boxed, boxed / "labels.csv", folder / "diagnosis", short)
    made = {"encoder": eye_run.folder, "detector": detector.folder}
    for name, path in made.items():
        shutil.copytree(path, folder / name)
    shutil.copytree(folder / "encoder", folder / "list")
    (folder / "list" / "config.json").write_text("[]")
    shutil.copytree(folder / "encoder", folder / "odd")
    (folder / "odd" / "config.json").write_text('{"model_type": ["resnet"]}')
    for name in ("encoder", "detector"):
        shutil.copytree(folder / name, folder / f"cut-{name}")
        weights = folder / f"cut-{name}" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
    (folder / "empty").mkdir()
    return folder


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """Tiny recipes as files."""
    folder = tmp_path_factory.mktemp("recipes")
    course = {"training": TINY.training.model_dump() | {"epochs": 1}}
    made = {
        "train": VisionRecipe.model_validate(TINY.model_dump() | course).model_dump(), "pretrain": FILMS,
        "detector": detector_recipe(training={"epochs": 1}).model_dump(),
    }  # fmt: skip
    for name, recipe in made.items():
        (folder / f"{name}.yaml").write_text(json.dumps(recipe))
    return folder


#: What each command takes: the kinds of run, and the option or place that names them.
TAKES = {
    "pretrain": ("encoder", "start"),
    "train": ("encoder", "start"),
    "train-detector": ("encoder", "start", "detector"),
    "abnormality": ("encoder",),
    "predict": ("encoder", "diagnosis"),
    "detect": ("detector",),
}
BROKEN = {"list": "model.damaged", "odd": "model.damaged", "empty": "model.missing"}


def command(name, run, corpus, recipes, out):
    boxes, labels = ("--boxes", corpus / "boxes.csv"), ("--labels", corpus / "labels.csv")
    return {
        "pretrain": ("pretrain", "--corpus", corpus, "--config", recipes / "pretrain.yaml", "--init", run),
        "train": ("train", "--corpus", corpus, *labels, "--config", recipes / "train.yaml", "--init", run),
        "abnormality": ("train", "--corpus", corpus, *labels, "--config", recipes / "train.yaml", "--abnormality", run),
        "train-detector": ("train-detector", "--corpus", corpus, *boxes, "--config", recipes / "detector.yaml",
                           "--init", run),
        "predict": ("predict", run, corpus, "--part", "test"),
        "detect": ("detect", run, corpus, "--part", "test"),
    }[name] + ("-o", out)  # fmt: skip


@pytest.mark.parametrize("name", TAKES)
def test_each_stage_takes_its_runs_and_says_what_others_are(radloop, boxed, runs, recipes, tmp_path, name):
    out = tmp_path / ("out.csv" if name == "predict" else "out")
    for kind in TAKES[name]:
        taken = radloop("vision", *command(name, runs / kind, boxed, recipes, out))
        assert taken.code == 0, (kind, taken.err)
    # of a run that is there nothing is lost
    complete = out.with_name("out.csv.manifest.json") if name == "predict" else out / "manifest.json"
    before = complete.read_bytes()
    others = {kind: "model.kind" for kind in ("start", "encoder", "diagnosis", "detector") if kind not in TAKES[name]}
    cut = {"cut-detector" if name == "detect" else "cut-encoder": "model.damaged"}
    for kind, code in (others | BROKEN | cut).items():
        refused = radloop("vision", *command(name, runs / kind, boxed, recipes, out))
        assert refused.code == 2, (kind, refused.err)
        assert f"[{code}]" in refused.err and str(runs / kind) in refused.err, (kind, refused.err)
        assert len(refused.err.splitlines()) <= 3
    assert complete.read_bytes() == before


def test_what_the_labels_or_boxes_cannot_teach_is_said_first(radloop, boxed, runs, recipes, tmp_path):
    boxes = tmp_path / "boxes.csv"
    out = tmp_path / "out"
    given = ("vision", "train-detector", "--corpus", boxed, "--config", recipes / "detector.yaml", "-o", out, "--boxes")
    assert radloop(*given, boxed / "boxes.csv").code == 0
    before = (out / "manifest.json").read_bytes()
    boxes.write_text("image_id,class_name,x_min,y_min,x_max,y_max\nf1-PA,Left,4,10,4,18\nf1-PA,No finding,,,,\n")
    none = radloop(*given, boxes)
    assert none.code == 2 and "vision.no_boxes" in none.err and "row 1" in none.err, none.err
    label = radloop(*given, boxed / "boxes.csv", "--set", 'labels=["Mass"]')
    assert label.code == 2 and "config.value" in label.err and "Left" in label.err
    size = radloop(*given, boxed / "boxes.csv", "--set", "size=36")
    assert size.code == 2 and "multiple of 8" in size.err
    assert (out / "manifest.json").read_bytes() == before
