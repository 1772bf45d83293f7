"""Training from end to end on tiny films: what comes out, resumes, and everything that can be wrong."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from corpora.errors import ConfigError, DataError, RunError
from tests.vision.conftest import TINY, changed, write_rows
from vision import loop
from vision.checkpoint import load_checkpoint
from vision.predict import load_model
from vision.train import train


def run(corpus, out, recipe=TINY, **options):
    return train(corpus, corpus / "labels.csv", out, recipe, **options)


def test_it_learns_what_there_is_to_see(eye_run):
    assert eye_run.macro_auroc > 0.95
    assert set(eye_run.table) == {"Left", "Right"}
    assert eye_run.warnings == ("Rare is not learned: 1 positive in train, 0 positive in validate",)


def test_a_run_folder_is_whole(eye_run):
    folder = eye_run.folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "calibration.json", "config.json", "history.jsonl", "manifest.json", "model.safetensors", "validate.parquet",
    ]  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["counts"]["films, train"] == 72 and manifest["counts"]["labels left out"] == 1
    model = load_model(folder)
    assert model.config.thresholds["Left"] == eye_run.table["Left"]["threshold"]
    assert all(0.1 <= each <= 10 for each in model.config.temperatures)
    table = pq.read_table(folder / "validate.parquet")
    assert table.column_names == ["study_id", "patient_id", "Left", "Right"] and len(table) == 18


def test_a_run_that_is_resumed_has_the_same_curve_bit_for_bit(eye_corpus, tmp_path, monkeypatch):
    whole = run(eye_corpus, tmp_path / "whole")
    # a checkpoint after every step, and the end of it in the middle of the second epoch
    often = changed(training={"checkpoint_minutes": 1e-9})
    whole_often = run(eye_corpus, tmp_path / "often", often)

    class Killed(BaseException):
        pass

    def kill(step):
        if step.done == 8:
            raise Killed

    with pytest.raises(Killed):
        run(eye_corpus, tmp_path / "cut", often, steps=kill)
    assert not (tmp_path / "cut" / "manifest.json").exists()
    left = torch.load(tmp_path / "cut" / "partial" / "main.pt", weights_only=True)
    assert left["step"] == 2 and len(left["epochs"]) == 1
    done = []
    resumed = run(eye_corpus, tmp_path / "cut", often, resume=True, steps=done.append)
    assert done[0].done == 8
    assert resumed.epochs == whole_often.epochs == whole.epochs
    for name in ("model.safetensors", "history.jsonl", "validate.parquet", "calibration.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "often" / name).read_bytes(), name
    again = run(eye_corpus, tmp_path / "cut", often, resume=True)
    assert again.untouched and again.epochs == resumed.epochs
    with pytest.raises(RunError) as refused:
        run(eye_corpus, tmp_path / "cut", changed(seed=5), resume=True)
    assert refused.value.code == "run.changed"


@pytest.mark.parametrize(
    "fields",
    [
        {"default_policy": {"uncertain": "three_way"}},
        {"default_policy": {"uncertain": "self_trained"}},
        {"default_policy": {"uncertain": "ones_lsr"}, "loss": {"kind": "asymmetric"}},
        {"policies": {"Left": {"uncertain": "three_way"}}, "loss": {"kind": "auc_margin"}},
        {"hierarchy": {"conditional": True, "parents": {"Right": "Left"}}, "pooling": "max"},
        {"backbone": {"channels": 3, "gather": "mean"}, "training": {"optimizer": "sgd", "accumulate": 2, "ema": 0}},
    ],
    ids=["three_way", "self_trained", "asymmetric", "auc_margin", "hierarchy", "sgd"],
)
def test_every_way_to_train_works(eye_corpus, tmp_path, fields):
    summary = run(eye_corpus, tmp_path / "run", changed(training={"epochs": 2} | fields.pop("training", {}), **fields))
    assert all(np.isfinite(epoch.loss) for epoch in summary.epochs)
    stages = {epoch.stage for epoch in summary.epochs}
    assert stages == {"main", *(["teacher"] if "self_trained" in str(fields) else []),
                      *(["head"] if "hierarchy" in fields else [])}  # fmt: skip
    load_model(tmp_path / "run")


def test_the_head_stage_leaves_the_body_as_it_is(eye_corpus, tmp_path):
    seen = {}

    def watch(epoch):
        path = tmp_path / "run" / "partial" / f"{epoch.stage}.pt"
        seen[epoch.stage] = torch.load(path, weights_only=True)["model"]

    recipe = changed(
        hierarchy={"conditional": True, "parents": {"Right": "Left"}, "head_epochs": 2},
        training={"ema": 0, "epochs": 1},
    )
    run(eye_corpus, tmp_path / "run", recipe, watch=watch)
    body = [name for name in seen["main"] if name.startswith("backbone.")]
    assert all(torch.equal(seen["main"][name], seen["head"][name]) for name in body)
    assert not torch.equal(seen["main"]["head.weight"], seen["head"]["head.weight"])


def test_the_head_may_learn_first(eye_corpus, eye_run, tmp_path):
    seen = {}

    def watch(epoch):
        path = tmp_path / "run" / "partial" / f"{epoch.stage}.pt"
        seen[epoch.stage, epoch.epoch] = torch.load(path, weights_only=True)["model"]

    recipe = changed(
        backbone={"source": str(eye_run.folder)},
        training={"ema": 0, "epochs": 1, "head_first": 2, "head_rate": 0.01},
    )
    run(eye_corpus, tmp_path / "run", recipe, watch=watch)
    assert list(seen) == [("head_first", 1), ("head_first", 2), ("main", 1)]
    start = load_model(eye_run.folder).state_dict()
    body = [name for name in start if name.startswith("backbone.")]
    assert all(torch.equal(start[name].cpu(), seen["head_first", 2][name]) for name in body)
    assert not torch.equal(seen["head_first", 1]["head.weight"], seen["head_first", 2]["head.weight"])
    assert any(not torch.equal(start[name].cpu(), seen["main", 1][name]) for name in body)


def test_noise_aware_needs_the_matrices(eye_corpus, tmp_path):
    recipe = changed(default_policy={"uncertain": "noise_aware"})
    with pytest.raises(ConfigError, match="noise_aware needs the matrices"):
        run(eye_corpus, tmp_path / "run", recipe)
    matrix = [[8, 2, 0, 0], [2, 8, 0, 0], [1, 1, 1, 0], [0, 1, 0, 9]]
    (tmp_path / "c.json").write_text(json.dumps({"labels": {"Left": {"matrix": matrix}, "Right": {"matrix": matrix}}}))
    assert run(eye_corpus, tmp_path / "run", recipe, confusion=tmp_path / "c.json").epochs


def test_training_goes_on_from_another_run(eye_corpus, eye_run, tmp_path):
    recipe = changed(backbone={"source": str(eye_run.folder), "with_head": True}, training={"epochs": 1, "ema": 0})
    warm = run(eye_corpus, tmp_path / "warm", recipe)
    cold = run(eye_corpus, tmp_path / "cold", changed(training={"epochs": 1, "ema": 0}))
    assert warm.epochs[0].loss < cold.epochs[0].loss


# What can be wrong


def broken(corpus, tmp_path, count):
    shutil.copytree(corpus, tmp_path / "corpus")
    for path in sorted((tmp_path / "corpus" / "images").iterdir())[:count]:
        path.write_bytes(path.read_bytes()[:60])
    return tmp_path / "corpus"


def test_a_few_films_that_are_broken_are_left_out(eye_corpus, tmp_path):
    corpus = broken(eye_corpus, tmp_path, 1)
    summary = run(corpus, tmp_path / "run", changed(training={"epochs": 1}))
    assert summary.counts["rejected"] == 1
    (line,) = (tmp_path / "run" / "failures.jsonl").read_text().splitlines()
    assert json.loads(line)["code"] in ("image.truncated", "image.broken")


def test_too_many_of_them_stop_it(eye_corpus, tmp_path):
    corpus = broken(eye_corpus, tmp_path, 5)
    with pytest.raises(RunError) as refused:
        run(corpus, tmp_path / "run")
    assert refused.value.code == "vision.rejects" and refused.value.exit_code == 1
    assert len((tmp_path / "run" / "failures.jsonl").read_text().splitlines()) == 5
    assert run(corpus, tmp_path / "run", changed(training={"epochs": 1}), max_failures="5").counts["rejected"] == 5


def test_a_loss_that_is_no_number_is_said_with_its_place(eye_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "augmented", lambda greys, recipe, draw: greys * torch.nan)
    with pytest.raises(RunError) as refused:
        run(eye_corpus, tmp_path / "run")
    assert refused.value.code == "train.nan" and refused.value.where == "main, epoch 1, step 1"


def test_a_gpu_that_is_full_says_which_batch_fits(eye_corpus, tmp_path, monkeypatch):
    real = loop.augmented

    def full(greys, recipe, draw):
        if len(greys) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(greys, recipe, draw)

    monkeypatch.setattr(loop, "augmented", full)
    with pytest.raises(RunError) as refused:
        run(eye_corpus, tmp_path / "run")
    assert refused.value.code == "vision.memory" and "one of 4 fits" in refused.value.message
    assert refused.value.hint == "--set training.batch_size=4 --set training.accumulate=4"


def test_the_same_film_in_two_parts_is_a_leak(eye_corpus, tmp_path):
    shutil.copytree(eye_corpus, tmp_path / "corpus")
    images = tmp_path / "corpus" / "images"
    shutil.copyfile(images / "f0-PA.png", images / "f7-PA.png")
    with pytest.raises(DataError) as refused:
        run(tmp_path / "corpus", tmp_path / "run")
    assert refused.value.code == "split.leak"


def test_no_label_with_enough_positives(eye_corpus, tmp_path):
    with pytest.raises(DataError) as refused:
        run(eye_corpus, tmp_path / "run", changed(min_positive=40))
    assert refused.value.code == "vision.no_positive"


def test_a_checkpoint_that_is_damaged(eye_corpus, tmp_path):
    (tmp_path / "main.pt").write_bytes(b"no checkpoint")
    with pytest.raises(RunError) as refused:
        load_checkpoint(tmp_path / "main.pt", "key", torch.nn.Linear(1, 1), None)
    assert refused.value.code == "run.damaged"


# The command


def test_the_command(eye_corpus, tmp_path, radloop):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps(TINY.model_dump(mode="json")))
    command = ("vision", "train", "--corpus", eye_corpus, "--labels", eye_corpus / "labels.csv", "--config", recipe)
    outcome = radloop(
        *command, "-o", tmp_path / "run", "--set", "training.epochs=1", "--cache", tmp_path / "c", "--json"
    )
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["counts"]["labels"] == 2
    assert "main, epoch 1: loss" in outcome.err and "warning: Rare is not learned" in outcome.err
    again = radloop(
        *command, "-o", tmp_path / "run", "--set", "training.epochs=1", "--cache", tmp_path / "c", "--resume"
    )
    assert again.code == 0 and "nothing left to do" in again.err


def test_the_command_names_a_wrong_field(eye_corpus, tmp_path, radloop):
    outcome = radloop("vision", "train", "--corpus", eye_corpus, "--labels", eye_corpus / "labels.csv", "-o",
                      tmp_path / "run", "--set", "training.epoch=1")  # fmt: skip
    assert outcome.code == 2 and outcome.err.startswith("[config.unknown_field]")


def test_labels_of_another_corpus_by_the_command(eye_corpus, tmp_path, radloop):
    write_rows(tmp_path / "l.csv", ("study_id", "Left"), [["x", 1]])
    outcome = radloop("vision", "train", "--corpus", eye_corpus, "--labels", tmp_path / "l.csv", "-o", tmp_path / "run")
    assert outcome.code == 2 and outcome.err.startswith("[vision.no_match]")
    assert not (tmp_path / "run").exists()
