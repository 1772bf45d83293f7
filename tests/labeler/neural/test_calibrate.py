"""Temperatures, and how far off probabilities are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from labeler.neural.calibrate import COOLEST, HOTTEST, calibration, calibration_error, temperatures
from labeler.neural.measure import log_loss, softmax
from labeler.neural.reading import IGNORED


def drawn(times=1.0):
    """Logits that say too much or too little by ``times``, and what came of the probabilities."""
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 1.5, (4000, 1, 4))
    truth = np.array([[draw.choice(4, p=row[0])] for row in softmax(logits)])
    return (logits * times).astype(np.float32), truth


@pytest.mark.parametrize("times", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_the_logits_were_multiplied_by(times):
    logits, truth = drawn(times)
    found = temperatures(logits, [1] * len(truth), truth)
    assert found[0] == pytest.approx(times, rel=0.05)
    cells = logits[:, 0].astype(np.float64)
    around = [log_loss(cells / (found[0] * step), truth[:, 0]) for step in (0.96, 1, 1.04)]
    assert around[1] == min(around)


@given(arrays.arrays(np.float32, (9, 2, 4), elements=st.floats(-6, 6, width=32)),
       arrays.arrays(np.int64, (9, 2), elements=st.sampled_from([0, 1, 2, 3, IGNORED])))  # fmt: skip
def test_no_logits_lead_out_of_bounds_and_none_are_made_worse(logits, truth):
    for at, found in enumerate(temperatures(logits, [1] * len(truth), truth)):
        assert COOLEST <= found <= HOTTEST
        known = truth[:, at] != IGNORED
        if known.any():
            cells = logits[known, at].astype(np.float64)
            before, after = (log_loss(cells / heat, truth[known, at]) for heat in (1.0, found))
            assert after <= before + 1e-6


def test_the_temperature_of_sentences_by_what_is_known_of_reports():
    draw = np.random.default_rng(1)
    logits = draw.normal(0, 1.5, (6000, 1, 4)) + np.array([2.0, 0, 0, 0])
    sentences = np.array([draw.choice(4, p=row[0]) for row in softmax(logits)]).reshape(2000, 3)
    # positive before uncertain before negative before blank
    rank = np.array([0, 3, 1, 2])
    truth = np.take_along_axis(sentences, rank[sentences].argmax(axis=1)[:, None], axis=1)
    (found,) = temperatures((2 * logits).astype(np.float32), [3] * 2000, truth)
    assert found == pytest.approx(2, rel=0.1)


def test_nothing_to_tell_is_temperature_one():
    assert temperatures(np.zeros((3, 2, 4), np.float32), [1] * 3, np.array([[1, IGNORED]] * 3)) == [1.0, 1.0]


def test_the_calibration_error_is_how_far_the_share_of_right_ones_is_from_what_was_said():
    sure = np.array([[0.9, 0.1, 0, 0]] * 10)
    assert calibration_error(sure, np.zeros(10, np.int64)) == pytest.approx(0.1)
    assert calibration_error(sure, np.array([0] * 9 + [1])) == pytest.approx(0, abs=1e-12)
    assert calibration_error(sure, np.ones(10, np.int64)) == pytest.approx(0.9)
    # bins do not even each other out: one says .9 and has all, the other says .6 and has none
    mixed = np.array([[0.9, 0.1, 0, 0], [0.6, 0.4, 0, 0]])
    assert calibration_error(mixed, np.array([0, 1])) == pytest.approx((0.1 + 0.6) / 2)
    assert calibration_error(sure, np.full(10, IGNORED)) is None


def test_it_says_what_the_temperatures_did():
    logits, truth = drawn(3.0)
    found = temperatures(logits, [1] * len(truth), truth)
    said = calibration(logits, [1] * len(truth), truth, ["A"], found)
    assert said["labels"]["A"]["cells"] == 4000
    assert said["labels"]["A"]["temperature"] == found[0]
    assert said["ece_before"] > 0.15
    assert said["ece_after"] < 0.03
