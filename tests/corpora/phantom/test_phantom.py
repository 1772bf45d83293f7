"""Phantom corpora: the folder, its determinism, resuming, and what is refused."""

import csv
import hashlib
import json
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from corpora.boxes import read_boxes
from corpora.errors import ConfigError, RunError
from corpora.phantom import work
from corpora.phantom.command import phantom, phantom_cli
from corpora.phantom.folder import LABELS
from corpora.schema import LabelSchema
from corpora.store import read_studies, shards

SIZE = 96


def digest(folder: Path) -> dict[str, str]:
    """The hash of every file but the manifest, which has the time in it."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "manifest.json"
    }


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_corpus_is_whole(corpus):
    studies = list(read_studies(corpus))
    assert [study.study_id for study in studies] == [f"ph{number:07d}" for number in range(24)]
    assert len({study.patient_id for study in studies}) < 24
    for study in studies:
        assert study.report is not None and study.report.text
        assert set(study.meta) == {"year", "age", "sex", "source"}
        for image in study.images:
            assert (corpus / image.path).is_file()
    counts = json.loads((corpus / "manifest.json").read_text())["counts"]
    assert counts["studies"] == 24 and counts["films"] == len(list((corpus / "images").iterdir()))
    assert not (corpus / "partial").exists()


def test_labels_are_in_the_order_of_the_chexpert_labeler(corpus):
    with (corpus / "truth" / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["study_id", *LABELS] and len(rows) == 24
    assert {cell for row in rows for name, cell in row.items() if name != "study_id"} == {"1", "0", "-1", ""}
    assert {row["No Finding"] for row in rows} == {"1", ""}


def test_the_order_is_that_of_the_schema():
    from labeler.schemas import load_schema

    schema = load_schema("chexpert14.v1")
    assert tuple(schema.labels if isinstance(schema, LabelSchema) else schema.schema.labels) == LABELS


def test_same_seed_same_bytes_whatever_the_workers_and_the_number(corpus, tmp_path):
    phantom(tmp_path / "two", 24, seed=3, size=SIZE, workers=2)
    assert digest(tmp_path / "two") == digest(corpus)
    phantom(tmp_path / "few", 7, seed=3, size=SIZE, workers=1)
    few = list(read_studies(tmp_path / "few"))
    assert few == list(read_studies(corpus))[:7]
    for study in few:
        for image in study.images:
            assert (tmp_path / "few" / image.path).read_bytes() == (corpus / image.path).read_bytes()


def test_another_seed_is_another_corpus(corpus, tmp_path):
    phantom(tmp_path / "other", 3, seed=4, size=SIZE, workers=1)
    first, other = list(read_studies(corpus))[:3], list(read_studies(tmp_path / "other"))
    assert [study.report for study in first] != [study.report for study in other]


def test_an_interrupted_run_goes_on_to_the_same_bytes(corpus, tmp_path, monkeypatch):
    made = []
    make = work.make_part

    def killed(task):
        if made:
            raise KeyboardInterrupt
        made.append(task)
        make(task)

    out = tmp_path / "resumed"
    monkeypatch.setattr(work, "make_part", killed)
    with pytest.raises(KeyboardInterrupt):
        phantom(out, 24, seed=3, size=SIZE, workers=1)
    assert not (out / "manifest.json").exists()
    # a film of a part that was not noted, cut off
    (out / "images" / "ph0000015-1.dcm").write_bytes(b"half")
    with pytest.raises(RunError) as refused:
        phantom(out, 24, seed=3, size=SIZE, workers=1)
    assert refused.value.code == "run.not_empty" and "--resume" in refused.value.hint
    monkeypatch.setattr(work, "make_part", make)
    seen = []
    summary = phantom(out, 24, seed=3, size=SIZE, workers=1, resume=True, watch=seen.append)
    assert seen == [10, 20, 24] and not summary.untouched
    assert digest(out) == digest(corpus)


def test_resuming_a_finished_corpus_changes_nothing(corpus):
    before = (corpus / "manifest.json").read_bytes()
    assert phantom(corpus, 24, seed=3, size=SIZE, resume=True).untouched
    assert (corpus / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("change", [{"seed": 5}, {"size": 128}, {"n": 25}])
def test_resuming_with_other_options_is_refused(corpus, change):
    given = {"n": 24, "seed": 3, "size": SIZE} | change
    with pytest.raises(RunError) as refused:
        phantom(corpus, **given, resume=True)
    assert refused.value.code == "run.changed" and next(iter(change)) in refused.value.message


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for resume, code in ((False, "run.not_empty"), (True, "run.damaged")):
        with pytest.raises(RunError) as refused:
            phantom(tmp_path, 2, resume=resume)
        assert refused.value.code == code
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_an_output_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for out, code in ((tmp_path / "file", "run.is_file"), (tmp_path / "file" / "corpus", "run.not_writable")):
        with pytest.raises(RunError) as refused:
            phantom(out, 2)
        assert refused.value.code == code


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"n": 0}, "-n"),
        ({"n": -3}, "-n"),
        ({"size": 8}, "--size"),
        ({"size": 99999}, "--size"),
        ({"workers": 0}, "--workers"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_arguments_out_of_range(tmp_path, given, where):
    with pytest.raises(ConfigError) as refused:
        phantom(tmp_path / "out", **{"n": 2, **given})
    assert (refused.value.code, refused.value.where) == ("config.value", where)
    assert not (tmp_path / "out").exists()


def test_a_part_that_is_damaged_is_named(tmp_path, monkeypatch):
    out = tmp_path / "corpus"

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(work, "run_tasks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        phantom(out, 3, size=SIZE, workers=1)
    monkeypatch.undo()
    (out / "partial" / "0000000.json").write_text("[{")
    with pytest.raises(RunError) as refused:
        phantom(out, 3, size=SIZE, workers=1, resume=True)
    assert refused.value.code == "run.damaged" and "0000000.json" in refused.value.where


def test_the_command_line(tmp_path):
    app = typer.Typer()
    app.command()(phantom_cli)
    done = CliRunner().invoke(app, ["-o", str(tmp_path / "c"), "-n", "2", "--size", "64", "--workers", "1"])
    assert done.exit_code == 0 and done.stdout == "" and "2 studies" in done.stderr
    again = CliRunner().invoke(app, ["-o", str(tmp_path / "c"), "-n", "2", "--size", "64", "--resume"])
    assert again.exit_code == 0 and "nothing left to do" in again.stderr


def test_a_config_of_ones_own(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("base: phantom/chest\nhealthy: 0\nlateral: 0\nportable: 0\n")
    phantom(tmp_path / "c", 6, size=64, workers=1, config=own)
    assert {image["view"] for image in lines(tmp_path / "c" / "truth" / "findings.jsonl")} <= {"PA", "AP"}
    own.write_text("base: phantom/chest\nhealthy: 2\n")
    with pytest.raises(ConfigError) as refused:
        phantom(tmp_path / "d", 6, config=own)
    assert refused.value.code == "config.field" and "mine.yaml:2" in refused.value.where


def test_boxes_are_in_the_layout_of_vindr(corpus):
    layer, problems = read_boxes(corpus / "truth" / "boxes.csv")
    assert not problems and any(box.corners for box in layer.boxes)
    assert {box.label for box in layer.boxes} <= set(LABELS)
    assert {image.image_id for image in layer.images} <= {
        image.image_id for study in read_studies(corpus) for image in study.images
    }


def test_planted_text_is_where_the_truth_says(corpus):
    studies = {study.study_id: study for study in read_studies(corpus)}
    planted = [line for line in lines(corpus / "truth" / "phi.jsonl") if line["where"] == "report"]
    assert planted
    for line in planted:
        assert studies[line["study_id"]].report.text[line["start"] : line["end"]] == line["value"]


def test_pyarrow_and_datasets_read_it(corpus):
    import pyarrow.parquet as pq

    assert sum(pq.read_metadata(shard).num_rows for shard in shards(corpus)) == 24
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(
        "parquet",
        data_files=[str(shard) for shard in shards(corpus)],
        split="train",
        cache_dir=str(corpus.parent / "cache"),
    )
    assert loaded.num_rows == 24 and loaded[0]["study_id"] == "ph0000000"


def test_patients_come_back_with_their_findings(corpus):
    images = lines(corpus / "truth" / "findings.jsonl")
    by_patient: dict[str, list[dict]] = {}
    for image in images:
        by_patient.setdefault(image["patient_id"], []).append(image)
    changes = {each["change"] for image in images for each in image["findings"]}
    assert "stable" in changes or "larger" in changes or "smaller" in changes
    for visits in by_patient.values():
        kinds: dict[int, str] = {}
        for image in visits:
            for each in image["findings"]:
                assert kinds.setdefault(each["number"], each["kind"]) == each["kind"]


@pytest.mark.slow
def test_a_thousand_studies_in_two_minutes_on_two_cores(tmp_path):
    start = time.process_time()
    phantom(tmp_path / "c", 100, seed=1, workers=1)
    assert (time.process_time() - start) * 10 / 2 < 120
