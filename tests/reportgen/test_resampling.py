"""Intervals that cover, tests that keep their level, corrections as published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reportgen.metrics.bleu import counts
from reportgen.resampling import drawn, estimates, holm, randomised
from reportgen.types import Pair, Scored


def mean_of(values, name="m"):
    values = np.asarray(values, dtype=np.float64)
    return Scored(name, values, np.column_stack([values, np.ones(len(values))]), "mean")


def f1_of(rng, n, recall=0.6, precision=0.7, share=0.4):
    meant = rng.random(n) < share
    hit = meant & (rng.random(n) < recall)
    false = ~meant & (rng.random(n) < share * recall * (1 / precision - 1) / (1 - share))
    sums = np.column_stack([hit, hit | false, meant]).astype(np.float64)
    return Scored("f1", np.full(n, np.nan), sums, "f1")


@pytest.mark.parametrize("kind", ["mean", "f1"])
def test_intervals_cover_in_simulation(kind):
    rng = np.random.default_rng(7)
    truth = 0.3 if kind == "mean" else 2 * 0.6 * 0.7 / 1.3
    covered = trials = 0
    for seed in range(200):
        one = mean_of(rng.beta(1.5, 3.5, 150)) if kind == "mean" else f1_of(rng, 200)
        (found,) = estimates([one], 300, seed)
        covered += found.lo <= truth <= found.hi
        trials += 1
    # 95 % less three standard errors of 200 trials
    assert 0.90 <= covered / trials <= 0.99


def test_the_test_keeps_its_level_and_has_power():
    rng = np.random.default_rng(3)
    low = 0
    for seed in range(200):
        (p,) = randomised([mean_of(rng.random(60))], [mean_of(rng.random(60))], 200, seed)
        low += p <= 0.05
    assert low / 200 <= 0.1
    (p,) = randomised([mean_of(rng.random(100) + 0.5)], [mean_of(rng.random(100))], 999, 0)
    assert p == 1 / 1000


def test_the_bootstrap_is_that_of_a_loop():
    words = "no effusion heart normal clear . small left".split()
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, 8)) for _ in range(40)]
    pairs = [Pair(str(at), texts[at], (texts[-at - 1],)) for at in range(20)]
    sums = counts(pairs)
    one = Scored("BLEU_2", np.zeros(20), sums, "bleu.2")
    (replicates,) = drawn([one], 50, seed=5)
    from corpora.statistics.resample import replicate_weights
    from reportgen.metrics.bleu import Bleu

    (weights,) = replicate_weights(20, 50, 5)
    for at in range(0, 50, 7):
        again = [pair for pair, times in zip(pairs, weights[at], strict=True) for _ in range(times)]
        assert Bleu().score(again)[1].total() == pytest.approx(replicates[at], abs=1e-12)


def test_systems_that_are_equal_are_not_different():
    one = mean_of([0.1, 0.5, 0.9])
    assert randomised([one], [one], 100, 0) == [1.0]


def test_what_cannot_be_scored_has_no_p_value_and_no_interval():
    nothing = Scored("x", np.full(3, np.nan), np.zeros((3, 2)), "mean", reason="not scored: needs Java")
    assert randomised([nothing, mean_of([1, 2, 3])], [nothing, mean_of([1, 2, 3])], 10, 0) == [None, 1.0]
    (found,) = estimates([nothing], 10, 0)
    assert found.value is None and found.lo is None and "Java" in found.reason


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_holm_only_raises_and_keeps_the_order(values):
    adjusted = holm(values)
    known = [(a, b) for a, b in zip(values, adjusted, strict=True) if a is not None]
    assert all(a <= b <= 1 for a, b in known) and [v is None for v in values] == [v is None for v in adjusted]
    assert [b for _, b in sorted(known)] == sorted(b for _, b in known)
