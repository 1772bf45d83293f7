"""What is learned from, and how it is measured."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from corpora.errors import DataError
from corpora.labels import format_cell
from corpora.readers import ReadOptions
from corpora.types import Report
from labeler.base import load
from labeler.neural.data import (
    class_weights,
    collect,
    gold_examples,
    held_out,
    never_positive,
    weak_examples,
    whole_reports,
)
from labeler.neural.measure import weighted_f1
from labeler.neural.reading import CLASSES, IGNORED, read
from labeler.neural.recipe import TrustRecipe
from labeler.score import score

LABELS = load().schema.labels
CELLS = arrays.arrays(np.int64, (12, len(LABELS)), elements=st.integers(0, 3))


@given(found=CELLS, truth=CELLS)
def test_weighted_f1_is_that_of_the_scorer(tmp_path_factory, found, truth):
    folder = tmp_path_factory.getbasetemp()
    for name, cells in (("found", found), ("truth", truth)):
        rows = [",".join([str(row), *(format_cell(CLASSES[cell]) for cell in cells[row])]) for row in range(len(cells))]
        (folder / f"{name}.csv").write_text("\n".join([",".join(["study_id", *LABELS]), *rows]) + "\n")
    theirs = score(folder / "found.csv", folder / "truth.csv", replicates=0).scores["weighted_f1"].value
    assert weighted_f1(found, truth) == pytest.approx(theirs or 0.0)


def test_cells_that_do_not_count_change_no_score():
    truth = np.array([[1, 2], [3, IGNORED]])
    assert weighted_f1(np.array([[1, 2], [3, 0]]), truth) == weighted_f1(np.array([[1, 2], [3, 1]]), truth) == 1.0
    assert weighted_f1(truth, np.full((2, 2), IGNORED)) == 0.0


@given(st.lists(st.text(), max_size=30), st.floats(0.1, 0.9))
def test_what_is_held_out_depends_on_the_text_alone(texts, share):
    held = held_out(texts, share)
    assert held.tolist() == [bool(held_out([text], share)[0]) for text in texts]
    assert held_out([f" {text.upper().lower()}\n" for text in texts if text.isascii()], share).tolist() == [
        flag for flag, text in zip(held.tolist(), texts, strict=True) if text.isascii()
    ]


def test_about_the_share_is_held_out():
    assert held_out([f"report {number}" for number in range(5000)], 0.2).mean() == pytest.approx(0.2, abs=0.02)


@given(arrays.arrays(np.int64, (20, 3), elements=st.sampled_from([0, 1, 2, 3, IGNORED])), st.floats(0, 1))
def test_class_weights_are_one_on_average_and_favour_what_is_rare(classes, power):
    weights = class_weights(classes, power)
    assert weights.shape == (3, 4)
    for label in range(3):
        known = classes[:, label][classes[:, label] != IGNORED]
        if len(known):
            assert weights[label, known].mean() == pytest.approx(1, rel=1e-4)
        counts = np.array([(known == number).sum() for number in range(4)])
        order = np.argsort(counts)
        assert (np.diff(weights[label, order]) <= 1e-5).all()


def test_a_label_without_positives_is_named():
    assert [line.split(":")[0] for line in never_positive(np.array([[1, 0], [0, 2]]), ["A", "B"])] == ["B"]
    (line,) = never_positive(np.array([[1, 0], [0, 2], [0, 1], [0, 1], [0, 0]]), ["A", "B"], made=3)
    assert "none of the 2 sentences" in line
    assert "in 2 of the 3 made" in line


def test_a_reading_leads_back_to_the_report():
    report = Report("1", "INDICATION: Cough.\nFINDINGS: Small effusion.\n\nIMPRESSION: Old fracture.")
    reading = read(report, "findings,impression")
    assert reading.text == "Small effusion.\nOld fracture."
    words = [(reading.text[a:b], report.text[reading.place(a) : reading.place(b - 1) + 1]) for a, b in reading.words()]
    assert [mine for mine, _ in words] == [theirs for _, theirs in words] == ["Small", "effusion", "Old", "fracture"]


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_reports_are_collected_once_and_the_rest_is_counted(tmp_path):
    lines = [{"study_id": name, "report": text} for name, text in [("1", "Clear."), ("1", "Other."), ("2", "...")]]
    source = write(tmp_path / "a.jsonl", *lines)
    found = collect([str(source), str(source)], ReadOptions(), "findings,impression")
    assert ([report.text for report in found.reports], found.rejected, found.wordless) == (["Clear."], 4, 1)
    with pytest.raises(DataError) as error:
        collect([str(write(tmp_path / "b.jsonl", lines[2]))], ReadOptions(), "findings,impression")
    assert error.value.code == "data.empty"


def test_less_certain_labels_are_trusted_less():
    texts = [
        "No pleural effusion on the right, small left pleural effusion.", "Possible pneumonia.", "Edema.",
        "No pneumothorax on the left but a small pneumothorax on the right.",
    ]  # fmt: skip
    found = weak_examples(load(), texts, TrustRecipe(uncertain=0.5, contradicted=0.25))
    at = LABELS.index
    assert found.trust[0, at("Pleural Effusion")] == 0.25
    assert found.trust[1, at("Pneumonia")] == 0.5
    assert found.trust[2, at("Edema")] == found.trust[3, at("Edema")] == 1
    assert found.trust[3, at("Pneumothorax")] == 0.25
    same = weak_examples(load(), texts, TrustRecipe(uncertain=1, contradicted=1))
    assert (same.trust == 1).all()
    assert (same.classes == found.classes).all()


def test_a_sentence_is_normal_abnormal_or_neither():
    texts = ["No pleural effusion.", "Small pleural effusion.", "Degenerative changes of the spine.", "Two views."]
    found = weak_examples(load(), texts, TrustRecipe())
    names = [CLASSES[number] for number in found.classes[:, LABELS.index("No Finding")]]
    assert names == [1, 0, 0, None]


def test_a_report_as_a_whole_is_what_the_labeler_says_of_it():
    found = whole_reports(load(), [Report("1", "FINDINGS: No edema. Small pneumothorax.")], "findings")
    assert found.texts == ["No edema. Small pneumothorax."]
    at = LABELS.index
    assert found.classes[0, [at("Edema"), at("Pneumothorax"), at("No Finding")]].tolist() == [2, 1, 0]


REPORTS = [Report("g1", "Clear lungs."), Report("g2", "Effusion."), Report("other", "Edema.")]


def test_gold_cells_by_name_and_x_does_not_count(tmp_path):
    path = write(
        tmp_path / "gold.jsonl",
        {"id": "g1", "labels": {"Edema": 0, "Fracture": "x"}},
        {"id": "absent", "labels": {"Edema": 1}},
        {"id": "g2", "labels": {"Pleural Effusion": 1, "Edema": -1}},
    )
    found, ids = gold_examples(path, LABELS, REPORTS, "findings,impression")
    assert ids == ["g1", "g2"]
    assert found.texts == ["Clear lungs.", "Effusion."]
    at = {label: LABELS.index(label) for label in LABELS}
    assert found.classes[:, at["Edema"]].tolist() == [2, 3]
    assert found.classes[:, at["Fracture"]].tolist() == [IGNORED, 0]
    assert found.classes[:, at["Pleural Effusion"]].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([{"id": "g1", "labels": {"Edma": 1}}], "data.label"),
        ([{"id": "g1", "labels": {"Edema": 7}}], "data.cell"),
        ([{"id": "g9", "labels": {"Edema": 1}}], "data.missing"),
    ],
)
def test_gold_that_is_wrong(records, code, tmp_path):
    with pytest.raises(DataError) as error:
        gold_examples(write(tmp_path / "gold.jsonl", *records), LABELS, REPORTS, "findings,impression")
    assert error.value.code == code
    assert "gold.jsonl" in error.value.where
