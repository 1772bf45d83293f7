"""Outputs: where they go, that they appear whole, and what is said when they cannot be written."""

import hashlib
import json
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import RunError
from corpora.config import config_sha256
from corpora.runs import atomic_writer, begin, discard_work, hash_input, output_target, write_manifest, writing


def test_a_table_has_its_companions_beside_it(tmp_path):
    target = output_target(tmp_path / "x.labels.CSV")
    assert (target.is_folder, target.format) == (False, "csv")
    names = [path.name for path in (target.table, target.manifest, target.failures, target.work)]
    assert names == [
        "x.labels.CSV",
        "x.labels.CSV.manifest.json",
        "x.labels.CSV.failures.jsonl",
        "x.labels.CSV.partial",
    ]


@pytest.mark.parametrize("name", ["run-7", "v1.2", "labels.csv.gz"])
def test_any_other_name_is_a_run_folder(tmp_path, name):
    target = output_target(tmp_path / name, "labels.parquet")
    assert (target.is_folder, target.format) == (True, "parquet")
    assert {path.parent for path in (target.table, target.manifest, target.failures, target.work)} == {tmp_path / name}


def test_a_folder_where_a_table_should_be_and_the_reverse(tmp_path):
    (tmp_path / "labels.csv").mkdir()
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match=r"run.is_folder"):
        output_target(tmp_path / "labels.csv")
    with pytest.raises(RunError, match=r"run.is_file"):
        output_target(tmp_path / "run")


@pytest.mark.parametrize("name", ["deep/er/labels.jsonl", "deep/run"])
def test_begin_makes_what_is_missing(tmp_path, name):
    target = output_target(tmp_path / name)
    begin(target)
    assert target.work.is_dir()
    assert not target.complete
    discard_work(target)
    discard_work(target)
    assert not target.work.exists()


def test_begin_keeps_work_only_to_resume(tmp_path):
    target = output_target(tmp_path / "labels.csv")
    begin(target)
    (target.work / "chunk").write_text("1")
    target.failures.write_text("{}")
    target.table.write_text("old")
    begin(target, resume=True)
    assert (target.work / "chunk").exists()
    assert target.failures.exists()
    target.manifest.write_text("{}")
    assert target.complete
    begin(target)
    assert not target.complete
    assert not (target.work / "chunk").exists()
    assert not target.failures.exists()
    assert target.table.read_text() == "old"


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"run.not_writable") as caught:
        begin(output_target(tmp_path / "file" / "labels.csv"))
    assert str(tmp_path / "file") in caught.value.where


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match=r"run.not_writable.*Permission denied"):
        begin(output_target(tmp_path / "labels.csv"))


def test_a_full_disk_is_named_with_what_to_do(tmp_path):
    def fill():
        with writing(tmp_path / "labels.csv"), open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
            full.write("x")

    with pytest.raises(RunError) as caught:
        fill()
    assert caught.value.lines() == [
        "[run.disk_full] no space left",
        f"  where: {tmp_path / 'labels.csv'}",
        "  hint: free some space, then run again with --resume",
    ]


def test_a_closed_pipe_is_no_run_error(tmp_path):
    with pytest.raises(BrokenPipeError), writing(tmp_path):
        raise BrokenPipeError


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_atomic_text_is_written_as_given(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("atomic") / "a.txt"
    with atomic_writer(path) as file:
        file.write(text)
    assert path.read_bytes() == text.encode()


def test_an_atomic_file_is_whole_or_the_old_one(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail_midway():
        with atomic_writer(path, "wb") as file:
            file.write(b"new")
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fail_midway()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_writer(path, "wb") as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_an_atomic_file_has_the_usual_permissions(tmp_path):
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_text("")
    with atomic_writer(atomic) as file:
        file.write("")
    assert stat.S_IMODE(atomic.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_the_manifest_says_what_made_the_run(tmp_path):
    source = tmp_path / "reports.csv"
    source.write_bytes(b"abc")
    path, config = tmp_path / "m.json", {"labeler": "toy.v1", "sections": ["findings"]}
    written = write_manifest(
        path, command=["radloop", "label", "run"], config=config, inputs=[source, "-"],
        counts={"studies": 3, "rejects": 1}, wall_seconds=1.23456, seed=7, packages=["spacy", "no-such-distribution"],
    )  # fmt: skip
    manifest = json.loads(path.read_text())
    assert manifest == written
    assert manifest["config"] == config
    assert manifest["config_sha256"] == config_sha256(config)
    assert manifest["inputs"] == [
        {"path": str(source), "bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()},
        {"path": "-", "bytes": None, "sha256": None},
    ]
    assert manifest["counts"] == {"studies": 3, "rejects": 1}
    assert (manifest["seed"], manifest["wall_seconds"]) == (7, 1.235)
    assert manifest["versions"]["no-such-distribution"] is None
    assert set(manifest["versions"]) == {"python", "radloop", "spacy", "no-such-distribution"}


def test_a_folder_is_hashed_by_names_and_contents(tmp_path):
    folder = tmp_path / "in"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "2.txt").write_text("two")
    (folder / "1.txt").write_text("one")
    first = hash_input(folder)
    assert (first["files"], first["bytes"]) == (2, 6)
    (folder / "1.txt").rename(folder / "0.txt")
    second = hash_input(folder)
    assert second["sha256"] != first["sha256"]
    (folder / "0.txt").rename(folder / "1.txt")
    assert hash_input(folder) == first


def test_outputs_inside_an_input_are_no_part_of_it(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.txt").write_text("one")
    first = hash_input(folder)
    (folder / "out.csv").write_text("")
    (folder / "out.csv.partial").mkdir()
    (folder / "out.csv.partial" / "rows.part").write_text("")
    assert hash_input(folder)["files"] == 3
    outputs = [folder / "out.csv", folder / "out.csv.partial", tmp_path / "elsewhere.csv"]
    assert hash_input(folder, outputs) == first


def test_a_file_that_cannot_be_read_does_not_stop_the_hash(tmp_path):
    (tmp_path / "1.txt").write_text("one")
    first = hash_input(tmp_path)
    (tmp_path / "2.txt").symlink_to("/proc/self/mem")
    if not (tmp_path / "2.txt").exists():
        pytest.skip("needs a file that opens and cannot be read, as Linux has one in /proc")
    assert hash_input(tmp_path)["sha256"] != first["sha256"]


def test_names_in_other_encodings_are_escaped(tmp_path):
    with atomic_writer(tmp_path / "a.json") as file:
        json.dump({"path": "caf\udce9"}, file, ensure_ascii=False)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"path": "caf\udce9"}
