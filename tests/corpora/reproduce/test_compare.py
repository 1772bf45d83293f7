"""Two runs, file by file."""

import json
import sqlite3

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from corpora.reproduce.compare import compare_runs

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e9, 1e9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def two(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    return old, new


def verdicts(old, new):
    return {each.name: (each.verdict, each.why) for each in compare_runs(old, new, {str(old): str(new)})}


def test_files_that_are_in_one_only(two):
    old, new = two
    (old / "a.txt").write_text("a")
    (new / "b.txt").write_text("b")
    assert verdicts(old, new) == {"a.txt": ("missing", ""), "b.txt": ("added", "")}


def test_times_and_paths_do_not_count_and_figures_do(two):
    old, new = two
    for folder, seconds, value in ((old, 3.5, 0.25), (new, 9.1, 0.25 + 1e-9)):
        found = {"seconds": seconds, "at": str(seconds), "from": f"{folder}/x.csv", "f1": value}
        (folder / "a.json").write_text(json.dumps(found))
        (folder / "b.jsonl").write_text(json.dumps(found) + "\n")
        (folder / "c.csv").write_text(f"id,f1,path\ns1,{value},{folder.name}/x\n")
        (folder / "d.html").write_text(f"<p>{value:.9f} in {seconds} s, {folder}/x</p>")
    assert set(verdicts(old, new).values()) == {("same", "")}
    (new / "a.json").write_text((new / "a.json").read_text().replace("0.25", "0.26"))
    (new / "b.jsonl").write_text((new / "b.jsonl").read_text() * 2)
    (new / "c.csv").write_text("id,f1,path\ns2,.25,x\n")
    (new / "d.html").write_text("<p>0.500000000 in 9.1 s, elsewhere</p>")
    assert verdicts(old, new) == {
        "a.json": ("differs", "f1"), "b.jsonl": ("differs", "2 items, were 1"), "c.csv": ("differs", "1 / 0"),
        "d.html": ("differs", "other words"),
    }  # fmt: skip


def test_a_time_is_none_where_it_holds_scores(two):
    old, new = two
    for folder, value in ((old, 0.1), (new, 0.2)):
        (folder / "a.json").write_text(json.dumps({"at": {"youden": value}}))
    assert verdicts(old, new) == {"a.json": ("differs", "at / youden")}


def test_tables_weights_and_databases(two):
    old, new = two
    for folder, end, at in ((old, 0.0, "then"), (new, 1e-8, "now")):
        pq.write_table(pa.table({"p": [0.5, 0.25 + end]}), folder / "p.parquet")
        save_file({"w": np.array([1.0, 2.0 + end], dtype=np.float32), "b": np.zeros(2) + end}, folder / "m.safetensors")
        with sqlite3.connect(folder / "e.sqlite") as database:
            database.execute("CREATE TABLE events (at TEXT, what TEXT)")
            database.execute("INSERT INTO events VALUES (?, 'read')", (at,))
        database.close()
        (folder / "x.bin").write_bytes(at.encode())
    found = verdicts(old, new)
    assert found.pop("x.bin") == ("differs", "other bytes")
    assert {verdict for verdict, _ in found.values()} == {"same"}
    save_file({"w": np.array([1.0, 2.1], dtype=np.float32), "b": np.zeros(2)}, new / "m.safetensors")
    pq.write_table(pa.table({"p": [0.5, 0.3]}), new / "p.parquet")
    assert verdicts(old, new)["m.safetensors"][1].startswith("tensor w, by 5")
    assert verdicts(old, new)["p.parquet"] == ("differs", "p / 1")
    (new / "p.parquet").write_bytes(b"PAR1")
    assert verdicts(old, new)["p.parquet"] == ("differs", "other bytes, and one of the two cannot be read")


def test_a_manifest_is_compared_by_what_decides(two):
    old, new = two
    for folder, seconds in ((old, 1), (new, 2)):
        made = {"command": [f"-o {folder}"], "wall_seconds": seconds, "counts": {"n": 3}, "config": {},
                "inputs": [{"path": "c/manifest.json", "sha256": str(seconds)},
                           {"path": "t.csv", "sha256": "a"}]}  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(made))
    assert verdicts(old, new) == {"manifest.json": ("same", "")}
    made["inputs"][1]["sha256"] = "b"
    (new / "manifest.json").write_text(json.dumps(made))
    assert verdicts(old, new) == {"manifest.json": ("differs", "inputs / 1 / sha256")}


@given(VALUES, VALUES)
def test_equal_values_are_the_same_and_others_are_told(tmp_path_factory, one, other):
    folder = tmp_path_factory.mktemp("two")
    old, new = folder / "old.json", folder / "new.json"
    old.write_text(json.dumps({"value": one}))
    new.write_text(json.dumps({"value": one}, indent=1))
    moved = {str(old): str(new)}
    assert {each.verdict for each in compare_runs(old, new, moved)} == {"same"}
    new.write_text(json.dumps({"value": [other, "!"], "more": 1}))
    (found,) = compare_runs(old, new, moved)
    assert found.verdict == "differs" and found.why


def test_links_out_of_a_page_count_by_where_they_lead(tmp_path):
    old, new = tmp_path / "board", tmp_path / "again" / "board"
    for folder, up in ((old, ".."), (new, "../..")):
        folder.mkdir(parents=True)
        (folder / "a.html").write_text(f'<a href="{up}/scores/mine/manifest.json">mine</a>')
    assert verdicts(old, new) == {"a.html": ("same", "")}
    (new / "a.html").write_text('<a href="../../scores/other/manifest.json">mine</a>')
    assert verdicts(old, new) == {"a.html": ("differs", "other words")}


def test_a_path_that_names_the_run_twice_is_one_path(tmp_path):
    # relative in one run, from the root in the other
    old, new = tmp_path / "audit", tmp_path / "again" / "audit"
    for folder, path in ((old, "audit/audit.json"), (new, f"{new}/audit.json")):
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"directory": str(tmp_path), "inputs": [{"path": path}]}))
    assert verdicts(old, new) == {"manifest.json": ("same", "")}


def report(path, text, modality="SR", time="101010"):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.11", generate_uid()
    made.Modality, made.ContentTime, made.PatientComments = modality, time, text
    made.save_as(path, enforce_file_format=True)


def test_structured_reports_count_by_what_they_say_and_films_to_the_byte(two):
    old, new = two
    for folder, time in ((old, "101010"), (new, "111111")):
        report(folder / "sr.dcm", "no effusion", time=time)
        report(folder / "film.dcm", "", "DX", time=time)
        (folder / "none.dcm").write_bytes(f"no DICOM {time}".encode())
    found = verdicts(old, new)
    assert found["sr.dcm"] == ("same", "")
    assert found["film.dcm"] == found["none.dcm"] == ("differs", "other bytes")
    report(new / "sr.dcm", "effusion")
    assert verdicts(old, new)["sr.dcm"][0] == "differs" and "effusion" not in verdicts(old, new)["sr.dcm"][1]
