"""The gates: exit 1 until they hold for what people submitted, and a certificate that the corpus check takes."""

import json

import pytest

from corpora.cli import run
from corpora.specs.check import check
from labeler.audit.coverage import coverage
from labeler.audit.frame import load_draw, load_frame

SPEC = """\
name: audited
title: Labels that were audited.
criteria:
  audit: {group: Labels, asks: Labels read by people, check: audit, at_least: SHARE}
"""


@pytest.fixture(scope="session")
def corpus(labeled, tmp_path_factory):
    """The reports as a corpus."""
    folder = tmp_path_factory.mktemp("corpus") / "corpus"
    assert run(["corpus", "import", str(labeled / "reports.jsonl"), "-o", str(folder)]) == 0
    return folder


@pytest.fixture
def verdict(corpus, tmp_path):
    """What the check of the corpus says of a certificate."""

    def judge(certificate, table=None, at_least=0.1):
        spec = tmp_path / "spec.yaml"
        spec.write_text(SPEC.replace("SHARE", str(at_least)))
        return check(corpus, str(spec), labels=table, certificate=certificate, pixels="none").outcomes["audit"]

    return judge


def test_nothing_is_certified_until_all_gates_hold(radloop, drawn, fill, labeled, verdict):
    done = radloop("audit", "certify", drawn)
    assert done.code == 1 and "not certified" in done.err
    assert radloop("audit", "import", drawn, fill(drawn, share=0.5, name="half"), "--reader", "Ann").code == 0
    done = radloop("audit", "certify", drawn, "--json")
    data = json.loads(done.out)
    assert done.code == 1 and not data["holds"] and data["certificate"] is None
    assert all(each["missing"] == each["required"] - each["read"] > 0 for each in data["lacking"])
    assert not (drawn / "certificate.json").exists()
    assert radloop("audit", "import", drawn, fill(drawn), "--reader", "Ann").code == 0
    done = radloop("audit", "certify", drawn)
    assert done.code == 0, done.err
    assert verdict(drawn / "certificate.json", labeled / "labels.csv").verdict == "pass"


def test_what_is_missing_is_said_by_label_and_state(radloop, drawn, fill):
    frame = load_frame(drawn)
    at = frame.names.index("Fracture")
    rare = {frame.ids[row] for row in range(len(frame.ids)) if frame.machine[row, at] == 1}
    path = fill(drawn)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if json.loads(line)["study_id"] not in rare))
    assert radloop("audit", "import", drawn, path, "--reader", "Ann").code == 0
    done = radloop("audit", "certify", drawn)
    lines = [line for line in done.err.splitlines() if line.startswith("Fracture positive: ")]
    assert done.code == 1 and len(lines) == 1 and "texts more (0 of" in lines[0] and "reports more" in lines[0]
    assert (
        "Fracture positive" in radloop("audit", "status", drawn).out
        or "more; `radloop" in radloop("audit", "status", drawn).out
    )


def test_only_submitted_readings_count(radloop, drawn):
    from labeler.audit.store import Event, open_store

    with open_store(drawn) as store:
        for each in load_draw(drawn).texts:
            store.append(Event("Ann", each.study_id, "claim"))
            store.append(Event("Ann", each.study_id, "answer", {"Edema": 1}))
    assert all(each.read == 0 for each in coverage(drawn).gates)


@pytest.fixture
def certificate(radloop, drawn, fill):
    assert radloop("audit", "import", drawn, fill(drawn), "--reader", "Ann").code == 0
    assert radloop("audit", "certify", drawn, "-o", drawn.parent / "c.json").code == 0
    return drawn.parent / "c.json"


def test_the_certificate_counts_reports_and_texts_of_every_stratum_and_cell(certificate, drawn, labeled):
    import hashlib

    data, draw, frame = json.loads(certificate.read_text()), load_draw(drawn), load_frame(drawn)
    assert data["labels_sha256"] == hashlib.sha256((labeled / "labels.csv").read_bytes()).hexdigest()
    assert data["population"] == 500 and data["read"] == sum(each.reports for each in draw.texts)
    assert data["texts"]["read"] == len(draw.texts)
    assert [(each["name"], each["texts"], each["texts_read"]) for each in data["strata"]] == [
        (each.name, each.size, each.drawn) for each in draw.strata
    ]
    assert sum(each["population"] for each in data["strata"]) == 500
    names = {(each["label"], each["state"]) for each in data["cells"]}
    assert ("Edema", "positive") in names
    for each in data["cells"]:
        code = {"positive": 1, "negative": 0, "uncertain": -1, "blank": 2}[each["state"]]
        assert each["population"] == (frame.machine[:, frame.names.index(each["label"])] == code).sum()
        assert each["texts_read"] >= each["texts_required"] and each["read"] >= each["required"]
    assert data["readers"] == ["Ann"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data["cells"][0].update(read=data["cells"][0]["required"] - 1), "too few of No Finding positive"),
        (lambda data: data["strata"][-1].update(read=0), "too few in the stratum"),
        (lambda data: data["cells"].append("x"), "too few of ?"),
        (lambda data: data.update(cells=3), "too few of ?"),
        (lambda data: data.update(sites=[{"name": "B", "population": 10, "read": 0}]), "too few in the stratum B"),
        (lambda data: data.update(labels_sha256="0" * 64), "of another label table"),
        (lambda data: data.update(read=3), ""),
    ],
)
def test_the_corpus_check_refuses_a_certificate_that_does_not_hold(certificate, labeled, verdict, change, reason):
    assert verdict(certificate, labeled / "labels.csv").verdict == "pass"
    data = json.loads(certificate.read_text())
    change(data)
    certificate.write_text(json.dumps(data))
    found = verdict(certificate, labeled / "labels.csv")
    assert found.verdict == "fail" and reason in found.reason


def test_a_certificate_of_a_tenth_is_none_of_nine_tenths(certificate, verdict):
    assert verdict(certificate).verdict == "pass"
    assert verdict(certificate, at_least=0.9).verdict == "fail"


def test_an_earlier_certificate_goes_when_the_draw_grew_and_a_gate_broke(radloop, drawn, fill):
    assert radloop("audit", "import", drawn, fill(drawn), "--reader", "Ann").code == 0
    assert radloop("audit", "certify", drawn).code == 0
    (drawn / "audit.sqlite").unlink()
    for more in ("-wal", "-shm"):
        (drawn / f"audit.sqlite{more}").unlink(missing_ok=True)
    assert radloop("audit", "certify", drawn).code == 1
    assert not (drawn / "certificate.json").exists()
