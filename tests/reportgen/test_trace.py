"""radloop loop trace: where findings are lost."""

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reportgen.trace import ALL, trace

LABELS = ("Edema", "Fracture")


def table(path, rows):
    path.write_text(
        f"study_id,{','.join(LABELS)}\n" + "".join(f"{study},{','.join(map(str, cells))}\n" for study, cells in rows)
    )
    return path


@pytest.fixture
def stations(tmp_path):
    truth = table(tmp_path / "truth.csv", [("a", (1, 0)), ("b", (1, 1)), ("c", (1, "")), ("d", (0, 0)), ("x", (1, 1))])
    report = table(tmp_path / "report.csv", [("a", (1, 0)), ("b", (-1, 1)), ("c", ("", "")), ("d", (0, 1))])
    drafts = tmp_path / "drafts.jsonl"
    found = {"a": {"Edema": 1}, "b": {"Fracture": 0, "Edema": 0}, "c": {"Edema": 1}, "d": {"Edema": 1, "Fracture": 1}}
    drafts.write_text("".join(json.dumps({"study_id": one, "labels": of}) + "\n" for one, of in found.items()))
    return [f"truth={truth}", f"report={report}", f"draft={drafts}"]


def test_what_is_lost_added_and_kept(radloop, tmp_path, stations):
    done = radloop("loop", "trace", *stations, "-o", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    data = json.loads(done.out)
    assert (data["studies"], data["left_out"]) == (4, {"truth": 1, "report": 0, "draft": 0})
    truth, report, draft = data["labels"]["Edema"]
    assert (truth["positive"], truth["lost"], truth["added"], truth["kept"]["value"]) == (3, 0, 0, 1)
    # b is uncertain, which counts; c is lost in the report, and the draft has it again
    assert (report["positive"], report["lost"], report["kept"]["value"]) == (2, 1, pytest.approx(2 / 3))
    assert (draft["lost"], draft["added"]) == (1, 1)
    assert draft["kept"]["value"] == pytest.approx(2 / 3) and draft["through"]["value"] == pytest.approx(1 / 3)
    assert draft["right"]["value"] == pytest.approx(2 / 3)
    assert data["labels"][ALL][0]["positive"] == 4
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").read_text().splitlines()))
    assert len(rows) == 3 * 3 and rows[1]["label"] == "Edema" and rows[1]["lost"] == "1"
    assert "1 studies of truth are not in all tables" in done.err
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(manifest["inputs"]) == 3 and manifest["counts"] == {"studies": 4}


def test_uncertain_as_negative(radloop, tmp_path, stations):
    done = radloop("loop", "trace", *stations, "-o", tmp_path / "out", "--uncertain", "negative")
    assert done.code == 0
    assert "| Edema | 3 | 0.333" in done.out
    assert (tmp_path / "out" / "table.md").read_text() == done.out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["truth={truth}"], "[config.value] a trace needs two stations at least"),
        (["truth={truth}", "truth={truth}"], "[config.value] station 'truth' is named twice"),
        (["truth={truth}", "{truth}"], "is not NAME=TABLE"),
        (["truth={truth}", "other={none}"], "[data.file]"),
        (["truth={truth}", "other={others}"], "[trace.studies] no study is in all of the tables"),
        (["truth={truth}", "other={labels}"], "[trace.labels] no label is in all of the tables"),
    ],
)
def test_bad_input(radloop, tmp_path, args, said):
    files = {
        "truth": table(tmp_path / "truth.csv", [("a", (1, 0))]),
        "none": tmp_path / "none.csv",
        "others": table(tmp_path / "others.csv", [("q", (1, 0))]),
        "labels": tmp_path / "labels.csv",
    }
    files["labels"].write_text("study_id,Mass\na,1\n")
    done = radloop("loop", "trace", *(arg.format(**files) for arg in args), "-o", tmp_path / "out")
    assert done.code == 2 and said in done.err
    assert not (tmp_path / "out").exists()


cells = st.lists(st.lists(st.sampled_from([1, 0, -1, ""]), min_size=6, max_size=6), min_size=2, max_size=4)


@given(cells)
def test_all_that_is_lost_is_what_did_not_come_through(tmp_path_factory, states):
    folder = tmp_path_factory.mktemp("trace")
    files = {
        f"s{at}": table(folder / f"{at}.csv", [(f"p{row}", (cell, cell)) for row, cell in enumerate(column)])
        for at, column in enumerate(states)
    }
    for rows in trace(files).labels.values():
        true = rows[0].positive
        assert sum(row.lost for row in rows) == true - round((rows[-1].through.value or 0) * true)
        assert all(row.added <= row.positive for row in rows)
