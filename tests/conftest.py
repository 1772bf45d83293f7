"""What the tests of all packages share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

import corpora
from corpora.cli import run

ROOT = Path(__file__).resolve().parent.parent

# several tests run at once: networks that take all cores would stand in each other's way, in commands they start, too
os.environ.setdefault("OMP_NUM_THREADS", "1")

# the same examples on every machine, and no failure because a machine was busy
settings.register_profile("radloop", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("radloop")


class Outcome(NamedTuple):
    """What a command left: its exit code, and what it wrote to stdout and stderr."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def home() -> Path:
    """The folder that the packages are imported from: the repository, or where a wheel was installed."""
    return Path(corpora.__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside a checkout (or at RADLOOP_SHARED); tests that need it skip without it."""
    folder = Path(os.environ.get("RADLOOP_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip("needs the data folder ../shared (or RADLOOP_SHARED)")
    return folder


@pytest.fixture
def radloop(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs ``radloop`` in this process: ``radloop("label", "run", source, "-o", out)``."""

    def call(*args: object) -> Outcome:
        capsys.readouterr()
        code = run([str(arg) for arg in args])
        return Outcome(code, *capsys.readouterr())

    return call
