"""Generators that a drafter has to beat: what they say, and that the benchmark runs them."""

import json

import numpy as np
import pytest

from corpora import registry
from corpora.errors import RegistryError
from reportgen.generating import draft_by
from reportgen.generators import Asked, Bank, label_template, most_common, nearest_neighbour, random_train, retrieval
from reportgen.scorer import positives
from tests.reportgen.drafting.conftest import read_records

REPORTS = [
    {"findings": "The lungs are clear."},
    {"findings": "Small left pleural effusion. The lungs are low in volume."},
    {"findings": "The heart is markedly enlarged. There is edema."},
    {"findings": "The heart is enlarged."},
    {"findings": "The lungs are clear."},
]


@pytest.fixture(scope="module")
def bank():
    labels, found = positives("rules.v1", [report["findings"] for report in REPORTS])
    features = np.eye(5, 4, dtype=np.float32) + np.eye(5, 4, -1, dtype=np.float32) / 2
    return Bank(REPORTS, labels, found, features, lambda texts: positives("rules.v1", texts)[1])


def asked(bank, rows, seen):
    return Asked(len(rows), bank.features[rows] + 1e-3, seen)


def draw():
    return np.random.default_rng(0)


def test_the_most_common_report(bank):
    assert most_common(bank, Asked(2, None, [[], []]), draw()) == [REPORTS[0]] * 2


def test_a_random_report_is_one_of_training(bank):
    found = random_train(bank, Asked(50, None, [[]] * 50), draw())
    assert all(report in REPORTS for report in found)
    assert len({report["findings"] for report in found}) == 4


def test_the_nearest_film_gives_its_report(bank):
    assert nearest_neighbour(bank, asked(bank, [3, 1], [[], []]), draw()) == [REPORTS[3], REPORTS[1]]


def test_retrieved_sentences_have_the_labels_that_are_seen_and_no_other(bank):
    seen = [["Cardiomegaly"], ["Pleural Effusion", "Cardiomegaly"], [], ["Fracture"]]
    found = retrieval(bank, asked(bank, [2, 1, 4, 0], seen), draw())
    assert found[0] == {"findings": "The heart is markedly enlarged."}
    assert set(found[1]["findings"].split(". ")) >= {"Small left pleural effusion"}
    assert found[2]["findings"] == "The lungs are clear."
    assert found[3]["findings"] == "There is a rib fracture."


def test_a_template_is_read_as_the_labels_it_was_made_from(bank):
    names = [label for label in bank.label_names if label != "No Finding"]
    seen = [[label] for label in names] + [names[:4], []]
    drafts = label_template(bank, Asked(len(seen), None, seen), draw())
    labels, found = positives("rules.v1", [" ".join(one.values()) for one in drafts])
    said = [{label for label, here in zip(labels, row, strict=True) if here} - {"No Finding"} for row in found]
    assert said == [set(each) for each in seen]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    return tmp_path_factory.mktemp("seen")


@pytest.mark.parametrize("name", registry.names("generators"))
def test_each_generator_drafts_a_part(name, radloop, films, eye, seen, tmp_path):
    done = radloop("report", "draft", eye, films, "--part", "test", "--generator", name, "-o", tmp_path / "d.jsonl",
                   "--cache", seen / "films", "--seen", seen / "sight")  # fmt: skip
    assert done.code == 0, done.err
    records = read_records(tmp_path / "d.jsonl")
    assert len(records) == 12
    assert all(record["text"] and record["status"] == "draft" for record in records)


def test_a_generator_of_a_drafters_run_and_an_unknown_one(films, drafter, tmp_path):
    several = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path in several:
        assert draft_by("random-train.v1", drafter, films, path, part="test", seed=3).drafts == 12
    assert several[0].read_text() == several[1].read_text()
    with pytest.raises(RegistryError, match=r"Did you mean retrieval\.v1"):
        draft_by("retrieval.v2", drafter, films, tmp_path / "e.jsonl", part="test")


@pytest.mark.slow
def test_the_benchmark_runs_generators_and_keeps_their_drafts(radloop, films, eye, drafter, tmp_path):
    recipe = {
        "name": "b", "protocol": "raw-lower", "references": str(films), "any_references": True,
        "systems": {
            "drafter": {"generator": "drafter", "run": str(drafter), "source": str(films),
                        "options": "--max-tokens 24 --max-failures 100% --sample", "seeds": [0, 1]},
            "random": {"generator": "random-train.v1", "run": str(eye), "source": str(films), "seeds": [0, 1]},
        },
    }  # fmt: skip
    path = tmp_path / "bench.yaml"
    path.write_text(json.dumps(recipe))
    done = radloop("bench", "run", path, "-o", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    systems = {row["system"]: row for row in json.loads(done.out)["summary"]}
    assert systems["random"]["seeds"] == [0, 1]
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "drafts").rglob("*.jsonl")}
    assert len(kept) == 4
    assert radloop("bench", "run", path, "-o", tmp_path / "out").code == 0
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
