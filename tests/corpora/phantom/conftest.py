"""A phantom corpus that the tests share."""

from pathlib import Path

import pytest

from corpora.phantom.command import phantom
from corpora.phantom.settings import read_settings

STUDIES = 24
SIZE = 96


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "corpus"
    phantom(folder, STUDIES, seed=3, size=SIZE, workers=1)
    return folder


@pytest.fixture(scope="session")
def settings():
    return read_settings(3, SIZE)
