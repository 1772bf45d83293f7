"""Rules and a network together: which of the two speaks, that both stay on record, and that nothing gets worse."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ConfigError, DataError
from corpora.labels import BLANK, NEGATIVE, POSITIVE, UNCERTAIN
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler import hybrid_fit as module
from labeler.base import ToyLabeler, load
from labeler.hybrid import (
    HybridLabeler,
    HybridRecipe,
    Thresholds,
    kind_of,
    load_hybrid,
    load_recipe,
    shipped_for,
    write_recipe,
)
from labeler.hybrid_fit import fit, read_gold
from labeler.neural.reading import CLASS_OF, CLASSES, has_words
from labeler.testing import check_labeler
from labeler.types import LabelVector, Mention

RULES = load()
LABELS = RULES.schema.labels


class ToyNetwork(ToyLabeler):
    """As the toy, and sure of it; of a text that has "no" in it less."""

    made_by = "toynet.v1"

    def text_of(self, report, sections=""):
        return report.text

    def probabilities(self, texts):
        rows = [self.states([Report("", text)])[0] if has_words(text) else (None, None) for text in texts]
        found = np.full((len(texts), 2, 4), 0.01)
        for at, row in enumerate(rows):
            for label, state in enumerate(row):
                found[at, label, CLASS_OF[state]] = 0.97
        return found


class Backwards(ToyLabeler):
    """Rules that say the opposite."""

    made_by = "backwards.v1"

    def __call__(self, report, sections=""):
        vector = super().__call__(report, sections)
        states = self.states([Report("", report) if isinstance(report, str) else report])[0]
        mentions = tuple(replace(one, state=states[vector.labels.index(one.label)]) for one in vector.mentions)
        return replace(vector, states=states, mentions=mentions, made_by=self.made_by)

    def states(self, reports, sections=""):
        turned = {1: 0, 0: None}
        return [tuple(turned[state] for state in row) for row in super().states(reports, sections)]


FOLLOWING = HybridRecipe(unseen=Thresholds(negative=0.9), denied=Thresholds(positive=0.9, blank=0.5))


def toy_hybrid(recipe=None):
    return HybridLabeler("toy.v1", ToyNetwork(), recipe or FOLLOWING, rules=Backwards())


class Given:
    """Rules or a network of which it is given what they say of each study, and how sure a network is."""

    schema = RULES.schema
    made_by = "given.v1"

    def __init__(self, states, sure=None):
        self.given, self.sure = states, sure

    def __call__(self, report, sections=""):
        states = self.given[report.study_id]
        found = tuple(
            Mention(label, 0, 1, s, (), "asserted") for label, s in zip(LABELS, states, strict=True) if s is not None
        )
        return LabelVector(report.study_id, self.schema.name, LABELS, states, found, self.made_by)

    def states(self, reports, sections=""):
        return [self.given[report.study_id] for report in reports]

    def text_of(self, report, sections=""):
        return report.study_id

    def probabilities(self, texts):
        found = np.zeros((len(texts), len(LABELS), 4))
        for at, text in enumerate(texts):
            for label, (state, sure) in enumerate(zip(self.given[text], self.sure[text], strict=True)):
                found[at, label] = (1 - sure) / 3
                found[at, label, CLASS_OF[state]] = sure
        return found


def given_hybrid(rules_says, network_says, sure, recipe):
    """A hybrid of two that say this of one study."""
    network = Given({"1": tuple(network_says)}, {"1": [sure] * len(LABELS)})
    return HybridLabeler("chexpert14.v1", network, recipe, rules=Given({"1": tuple(rules_says)}))


# one labeler


@pytest.mark.parametrize("recipe", [FOLLOWING, HybridRecipe(), load_recipe()])
def test_it_is_a_labeler(recipe):
    check_labeler(partial(toy_hybrid, recipe))


def test_where_both_agree_nothing_changes():
    hybrid = HybridLabeler("toy.v1", ToyNetwork(), FOLLOWING, rules=ToyLabeler())
    vector, plain = hybrid("Effusion."), ToyLabeler()("Effusion.")
    assert (vector.states, vector.mentions) == (plain.states, plain.mentions)
    assert hybrid.disagreements([Report("1", "Effusion.")]) == []
    assert vector.made_by == hybrid.made_by != plain.made_by


def test_both_voices_stay_and_the_disagreement_is_on_record():
    hybrid = toy_hybrid()
    report = Report("7", "A small effusion.")
    vector = hybrid(report)
    assert vector["effusion"] == POSITIVE
    voices = {mention.rule: mention.state for mention in vector.mentions if mention.label == "effusion"}
    assert voices == {"backwards.v1: contains": NEGATIVE, "network .97": POSITIVE}
    effusion, fracture = hybrid.disagreements([report])
    assert (effusion.study_id, effusion.label, effusion.kind) == ("7", "effusion", "denied")
    assert (effusion.rules_state, effusion.network_state, effusion.decided) == (NEGATIVE, POSITIVE, POSITIVE)
    assert effusion.confidence == pytest.approx(0.97)
    assert (fracture.rules_state, fracture.network_state, fracture.decided) == (BLANK, NEGATIVE, NEGATIVE)


def test_the_threshold_decides():
    for least, decided in ((0.96, POSITIVE), (0.98, NEGATIVE), (None, NEGATIVE)):
        hybrid = toy_hybrid(HybridRecipe(denied=Thresholds(positive=least)))
        assert hybrid("effusion")["effusion"] == decided
        assert hybrid.states([Report("", "effusion")])[0][0] == decided
        assert len(hybrid.disagreements([Report("", "effusion")])) == 2


def test_its_name_tells_networks_and_thresholds_apart():
    one, other = toy_hybrid(), toy_hybrid(HybridRecipe())
    assert one.made_by.startswith("hybrid.v1+toynet.v1+")
    assert one.made_by != other.made_by == toy_hybrid(HybridRecipe()).made_by
    assert one.with_recipe(HybridRecipe()).made_by == other.made_by


@pytest.mark.parametrize(
    ("text", "label", "kind"),
    [
        ("Clear lungs.", "Pneumothorax", "unseen"),
        ("Pneumothorax was seen before.", "Pneumonia", "unseen"),
        ("CT to exclude a nodule.", "Lung Lesion", "set_aside"),
        ("Small effusion. Effusion on the left.", "Pleural Effusion", "asserted"),
        ("No effusion.", "Pleural Effusion", "denied"),
        ("Possible effusion.", "Pleural Effusion", "left_open"),
        ("No effusion on the right. Small effusion on the left.", "Pleural Effusion", "torn"),
        ("Heart failure.", "Cardiomegaly", "implied"),
        ("Heart failure. The heart is normal in size.", "Cardiomegaly", "denied"),
        ("Unchanged cardiomediastinal silhouette. Normal mediastinal contour.", "Enlarged Cardiomediastinum", "denied"),
    ],
)
def test_how_the_rules_came_to_a_state(text, label, kind):
    assert kind_of(RULES(text), label) == kind


def test_no_finding_follows_what_was_decided():
    at = {label: number for number, label in enumerate(LABELS)}
    rules = [BLANK] * len(LABELS)
    rules[at["No Finding"]] = POSITIVE
    recipe = HybridRecipe(unseen=Thresholds(positive=0.9, uncertain=0.9))
    for label, state, no_finding in (
        ("Pneumonia", POSITIVE, BLANK), ("Pneumonia", UNCERTAIN, BLANK), ("Support Devices", POSITIVE, POSITIVE),
        ("Pneumonia", NEGATIVE, POSITIVE),
    ):  # fmt: skip
        network = list(rules)
        network[at[label]] = state
        hybrid = given_hybrid(rules, network, 0.95, recipe)
        states = hybrid.states([Report("1", "")])[0]
        assert states == hybrid(Report("1", "")).states
        assert states[at["No Finding"]] == no_finding
        assert states[at[label]] == (BLANK if state == NEGATIVE else state)


@given(st.data())
def test_a_state_is_always_one_of_the_two(data):
    states = st.lists(st.sampled_from(CLASSES), min_size=len(LABELS), max_size=len(LABELS))
    rules, network = data.draw(states), data.draw(states)
    least = data.draw(st.floats(0, 1))
    every = Thresholds(blank=least, positive=least, negative=least, uncertain=least)
    recipe = HybridRecipe(**dict.fromkeys(("unseen", "set_aside", "asserted", "denied", "left_open", "torn"), every))
    sure = data.draw(st.floats(0.3, 1))
    found = given_hybrid(rules, network, sure, recipe).states([Report("1", "")])[0]
    followed = network if sure >= least else rules
    for label, state, expected in zip(LABELS, found, followed, strict=True):
        assert state == expected or (label == "No Finding" and state is BLANK)


# thresholds


ACCURACIES = {
    "network better": (0.75, 0.95),
    "rules better": (0.96, 0.8),
    "alike": (0.85, 0.85),
    "hopeless": (0.97, 0.3),
}


def simulated(rules_right, network_right, seed, studies=400):
    """Reports with true states, and two noisy readings; the network is surer where it is right."""
    chance = Random(seed)
    draw = lambda: chance.choices(CLASSES, (6, 2, 3, 1))[0]  # noqa: E731
    noisy = lambda state, right: state if chance.random() < right else draw()  # noqa: E731
    gold, rules, network, sure = {}, {}, {}, {}
    for number in range(studies):
        key = str(number)
        gold[key] = tuple(BLANK if label == "No Finding" else draw() for label in LABELS)
        rules[key] = tuple(noisy(state, rules_right) for state in gold[key])
        network[key] = tuple(noisy(state, network_right) for state in gold[key])
        pairs = zip(network[key], gold[key], strict=True)
        sure[key] = [chance.uniform(0.6, 1) if mine == true else chance.uniform(0.4, 0.9) for mine, true in pairs]
    hybrid = HybridLabeler("chexpert14.v1", Given(network, sure), HybridRecipe(), rules=Given(rules))
    return hybrid, [Report(key, key) for key in gold], gold


def right(states, reports, gold):
    return np.mean([mine == true for row, report in zip(states, reports, strict=True)
                    for mine, true, label in zip(row, gold[report.study_id], LABELS, strict=True)
                    if label != "No Finding"])  # fmt: skip


@pytest.mark.parametrize("name", ACCURACIES)
@pytest.mark.parametrize("seed", range(3))
def test_fitted_it_is_no_worse_than_either_on_other_reports(name, seed):
    hybrid, reports, gold = simulated(*ACCURACIES[name], seed)
    half = len(reports) // 2
    known = {key: dict(zip(LABELS, row, strict=True)) for key, row in gold.items()}
    fitted = hybrid.with_recipe(fit(hybrid, reports[:half], known))
    others = reports[half:]
    of_rules, of_network, of_both = (
        right(one.states(others), others, gold) for one in (hybrid.rules, hybrid.network, fitted)
    )
    assert of_both >= max(of_rules, of_network) - 0.005
    if name == "alike":
        assert of_both > max(of_rules, of_network) + 0.01


def test_a_few_wins_are_chance():
    hybrid, reports, gold = simulated(0.8, 0.99, 0)
    known = {key: dict(zip(LABELS, row, strict=True)) for key, row in gold.items()}
    assert fit(hybrid, reports[:2], known, chance=1e-6) == hybrid.recipe == HybridRecipe()
    assert fit(hybrid, reports, known) != HybridRecipe()
    assert fit(hybrid, reports, {}) == HybridRecipe()


def test_cells_that_do_not_count_are_not_learned_from():
    hybrid, reports, gold = simulated(0.5, 0.99, 0)
    excluded = {key: dict.fromkeys(LABELS, "x") for key in gold}
    assert fit(hybrid, reports, excluded) == HybridRecipe()


def test_the_threshold_lies_between_what_is_won_and_what_is_lost():
    won = [(0.9 + at / 1000, 1) for at in range(10)]
    lost = [(0.6 + at / 1000, -1) for at in range(10)]
    assert module._threshold([*won, *lost], 0.05) == pytest.approx((0.9 + 0.609) / 2, abs=1e-3)
    assert module._threshold([*lost, *won[:3]], 0.05) is None
    assert module._threshold([(0.9, 1)] * 9 + [(0.9, -1)] * 9, 0.05) is None


def test_a_threshold_stays_unless_gold_speaks_against_it():
    lost = [(0.9, -1)] * 4
    assert module._fitted(lost, None, 0.8, 0.05) == 0.8
    assert module._fitted([*lost, (0.9, -1)], None, 0.8, 0.05) is None
    assert module._fitted([*lost, (0.9, -1), (0.9, 1), (0.9, 1)], None, 0.8, 0.05) == 0.8
    # what it is not followed in says nothing of it
    assert module._fitted([(0.7, -1)] * 9, None, 0.8, 0.05) == 0.8
    assert module._fitted([(0.9, 1)] * 9, None, 0.8, 0.05) == pytest.approx(0.45)
    assert module._fitted(lost, 0.95, 0.8, 0.05) == 0.95
    assert module._fitted([], None, None, 0.05) is None


def test_few_gold_reports_leave_the_thresholds_as_they_are():
    hybrid, reports, gold = simulated(0.9, 0.9, 0)
    known = {key: dict(zip(LABELS, row, strict=True)) for key, row in gold.items()}
    shipped = hybrid.with_recipe(load_recipe())
    assert fit(shipped, reports[:1], known) == load_recipe()
    assert fit(shipped, reports, {}) == load_recipe()


def test_gold_tables(tmp_path):
    lines = tmp_path / "gold.jsonl"
    lines.write_text('{"id": "1", "labels": {"Edema": -1, "Fracture": "x"}}\n{"id": "2", "labels": {"Fracture": 1}}\n')
    gold = read_gold(lines, LABELS)
    assert (gold["1"]["Edema"], gold["1"]["Fracture"], gold["2"]["Fracture"]) == (-1, "x", 1)
    assert gold["2"].get("Edema") is None
    table = tmp_path / "gold.csv"
    table.write_text("study_id,Edema\n1,0\n2,\n")
    gold = read_gold(table, LABELS)
    assert (gold["1"]["Edema"], gold["2"]["Edema"], gold["1"]["Fracture"]) == (0, None, "x")
    table.write_text("study_id,Edema\n1,7\n")
    with pytest.raises(DataError) as error:
        read_gold(table, LABELS)
    assert (error.value.code, "row 1" in error.value.where) == ("data.cell", True)
    table.write_text("study_id,Oedema\n1,0\n")
    with pytest.raises(DataError) as error:
        read_gold(table, LABELS)
    assert error.value.code == "data.label"


# loading


def test_the_shipped_thresholds_follow_a_sure_network_into_doubt_and_what_rules_do_not_see():
    recipe = load_recipe()
    given = recipe.model_dump(exclude_defaults=True)
    assert set(given) == {"description", "unseen", "set_aside", "asserted", "torn"}
    assert all(set(given[kind]) == {"uncertain"} for kind in ("set_aside", "asserted", "torn"))
    assert min(least for kind, states in given.items() if kind != "description" for least in states.values()) >= 0.95


def test_thresholds_are_written_and_read(tmp_path):
    recipe = FOLLOWING.model_copy(update={"description": "ours"})
    assert load_recipe(write_recipe(recipe, tmp_path)) == recipe
    (tmp_path / "wrong.yaml").write_text("unseen: {positive: 2}\n")
    with pytest.raises(ConfigError) as error:
        load_recipe(tmp_path / "wrong.yaml")
    assert "wrong.yaml:1" in error.value.where


def test_what_rules_do_not_see_is_followed_of_labels_with_names_taught():
    rules, network = [BLANK] * len(LABELS), [POSITIVE] * len(LABELS)
    hybrid = given_hybrid(rules, network, 0.999, shipped_for(["Fracture", "Edema", "Edema"]))
    found = dict(zip(LABELS, hybrid.states([Report("1", "")])[0], strict=True))
    assert {label for label, state in found.items() if state == POSITIVE} == {"Fracture", "Edema"}
    assert set(hybrid.with_recipe(shipped_for([])).states([Report("1", "")])[0]) == {BLANK}
    # thresholds that gold tells hold of all labels
    gold = {str(number): dict.fromkeys(LABELS, POSITIVE) for number in range(9)}
    states = {key: tuple(network) for key in gold}
    many = HybridLabeler(
        "chexpert14.v1", Given(states, {key: [0.9] * len(LABELS) for key in gold}), shipped_for([]),
        rules=Given({key: tuple(rules) for key in gold}),
    )  # fmt: skip
    fitted = fit(many, [Report(key, "") for key in gold], gold)
    assert (fitted.unseen_of, fitted.unseen.positive) == (None, pytest.approx(0.45))


def test_a_network_of_other_labels():
    with pytest.raises(ConfigError) as error:
        HybridLabeler("chexpert14.v1", ToyNetwork())
    assert error.value.code == "model.schema"


def test_a_schema_of_ones_own(tmp_path):
    schema = tmp_path / "ours.yaml"
    schema.write_text("base: schemas/chexpert14.v1\nname: ours.v1\n")
    network = Given({"1": (BLANK,) * len(LABELS)}, {"1": [0.9] * len(LABELS)})
    network.schema = LabelSchema("ours.v1", LABELS, "No Finding")
    hybrid = HybridLabeler(str(schema), network)
    assert hybrid.schema.name == "ours.v1"
    assert hybrid.with_recipe(HybridRecipe())(Report("1", "No effusion."))["Pleural Effusion"] == NEGATIVE


def test_no_network(tmp_path):
    pytest.importorskip("torch")
    with pytest.raises(DataError) as error:
        load_hybrid(tmp_path)
    assert error.value.code == "model.missing"


def test_importing_it_loads_no_torch(root):
    program = "import sys, labeler.hybrid; sys.exit(sorted({'torch', 'transformers', 'spacy'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
