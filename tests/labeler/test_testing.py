"""The conformance suite: our own labelers pass it, and each kind of broken labeler fails it with the reason."""

from dataclasses import replace

import pytest

from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.base import ToyLabeler
from labeler.rules.pipeline import load_rules_v1
from labeler.testing import check_labeler
from labeler.types import Cue, Mention


@pytest.mark.parametrize("factory", [load_rules_v1, ToyLabeler])
def test_the_labelers_that_ship_conform(factory):
    check_labeler(factory, ["Stable support devices. No effusion or pneumothorax; possible rib fracture."])


class Changed(ToyLabeler):
    """The toy, its vectors changed by a subclass."""

    def __call__(self, report, sections=""):
        return self.change(super().__call__(report, sections))

    def states(self, reports, sections=""):
        return [self.change(ToyLabeler().__call__(report)).states for report in reports]

    def change(self, vector):
        return vector


def changed(**fields):
    """A labeler whose vectors have these fields; those that are functions are of the vector."""

    def change(self, vector):
        return replace(vector, **{name: value(vector) for name, value in fields.items()})

    return type("Altered", (Changed,), {"change": change})


def mention(start, end, **fields):
    given = {"label": "effusion", "state": 1, "cues": (), "rule": "some"} | fields
    return Mention(given["label"], start, end, given["state"], given["cues"], given["rule"])


class Disagreeing(ToyLabeler):
    """Its states are not those of its vector."""

    def states(self, reports, sections=""):
        return [(1, 1) for _ in reports]

    def __call__(self, report, sections=""):
        return replace(ToyLabeler()(report), states=(0, 0))


class Remembering(Changed):
    """Labels by how many reports it has seen."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def change(self, vector):
        self.seen += 1
        return replace(vector, states=(0, self.seen // 60 - 1 if self.seen < 180 else 0))


class Twins(ToyLabeler):
    """Its schema has one label twice."""

    def __init__(self, schema=""):
        self.schema = LabelSchema("toy.v1", ("effusion", "effusion"))


class Picky(ToyLabeler):
    """Takes reports only."""

    def __call__(self, report, sections=""):
        vector = super().__call__(report, sections)
        return vector if isinstance(report, Report) else replace(vector, mentions=())


class Nameless(ToyLabeler):
    """Does not say who it is."""

    made_by = ""


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        (Nameless, "made_by is empty"),
        (Twins, "two labels of one name"),
        (Disagreeing, r"states\(\) differs from the vector"),
        (Picky, "a text and a report of this text get different labels"),
        (Remembering, "states|otherwise|different"),
        (changed(study_id=lambda vector: "x"), "the vector is of another study"),
        (changed(schema=lambda vector: "x"), "the vector is of another schema"),
        (changed(made_by=lambda vector: "x"), "the vector was made by another labeler"),
        (changed(labels=lambda vector: vector.labels[::-1]), "not those of the schema in its order"),
        (changed(states=lambda vector: (1,)), "not one state for each label"),
        (changed(states=lambda vector: (1, 2)), "a state is none of"),
        (changed(states=lambda vector: (True, 0)), "a state is none of"),
        (changed(states=lambda vector: (1.0, 0)), "a state is none of"),
        (changed(states=lambda vector: (1, 0)), "an empty report has a positive label"),
        (changed(mentions=lambda vector: (mention(0, 9_999_999),)), "outside the text: 0 to 9999999"),
        (changed(mentions=lambda vector: (mention(-1, 2),)), "outside the text: -1 to 2"),
        (changed(mentions=lambda vector: (mention(3, 3),)), "outside the text: 3 to 3"),
        (changed(mentions=lambda vector: (mention(0, 3, cues=(Cue(5, 3, "x"),)),)), "outside the text: 5 to 3"),
        (changed(mentions=lambda vector: (mention(0, 3, label="mass"),)), "a mention is of no label of the schema"),
        (changed(mentions=lambda vector: (mention(0, 3, state=3),)), "the state of a mention"),
        (changed(mentions=lambda vector: (mention(0, 3, rule=""),)), "which rule decided"),
        (lambda: ToyLabeler(), "cannot import the factory by its name"),
    ],
)
def test_what_is_no_labeler_is_told_why(factory, reason):
    with pytest.raises(AssertionError, match=reason):
        check_labeler(factory)


def test_the_reason_never_quotes_a_report():
    with pytest.raises(AssertionError) as caught:
        check_labeler(changed(mentions=lambda vector: (mention(0, 9_999_999),)), ["Zanzibarski"])
    assert "Zanzibarski" not in str(caught.value)
