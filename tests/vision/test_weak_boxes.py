"""Boxes around maps: where they lie, which films get them, what they score, and that a detector begins with them."""

import json

import numpy as np
import pytest

from corpora.boxes import read_boxes
from corpora.images.fit import transform_of
from tests.vision.conftest import HEAD, write_rows
from tests.vision.conftest import detector_recipe as recipe
from vision.detector_train import train_detector
from vision.weak_boxes import regions


@pytest.fixture(scope="module")
def truth(eye_corpus, tmp_path_factory):
    """The boxes of the spots."""
    rows = []
    for path in sorted((eye_corpus / "images").glob("*.png")):
        number = int(path.stem.split("-")[0][1:])
        rows += [[path.stem, "Left", 4, 10, 12, 18]] * (number % 2)
        rows += [[path.stem, "Right", 20, 22, 28, 30]] * (number // 2 % 2)
    write_rows(tmp_path_factory.mktemp("truth") / "boxes.csv", HEAD, rows)
    return tmp_path_factory.getbasetemp() / "truth0" / "boxes.csv"


def test_a_box_lies_around_each_region_in_pixels_of_the_film():
    transform = transform_of(200, 100, 64)
    values = np.zeros((64, 64), dtype=np.float32)
    values[10:20, 24:40] = 1.0
    values[40:44, 30:34] = 0.8
    values[50, 30] = 0.2
    values[5:9, 0:4] = 5.0  # padding
    found = regions(values, transform, 0.5, 3, 0.05)
    assert [weight for _, weight in found] == pytest.approx([1.0, 16 * 0.8 / 160])
    assert found[0][0] == pytest.approx((25, 31.25, 75, 62.5))
    assert len(regions(values, transform, 0.5, 1, 0.0)) == 1 and len(regions(values, transform, 0.5, 3, 0.5)) == 1
    assert regions(np.zeros((64, 64), np.float32), transform, 0.5, 3, 0.3) == []


def test_the_command_draws_scores_and_starts_a_detector(radloop, eye_corpus, eye_run, truth, tmp_path):
    run = radloop("vision", "weak-boxes", eye_run.folder, eye_corpus, "--labels", eye_corpus / "labels.csv", "--boxes",
                  truth, "-o", tmp_path / "weak", "--stage", "2", "--replicates", "20", "--json")  # fmt: skip
    assert run.code == 0, run.err
    found = json.loads(run.out)
    assert found["boxes"] > 50 and "mean" in found["scores"]["labels"]
    layer, problems = read_boxes(tmp_path / "weak" / "boxes.csv")
    assert not problems and {box.reader for box in layer.boxes} == {"weak"}
    # only where the table says that there is something
    assert {box.image_id for box in layer.boxes if box.label == "Left"} <= {
        path.stem for path in (eye_corpus / "images").glob("*.png") if int(path.stem.split("-")[0][1:]) % 2
    }
    assert (tmp_path / "weak" / "scores" / "froc.csv").is_file()
    short = recipe(training=recipe().training.model_dump() | {"epochs": 1})
    started = train_detector(eye_corpus, tmp_path / "weak" / "boxes.csv", tmp_path / "det", short)
    assert started.labels == ("Left", "Right")


def test_nothing_to_draw_is_said(radloop, eye_corpus, eye_run, tmp_path):
    write_rows(tmp_path / "none.csv", ("study_id", "Left"), [["s0", 0]])
    run = radloop("vision", "weak-boxes", eye_run.folder, eye_corpus, "--labels", tmp_path / "none.csv", "-o",
                  tmp_path / "w")  # fmt: skip
    assert run.code == 2 and "vision.no_boxes" in run.err
    bad = radloop("vision", "weak-boxes", eye_run.folder, eye_corpus, "--marked", "2", "-o", tmp_path / "w")
    assert bad.code == 2 and "config.value" in bad.err
