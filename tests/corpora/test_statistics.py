"""The bootstrap by cluster and Cohen's kappa, against brute force, hand calculation and reference vectors."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from corpora.statistics.kappa import cohen_kappa, kappa_values
from corpora.statistics.resample import by_cluster, percentile_estimate, replicate_weights, resampled_totals
from corpora.statistics.types import Estimate

SHARED = Path(os.environ.get("RADLOOP_SHARED") or Path(__file__).parents[3] / "shared")
VECTORS = SHARED / "vectors" / "stat_vectors.json"


def all_weights(clusters: int, replicates: int, seed: int, **kwargs: int) -> np.ndarray:
    return np.concatenate(list(replicate_weights(clusters, replicates, seed, **kwargs)))


def test_an_estimate_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Estimate(1.0, 0.5, 1.5, 10, "m").value = 2.0  # type: ignore[misc]


# resampling


def test_weights_are_multinomial_counts() -> None:
    weights = all_weights(40, 3000, seed=1)
    assert weights.shape == (3000, 40)
    assert (weights.sum(axis=1) == 40).all() and weights.min() == 0
    assert weights.mean(axis=0) == pytest.approx(np.ones(40), abs=0.1)
    # variance of a multinomial count: n p (1 - p)
    assert weights.var() == pytest.approx(1 - 1 / 40, abs=0.02)


@pytest.mark.parametrize("draws_at_once", [1, 7, 50, 1000])
def test_weights_depend_on_the_seed_and_not_on_the_block_size(draws_at_once: int) -> None:
    whole = all_weights(7, 30, seed=5)
    assert (all_weights(7, 30, seed=5, draws_at_once=draws_at_once) == whole).all()
    assert (all_weights(7, 30, seed=6) != whole).any()


@settings(max_examples=30)
@given(
    counts=npst.arrays(
        np.int64, st.tuples(st.integers(1, 9), st.integers(1, 3), st.just(2)), elements=st.integers(0, 9)
    ),
    seed=st.integers(0, 2**32),
)
def test_totals_equal_a_loop_over_the_clusters_drawn(counts: np.ndarray, seed: int) -> None:
    totals = resampled_totals(counts, 8, seed)
    for total, weights in zip(totals, all_weights(len(counts), 8, seed), strict=True):
        by_hand = np.zeros(counts.shape[1:])
        for row, times in zip(counts, weights, strict=True):
            for _ in range(times):
                by_hand += row
        assert (total == by_hand).all()


def test_totals_too_large_for_single_precision_stay_exact() -> None:
    counts = np.array([[2**24 + 1], [2**24 + 3]])
    expected = all_weights(2, 20, seed=3) @ counts
    assert (resampled_totals(counts, 20, seed=3) == expected).all()


def test_three_thousand_studies_take_no_time() -> None:
    counts = np.random.default_rng(0).integers(0, 2, size=(3000, 14, 4, 4), dtype=np.uint8)
    start = time.perf_counter()
    resampled_totals(counts, 1000, seed=0)
    assert time.perf_counter() - start < 5


def test_rows_of_a_cluster_are_summed_in_order_of_first_occurrence() -> None:
    counts = np.array([[1, 2], [10, 20], [100, 200]], dtype=np.uint8)
    assert by_cluster(counts, ["b", "a", "b"]).tolist() == [[101, 202], [10, 20]]


def test_summing_by_cluster_does_not_overflow_small_integers() -> None:
    assert by_cluster(np.full((300, 1), 1, dtype=np.uint8), [0] * 300).tolist() == [[300]]


def test_patients_with_several_studies_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(60), 5)
    right = rng.integers(0, 2, 60)[patient]  # a patient's studies are all right or all wrong
    counts = np.stack([right, 1 - right], axis=1)
    widths = []
    for data in (counts, by_cluster(counts, patient.tolist())):
        totals = resampled_totals(data, 500, seed=0)
        share = percentile_estimate(
            right.mean(), totals[:, 0] / totals.sum(axis=1), n=len(data), confidence=0.95, unit="patient"
        )
        assert share.lo is not None and share.hi is not None
        widths.append(share.hi - share.lo)
    assert widths[1] > 1.7 * widths[0]


def estimate_of(value: float, replicates: list[float]) -> Estimate:
    return percentile_estimate(value, np.array(replicates), n=4, confidence=0.9, unit="study", undefined="0/0")


def test_percentile_interval() -> None:
    e = estimate_of(5.0, [float(i) for i in range(101)])
    assert (e.value, e.n, e.reason) == (5.0, 4, "")
    assert [e.lo, e.hi] == pytest.approx([5.0, 95.0])
    assert "percentile bootstrap by study, 101 replicates" in e.method


def test_undefined_replicates_are_dropped_and_counted() -> None:
    e = estimate_of(1.0, [math.nan, 1.0, 2.0, math.nan])
    assert e.lo == pytest.approx(1.05) and e.hi == pytest.approx(1.95)
    assert "2 of 4" in e.reason


@pytest.mark.parametrize(
    ("value", "replicates", "has_value", "has_interval", "says"),
    [
        (math.nan, [1.0, 2.0], False, False, "0/0"),
        (1.0, [math.nan, math.nan], True, False, "all 2 replicates"),
        (1.0, [], True, False, "no replicates"),
        (1.0, [1.0, 1.0], True, True, "same value"),
    ],
)
def test_what_cannot_be_given_carries_a_reason(
    value: float, replicates: list[float], has_value: bool, has_interval: bool, says: str
) -> None:
    e = estimate_of(value, replicates)
    assert (e.value is not None, e.lo is not None, e.hi is not None) == (has_value, has_interval, has_interval)
    assert says in e.reason


# kappa


def test_kappa_by_hand() -> None:
    # agreement 35/50 = .7; chance (25*30 + 25*20)/50^2 = .5
    e = cohen_kappa([[20, 5], [10, 15]])
    assert e.value == pytest.approx(0.4) and e.n == 50
    assert e.lo is not None and e.hi is not None and e.lo < 0.4 < e.hi


@pytest.mark.parametrize("table", [[[10, 0], [0, 0]], [[0, 0], [0, 0]], [[7]]])
def test_kappa_of_no_variation_is_none_with_a_reason(table: list[list[int]]) -> None:
    e = cohen_kappa(table)
    assert e.value is None and e.lo is None and e.reason


@pytest.mark.parametrize(
    ("table", "kappa"), [([[9, 1], [0, 0]], 0.0), ([[5, 0], [0, 5]], 1.0), ([[0, 5], [5, 0]], -1.0)]
)
def test_kappa_without_a_standard_error_has_no_interval(table: list[list[int]], kappa: float) -> None:
    e = cohen_kappa(table)
    assert e.value == kappa and e.lo is None and e.hi is None and "standard error is 0" in e.reason


def test_kappa_interval_stays_in_range() -> None:
    e = cohen_kappa([[30, 1], [0, 3]])
    assert e.hi == 1.0


@pytest.mark.parametrize("table", [[[1, 2]], [1, 2], [[1, -1], [0, 2]], [[1, math.nan], [0, 2]]])
def test_kappa_refuses_what_is_no_count_table(table: object) -> None:
    with pytest.raises(ValueError, match="square table"):
        cohen_kappa(table)  # type: ignore[arg-type]


@given(npst.arrays(np.int64, (4, 4), elements=st.integers(0, 30)))
def test_kappa_is_symmetric_and_bounded(table: np.ndarray) -> None:
    e, transposed = cohen_kappa(table), cohen_kappa(table.T)
    if e.value is None:
        assert transposed.value is None
        return
    assert transposed.value == pytest.approx(e.value, abs=1e-12)
    assert -1 <= e.value <= 1 + 1e-12
    assert e.lo is None or (e.hi is not None and e.lo <= e.value <= e.hi)


def test_kappa_of_many_tables_at_once() -> None:
    tables = np.random.default_rng(0).integers(0, 9, size=(3, 2, 4, 4))
    one_by_one = [[cohen_kappa(table).value for table in row] for row in tables]
    assert kappa_values(tables) == pytest.approx(np.array(one_by_one))


@pytest.mark.skipif(not VECTORS.exists(), reason="the reference vectors are not here (RADLOOP_SHARED)")
def test_kappa_against_the_reference_vectors() -> None:
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    cases = [case for group in vectors["kappa"].values() for case in group["cohen"].values()]
    assert cases
    for case in cases:
        e = cohen_kappa(case["table"])
        assert e.value == (None if case["kappa"] is None else pytest.approx(case["kappa"], abs=1e-12))
        for bound, expected in zip((e.lo, e.hi), case["ci95"], strict=True):
            assert bound == (None if expected is None else pytest.approx(expected, abs=1e-9))


@pytest.mark.skipif(not VECTORS.exists(), reason="the reference vectors are not here (RADLOOP_SHARED)")
def test_kappa_against_printed_tables() -> None:
    for cell in json.loads(VECTORS.read_text(encoding="utf-8"))["vindr_kappa_cells"]:
        for table in cell["tables_reproducing_it_N200"]:
            e, printed = cohen_kappa(table), cell["printed"]
            assert e.value == pytest.approx(printed["kappa"], abs=6e-4)
            assert [e.lo, e.hi] == pytest.approx(printed["ci95"], abs=1.1e-3)
