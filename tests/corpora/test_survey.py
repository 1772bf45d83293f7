"""Statistics against reference vectors of R's survey package and others."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom, t

from corpora.statistics import agreement, binomial, hypergeometric, multiplicity, survey
from corpora.statistics.dawid_skene import dawid_skene
from corpora.statistics.kappa import cohen_kappa
from corpora.statistics.sequential import SequentialTest

NEAR = 1e-9
CELLS = {
    "accuracy_A": ([1, 0, 0, 1], [1, 1, 1, 1]), "precision_A": ([1, 0, 0, 0], [1, 1, 0, 0]),
    "recall_A": ([1, 0, 0, 0], [1, 0, 1, 0]), "specificity_A": ([0, 0, 0, 1], [0, 1, 0, 1]),
    "npv_A": ([0, 0, 0, 1], [0, 0, 1, 1]), "f1_A": ([2, 0, 0, 0], [2, 1, 1, 0]),
    "prevalence_truth": ([1, 0, 1, 0], [1, 1, 1, 1]),
}  # fmt: skip


@pytest.fixture(scope="module")
def vectors(shared):
    return json.loads((shared / "vectors" / "audit_vectors.json").read_text())


@pytest.fixture(scope="module")
def audit(vectors):
    rows = vectors["stratified_audit"]["rows"]
    columns = {name: np.array(column) for name, column in zip(["id", "h", "N", "t", "a", "b", "t4", "a4", "p"],
                                                              zip(*rows, strict=True), strict=True)}  # fmt: skip
    columns["h"] = columns["h"] - 1
    return columns, vectors["stratified_audit"]["results"]


def crossed(truth, said):
    return np.stack([truth * said, (1 - truth) * said, truth * (1 - said), (1 - truth) * (1 - said)], axis=1)


def test_totals_of_a_stratified_sample(audit):
    data, wanted = audit
    found = survey.totals(crossed(data["t"], data["a"]), data["h"], wanted["design"]["N_h"])
    assert found.df == wanted["design"]["df"]
    assert found.value == pytest.approx(wanted["totals_A"]["estimate"], rel=NEAR)
    assert found.covariance == pytest.approx(np.array(wanted["totals_A"]["vcov"]), rel=NEAR)


@pytest.mark.parametrize("name", CELLS)
def test_ratios(audit, name):
    data, wanted = audit
    found = survey.totals(crossed(data["t"], data["a"]), data["h"], wanted["design"]["N_h"])
    value, variance = found.ratio(*CELLS[name])
    half = t.isf(0.025, found.df) * variance**0.5
    assert (value, variance**0.5) == pytest.approx((wanted[name]["estimate"], wanted[name]["se"]), rel=NEAR)
    assert [value - half, value + half] == pytest.approx(wanted[name]["ci95_t"], rel=NEAR)


def test_interval_of_korn_and_graubard(audit):
    data, wanted = audit
    found = survey.totals(crossed(data["t"], data["a"]), data["h"], wanted["design"]["N_h"])
    bounds = binomial.korn_graubard(*found.ratio(*CELLS["accuracy_A"]), found.n, found.df, capped=False)
    assert bounds == pytest.approx(wanted["accuracy_A_ci"]["beta"], rel=NEAR)


def test_paired_difference(audit):
    data, wanted = audit
    one, other = (crossed(data["t"], data[name]) for name in "ab")
    found = survey.totals(np.hstack([one, other]), data["h"], wanted["design"]["N_h"])
    y, x = map(np.array, CELLS["f1_A"])
    parts = [survey.totals(each, data["h"], wanted["design"]["N_h"]) for each in (one, other)]
    values = [part.ratio(y, x)[0] for part in parts]
    slopes = [(y - value * x) / (x @ part.value) for value, part in zip(values, parts, strict=True)]
    error = found.variance(np.concatenate([slopes[0], -slopes[1]])) ** 0.5
    assert values[1] == pytest.approx(wanted["f1_B"]["estimate"], rel=NEAR)
    wanted = wanted["f1_difference_A_minus_B"]
    assert (values[0] - values[1], error) == pytest.approx((wanted["estimate"], wanted["se"]), rel=NEAR)


def test_kappa_and_mcc(audit):
    data, wanted = audit
    sizes = wanted["design"]["N_h"]
    found = survey.totals(crossed(data["t"], data["a"]), data["h"], sizes)
    value, slope = survey.mcc_gradient(found.value)
    assert (value, found.variance(slope) ** 0.5) == pytest.approx(tuple(wanted["mcc_A"].values()), rel=NEAR)
    value, slope = survey.kappa_gradient(found.value[[0, 2, 1, 3]].reshape(2, 2))
    error = found.variance(slope.ravel()[[0, 2, 1, 3]]) ** 0.5
    assert (value, error) == pytest.approx(tuple(wanted["kappa_binary_A"].values()), rel=NEAR)
    levels = wanted["confusion_4class_weighted"]["levels"]
    truth, said = ([levels.index(each) for each in data[name]] for name in ("t4", "a4"))
    found = survey.totals(np.eye(16)[np.array(truth) * 4 + said], data["h"], sizes)
    assert found.value.reshape(4, 4) == pytest.approx(np.array(wanted["confusion_4class_weighted"]["matrix"]))
    value, slope = survey.kappa_gradient(found.value.reshape(4, 4))
    error = found.variance(slope.ravel()) ** 0.5
    assert (value, error) == pytest.approx(tuple(wanted["kappa_4class_A"].values()), rel=NEAR)


def test_known_totals_put_to_use(audit):
    data, wanted = audit
    sizes, known = wanted["design"]["N_h"], wanted["frame_total_a"]
    total, variance = survey.difference_total(data["t"], data["a"], known, data["h"], sizes)
    assert (total, variance**0.5) == pytest.approx(tuple(wanted["difference_total"].values()), rel=NEAR)
    with_intercept = np.stack([np.ones(len(data["a"])), data["a"]], axis=1)
    by_group = np.stack([1 - data["a"], data["a"]], axis=1)
    for aux, totals, name in ((with_intercept, [2000, known], "greg_total"),
                              (by_group, [2000 - known, known], "poststratified_total")):  # fmt: skip
        total, variance = survey.greg_total(data["t"], aux, totals, data["h"], sizes)
        assert (total, variance**0.5) == pytest.approx(tuple(wanted[name].values()), rel=NEAR)


def test_clusters_and_replacement(audit):
    data, wanted = audit
    sizes = np.array(wanted["design"]["N_h"])
    cells = crossed(data["t"], data["a"])
    plain = survey.totals(cells, data["h"], sizes, correction=False).ratio(*CELLS["accuracy_A"])
    assert plain[1] ** 0.5 == pytest.approx(wanted["stratified_no_fpc_accuracy"]["se"], rel=NEAR)
    weights = (sizes / np.bincount(data["h"]))[data["h"]]
    found = survey.clustered_totals(cells, weights, data["p"], data["h"])
    for name, key in (("accuracy", "accuracy_A"), ("f1_A", "f1_A")):
        expected = wanted["clustered_by_patient_no_fpc"][name]
        value, variance = found.ratio(*CELLS[key])
        assert (value, variance**0.5) == pytest.approx((expected["estimate"], expected["se"]), rel=NEAR)
    assert found.df == wanted["clustered_by_patient_no_fpc"]["accuracy"]["df"]


def test_poisson_sampling(vectors):
    wanted = vectors["poisson"]
    rows = np.array(wanted["sample_1based"]) - 1
    y, chance = np.array(wanted["y"])[rows], np.array(wanted["pik"])[rows]
    for found, name in ((survey.poisson_total(y, chance), "ht_total"), (survey.poisson_mean(y, chance), "hajek_mean")):
        assert (found[0], found[1] ** 0.5) == pytest.approx(tuple(wanted[name].values()), rel=NEAR)


def test_binomial_intervals(vectors):
    for case in vectors["binomial_ci"]["cases"]:
        x, n, level = case["x"], case["n"], case["conf"]
        assert binomial.wilson(x, n, level) == pytest.approx(case["wilson"], abs=NEAR)
        assert binomial.wilson(x, n, level, continuity=True) == pytest.approx(case["wilson_cc"], abs=NEAR)
        assert binomial.clopper_pearson(x, n, level) == pytest.approx(case["clopper_pearson"], abs=NEAR)
        assert binomial.jeffreys(x, n, level) == pytest.approx(case["jeffreys"], abs=NEAR)


def test_finite_lots(vectors):
    for case in vectors["hypergeometric_ci"]["cases"]:
        found = hypergeometric.count_bounds(case["x"], case["n"], case["N"], case["conf"])
        assert [int(each) for each in found] == [case["lower_count"], case["upper_count"]]
    for case in vectors["acceptance"]["two_point"]:
        found = hypergeometric.acceptance_plan(case["N"], case["aql"], case["ltpd"], alpha=case["alpha"],
                                               beta=case["beta"])  # fmt: skip
        assert (found.n, found.c) == (case["n"], case["c"])
        assert (found.accepts_good, found.accepts_bad) == pytest.approx((case["pa_aql"], case["pa_ltpd"]), rel=NEAR)
    for case in vectors["acceptance"]["zero_acceptance"]:
        found = hypergeometric.zero_acceptance_plan(case["N"], case["ltpd"], beta=case["beta"])
        assert found.n == case["n"] and found.accepts_bad == pytest.approx(case["pa"], rel=NEAR)


@given(st.integers(1, 3000), st.floats(0, 1), st.floats(0, 1))
def test_bounds_of_a_lot_are_the_last_counts_that_are_not_refused(size, sampled, found):
    n = round(size * sampled)
    x = round(n * found)
    low, high = (int(each) for each in hypergeometric.count_bounds(x, n, size))
    assert hypergeom.cdf(x, size, high, n) > 0.025 and hypergeom.sf(x - 1, size, low, n) > 0.025
    assert high == size - n + x or hypergeom.cdf(x, size, high + 1, n) <= 0.025 + 1e-12
    assert low == x or hypergeom.sf(x - 1, size, low - 1, n) <= 0.025 + 1e-12


def test_prevalence_behind_a_test_with_errors(vectors):
    for case in vectors["rogan_gladen"]["cases"]:
        found = binomial.rogan_gladen(case["pos"], case["n"], case["se"], case["sp"])
        assert [found.value, found.lo, found.hi] == pytest.approx(case["tp"], rel=NEAR)
        assert bool(found.reason) == (case["tp"][0] < 0)


def test_many_tests(vectors):
    wanted = vectors["holm"]
    assert multiplicity.holm(wanted["p"]) == pytest.approx(wanted["holm"], rel=NEAR)
    assert multiplicity.benjamini_hochberg(wanted["p"]) == pytest.approx(wanted["bh"], rel=NEAR)
    wanted = vectors["mcnemar"]
    found = multiplicity.mcnemar(wanted["b"], wanted["c"])
    assert found.exact_p == pytest.approx(wanted["exact_p"], rel=NEAR)
    assert (found.chi2, found.chi2_p) == pytest.approx((wanted["chi2"], wanted["chi2_p"]), rel=NEAR)
    assert (found.corrected, found.corrected_p) == pytest.approx((wanted["chi2_cc"], wanted["chi2_cc_p"]), rel=NEAR)
    assert multiplicity.mcnemar(0, 0).chi2 is None


def test_kappas(vectors):
    wanted = vectors["cohen_kappa"]
    found = cohen_kappa(wanted["table"])
    assert found.value == pytest.approx(wanted["vcd"]["kappa"], rel=NEAR)
    assert [found.lo, found.value, found.hi] == pytest.approx(wanted["psych"]["ci"], rel=NEAR)
    linear = agreement.weighted_kappa(wanted["table"])
    assert linear == pytest.approx((wanted["vcd"]["weighted_equal"], wanted["vcd"]["weighted_equal_ase"]), rel=NEAR)
    quadratic = agreement.weighted_kappa(wanted["table"], "quadratic")[0]
    assert quadratic == pytest.approx(wanted["psych"]["weighted_quadratic"], rel=NEAR)
    assert specific(wanted["table"]) == pytest.approx(wanted["per_category_specific_agreement"], rel=NEAR)
    wanted = vectors["kappa_prevalence_paradox"]
    assert agreement.pabak(wanted["table"]) == pytest.approx(wanted["pabak"], rel=NEAR)
    both = wanted["positive_agreement"], wanted["negative_agreement"]
    assert specific(wanted["table"]) == pytest.approx(both, rel=NEAR)


def specific(table):
    ratings = [pair for i, row in enumerate(table) for j, n in enumerate(row) for pair in [(i, j)] * n]
    return agreement.specific_agreement(agreement.counts_of(ratings, len(table)))


def test_several_raters(vectors):
    wanted = vectors["gwet_ac1"]
    rows = [[-1 if each is None else each - 1 for each in row] for row in wanted["ratings_units_x_raters"]]
    counts = agreement.counts_of(rows, 5)
    ac1 = agreement.gwet_ac1(counts)
    assert ac1.value == pytest.approx(wanted["numpy"]["ac1"], rel=NEAR)
    assert (ac1.value - ac1.lo) / t.isf(0.025, 11) == pytest.approx(wanted["numpy"]["se"], rel=NEAR)
    assert [ac1.lo, ac1.hi] == pytest.approx(wanted["irrCAC"]["ci95"], abs=5e-6)
    alpha = agreement.krippendorff_alpha(counts)
    assert alpha.value == pytest.approx(vectors["krippendorff_alpha_nominal"]["alpha"], rel=NEAR)
    for found, name, units in ((agreement.fleiss_kappa(counts), "fleiss", 12), (alpha, "krippendorff", 11)):
        error = (found.value - found.lo) / t.isf(0.025, units - 1)
        assert [found.value, error] == pytest.approx(wanted["irrCAC_other"][name], abs=5e-6)
    wanted = vectors["fleiss_kappa_textbook"]
    assert agreement.fleiss_kappa(wanted["table"]).value == pytest.approx(wanted["kappa"], rel=NEAR)


def test_raters_without_a_pair_or_with_one_answer_agree_on_nothing_that_can_be_told():
    for measure in (agreement.gwet_ac1, agreement.fleiss_kappa, agreement.krippendorff_alpha):
        assert measure([[1, 0], [0, 1]]).reason == "no unit was rated by two"
    assert agreement.fleiss_kappa([[2, 0], [2, 0]]).value is None


def test_dawid_and_skene_run_until_they_stand_still(vectors):
    wanted = vectors["dawid_skene"]
    labels = np.array(wanted["labels"])
    ratings = np.full(labels[:, :2].max(axis=0) + 1, -1)
    ratings[labels[:, 0], labels[:, 1]] = labels[:, 2]
    found = dawid_skene(ratings, 3)
    assert found.converged and found.iterations == wanted["iterations"]
    assert found.posterior == pytest.approx(np.array(wanted["posterior"]), abs=NEAR)
    assert found.priors == pytest.approx(wanted["priors"], abs=NEAR)
    assert found.errors == pytest.approx(np.array(wanted["errors"]), abs=NEAR)
    assert found.posterior.argmax(axis=1).tolist() == wanted["crowd_kit"]["labels"]


def test_prediction_powered_mean(vectors):
    wanted = vectors["ppi_mean"]
    sums = wanted["Yhat_unlabeled_sum"], wanted["Yhat_unlabeled_n"]
    for tune, name in ((0, "lam0"), (1, "lam1")):
        value, variance, _ = survey.ppi_mean(wanted["Y"], wanted["Yhat"], *sums, tune=tune)
        half = 1.959963984540054 * variance**0.5
        assert value == pytest.approx(wanted["results"][name]["estimate"], rel=NEAR)
        assert [value - half, value + half] == pytest.approx(wanted["results"][name]["ci95"], rel=NEAR)
    value, variance, tune = survey.ppi_mean(wanted["Y"], wanted["Yhat"], *sums)
    assert tune == pytest.approx(wanted["results"]["closed_form"]["lam"], rel=NEAR)
    half = 1.959963984540054 * variance**0.5
    assert [value, value - half, value + half] == pytest.approx(wanted["results"]["numpy_lam"], rel=NEAR)
    assert value == pytest.approx(wanted["results"]["lam_opt"]["estimate"], abs=1e-4)


def test_picking_by_changing_chances_and_stopping_early(vectors):
    wanted = vectors["lure"]
    losses = [wanted["loss"][at] for at in wanted["example"]["seq"]]
    found = survey.lure(losses, wanted["example"]["q"], len(wanted["loss"]))
    assert found == pytest.approx(wanted["example"]["estimate"], rel=NEAR)
    wanted = vectors["sprt"]
    found = SequentialTest(wanted["p0"], wanted["p1"], wanted["alpha"], wanted["beta"])
    assert (found.lower, found.upper) == pytest.approx((wanted["lower"], wanted["upper"]), rel=NEAR)
    assert (found.defect, found.faultless) == pytest.approx((wanted["llr_defect"], wanted["llr_ok"]), rel=NEAR)
    assert found.decide(10, 20) == "refuse"
