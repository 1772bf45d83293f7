"""Finding boxes: a run that was stopped goes on, nothing of an earlier run is left, runs of other kinds are said."""

import json
import shutil

import pytest

from corpora.errors import RunError
from tests.vision.conftest import write_dicom
from vision.detect import Finding, detect
from vision.detect_journal import Journal
from vision.explain_source import films_of

ASKED = Finding(least=0.05, draw=0.05)


@pytest.fixture(scope="module")
def films(boxed, tmp_path_factory):
    """Forty films in a folder, one of which cannot be read."""
    folder = tmp_path_factory.mktemp("loose") / "films"
    folder.mkdir()
    for path in sorted((boxed / "images").glob("*.png"))[:40]:
        shutil.copy(path, folder)
    (folder / "f1-PA.png").write_bytes(b"no film")
    return folder


@pytest.fixture(scope="module")
def whole(detector, films, tmp_path_factory):
    """What finding on all of them came to."""
    return detect(detector.folder, films, tmp_path_factory.mktemp("found") / "whole", asked=ASKED)


def contents(folder):
    """Every file but the manifest, which has the time in it."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def stopped(detector, films, out, after=1):
    """A run that ends when ``after`` batches are done."""
    done = []

    def watch(count, total):
        done.append(count)
        if len(done) == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detect(detector.folder, films, out, asked=ASKED, watch=watch)
    return done


@pytest.mark.parametrize("torn", [False, True])
def test_a_run_that_was_stopped_ends_as_one_left_alone(detector, films, whole, tmp_path, torn):
    assert stopped(detector, films, tmp_path / "run", 2)[-1] < whole.films + whole.rejected
    assert not (tmp_path / "run" / "manifest.json").exists()
    journal = tmp_path / "run" / "partial" / "found.jsonl"
    if torn:
        # a kill in the middle of a line
        journal.write_bytes(journal.read_bytes()[:-20])
    seen = []
    again = detect(detector.folder, films, tmp_path / "run", asked=ASKED, resume=True,
                   watch=lambda done, total: seen.append(done))  # fmt: skip
    assert len(seen) == (2 if torn else 1)
    assert contents(tmp_path / "run") == contents(whole.folder) and again.boxes == whole.boxes > 0
    assert again.drawn == whole.drawn and again.rejected == 1
    before = contents(tmp_path / "run")
    done = detect(detector.folder, films, tmp_path / "run", asked=ASKED, resume=True)
    assert done.untouched and done.boxes == whole.boxes and contents(tmp_path / "run") == before


def test_another_run_does_not_go_on(detector, films, whole, tmp_path):
    other = Finding(least=0.2, draw=0.2)
    stopped(detector, films, tmp_path / "run")
    for out in (tmp_path / "run", whole.folder):
        before = contents(out)
        with pytest.raises(RunError) as changed:
            detect(detector.folder, films, out, asked=other, resume=True)
        assert changed.value.code == "run.changed" and "--resume" in changed.value.hint
        assert contents(out) == before
    (tmp_path / "run" / "manifest.json").write_text("{")
    (tmp_path / "run" / "detections.csv").write_text("")
    with pytest.raises(RunError) as damaged:
        detect(detector.folder, films, tmp_path / "run", asked=ASKED, resume=True)
    assert damaged.value.code == "run.damaged"


def test_a_journal_that_is_none_begins_anew(tmp_path):
    path = tmp_path / "found.jsonl"
    for text in ("", "[]\n", "{\n", '{"key": "a"}\n'):
        path.write_text(text)
        journal = Journal(path, "a", "2026-01-01T00:00:00", resume=True)
        assert journal.read == 0 and not journal.batches


def test_nothing_of_an_earlier_run_is_left(radloop, detector, films, tmp_path):
    given = ("vision", "detect", detector.folder, films, "-o", tmp_path / "run", "--max-failures", "1")
    assert radloop(*given, "--draw", "0.05").code == 0
    assert any((tmp_path / "run" / "overlays").iterdir())
    (tmp_path / "run" / "notes.txt").write_text("of the user")
    run = radloop(*given, "--draw", "1", "--json")
    assert run.code == 0 and json.loads(run.out)["drawn"] == 0
    assert not (tmp_path / "run" / "overlays").exists() and (tmp_path / "run" / "notes.txt").exists()
    made = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert made["config"]["draw"] == 1 and made["config"]["least"] == 0.01
    again = radloop(*given, "--draw", "1", "--resume")
    assert again.code == 0 and "nothing left to do" in again.err


def test_bad_input_leaves_what_was_found(radloop, detector, films, whole, tmp_path):
    before = contents(whole.folder) | {"manifest": (whole.folder / "manifest.json").read_bytes()}
    for run, source, options, code in (
        (tmp_path / "nowhere", films, (), "model.missing"), (detector.folder, tmp_path / "nowhere", (), "data.missing"),
        (detector.folder, films, ("--part", "test"), "config.value"),
        (detector.folder, films, ("--least", "2"), "config.value"),
    ):  # fmt: skip
        found = radloop("vision", "detect", run, source, "-o", whole.folder, *options)
        assert found.code == 2 and code in found.err, found.err
    assert contents(whole.folder) | {"manifest": (whole.folder / "manifest.json").read_bytes()} == before


def test_each_file_of_a_folder_is_a_film_of_its_own(boxed, tmp_path):
    source = sorted((boxed / "images").glob("*.png"))[0]
    for name in ("a.png", "a.PNG", "b/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(source, tmp_path / name)
    for name in ("1.2.840.1", "1.2.840.2"):
        write_dicom(tmp_path / name)
    named = [film.image_id for film in films_of(tmp_path)]
    assert named == ["1.2.840.1", "1.2.840.2", "a.PNG", "a.png", "b/a"]
    assert films_of(tmp_path / "1.2.840.1")[0].image_id == "1.2.840.1"
    assert films_of(tmp_path / "a.png")[0].image_id == "a"
