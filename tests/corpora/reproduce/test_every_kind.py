"""Every kind of run that the commands leave is done again from its manifest, or says in a line why it cannot be."""

import json
import os
import shutil

import pytest

from corpora.cli import run
from tests.corpora.reproduce.kinds import KINDS, order, write_inputs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: What needs its command given: the manifest keeps the places back.
GIVEN = ("corpus deidentify", "corpus scan")
#: What leaves no manifest: a key, and files for people to fill in.
NO_RUN = ("corpus key", "audit export")
#: What works in the folder of another kind, and is compared there.
WITHIN = ("audit draw", "audit plan, drawn", "audit import")


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    write_inputs(folder)
    return folder


@pytest.fixture
def made(home, monkeypatch, capsys):
    """Makes a kind of run with all that it needs, once for all tests of a process; returns where it is."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def make(name):
        for each in order([name]):
            mark = home / f".{each.replace(' ', '-')}"
            if not mark.exists():
                KINDS[each].before(home)
                assert not KINDS[each].command or run(KINDS[each].command) in (0, 1), capsys.readouterr().err[-3000:]
                mark.touch()
        capsys.readouterr()
        return home / KINDS[name].run

    return make


def place(home, name, old):
    return home / "again" / f"{name.replace(' ', '-').replace(',', '')}{'' if old.is_dir() else old.suffix}"


@pytest.mark.parametrize("name", [name for name in KINDS if name not in (*GIVEN, *NO_RUN, *WITHIN)])
def test_it_is_the_same_again(radloop, made, home, name):
    old = made(name)
    code, out, err = radloop("reproduce", old, "-o", place(home, name, old), "--json")
    assert code == 0, (out[-2000:], err[-2000:])
    found = json.loads(out)
    assert found["counts"]["equal"] + found["counts"]["same"] >= 2, "the output and its manifest"
    assert found["changed_inputs"] == [] and found["changed_versions"] == []


@pytest.mark.parametrize("name", GIVEN)
def test_it_is_the_same_again_by_the_command_that_is_given(radloop, made, home, name):
    old = made(name)
    code, _, err = radloop("reproduce", old, "-o", place(home, name, old))
    assert code == 2 and err.startswith("[reproduce.command] ") and "-- radloop" in err
    code, out, err = radloop("reproduce", old, "-o", place(home, name, old), "--", "radloop", *KINDS[name].command)
    assert code == 0, (out[-2000:], err[-2000:])


@pytest.mark.parametrize("name", NO_RUN)
def test_what_is_no_run_says_so(radloop, made, home, name):
    code, out, err = radloop("reproduce", made(name))
    assert (code, out) == (2, "") and err.startswith("[reproduce.manifest] ")


def test_a_draw_is_made_again_with_its_plan_and_readings_are_not(radloop, made, home):
    old = made("audit import")
    made_by = json.loads((old / "manifest.json").read_text())
    assert [step["command"][:3] for step in made_by["earlier"]] == [["radloop", "audit", "plan"]]
    code, out, err = radloop("reproduce", old, "-o", home / "again" / "drawn", "--json")
    assert code == 0, (out[-2000:], err[-2000:])
    # what people read came later, and nobody reads it again
    assert (old / "audit.sqlite").is_file() and not (home / "again" / "drawn" / "audit.sqlite").exists()
    assert radloop("audit", "plan", "labels.csv", "--reports", "ph", "-o", "first", "--seed", "one").code == 0
    assert radloop("audit", "draw", "first").code == 0
    (home / "first").rename(home / "moved")
    code, out, err = radloop("reproduce", home / "moved")
    assert code == 0, (out[-2000:], err[-2000:])


def test_estimates_say_what_was_read(radloop, made):
    hashes = {
        json.loads((made(name) / "manifest.json" if made(name).is_dir() else manifest(made(name))).read_text())[
            "config"
        ]["readings_sha256"]
        for name in ("audit estimate", "audit certify", "audit apply")
    }
    assert len(hashes) == 1 and len(hashes.pop()) == 64


def manifest(table):
    return table.with_name(f"{table.name}.manifest.json")


def test_a_cache_leads_to_the_run_that_it_was_made_for(radloop, made, home):
    made("vision train")
    code, _, err = radloop("reproduce", home / "films")
    assert code == 2 and "along with another run" in err and f"radloop reproduce {home / 'eye'}" in err


def test_a_network_that_is_tuned_in_its_folder(radloop, made, home):
    made("label tune")
    shutil.copytree(home / "network", home / "tuned")
    assert radloop("label", "tune", "ph", "--network", "tuned", "--gold", "labels.csv").code == 0
    assert radloop("reproduce", home / "tuned" / "hybrid.yaml").code == 0
    assert (home / "tuned" / "hybrid.yaml-again").read_text() == (home / "thresholds.yaml").read_text()


def test_films_that_are_added_are_other_input(radloop, made, home):
    made("corpus import")
    shutil.copytree(home / "ph" / "images", home / "more")
    assert radloop("corpus", "import", "more", "-o", "of-more", "--workers", 1).code == 0
    film = next((home / "more").rglob("*.dcm"))
    shutil.copy(film, film.with_name("another.dcm"))
    code, _, err = radloop("reproduce", home / "of-more")
    assert code == 2 and "input changed: more has other content" in err


def test_a_seed_that_does_not_hold_is_noticed(radloop, made, home):
    old = made("bench run")
    path = old / "scores" / "nearest" / "test-0" / "table.json"
    before = path.read_text()
    try:
        path.write_text(before.replace('"distinct": ', '"distinct": 1'))
        code, out, _ = radloop("reproduce", path.parent, "-o", home / "again" / "doctored")
        assert code == 1 and out.startswith("differs: table.json: rows / 0 / distinct")
    finally:
        path.write_text(before)
        os.sync()
