"""The detector: boxes that go along with their film, a run that learns, resumption, its exports, bad input."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import RTDetrV2ForObjectDetection

from corpora.boxes import read_boxes
from corpora.errors import ConfigError, DataError
from corpora.images.fit import transform_of
from tests.vision.conftest import HEAD, write_rows
from tests.vision.conftest import detector_recipe as recipe
from vision.augment import affine_matrices, augmented
from vision.detections import read_detections
from vision.detector import FilmDetector, boxes_found, build_detector, to_corners, to_shares
from vision.detector_data import BoxedFilms, epoch_order, moved_boxes, repeats
from vision.detector_train import train_detector
from vision.encoder import GREY_MEAN, GREY_STD
from vision.recipe import AugmentRecipe


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_boxes_go_where_their_film_goes(seed):
    how = AugmentRecipe(degrees=10, shift=0.1, zoom=0.2, crop=0.9, brightness=0, contrast=0, noise=0, flip=0.5)
    film = torch.zeros(1, 1, 128, 128)
    film[..., 50:70, 40:80] = 1
    moved = augmented(film, how, torch.Generator().manual_seed(seed))[0, 0].numpy()
    matrix = affine_matrices(1, how, torch.Generator().manual_seed(seed))[0].double().numpy()
    boxes, kept = moved_boxes(np.array([[40.0, 50.0, 80.0, 70.0]]), matrix, 128)
    assert kept.all()
    rows, columns = np.nonzero(moved > 0.5)
    seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(boxes[0] - seen).max() < 3


def test_shares_and_corners_are_ways_there_and_back():
    boxes = np.array([[3.0, 4, 10, 20], [0, 0, 32, 32]])
    assert to_corners(to_shares(boxes, 32), 32) == pytest.approx(boxes)


def test_of_boxes_on_one_place_the_surest_stands():
    transform = transform_of(100, 100, 100)
    shares = np.array([[0.5, 0.5, 0.2, 0.2], [0.51, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]], np.float32)
    logits = np.array([[2, -9], [1, 3], [-9, -9]], np.float32)
    found = boxes_found(logits, shares, transform, most=10, least=0.01, nms=0.5)
    assert [(label, round(score, 2)) for label, _, score in found] == [(1, 0.95), (0, 0.88)]
    every = boxes_found(logits, shares, transform, most=10, least=0.01, nms=1.0)
    assert len(every) == 3 and every[0][1] == pytest.approx((41, 40, 61, 60), abs=1e-4)


def bare_films(labels):
    """Films of which only the labels are known."""
    return BoxedFilms(
        tuple(map(str, range(len(labels)))), None, (transform_of(8, 8, 8),) * len(labels),
        tuple(np.tile([0.0, 0, 4, 4], (len(of), 1)) for of in labels),
        tuple(np.array(of, dtype=np.int64) for of in labels), np.arange(len(labels)),
    )  # fmt: skip


def test_films_with_a_rare_label_come_more_often():
    films = bare_films([[0], [0, 1], [], [], *[[0]] * 60])
    # 1 of 64 films has label 1: sqrt(.25 / (1 / 64)) = 4; of label 0, on nearly all, none is repeated
    assert repeats(films, 2, 0.25).tolist() == [1, 4, *[1] * 62]
    assert repeats(films, 2, 0.0).tolist() == [1] * 64
    # a label without a box changes nothing
    assert repeats(films, 3, 0.25).tolist() == [1, 4, *[1] * 62]


@given(st.lists(st.floats(1, 5), min_size=1, max_size=40), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_an_epoch_has_each_film_as_often_as_it_is_meant_to(often, seed):
    rows = epoch_order(np.array(often), np.random.default_rng(seed))
    assert len(rows) == max(round(sum(often)), 1)
    # the length is rounded, so the distance of places is not quite one
    slack = 0.5 / len(rows) * max(often) + 1e-6
    counts = np.bincount(rows, minlength=len(often))
    assert ((counts > np.array(often) - 1 - slack) & (counts < np.array(often) + 1 + slack)).all()


def test_without_repeats_an_epoch_is_every_film_once():
    assert sorted(epoch_order(np.ones(7), np.random.default_rng(0)).tolist()) == list(range(7))


def test_it_learns_where_the_spots_are(detector):
    assert detector.froc > 0.5 and detector.labels == ("Left", "Right")
    assert detector.epochs[-1].loss < detector.epochs[0].loss


def test_a_run_that_was_stopped_ends_as_one_left_alone(boxed, tmp_path):
    whole = train_detector(boxed, boxed / "boxes.csv", tmp_path / "whole", recipe())
    often = recipe(training=recipe().training.model_dump() | {"checkpoint_minutes": 1e-9})

    def stop(step):
        if step.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_detector(boxed, boxed / "boxes.csv", tmp_path / "broken", often, steps=stop)
    resumed = train_detector(boxed, boxed / "boxes.csv", tmp_path / "broken", often, resume=True)
    assert resumed.epochs == whole.epochs
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken"))
    assert first == second
    assert train_detector(boxed, boxed / "boxes.csv", tmp_path / "broken", often, resume=True).untouched


def test_the_validation_part_is_looked_at_as_often_as_asked_and_last(boxed, tmp_path):
    course = recipe().training.model_dump() | {"epochs": 3, "validate_every": 2}
    found = train_detector(boxed, boxed / "boxes.csv", tmp_path / "run", recipe(training=course, repeat=0.9))
    assert [epoch.froc is None for epoch in found.epochs] == [True, False, False]
    assert found.froc == max(found.epochs[1].froc, found.epochs[2].froc)
    assert train_detector(boxed, boxed / "boxes.csv", tmp_path / "run", recipe(training=course, repeat=0.9),
                          resume=True).froc == found.froc  # fmt: skip


def test_it_is_saved_and_loaded_whole(detector, tmp_path):
    first = FilmDetector.from_pretrained(detector.folder).eval()
    first.save_pretrained(tmp_path / "again")
    again = FilmDetector.from_pretrained(tmp_path / "again").eval()
    films = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        found = first(films)
        assert torch.equal(found.logits, again(films).logits)
    assert again.config.label_names == ["Left", "Right"] and again.config.views == "all"
    # what is inside is a detector of transformers, and goes its own ways
    first.detector.save_pretrained(tmp_path / "plain")
    plain = RTDetrV2ForObjectDetection.from_pretrained(tmp_path / "plain").eval()
    with torch.no_grad():
        boxes = plain(pixel_values=(films - GREY_MEAN) / GREY_STD)
    assert torch.equal(boxes.pred_boxes, found.pred_boxes) and plain.config.id2label == {0: "Left", 1: "Right"}


def test_a_trained_encoder_starts_it(eye_run, boxed):
    made = build_detector(recipe(backbone=recipe().backbone.model_dump() | {"source": str(eye_run.folder)}), ["a"])
    from vision.predict import load_model

    kept = load_model(eye_run.folder).backbone.state_dict()
    ours = made.body.state_dict()
    assert all(torch.equal(ours[name], kept[name]) for name in ours if name in kept)
    assert sum(name in kept for name in ours) > 10


def test_a_detector_starts_one_with_other_labels(detector, boxed, tmp_path):
    source = {"backbone": recipe().backbone.model_dump() | {"source": str(detector.folder)}}
    kept = FilmDetector.from_pretrained(detector.folder).state_dict()
    same = build_detector(recipe(**source), ["Left", "Right"]).state_dict()
    assert all(torch.equal(same[name], value) for name, value in kept.items())
    # a label keeps what it learned wherever it stands; a new one begins as in any detector
    fresh = build_detector(recipe(), ["New", "Right"]).state_dict()
    other = build_detector(recipe(**source), ["New", "Right"]).state_dict()
    name = "detector.class_embed.1.weight"
    assert torch.equal(other[name][1], kept[name][1]) and torch.equal(other[name][0], fresh[name][0])
    turned = build_detector(recipe(**source), ["Right", "Left"]).state_dict()
    assert torch.equal(turned[name], kept[name].flip(0))
    narrow = recipe(**source, transformer=recipe().transformer.model_dump() | {"width": 32})
    with pytest.raises(ConfigError) as shape:
        build_detector(narrow, ["Left"])
    assert shape.value.code == "model.kind" and shape.value.where == str(detector.folder)
    # it goes on from where the other one was
    short = recipe(**source, training=recipe().training.model_dump() | {"epochs": 1, "learning_rate": 1e-5})
    found = train_detector(boxed, boxed / "boxes.csv", tmp_path / "run", short)
    assert found.froc == pytest.approx(detector.froc, abs=0.1)


def test_the_commands_find_write_and_are_measured(radloop, boxed, detector, tmp_path):
    found = radloop("vision", "detect", detector.folder, boxed, "--part", "test", "-o", tmp_path / "found",
                    "--draw", "0.05", "--json")  # fmt: skip
    assert found.code == 0, found.err
    counts = json.loads(found.out)
    coco = read_detections(tmp_path / "found")
    assert counts["boxes"] == len(coco.detections) and counts["films"] == len(coco.looked)
    table = read_detections(tmp_path / "found" / "detections.csv")
    assert [each.label for each in table.detections] == [each.label for each in coco.detections]
    # a file of boxes as any other, to other programs
    layer, problems = read_boxes(tmp_path / "found" / "detections.json")
    assert not problems and len(layer.images) == counts["films"]
    overlay = next((tmp_path / "found" / "overlays").iterdir())
    assert Image.open(io.BytesIO(overlay.read_bytes())).mode == "RGB"
    measured = radloop("vision", "evaluate", tmp_path / "found", boxed / "boxes.csv", "--boxes", "-o",
                       tmp_path / "froc", "--replicates", "100", "--json")  # fmt: skip
    assert measured.code == 0, measured.err
    rows = json.loads(measured.out)
    assert rows["labels"]["mean"]["froc"]["value"] > 0.4 and rows["patients"] < rows["images"]


def test_what_a_first_stage_takes_for_normal_gets_no_boxes(radloop, boxed, detector, tmp_path):
    args = ("vision", "detect", detector.folder, boxed, "--part", "test")
    assert radloop(*args, "-o", tmp_path / "all").code == 0
    every = read_detections(tmp_path / "all")
    studies = sorted({each.study_id for each in every.looked})
    with_boxes = {each.image_id for each in every.detections}
    normal = next(each for each in every.looked if each.image_id in with_boxes).study_id
    table = tmp_path / "seen.csv"
    table.write_text("study_id,No Finding\n" + "".join(f"{study},{int(study == normal)}\n" for study in studies))
    assert radloop(*args, "--normal", table, "-o", tmp_path / "gated").code == 0
    gated = read_detections(tmp_path / "gated")
    assert [each.image_id for each in gated.looked] == [each.image_id for each in every.looked]
    of = {each.image_id: each.study_id for each in every.looked}
    kept = [each for each in every.detections if of[each.image_id] != normal]
    assert [(each.image_id, each.label) for each in gated.detections] == [(each.image_id, each.label) for each in kept]
    assert 0 < len(gated.detections) < len(every.detections)
    table.write_text("study_id,No Finding\nelsewhere,1\n")
    done = radloop(*args, "--normal", table, "-o", tmp_path / "none")
    assert done.code == 2 and "[vision.no_match]" in done.err
    table.write_text(f"study_id,Edema\n{normal},1\n")
    done = radloop(*args, "--normal", table, "-o", tmp_path / "none")
    assert done.code == 2 and "no label No Finding" in done.err


def test_train_detector_is_a_command(radloop, boxed, tmp_path):
    config = tmp_path / "d.yaml"
    config.write_text(json.dumps(recipe(training=recipe().training.model_dump() | {"epochs": 1}).model_dump()))
    run = radloop("vision", "train-detector", "--corpus", boxed, "--boxes", boxed / "boxes.csv", "--config", config,
                  "-o", tmp_path / "run", "--json")  # fmt: skip
    assert run.code == 0, run.err
    assert json.loads(run.out)["labels"] == ["Left", "Right"] and "have no box" in run.err


def test_bad_boxes_are_rejected_or_refused(boxed, tmp_path):
    with (boxed / "boxes.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    bad = [
        ["f1-PA", "Left", 4, 10, 400, 18], ["f1-PA", "Left", 4, 10, 4, 18], ["nowhere", "Left", 1, 1, 2, 2],
        ["f1-PA", "Left", "x", 1, 2, 2],
    ]  # fmt: skip
    write_rows(tmp_path / "bad.csv", HEAD, [*rows, *bad])
    short = recipe(training=recipe().training.model_dump() | {"epochs": 1})
    found = train_detector(boxed, tmp_path / "bad.csv", tmp_path / "run", short, max_failures="10%")
    assert found.counts["rejected"] == 4
    lines = [json.loads(line) for line in (tmp_path / "run" / "failures.jsonl").read_text().splitlines()]
    wrong = {line["code"]: line["file"] for line in lines}
    places = ("boxes.outside", "boxes.size", "boxes.image", "boxes.number")
    # each with its row, one that reaches out of its film, and is found last of all, too
    assert wrong == {code: f"{tmp_path / 'bad.csv'}, row {len(rows) + at}" for at, code in enumerate(places, 1)}
    write_rows(tmp_path / "none.csv", HEAD, [["f1-PA", "Left", 4, 10, 12, 18]])
    with pytest.raises(DataError) as few:
        train_detector(boxed, tmp_path / "none.csv", tmp_path / "a", short)
    assert few.value.code == "vision.no_boxes"
    with pytest.raises(ConfigError) as label:
        train_detector(boxed, boxed / "boxes.csv", tmp_path / "b", recipe(labels=["Mass"]))
    assert label.value.code == "config.value" and "Left" in label.value.hint
    with pytest.raises(ConfigError) as levels:
        build_detector(recipe(transformer=recipe().transformer.model_dump() | {"levels": 4}), ["a"])
    assert levels.value.code == "config.value"
    with pytest.raises(ConfigError) as size:
        build_detector(recipe(size=36), ["a"])
    assert size.value.where == "size" and "multiple of 8" in size.value.hint


def test_a_checkpoint_of_another_stage_is_said(radloop, eye_run, boxed, detector, tmp_path):
    other = radloop("vision", "detect", eye_run.folder, boxed, "-o", tmp_path / "x")
    assert other.code == 2 and "model.kind" in other.err and "train-detector" in other.err
    back = radloop("vision", "predict", detector.folder, boxed, "-o", tmp_path / "y.csv")
    assert back.code == 2 and "model.kind" in back.err


def test_what_says_that_there_is_nothing_is_no_label_of_a_detector(boxed, tmp_path):
    films = sorted(path.stem for path in (boxed / "images").glob("*.png"))
    with (boxed / "boxes.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    # some tables have a box of one pixel in their rows of No finding
    write_rows(tmp_path / "boxes.csv", HEAD, [*rows, *([film, "No finding", 0, 0, 1, 1] for film in films)])
    short = recipe(training=recipe().training.model_dump() | {"epochs": 1})
    found = train_detector(boxed, tmp_path / "boxes.csv", tmp_path / "run", short)
    assert found.labels == ("Left", "Right") and any("left out: No finding" in note for note in found.notes)
