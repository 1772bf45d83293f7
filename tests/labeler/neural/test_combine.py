"""What is said of a report by what is said of its sentences."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labeler.neural.combine import combined, report_probabilities


def rows(number, labels, seed):
    return np.random.default_rng(seed).dirichlet(np.ones(4), (number, labels))


@given(st.integers(1, 4), st.integers(0, 99))
def test_it_is_the_sum_over_all_that_the_sentences_may_say(sentences, seed):
    probabilities = rows(sentences, 2, seed)
    found = report_probabilities(probabilities, [sentences], None)[0]
    for label in range(2):
        expected = np.zeros(4)
        for said in itertools.product(range(4), repeat=sentences):
            counts = max(said, key=lambda one: [0, 3, 1, 2][one])
            expected[counts] += np.prod([probabilities[at, label, one] for at, one in enumerate(said)])
        np.testing.assert_allclose(found[label], expected, atol=1e-5)


@given(st.integers(1, 4), st.integers(0, 99))
def test_no_finding_is_normal_somewhere_and_abnormal_nowhere(sentences, seed):
    probabilities = rows(sentences, 1, seed)
    probabilities[:, :, 3] = 0
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    normal = sum(
        np.prod([probabilities[at, 0, one] for at, one in enumerate(said)])
        for said in itertools.product(range(3), repeat=sentences)
        if 1 in said and 2 not in said
    )
    found = report_probabilities(probabilities, [sentences], 0)[0, 0]
    np.testing.assert_allclose(found, [1 - normal, normal, 0, 0], atol=1e-5)


def test_reports_stay_apart_and_one_without_sentences_is_blank():
    probabilities = rows(5, 3, 0)
    found = report_probabilities(probabilities, [2, 0, 3], 1)
    assert found[1].tolist() == [[1, 0, 0, 0]] * 3
    np.testing.assert_allclose(found[0], report_probabilities(probabilities[:2], [2], 1)[0])
    np.testing.assert_allclose(found[2], report_probabilities(probabilities[2:], [3], 1)[0])
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-9)


def test_it_can_be_learned_through():
    probabilities = torch.tensor(rows(4, 2, 0), requires_grad=True)
    found = combined(probabilities, torch.tensor([0, 0, 1, 1]), 2, 1)
    found[0, 0, 1].backward()
    gradient = probabilities.grad
    # the probability of a positive report grows with that of each of its own sentences, by what the others leave
    assert gradient[0, 0, 1] == pytest.approx(1 - float(probabilities[1, 0, 1].detach()), abs=1e-6)
    assert (gradient[2:] == 0).all()
