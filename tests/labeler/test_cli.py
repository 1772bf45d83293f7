"""`radloop label run` as a user sees it: what goes in, what comes out, what is said."""

import gzip
import hashlib
import json
import os
import pty
import select
import subprocess
import sys
import tarfile
import zipfile
from functools import cache

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labeler.base import load
from labeler.progress import expected_records
from tests.labeler.conftest import PROGRAM, report

COLUMNS = (
    "study_id,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Lesion,Lung Opacity,Edema,Consolidation,"
    "Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
ROWS = [
    ("b", "No pleural effusion. Possible pneumonia."),
    ("a", "Cardiomegaly."),
    ("c,1", ""),
    ('d"2"', "Old rib fracture, no pneumothorax."),
]
CELLS = ["b,,,,,,,,-1,,,0,,,", "a,,,1,,,,,,,,,,,", '"c,1",,,,,,,,,,,,,,', '"d""2""",,,,,,,,,,0,,,1,']
LABELS = COLUMNS.split(",")[1:]
LOAD = cache(load)


@pytest.fixture(autouse=True)
def _load_once(monkeypatch):
    # what a labeler says does not depend on what it labeled before; starting it is most of a short run
    monkeypatch.setattr("labeler.several.load", LOAD)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "reports.jsonl"
    path.write_text("".join(json.dumps({"study_id": name, "report": text}) + "\n" for name, text in ROWS))
    return path


def states(line):
    return [int(cell) if cell else None for cell in line.rsplit(",", 14)[1:]]


# --- what is written -----------------------------------------------------------------------------------------------


def test_a_csv_table_in_the_order_of_the_source(radloop, table, tmp_path):
    out = tmp_path / "labels.csv"
    done = radloop("label", "run", table, "-o", out)
    assert (done.code, done.out) == (0, "")
    assert out.read_bytes().decode().split("\n") == [COLUMNS, *CELLS, ""]
    assert done.err.startswith("4 reports labeled in ")
    assert done.err.endswith(f"wrote {out}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv", "labels.csv.manifest.json", table.name]


def test_a_parquet_table(radloop, table, tmp_path):
    assert radloop("label", "run", table, "-o", tmp_path / "new" / "labels.parquet").code == 0
    made = pq.read_table(tmp_path / "new" / "labels.parquet")
    assert made.schema == pa.schema([("study_id", pa.string()), *((label, pa.int8()) for label in LABELS)])
    assert made["study_id"].to_pylist() == [name for name, _ in ROWS]
    assert [list(row.values())[1:] for row in made.to_pylist()] == list(map(states, CELLS))


def test_a_jsonl_table(radloop, table, tmp_path):
    assert radloop("label", "run", table, "-o", tmp_path / "labels.jsonl").code == 0
    made = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert made == [
        {
            "study_id": name,
            "labels": {label: state for label, state in zip(LABELS, states(cells), strict=True) if state is not None},
        }
        for (name, _), cells in zip(ROWS, CELLS, strict=True)
    ]


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_every_format_says_the_same(radloop, table, tmp_path, ending):
    for out in (f"labels.{ending}", "labels.csv"):
        assert radloop("label", "run", table, "-o", tmp_path / out).code == 0
    done = radloop("label", "score", tmp_path / f"labels.{ending}", tmp_path / "labels.csv", "--json")
    assert json.loads(done.out)["exact"] == 1.0


def test_a_run_folder(radloop, table, tmp_path):
    table.write_text(table.read_text() + "{}\n")
    done = radloop("label", "run", table, "-o", tmp_path / "run-7", "--max-failures", 1)
    assert done.code == 0
    assert sorted(path.name for path in (tmp_path / "run-7").iterdir()) == [
        "failures.jsonl",
        "labels.csv",
        "manifest.json",
    ]
    assert (tmp_path / "run-7" / "labels.csv").read_text().splitlines() == [COLUMNS, *CELLS]


def test_evidence(radloop, table, tmp_path):
    evidence = tmp_path / "deep" / "mentions.jsonl"
    assert radloop("label", "run", table, "-o", tmp_path / "labels.csv", "--evidence", evidence).code == 0
    assert (tmp_path / "labels.csv").read_text().splitlines() == [COLUMNS, *CELLS]
    found = [json.loads(line) for line in evidence.read_text().splitlines()]
    assert [each["study_id"] for each in found] == [name for name, _ in ROWS]
    assert [list(each["labels"].values()) for each in found] == list(map(states, CELLS))
    for each, (_, text) in zip(found, ROWS, strict=True):
        for span in (*each["mentions"], *(cue for mention in each["mentions"] for cue in mention["cues"])):
            assert span["text"] == text[span["start"] : span["end"]]
    effusion = found[0]["mentions"][0]
    assert (effusion["label"], effusion["text"], effusion["state"]) == ("Pleural Effusion", "pleural effusion", 0)
    assert [cue["text"] for cue in effusion["cues"]] == ["No"]


def test_the_offsets_of_right_to_left_text_and_emoji(radloop, tmp_path):
    text = "\U0001f9d1\u200d\u2695\ufe0f שלום انصباب e\u0301 No pleural effusion \u202eabc\u202c. Cardiomegaly."
    source, evidence = tmp_path / "reports.jsonl", tmp_path / "mentions.jsonl"
    source.write_text(
        json.dumps({"study_id": "עברית \U0001f480", "report": text}, ensure_ascii=False), encoding="utf-8"
    )
    assert radloop("label", "run", source, "-o", tmp_path / "labels.csv", "--evidence", evidence).code == 0
    found = json.loads(evidence.read_text(encoding="utf-8"))
    assert found["study_id"] == "עברית \U0001f480"
    spans = {mention["label"]: mention for mention in found["mentions"]}
    assert spans["Pleural Effusion"]["text"] == "pleural effusion"
    assert spans["Cardiomegaly"]["text"] == "Cardiomegaly"
    for span in spans.values():
        assert text[span["start"] : span["end"]] == span["text"]


def test_the_manifest(radloop, table, tmp_path):
    table.write_text(table.read_text() + '{"study_id": "a", "report": "again"}\n')
    schema = tmp_path / "mine.yaml"
    schema.write_text("base: chexpert14.v1\nname: mine.v1\n")
    out = tmp_path / "labels.csv"
    args = ("--schema", schema, "--sections", "impression|findings", "--id-column", "study_id", "--max-failures", "50%")
    done = radloop("label", "run", table, "-o", out, *args)
    assert done.code == 0
    made = json.loads((tmp_path / "labels.csv.manifest.json").read_text())
    assert made["command"]
    assert made["config"]["sections"] == "impression|findings"
    assert made["config"]["label_schema"] == str(schema)
    assert made["config"]["id_column"] == "study_id"
    assert {"python", "radloop", "spacy", "negspacy"} <= made["versions"].keys()
    hashes = {each["path"]: each["sha256"] for each in made["inputs"]}
    assert hashes[str(table)] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert hashes[str(schema)] == hashlib.sha256(schema.read_bytes()).hexdigest()
    assert len(hashes) == 5, "the source, the schema, its base, two lexicons"
    counts = made["counts"]
    assert (counts["reports"], counts["rejected"]) == (4, 1)
    assert (counts["Cardiomegaly: positive"], counts["Pleural Effusion: negative"], counts["Edema: positive"]) == (
        1,
        1,
        0,
    )
    assert [name.rpartition(": ")[0] for name in counts][2::3] == LABELS
    assert made["wall_seconds"] >= 0


def test_sections_choose_what_is_read(radloop, tmp_path):
    source = tmp_path / "reports.csv"
    source.write_text("id,findings,impression\n1,Cardiomegaly.,No effusion.\n2,Cardiomegaly.,\n")
    made = {}
    for wanted in ("findings,impression", "impression", "impression|findings"):
        radloop("label", "run", source, "-o", tmp_path / "labels.csv", "--sections", wanted)
        lines = (tmp_path / "labels.csv").read_text().splitlines()[1:]
        made[wanted] = [(states(line)[2], states(line)[10]) for line in lines]
    assert made["findings,impression"] == [(1, 0), (1, None)]
    assert made["impression"] == [(None, 0), (None, None)]
    assert made["impression|findings"] == [(None, 0), (1, None)]


def test_jsonl_on_stdin(command, table, tmp_path):
    done = command("label", "run", "-", "-o", tmp_path / "labels.csv", stdin=table.read_text())
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "labels.csv").read_text().splitlines() == [COLUMNS, *CELLS]


def test_a_file_name_in_another_encoding(command, table, tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102
    source = os.fsdecode(folder + b"/r\xe9ports.jsonl")
    with open(source, "w") as file:  # noqa: PTH123
        file.write(table.read_text() + "{}\n")
    done = command("label", "run", source, "-o", tmp_path / "labels.csv")
    assert done.returncode == 1, done.stderr
    failure = json.loads((tmp_path / "labels.csv.failures.jsonl").read_bytes())
    assert failure["file"] == source
    assert json.loads((tmp_path / "labels.csv.manifest.json").read_bytes())["inputs"][0]["path"] == source


# --- in place of the Stanford labeler ------------------------------------------------------------------------------

STANFORD_IN = """No pleural effusion. Possible pneumonia.
"Cardiomegaly, stable.

""Borderline"" heart."

"  The heart is enlarged.\r\nNo effusion."
"a lone\rreturn"
Old rib fracture;\tno pneumothorax.
"""
# what pandas.DataFrame.to_csv(index=False) writes of a column of text and columns of floats
STANFORD_OUT = [
    COLUMNS.replace("study_id", "Reports"),
    "No pleural effusion. Possible pneumonia.,,,,,,,,-1.0,,,0.0,,,",
    '"Cardiomegaly, stable.\n\n""Borderline"" heart.",,,1.0,,,,,,,,,,,',
    '"  The heart is enlarged.\r\nNo effusion.",,,1.0,,,,,,,,0.0,,,',
    '"a lone\rreturn",,,,,,,,,,,,,,',
    "Old rib fracture;\tno pneumothorax.,,,,,,,,,,0.0,,,1.0,",
]


@pytest.mark.parametrize("out", ["labeled_reports.csv", "run"])
def test_a_drop_in_for_the_stanford_labeler(radloop, tmp_path, out):
    source = tmp_path / "reports.csv"
    source.write_bytes(STANFORD_IN.encode())
    assert radloop("label", "run", source, "-o", tmp_path / out).code == 0
    table = tmp_path / out if out.endswith("csv") else tmp_path / out / "labels.csv"
    assert table.read_bytes().decode() == "\n".join([*STANFORD_OUT, ""])


def test_stanford_reports_to_other_formats_are_numbered(radloop, tmp_path):
    source = tmp_path / "reports.csv"
    source.write_bytes(STANFORD_IN.encode())
    assert radloop("label", "run", source, "-o", tmp_path / "labels.parquet").code == 0
    assert pq.read_table(tmp_path / "labels.parquet")["study_id"].to_pylist() == ["1", "2", "3", "4", "5"]


# --- what is said --------------------------------------------------------------------------------------------------


def test_rejected_records_are_counted_and_named(radloop, table, tmp_path):
    table.write_text(
        table.read_text() + 'nonsense\n{"study_id": "b", "report": "again"}\n{"study_id": "", "report": ""}\n'
    )
    out = tmp_path / "labels.csv"
    done = radloop("label", "run", table, "-o", out)
    assert done.code == 1
    assert done.err.splitlines()[1:] == [
        f"wrote {out}",
        f"3 records rejected; the reasons are in {out}.failures.jsonl",
        "more records were rejected than --max-failures 1% allows",
    ]
    assert out.read_text().splitlines() == [COLUMNS, *CELLS]
    failures = [json.loads(line) for line in (tmp_path / "labels.csv.failures.jsonl").read_text().splitlines()]
    assert [(each["code"], each["file"], each["row"]) for each in failures] == [
        ("data.json", str(table), 5),
        ("data.duplicate", str(table), 6),
        ("data.no_id", str(table), 7),
    ]
    assert failures[1]["study_id"] == "b"


@pytest.mark.parametrize(
    ("allowed", "code"),
    [("0", 1), ("1", 1), ("2", 0), ("100", 0), ("0%", 1), ("1%", 1), ("33%", 1), ("33.4%", 0), ("100%", 0)],
)
def test_max_failures(radloop, table, tmp_path, allowed, code):
    table.write_text(table.read_text() + "nonsense\n{}\n")
    out = tmp_path / "labels.csv"
    args = ("label", "run", table, "-o", out, "--labeler", "toy.v1", "--max-failures", allowed)
    done = radloop(*args)
    assert done.code == code
    assert ("--max-failures" in done.err) == (code == 1)
    assert len(out.read_text().splitlines()) == 5
    assert radloop(*args, "--resume").code == code


@pytest.mark.parametrize("wrong", ["", "%", "many", "-1", "1.5", "nan%", "inf%", "101%", "-1%", "1 %%"])
def test_max_failures_that_is_none(radloop, table, tmp_path, wrong):
    done = radloop("label", "run", table, "-o", tmp_path / "labels.csv", f"--max-failures={wrong}")
    assert done.code == 2
    assert done.err.splitlines() == [
        f"[config.value] {wrong!r} is neither a number of records nor a share of them",
        "  where: --max-failures",
        "  hint: such as 100 or 1%",
    ]


def test_one_warning_and_no_progress_where_nobody_looks(command, table, tmp_path):
    done = command("label", "run", table, "-o", tmp_path / "labels.csv")
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 2


def on_a_terminal(args):
    """What a command writes where stderr is a terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    run = subprocess.Popen([PROGRAM, *map(str, args)], stderr=theirs, stdin=theirs, stdout=subprocess.PIPE, env=env)
    os.close(theirs)
    seen = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            seen += os.read(ours, 65536)
        except OSError:  # the terminal is closed
            break
    os.close(ours)
    out = run.stdout.read()
    run.stdout.close()
    return run.wait(), out.decode(), seen.decode()


def test_a_bar_on_a_terminal(tmp_path):
    source = tmp_path / "reports.csv"
    source.write_text("report\n" + "".join(f'"{report(number)}"\n' for number in range(20_000)))
    code, out, seen = on_a_terminal(["label", "run", source, "-o", tmp_path / "labels.csv", "--labeler", "toy.v1"])
    assert (code, out) == (0, "")
    assert "labeling" in seen
    assert "━" in seen
    assert "20,000 reports labeled" in seen


def test_an_error_on_a_terminal_stands_alone(tmp_path):
    code, out, seen = on_a_terminal(["label", "run", tmp_path / "missing.csv", "-o", tmp_path / "labels.csv"])
    assert (code, out) == (2, "")
    assert "[data.missing] no such file or folder" in seen


def varied(number):
    """A report that packs badly, so that a part of an archive is like the rest."""
    return f"{report(number)} {hashlib.sha512(str(number).encode()).hexdigest()}"


def make_sources(folder):
    """One source of 3,000 records of each kind."""
    rows = "id\treport\n" + "".join(f'{number}\t"{varied(number)}"\n' for number in range(3000))
    (folder / "a.csv").write_text(rows.replace("\t", ","))
    (folder / "a.tsv.gz").write_bytes(gzip.compress(rows.encode()))
    records = [{"id": str(number), "report": varied(number)} for number in range(3000)]
    jsonl = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "a.jsonl").write_text(jsonl)
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(jsonl.encode()))
    (folder / "a.json").write_text(json.dumps(records))
    pq.write_table(pa.Table.from_pylist(records), folder / "a.parquet")
    texts = folder / "mimic"
    texts.mkdir()
    for number in range(3000):
        (texts / f"s{number}.txt").write_text(varied(number))
    (texts / "README.txt").write_text("no report")
    with tarfile.open(folder / "a.tgz", "w:gz") as archive:
        archive.add(texts, "files")
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for path in texts.iterdir():
            archive.write(path, path.name)


def test_how_many_records_are_expected(tmp_path):
    make_sources(tmp_path)
    for path in tmp_path.iterdir():
        assert expected_records(str(path)) == pytest.approx(3000, rel=0.001), path.name


def test_how_many_are_expected_is_told_from_the_beginning(tmp_path, monkeypatch):
    make_sources(tmp_path)
    monkeypatch.setattr("labeler.progress._SCANNED", 100_000)
    for path in tmp_path.iterdir():
        assert expected_records(str(path)) == pytest.approx(3000, rel=0.15), path.name


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.tgz", "x.zip", "x.csv.gz", "x.json", "x", "-"])
def test_nothing_is_expected_of_what_is_no_source(tmp_path, name):
    path = tmp_path / name
    assert expected_records(str(path)) is None
    path.write_bytes(b"")
    assert expected_records(str(path)) is None
    path.write_bytes(b"\x1f\x8b\x08\x00\x00")
    expected_records(str(path))
    assert sys.exc_info() == (None, None, None)
