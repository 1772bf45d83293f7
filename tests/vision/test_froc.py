"""Detections against boxes: the reference cases, the bootstrap against one that copies, the command on real files."""

import csv
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpora.errors import DataError
from corpora.statistics.froc import RATES, Detections
from vision.box_precision import THRESHOLDS, average_precision, coco_match, precision_by_label, precision_marks
from vision.detections import Detection, Looked, detections_coco, detections_csv, read_detections
from vision.froc import MEAN, Frame, Marks, froc_by_label, marks_of, sensitivities


def frame_of(images, whose=None):
    names = range(len(images)) if whose is None else whose
    return Frame(tuple(images), np.array(list(names), dtype=np.int64))


def case_of(case):
    drawn = {image: {"x": [tuple(box) for box in boxes]} for image, boxes in case["gt"].items() if boxes}
    found = {
        image: {"x": Detections(np.array([box for _, box in rows], float), np.array([score for score, _ in rows]))}
        for image, rows in case["pred"].items()
        if rows
    }
    return drawn, found, frame_of(sorted(case["gt"]))


def test_reference_cases(shared):
    for case in json.loads((shared / "vectors" / "stat_vectors.json").read_text())["froc"]:
        drawn, found, frame = case_of(case)
        row = froc_by_label(["x"], drawn, found, frame, replicates=20)["x"]
        for rate in RATES:
            assert row.rates[rate].value == pytest.approx(case["sensitivity_at_fp_per_image"][f"{rate:g}"])
        assert row.mean.value == pytest.approx(case["froc_mean"])
        assert row.lesions == case["n_lesions"] and row.images == case["n_images"]


def made(seed, images=40, patients=15):
    """Boxes and detections over images, some right, some wrong, with equal scores among them."""
    draw = np.random.default_rng(seed)
    drawn, found = {}, {}
    for at in range(images):
        corners = [(10.0 * k, 0.0, 10.0 * k + 8, 8.0) for k in range(draw.integers(0, 3))]
        boxes = [tuple(np.array(box) + draw.uniform(-2, 2)) for box in corners if draw.random() < 0.8]
        boxes += [(50.0, 50.0, 60.0, 60.0)] * int(draw.integers(0, 3))
        if corners:
            drawn[f"i{at}"] = {"a": corners}
        if boxes:
            found[f"i{at}"] = {"a": Detections(np.array(boxes), draw.integers(1, 9, len(boxes)) / 10)}
    return drawn, found, frame_of([f"i{at}" for at in range(images)], np.arange(images) % patients)


def copied(drawn, found, frame, weights):
    """The same set with the images of each patient as often as they were drawn."""
    images, new_drawn, new_found = [], {}, {}
    for image, whose in zip(frame.images, frame.cluster, strict=True):
        for again in range(int(weights[whose])):
            name = f"{image}#{again}"
            images.append(name)
            new_drawn[name], new_found[name] = drawn.get(image, {}), found.get(image, {})
    return new_drawn, new_found, frame_of(images)


@pytest.mark.parametrize("seed", range(4))
def test_a_replicate_is_the_set_with_patients_copied(seed):
    drawn, found, frame = made(seed)
    draw = np.random.default_rng(seed)
    weights = np.bincount(draw.integers(0, frame.clusters, frame.clusters), minlength=frame.clusters)
    ours = sensitivities(marks_of("a", drawn, found, frame), frame, [weights[None]], RATES)[0]
    again = froc_by_label(["a"], *copied(drawn, found, frame, weights), replicates=0)["a"]
    assert ours == pytest.approx([again.rates[rate].value for rate in RATES])


@pytest.mark.parametrize("seed", range(3))
def test_so_is_average_precision(seed):
    drawn, found, frame = made(seed)
    draw = np.random.default_rng(seed)
    for of in found.values():
        of["a"] = Detections(of["a"].boxes, draw.random(len(of["a"].scores)))
    weights = np.bincount(draw.integers(0, frame.clusters, frame.clusters), minlength=frame.clusters)
    marks = precision_marks("a", drawn, found, frame)
    ours = np.mean([average_precision(each, frame, [weights[None]])[0] for each in marks])
    again = precision_by_label(["a"], *copied(drawn, found, frame, weights), replicates=0)["a"]
    # copies share a score, and a hit among them may come before a false one or behind it
    assert again["ap"].value == pytest.approx(ours, abs=0.03)
    ones = np.ones((1, frame.clusters), dtype=np.int64)
    whole = precision_by_label(["a"], drawn, found, frame, replicates=0)["a"]
    assert whole["ap"].value == pytest.approx(np.mean([average_precision(each, frame, [ones])[0] for each in marks]))


def test_the_mean_leaves_no_finding_out_and_has_one_interval():
    drawn, found, frame = made(1)
    for of in drawn.values():
        of["No Finding"] = [(0.0, 0.0, 5.0, 5.0)]
        of["b"] = of["a"]
    rows = froc_by_label(["a", "b", "No Finding"], drawn, found, frame, replicates=200)
    assert rows["No Finding"].mean.value == 0 and rows["b"].mean.value == 0
    assert rows[MEAN].mean.value == pytest.approx(rows["a"].mean.value / 2)
    assert rows[MEAN].mean.lo == pytest.approx(rows["a"].mean.lo / 2)
    assert rows["a"].mean.lo < rows["a"].mean.value < rows["a"].mean.hi
    assert len(precision_by_label(["a", "b"], drawn, found, frame, replicates=10)) == 3


def coco_reference(hits, lesions):
    """Precision at 101 recalls as the evaluation code of COCO computes it, one detection after the other."""
    tp = np.cumsum(hits)
    recall, precision = tp / lesions, tp / np.arange(1, len(hits) + 1)
    for at in range(len(precision) - 1, 0, -1):
        precision[at - 1] = max(precision[at - 1], precision[at])
    values = []
    for wanted in np.linspace(0, 1, 101):
        at = np.searchsorted(recall, wanted, side="left")
        values.append(precision[at] if at < len(precision) else 0.0)
    return float(np.mean(values))


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_that_of_coco(seed):
    hits = np.random.default_rng(seed).integers(0, 2, 40)
    lesions = int(hits.sum()) + 5
    marks = Marks(hits.astype(np.int8), np.zeros(40, np.int64), np.linspace(1, 0, 40), np.array([lesions]))
    one, frame = np.ones((1, 1), dtype=np.int64), frame_of(["i"])
    assert average_precision(marks, frame, [one])[0] == pytest.approx(coco_reference(hits, lesions))
    assert np.isnan(average_precision(marks, frame, [0 * one])[0])


def test_coco_counts_a_second_hit_as_false_and_takes_an_overlap_of_the_threshold():
    twice = Detections(np.array([[0, 0, 10, 10], [0, 0, 10, 9]], float), np.array([0.9, 0.8]))
    assert coco_match([[0, 0, 10, 10]], twice, [0.5]).tolist() == [[True, False]]
    half = Detections(np.array([[0, 0, 5, 10]], float), np.array([0.9]))
    assert coco_match([[0, 0, 10, 10]], half, THRESHOLDS)[:2].tolist() == [[True], [False]]


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["id", "name", "image_id", "file_name", "category_id", "bbox", "score", "width"]), inner,
        max_size=6,
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    st.fixed_dictionaries({name: st.lists(anything, max_size=3) for name in ("images", "categories", "annotations")})
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_read_or_rejected(tmp_path, data):
    (tmp_path / "any.json").write_text(json.dumps(data))
    found = read_detections(tmp_path / "any.json")
    assert len(found.detections) + len(found.rejects) == len(data["annotations"])


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_is_read_or_refused(tmp_path, text):
    head = "image_id,class_name,score,x_min,y_min,x_max,y_max\n"
    (tmp_path / "any.csv").write_text(head + text, encoding="utf-8", errors="replace")
    code, found = "", ()
    try:
        found = read_detections(tmp_path / "any.csv").detections
    except DataError as error:
        code = error.code
    assert code in ("", "data.csv")
    assert all(each.corners[0] >= -0.5 and each.corners[2] > each.corners[0] for each in found)


@pytest.fixture
def files(tmp_path):
    """Detections as COCO over three films of two patients, and the boxes that were drawn."""
    looked = [Looked("f1", 100, 100, "f1.dcm", "s1", "p1"), Looked("f2", 100, 100, "f2.dcm", "s2", "p1"),
              Looked("f3", 100, 100, "f3.dcm", "s3", "p2")]  # fmt: skip
    found = [Detection("f1", "Nodule", (0, 0, 10, 10), 0.9), Detection("f3", "Nodule", (50, 50, 60, 60), 0.4),
             Detection("f2", "Mass", (1, 1, 5, 5), 0.3)]  # fmt: skip
    (tmp_path / "found.json").write_text(json.dumps(detections_coco(found, looked, ["Nodule", "Mass"])))
    (tmp_path / "found.csv").write_text(detections_csv(found, "run"))
    lines = ["image_id,class_name,x_min,y_min,x_max,y_max", "f1.dcm,Nodule,0,0,10,10", "f2,Nodule,20,20,40,40",
             "f3,No finding,,,,", "other,Nodule,1,1,2,2"]  # fmt: skip
    (tmp_path / "truth.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_both_files_hold_the_same_detections(files):
    first, second = read_detections(files / "found.json"), read_detections(files / "found.csv")
    assert first.detections == second.detections and len(first.looked) == 3 and not second.looked


def test_the_command_measures_and_writes(radloop, files):
    run = radloop("vision", "evaluate", files / "found.json", files / "truth.csv", "--boxes", "-o", files / "eval",
                  "--replicates", "50", "--json")  # fmt: skip
    assert run.code == 0, run.err
    rows = json.loads(run.out)["labels"]
    assert rows["Nodule"]["froc"]["value"] == 0.5 and rows["Nodule"]["ap50"]["value"] == pytest.approx(51 / 101)
    assert "not looked at" in run.err and "never drawn" in run.err
    names = {path.name for path in (files / "eval").rglob("*")}
    assert {"froc.csv", "froc.json", "curves.csv", "froc.svg", "froc.png", "froc.tex", "manifest.json"} <= names
    with (files / "eval" / "froc.csv").open() as table:
        assert {row["measure"] for row in csv.DictReader(table)} >= {"froc", "ap", "ap50", "sensitivity at 0.25"}


def test_labels_that_nobody_looked_for_are_said_and_can_be_left_out(radloop, files):
    with (files / "truth.csv").open("a") as truth:
        truth.write("f2,Fracture,5,5,9,9\n")
    given = ("vision", "evaluate", files / "found.json", files / "truth.csv", "--boxes", "--replicates", "0", "--json")
    every = radloop(*given, "-o", files / "every")
    assert "no label of the detections: Fracture" in every.err
    assert json.loads(every.out)["labels"]["mean"]["froc"]["value"] == 0.25
    one = radloop(*given, "--label", "Nodule", "-o", files / "one")
    assert "Fracture" not in one.err and set(json.loads(one.out)["labels"]) == {"Nodule", "mean"}
    none = radloop(*given, "--label", "Mass", "-o", files / "none")
    assert none.code == 2 and "config.value" in none.err and "Fracture" in none.err


def test_bad_files_are_said_in_a_line(radloop, files):
    (files / "odd.csv").write_text("image_id,class_name,x_min,y_min,x_max,y_max\nf9,Nodule,0,0,5,5\n")
    (files / "list.json").write_text("[]")
    beside = radloop("vision", "evaluate", files / "found.json", files / "truth.csv", "--boxes", "--compare",
                     files / "found.json", "-o", files / "e")  # fmt: skip
    assert beside.code == 2 and "--compare" in beside.err
    for found, truth, code in (
        ("found.json", "odd.csv", "vision.no_boxes"), ("truth.csv", "truth.csv", "data.columns"),
        ("list.json", "truth.csv", "data.json"), ("nothing.json", "truth.csv", "data.missing"),
        ("found.json", "nothing.csv", "data.missing"),
    ):  # fmt: skip
        run = radloop("vision", "evaluate", files / found, files / truth, "--boxes", "-o", files / "e")
        assert run.code == 2 and code in run.err, run.err
        assert "Traceback" not in run.err


def test_a_bad_detection_is_rejected_and_counted(radloop, files):
    data = json.loads((files / "found.json").read_text())
    data["annotations"][0]["bbox"] = [0, 0, 0, 5]
    data["annotations"][1]["score"] = None
    data["annotations"].append("nonsense")
    (files / "bad.json").write_text(json.dumps(data))
    run = radloop("vision", "evaluate", files / "bad.json", files / "truth.csv", "--boxes", "-o", files / "e")
    assert run.code == 1 and "3 boxes rejected" in run.err
    codes = [json.loads(line)["code"] for line in (files / "e" / "failures.jsonl").read_text().splitlines()]
    assert codes == ["boxes.size", "boxes.number", "boxes.number"]
