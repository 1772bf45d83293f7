"""The simulated reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reportgen.demo.reader import reading
from reportgen.demo.recipe import ReaderRecipe

STATES = st.sampled_from([1, 0, -1, None])


@given(st.dictionaries(st.text(min_size=1), STATES), st.integers(0, 2**32), st.text(), st.text())
def test_one_that_never_errs_says_what_is_true_and_any_says_the_same_again(truth, seed, reader, study):
    sure = ReaderRecipe(sensitivity=1, specificity=1, certainty=1)
    assert reading(truth, sure, seed=seed, reader=reader, study_id=study) == truth
    unsure = ReaderRecipe(sensitivity=0.5, specificity=0.5, certainty=0.5)
    first = reading(truth, unsure, seed=seed, reader=reader, study_id=study)
    assert first == reading(truth, unsure, seed=seed, reader=reader, study_id=study)
    assert first.keys() == truth.keys()


@pytest.mark.parametrize(
    ("truth", "said", "rate"),
    [
        (1, 1, 0.9),
        (1, None, 0.1),
        (0, 0, 0.98),
        (0, 1, 0.02),
        (None, None, 0.98),
        (-1, -1, 0.9 * 0.8),
        (-1, 1, 0.9 * 0.2),
    ],
)
def test_errors_come_at_their_rates(truth, said, rate):
    recipe, n = ReaderRecipe(sensitivity=0.9, specificity=0.98, certainty=0.8), 20_000
    read = [reading({"x": truth}, recipe, seed=1, reader="a", study_id=str(at))["x"] for at in range(n)]
    # four standard errors
    assert abs(read.count(said) / n - rate) < 4 * (rate * (1 - rate) / n) ** 0.5


def test_two_readers_err_at_different_places():
    recipe = ReaderRecipe(sensitivity=0.5)
    one, other = (
        [reading({"x": 1}, recipe, seed=0, reader=name, study_id=str(at))["x"] for at in range(200)] for name in "ab"
    )
    assert one != other
