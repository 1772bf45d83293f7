"""The soak itself: faults are faults, its parts run in small, and what is lost is noticed."""

import json
import os
from random import Random

import pytest

from corpora.cli import run
from labeler.audit.store import Event, open_store
from tests.benchmarks import corpus, soak, soak_review
from tests.benchmarks.soak_faults import FAULTS, break_files


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A table of reports that made ones can be put together from."""
    path = tmp_path_factory.mktemp("base") / "base.csv"
    sides = ("left", "right")
    rows = [
        corpus.Row(f"a{n}", f"The heart is normal in size. Small {side} effusion {n} mm. No pneumothorax.", "As above.")
        for n in range(20)
        for side in sides
    ]
    corpus.write_rows(path, [row._replace(study_id=f"{row.study_id}-{at}") for at, row in enumerate(rows)])
    return path


def test_each_fault_is_made_and_the_original_stays(tmp_path):
    assert run(["corpus", "phantom", "-o", str(tmp_path / "made"), "-n", "8", "--size", "64", "--workers", "1"]) == 0
    films = sorted((tmp_path / "made" / "images").iterdir())[:9]
    (tmp_path / "films").mkdir()
    for path in films:
        os.link(path, tmp_path / "films" / path.name)
    before = {path.name: path.read_bytes() for path in films}
    broken = break_files(sorted((tmp_path / "films").iterdir()), 1.0, seed=1)
    assert sorted(broken.values()) == sorted(FAULTS)
    assert all(fault(data, Random(1)) != data for fault in FAULTS.values() for data in before.values())
    assert all((tmp_path / "films" / name).read_bytes() != before[name] for name in broken)
    assert {path.name: path.read_bytes() for path in films} == before


def test_a_lost_change_is_noticed(tmp_path):
    with open_store(tmp_path) as store:
        store.append(Event("Reader 00", "s1", "answer", {"Edema": 1}, op="kept-change"))
    book = soak_review.Book(taken={"kept-change": ("answer", {}), "lost-change": ("answer", {})})
    figures = {"wrong": []}
    soak_review._compare(tmp_path, book, figures)
    assert figures["lost updates"] == 1
    assert figures["wrong"] == ["changes that were taken are lost: 1"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "words", [["labels", "--kills", "2"], ["review", "--readings", "2"]], ids=lambda words: words[0]
)
def test_a_part_in_small(words, reports, tmp_path):
    assert soak.main([*words, "-o", str(tmp_path), "--scale", "0", "--workers", "1", "--source", str(reports)]) == 0
    assert json.loads((tmp_path / f"{words[0]}.json").read_text())["wrong"] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_films_in_small(tmp_path):
    small = ["-o", str(tmp_path), "--scale", "0", "--workers", "1", "--size", "64", "--faults", ".3"]
    for part in (["draw"], ["films"], ["folder"], ["again"], ["scan", "--no-pixels"]):
        assert soak.main([*part, *small]) == 0
