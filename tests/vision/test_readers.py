"""Reader studies through the command: the tables of VinDr-CXR as printed, the bootstrap, other layouts, bad input."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.statistics.types import Estimate
from vision.readers import printed_mean


def readings(path: Path, rows: Iterable[Iterable[object]], head: Iterable[str] = ("image_id", "rad_id", "F")) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
    return path


def of_table(table: list[list[int]]) -> list[tuple[str, str, int]]:
    """Readings of two readers whose answers (yes first) make a 2 x 2 table."""
    pairs = [(1 - i, 1 - j) for i in range(2) for j in range(2) for _ in range(table[i][j])]
    return [
        (f"i{n}", reader, answer) for n, pair in enumerate(pairs) for reader, answer in zip("AB", pair, strict=True)
    ]


def report_of(radloop: Callable[..., Any], path: Path, *options: object) -> dict[str, Any]:
    done = radloop("vision", "readers", path, "--json", *options)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_cells_of_vindr_come_out_as_printed(radloop: Callable[..., Any], shared: Path, tmp_path: Path) -> None:
    cells = json.loads((shared / "vectors" / "stat_vectors.json").read_text())["vindr_kappa_cells"]
    for cell in cells:
        for table in cell["tables_reproducing_it_N200"][:3]:
            path = readings(tmp_path / "r.csv", of_table(table))
            found = report_of(radloop, path, "--replicates", 400)["pairs"][0]["labels"]["F"]
            printed = cell["printed"]
            assert round(found["agreement"]["value"], 3) == printed["agreement"]
            assert found["printed"]["value"] == pytest.approx(printed["kappa"], abs=6e-4)
            # several tables print alike, give or take the last digit
            assert [found["printed"][end] for end in ("lo", "hi")] == pytest.approx(printed["ci95"], abs=1.1e-3)
            boot = found["bootstrap"]
            assert boot["value"] == pytest.approx(found["printed"]["value"]) and boot["lo"] < boot["value"] < boot["hi"]


def three(tmp_path: Path, n: int = 200) -> Path:
    rng = np.random.default_rng(4)
    truth = rng.random((n, 2)) < [0.3, 0.1]
    rows = [(f"i{i}", f"R{r}", *(int(t ^ (rng.random() < 0.08)) for t in truth[i])) for i in range(n) for r in range(3)]
    return readings(tmp_path / "three.csv", rows, ("image_id", "rad_id", "Edema", "Nodule"))


def test_three_readers_and_their_mean(radloop: Callable[..., Any], tmp_path: Path) -> None:
    found = report_of(radloop, three(tmp_path), "-o", tmp_path / "out", "--replicates", 800)
    assert [pair["readers"] for pair in found["pairs"]] == [["R0", "R1"], ["R0", "R2"], ["R1", "R2"]]
    fleiss = found["fleiss"]["labels"]
    assert found["fleiss"]["readers_per_item"] == 3
    printed, boot = fleiss["Edema"]["printed"], fleiss["Edema"]["bootstrap"]
    assert printed["hi"] - printed["value"] == pytest.approx(0.080, abs=0.0005)
    assert boot["value"] == pytest.approx(printed["value"])
    # the mean's own resamples are narrower than a mean of bounds
    mean = fleiss["mean"]
    bounds = [fleiss[label]["bootstrap"]["hi"] - fleiss[label]["bootstrap"]["lo"] for label in ("Edema", "Nodule")]
    assert mean["bootstrap"]["hi"] - mean["bootstrap"]["lo"] < 0.9 * sum(bounds) / 2
    assert mean["printed"]["lo"] == pytest.approx(sum(fleiss[x]["printed"]["lo"] for x in ("Edema", "Nodule")) / 2)
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {
        "readers.json", "readers.html", "manifest.json", "tables/fleiss.tex", "tables/fleiss.md",
        *(f"tables/pair-{n}.{end}" for n in (1, 2, 3) for end in ("tex", "md")),
    }  # fmt: skip
    page = (tmp_path / "out" / "readers.html").read_text()
    assert "http:" not in page and "Fleiss" in page


def test_resampling_by_patient_is_wider_where_their_films_repeat(radloop: Callable[..., Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for patient in range(60):
        a, b = rng.random() < 0.4, rng.random() < 0.2
        rows += [(f"i{patient}_{k}", r, f"p{patient}", int(v)) for k in range(4) for r, v in (("A", a), ("B", a ^ b))]
    head = ("image_id", "rad_id", "patient_id", "F")
    by_patient = report_of(radloop, readings(tmp_path / "p.csv", rows, head))
    by_item = report_of(radloop, readings(tmp_path / "i.csv", [(i, r, v) for i, r, _, v in rows]))
    assert by_patient["resampled_by"] == "patient" and by_item["resampled_by"] == "item"
    widths = [
        found["pairs"][0]["labels"]["F"]["bootstrap"]["hi"] - found["pairs"][0]["labels"]["F"]["bootstrap"]["lo"]
        for found in (by_patient, by_item)
    ]
    assert widths[0] > 1.6 * widths[1]


def test_boxes_in_the_layout_of_vindr_are_readings(radloop: Callable[..., Any], tmp_path: Path) -> None:
    head = ("image_id", "rad_id", "class_name", "x_min", "y_min", "x_max", "y_max")
    rows = [
        ("a", "R1", "Nodule", 1, 1, 5, 5), ("a", "R2", "Nodule", 1, 1, 6, 5), ("b", "R1", "No finding", "", "", "", ""),
        ("b", "R2", "Nodule", 1, 1, 2, 2), ("c", "R1", "No finding", "", "", "", ""),
        ("c", "R2", "No finding", "", "", "", ""), ("a", "R1", "Nodule", 7, 7, 9, 9),
    ]  # fmt: skip
    found = report_of(radloop, readings(tmp_path / "b.csv", rows, head), "--replicates", 50)
    labels = found["pairs"][0]["labels"]
    assert labels["Nodule"]["agreement"]["value"] == pytest.approx(2 / 3)
    assert list(labels) == ["Nodule", "No finding", "mean"]


def test_kappa_of_equal_answers_throughout_is_undefined(radloop: Callable[..., Any], tmp_path: Path) -> None:
    rows = [(f"i{n}", r, 0) for n in range(5) for r in "AB"]
    found = report_of(radloop, readings(tmp_path / "r.csv", rows), "--replicates", 20)["pairs"][0]["labels"]
    assert found["F"]["bootstrap"]["value"] is None and "0/0" in found["F"]["bootstrap"]["reason"]
    assert found["F"]["agreement"]["value"] == 1 and found["mean"]["printed"]["value"] is None


def test_a_blank_is_negative_or_an_answer_of_its_own(radloop: Callable[..., Any], tmp_path: Path) -> None:
    rows = [("a", "A", ""), ("a", "B", 0), ("b", "A", 1), ("b", "B", 1)]
    path = readings(tmp_path / "r.csv", rows)
    for blank, agreement in (("negative", 1.0), ("state", 0.5)):
        found = report_of(radloop, path, "--blank", blank, "--replicates", 20)
        assert found["pairs"][0]["labels"]["F"]["agreement"]["value"] == agreement


@pytest.mark.parametrize(
    ("rows", "head", "code"),
    [
        ([("a", "A", 1)], ("image_id", "rad_id", "F"), "readers.pairs"),
        ([("a", "A", 1), ("a", "A", 0)], ("image_id", "rad_id", "F"), "data.duplicate"),
        ([("a", "A", "maybe")], ("image_id", "rad_id", "F"), "data.cell"),
        ([("a", "", 1)], ("image_id", "rad_id", "F"), "data.id"),
        ([("a", "A", 1)], ("image_id", "who", "F"), "data.column"),
        ([], ("image_id", "rad_id", "F"), "data.empty"),
    ],
)
def test_bad_tables_are_refused(
    radloop: Callable[..., Any], tmp_path: Path, rows: list[Any], head: tuple[str, ...], code: str
) -> None:
    done = radloop("vision", "readers", readings(tmp_path / "r.csv", rows, head))
    assert done.code == 2 and f"[{code}]" in done.err and "maybe" not in done.err


def test_other_refusals(radloop: Callable[..., Any], tmp_path: Path) -> None:
    path = three(tmp_path, 5)
    assert "[config.value]" in radloop("vision", "readers", path, "--blank", "x").err
    assert "[data.column]" in radloop("vision", "readers", path, "--labels", "Mass").err
    assert "[data.file]" in radloop("vision", "readers", tmp_path / "none.csv").err
    shown = radloop("vision", "readers", path, "--labels", "Edema", "--replicates", 20)
    assert shown.code == 0 and "Nodule" not in shown.out and "Edema" in shown.out


def test_the_printed_mean_leaves_out_what_is_undefined() -> None:
    given = [Estimate(0.5, 0.4, 0.6, 9, ""), Estimate(None, None, None, 9, ""), Estimate(1.0, None, None, 9, "")]
    found = printed_mean(given)
    assert (found.value, found.lo, found.hi, found.reason) == (0.75, 0.4, 0.6, "mean over 2 of 3 labels")
    assert printed_mean(given[1:2]).value is None


def two_sessions(tmp_path: Path, n: int = 200) -> tuple[Path, Path]:
    """Three readers who err in 15 % of the films, and of these again with 3 %; some films are read but once."""
    rng = np.random.default_rng(5)
    truth = rng.random((n, 2)) < [0.3, 0.2]
    head = ("image_id", "patient_id", "reader", "Edema", "Nodule")
    paths = []
    for name, errs, films in (("alone.csv", 0.15, range(n)), ("helped.csv", 0.03, range(n - 20))):
        rows = [
            (f"i{i}", f"p{i // 2}", f"R{r}", *(int(t ^ (rng.random() < errs)) for t in truth[i]))
            for i in films for r in range(3)
        ]  # fmt: skip
        paths.append(readings(tmp_path / name, rows, head))
    return paths[0], paths[1]


def test_what_a_second_reading_gains(radloop: Callable[..., Any], tmp_path: Path) -> None:
    alone, helped = two_sessions(tmp_path)
    out = tmp_path / "out"
    found = report_of(radloop, alone, "--compare", helped, "--replicates", 500, "-o", out)["change"]
    assert (found["items"], found["resampled_by"], len(found["pairs"])) == (180, "patient", 3)
    rows = [found["fleiss"], *(pair["labels"] for pair in found["pairs"])]
    for row in rows:
        assert list(row) == ["Edema", "Nodule", "mean"]
        for change in row.values():
            gain = change["second"]["value"] - change["first"]["value"]
            assert change["difference"]["value"] == pytest.approx(gain)
            assert 0 < change["difference"]["lo"] < gain < change["difference"]["hi"]
    # the second reading by itself, over the same films
    again = report_of(radloop, helped, "--replicates", 500)
    assert found["fleiss"]["Edema"]["second"]["value"] == pytest.approx(
        again["fleiss"]["labels"]["Edema"]["bootstrap"]["value"]
    )
    assert (out / "tables" / "change-fleiss.md").is_file()
    assert "gains" in (out / "readers.html").read_text()


def test_the_same_reading_gains_nothing(radloop: Callable[..., Any], tmp_path: Path) -> None:
    alone, _ = two_sessions(tmp_path)
    found = report_of(radloop, alone, "--compare", alone, "--replicates", 200)["change"]
    for change in found["fleiss"].values():
        assert [change["difference"][end] for end in ("value", "lo", "hi")] == [0, 0, 0]


def test_readings_that_share_nothing_are_refused(radloop: Callable[..., Any], tmp_path: Path) -> None:
    alone, _ = two_sessions(tmp_path)
    other = readings(tmp_path / "other.csv", [("i1", "X", 1), ("i1", "Y", 0)], ("image_id", "rad_id", "Edema"))
    done = radloop("vision", "readers", alone, "--compare", other, "--replicates", 0)
    assert (done.code, done.out) == (2, "")
    assert "[readers.pairs]" in done.err
