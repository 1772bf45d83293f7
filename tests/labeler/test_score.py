"""Agreement of label tables with a gold one: values, intervals, formats, and what is refused."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import ConfigError, DataError
from corpora.statistics.resample import replicate_weights
from labeler.score import score, to_json, to_table

SHARED = Path(os.environ.get("RADLOOP_SHARED") or Path(__file__).parents[3] / "shared")
REFERENCE = SHARED / "gold" / "score.py"
CLASSES = {"positive": 1, "negative": 0, "uncertain": -1}

Cell = int | str | None
Table = Sequence[tuple[str, Mapping[str, Cell]]]


def write_csv(path: Path, labels: Sequence[str], rows: Table, id_column: str = "study_id") -> Path:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([id_column, *labels])
    writer.writerows(
        [name, *("" if cells.get(label) is None else cells[label] for label in labels)] for name, cells in rows
    )
    return write(path, out.getvalue())


def write_jsonl(path: Path, rows: Table, id_key: str = "id") -> Path:
    def line(name: str, cells: Mapping[str, Cell]) -> str:
        return json.dumps({id_key: name, "labels": {k: v for k, v in cells.items() if v is not None}})

    return write(path, "".join(line(name, cells) + "\n" for name, cells in rows))


def write(path: Path, text: str) -> Path:
    content = text.encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def by_definition(labels: Sequence[str], want: Table, got: Mapping[str, Mapping[str, Cell]]) -> dict[str, Any]:
    """The scores recomputed cell by cell from their definitions; None where one is 0/0."""

    def ratio(a: float, b: float) -> float | None:
        return a / b if b else None

    def mean(values: list[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return ratio(math.fsum(known), len(known))

    per_label: dict[str, Any] = {}
    everything: list[tuple[Cell, Cell]] = []
    for label in labels:
        pairs = [(c.get(label), got[name].get(label)) for name, c in want if c.get(label) != "x"]
        everything += pairs
        scores: dict[str, Any] = {"exact": ratio(sum(w == g for w, g in pairs), len(pairs)), "kappa": kappa(pairs)}
        weight = total = 0.0
        for name, value in CLASSES.items():
            scores[name] = c = prf(pairs, value)
            weight, total = weight + c["support"] * (c["f1"] or 0), total + c["support"]
        per_label[label] = scores | {"weighted_f1": ratio(weight, total)}
    each = list(per_label.values())
    return {
        "reports": len(want),
        "weighted_f1": mean([s["weighted_f1"] for s in each]),
        "exact": ratio(sum(w == g for w, g in everything), len(everything)),
        "kappa": mean([s["kappa"] for s in each]),
        **{f"micro_{name}": prf(everything, value)["f1"] for name, value in CLASSES.items()},
        **{f"macro_{name}": mean([s[name]["f1"] for s in each]) for name in CLASSES},
        "per_label": per_label,
    }


def prf(pairs: Sequence[tuple[Cell, Cell]], value: int) -> dict[str, Any]:
    tp = sum(w == value and g == value for w, g in pairs)
    fp = sum(w != value and g == value for w, g in pairs)
    fn = sum(w == value and g != value for w, g in pairs)
    precision = tp / (tp + fp) if tp + fp else None
    recall = tp / (tp + fn) if tp + fn else None
    f1 = tp / (tp + (fp + fn) / 2) if tp + fp + fn else None
    return {"precision": precision, "recall": recall, "f1": f1, "tp": tp, "fp": fp, "fn": fn, "support": tp + fn}


def kappa(pairs: Sequence[tuple[Cell, Cell]]) -> float | None:
    n = len(pairs)
    states = (1, 0, -1, None)
    chance = sum(sum(w == s for w, _ in pairs) * sum(g == s for _, g in pairs) for s in states)
    if chance == n * n:
        return None
    return (sum(w == g for w, g in pairs) / n - chance / n**2) / (1 - chance / n**2)


def assert_close(found: Any, expected: Any, at: str = "") -> None:
    """``found`` has all that ``expected`` has, to 1e-12."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert_close(found[key], value, f"{at}/{key}")
    else:
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-12)), at


# values


SMALL_GOLD: Table = [
    ("a", {"Edema": 1, "Fracture": 0}),
    ("b", {"Edema": 1, "Fracture": "x"}),
    ("c", {"Edema": 0, "Fracture": 0}),
    ("d", {"Edema": -1}),
    ("e", {}),
]
SMALL_TABLE: Table = [
    ("e", {"Edema": 1}),
    ("a", {"Edema": 1, "Fracture": 0}),
    ("b", {"Edema": -1, "Fracture": 1}),
    ("c", {"Edema": 0}),
    ("d", {"Edema": -1}),
]


def test_a_small_example_by_hand(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "labels.csv", ["Fracture", "Edema"], SMALL_TABLE)
    found = to_json(score(table, write_jsonl(tmp_path / "gold.jsonl", SMALL_GOLD), replicates=50))
    assert list(found["per_label"]) == ["Fracture", "Edema"]
    edema = found["per_label"]["Edema"]
    assert_close(
        edema["positive"], {"precision": 0.5, "recall": 0.5, "f1": 0.5, "tp": 1, "fp": 1, "fn": 1, "support": 2}
    )
    assert_close(edema["uncertain"], {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "tp": 1, "fp": 1, "fn": 0})
    assert_close(edema["negative"]["f1"], 1.0)
    assert_close(edema["weighted_f1"], (2 * 0.5 + 1 * 1 + 1 * 2 / 3) / 4)
    assert_close(edema["exact"], 3 / 5)
    # agreement .6; chance (2*2 + 1*1 + 1*2 + 1*0) / 25 = .28
    assert_close(edema["kappa"], (0.6 - 0.28) / (1 - 0.28))
    fracture = found["per_label"]["Fracture"]
    assert_close(fracture["negative"], {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "tp": 1, "fp": 0, "fn": 1})
    assert fracture["positive"] == {
        "precision": None, "recall": None, "f1": None, "tp": 0, "fp": 0, "fn": 0, "support": 0
    }  # fmt: skip
    assert_close(found["exact"], 6 / 9)
    assert_close(found["micro_negative"], 4 / 5)
    assert_close(found["macro_negative"], (1 + 2 / 3) / 2)
    assert_close(found["macro_positive"], 0.5)
    assert found["reports"] == 5
    assert any("cells marked x in the gold, left out of every score: 1" in note for note in found["notes"])


def test_what_is_none_says_why(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "labels.csv", ["Fracture", "Edema"], SMALL_TABLE)
    found = to_json(score(table, write_jsonl(tmp_path / "gold.jsonl", SMALL_GOLD), replicates=50))

    def check(values: Mapping[str, Any], intervals: Mapping[str, Any], reasons: Mapping[str, Any]) -> None:
        for key, interval in intervals.items():
            if isinstance(interval, dict):
                check(values[key], interval, reasons.get(key, {}))
            elif interval is None:
                assert reasons[key], key
            assert key in values

    check(found, found["intervals"], found["reasons"])
    assert "never positive" in found["reasons"]["per_label"]["Fracture"]["positive"]["recall"]
    assert "1 of 2 labels" in found["reasons"]["macro_positive"]


@st.composite
def tables(draw: st.DrawFn, labels: Sequence[str]) -> tuple[Table, dict[str, dict[str, Cell]]]:
    names = draw(st.lists(st.integers(0, 99), min_size=1, max_size=12, unique=True))
    want_cell = st.sampled_from([None, None, 1, 0, -1, "x"])
    got_cell = st.sampled_from([None, 1, 0, -1])
    want, got = [], {}
    for name in names:
        cells = {label: draw(want_cell) for label in labels}
        want.append((f"CXR{name}", cells))
        got[f"CXR{name}"] = {
            label: c if c != "x" and draw(st.integers(0, 3)) else draw(got_cell) for label, c in cells.items()
        }
    return want, got


FEW = ["Edema", "Lung Opacity", "Pleural [odd] Ünïcode"]


@settings(max_examples=60, deadline=None)
@given(case=tables(FEW), gold_kind=st.sampled_from([".csv", ".jsonl", ".csv.gz"]), seed=st.integers(0, 99))
def test_scores_follow_their_definitions(case: Any, gold_kind: str, seed: int) -> None:
    want, got = case
    with tempfile.TemporaryDirectory() as folder:
        gold = Path(folder) / f"gold{gold_kind}"
        gold = write_jsonl(gold, want) if gold_kind == ".jsonl" else write_csv(gold, FEW, want, "ID")
        table = write_csv(Path(folder) / "labels.csv", FEW, sorted(got.items()))
        found = to_json(score(table, gold, replicates=5, seed=seed))
    assert_close(found, by_definition(FEW, want, got))
    json.dumps(found, allow_nan=False)


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_scorer", REFERENCE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference scorer is not here (RADLOOP_SHARED)")
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_scores_equal_the_reference_scorer(data: st.DataObject) -> None:
    ref = reference()
    want, got = data.draw(tables(ref.LABELS))
    with tempfile.TemporaryDirectory() as folder:
        gold = write_jsonl(Path(folder) / "gold.jsonl", want)
        table = write_csv(Path(folder) / "labels.csv", ref.LABELS, list(got.items()))
        found = to_json(score(table, gold, replicates=2))
        try:
            expected = ref.score(dict(want), ref.read_table(table))
        except ZeroDivisionError:  # the reference has no answer where the gold is blank throughout
            assert found["weighted_f1"] is None or found["exact"] is None
            return
    assert_close(found, expected)


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference gold is not here (RADLOOP_SHARED)")
def test_reference_gold_against_itself() -> None:
    gold = REFERENCE.parent / "openi-dev.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        rows = [json.loads(line) for line in gold.read_text(encoding="utf-8").splitlines()]
        known = [(row["id"], {k: v for k, v in row["labels"].items() if v != "x"}) for row in rows]
        found = to_json(score(write_jsonl(Path(folder) / "l.jsonl", known), gold, replicates=10))
    assert [found[k] for k in ("weighted_f1", "micro_positive", "exact", "kappa")] == [1, 1, 1, 1]


# intervals


def random_case(n: int, seed: int = 0) -> tuple[Table, dict[str, dict[str, Cell]]]:
    rng = np.random.default_rng(seed)
    states: list[Cell] = [1, 0, -1, None]
    want, got = [], {}
    for i in range(n):
        cells = {label: states[rng.integers(4)] for label in FEW}
        want.append((str(i), cells))
        got[str(i)] = {label: c if rng.random() < 0.8 else states[rng.integers(4)] for label, c in cells.items()}
    return want, got


def test_intervals_equal_a_loop_over_the_same_resamples(tmp_path: Path) -> None:
    want, got = random_case(25)
    want[3][1]["Edema"] = "x"  # type: ignore[index]
    gold, table = write_jsonl(tmp_path / "g.jsonl", want), write_csv(tmp_path / "l.csv", FEW, list(got.items()))
    found = to_json(score(table, gold, replicates=40, seed=9, confidence=0.8))["intervals"]
    drawn = []
    for block in replicate_weights(25, 40, seed=9):
        for weights in block:
            again = [row for row, times in zip(want, weights, strict=True) for _ in range(times)]
            drawn.append(by_definition(FEW, again, got))

    def interval(*keys: str) -> list[float]:
        values = []
        for replicate in drawn:
            value: Any = replicate
            for key in keys:
                value = value[key]
            values += [value] if value is not None else []
        return [float(q) for q in np.quantile(values, [0.1, 0.9])]

    for key in ("weighted_f1", "micro_uncertain", "macro_positive", "exact", "kappa"):
        assert found[key] == pytest.approx(interval(key), abs=1e-12), key
    for keys in (("kappa",), ("exact",), ("weighted_f1",), ("negative", "recall"), ("positive", "f1")):
        at = found["per_label"]["Edema"]
        for key in keys:
            at = at[key]
        assert at == pytest.approx(interval("per_label", "Edema", *keys), abs=1e-12), keys


def test_intervals_contain_the_value_and_shrink_with_n(tmp_path: Path) -> None:
    widths = []
    for n in (60, 960):
        want, got = random_case(n)
        gold, table = write_jsonl(tmp_path / "g.jsonl", want), write_csv(tmp_path / "l.csv", FEW, list(got.items()))
        report = score(table, gold)
        estimates = [*report.scores.values()]
        for label in report.per_label.values():
            estimates += [*label.scores.values(), *(e for c in label.classes.values() for e in c.scores.values())]
        for e in estimates:
            assert e.value is not None and e.lo is not None and e.hi is not None
            assert e.lo < e.value < e.hi and e.n == n
        exact = report.scores["exact"]
        assert exact.lo is not None and exact.hi is not None
        widths.append(exact.hi - exact.lo)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.3)


def test_the_seed_decides_the_intervals(tmp_path: Path) -> None:
    want, got = random_case(30)
    gold, table = write_jsonl(tmp_path / "g.jsonl", want), write_csv(tmp_path / "l.csv", FEW, list(got.items()))
    first, again, other = (to_json(score(table, gold, replicates=99, seed=s)) for s in (1, 1, 2))
    assert first == again
    assert first["intervals"] != other["intervals"]
    assert_close(first["per_label"], other["per_label"])


def test_no_replicates_give_no_intervals(tmp_path: Path) -> None:
    want, got = random_case(5)
    gold, table = write_jsonl(tmp_path / "g.jsonl", want), write_csv(tmp_path / "l.csv", FEW, list(got.items()))
    found = to_json(score(table, gold, replicates=0))
    assert found["exact"] is not None and found["intervals"]["exact"] is None
    assert "no replicates" in found["reasons"]["exact"]


@pytest.mark.parametrize("setting", [{"replicates": -1}, {"seed": -1}, {"confidence": 0.0}, {"confidence": 1.0}])
def test_settings_out_of_range(tmp_path: Path, setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        score(tmp_path / "l.csv", tmp_path / "g.csv", **setting)


# formats


def plain_scores(table: Path, gold: Path) -> dict[str, Any]:
    found = to_json(score(table, gold, replicates=0))
    return {key: found[key] for key in ("reports", "weighted_f1", "exact", "kappa", "per_label")}


def write_parquet(path: Path, labels: Sequence[str], rows: Table, dtype: str, ids: str = "study_id") -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"int": pa.int8(), "float": pa.float64(), "text": pa.string()}
    columns: dict[str, Any] = {ids: [name for name, _ in rows]}
    for label in labels:
        cells = [c.get(label) for _, c in rows]
        if dtype == "text":
            columns[label] = pa.array([None if c is None else str(c) for c in cells], kinds[dtype])
        else:
            columns[label] = pa.array(cells, kinds[dtype])
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kind", ["int", "float", "text", "tsv", "nested", "flat", "upper", "gz", "float csv", "bom"])
def test_every_format_gives_the_same_scores(tmp_path: Path, kind: str) -> None:
    gold = write_csv(tmp_path / "gold.csv", FEW, random_case(12)[0])
    rows = list(random_case(12)[1].items())
    expected = plain_scores(write_csv(tmp_path / "plain.csv", FEW, rows), gold)
    if kind in ("int", "float", "text"):
        table = write_parquet(tmp_path / "l.parquet", FEW, rows, kind)
    elif kind == "tsv":
        text = write_csv(tmp_path / "l.csv", FEW, rows).read_text(encoding="utf-8")
        table = write(tmp_path / "l.tsv", text.replace(",", "\t"))
    elif kind == "nested":
        table = write_jsonl(tmp_path / "l.jsonl", rows, "study_id")
    elif kind == "flat":
        lines = [json.dumps({"Study_ID": int(name), **cells, "text": "prose"}) for name, cells in rows]
        table = write(tmp_path / "l.jsonl", "\n\n".join(lines))
    elif kind == "upper":
        table = write_csv(tmp_path / "l.CSV", FEW, rows, "STUDY_ID")
    elif kind == "gz":
        table = write_csv(tmp_path / "l.csv.gz", FEW, rows)
    elif kind == "float csv":
        spelled: dict[Cell, Cell] = {1: "1.0", 0: "0.0", -1: " -1.0 ", None: "nan"}
        table = write_csv(tmp_path / "l.csv", FEW, [(n, {k: spelled[v] for k, v in c.items()}) for n, c in rows])
    else:
        table = write(
            tmp_path / "l.csv", "\ufeff" + write_csv(tmp_path / "p.csv", FEW, rows).read_text(encoding="utf-8")
        )
    assert_close(plain_scores(table, gold), expected)


def test_integer_ids_in_parquet(tmp_path: Path) -> None:
    rows: Table = [("1", {"Edema": 1}), ("2", {"Edema": 0})]
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "l.parquet"
    pq.write_table(pa.table({"id": pa.array([2.0, 1.0]), "Edema": [0, 1]}), path)
    assert plain_scores(path, write_jsonl(tmp_path / "g.jsonl", rows))["exact"] == 1


def test_stanford_layout_numbers_its_rows(tmp_path: Path) -> None:
    long = "no " * 60_000
    table = write(tmp_path / "l.csv", f'Reports,Edema\n"Wet, read\n{long}",1.0\nno edema,0.0\nclear,\n')
    gold: Table = [("1", {"Edema": 1}), ("2", {"Edema": 0}), ("3", {})]
    assert plain_scores(table, write_jsonl(tmp_path / "g.jsonl", gold))["exact"] == 1
    report = score(table, table, replicates=0)
    assert report.scores["exact"].value == 1 and list(report.per_label) == ["Edema"]


def test_columns_that_are_no_labels_are_left_alone(tmp_path: Path) -> None:
    table = write(tmp_path / "l.csv", "subject_id,study_id,Edema,remark\n7,1,1,seen twice\n7,2,0,\n")
    gold = write_jsonl(tmp_path / "g.jsonl", [("1", {"Edema": 1}), ("2", {"Edema": 0})])
    report = score(table, gold, replicates=0)
    assert list(report.per_label) == ["Edema"]
    assert any("remark" in note for note in report.notes)


def test_a_label_the_jsonl_gold_never_names_is_blank_there(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "l.csv", ["Edema", "Fracture"], [("a", {"Edema": 1, "Fracture": 1}), ("b", {})])
    report = score(table, write_jsonl(tmp_path / "g.jsonl", [("a", {"Edema": 1}), ("b", {})]), replicates=0)
    assert report.per_label["Fracture"].classes["positive"].fp == 1
    assert report.scores["exact"].value == 3 / 4
    assert any("scored as blank there: Fracture" in note for note in report.notes)


def test_a_label_the_jsonl_table_never_names_is_blank_there(tmp_path: Path) -> None:
    gold = write_jsonl(tmp_path / "g.jsonl", [("a", {"Edema": 1}), ("b", {"Fracture": 0})])
    report = score(write_jsonl(tmp_path / "l.jsonl", [("a", {"Edema": 1}), ("b", {})]), gold, replicates=0)
    assert list(report.per_label) == ["Edema", "Fracture"]
    assert report.per_label["Fracture"].classes["negative"].fn == 1


def test_a_jsonl_table_without_any_label_is_all_blank(tmp_path: Path) -> None:
    gold = write_csv(tmp_path / "g.csv", ["Edema"], [("a", {"Edema": 1}), ("b", {})])
    report = score(write_jsonl(tmp_path / "l.jsonl", [("a", {}), ("b", {})]), gold, replicates=0)
    assert report.scores["exact"].value == 0.5


def test_labels_in_one_csv_only_are_noted_and_not_scored(tmp_path: Path) -> None:
    table = write_csv(tmp_path / "l.csv", ["Edema", "Mass"], [("a", {"Edema": 1, "Mass": 1}), ("b", {})])
    gold = write_csv(tmp_path / "g.csv", ["indexed", "Edema"], [("a", {"Edema": 1, "indexed": 1})])
    report = score(table, gold, replicates=0)
    assert list(report.per_label) == ["Edema"]
    notes = " | ".join(report.notes)
    assert "only in the table, not scored: Mass" in notes and "only in the gold, not scored: indexed" in notes
    assert "reports of the table that are not in the gold, not scored: 1" in notes


# what is refused

GOOD = "study_id,Edema\na,1\nb,0\n"


def refuse(tmp_path: Path, labels: str | bytes, gold: str = GOOD, name: str = "l.csv") -> DataError:
    table, gold_path = tmp_path / name, tmp_path / ("g.jsonl" if gold.startswith("{") else "g.csv")
    table.write_bytes(labels.encode() if isinstance(labels, str) else labels)
    gold_path.write_text(gold, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        score(table, gold_path, replicates=0)
    assert caught.value.exit_code == 2
    assert len(caught.value.lines()) <= 3
    return caught.value


@pytest.mark.parametrize(
    ("labels", "code", "says"),
    [
        ("study_id,Edema\nb,1\n", "data.missing", "1 of 2 gold reports are missing from the table, first 'a'"),
        ("Reports,Edema\nprose,1\nmore,0\n", "data.missing", "called 1 to 2"),
        ("study_id,Mass\na,1\nb,0\n", "data.label", "none of the 1 columns"),
        ("study_id,Edema\na,1\nb,2\n", "data.cell", "row 2, column 'Edema'"),
        ("study_id,Edema\na,x\nb,1\n", "data.cell", "'x' is no label"),
        ("study_id,Edema\na,1\nb,0\na,1\nc,\nc,\n", "data.duplicate", "'a' occurs 2 times, and 1 more"),
        ("study_id,Edema\na,1\nb,0\na,1\n", "data.duplicate", "rows 1, 3"),
        ("", "data.empty", "no reports"),
        ("\n", "data.empty", "no reports"),
        ("study_id,Edema\n", "data.empty", "no reports"),
        ("name,Edema\na,1\n", "data.column", "no column of study ids"),
        ("study_id,Edema,Edema\na,1,1\n", "data.column", "columns 2 and 3"),
        ("id,id,Edema\na,a,1\n", "data.column", "columns 1 and 2"),
        ("study_id,Edema\na,1\nb\n", "data.csv", "row 2"),
        ("study_id,Edema\na,1\nb,0,1\n", "data.csv", "3 cells"),
        ('study_id,Edema\na,1\n"b,0\n', "data.csv", "line 3"),
        ("study_id,Edema\na,1\n ,0\n", "data.id", "row 2"),
        (b"study_id,Edema\n\xff\xfe\x00,1\n", "data.encoding", "not UTF-8"),
    ],
)
def test_bad_csv(tmp_path: Path, labels: str | bytes, code: str, says: str) -> None:
    error = refuse(tmp_path, labels)
    assert error.code == code
    assert says in str(error) and "l.csv" in error.where


@pytest.mark.parametrize(
    ("lines", "code", "says"),
    [
        ('{"id": "a", "labels": {"Edema": 1}}\n{"id": "b"', "data.json", "row 2"),
        ("[1]\n", "data.json", "row 1"),
        ("[" * 100_000, "data.json", "row 1"),
        ('{"id": "a", "labels": [1]}\n', "data.json", "row 1"),
        ('{"labels": {"Edema": 1}}\n', "data.id", "row 1"),
        ('{"id": null, "labels": {}}\n', "data.id", "row 1"),
        ('{"id": "a", "Edema": true}\n{"id": "b", "Edema": 0}\n', "data.cell", "True is no label"),
        ('{"id": "a", "Edema": 0.5}\n{"id": "b", "Edema": 0}\n', "data.cell", "0.5 is no label"),
        ('{"id": "a", "Edema": [1]}\n{"id": "b", "Edema": 0}\n', "data.cell", "[1] is no label"),
        ('{"id": "a", "Edema": 1}\n\n{"id": "b", "Edema": 7}\n', "data.cell", "row 2"),
        ("\n\n", "data.empty", "no reports"),
    ],
)
def test_bad_jsonl(tmp_path: Path, lines: str, code: str, says: str) -> None:
    error = refuse(tmp_path, lines, name="l.jsonl")
    assert error.code == code
    assert says in str(error)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("l.csv.gz", b"study_id,Edema\n", "data.gzip"),
        ("l.csv.gz", gzip.compress(GOOD.encode() * 50, mtime=0)[:-12], "data.gzip"),
        ("l.csv.gz", gzip.compress(b"", mtime=0), "data.empty"),
        ("l.parquet", b"PAR1 not at all", "data.parquet"),
        ("l.xlsx", b"PK", "data.format"),
        ("labels", b"study_id", "data.format"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    assert refuse(tmp_path, content, name=name).code == code


def test_missing_file_and_folder(tmp_path: Path) -> None:
    gold = write(tmp_path / "g.csv", GOOD)
    with pytest.raises(DataError, match="no such file"):
        score(tmp_path / "none.csv", gold)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        score(tmp_path / "folder.csv", gold)


def test_a_label_of_a_jsonl_gold_must_have_a_column(tmp_path: Path) -> None:
    gold = '{"id": "a", "labels": {"Edema": 1, "Fracture": 0, "Mass": 1}}\n'
    error = refuse(tmp_path, GOOD, gold)
    assert error.code == "data.label" and "2 labels of the gold, first 'Fracture'" in error.message


def test_an_error_never_shows_a_report(tmp_path: Path) -> None:
    prose = "Mrs Doe has a large effusion and an edema of the lung"
    for labels in (f"study_id,Edema\na,{prose}\nb,1\n", f"{prose}\n{prose}\n", f"study_id,{prose}\na,1\n"):
        assert "effusion" not in str(refuse(tmp_path, labels))
    assert repr(prose[:20]) in str(refuse(tmp_path, f"study_id,Edema\na,{prose}\nb,1\n"))


def test_a_bad_cell_in_the_gold_names_the_gold(tmp_path: Path) -> None:
    error = refuse(tmp_path, GOOD, "study_id,Edema\na,1\nb,yes\n")
    assert error.code == "data.cell" and "g.csv, row 2" in error.where


# the printed table


def test_the_table_shows_every_label_within_80_columns(tmp_path: Path) -> None:
    from rich.console import Console

    labels = [*FEW, "Enlarged Cardiomediastinum"]
    rows: list[tuple[str, dict[str, Cell]]] = [(n, {**c, labels[3]: 1}) for n, c in random_case(20)[1].items()]
    gold = write_jsonl(tmp_path / "g.jsonl", rows)
    out = io.StringIO()
    Console(file=out, width=80).print(to_table(score(write_csv(tmp_path / "l.csv", labels, rows), gold, replicates=9)))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    for expected in (*labels, "weighted_f1", "1.000 [1.00, 1.00]", "95 % interval", "uncertain"):
        assert expected in text
