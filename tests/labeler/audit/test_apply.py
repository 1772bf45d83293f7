"""Human labels in the place of machine ones, whose each is, and the machine's confusion."""

import csv
import hashlib
import json
import random

import numpy as np
import pytest

from labeler.audit.confusion import STATES, confusion
from labeler.audit.frame import load_draw, load_frame
from labeler.audit.tables import read_table
from labeler.audit.types import BLANK_CODE, UNREAD, Sample, Stratum


@pytest.fixture
def read_audit(radloop, drawn, fill):
    """An audit that is read by one who finds edema wherever the machine is uncertain, and cannot judge fractures."""

    def said(study_id, machine):
        return machine | {"Edema": 1, "Fracture": "cannot_judge"}

    assert radloop("audit", "import", drawn, fill(drawn, said), "--reader", "Ann").code == 0
    return drawn


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_human_labels_replace_machine_ones_where_a_text_was_read(radloop, read_audit, labeled, tmp_path, suffix):
    out = tmp_path / f"final.{suffix}"
    done = radloop("audit", "apply", read_audit, labeled / "labels.csv", "-o", out, "--json")
    assert done.code == 0, done.err
    before, after, draw = read_table(labeled / "labels.csv"), read_table(out), load_draw(read_audit)
    assert after.ids == before.ids
    read = {member for each in draw.texts for member in each.members}
    edema = before.names.index("Edema")
    for row, study_id in enumerate(before.ids):
        expected = before.states[row].copy()
        if study_id in read:
            expected[edema] = 1
        found = [
            after.states[row][after.names.index(name)] if name in after.names else BLANK_CODE for name in before.names
        ]
        assert found == expected.tolist()
    with (tmp_path / f"final.{suffix}.sources.csv").open(newline="") as file:
        sources = {row["study_id"]: row for row in csv.DictReader(file)}
    assert sources.keys() == read
    assert {row["Edema"] for row in sources.values()} == {"human"}
    assert {row["Fracture"] for row in sources.values()} == {"machine"}
    manifest = json.loads((tmp_path / f"final.{suffix}.manifest.json").read_text())
    assert manifest["counts"]["read"] == json.loads(done.out)["reports"] == len(read)
    assert manifest["counts"]["changed"] == sum(
        before.states[row][edema] != 1 for row, each in enumerate(before.ids) if each in read
    )


def test_a_table_of_the_same_form_has_the_same_columns(radloop, read_audit, labeled, tmp_path):
    assert radloop("audit", "apply", read_audit, labeled / "labels.csv", "-o", tmp_path / "final.csv").code == 0
    first = (tmp_path / "final.csv").read_text().splitlines()[0]
    assert first == (labeled / "labels.csv").read_text().splitlines()[0]


def test_the_certificate_goes_with_the_final_table(radloop, read_audit, labeled, tmp_path):
    out = tmp_path / "final.csv"
    assert radloop("audit", "apply", read_audit, labeled / "labels.csv", "-o", out).code == 0
    data = json.loads((tmp_path / "final.csv.certificate.json").read_text())
    assert data["labels_sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert data["audited_labels_sha256"] == hashlib.sha256((labeled / "labels.csv").read_bytes()).hexdigest()


def test_an_audit_half_read_is_applied_without_a_certificate(radloop, drawn, fill, labeled, tmp_path):
    assert radloop("audit", "import", drawn, fill(drawn, share=0.3), "--reader", "Ann").code == 0
    done = radloop("audit", "apply", drawn, labeled / "labels.csv", "-o", tmp_path / "final.csv")
    assert done.code == 0 and "not certified" in done.err
    assert not (tmp_path / "final.csv.certificate.json").exists()


def test_only_the_audited_table_is_replaced_and_never_in_place(radloop, read_audit, labeled, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text((labeled / "labels.csv").read_text() + "new" + "," * 14 + "\n")
    done = radloop("audit", "apply", read_audit, other, "-o", tmp_path / "final.csv")
    assert done.code == 2 and "[audit.labels_changed]" in done.err
    before = (labeled / "labels.csv").read_bytes()
    done = radloop("audit", "apply", read_audit, labeled / "labels.csv", "-o", labeled / "labels.csv")
    assert done.code == 2 and "[run.same_file]" in done.err
    assert (labeled / "labels.csv").read_bytes() == before
    done = radloop("audit", "apply", read_audit, labeled / "labels.csv", "-o", tmp_path / "folder")
    assert done.code == 2 and "[config.value]" in done.err
    assert not (tmp_path / "final.csv").exists()


def test_the_confusion_is_written_for_training(radloop, read_audit, labeled, tmp_path):
    assert radloop("audit", "apply", read_audit, labeled / "labels.csv", "-o", tmp_path / "final.csv").code == 0
    data = json.loads((tmp_path / "final.csv.confusion.json").read_text())
    frame = load_frame(read_audit)
    assert list(data["labels"]) == list(frame.names) and data["unit"] == "reports"
    edema = data["labels"]["Edema"]
    assert edema["states"] == ["positive", "negative", "uncertain", "blank"]
    machine = frame.machine[:, frame.names.index("Edema")]
    totals = [int((machine == code).sum()) for code in (1, 0, -1, BLANK_CODE)]
    # truth is always positive, so the row is the machine's own distribution
    assert edema["matrix"][0] == pytest.approx([each / 500 for each in totals])
    assert edema["matrix"][1:] == [None, None, None]
    assert np.sum(edema["counts"], axis=0) == pytest.approx(totals)
    assert data["labels"]["Fracture"]["n"] == 0 and data["labels"]["Fracture"]["matrix"] == [None] * 4
    heart = data["labels"]["Cardiomegaly"]
    assert all(row is None or sum(row) == pytest.approx(1) for row in heart["matrix"])
    assert all(lo <= p <= hi for rows in zip(heart["lo"], heart["matrix"], heart["hi"], strict=True) if rows[1]
               for lo, p, hi in zip(*rows, strict=True))  # fmt: skip


def test_the_confusion_is_weighted_by_design_by_hand():
    """Two strata of 100 and 10 texts, four and two of them read, one not judged; machine positive or blank."""
    strata = (Stratum("rest", 100, 100, 4), Stratum("rare", 10, 10, 2))
    machine = np.array([[1], [1], [2], [2], [1], [1]], np.int8)
    truth = np.array([[1], [0], [2], [UNREAD], [1], [1]], np.int8)
    sample = Sample(("Edema",), tuple("abcdef"), strata, np.array([0, 0, 0, 0, 1, 1]), np.ones(6, int), machine, truth)
    found = confusion(sample, np.array([[60, 0, 0, 50]]))["Edema"]
    # weights 100/3 and 5; positive column: 33.3 + 33.3 + 10 = 76.7 scaled to 60, blank column to 50
    scale = 60 / (200 / 3 + 10)
    positive, negative = (100 / 3 + 10) * scale, 100 / 3 * scale
    assert found["counts"][0] == pytest.approx([positive, 0, 0, 0], abs=1e-3)
    assert found["counts"][1] == pytest.approx([negative, 0, 0, 0], abs=1e-3)
    assert found["counts"][3] == pytest.approx([0, 0, 0, 50], abs=1e-3)
    assert found["matrix"] == [[1, 0, 0, 0], [1, 0, 0, 0], None, [0, 0, 0, 1]]
    assert found["n"] == 5 and found["texts"][0] == [3, 0, 0, 0]


def test_the_confusion_of_a_whole_frame_is_its_table():
    pick = random.Random(3)
    codes = [1, 0, -1, 2]
    machine, truth = (np.array([[pick.choice(codes)] for _ in range(400)], np.int8) for _ in range(2))
    sample = Sample(("X",), tuple(map(str, range(400))), (Stratum("all", 400, 400, 400),), np.zeros(400, int),
                    np.ones(400, int), machine, truth)  # fmt: skip
    totals = np.array([[(machine == code).sum() for code in codes]])
    found = confusion(sample, totals)["X"]
    table = [[int(((truth == row) & (machine == column)).sum()) for column in codes] for row in codes]
    assert found["counts"] == found["texts"] == table and len(STATES) == 4
