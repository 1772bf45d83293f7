"""Several label sets in one pass give what each gives alone."""

import json
import signal

import pytest

from tests.labeler.conftest import EAGER

NAMES = ("chexpert14.v1", "pedicxr52.v1")


def run(command, path, out, *args, code=1):
    done = command("label", "run", path, "-o", out, *args, program=EAGER)
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize(("suffix", "workers"), [("csv", 2), ("jsonl", 1), ("parquet", 1)])
def test_each_table_is_that_of_a_run_of_its_own(command, radloop, source, tmp_path, suffix, workers):
    path = source(150)
    several = tmp_path / f"labels.{suffix}"
    run(command, path, several, "--schema", "chexpert14, pedicxr52.v1", "--workers", workers)
    assert not several.exists()
    for name in NAMES:
        alone = tmp_path / name / f"labels.{suffix}"
        assert radloop("label", "run", path, "-o", alone, "--schema", name).code == 1
        assert several.with_name(f"labels.{name}.{suffix}").read_bytes() == alone.read_bytes()
        failures = f"labels.{suffix}.failures.jsonl"
        assert several.with_name(failures).read_bytes() == alone.with_name(failures).read_bytes()


def test_evidence_counts_and_a_schema_in_a_file(command, source, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("base: chexpert14.v1\nname: mine.v1\nlabels:\n  Clear:\n    findings: [clear lungs]\n")
    out, evidence = tmp_path / "run", tmp_path / "evidence.jsonl"
    run(command, source(200), out, "--schema", f"vindr28,{mine}", "--evidence", evidence)
    manifest = json.loads((out / "manifest.json").read_text())
    lines = [json.loads(line) for line in evidence.read_text().splitlines()]
    assert [line["schema"] for line in lines[:4]] == ["vindr28.v1", "mine.v1"] * 2
    assert len(lines) == 2 * manifest["counts"]["reports"]
    rows = (out / "labels.mine.v1.csv").read_text().splitlines()
    place = rows[0].split(",").index("Pneumonia")
    assert manifest["counts"]["mine.v1: Pneumonia: uncertain"] == sum(row.split(",")[place] == "-1" for row in rows)
    assert mine.name in json.dumps(manifest["inputs"])


def test_killed_and_resumed(paced, command, source, tmp_path):
    expected = tmp_path / "alone" / "labels.csv"
    run(command, source(500), expected, "--schema", "chexpert14,nih14")
    out = tmp_path / "labels.csv"
    options = ("--labeler", "rules.v1", "--schema", "chexpert14,nih14", "--workers", 1, "--resume")
    first = paced(out, *options)
    first.feed(0, 400)
    first.wait_for(200)
    first.kill(signal.SIGKILL)
    first.end()
    again = paced(out, *options)
    again.feed(0, 500)
    code, said = again.end()
    assert code == 1
    assert "of them before the interruption" in said
    for name in ("chexpert14.v1", "nih14.v1"):
        assert (tmp_path / f"labels.{name}.csv").read_bytes() == expected.with_name(f"labels.{name}.csv").read_bytes()


def test_parents_in_each(command, tmp_path):
    path = tmp_path / "reports.csv"
    path.write_text("study_id,report\n1,Consolidation in the right upper lobe.\n")
    out = tmp_path / "labels.csv"
    run(command, path, out, "--schema", "chexpert14,vindr28", "--hierarchy", code=0)
    header, row = (tmp_path / "labels.chexpert14.v1.csv").read_text().splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["Lung Opacity"] == "1"


@pytest.mark.parametrize(
    ("schemas", "said"),
    [
        ("chexpert14,chexpert14.v1", "[config.value] schema chexpert14.v1 is named twice"),
        ("chexpert14,nih15", "[schemas.unknown] no schema 'nih15'. Did you mean nih14.v1"),
        ("chexpert14,", "[schemas.unknown] no schema ''."),
    ],
)
def test_a_wrong_list(command, source, tmp_path, schemas, said):
    done = run(command, source(20), tmp_path / "labels.csv", "--schema", schemas, code=2)
    assert done.stderr.startswith(said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reports.jsonl"]


def test_no_table_replaces_the_source(command, tmp_path):
    path = tmp_path / "labels.nih14.v1.csv"
    path.write_text("study_id,report\n1,No effusion.\n")
    done = run(command, path, tmp_path / "labels.csv", "--schema", "chexpert14,nih14", code=2)
    assert done.stderr.startswith("[run.same_file]")
