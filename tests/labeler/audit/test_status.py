"""Where an audit stands, and the sample that follows from its readings."""

import json

import numpy as np
import pytest

from labeler.audit.frame import load_draw, load_frame
from labeler.audit.sample import sample_of, truths_of
from labeler.audit.store import open_store
from labeler.audit.types import UNREAD, Reading


def reading(study_id, reader, phase="blind", repeat=False, at="2026-01-01T08:00:00+00:00", **answers):
    return Reading(study_id, reader, answers, phase, at, repeat)


def test_before_the_draw_the_status_says_what_is_next(radloop, planned):
    done = radloop("audit", "status", planned)
    assert done.code == 0 and "planned, not drawn" in done.out


def test_readers_doubles_differences_and_pace(radloop, drawn, fill):
    assert radloop("audit", "import", drawn, fill(drawn), "--reader", "Ann").code == 0
    draw = load_draw(drawn)
    doubles = [each for each in draw.texts if each.double]
    first = doubles[0].study_id

    def said(study_id, machine):
        return machine | (
            {"Edema": 1 if machine["Edema"] != 1 else 0, "Fracture": "cannot_judge"} if study_id == first else {}
        )

    second = fill(drawn, said, what="second", share=0.5, name="second")
    lines = [json.loads(line) for line in second.read_text().splitlines()]
    for at, line in enumerate(lines):
        line["at"] = f"2026-01-01T{8 + (at > 2):02d}:00:{at * 4 % 60:02d}+00:00"
    second.write_text("\n".join(map(json.dumps, lines)))
    assert radloop("audit", "import", drawn, second, "--reader", "Bo").code == 0
    found = json.loads(radloop("audit", "status", drawn, "--json").out)
    assert found["read"] == found["drawn"] == len(draw.texts)
    assert found["doubles_open"] == len(doubles) - len(lines)
    assert found["differing"] == [first] and found["cells_differing"] == 2
    bo = found["readers"][1]
    assert (bo["reader"], bo["read"], bo["seconds"]) == ("Bo", len(lines), 4.0)
    assert found["lacking"] == [] and not found["labels_changed"]
    printed = radloop("audit", "status", drawn).out
    assert "1 texts wait for a decision (2 labels differ)" in printed and "gates hold" in printed


def test_a_label_table_that_changed_is_said(radloop, labeled, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_bytes((labeled / "labels.csv").read_bytes())
    assert radloop("audit", "plan", table, "-o", tmp_path / "a").code == 0
    assert radloop("audit", "draw", tmp_path / "a").code == 0
    table.write_text("study_id,Edema\n")
    assert "no longer the one that is audited" in radloop("audit", "status", tmp_path / "a").out


LABELS = ("Edema", "Mass")


@pytest.mark.parametrize(
    ("readings", "codes", "differing", "unjudged"),
    [
        ([reading("s", "A", Edema=1, Mass=None)], (1, 2), set(), set()),
        ([reading("s", "A", Edema=1, Mass=0), reading("s", "B", Edema=1, Mass=-1)], (1, UNREAD), {"Mass"}, set()),
        ([reading("s", "A", Edema=1, Mass=0), reading("s", "B", Edema=1, Mass=-1),
          reading("s", "C", "adjudicated", Mass=-1)], (1, -1), set(), set()),
        ([reading("s", "A", Edema="cannot_judge", Mass=0)], (UNREAD, 0), set(), {"Edema"}),
        ([reading("s", "A", Edema=1, Mass=0), reading("s", "A", repeat=True, Edema=0, Mass=0)], (1, 0), set(), set()),
        ([reading("s", "A", Edema=1, Mass=0), reading("s", "A", "revealed", Edema=0)], (1, 0), set(), set()),
        ([reading("s", "A", Edema=1, Mass=0), reading("s", "B", Edema="cannot_judge", Mass=0)], (UNREAD, 0), {"Edema"},
         set()),
    ],
)  # fmt: skip
def test_one_truth_for_each_label(readings, codes, differing, unjudged):
    truth = truths_of(readings, LABELS)["s"]
    assert (truth.codes, truth.differing, truth.unjudged) == (codes, differing, unjudged)


def test_what_was_left_after_the_reveal_is_another_sample():
    readings = [reading("s", "A", Edema=1, Mass=0), reading("s", "A", "revealed", Edema=0, Mass=0)]
    assert truths_of(readings, LABELS, phase="revealed")["s"].codes == (0, 0)


def test_the_sample_joins_draw_frame_and_readings(drawn, radloop, fill):
    assert radloop("audit", "import", drawn, fill(drawn, share=0.5), "--reader", "Ann").code == 0
    sample, draw, frame = sample_of(drawn), load_draw(drawn), load_frame(drawn)
    assert sample.study_ids == tuple(each.study_id for each in draw.texts)
    assert [sample.strata[at].name for at in sample.stratum] == [each.stratum for each in draw.texts]
    row = {name: at for at, name in enumerate(frame.ids)}
    assert (sample.machine == frame.machine[[row[each] for each in sample.study_ids]]).all()
    read = (sample.truth != UNREAD).any(axis=1)
    assert read.sum() == sample.meta["read"] == round(0.5 * len(draw.texts))
    assert (sample.truth[read] == sample.machine[read]).all()
    assert sample.reports.sum() == sum(each.reports for each in draw.texts)
    assert np.bincount(sample.stratum).tolist() == [each.drawn for each in draw.strata]


def test_an_audit_nobody_has_read_has_an_empty_sample(drawn):
    sample = sample_of(drawn)
    assert (sample.truth == UNREAD).all() and sample.meta["read"] == 0
    with open_store(drawn) as store:
        assert store.readings() == []
