"""Bad input as users meet it: one clear error, or the record rejected and the rest labeled; never a report's text."""

import errno
import gzip
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from labeler.base import ToyLabeler
from tests.labeler.conftest import EAGER, json_line, outputs, report

MARK = "Zanzibarski"
ABSENT = object()


@pytest.fixture
def label(radloop, tmp_path):
    """Labels a source by the toy into labels.csv: outcome, table lines (None if there is none), failures."""

    def call(source, *args):
        out = tmp_path / "out" / "labels.csv"
        done = radloop("label", "run", source, "-o", out, *(args or ("--labeler", "toy.v1")))
        failures = out.with_name("labels.csv.failures.jsonl")
        lines = failures.read_text(encoding="utf-8").splitlines() if failures.exists() else []
        return done, out.read_text(encoding="utf-8").splitlines() if out.exists() else None, [*map(json.loads, lines)]

    return call


def is_one_error(done, code, *named):
    """Exit code 2 and three lines at most, the first with the code; all that is named is in them."""
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"[{code}] ")
    assert len(done.err.splitlines()) <= 3
    assert "Traceback" not in done.err
    assert MARK not in done.err
    for word in named:
        assert str(word) in done.err
    return True


# --- sources that cannot be read -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("missing.csv", ABSENT, "data.missing"),
        ("missing", ABSENT, "data.missing"),
        ("empty.csv", b"", "data.empty"),
        ("empty.jsonl", b"", "data.empty"),
        ("empty.csv.gz", gzip.compress(b"", mtime=0), "data.empty"),
        ("empty.parquet", b"", "data.parquet"),
        ("blank.csv", b"\n\n\n", "data.empty"),
        ("header.csv", b"study_id,report\n", "data.empty"),
        ("header.tsv", b"study_id\treport\r\n\r\n", "data.empty"),
        ("none.json", b"[]", "data.empty"),
        ("columns.csv", b"a,b,c\n1,2,3\n", "data.columns"),
        ("columns.jsonl", b'{"a": 1}\n', "data.columns"),
        ("unclosed.csv", f'id,report\n1,"{MARK}\n2,b\n'.encode(), "data.csv"),
        ("png.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "data.binary"),
        ("excel.csv", b"PK\x03\x04" + bytes(range(256)) * 20, "data.binary"),
        ("noise.csv", bytes(range(256)) * 20, "data.binary"),
        ("noise.jsonl", bytes(range(256)) * 20, "data.binary"),
        ("text.parquet", MARK.encode() * 100, "data.parquet"),
        ("latin.csv", f"id,report\n1,{MARK} fémur\n".encode("latin-1"), "data.encoding"),
        ("reports.docx", MARK.encode(), "data.format"),
        ("no.tgz", MARK.encode(), "data.truncated"),
        ("object.json", f'{{"text": "{MARK}"}}'.encode(), "data.json"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_source_that_cannot_be_read(label, tmp_path, name, content, code):
    source = tmp_path / name
    if content is not ABSENT:
        source.write_bytes(content)
    done, table, _ = label(source)
    assert is_one_error(done, code, source)
    assert table is None


def test_nothing_on_stdin(command, tmp_path):
    done = command("label", "run", "-", "-o", tmp_path / "labels.csv", stdin="")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "[data.empty] the file is empty")


def test_an_empty_folder(label, tmp_path):
    (tmp_path / "reports").mkdir()
    assert is_one_error(label(tmp_path / "reports")[0], "data.empty", tmp_path / "reports")


@pytest.mark.parametrize(
    ("args", "code", "named"),
    [
        (["--text-column", "Raport"], "data.columns", "did you mean report?"),
        (["--id-column", "number"], "data.columns", "the columns are: study_id, report"),
        (["--text-column", "report", "--findings-column", "x"], "config.columns", "--text-column"),
        (["--labeler", "rule.v1"], "labelers.unknown", "Did you mean rules.v1?"),
        (["--schema", "chexpert.v1"], "schemas.unknown", "Did you mean chexpert14.v1"),
        (["--schema", "chexprt14"], "schemas.unknown", "Did you mean chexpert14.v1?"),
        (["--schema", "mine.yaml"], "config.missing", "mine.yaml"),
        (["--sections", "impresion"], "config.section", "Did you mean impression"),
        (["--sections", ""], "config.section", "sections"),
        (["--format", "cvs"], "readers.unknown", "Did you mean csv?"),
        (["--encoding", "utf-9"], "config.encoding", "utf-9"),
    ],
)
def test_a_wrong_option(label, tmp_path, args, code, named):
    source = tmp_path / "reports.csv"
    source.write_text(f"study_id,report\n1,{MARK} fracture\n")
    done, table, _ = label(source, "--labeler", "toy.v1")
    assert done.code == 0
    before = table
    done, table, _ = label(source, *args)
    assert is_one_error(done, code, named)
    assert table == before
    assert (tmp_path / "out" / "labels.csv.manifest.json").exists(), "a mistake in an option touches nothing"


def test_usage_errors_are_exit_code_2(radloop, tmp_path):
    for wrong in (["--workers", "0"], ["--workers", "two"], ["--engine", "dask"], ["--frobnicate"], []):
        assert radloop("label", "run", "x.csv", *wrong).code == 2
    assert radloop("label", "run", "-o", tmp_path / "x.csv").code == 2


@pytest.mark.parametrize(
    ("yaml", "code", "line", "field"),
    [
        ("labels:\n  Edema: {findings: [wet]}\n  Mass: {findings: [mass]}\n  Edema: {findings: [dry]}\n",
         "config.duplicate_key", 6, "Edema"),
        ("labels:\n  Mass:\n    findings: [mass]\n    weak: [(a|b mass]\n", "config.field", 6, "labels.Mass.weak.0"),
        ("labels:\n  Mass:\n    findings: [mass, big) mass]\n", "config.field", 5, "labels.Mass.findings.1"),
        ("labels:\n  Mass:\n    findings: [((big)) mass]\n", "config.field", 5, "labels.Mass.findings.0"),
        ("labels:\n  Mass:\n    findngs: [mass]\n", "config.unknown_field", 5, "findngs"),
        ("labels:\n  Mass: {}\n", "config.label", 4, "Mass"),
        ("labels: [Mass]\n", "config.field", 3, "labels"),
        ("labels:\n  Mass: {findings: [mass}\n", "config.syntax", 4, ""),
    ],
)  # fmt: skip
def test_a_wrong_schema(label, tmp_path, yaml, code, line, field):
    source, schema = tmp_path / "reports.csv", tmp_path / "mine.yaml"
    source.write_text(f"study_id,report\n1,{MARK}\n")
    schema.write_text(f"base: chexpert14.v1\nname: mine.v1\n{yaml}")
    done, table, _ = label(source, "--schema", schema)
    assert is_one_error(done, code, schema, field)
    assert table is None
    assert f"{schema}:{line}" in done.err


# --- broken off ----------------------------------------------------------------------------------------------------


def make_archive(path, reports=400):
    """An archive of MIMIC-CXR texts that does not compress, so that a cut loses some and leaves some."""
    with tarfile.open(path, "w:gz") as archive:
        for number in range(reports):
            data = f"{report(number)} {os.urandom(300).hex()} {MARK}".encode()
            member = tarfile.TarInfo(f"files/s{number}.txt")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_a_truncated_archive_is_resumed_with_the_whole_one(radloop, label, tmp_path):
    whole, source = tmp_path / "whole.tgz", tmp_path / "reports.tgz"
    make_archive(whole)
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    done, table, _ = label(source)
    assert is_one_error(done, "data.truncated", source)
    assert table is None
    done_before = len((tmp_path / "out" / "labels.csv.partial" / "rows.part").read_text().splitlines())
    assert 200 < done_before < 300, "nothing that could be read is lost"
    source.write_bytes(whole.read_bytes())
    done, table, _ = label(source, "--labeler", "toy.v1", "--resume")
    assert done.code == 0
    assert f"{done_before} of them before the interruption" in done.err
    assert [line.split(",")[0] for line in table[1:]] == [f"s{number}" for number in range(400)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_table_that_breaks_off_is_kept_up_to_there(command, tmp_path, workers):
    source, out = tmp_path / "reports.csv", tmp_path / "labels.csv"
    source.write_text("id,report\n" + "".join(f"{n},fracture\n" for n in range(500)) + f'500,"{MARK}\n')
    done = command("label", "run", source, "-o", out, "--labeler", "toy.v1", "--workers", workers, program=EAGER)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "[data.csv] a quoted cell is never closed")
    note = json.loads((tmp_path / "labels.csv.partial" / "progress.json").read_text())
    assert note["end"][0] >= 480
    assert not out.exists()


# --- records that cannot be used -----------------------------------------------------------------------------------


def test_bad_records_are_rejected_and_the_rest_is_labeled(label, tmp_path):
    source = tmp_path / "reports.jsonl"
    good = {"id": "good", "report": "fracture"}
    lines = [
        json.dumps(good),
        f'{{"id": "1", "report": "{MARK}"',
        json.dumps([MARK]),
        json.dumps({"id": "2", "report": [MARK]}),
        json.dumps({"id": "3", "text": MARK, "report": 5}),
        json.dumps({"id": [MARK], "report": MARK}),
        json.dumps({"id": "", "report": MARK}),
        json.dumps({"report": MARK}),
        json.dumps({"id": "4", "report": f"{MARK} \0 fracture"}),
        json.dumps({"id": "5", "report": f"{MARK} \ud83d fracture"}),
        json.dumps({"id": "6\udc00", "report": MARK}),
        json.dumps({"id": "good", "report": MARK}),
        json.dumps({"id": "7", "report": f"{MARK}\u202e\U0001f480 effusion"}),
        "[" * 100_000,
    ]
    source.write_text("\n".join(lines), encoding="utf-8")
    done, table, failures = label(source, "--labeler", "toy.v1", "--max-failures", "20")
    assert done.code == 0
    assert table == ["study_id,effusion,fracture", "good,0,1", "7,1,0"]
    assert [(each["row"], each["code"]) for each in failures] == [
        (2, "data.json"), (3, "data.json"), (4, "data.type"), (5, "data.type"), (6, "data.type"), (7, "data.no_id"),
        (8, "data.no_id"), (9, "data.nul"), (10, "data.surrogate"), (11, "data.surrogate"), (12, "data.duplicate"),
        (14, "data.json"),
    ]  # fmt: skip
    assert {each["file"] for each in failures} == {str(source)}
    assert "12 records rejected" in done.err
    for path in (tmp_path / "out").rglob("*"):
        assert MARK.encode() not in path.read_bytes()
    assert MARK not in done.err


def test_rows_that_do_not_fit(label, tmp_path):
    source = tmp_path / "reports.csv"
    source.write_text(f'id,report\n1,fracture\n2,{MARK},{MARK}\n3\n1,{MARK}\n4,"a"{MARK}"\n5,effusion\n')
    done, table, failures = label(source)
    assert done.code == 1
    assert table[1:] == ["1,0,1", "5,1,0"]
    assert [(each["row"], each["code"]) for each in failures] == [
        (2, "data.columns"), (3, "data.columns"), (4, "data.duplicate"), (5, "data.csv"),
    ]  # fmt: skip
    assert all(MARK not in json.dumps(each) for each in failures)


def test_nul_bytes_in_a_table(label, tmp_path):
    source = tmp_path / "reports.csv"
    source.write_bytes(b"id,report\n1,fracture\n2,no \0 fracture\n3,effusion\n")
    done, table, failures = label(source)
    assert done.code == 1
    assert table[1:] == ["1,0,1", "3,1,0"]
    assert [(each["row"], each["code"], each["file"]) for each in failures] == [(2, "data.nul", str(source))]


def test_texts_that_are_not_what_they_should_be(label, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "s1.txt").write_text("fracture")
    (folder / "s2.txt").write_bytes(MARK.encode() + b"\xff\xfe")
    (folder / "s3.txt").symlink_to("/proc/self/mem")
    (folder / "s4.txt").write_text("effusion")
    done, table, failures = label(folder)
    assert done.code == 1
    assert table[1:] == ["s1,0,1", "s4,1,0"]
    assert [(each["member"], each["code"]) for each in failures] == [
        ("s2.txt", "data.encoding"), ("s3.txt", "data.unreadable"),
    ]  # fmt: skip
    assert json.loads((tmp_path / "out" / "labels.csv.manifest.json").read_text())["inputs"][0]["sha256"]


def test_a_huge_report_beside_others(label, tmp_path):
    source = tmp_path / "reports.jsonl"
    sizes = {"just": 10_000_000, "over": 10_000_001}
    texts = {name: f"fracture {'No effusion seen. ' * 600_000}"[:size] for name, size in sizes.items()}
    records = [("first", "effusion"), *texts.items(), ("last", "fracture")]
    source.write_text("".join(json.dumps({"id": name, "report": text}) + "\n" for name, text in records))
    done, table, failures = label(source)
    assert done.code == 1
    assert table[1:] == ["first,1,0", "just,1,1", "last,0,1"]
    assert [(each["study_id"], each["code"], each["row"]) for each in failures] == [("over", "data.too_long", 3)]


@pytest.mark.slow
def test_the_rules_read_a_huge_report(command, tmp_path):
    source, evidence = tmp_path / "reports.jsonl", tmp_path / "mentions.jsonl"
    text = ("No pleural effusion or pneumothorax. Possible pneumonia. " * 200_000)[:9_999_990]
    source.write_text(json.dumps({"id": "huge", "report": text}) + "\n" + json_line(1))
    done = command("label", "run", source, "-o", tmp_path / "labels.csv")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 3
    source.write_text(json.dumps({"id": "large", "report": text[:1_000_000]}))
    done = command("label", "run", source, "-o", tmp_path / "labels.csv", "--evidence", evidence)
    assert done.returncode == 0, done.stderr
    for mention in json.loads(evidence.read_text())["mentions"][::1000]:
        assert text[mention["start"] : mention["end"]] == mention["text"]


@pytest.mark.parametrize("evidence", [[], ["--evidence", "mentions.jsonl"]])
def test_a_report_that_the_labeler_fails_on(label, tmp_path, monkeypatch, evidence):
    original = ToyLabeler.states

    def states(self, reports, sections=""):
        for read in reports:
            if MARK in read.text:
                raise ValueError(read.text)
        return original(self, reports)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ToyLabeler, "states", states)
    source = tmp_path / "reports.csv"
    source.write_text(f"id,report\na,fracture\nb,{MARK}\nc,{MARK}\n")
    done, table, failures = label(source, "--labeler", "toy.v1", "--max-failures", "100%", *evidence)
    assert done.code == 0
    assert table[1:] == ["a,0,1"]
    message = "the labeler failed on this report (ValueError)"
    assert failures == [
        {"study_id": name, "file": str(source), "row": row, "code": "label.failed", "message": message}
        for row, name in ((2, "b"), (3, "c"))
    ]
    assert MARK not in done.err


def test_the_member_is_named_of_a_report_that_the_labeler_fails_on(label, tmp_path, monkeypatch):
    monkeypatch.setattr(ToyLabeler, "states", lambda self, reports, sections="": [(1,) for _ in reports])
    make_archive(tmp_path / "reports.tgz", 2)
    done, table, failures = label(tmp_path / "reports.tgz")
    assert done.code == 1
    assert len(table) == 1
    assert [(each["member"], each["code"]) for each in failures] == [
        ("files/s0.txt", "label.failed"), ("files/s1.txt", "label.failed"),
    ]  # fmt: skip


def test_a_mistake_of_the_program_says_nothing_of_the_report(label, tmp_path, monkeypatch):
    def broken(self, ids):
        raise KeyError(MARK)

    monkeypatch.setattr("corpora.unique.SeenIds.add", broken)
    source = tmp_path / "reports.csv"
    source.write_text(f"id,report\n1,{MARK}\n")
    assert is_one_error(label(source)[0], "internal.error", "KeyError")


# --- outputs that cannot be written --------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path):
    """A source of three reports."""
    source = tmp_path / "reports.csv"
    source.write_text("id,report\n1,fracture\n2,effusion\n3,none\n")
    return source


@pytest.mark.parametrize("out", ["{source}/labels.csv", "{source}/run", "/proc/labels.csv", "/proc/1/run/labels.csv"])
def test_a_place_where_nothing_can_be_written(radloop, small, out):
    out = out.format(source=small)
    done = radloop("label", "run", small, "-o", out, "--labeler", "toy.v1")
    assert is_one_error(done, "run.not_writable", out.rpartition("/")[0])


@pytest.mark.parametrize("evidence", ["{source}/mentions.jsonl", "/proc/mentions.jsonl"])
def test_evidence_that_cannot_be_written_is_said_at_once(radloop, small, tmp_path, evidence):
    out, evidence = tmp_path / "labels.csv", evidence.format(source=small)
    done = radloop("label", "run", small, "-o", out, "--labeler", "toy.v1", "--evidence", evidence)
    assert is_one_error(done, "run.not_writable", evidence.rpartition("/")[0])
    assert outputs(out) == {}


def test_a_read_only_place(radloop, small, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("may not mount here")
    try:
        done = radloop("label", "run", small, "-o", place / "labels.csv", "--labeler", "toy.v1")
        assert is_one_error(done, "run.not_writable", place, "Read-only file system")
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_folder_where_the_table_should_be_and_the_reverse(radloop, small, tmp_path):
    (tmp_path / "labels.csv").mkdir()
    (tmp_path / "run").write_text("")
    (tmp_path / "mentions.jsonl").mkdir()
    start = ("label", "run", small, "--labeler", "toy.v1", "-o")
    assert is_one_error(radloop(*start, tmp_path / "labels.csv"), "run.is_folder", tmp_path / "labels.csv")
    assert is_one_error(radloop(*start, tmp_path / "run"), "run.is_file", tmp_path / "run")
    done = radloop(*start, tmp_path / "new.csv", "--evidence", tmp_path / "mentions.jsonl")
    assert is_one_error(done, "run.is_folder", tmp_path / "mentions.jsonl")


def test_no_output_replaces_the_source(radloop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "study_id,report\n1,fracture\n"
    Path("labels.csv").write_text(text)
    Path("link.csv").symlink_to("labels.csv")
    Path("twin.csv").hardlink_to("labels.csv")
    here = tmp_path / "labels.csv"
    for args in (
        ["labels.csv", "-o", "labels.csv"],
        ["labels.csv", "-o", "./labels.csv"],
        ["labels.csv", "-o", here],
        ["labels.csv", "-o", "."],
        ["labels.csv", "-o", "link.csv"],
        ["twin.csv", "-o", "labels.csv"],
        ["labels.csv", "-o", "new.csv", "--evidence", "labels.csv"],
        ["labels.csv", "-o", "labels.csv", "--resume"],
    ):
        assert is_one_error(radloop("label", "run", *args, "--labeler", "toy.v1"), "run.same_file")
        assert here.read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "link.csv", "twin.csv"]


def test_no_output_replaces_another(radloop, small, tmp_path):
    out = tmp_path / "labels.csv"
    for evidence in (out, f"{out}.manifest.json", f"{out}.failures.jsonl", f"{out}.partial"):
        done = radloop("label", "run", small, "-o", out, "--labeler", "toy.v1", "--evidence", evidence)
        assert is_one_error(done, "run.same_file", evidence)
        assert outputs(out) == {}
    done = radloop("label", "run", small, "-o", tmp_path / "run", "--evidence", tmp_path / "run")
    assert is_one_error(done, "run.same_file", tmp_path / "run")


def test_a_folder_of_something_else_is_not_replaced(radloop, small, tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for content in ('{"studies": 5}', "{", "[]", '{"config": {"epochs": 3}, "counts": {}}'):
        (corpus / "manifest.json").write_text(content)
        for resume in ([], ["--resume"]):
            done = radloop("label", "run", small, "-o", corpus, "--labeler", "toy.v1", *resume)
            assert is_one_error(done, "run.other", corpus / "manifest.json")
        assert [path.name for path in corpus.iterdir()] == ["manifest.json"]
        assert (corpus / "manifest.json").read_text() == content


# --- a full disk ---------------------------------------------------------------------------------------------------

# writes as much of what it is given as there is room for, then fails, as a disk does
FULL = """
import errno, io, os, labeler.journal
room = {room}
class Full(io.FileIO):
    def write(self, data):
        global room
        data = bytes(data)[:room]
        room -= len(data)
        if not data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)
labeler.journal.io.FileIO = Full
"""


@pytest.mark.parametrize(("room", "workers"), [(0, 1), (10, 1), (3000, 1), (3001, 2)])
def test_a_disk_that_is_full_midway(command, source, tmp_path, room, workers):
    path, out = source(500), tmp_path / "out" / "labels.csv"
    args = ["label", "run", path, "-o", out, "--labeler", "toy.v1", "--workers", workers]
    done = command(*args, program=FULL.format(room=room) + EAGER)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "[run.disk_full] no space left",
        f"  where: {out}.partial",
        "  hint: free some space, then run again with --resume",
    ]
    assert not out.exists()
    done = command(*args, "--resume")
    assert done.returncode == 1, done.stderr
    assert ("before the interruption" in done.stderr) == (room > 10)
    resumed = outputs(out)
    assert command(*args).returncode == 1
    assert resumed == outputs(out)


def test_a_disk_that_is_really_full(command, source, tmp_path):
    path, disk = source(3000), tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount here")
    try:
        args = ["label", "run", path, "-o", disk / "labels.csv", "--evidence", disk / "e.jsonl", "--labeler", "toy.v1"]
        done = command(*args, program=EAGER)
        assert (done.returncode, done.stderr.splitlines()[0]) == (2, "[run.disk_full] no space left")
        done = command(*args, "--resume", program=EAGER)
        assert (done.returncode, done.stderr.splitlines()[0]) == (2, "[run.disk_full] no space left")
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        done = command(*args, "--resume")
        assert done.returncode == 1, done.stderr
        assert "before the interruption" in done.stderr
        resumed = {file.name: file.read_bytes() for file in disk.iterdir() if "manifest" not in file.name}
        assert sorted(resumed) == ["e.jsonl", "labels.csv", "labels.csv.failures.jsonl"]
        assert command(*args).returncode == 1
        assert resumed == {file.name: file.read_bytes() for file in disk.iterdir() if "manifest" not in file.name}
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("part", ["labels.csv", "labels.csv.manifest.json", "labels.parquet"])
def test_a_disk_that_is_full_at_the_end(radloop, small, tmp_path, monkeypatch, part):
    out = tmp_path / "out" / part.removesuffix(".manifest.json")
    replace = Path.replace

    def full(self, target):
        if target.name == part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    args = ("label", "run", small, "-o", out, "--labeler", "toy.v1")
    monkeypatch.setattr(Path, "replace", full)
    assert is_one_error(radloop(*args), "run.disk_full", tmp_path / "out" / part)
    monkeypatch.undo()
    done = radloop(*args, "--resume")
    assert (done.code, "3 of them before the interruption" in done.err) == (0, True)
    assert sorted(path.name for path in out.parent.iterdir()) == [out.name, f"{out.name}.manifest.json"]
