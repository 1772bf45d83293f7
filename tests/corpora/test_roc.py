"""ROC, DeLong, thresholds, calibration, FROC: against pROC's numbers, brute force and hand calculation."""

from __future__ import annotations

import itertools
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.statistics.auroc_bootstrap import ranked, resampled_ranking
from corpora.statistics.calibration import brier, expected_calibration_error, recalibration, reliability
from corpora.statistics.delong import auroc_difference, auroc_estimate, delong
from corpora.statistics.froc import Detections, froc, iou_matrix, match
from corpora.statistics.resample import replicate_weights
from corpora.statistics.roc import auroc, average_precision, roc_curve
from corpora.statistics.thresholds import choose, outcome_counts, shares, youden_cuts

SHARED = Path(os.environ.get("RADLOOP_SHARED") or Path(__file__).parents[3] / "shared")
VECTORS = SHARED / "vectors" / "stat_vectors.json"
BLOCKS: dict[str, Any] = json.loads(VECTORS.read_text()) if VECTORS.is_file() else {}
CASES = [pytest.param(case, id=name) for name, case in BLOCKS.get("auroc_delong", {}).items()]
needs_vectors = pytest.mark.skipif(not BLOCKS, reason="needs ../shared/vectors (or RADLOOP_SHARED)")


def close(value: float, rel: float = 1e-12, absolute: float = 1e-13) -> Any:
    return pytest.approx(value, rel=rel, abs=absolute)


def drawn(seed: int, n: int = 60, ties: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.append([0, 1], rng.integers(0, 2, n - 2))
    return y, (rng.integers(0, ties, n) + y) / 10


# reference vectors


@needs_vectors
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", ["model1", "model2"])
def test_area_variance_and_interval_are_those_of_proc(case: dict[str, Any], model: str) -> None:
    y, scores, expected = case["y"], case[f"scores_{model}"], case["expected_pROC"][model]
    assert len(y) == case["expected_pROC"]["n"] and sum(y) == case["expected_pROC"]["npos"]
    found = delong(y, [scores])
    estimate = auroc_estimate(y, scores)
    assert estimate.value == close(expected["auc"]) == close(auroc(y, scores))
    assert found.covariance[0, 0] == close(expected["delong_var"])
    assert [estimate.lo, estimate.value, estimate.hi] == close(expected["ci95_delong"])
    assert ("variance is 0" in estimate.reason) == (expected["delong_var"] == 0)


@needs_vectors
@pytest.mark.parametrize("case", CASES)
def test_the_paired_test_is_that_of_proc(case: dict[str, Any]) -> None:
    expected = case["expected_pROC"]
    both = [case["scores_model1"], case["scores_model2"]]
    assert delong(case["y"], both).covariance[0, 1] == close(expected["cov12"])
    found = auroc_difference(case["y"], *both)
    assert found.z == close(expected["paired_delong"]["Z"], rel=1e-11)
    assert found.p == close(expected["paired_delong"]["p"], rel=1e-11)
    assert [found.difference.lo, found.difference.hi] == close(expected["paired_delong"]["diff_ci"], rel=1e-11)


@needs_vectors
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("model", ["model1", "model2"])
def test_the_best_thresholds_are_those_of_proc(case: dict[str, Any], model: str) -> None:
    expected = {
        name: value if isinstance(value, list) else [value]
        for name, value in case["expected_pROC"][model]["youden"].items()
    }
    cuts = youden_cuts(case["y"], case[f"scores_{model}"])
    # JSON has no infinity: the vectors hold null
    assert [c.threshold if math.isfinite(c.threshold or 0) else None for c in cuts] == [
        value if value is None else close(value) for value in expected["threshold"]
    ]
    assert [c.sensitivity for c in cuts] == close(expected["sensitivity"])
    assert [c.specificity for c in cuts] == close(expected["specificity"])
    # what pROC calls youden is J + 1
    assert [c.sensitivity + c.specificity for c in cuts] == close(expected["youden"])


@needs_vectors
@pytest.mark.parametrize("case", [pytest.param(each, id=each["name"]) for each in BLOCKS.get("froc", [])])
def test_froc_vectors(case: dict[str, Any]) -> None:
    detections = {
        image: Detections(
            np.array([box for _, box in found], dtype=float).reshape(-1, 4), np.array([score for score, _ in found])
        )
        for image, found in case["pred"].items()
    }
    images = list(case["gt"])
    assert len(images) == case["n_images"]
    found = froc(case["gt"], detections, images)
    assert found.lesions == case["n_lesions"]
    assert dict(zip(map(float, case["sensitivity_at_fp_per_image"]), found.sensitivity, strict=True)) == {
        float(rate): close(value) for rate, value in case["sensitivity_at_fp_per_image"].items()
    }
    assert found.mean == close(case["froc_mean"])


# ROC


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=25))
def test_the_area_counts_pairs(units: list[tuple[bool, int]]) -> None:
    y, s = [int(truth) for truth, _ in units], [score for _, score in units]
    pairs = [(a > b) + (a == b) / 2 for (p, a), (q, b) in itertools.product(units, units) if p and not q]
    if not pairs:
        assert math.isnan(auroc(y, s)) and math.isnan(average_precision(y, s))
        return
    assert auroc(y, s) == pytest.approx(sum(pairs) / len(pairs))
    curve = roc_curve(y, s)
    assert np.trapezoid(curve.sensitivity[::-1], 1 - curve.specificity[::-1]) == pytest.approx(auroc(y, s))


def test_average_precision_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score

    for seed in range(5):
        y, s = drawn(seed)
        assert average_precision(y, s) == pytest.approx(average_precision_score(y, s), abs=1e-12)


def test_unknown_truths_are_left_out_and_scores_must_be_numbers() -> None:
    assert auroc([0, 1, -1, 1], [0.1, 0.9, float("nan"), 0.8]) == 1.0
    with pytest.raises(ValueError, match="not finite"):
        auroc([0, 1], [0.1, float("nan")])
    with pytest.raises(ValueError, match="one length"):
        auroc([0, 1], [0.1])


# DeLong


def test_an_area_without_both_classes_or_with_one_unit_of_a_class() -> None:
    assert auroc_estimate([0, 0], [0.1, 0.2]).reason == "only one class occurs: no ROC curve"
    single = auroc_estimate([1, 0, 0], [0.9, 0.2, 0.1])
    assert (single.value, single.lo) == (1.0, None) and "single unit" in single.reason
    with pytest.raises(ValueError, match="one class"):
        delong([1, 1], [[0.1, 0.2]])
    with pytest.raises(ValueError, match="shape"):
        delong([1, 0], [[0.1, 0.2, 0.3]])


def test_a_system_against_itself_has_no_p() -> None:
    y, s = drawn(3)
    found = auroc_difference(y, s, s)
    assert found.difference.value == 0 and found.p is None and "variance is 0" in found.difference.reason
    assert auroc_difference([1, 1], [0.1, 0.2], [0.2, 0.1]).difference.value is None


def test_clusters_of_one_unit_change_nothing_and_doubled_units_change_no_variance() -> None:
    y, s = drawn(4)
    plain = delong(y, [s]).covariance[0, 0]
    assert delong(y, [s], np.arange(len(y))).covariance[0, 0] == pytest.approx(plain, rel=1e-12)
    twice = delong(np.tile(y, 2), [np.tile(s, 2)], np.tile(np.arange(len(y)), 2)).covariance[0, 0]
    assert twice == pytest.approx(plain, rel=1e-9)
    # taking the copies for new patients halves it
    assert delong(np.tile(y, 2), [np.tile(s, 2)]).covariance[0, 0] < 0.6 * plain
    assert math.isnan(delong(y, [s], np.where(y == 1, 0, np.arange(len(y)))).covariance[0, 0])


def test_by_cluster_the_interval_covers_the_truth_where_films_of_a_patient_are_alike() -> None:
    rng = np.random.default_rng(0)
    # two normal scores one standard deviation apart
    truth = 0.5 * (1 + math.erf(0.5))
    covered = {"plain": 0, "clustered": 0}
    for _ in range(300):
        patients = np.repeat(np.arange(60), 4)
        y = (rng.random(60) < 0.4).astype(int)[patients]
        s = rng.normal(size=60)[patients] * math.sqrt(0.8) + rng.normal(size=240) * math.sqrt(0.2) + y
        for name, clusters in (("plain", None), ("clustered", patients)):
            e = auroc_estimate(y, s, clusters)
            assert e.lo is not None and e.hi is not None
            covered[name] += e.lo <= truth <= e.hi
    assert covered["clustered"] / 300 > 0.91 and covered["plain"] / 300 < 0.8


# bootstrap


@pytest.mark.parametrize("prevalence", [0.1, 0.5, 0.9])
def test_replicates_equal_scikit_learn_on_the_same_resamples(prevalence: float) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(7)
    y = (rng.random(80) < prevalence).astype(int)
    s = np.round(rng.random(80) + y / 3, 1)
    clusters = rng.integers(0, 30, 80)
    found = resampled_ranking([ranked(y, s, clusters)], 30, 40, seed=5, average_precision=True)
    (weights,) = replicate_weights(30, 40, seed=5)
    for row, weight in enumerate(weights):
        unit = weight[clusters]
        assert found.auroc[row, 0] == pytest.approx(roc_auc_score(y, s, sample_weight=unit), abs=1e-14)
        assert found.average_precision is not None
        expected = average_precision_score(y, s, sample_weight=unit)
        assert found.average_precision[row, 0] == pytest.approx(expected, abs=1e-12)


def test_replicates_do_not_depend_on_threads_or_on_other_columns_and_miss_a_class() -> None:
    y, s = drawn(9, n=40)
    rare = np.zeros(40, dtype=int)
    rare[0] = 1
    columns = [ranked(y, s, np.arange(40)), ranked(rare, s, np.arange(40))]
    one = resampled_ranking(columns, 40, 300, seed=1, threads=1).auroc
    two = resampled_ranking(columns, 40, 300, seed=1, threads=3).auroc
    assert np.array_equal(one, two, equal_nan=True)
    assert np.array_equal(one[:, 0], resampled_ranking(columns[:1], 40, 300, seed=1).auroc[:, 0])
    missed = np.isnan(one[:, 1]).mean()
    assert missed == pytest.approx((1 - 1 / 40) ** 40, abs=0.08)
    with pytest.raises(ValueError, match="finite"):
        ranked([0, 1], [0.1, float("inf")], [0, 1])


# thresholds


def test_a_threshold_reaches_its_target_with_the_best_other_share() -> None:
    for seed in range(20):
        y, s = drawn(seed, ties=20)
        curve = roc_curve(y, s)
        for rule, other in (("sensitivity", "specificity"), ("specificity", "sensitivity")):
            cut = choose(y, s, rule, 0.8)
            reached = getattr(curve, rule) >= 0.8
            assert getattr(cut, rule) >= 0.8 and getattr(cut, other) == getattr(curve, other)[reached].max()
            assert cut.rule == f"{rule} 0.8"
            called = s >= cut.threshold
            assert called[y == 1].mean() == pytest.approx(cut.sensitivity)
            assert (~called)[y == 0].mean() == pytest.approx(cut.specificity)


def test_no_threshold_has_a_reason() -> None:
    assert choose([1, 1], [0.2, 0.3], "youden").reason == "no negative to choose a threshold on"
    assert choose([0, 0], [0.2, 0.3], "youden").reason == "no positive to choose a threshold on"
    assert choose([0, 1], [0.5, 0.5], "youden").reason == "no threshold is better than chance"


def test_neighbouring_floats_are_kept_apart() -> None:
    low = 0.1
    high = float(np.nextafter(low, 1))
    cut = choose([0, 1], [low, high], "youden")
    assert (cut.threshold, cut.sensitivity, cut.specificity) == (high, 1.0, 1.0)


def test_shares_of_counts() -> None:
    truth = np.array([[1, 0], [1, -1], [0, 0]])
    counts = outcome_counts(truth, np.array([[True, True], [False, True], [False, False]])).sum(axis=0)
    assert counts.tolist() == [[1, 0, 1, 1], [0, 1, 0, 1]]
    found = shares(counts)
    assert found["sensitivity"].tolist() == pytest.approx([0.5, math.nan], nan_ok=True)
    assert found["fpr"].tolist() == [0, 0.5] and found["npv"].tolist() == [0.5, 1.0]
    assert found["f1"].tolist() == pytest.approx([2 / 3, 0.0])


# calibration


def test_calibrated_probabilities_have_slope_one_and_no_error() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.98, 200_000)
    y = (rng.random(len(p)) < p).astype(int)
    found = recalibration(y, p)
    assert (found.slope, found.intercept, found.in_the_large) == pytest.approx((1, 0, 0), abs=0.03)
    assert expected_calibration_error(y, p) < 0.01
    assert brier(y, p) == pytest.approx(float(np.mean(p * (1 - p))), abs=0.005)
    logits = np.log(p / (1 - p))
    bold = recalibration(y, 1 / (1 + np.exp(-(2 * logits + 1))))
    assert (bold.slope, bold.intercept) == pytest.approx((0.5, -0.5), abs=0.03)


def test_recalibration_is_the_unpenalised_regression_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    y, s = drawn(11, n=200, ties=9)
    p = np.clip(s, 0.01, 0.99)
    found = recalibration(y, p)
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(np.log(p / (1 - p))[:, None], y)
    assert found.slope == pytest.approx(model.coef_[0, 0], rel=1e-4)
    assert found.intercept == pytest.approx(model.intercept_[0], rel=1e-4, abs=1e-4)


def test_where_calibration_is_undefined_it_says_why() -> None:
    assert recalibration([1, 1], [0.2, 0.3]).reason == "only one class occurs"
    assert recalibration([0, 1], [0.2, 0.9]).slope is None
    assert "separated" in recalibration([0, 0, 1, 1], [0.2, 0.3, 0.8, 0.9]).reason
    flat = recalibration([0, 1, 1, 1], [0.5] * 4)
    assert flat.slope is None and flat.in_the_large == pytest.approx(math.log(3))
    assert math.isnan(brier([], [])) and math.isnan(expected_calibration_error([-1], [0.5]))
    with pytest.raises(ValueError, match="outside"):
        brier([1], [1.2])


def test_bins_of_equal_count_and_of_equal_width_hold_every_unit() -> None:
    p = np.array([0.0, 0.1, 0.1, 0.55, 1.0])
    y = np.array([0, 0, 1, 1, 1])
    assert reliability(y, p).counts.tolist() == [1, 2, 1, 1]
    assert reliability(y, p, 2, equal="count").counts.sum() == 5


# FROC


def test_a_second_hit_on_a_lesion_is_ignored_and_overlap_must_exceed() -> None:
    found = Detections(np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60]]), np.array([0.5, 0.9, 0.1]))
    assert match([[0, 0, 10, 10]], found).tolist() == [-1, 1, 0]
    assert match([], found).tolist() == [0, 0, 0]
    assert iou_matrix([[0, 0, 0, 5]], [[0, 0, 0, 5]]).tolist() == [[0.0]]


def test_froc_without_lesions_is_undefined() -> None:
    assert froc({}, {}, ["a"]).mean is None
    assert froc({"a": [[0, 0, 1, 1]]}, {}, ["a"]).sensitivity == (0.0,) * 5
