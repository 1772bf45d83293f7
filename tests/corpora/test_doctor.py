"""What radloop doctor says of a machine."""

import importlib.metadata
import json
import tomllib
from pathlib import Path

import pytest

from corpora.doctor import BUYS, doctor, needs

ROOT = Path(__file__).resolve().parents[2]


def test_every_extra_for_users_is_looked_at():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {*extras} - {"test", "check", "docs", "dev"} <= {*BUYS}
    assert {part.name for part in doctor() if part.kind == "extra"} == {*extras} - {"test", "check", "docs", "dev"}


def test_extras_within_extras_are_counted():
    assert {"torch", "transformers", "pydicom", "pillow"} <= needs("vision")
    assert needs("neural") < needs("vision")


def test_what_is_missing_is_said_with_what_it_buys(radloop, monkeypatch):
    monkeypatch.setattr("corpora.doctor.shutil.which", lambda name: None)
    original = importlib.metadata.version

    def version(package):
        if package == "ray":
            raise importlib.metadata.PackageNotFoundError(package)
        return original(package)

    monkeypatch.setattr("corpora.doctor.version", version)
    done = radloop("doctor")
    assert done.code == 0
    lines = done.out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.split()[:2] == ["missing", "ray"])
    assert lines[at].endswith("missing: ray")
    assert lines[at + 1].strip() == BUYS["ray"]
    assert lines[at + 2].strip() == "pip install 'radloop[ray]'"
    assert any(line.split()[:2] == ["missing", "tesseract"] for line in lines)


def test_as_json(radloop):
    parts = json.loads(radloop("doctor", "--json").out)
    assert {part["kind"] for part in parts} == {"machine", "extra", "program"}
    assert all(set(part) == {"kind", "name", "there", "found", "buys", "hint"} for part in parts)


@pytest.mark.slow
def test_a_gpu_is_asked_for(radloop):
    pytest.importorskip("torch")
    (part,) = [part for part in json.loads(radloop("doctor", "--gpu", "--json").out) if part["kind"] == "gpu"]
    assert "torch" in part["found"]
