"""Evaluation through the command: values against scikit-learn, intervals, thresholds, groups, comparison, bad input."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

LABELS = ("Edema", "Nodule_A&B", "Effusion")
Radloop = Callable[..., Any]


def table(path: Path, head: Iterable[object], rows: Iterable[Iterable[object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
    return path


class World:
    """Studies with a truth; ``predict`` writes the predictions of a system that separates it by ``shift``."""

    def __init__(self, folder: Path, n: int = 300) -> None:
        self.folder = folder
        self.truth = (np.random.default_rng(1).random((n, 3)) < [0.2, 0.1, 0.4]).astype(int)
        cells = self.truth.astype(object)
        cells[::10, 0] = -1
        cells[1::7, 2] = ""
        self.cells = cells
        self.labels = table(
            folder / "labels.csv", ["study_id", *LABELS], ([f"s{i}", *row] for i, row in enumerate(cells))
        )

    def scores(self, shift: float, seed: int) -> np.ndarray:
        noise = np.random.default_rng(seed).normal(size=self.truth.shape)
        return np.round(1 / (1 + np.exp(-(noise + shift * self.truth - 1))), 4)

    def predict(self, name: str, studies: Iterable[int], shift: float = 1.5, seed: int = 2) -> Path:
        found = self.scores(shift, seed)
        rows = ([f"s{i}", f"p{i // 2}", *found[i]] for i in studies)
        return table(self.folder / name, ["study_id", "patient_id", *LABELS], rows)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def evaluated(radloop: Radloop, *args: object) -> dict[str, Any]:
    done = radloop("vision", "evaluate", *args, "--json", "--replicates", 300)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_values_are_those_of_scikit_learn(radloop: Radloop, world: World, tmp_path: Path) -> None:
    from sklearn import metrics

    path = world.predict("test.csv", range(300))
    found = evaluated(radloop, path, world.labels, "-o", tmp_path / "e")
    scores = world.scores(1.5, 2)
    pooled: list[tuple[np.ndarray, np.ndarray]] = []
    for at, label in enumerate(LABELS):
        known = world.cells[:, at] != -1
        y, p = (world.cells[known, at] == 1).astype(int), scores[known, at]
        pooled.append((y, p))
        row = found["per_label"][label]
        assert (row["positives"], row["negatives"]) == (y.sum(), (1 - y).sum())
        assert row["left_out"] == (~known).sum()
        got = {name: e["value"] for name, e in row["scores"].items()}
        assert got["auroc"] == pytest.approx(metrics.roc_auc_score(y, p)) == got["auroc_delong"]
        assert got["auprc"] == pytest.approx(metrics.average_precision_score(y, p))
        assert got["brier"] == pytest.approx(metrics.brier_score_loss(y, p))
        at_half = {name: e["value"] for name, e in row["at"]["0.5"].items()}
        called = p >= 0.5
        assert at_half["f1"] == pytest.approx(metrics.f1_score(y, called))
        assert at_half["ppv"] == pytest.approx(metrics.precision_score(y, called))
        assert at_half["sensitivity"] == pytest.approx(metrics.recall_score(y, called)) == 1 - at_half["fnr"]
        assert at_half["specificity"] == pytest.approx(metrics.recall_score(1 - y, ~called)) == 1 - at_half["fpr"]
        for estimate in [*row["scores"].values(), *row["at"]["0.5"].values()]:
            assert estimate["lo"] <= estimate["value"] <= estimate["hi"] or "lies high" in estimate["reason"]
    areas = [metrics.roc_auc_score(*each) for each in pooled]
    assert found["macro"]["scores"]["auroc"]["value"] == pytest.approx(np.mean(areas))
    together = [np.concatenate(side) for side in zip(*pooled, strict=True)]
    assert found["micro"]["scores"]["auroc"]["value"] == pytest.approx(metrics.roc_auc_score(*together))
    assert found["resampled_by"] == "patient" and found["clusters"] == 150
    assert found["truth"] == "uncertain truth: left out; blank truth: negative; unit: study"


def test_the_macro_interval_is_narrower_than_the_mean_of_bounds(radloop: Radloop, world: World, tmp_path: Path) -> None:
    found = evaluated(radloop, world.predict("t.csv", range(300)), world.labels, "-o", tmp_path / "e")
    widths = [row["scores"]["auroc"]["hi"] - row["scores"]["auroc"]["lo"] for row in found["per_label"].values()]
    macro = found["macro"]["scores"]["auroc"]
    assert 0 < macro["hi"] - macro["lo"] < 0.8 * np.mean(widths)


def test_the_folder_holds_page_tables_plots_and_manifest(radloop: Radloop, world: World, tmp_path: Path) -> None:
    out = tmp_path / "e"
    val = world.predict("val.csv", range(200, 300))
    path = world.predict("t.csv", range(200))
    found = evaluated(radloop, path, world.labels, "-o", out, "--thresholds-from", val)
    page = (out / "evaluation.html").read_text(encoding="utf-8")
    assert "Nodule_A&amp;B" in page and "Nodule_A&B<" not in page and "<script" not in page and "src=" not in page
    assert "uncertain truth: left out" in page
    latex = (out / "tables" / "ranking.tex").read_text(encoding="utf-8")
    assert r"Nodule\_A\&B" in latex and latex.count(r"\midrule") == 2
    assert "uncertain truth: left out" in latex
    assert (out / "tables" / "threshold-youden.md").is_file()
    for name in ("roc", "calibration"):
        assert (out / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (out / "plots" / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg")
    with (out / "evaluation.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    (row,) = [r for r in rows if (r["label"], r["rule"], r["measure"]) == ("macro", "", "auroc")]
    assert float(row["value"]) == found["macro"]["scores"]["auroc"]["value"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"] == {"rows": 200, "units": 200, "rejected": 0, "undefined": 0}
    assert len(manifest["inputs"]) == 3


def test_the_same_seed_gives_the_same_bytes(radloop: Radloop, world: World, tmp_path: Path) -> None:
    path = world.predict("t.csv", range(120))
    for name in ("a", "b"):
        evaluated(radloop, path, world.labels, "-o", tmp_path / name)
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    for file in files:
        if file.name != "manifest.json":
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_thresholds_come_from_validation_and_not_from_the_test(radloop: Radloop, world: World, tmp_path: Path) -> None:
    test, val = world.predict("t.csv", range(200)), world.predict("v.csv", range(200, 300), seed=5)
    found = evaluated(radloop, test, world.labels, "-o", tmp_path / "e", "--thresholds-from", val)
    cut = found["thresholds"]["sensitivity 0.9"]["Effusion"]
    y, p = world.cells[200:, 2] == 1, world.scores(1.5, 5)[200:, 2]
    assert cut["sensitivity"] >= 0.9 and np.mean(p[y] >= cut["threshold"]) == pytest.approx(cut["sensitivity"])
    y, p = world.cells[:200, 2] == 1, world.scores(1.5, 2)[:200, 2]
    at = found["per_label"]["Effusion"]["at"]["sensitivity 0.9"]
    assert at["sensitivity"]["value"] == pytest.approx(np.mean(p[y] >= cut["threshold"]))
    assert set(found["thresholds"]) == {"youden", "sensitivity 0.9", "specificity 0.9"}
    # the truth of validation may be a table of its own
    other = table(tmp_path / "vl.csv", ["study_id", *LABELS], ([f"s{i}", *world.truth[i]] for i in range(200, 300)))
    again = evaluated(radloop, test, world.labels, "-o", tmp_path / "f", "--thresholds-from", f"{val},{other}")
    assert again["thresholds"]["youden"]["Nodule_A&B"] == found["thresholds"]["youden"]["Nodule_A&B"]
    assert again["thresholds"]["youden"]["Edema"] != found["thresholds"]["youden"]["Edema"]


@pytest.mark.parametrize(("studies", "what"), [(range(199, 300), "1 studies"), (range(201, 300), "1 patients")])
def test_thresholds_of_tested_patients_are_refused(
    radloop: Radloop, world: World, tmp_path: Path, studies: range, what: str
) -> None:
    tested = range(201) if what == "1 patients" else range(200)
    test, val = world.predict("t.csv", tested), world.predict("v.csv", studies)
    done = radloop("vision", "evaluate", test, world.labels, "-o", tmp_path / "e", "--thresholds-from", val)
    assert done.code == 2 and f"[evaluate.overlap] {what}" in done.err and not (tmp_path / "e").exists()


def test_a_label_without_a_class_is_undefined_counted_and_left_out_of_the_mean(
    radloop: Radloop, world: World, tmp_path: Path
) -> None:
    world.truth[:, 1] = 0
    rows = ([f"s{i}", *row] for i, row in enumerate(world.truth))
    labels = table(tmp_path / "l.csv", ["study_id", *LABELS], rows)
    val, test = world.predict("v.csv", range(200, 300)), world.predict("t.csv", range(200))
    found = evaluated(radloop, test, labels, "-o", tmp_path / "e", "--thresholds-from", val)
    row = found["per_label"]["Nodule_A&B"]
    assert row["scores"]["auroc"]["value"] is None
    assert row["scores"]["auroc"]["reason"] == "only one class occurs: no ROC curve"
    assert row["at"]["youden"]["f1"]["reason"] == "no threshold: no positive to choose a threshold on"
    assert "mean over the 2 of 3 labels" in found["macro"]["scores"]["auroc"]["reason"]
    assert found["undefined"]["only one class occurs: no ROC curve"] == 3
    assert "labels with only one class, which have no AUROC: Nodule_A&B" in found["notes"]
    assert "\u2013" in (tmp_path / "e" / "evaluation.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "positives", "left_out"),
    [
        (["--uncertain", "ignore"], 0, 30), (["--uncertain", "positive"], 30, 0), (["--uncertain", "negative"], 0, 0),
        (["--blank", "ignore"], 0, 30),
    ],
)  # fmt: skip
def test_what_uncertain_and_blank_count_as(
    radloop: Radloop, world: World, tmp_path: Path, options: list[str], positives: int, left_out: int
) -> None:
    path = world.predict("t.csv", range(300))
    found = evaluated(radloop, path, world.labels, "-o", tmp_path / "e", *options)
    edema, effusion = found["per_label"]["Edema"], found["per_label"]["Effusion"]
    assert edema["positives"] == (world.cells[:, 0] == 1).sum() + positives and edema["left_out"] == left_out
    assert effusion["left_out"] == (43 if "--blank" in options else 0)
    for name in ("evaluation.html", "tables/ranking.md", "tables/ranking.tex"):
        assert found["truth"].partition(";")[0] in (tmp_path / "e" / name).read_text(encoding="utf-8")


def test_films_of_a_study_are_averaged_or_counted_one_by_one(radloop: Radloop, tmp_path: Path) -> None:
    labels = table(tmp_path / "l.csv", ["study_id", "F"], [("a", 1), ("b", 0), ("c", 0)])
    rows = [("a", "a1", 0.9), ("a", "a2", 0.1), ("b", "b1", 0.4), ("c", "c1", "")]
    path = table(tmp_path / "p.csv", ["study_id", "image_id", "F"], rows)
    study = evaluated(radloop, path, labels, "-o", tmp_path / "s")
    assert study["per_label"]["F"]["scores"]["auroc"]["value"] == 1 and study["units"] == 3
    assert study["per_label"]["F"]["left_out"] == 1 and "1 empty cells of the predictions, left out" in study["notes"]
    image = evaluated(radloop, path, labels, "-o", tmp_path / "i", "--unit", "image")
    assert image["per_label"]["F"]["scores"]["auroc"]["value"] == 0.5 and image["units"] == 4
    assert any("no patient ids" in note for note in study["notes"])


def test_groups_by_age_sex_view_and_vendor(radloop: Radloop, world: World, tmp_path: Path) -> None:
    scores = world.scores(1.5, 2)
    rows = [
        (f"s{i}", f"i{i}{v}", f"p{i}", *np.clip(scores[i] + 0.01 * v, 0, 1))
        for i in range(300)
        for v in range(1 + i % 2)
    ]
    path = table(tmp_path / "p.csv", ["study_id", "image_id", "patient_id", *LABELS], rows)
    meta = table(
        tmp_path / "m.csv", ["study_id", "image_id", "Age", "sex", "view", "Manufacturer", "note"],
        ([f"s{i}", f"i{i}{v}", f"{i % 90}Y" if i % 2 else i % 90, "FM"[i % 3 == 0], ["PA", "LATERAL"][v], "GE", f"n{i}"]
         for i in range(300) for v in range(1 + i % 2)),
    )  # fmt: skip
    found = evaluated(radloop, path, world.labels, "-o", tmp_path / "e", "--subgroups", meta)
    by = {(group["grouping"], group["value"]): group for group in found["groups"]}
    assert by["view", "PA"]["units"] == 300 and by["view", "LATERAL"]["units"] == 150
    assert by["sex", "M"]["units"] == 100 and by["sex", "F"]["units"] == 200
    assert by["age", "00-09"]["units"] == 40 and by["pediatric", "under 18"]["units"] == 72
    assert not any(grouping in ("vendor", "note") for grouping, _ in by)
    assert any("note" in note for note in found["notes"])
    men = [i for i in range(300) if i % 3 == 0]
    from sklearn.metrics import roc_auc_score

    p = scores[men, 1] + 0.005 * (np.array(men) % 2)
    expected = roc_auc_score(world.truth[men, 1], np.clip(p, 0, 1))
    assert by["sex", "M"]["per_label"]["Nodule_A&B"]["scores"]["auroc"]["value"] == pytest.approx(expected, abs=0.01)
    assert (tmp_path / "e" / "tables" / "group-view.tex").is_file()


def test_groups_and_patients_come_from_a_corpus(radloop: Radloop, tmp_path: Path) -> None:
    corpus = tmp_path / "c"
    assert radloop("corpus", "phantom", "-o", corpus, "-n", 12).code == 0
    truth = corpus / "truth" / "labels.csv"
    with truth.open() as file:
        ids = [row["study_id"] for row in csv.DictReader(file)]
    rng = np.random.default_rng(0)
    path = table(tmp_path / "p.csv", ["study_id", "Support Devices"], ([s, rng.random()] for s in ids))
    found = evaluated(radloop, path, truth, "-o", tmp_path / "e", "--corpus", corpus)
    assert found["resampled_by"] == "patient" and found["clusters"] < 12
    assert {"age", "sex"} <= {group["grouping"] for group in found["groups"]}


def test_two_systems_are_compared_on_what_they_share(radloop: Radloop, world: World, tmp_path: Path) -> None:
    good, poor = world.predict("a.csv", range(300), 2.2, 3), world.predict("b.csv", range(10, 300), 0.2, 4)
    found = evaluated(radloop, good, world.labels, "-o", tmp_path / "e", "--compare", poor)["comparison"]
    assert found["units"] == 290 and "10 and 0" in found["notes"][0]
    rows = found["auroc"]
    assert list(rows) == [*LABELS, "macro", "micro"]
    for label in LABELS:
        row = rows[label]
        assert row["difference"]["value"] == pytest.approx(row["first"] - row["second"])
        assert row["delong"]["value"] == pytest.approx(row["difference"]["value"])
        assert row["p"] <= row["p_holm"] <= 3 * row["p"] + 1e-12
        assert row["p"] < 0.05 and row["difference"]["lo"] > 0
    assert rows["macro"]["p_holm"] is None and rows["macro"]["p"] < 0.02
    same = evaluated(radloop, good, world.labels, "-o", tmp_path / "f", "--compare", good)["comparison"]["auroc"]
    assert same["Edema"]["p"] is None and same["macro"]["p"] == 1.0
    assert (tmp_path / "e" / "tables" / "comparison.tex").is_file()


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "nested", "folder"])
def test_other_tables_of_predictions(radloop: Radloop, world: World, tmp_path: Path, kind: str) -> None:
    scores = world.scores(1.5, 2)[:150]
    flat = [{"study_id": f"s{i}", **dict(zip(LABELS, map(float, row), strict=True))} for i, row in enumerate(scores)]
    if kind in ("parquet", "folder"):
        path = tmp_path / "predictions.parquet"
        pq.write_table(pa.Table.from_pylist(flat), path)
        given = tmp_path if kind == "folder" else path
    else:
        given = tmp_path / "p.jsonl"
        nest = [{"study_id": row.pop("study_id"), "probabilities": row} for row in map(dict, flat)]
        given.write_text("".join(json.dumps(row) + "\n" for row in (nest if kind == "nested" else flat)))
    csv_path = table(tmp_path / "p.csv", ["study_id", *LABELS], ([f"s{i}", *row] for i, row in enumerate(scores)))
    found, expected = (
        evaluated(radloop, each, world.labels, "-o", tmp_path / f"e{n}") for n, each in enumerate((given, csv_path))
    )
    assert found["per_label"] == expected["per_label"] and found["macro"] == expected["macro"]


# bad input


def test_a_bad_row_is_rejected_and_too_many_fail(radloop: Radloop, world: World, tmp_path: Path) -> None:
    path = world.predict("t.csv", range(300))
    lines = path.read_text().splitlines()
    lines[5] = "s4,p2,1.7,0.1,0.1"
    lines[6] = "s5,p2,secret words,0.1,0.1"
    path.write_text("\n".join(lines) + "\n")
    done = radloop("vision", "evaluate", path, world.labels, "-o", tmp_path / "e", "--replicates", 20)
    assert done.code == 0 and "2 rows rejected" in done.err and "secret" not in done.err + done.out
    failures = [json.loads(line) for line in (tmp_path / "e" / "failures.jsonl").read_text().splitlines()]
    assert [(f["code"], f["row"], f["study_id"]) for f in failures] == [
        ("predictions.value", 5, "s4"), ("predictions.value", 6, "s5"),
    ]  # fmt: skip
    strict = radloop(
        "vision", "evaluate", path, world.labels, "-o", tmp_path / "f", "--replicates", 20, "--max-failures", 1
    )
    assert strict.code == 1 and (tmp_path / "f" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("study_id,Other\ns1,0.5\n", "data.column"), ("name,Edema\ns1,0.5\n", "data.column"),
        ("study_id,Edema\n", "data.empty"), ("study_id,Edema\ns1,0.5\ns1,0.6\n", "data.duplicate"),
        ("study_id,Edema\ns1\n", "data.csv"), ("study_id,Edema\n,0.5\n", "data.id"),
        ("study_id,Edema\nx9,0.5\n", "data.missing"), ('study_id,Edema\n"s1,0.5\n', "data.csv"),
    ],
)  # fmt: skip
def test_bad_predictions_are_refused(radloop: Radloop, world: World, tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    done = radloop("vision", "evaluate", path, world.labels, "-o", tmp_path / "e")
    assert done.code == 2 and f"[{code}]" in done.err and len(done.err.splitlines()) <= 3
    assert not (tmp_path / "e").exists()


def test_other_refusals(radloop: Radloop, world: World, tmp_path: Path) -> None:
    path = world.predict("t.csv", range(60))
    for options, code in (
        (["--uncertain", "x"], "config.value"), (["--unit", "x"], "config.value"), (["--blank", "x"], "config.value"),
        (["--sensitivity", 2], "config.value"), (["--compare", tmp_path / "none.csv"], "data.file"),
        (["--subgroups", tmp_path / "none.csv"], "data.file"), (["--corpus", tmp_path / "none"], "data.missing"),
    ):  # fmt: skip
        done = radloop("vision", "evaluate", path, world.labels, "-o", tmp_path / "e", *options)
        assert done.code == 2 and f"[{code}]" in done.err, options
    done = radloop("vision", "evaluate", path, world.labels, "-o", tmp_path / "e.csv", "--replicates", 0)
    assert done.code == 2 and "[config.value]" in done.err
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "bad.jsonl").write_text("[1]\n")
    (tmp_path / "bad.txt").write_text("x")
    for name, code in (("bad.parquet", "data.parquet"), ("bad.jsonl", "data.json"), ("bad.txt", "data.format")):
        done = radloop("vision", "evaluate", tmp_path / name, world.labels, "-o", tmp_path / "e")
        assert done.code == 2 and f"[{code}]" in done.err


def test_without_replicates_there_are_values_and_no_intervals(radloop: Radloop, world: World, tmp_path: Path) -> None:
    path = world.predict("t.csv", range(100))
    done = radloop("vision", "evaluate", path, world.labels, "-o", tmp_path / "e", "--json", "--replicates", 0)
    found = json.loads(done.out)["macro"]["scores"]["auroc"]
    assert found["value"] is not None and found["lo"] is None and "no replicates" in found["reason"]


def test_the_help_loads_nothing_heavy(root: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys, vision.cli\n"
        "print(*[name for name in ('torch', 'scipy', 'numpy', 'matplotlib', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.split() == []
