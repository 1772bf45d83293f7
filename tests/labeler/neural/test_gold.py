"""Gold labels: learned behind the teacher's, as long as folds of them say that it serves, and never without a count."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ConfigError, DataError
from corpora.types import Report
from labeler.base import load
from labeler.hybrid import BESIDE_NETWORK
from labeler.neural.data import Examples
from labeler.neural.gold import Crossed, Gold, compare, page, read_gold
from labeler.neural.measure import state_f1, weighted_f1
from labeler.neural.predict import NeuralLabeler
from labeler.neural.reading import CLASS_OF, IGNORED
from labeler.neural.train import GOLD, HISTORY, WEIGHTS, train
from tests.labeler.neural.conftest import changed

RULES = load()
LABELS = RULES.schema.labels
SHORT = {"weak": {"epochs": 2, "batch_size": 32}, "made": 250}


def gold_of(invented, path, number=80):
    lines = [{"id": record["id"], "labels": record["labels"]} for record in invented[:number]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def further(source, invented, tmp_path_factory):
    """A network that has hardly begun and goes on with two gold tables, which serve it."""
    place = tmp_path_factory.mktemp("gold")
    parts = [gold_of(invented[:40], place / "one.jsonl"), gold_of(invented[40:80], place / "two.jsonl")]
    recipe = changed(weak={"epochs": 1, "batch_size": 32}, made=250, gold={"learning_rate": 3e-3}, folds=2)
    return train([str(source)], place / "run", recipe, gold=parts), recipe, parts


def test_gold_labels_are_learned_last_and_its_studies_are_not_weak(source, invented, tmp_path):
    gold = tmp_path / "gold.jsonl"
    lines = [{"id": record["id"], "labels": record["labels"] | {"Fracture": "x"}} for record in invented[:80]]
    gold.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = train([str(source)], tmp_path / "run", changed(**SHORT, rewritten=1), gold=[gold])
    stages = [epoch.stage for epoch in done.epochs]
    assert stages == sorted(stages, reverse=True)
    assert set(stages) == {"weak", "gold"}
    counts = done.counts
    assert (counts["gold"], counts["gold, said otherwise"]) == (80, 80)
    assert counts["weak, training"] + counts["weak, held out"] == 120
    # the weights before it are epoch 0, and what is kept is no worse by the folds
    gold_epochs = [epoch for epoch in done.epochs if epoch.stage == "gold"]
    assert gold_epochs[0].epoch == 0
    assert done.weighted_f1 == gold_epochs[-1].weighted_f1 == max(epoch.weighted_f1 for epoch in gold_epochs)


def test_it_says_how_well_each_reads_the_gold(further):
    done, _, _ = further
    told = json.loads((done.folder / GOLD).read_text())
    assert (told["reports"], told["folds"]) == (80, 2)
    assert list(told["readers"]) == ["rules.v1", "network before", "network", "hybrid"]
    assert told["readers"]["rules.v1"]["weighted_f1"] > 0.9
    by_epochs = told["weighted_f1_by_epochs"]
    assert len(by_epochs) == 3
    assert told["epochs"] == by_epochs.index(max(by_epochs))
    assert by_epochs[0] == told["readers"]["network before"]["weighted_f1"] < max(by_epochs)
    assert done.weighted_f1 == pytest.approx(max(by_epochs), abs=1e-4)
    assert done.gold == told["readers"]
    assert not (done.folder / "partial").exists()


def test_the_network_has_learned_as_many_epochs_as_served(further):
    done, _, _ = further
    told = json.loads((done.folder / GOLD).read_text())
    history = [json.loads(line) for line in (done.folder / HISTORY).read_text().splitlines()]
    assert [line["epoch"] for line in history if line["stage"] == "gold"] == list(range(told["epochs"] + 1))


def test_gold_that_teaches_nothing_leaves_the_weights_as_they_were(source, trained, invented, tmp_path):
    fields = {"encoder": {"source": str(trained.folder)}, "weak": {"epochs": 0}, "made": 0}
    # so high a rate unlearns everything
    recipe = changed(**fields, gold={"learning_rate": 10.0, "epochs": 1, "warmup": 0.0})
    done = train([str(source)], tmp_path / "run", recipe, gold=[gold_of(invented, tmp_path / "gold.jsonl", 40)])
    assert json.loads((done.folder / GOLD).read_text())["epochs"] == 0
    assert done.weighted_f1 == done.epochs[-1].weighted_f1
    assert (done.folder / WEIGHTS).read_bytes() == (trained.folder / WEIGHTS).read_bytes()


class Interrupted(Exception):
    pass


def test_a_run_that_stopped_in_the_gold_ends_as_one_that_did_not(further, source, tmp_path):
    done, recipe, parts = further

    def stop(epoch):
        if epoch.stage == "gold":
            raise Interrupted

    with pytest.raises(Interrupted):
        train([str(source)], tmp_path / "run", recipe, gold=parts, watch=stop)
    again = train([str(source)], tmp_path / "run", recipe, gold=parts, resume=True)
    for name in (WEIGHTS, GOLD, HISTORY, "calibration.json", "config.json"):
        assert (again.folder / name).read_bytes() == (done.folder / name).read_bytes()
    same = train([str(source)], tmp_path / "run", recipe, gold=parts, resume=True)
    assert (same.untouched, same.weighted_f1) == (True, pytest.approx(done.weighted_f1))


def test_nothing_to_learn_from(source, tmp_path):
    with pytest.raises(ConfigError) as error:
        train([str(source)], tmp_path / "none", changed(weak={"epochs": 0}, made=0))
    assert error.value.code == "config.value"


def test_too_few_gold_reports(source, invented, tmp_path):
    with pytest.raises(DataError) as error:
        train([str(source)], tmp_path / "run", changed(), gold=[gold_of(invented, tmp_path / "gold.jsonl", 1)])
    assert (error.value.code, error.value.where) == ("data.empty", "the gold")


def test_a_labeler_that_learned_from_gold_is_a_labeler(further):
    done, _, _ = further
    assert NeuralLabeler(done.folder).schema.labels == LABELS
    assert load(f"hybrid.v1:{done.folder}").made_by.startswith("hybrid.v1+bertcnn.v1")


def test_thresholds_of_an_older_run_do_not_stay(source, trained, invented, tmp_path):
    run = shutil.copytree(trained.folder, tmp_path / "run")
    (run / BESIDE_NETWORK).write_text("unseen: {positive: 0.1}\n")
    train([str(source)], run, changed(**SHORT))
    assert not (run / BESIDE_NETWORK).exists()


# folds


def test_a_report_is_apart_with_its_copies_and_with_others_of_its_text(tmp_path, invented):
    records = [*invented[:30], invented[0] | {"id": "again"}]
    reports = [Report(record["id"], record["text"]) for record in records]
    gold = read_gold([gold_of(records, tmp_path / "gold.jsonl")], LABELS, reports, changed(rewritten=2))
    assert gold.fold[0] == gold.fold[-1]
    assert len(gold.copies) == 2 * len(gold.examples) == 62
    assert len(gold.learned()) == 93
    for number in gold.folds:
        apart = {text for text, fold in zip(gold.examples.texts, gold.fold, strict=True) if fold == number}
        learned = gold.learned(number)
        assert apart.isdisjoint(learned.texts[: len(learned) // 3])
        assert len(learned) == 3 * int((gold.fold != number).sum())


@given(st.lists(st.integers(0, 3), min_size=28, max_size=28), st.lists(st.integers(0, 4), min_size=28, max_size=28))
def test_scores_of_states(found, truth):
    found = np.array(found).reshape(2, 14)
    truth = np.array([IGNORED if number == 4 else number for number in truth]).reshape(2, 14)
    scores = state_f1(found, truth)
    assert scores["weighted_f1"] == weighted_f1(found, truth)
    said = [
        (mine, true)
        for mine, true in zip(found.ravel().tolist(), truth.ravel().tolist(), strict=True)
        if true != IGNORED
    ]
    hits = sum(mine == true == CLASS_OF[-1] for mine, true in said)
    either = sum((mine == CLASS_OF[-1]) + (true == CLASS_OF[-1]) for mine, true in said)
    assert scores["uncertain"] == pytest.approx(2 * hits / max(either, 1))


def crossed_of(truth, wrong, sure):
    """What a network says that is right but for the cells ``wrong``, as one sentence a report."""
    said = np.where(wrong, CLASS_OF[1], truth)
    logits = np.full((*truth.shape, 4), -sure, dtype=np.float32)
    np.put_along_axis(logits, said[:, :, None], sure, axis=-1)
    return Crossed(np.arange(len(truth)), (1,) * len(truth), logits, logits, (0.5,))


@pytest.mark.parametrize(("doubts", "learned"), [(60, True), (4, False)])
def test_the_hybrid_learns_from_gold_when_to_follow(doubts, learned):
    # rules that do not know this word for a doubt read an assertion
    texts = [f"Film {number}. Quuxly pleural effusion." for number in range(doubts)]
    texts += [f"Film {number}. Small pleural effusion." for number in range(120 - doubts)]
    at = LABELS.index("Pleural Effusion")
    truth = np.zeros((120, 14), dtype=np.int64)
    truth[:, at] = [CLASS_OF[-1]] * doubts + [CLASS_OF[1]] * (120 - doubts)
    examples = Examples(texts, truth, np.ones(truth.shape, np.float32))
    reports = [Report("", text) for text in texts]
    gold = Gold(reports, examples, examples.where(np.zeros(120, bool)), 0, np.arange(120) % 3)
    crossed = crossed_of(truth, np.zeros(truth.shape, bool), 1.0)
    thresholds, scores = compare(gold, crossed, [1.0] * 14, RULES.schema, changed())
    assert scores["network"]["uncertain"] == 1
    if learned:
        assert thresholds.asserted.uncertain < 1
        assert scores["hybrid"]["uncertain"] == 1 > scores["rules.v1"]["uncertain"]
    else:
        assert thresholds is None
        assert scores["hybrid"] == scores["rules.v1"]
    told = page(gold, crossed, scores)
    assert (told["reports"], told["folds"], told["epochs"]) == (120, 3, 0)


def test_of_another_teacher_only_the_network_is_told():
    truth = np.zeros((6, 14), dtype=np.int64)
    examples = Examples(["Clear lungs."] * 6, truth, np.ones(truth.shape, np.float32))
    gold = Gold([Report("", "Clear lungs.")] * 6, examples, examples.where(np.zeros(6, bool)), 0, np.arange(6) % 2)
    crossed = crossed_of(truth, np.zeros(truth.shape, bool), 1.0)
    thresholds, scores = compare(gold, crossed, [1.0] * 14, RULES.schema, changed(teacher="ours.v1"))
    assert thresholds is None
    assert list(scores) == ["network before", "network"]
