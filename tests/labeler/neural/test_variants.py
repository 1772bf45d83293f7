"""Sentences made of others."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.labels import STATE_NAMES
from corpora.types import Report
from labeler.base import ToyLabeler, load
from labeler.neural.variants import Variants

RULES = load()
TEXTS = ["No pleural effusion. The heart is normal in size.", "Small nodule in the left lung."]


@pytest.fixture(scope="module")
def variants(invented):
    return Variants(RULES, [record["text"] for record in invented], "chexpert14.v1")


def test_the_same_seed_makes_the_same_sentences(variants):
    one, again, other = (variants.sentences(30, seed, varied=0.5) for seed in (1, 1, 2))
    assert one == again != other
    assert len(one) == 30
    assert Variants(RULES, TEXTS, "chexpert14.v1").sentences(3, 0) == Variants(RULES, TEXTS, "chexpert14.v1").sentences(
        3, 0
    )


def test_unchanged_sentences_are_those_that_were_there():
    made = Variants(RULES, TEXTS, "chexpert14.v1").sentences(30, 0, varied=0.0)
    assert set(made) == {
        "No pleural effusion.", "The heart is normal in size.", "Small nodule in the left lung."
    }  # fmt: skip


def test_every_label_is_met_in_every_state(variants):
    # the reports themselves hold many of these not at all, and a pupil of them alone could not know
    states = RULES.states([Report("", text) for text in variants.sentences(6000, 0)])
    for at, label in enumerate(RULES.schema.labels):
        counts = Counter(row[at] for row in states)
        needed = [1] if label == RULES.schema.no_finding else [1, 0, -1]
        for state in needed:
            assert counts[state] >= 10, f"{label} {STATE_NAMES[state]}: {counts}"


def test_a_variant_keeps_what_is_no_evidence():
    made = Variants(RULES, ["Zzyx no pneumothorax quux."], "chexpert14.v1")
    found = made.sentences(40, 0)
    assert all(text.startswith("Zzyx ") and text.endswith(" quux.") for text in found)
    assert len(set(found)) > 20


def test_another_schema_has_the_words_of_the_texts():
    made = Variants(ToyLabeler(), ["Small effusion here.", "Old fracture there."], "toy.v1")
    found = set(made.sentences(60, 0))
    assert {text.replace("s ", " ") for text in found} == {
        "Small effusion here.", "Small fracture here.", "Old fracture there.", "Old effusion there."
    }  # fmt: skip


@given(st.lists(st.text(max_size=40), max_size=4), st.integers(0, 99))
def test_any_texts(texts, seed):
    made = Variants(RULES, texts, "chexpert14.v1").sentences(5, seed)
    assert len(made) in (0, 5)
    assert all(made)


def test_a_sentence_may_end_as_another_does(variants):
    made = variants.sentences(3000, 0)
    both = [text for text in made if "pleural effusion" in text.lower() and "rib" in text.lower()]
    assert both


def test_words_without_meaning_are_exchanged_and_those_with_it_are_not():
    plain = Variants(RULES, TEXTS, "chexpert14.v1")
    known = {word for text in plain.sentences(2000, 1) for word in text.lower().rstrip(".").split()}
    strange = {word for text in plain.sentences(2000, 1, strange=1.0) for word in text.lower().rstrip(".").split()}
    # halves of words that stand in no text and no lexicon
    assert {"normft", "leftze"} & (strange - known) or len(strange - known) > 3
    assert plain.sentences(50, 2) == plain.sentences(50, 2, strange=0.0)
    states = RULES.states([Report("", text) for text in plain.sentences(500, 3, strange=1.0)])
    assert sum(state is not None for row in states for state in row) > 200


def test_of_a_cue_only_a_part_may_be_put_in(variants):
    # "new" of "no new": by itself it leaves nothing open
    denials = {"no", "nor", "or", "nothing", "neither", "without"}
    made = [set(text.lower().rstrip(".").split()) for text in variants.sentences(4000, 0, cut=0.5)]
    assert any("new" in words and words.isdisjoint(denials) for words in made)
    assert variants.sentences(50, 0) == variants.sentences(50, 0, cut=0.0) != variants.sentences(50, 0, cut=1.0)
