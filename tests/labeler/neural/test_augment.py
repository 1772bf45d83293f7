"""Rewrites do to the labels what they say, as the rules read some thousand invented reports before and after."""

import csv
import json
import re
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import labeler
from labeler.base import load
from labeler.neural.augment import REWRITES, Augmenter, augment, augment_examples
from labeler.neural.augment_recipe import AugmentRecipe, Forms, load_recipe
from labeler.neural.data import Examples
from labeler.neural.reading import CLASS_OF, IGNORED

RULES = load()
LABELS = RULES.schema.labels
AUGMENTER = Augmenter(RULES)
ROOT = Path(__file__).resolve().parents[3]
INVENTED = ROOT / "tests/labeler/data/invented.jsonl"
SAMPLE = Path(labeler.__file__).parent / "sample" / "reports.csv"
# what the rules may not know any more is no error of the rewrite
UNREADABLE = "misspell"


@pytest.fixture(scope="module")
def texts():
    with INVENTED.open(encoding="utf-8") as lines, SAMPLE.open(encoding="utf-8", newline="") as rows:
        return [json.loads(line)["text"] for line in lines] + [row["report"] for row in csv.DictReader(rows)]


def known(text):
    return dict(zip(LABELS, RULES(text).states, strict=True))


def rewritten(name, text, chance=None):
    """The edit and the labels that the text is expected to have then."""
    states = known(text)
    edit = REWRITES[name](AUGMENTER, AUGMENTER.read(text, states), chance or Random(0))
    return edit, states | dict(edit.changed) if edit else states


LEAST = {"restate_doubted": 35, "doubt_to_assert": 30, "doubt_to_deny": 30, "assert_to_deny": 100}


@pytest.mark.parametrize("name", sorted(set(REWRITES) - {UNREADABLE}))
def test_the_labels_are_those_expected(name, texts):
    chance, done, wrong = Random(1), 0, 0
    for text in texts:
        edit, expected = rewritten(name, text, chance)
        if edit is not None:
            done += 1
            wrong += known(edit.text) != expected
            assert edit.text != text
    assert done >= LEAST.get(name, 100)
    assert wrong <= 0.01 * done


def test_what_is_misspelt_differs_in_one_place_and_is_meant_to_be_the_same(texts):
    for text in texts[:200]:
        edit, _ = rewritten(UNREADABLE, text)
        if edit is not None:
            assert not edit.changed
            same = next(at for at, pair in enumerate(zip(text, edit.text, strict=False)) if pair[0] != pair[1])
            tail = len(text) - same - 2
            assert text[:same] == edit.text[:same]
            assert edit.text.endswith(text[len(text) - tail :])
            assert abs(len(text) - len(edit.text)) <= 1


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [
        ("restate_denied", "No pleural effusion.", {}),
        ("restate_denied", "No pneumothorax or effusion.", {}),
        ("restate_doubted", "Pneumonia cannot be excluded.", {}),
        ("restate_asserted", "A small left effusion is seen.", {}),
        ("assert_to_deny", "Small left effusion.", {"Pleural Effusion": 0, "No Finding": 1}),
        ("assert_to_deny", "Small left effusion. Old rib fracture.", {"Pleural Effusion": 0}),
        ("assert_to_deny", "Small left effusion. Scoliosis.", {"Pleural Effusion": 0}),
        ("assert_to_doubt", "There is pneumonia.", {"Pneumonia": -1, "No Finding": None}),
        ("deny_to_assert", "No pneumothorax.", {"Pneumothorax": 1, "No Finding": None}),
        ("deny_to_doubt", "No pneumothorax.", {"Pneumothorax": -1, "No Finding": None}),
        ("doubt_to_assert", "Possible pneumonia.", {"Pneumonia": 1, "No Finding": None}),
        ("doubt_to_deny", "Possible pneumonia.", {"Pneumonia": 0, "No Finding": 1}),
    ],
)
def test_a_sentence_is_said_otherwise(name, text, changed):
    for seed in range(20):
        edit, expected = rewritten(name, text, Random(seed))
        if edit is not None:
            assert dict(edit.changed) == changed
            assert known(edit.text) == expected
            break
    else:
        pytest.fail("never rewritten")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("assert_to_deny", "Small effusion. The effusion is stable."),
        ("assert_to_deny", "Effusion with atelectasis."),
        ("assert_to_deny", "Stable effusion."),
        ("deny_to_assert", "No effusion or pneumothorax."),
        ("deny_to_assert", "No new effusion."),
        ("restate_denied", "No change in the left effusion."),
        ("restate_asserted", "Effusion, likely malignant."),
        ("shuffle", "No effusion."),
        ("shuffle", "Lungs:\nclear\nPleura:\nno effusion"),
        ("mask", "No effusion."),
        ("synonym", "The heart is normal."),
    ],
)
def test_what_is_not_one_plain_statement_is_left_alone(name, text):
    assert all(rewritten(name, text, Random(seed))[0] is None for seed in range(10))


def test_labels_that_the_rules_read_otherwise_are_left_alone():
    read = AUGMENTER.read("Small effusion.", known("Small effusion.") | {"Pleural Effusion": -1})
    for name in ("restate_asserted", "assert_to_deny", "assert_to_doubt"):
        assert REWRITES[name](AUGMENTER, read, Random(0)) is None


def test_other_sections_stay(texts):
    text = "INDICATION: No effusion. Cough.\nIMPRESSION: No effusion. Clear lungs."
    for seed in range(30):
        found, _ = augment(text, RULES(text).states, LABELS, Random(seed))
        assert found.startswith("INDICATION: No effusion. Cough.\nIMPRESSION: ")


def test_a_report_is_rewritten_by_chance_alone(texts):
    one, again, other = (
        [augment(text, RULES(text).states, LABELS, Random(seed)) for text in texts[:40]] for seed in (1, 1, 2)
    )
    assert one == again != other
    changed = sum(found != text for (found, _), text in zip(one, texts[:40], strict=True))
    assert changed > 20


def test_labels_follow_all_rewrites_together(texts):
    recipe = load_recipe()
    readable = recipe.model_copy(
        update={"shares": {name: share for name, share in recipe.shares.items() if name != UNREADABLE}}
    )
    augmenter, chance = Augmenter(RULES, readable), Random(3)
    wrong = Counter()
    for text in texts[:400]:
        found, states = augmenter.augment(text, RULES(text).states, LABELS, chance)
        wrong[RULES(found).states == states] += 1
    assert wrong[False] <= 0.02 * 400


def test_examples_keep_what_does_not_count():
    classes = np.full((2, len(LABELS)), CLASS_OF[None])
    at, other = LABELS.index("Pneumothorax"), LABELS.index("No Finding")
    classes[0, at], classes[:, other] = CLASS_OF[0], IGNORED
    examples = Examples(["No pneumothorax. Lungs are clear.", "Gibberish."], classes, np.full(classes.shape, 0.5, "f4"))
    made = augment_examples(examples, LABELS, 30, 0)
    assert made.classes.shape == made.trust.shape == (60, len(LABELS))
    assert (made.classes[:, other] == IGNORED).all()
    assert {CLASS_OF[0], CLASS_OF[1], CLASS_OF[-1]} == set(made.classes[:30, at].tolist())
    assert (made.classes[30:, at] == CLASS_OF[None]).all()
    assert (
        made.texts == augment_examples(examples, LABELS, 30, 0).texts != augment_examples(examples, LABELS, 30, 1).texts
    )


@given(st.text(max_size=200), st.integers(0, 99))
def test_any_text(text, seed):
    found, states = augment(text, [None] * len(LABELS), LABELS, Random(seed))
    assert isinstance(found, str)
    assert len(states) == len(LABELS)


@given(
    st.lists(st.sampled_from(["No effusion.", "\n", " ", "FINDINGS:", "Possible mass", "?", "pneumonia", "1.", "or"]))
)
def test_any_pieces(pieces):
    text = " ".join(pieces)
    for name in REWRITES:
        edit, _ = rewritten(name, text)
        assert edit is None or edit.text != text


def test_the_shipped_words():
    recipe = load_recipe()
    assert set(recipe.shares) == set(REWRITES)
    assert set(recipe.lists) <= set(recipe.forms.denied)
    every = [*recipe.forms.denied, *recipe.forms.doubted, *recipe.forms.asserted]
    assert len(every) == len(set(every))
    assert all(re.sub(r"\{(x|is)\}", "", form).islower() or form == "{x}" for form in every)


@pytest.mark.parametrize("form", ["no", "no {x} {x}", "no {x} {y}"])
def test_a_form_that_is_none(form):
    with pytest.raises(ValidationError, match="must hold"):
        Forms(denied=[form], doubted=["possible {x}"], asserted=["{x}"])


def test_a_share_that_is_none():
    data = load_recipe().model_dump()
    with pytest.raises(ValidationError, match="between 0 and 1"):
        AugmentRecipe.model_validate(data | {"shares": {"case": 1.5}})
    with pytest.raises(ValidationError, match="shares"):
        AugmentRecipe.model_validate(data | {"shares": {"rhyme": 0.5}})
