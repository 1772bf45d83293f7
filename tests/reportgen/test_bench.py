"""The commands: what they write, what they refuse, what they count."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reportgen.bench import score_texts
from reportgen.inputs import read_texts
from reportgen.protocols import load_protocol, protocol_names
from tests.reportgen.conftest import DRAFTS, REFERENCES, write_table

FAST = ("--replicates", 50, "--randomisations", 50)


def rows_of(folder: Path):
    return {row["name"]: row for row in json.loads((folder / "table.json").read_text())["rows"]}


def bench(radloop, drafts, references, out, *more, protocol="raw-lower"):
    return radloop(
        "bench", "score", "--predictions", drafts, "--references", references, "--protocol", protocol, "-o", out,
        *FAST, *more,
    )  # fmt: skip


def test_score_writes_a_whole_run(scored):
    files = {path.name for path in scored.iterdir()}
    assert files == {
        "table.md", "table.csv", "table.json", "table.tex", "report.html", "scores.parquet", "sums.parquet",
        "unscored.jsonl", "errors.jsonl", "manifest.json",
    }  # fmt: skip
    rows = rows_of(scored)
    assert [*rows] == ["drafts", "constant", "most-common (of the references)"]
    cell = rows["drafts"]["metrics"]["ROUGE_L"]
    assert cell["lo"] <= cell["value"] <= cell["hi"] and 0 < cell["p_against_constant"] <= 1
    table = pq.read_table(scored / "scores.parquet")
    assert table.num_rows == 3 * len(DRAFTS) and "radloop-clinical" in table.column_names
    errors = [json.loads(line) for line in (scored / "errors.jsonl").read_text().splitlines()]
    flipped = next(one for one in errors if one["study_id"] == "s1")
    assert flipped["errors"][0]["kind"] == "side"
    assert "Small right pleural effusion." in flipped["errors"][0]["draft"]
    page = (scored / "report.html").read_text()
    assert "<svg" in page and "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page


def test_training_reports_bring_two_more_rows(radloop, drafts, references, train, tmp_path):
    done = bench(radloop, drafts, references, tmp_path / "run", "--train", train, "--json")
    assert done.code == 0, done.err
    assert [row["name"] for row in json.loads(done.out)["rows"]][1:] == [
        "constant", "most-common", "random-train", "nearest-neighbour",
    ]  # fmt: skip
    nearest = rows_of(tmp_path / "run")["nearest-neighbour"]
    assert nearest["metrics"]["ROUGE_L"]["value"] > rows_of(tmp_path / "run")["constant"]["metrics"]["ROUGE_L"]["value"]


def test_the_same_run_twice_is_the_same(radloop, drafts, references, tmp_path):
    for name in ("a", "b"):
        assert bench(radloop, drafts, references, tmp_path / name).code == 0
    for file in ("scores.parquet", "sums.parquet", "table.csv", "table.md", "unscored.jsonl"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_labels_of_the_references_replace_the_labeler(radloop, drafts, references, tmp_path):
    from corpora.labels import format_cell
    from labeler.base import load

    labels = load().schema.labels
    lines = [",".join(["study_id", *labels])]
    for at in range(len(REFERENCES)):
        lines.append(",".join([f"s{at}", *(format_cell(1 if label == "Fracture" else None) for label in labels)]))
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    done = bench(radloop, drafts, references, tmp_path / "run", "--labels-of-references", tmp_path / "labels.csv")
    assert done.code == 0, done.err
    assert rows_of(tmp_path / "run")["drafts"]["metrics"]["ce-micro-findings"]["value"] == 0


def parquet(path, texts):
    pq.write_table(pa.table({"study_id": [f"s{at}" for at in range(len(texts))], "report": texts}), path)
    return path


def jsonl(path, texts):
    path.write_text("".join(json.dumps({"id": f"s{at}", "text": text}) + "\n" for at, text in enumerate(texts)))
    return path


def r2gengpt(path, texts):
    path.write_text(json.dumps({f"s{at}": [text] for at, text in enumerate(texts)}))
    return path


def rexrank(path, texts):
    records = {f"s{at}": {"report": "x", "model_prediction": text} for at, text in enumerate(texts)}
    path.write_text(json.dumps(records))
    return path


def dicom_ids(path, texts):
    write_table(path, texts)
    path.write_text(path.read_text().replace("study_id", "dicom_id", 1))
    return path


def headerless(path, texts):
    path.write_text("".join(f'"{text}"\n' for text in texts))
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("p.parquet", parquet), ("p.jsonl", jsonl), ("p.json", r2gengpt), ("q.json", rexrank), ("c.csv", dicom_ids),
        ("res.csv", headerless),
    ],
)  # fmt: skip
def test_every_format_gives_the_same_texts(tmp_path, name, write):
    found = read_texts(write(tmp_path / name, DRAFTS), "drafts")
    assert [text for (text,) in found.texts] == list(DRAFTS)
    assert found.numbered == (write is headerless)


def test_an_annotation_brings_its_training_reports(tmp_path):
    path = tmp_path / "annotation.json"
    part = [{"id": "a", "report": "one"}]
    path.write_text(json.dumps({"train": [{"id": "t", "report": "two"}], "val": part, "    ": part}))
    found = read_texts(path, "references")
    assert found.ids == ["a"] and found.train == {"t": "two"}


def test_a_corpus_folder_is_a_source(tmp_path):
    from corpora.runs import write_manifest
    from corpora.store import StudyWriter
    from corpora.types import Report, Study

    with StudyWriter(tmp_path) as writer:
        for at, split in enumerate(("train", "test", "test")):
            text = f"FINDINGS: Lungs are clear {at}. IMPRESSION: Normal."
            writer.append(Study(f"c{at}", report=Report(f"c{at}", text), meta={"split": split}))
    write_manifest(tmp_path / "manifest.json", command=[], config={}, inputs=[], counts={}, wall_seconds=0)
    found = read_texts(tmp_path, "references", sections="findings")
    assert found.ids == ["c1", "c2"] and found.texts[0] == ("Lungs are clear 1.",) and [*found.train] == ["c0"]


@pytest.mark.parametrize(
    ("code", "ids"),
    [("bench.duplicate", ["s0", "s0"]), ("bench.id", ["s0", "  "]), ("bench.ids", ["s0", "s9"])],
)  # fmt: skip
def test_ids_are_not_guessed(radloop, tmp_path, code, ids):
    drafts = write_table(tmp_path / "d.csv", DRAFTS[:2], ids=ids)
    done = bench(radloop, drafts, write_table(tmp_path / "r.csv", REFERENCES[:2]), tmp_path / "run")
    assert done.code == 2 and code in done.err and not (tmp_path / "run" / "manifest.json").exists()


def test_blanks_around_ids_do_not_matter(radloop, tmp_path):
    drafts = write_table(tmp_path / "d.csv", DRAFTS[:2], ids=[" s1", "s0 "])
    assert bench(radloop, drafts, write_table(tmp_path / "r.csv", REFERENCES[:2]), tmp_path / "run").code == 0


def test_rows_without_ids_need_the_same_number(radloop, tmp_path, references):
    drafts = headerless(tmp_path / "res.csv", DRAFTS[:3])
    done = bench(radloop, drafts, references, tmp_path / "run")
    assert done.code == 2 and "bench.rows" in done.err


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "data.empty"), (b"study_id,report\n", "data.empty"), (b"study_id,colour\na,b\n", "bench.column"),
     (b"study_id,report\na,b,c\n", "data.csv"), (b"study_id,report\na,\xff\n", "data.encoding"),
     (b'study_id,report\na,"b', "data.csv")],
)  # fmt: skip
def test_bad_tables(radloop, references, tmp_path, content, code):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    done = bench(radloop, path, references, tmp_path / "run")
    assert done.code == 2 and code in done.err


@pytest.mark.parametrize(
    "content", ["[", "3", '{"a": [{"id": 1}, 3]}', '["x"]', '{"train": [{"id": 1, "report": "x"}]}']
)
def test_bad_json(radloop, references, tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content)
    done = bench(radloop, path, references, tmp_path / "run")
    assert done.code == 2 and done.err.startswith("[")


HOSTILE = (
    "", "nan", "line\nend\r\nand\ttab", "Сердце не увеличено. Лёгкие чистые.", "心臓は正常です。",
    "no effusion. " * 8000,
    "=1+1 <b>&amp;</b> $_{x}$ | \\", "\u202e\ud7ff no pneumothorax",
)  # fmt: skip


def test_hostile_drafts_are_scored_or_counted(radloop, references, tmp_path):
    drafts = write_table(tmp_path / "d.csv", HOSTILE)
    done = bench(radloop, drafts, references, tmp_path / "run")
    assert done.code == 0, done.err
    row = rows_of(tmp_path / "run")["d"]
    assert row["empty"] == 2 and row["metrics"]["ROUGE_L"]["unscored"] == 2
    lines = [json.loads(line) for line in (tmp_path / "run" / "unscored.jsonl").read_text().splitlines()]
    assert {"row": "d", "study_id": "s0", "metric": "ROUGE_L", "reason": "empty draft"} in lines
    values = pq.read_table(tmp_path / "run" / "scores.parquet").column("ROUGE_L").to_pylist()
    assert values[0] is None and values[1] is None
    assert "<b>&amp;" not in (tmp_path / "run" / "report.html").read_text()


def test_empty_references_are_left_out_and_counted(radloop, drafts, tmp_path):
    references = write_table(tmp_path / "r.csv", ["", "NaN", *REFERENCES[2:]])
    done = bench(radloop, drafts, references, tmp_path / "run")
    assert done.code == 0 and "2 studies have an empty reference" in done.err
    assert json.loads((tmp_path / "run" / "table.json").read_text())["reports"] == len(REFERENCES) - 2


def test_only_empty_references_are_refused(radloop, drafts, tmp_path):
    done = bench(radloop, drafts, write_table(tmp_path / "r.csv", [""] * len(DRAFTS)), tmp_path / "run")
    assert done.code == 2 and "bench.empty" in done.err


def test_one_report_has_no_cider(radloop, tmp_path):
    one = write_table(tmp_path / "d.csv", DRAFTS[:1]), write_table(tmp_path / "r.csv", REFERENCES[:1])
    assert bench(radloop, *one, tmp_path / "run").code == 0
    cell = rows_of(tmp_path / "run")["d"]["metrics"]["CIDEr"]
    assert cell["value"] is None and "one report" in cell["reason"]
    assert "CIDEr: a set of one report" in (tmp_path / "run" / "table.md").read_text()


def test_other_references_than_the_protocols_are_refused_unless_asked_for(radloop, drafts, references, train, tmp_path):
    done = bench(radloop, drafts, references, tmp_path / "run", protocol="r2gen-iu")
    assert done.code == 2 and "bench.references" in done.err
    done = bench(radloop, drafts, references, tmp_path / "run", "--any-references", protocol="r2gen-iu")
    assert done.code == 2 and "bench.train" in done.err
    done = bench(
        radloop, drafts, references, tmp_path / "run", "--any-references", "--train", train, protocol="r2gen-iu"
    )
    assert done.code == 0 and "not comparable with published numbers" in done.err


def test_unknown_protocols_and_fields(radloop, drafts, references, tmp_path):
    done = bench(radloop, drafts, references, tmp_path / "run", protocol="r2gen-ui")
    assert done.code == 2 and "r2gen-iu" in done.err
    done = bench(radloop, drafts, references, tmp_path / "run", "--set", "labels.uncertian=positive")
    assert done.code == 2 and "uncertain" in done.err


def test_protocols_are_listed(radloop):
    done = radloop("bench", "protocols", "--json")
    listed = {one["name"]: one for one in json.loads(done.out)}
    assert {"r2gen-iu", "r2gen-mimic", "coco-ptb", "raw-lower", "rexrank", "radloop"} <= listed.keys()
    assert len({one["sha256"] for one in listed.values()}) == len(listed)
    assert [*listed] == protocol_names()


def test_every_protocol_scores(drafts, references):
    texts = read_texts(drafts, "drafts"), read_texts(references, "references")
    for name in protocol_names():
        protocol = load_protocol(name)
        done = score_texts(*texts, protocol, name=name, train={"t": REFERENCES[0]}, replicates=0, randomisations=0)
        assert {one.name for one in done.rows[0].scored} >= {"radloop-clinical", "ce-macro-14", "length ratio"}, name


# compare, show, run


def test_compare(radloop, scored, references, tmp_path):
    better = write_table(tmp_path / "better.csv", REFERENCES)
    assert bench(radloop, better, references, tmp_path / "runs" / "better").code == 0
    done = radloop(
        "bench", "compare", tmp_path / "runs" / "better", scored, "--replicates", 500, "--json", "-o", tmp_path / "c"
    )
    assert done.code == 0, done.err
    data = json.loads(done.out)
    line = next(one for one in data["differences"] if one["metric"] == "radloop-clinical")
    assert (
        line["difference"] > 0 and line["lo"] > 0 and line["p"] < 0.05 <= 1 and line["win"] == 8 and line["loss"] == 0
    )
    assert line["p_holm"] >= line["p"]
    assert data["findings"][0]["labels"]["Pneumothorax"]["win"] >= 1
    assert (tmp_path / "c" / "manifest.json").is_file() and "win/tie/loss" in (
        tmp_path / "c" / "compare.md"
    ).read_text()


def test_runs_under_other_protocols_are_not_compared(radloop, scored, drafts, references, tmp_path):
    assert bench(radloop, drafts, references, tmp_path / "other", protocol="coco-ptb").code == 0
    done = radloop("bench", "compare", scored, tmp_path / "other")
    assert done.code == 2 and "bench.other" in done.err
    done = radloop("bench", "compare", scored)
    assert done.code == 2 and "bench.compare" in done.err
    (tmp_path / "other" / "manifest.json").unlink()
    done = radloop("bench", "compare", scored, tmp_path / "other")
    assert done.code == 2 and "data.incomplete" in done.err


def test_show_writes_pages_that_need_no_network(radloop, scored, drafts, references, tmp_path):
    name = "<script>alert(1)</script>"
    assert bench(radloop, drafts, references, tmp_path / "runs" / "hostile", "--name", name).code == 0
    (tmp_path / "runs" / "unfinished").mkdir()
    (tmp_path / "runs" / "unfinished" / "table.json").write_text("{}")
    done = radloop("bench", "show", tmp_path / "runs", "--json")
    assert done.code == 0 and "unfinished" in done.err
    board = json.loads(done.out)["boards"][0]
    assert board["systems"] == 2 and "constant" in board["ranking"]
    for page in (tmp_path / "runs" / "site").glob("*.html"):
        text = page.read_text()
        assert "<script" not in text and "src=" not in text and 'href="http' not in text
        # from each figure to the run that it is of
        links = re.findall(r'<a href="([^"]*)"', text)
        assert all((page.parent / unquote(link)).is_file() for link in links) and links
        assert page.name == "index.html" or "../mine/manifest.json" in links
    assert radloop("bench", "show", tmp_path / "runs" / "site").code == 2


SYSTEM = """
import csv, sys, random
out, seed, log = sys.argv[1], int(sys.argv[2]), sys.argv[3]
open(log, "a").write(f"{seed}\\n")
if seed == 9:
    sys.exit(3)
texts = ["The lungs are clear.", "Small left effusion.", "Cardiomegaly."]
with open(out, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["study_id", "report"])
    writer.writerows([f"s{at}", random.Random(seed * 100 + at).choice(texts)] for at in range(8))
"""


@pytest.fixture
def recipe(tmp_path, references):
    (tmp_path / "system.py").write_text(SYSTEM)
    command = f"{sys.executable} system.py {{out}} {{seed}} log.txt"
    system = f"  mine: {{command: '{command}', seeds: [0, 1], inputs: [system.py]}}\n"
    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: r\nprotocol: raw-lower\nreferences: {references.name}\nsystems:\n{system}")
    return path


def test_run_drafts_once_and_sums_up(radloop, recipe, tmp_path):
    done = radloop("bench", "run", recipe, "-o", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    spread = json.loads(done.out)["summary"][0]["metrics"]["ROUGE_L"]
    assert spread["mean"] == pytest.approx(np.mean(spread["values"])) and spread["sd"] > 0
    assert radloop("bench", "run", recipe, "-o", tmp_path / "out").code == 0
    assert (tmp_path / "log.txt").read_text().split() == ["0", "1"]
    # a seed more is all that is new; what the drafts are made from has changed after that
    assert radloop("bench", "run", recipe, "-o", tmp_path / "out", "--set", "systems.mine.seeds=[0,1,2]").code == 0
    assert (tmp_path / "log.txt").read_text().split() == ["0", "1", "2"]
    (tmp_path / "system.py").write_text(SYSTEM + "\n")
    assert radloop("bench", "run", recipe, "-o", tmp_path / "out").code == 0
    assert (tmp_path / "log.txt").read_text().split() == ["0", "1", "2", "0", "1"]


def test_run_goes_on_past_a_command_that_fails(radloop, recipe, tmp_path):
    done = radloop("bench", "run", recipe, "-o", tmp_path / "out", "--set", "systems.mine.seeds=[9,1]")
    assert done.code == 1 and "failures.jsonl" in done.err
    failed = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert failed["seed"] == 9 and "ended with 3" in failed["reason"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["summary"][0]["seeds"] == [1]


def test_a_command_must_know_where_to_write(radloop, recipe, tmp_path):
    done = radloop("bench", "run", recipe, "-o", tmp_path / "out", "--set", "systems.mine.command=draft")
    assert done.code == 2 and "{out}" in done.err


def test_the_command_line_starts_light():
    code = (
        "import sys, reportgen.cli; "
        "assert not {'torch', 'scipy', 'numpy', 'transformers', 'evaluate', 'matplotlib'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
