"""radloop reproduce: a run done again from its manifest, and compared."""

import json
import os
import shutil

import pytest

REPORTS = """study_id,report
s1,"FINDINGS: Small left effusion. No pneumothorax."
s2,"Possible pneumonia. The heart is enlarged."
s3,"No acute cardiopulmonary process."
"""


@pytest.fixture
def labeled(radloop, tmp_path, monkeypatch):
    """A run of labels with its evidence beside it, started in tmp_path with relative paths."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports.csv").write_text(REPORTS)
    assert radloop("label", "run", "reports.csv", "-o", "labels.csv", "--evidence", "why.jsonl").code == 0
    return tmp_path / "labels.csv"


def edit(path, change):
    made = json.loads(path.read_text())
    change(made)
    path.write_text(json.dumps(made))


def test_the_same_run_gives_the_same_bytes(radloop, labeled, tmp_path, monkeypatch):
    # from elsewhere: the manifest knows where its paths start
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, err = radloop("reproduce", labeled, "--json")
    found = json.loads(out)
    assert (code, found["reproduced"], found["changed_inputs"]) == (0, True, [])
    assert found["counts"] == {"equal": 2, "same": 1, "differs": 0, "missing": 0, "added": 0}
    assert (tmp_path / "labels-again.csv").read_bytes() == labeled.read_bytes()
    assert (tmp_path / "labels-again.why.jsonl").read_bytes() == (tmp_path / "why.jsonl").read_bytes()
    assert "2 files equal to the byte, 1 with the same figures" in err
    assert radloop("reproduce", labeled).code == 2, "the place is taken"


def test_another_output_ends_with_1_and_says_where(radloop, labeled, tmp_path):
    labeled.write_text(labeled.read_text().replace("s1,", "s9,"))
    code, out, err = radloop("reproduce", labeled, "-o", tmp_path / "new.csv")
    assert (code, out) == (1, "differs: labels.csv: 1 / 0\n")
    assert "1 that differ" in err


def test_a_changed_input_is_named_and_stops(radloop, labeled, tmp_path):
    (tmp_path / "reports.csv").write_text(REPORTS.replace("enlarged", "normal"))
    code, _, err = radloop("reproduce", labeled, "-o", tmp_path / "new.csv")
    assert code == 2
    assert "input changed: reports.csv has other content" in err
    assert "[reproduce.inputs]" in err and "--anyway" in err
    assert not (tmp_path / "new.csv").exists()
    edit(tmp_path / "labels.csv.manifest.json", lambda made: made["versions"].update(spacy="1.0"))
    code, out, err = radloop("reproduce", labeled, "-o", tmp_path / "new.csv", "--anyway")
    assert code == 1 and "differs: labels.csv:" in out
    assert "other version: spacy " in err and ", then 1.0" in err
    (tmp_path / "reports.csv").unlink()
    assert "reports.csv is not there" in radloop("reproduce", labeled, "-o", tmp_path / "third.csv").err


@pytest.mark.slow
def test_a_folder_and_a_command_that_prints(radloop, labeled, tmp_path):
    from corpora.runs import write_manifest

    out = tmp_path / "scored"
    gold = tmp_path / "labels.csv"
    out.mkdir()
    words = ["radloop", "label", "score", "labels.csv", "labels.csv", "--replicates", "20", "--json"]
    (out / "score.json").write_text(radloop(*words[1:]).out)
    write_manifest(
        out / "manifest.json", command=words, config={}, inputs=[gold], counts={}, wall_seconds=0, stdout="score.json"
    )
    assert radloop("reproduce", out).code == 0
    assert (tmp_path / "scored-again" / "score.json").read_bytes() == (out / "score.json").read_bytes()
    edit(out / "score.json", lambda found: found.update(weighted_f1=0.5))
    code, said, _ = radloop("reproduce", out, "-o", tmp_path / "third")
    assert (code, said) == (1, "differs: score.json: weighted_f1\n")


@pytest.mark.slow
def test_films_drawn_again_are_the_same(radloop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert radloop("corpus", "phantom", "-o", "ph", "-n", 4, "--size", 64, "--workers", 1).code == 0
    assert radloop("corpus", "split", "ph", "--pixels", "none").code == 0
    code, out, _ = radloop("reproduce", "ph", "--json")
    found = json.loads(out)
    # the split in it is another run's
    assert code == 0 and {each["verdict"] for each in found["files"]} == {"equal", "same"}
    assert radloop("reproduce", "ph/split.csv").code == 0
    assert (tmp_path / "ph" / "split-again.csv").read_bytes() == (tmp_path / "ph" / "split.csv").read_bytes()


@pytest.mark.slow
def test_a_command_that_is_kept_back_is_given(radloop, labeled, tmp_path):
    key, clean = tmp_path / "site.key", tmp_path / "clean.csv"
    assert radloop("corpus", "key", key).code == 0
    words = ["corpus", "deidentify", "reports.csv", "-o", "clean.csv", "--key-file", key]
    assert radloop(*words).code == 0
    made = json.loads((tmp_path / "clean.csv.manifest.json").read_text())
    assert str(tmp_path) not in json.dumps(made), "places may name somebody"
    assert radloop("reproduce", clean).code == 2
    assert radloop("reproduce", clean, "--", "radloop", *words).code == 0


def test_what_cannot_be_done_again_says_why(radloop, labeled, tmp_path):
    manifest = tmp_path / "labels.csv.manifest.json"
    whole = manifest.read_text()

    def refused(change):
        manifest.write_text(whole)
        edit(manifest, change)
        code, out, err = radloop("reproduce", labeled, "-o", tmp_path / "x.csv")
        assert (code, out) == (2, "") and "Traceback" not in err
        return err

    assert "made by a program" in refused(lambda made: made.update(command=["labeler.batch"]))
    assert "standard input" in refused(lambda made: made["command"].__setitem__(3, "-"))
    assert "there is no command" in refused(lambda made: made.update(command=["radloop", "label", "runs"]))
    assert "works in place" in refused(lambda made: made.update(command=["radloop", "audit", "draw", "audit"]))
    assert "directory of the run is gone" in refused(
        lambda made: made.update(directory=str(tmp_path / "gone"), inputs=[])
    )
    assert "[reproduce.manifest]" in refused(lambda made: made.pop("command"))
    assert "[reproduce.failed]" in refused(lambda made: made["command"].append("--labeler=no.such"))
    manifest.write_text("{")
    assert "[reproduce.manifest]" in radloop("reproduce", labeled).err
    manifest.unlink()
    assert "no run ended here" in radloop("reproduce", labeled).err


def test_a_part_of_a_run_leads_to_the_whole(radloop, labeled, tmp_path):
    from corpora.runs import write_manifest

    part = tmp_path / "whole" / "part"
    part.mkdir(parents=True)
    words = ["radloop", "corpus", "phantom", "-o", "whole", "-n", "4"]
    write_manifest(part / "manifest.json", command=words, config={}, inputs=[], counts={}, wall_seconds=0)
    err = radloop("reproduce", part).err
    assert "part of a larger one" in err and f"radloop reproduce {tmp_path / 'whole'}" in err


def test_a_run_that_was_moved(radloop, labeled, tmp_path):
    moved = tmp_path / "kept" / "mine.csv"
    moved.parent.mkdir()
    shutil.copy(labeled, moved)
    shutil.copy(tmp_path / "labels.csv.manifest.json", tmp_path / "kept" / "mine.csv.manifest.json")
    assert radloop("reproduce", moved).code == 0


def test_what_came_later_is_no_part_of_a_run(radloop, labeled, tmp_path):
    assert radloop("label", "run", "reports.csv", "-o", "run").code == 0
    (tmp_path / "run" / "notes.txt").write_text("read on Monday")
    (tmp_path / "labels.csv.notes.txt").write_text("read on Tuesday")
    assert radloop("reproduce", tmp_path / "run").code == 0
    assert radloop("reproduce", labeled).code == 0
    # what was there before the manifest, and is not made again, is missing
    os.utime(tmp_path / "run" / "notes.txt", (1, 1))
    code, out, _ = radloop("reproduce", tmp_path / "run", "-o", tmp_path / "third")
    assert (code, out) == (1, "missing: notes.txt\n")


def test_a_manifest_that_keeps_places_back_asks_for_the_command(radloop, labeled, tmp_path):
    def keep_back(made):
        made.pop("directory")
        made.update(nameless=True, command=["radloop", "label", "run", "-o"])

    edit(tmp_path / "labels.csv.manifest.json", keep_back)
    code, _, err = radloop("reproduce", labeled)
    assert code == 2 and "keeps the places of its run back" in err and "-- radloop" in err
    words = ("label", "run", "reports.csv", "-o", "labels.csv", "--evidence", "why.jsonl")
    assert radloop("reproduce", labeled, "-o", tmp_path / "new.csv", "--", "radloop", *words).code == 1
    assert (tmp_path / "new.csv").read_bytes() == labeled.read_bytes()


@pytest.mark.parametrize("earlier", ["audit plan", [1], [{"inputs": []}]])
def test_steps_that_are_none_are_refused(radloop, labeled, tmp_path, earlier):
    edit(tmp_path / "labels.csv.manifest.json", lambda made: made.update(earlier=earlier))
    code, _, err = radloop("reproduce", labeled)
    assert code == 2 and err.startswith("[reproduce.manifest]")
