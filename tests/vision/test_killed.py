"""Pretraining, the diagnosis network, the detector and detection, each killed in the middle and gone on with: to the
byte what one that was left alone comes to."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.vision.conftest import TINY, detector_recipe

pytestmark = pytest.mark.slow

START = [sys.executable, "-c", "from corpora.cli import main; main()", "vision"]
OFTEN = {"checkpoint_minutes": 1e-9}


def recipe_file(folder, name, recipe, **training):
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(recipe | {"training": recipe.get("training", {}) | training | OFTEN}))
    return path


def commands(corpus, eye_run, detector, folder):
    """Each command without its output, and the file that says how far it has come."""
    films = {"size": 32, "dimension": 8, "backbone": TINY.backbone.model_dump(), "moco": {"queue": 16},
             "text": {"width": 16, "layers": 0}, "training": {"batch_size": 8}}  # fmt: skip
    pretrain = recipe_file(folder, "pretrain", films, epochs=10)
    train = recipe_file(folder, "train", TINY.model_dump(), epochs=8, patience=8)
    boxes = recipe_file(folder, "detector", detector_recipe().model_dump(), epochs=5, patience=5)
    corpus_at, labels = ("--corpus", corpus), ("--labels", corpus / "labels.csv")
    return {
        "pretrain": (("pretrain", *corpus_at, "--config", pretrain), "pretrain.pt"),
        "diagnosis": (("train", *corpus_at, *labels, "--config", train, "--abnormality", eye_run.folder), "main.pt"),
        "detector": (("train-detector", *corpus_at, "--boxes", corpus / "boxes.csv", "--config", boxes), "detector.pt"),
        "detect": (("detect", detector.folder, corpus, "--draw", "0.01", "--longest", "0"), "found.jsonl"),
    }


def killed(command, out, journal):
    """A run that is killed once it has noted something; how it ended."""
    process = subprocess.Popen([*START, *map(str, command), "-o", str(out)], stderr=subprocess.PIPE, text=True)
    noted = out / "partial" / journal
    until = time.monotonic() + 120
    seen = b""
    while process.poll() is None and time.monotonic() < until:
        now = noted.read_bytes()[-4096:] if noted.is_file() else b""
        # the first lines of a journal are there before a film is
        if now and seen and now != seen:
            break
        seen = now
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    said = process.communicate()[1]
    return process.returncode, said


def contents(folder):
    """Every file but the manifest, which has the time in it."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", ["pretrain", "diagnosis", "detector", "detect"])
def test_killed_twice_and_gone_on_with(radloop, boxed, eye_run, detector, tmp_path, name):
    command, journal = commands(boxed, eye_run, detector, tmp_path)[name]
    whole = radloop("vision", *command, "-o", tmp_path / "whole")
    assert whole.code == 0, whole.err
    code, said = killed(command, tmp_path / "run", journal)
    assert code == -signal.SIGKILL, said
    assert not (tmp_path / "run" / "manifest.json").exists() and (tmp_path / "run" / "partial" / journal).is_file()
    code, said = killed((*command, "--resume"), tmp_path / "run", journal)
    assert code in (-signal.SIGKILL, 0), said
    again = radloop("vision", *command, "-o", tmp_path / "run", "--resume", "--json")
    assert again.code == 0 and json.loads(again.out), again.err
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert (tmp_path / "run" / "manifest.json").is_file() and not (tmp_path / "run" / "partial").exists()
