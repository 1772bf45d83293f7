"""Uncertainty policies by gradients worked out by hand: of cross entropy, the gradient of a logit is p - t."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ConfigError, DataError
from vision.calibrate import temperatures
from vision.confusion import channel_of, read_confusion
from vision.encoder import FilmEncoderOutput
from vision.losses import Criterion, Lesson, asymmetric, auc_margin, focal
from vision.recipe import LossRecipe, PolicyRecipe
from vision.uncertainty import (
    BLANK,
    NEGATIVE,
    POSITIVE,
    UNCERTAIN,
    codes_of,
    eased,
    head_of,
    noise_aware,
    policies_of,
    row_of,
    three_way,
)

CODES = [POSITIVE, NEGATIVE, UNCERTAIN, BLANK]


def gradient(policy, logit, code, *, draw=0.5, loss=None, soft=None, channel=None, done=1.0):
    """The gradient of the loss of one film with one label, with respect to its outputs."""
    heads = head_of(policy)
    outputs = torch.full((1, heads), float(logit), requires_grad=True)
    own = outputs[:, 1:2] - outputs[:, 0:1] if heads == 3 else outputs
    criterion = Criterion(
        policies_of([policy], [channel]), loss or LossRecipe(), torch.ones(1), [0], [-1], conditional=False
    )
    lesson = Lesson(torch.tensor([[code]]), torch.tensor([[draw]]), soft, done)
    criterion(FilmEncoderOutput(own, outputs, own), lesson).backward()
    return outputs.grad[0].tolist()


def policy(uncertain, **fields):
    return PolicyRecipe(uncertain=uncertain, **fields)


# p of a logit of log 3 is 3/4
THREE = math.log(3)


@pytest.mark.parametrize(
    ("uncertain", "expected"),
    [
        ("ignore", [-0.25, 0.75, 0.0, 0.75]),
        ("zeros", [-0.25, 0.75, 0.75, 0.75]),
        ("ones", [-0.25, 0.75, -0.25, 0.75]),
        # the middle of .55 and .85 is .7, that of 0 and .3 is .15
        ("ones_lsr", [-0.25, 0.75, 0.05, 0.75]),
        ("zeros_lsr", [-0.25, 0.75, 0.60, 0.75]),
        ("self_trained", [-0.25, 0.75, 0.0, 0.75]),
    ],
)
def test_a_policy_teaches_p_minus_t(uncertain, expected):
    found = [gradient(policy(uncertain), THREE, code)[0] for code in CODES]
    assert found == pytest.approx(expected, abs=1e-6)


def test_blank_has_a_policy_of_its_own():
    assert gradient(policy("ones", blank="ignored"), THREE, BLANK) == [0.0]
    assert gradient(policy("ones", blank="negative"), THREE, BLANK)[0] == pytest.approx(0.75)
    assert gradient(policy("three_way", blank="ignored"), THREE, BLANK) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("draw", [0.0, 0.25, 1.0])
def test_a_smoothed_target_lies_in_its_range(draw):
    found = gradient(policy("ones_lsr", low=0.6, high=0.8), THREE, UNCERTAIN, draw=draw)[0]
    assert found == pytest.approx(0.75 - (0.6 + 0.2 * draw), abs=1e-6)


def test_a_self_trained_cell_is_what_the_first_network_said():
    soft = torch.tensor([[0.6]])
    assert gradient(policy("self_trained"), THREE, UNCERTAIN, soft=soft)[0] == pytest.approx(0.15)
    nothing = torch.tensor([[math.nan]])
    assert gradient(policy("self_trained"), THREE, POSITIVE, soft=nothing)[0] == pytest.approx(-0.25)


@pytest.mark.parametrize(
    ("code", "place"), [(POSITIVE, 1), (NEGATIVE, 0), (UNCERTAIN, 2), (BLANK, 0)]
)  # fmt: skip
def test_three_way_teaches_softmax_minus_one_hot(code, place):
    expected = [1 / 3 - (at == place) for at in range(3)]
    assert gradient(policy("three_way"), 0.0, code) == pytest.approx(expected, abs=1e-6)


def test_three_way_scores_yes_against_no():
    outputs = torch.tensor([[1.0, 2.5, 2.0]])
    shares = outputs.softmax(dim=1)[0]
    assert torch.sigmoid(outputs[0, 1] - outputs[0, 0]) == pytest.approx(float(shares[1] / (shares[0] + shares[1])))
    assert float(three_way(outputs, torch.tensor([UNCERTAIN]), blank_counts=True)) == pytest.approx(
        -math.log(shares[2]), rel=1e-5
    )


def test_noise_aware_by_hand():
    # a positive is written as positive in 70 %, a negative in 20 %; p = 3/4, so it is written with .575
    channel = np.array([[0.7, 0.3, 0.0, 0.0], [0.2, 0.8, 0.0, 0.0]])
    found = gradient(policy("noise_aware"), THREE, POSITIVE, channel=channel)[0]
    # d -log(p a + (1 - p) b) / d logit = -(a - b) p (1 - p) / (p a + (1 - p) b)
    assert found == pytest.approx(-(0.7 - 0.2) * 0.75 * 0.25 / 0.575, abs=1e-6)
    assert gradient(policy("noise_aware"), THREE, BLANK, channel=channel) == [0.0]


@given(st.floats(-6, 6), st.sampled_from([POSITIVE, NEGATIVE]))
def test_noise_aware_without_noise_is_cross_entropy(logit, code):
    channel = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    logits = torch.tensor([logit])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor([float(code == POSITIVE)]))
    assert float(noise_aware(logits, torch.tensor([code]), channel)) == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(("code", "expected"), [(POSITIVE, 1.0), (NEGATIVE, 0.0), (UNCERTAIN, 0.0), (BLANK, 0.0)])
@pytest.mark.parametrize("logit", [-9.0, -2.0, 0.0, 3.0])
def test_noise_aware_begins_as_if_what_is_written_were_true(logit, code, expected):
    channel = np.array([[0.6, 0.2, 0.1, 0.1], [0.3, 0.4, 0.1, 0.2]])
    found = gradient(policy("noise_aware"), logit, code, channel=channel, done=0.0)[0]
    # that of cross entropy, which is not gone where the network is sure and wrong
    assert found == pytest.approx(1 / (1 + math.exp(-logit)) - expected, abs=1e-4)


@given(st.floats(0, 1))
def test_a_channel_is_eased_into_itself(done):
    channel = torch.tensor([[0.7, 0.3, 0.0, 0.0], [0.2, 0.5, 0.1, 0.2]])
    found = eased(channel, done)
    assert torch.allclose(found.sum(dim=1), torch.ones(2)) and found.min() >= 0
    assert torch.equal(found, channel) == (done >= 0.5)
    # a positive film is always the likelier to be written as positive
    assert found[0, POSITIVE] > found[1, POSITIVE]


def test_the_temperature_of_a_noise_aware_label_is_that_of_the_truth():
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 3, (4000, 1)).astype(np.float32)
    truth = draw.random((4000, 1)) < 1 / (1 + np.exp(-logits))
    turned = truth ^ (draw.random((4000, 1)) < 0.3)
    written = np.where(turned, [0.7, 0.3], [0.3, 0.7])
    study = np.arange(4000)
    assert temperatures(logits, study, turned.astype(np.int8), "mean")[0] > 2
    found = temperatures(logits, study, turned.astype(np.int8), "mean", {0: written})[0]
    assert found == pytest.approx(1, abs=0.2)


def test_a_range_for_a_policy_without_one_is_refused():
    with pytest.raises(ConfigError, match=r"ones takes no low"):
        row_of(policy("ones", low=0.2))
    with pytest.raises(ConfigError, match=r"low is above high"):
        row_of(policy("ones_lsr", low=0.9))


def test_codes_are_places_of_states():
    assert codes_of(np.array([[1, 0, -1, -2]], dtype=np.int8)).tolist() == [CODES]


# Confusion matrices


def confusion(tmp_path, matrix, **more):
    path = tmp_path / "labels.confusion.json"
    states = ["positive", "negative", "uncertain", "blank"]
    path.write_text(json.dumps({"labels": {"Edema": {"states": states, "matrix": matrix, **more}}}))
    return path


def test_a_confusion_matrix_becomes_a_channel(tmp_path):
    matrix = [[70, 30, 0, 0], [30, 70, 0, 0], [0, 0, 0, 0], [0, 0, 0, 100]]
    found = read_confusion(confusion(tmp_path, matrix), ["Edema"])["Edema"]
    channel = channel_of(found, found.sum(axis=0), blank_counts=True)
    # half of what is not positive is blank: .5 (.3, .7, 0, 0) + .5 (0, 0, 0, 1)
    assert channel == pytest.approx(np.array([[0.7, 0.3, 0, 0], [0.15, 0.35, 0, 0.5]]), abs=1e-3)
    ignoring = channel_of(found, found.sum(axis=0), blank_counts=False)
    assert ignoring == pytest.approx(np.array([[0.7, 0.3, 0, 0], [0.3, 0.7, 0, 0]]), abs=1e-3)


def test_a_truth_that_nobody_read_is_taken_to_be_written_as_it_is(tmp_path):
    found = read_confusion(confusion(tmp_path, [[0.9, 0.1, 0, 0], [0, 1, 0, 0], None, [0, 0, 0, 1]]), ["Edema"])[
        "Edema"
    ]
    assert found[2].tolist() == [0, 0, 0, 0]
    channel = channel_of(found, np.array([50, 40, 10, 0]), blank_counts=True)
    assert channel[:, 2].min() > 0


def test_states_in_another_order_are_put_in_order(tmp_path):
    path = confusion(
        tmp_path, [[9, 0, 0, 0], [0, 5, 1, 0], [0, 2, 4, 0], [0, 0, 0, 3]],
        states=["blank", "negative", "positive", "uncertain"],
    )  # fmt: skip
    found = read_confusion(path, ["Edema"])["Edema"]
    assert found[0].tolist() == [4, 2, 0, 0] and found[1].tolist() == [1, 5, 0, 0] and found[3].tolist() == [0, 0, 0, 9]


@pytest.mark.parametrize("matrix", [[[1, 2], [3, 4]], [[-1, 0, 0, 0]] + [[0] * 4] * 3, [[0] * 4] * 4, "no"])
def test_a_matrix_that_is_none_is_refused(tmp_path, matrix):
    with pytest.raises(DataError) as refused:
        read_confusion(confusion(tmp_path, matrix), ["Edema"])
    assert refused.value.code == "vision.confusion" and "Edema" in refused.value.where


def test_a_label_without_a_matrix_is_refused(tmp_path):
    with pytest.raises(DataError, match="it has no matrix of 'Fracture'"):
        read_confusion(confusion(tmp_path, [[1, 0, 0, 0]] * 4), ["Fracture"])


# Losses


def test_focal_and_asymmetric_by_hand():
    logits, target = torch.tensor([[THREE, THREE]]), torch.tensor([[1.0, 0.0]])
    assert focal(logits, target, 2.0)[0].tolist() == pytest.approx(
        [0.25**2 * -math.log(0.75), 0.75**2 * -math.log(0.25)]
    )
    assert asymmetric(logits, target, 2.0, 1.0, 0.05)[0].tolist() == pytest.approx(
        [0.25 * -math.log(0.75), 0.7**2 * -math.log(0.3)]
    )


def test_auc_margin_is_zero_where_the_margin_is_kept():
    logits, target = torch.tensor([40.0, -40.0, -40.0]), torch.tensor([1.0, 0.0, 0.0])
    assert float(auc_margin(logits, target, torch.ones(3), 1.0)) == pytest.approx(0.0)
    assert float(auc_margin(-logits, target, torch.ones(3), 1.0)) == pytest.approx(4.0)
    assert float(auc_margin(logits, torch.zeros(3), torch.ones(3), 1.0)) == 0.0


def test_a_child_is_learned_where_its_parent_is_positive():
    policies = policies_of([policy("ignore")] * 2, [None] * 2)
    criterion = Criterion(policies, LossRecipe(), torch.ones(2), [0, 1], [-1, 0], conditional=True)
    outputs = torch.full((2, 2), THREE, requires_grad=True)
    codes = torch.tensor([[POSITIVE, NEGATIVE], [NEGATIVE, NEGATIVE]])
    criterion(FilmEncoderOutput(None, outputs, outputs), Lesson(codes, torch.zeros(2, 2))).backward()
    # three cells count: both of the parent, and the child's where the parent is positive
    assert outputs.grad.tolist() == [pytest.approx([-0.25 / 3, 0.25]), pytest.approx([0.25, 0.0])]


def test_positive_weights_weigh_positives_only():
    policies = policies_of([policy("ignore")], [None])
    criterion = Criterion(policies, LossRecipe(), torch.tensor([4.0]), [0], [-1], conditional=False)
    outputs = torch.full((2, 1), THREE, requires_grad=True)
    codes = torch.tensor([[POSITIVE], [NEGATIVE]])
    criterion(FilmEncoderOutput(outputs, outputs, outputs), Lesson(codes, torch.zeros(2, 1))).backward()
    assert outputs.grad[:, 0].tolist() == pytest.approx([-0.25 * 4 / 2, 0.75 / 2])
