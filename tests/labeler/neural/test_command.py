"""A trained labeler at the command line: its folder is a labeler like any other."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest

from labeler import load
from labeler.neural.predict import NeuralLabeler


@pytest.fixture
def folder(trained):
    return trained.folder


def test_its_folder_is_a_labeler(radloop, folder, tmp_path):
    source, out = tmp_path / "reports.csv", tmp_path / "labels.csv"
    source.write_text("study_id,report\na,No pleural effusion.\nb,Large left pleural effusion.\n")
    command = ("label", "run", source, "-o", out, "--labeler", folder, "--evidence", tmp_path / "e.jsonl")
    outcome = radloop(*command)
    assert outcome.code == 0, outcome.err
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    labeler = NeuralLabeler(folder)
    assert list(rows[0]) == ["study_id", *labeler.schema.labels]
    found = [tuple(int(row[label]) if row[label] else None for label in labeler.schema.labels) for row in rows]
    assert found == [labeler(text).states for text in ("No pleural effusion.", "Large left pleural effusion.")]
    manifest = json.loads((tmp_path / "labels.csv.manifest.json").read_text())
    assert [part["path"].rpartition("/")[2] for part in manifest["inputs"]] == [
        "reports.csv", "config.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    assert "torch" in manifest["versions"]
    again = radloop(
        "label", "run", source, "-o", out, "--labeler", folder, "--evidence", tmp_path / "e.jsonl", "--resume"
    )
    assert "nothing left to do" in again.err


def test_it_is_explained(radloop, folder):
    outcome = radloop("label", "explain", "Large left pleural effusion.", "--labeler", folder, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["made_by"].startswith("bertcnn.v1+")


def test_a_folder_without_a_model_is_refused(radloop, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "r.csv").write_text("study_id,report\na,Clear.\n")
    outcome = radloop("label", "run", tmp_path / "r.csv", "-o", tmp_path / "l.csv", "--labeler", tmp_path / "empty")
    assert outcome.code == 2
    assert outcome.err.startswith("[model.missing]")
    assert not (tmp_path / "l.csv").exists()


def test_names_are_names_still(folder):
    assert load("rules.v1").made_by == "rules.v1"
    assert load(str(folder)).made_by.startswith("bertcnn.v1+")


def test_help_and_rules_load_no_torch():
    program = (
        "import sys; from corpora.cli import run; run(['label', 'train', '--help']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0
