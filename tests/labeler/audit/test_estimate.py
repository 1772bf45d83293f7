"""Estimates of an audit: equal to the reference, right where few errors are found, complete as a command."""

import csv
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.statistics.survey import kappa_gradient, mcc_gradient
from labeler.audit.allocate import variance_of_total, wright
from labeler.audit.cells import NAMES, Cells, cells_of, places, ratios
from labeler.audit.estimate import FrameCounts, estimate, scores_of
from labeler.audit.frame import load_draw, load_frame
from labeler.audit.intervals import exact_bounds
from labeler.audit.prn import permanent_random_numbers
from labeler.audit.readers import agreement
from labeler.audit.sample import rows_of
from labeler.audit.store import open_store
from labeler.audit.types import UNREAD, Reading, Sample, Stratum

NEAR = 1e-9
CODES = {"P": 1, "N": 0, "U": -1, "_": 2}


@pytest.fixture(scope="module")
def vectors(shared):
    return json.loads((shared / "vectors" / "audit_vectors.json").read_text())


def stratified(vectors, dropped=()):
    rows = vectors["stratified_audit"]["rows"]
    design = vectors["stratified_audit"]["results"]["design"]
    strata = tuple(Stratum(str(h), size, size, n) for h, (size, n) in enumerate(zip(design["N_h"], design["n_h"],
                                                                                    strict=True)))  # fmt: skip
    truth = np.array([[row[3], CODES[row[6]]] for row in rows], dtype=np.int8)
    truth[[row[0] in dropped for row in rows]] = UNREAD
    machine = np.array([[row[4], CODES[row[7]]] for row in rows], dtype=np.int8)
    second = np.array([[row[5], CODES[row[7]]] for row in rows], dtype=np.int8)
    stratum, ids = np.array([row[1] - 1 for row in rows]), tuple(row[0] for row in rows)
    return Sample(("two", "four"), ids, strata, stratum, np.ones(len(rows), int), machine, truth, second)


def test_values_are_those_of_the_survey_package(vectors):
    wanted = vectors["stratified_audit"]["results"]
    found = estimate(stratified(vectors))
    two = found.per_label["two"].scores
    same = {"exact": "accuracy_A", "precision": "precision_A", "recall": "recall_A", "specificity": "specificity_A",
            "npv": "npv_A", "f1": "f1_A", "prevalence": "prevalence_truth", "kappa": "kappa_binary_A",
            "mcc": "mcc_A"}  # fmt: skip
    for name, key in same.items():
        assert two[name].value == pytest.approx(wanted[key]["estimate"], rel=NEAR), name
        assert two[name].lo < two[name].value < two[name].hi
    assert found.per_label["four"].scores["kappa"].value == pytest.approx(
        wanted["kappa_4class_A"]["estimate"], rel=NEAR
    )
    matrix = np.array(wanted["confusion_4class_weighted"]["matrix"])
    assert np.array(found.per_label["four"].reports) == pytest.approx(matrix)
    f1 = found.differences["two"]["f1"]
    assert f1.difference.value == pytest.approx(wanted["f1_difference_A_minus_B"]["estimate"], rel=NEAR)
    # no narrower than by the standard error of the reference
    assert f1.difference.hi - f1.difference.value >= 1.9 * wanted["f1_difference_A_minus_B"]["se"]
    assert 0 < f1.p < 1 and f1.adjusted >= f1.p


def test_texts_without_an_answer_are_missing_within_their_stratum_and_it_is_said(vectors):
    wanted = vectors["nonresponse_reweighted"]
    two = estimate(stratified(vectors, set(wanted["dropped"]))).per_label["two"].scores
    assert two["exact"].value == pytest.approx(wanted["accuracy"]["estimate"], rel=NEAR)
    assert two["f1"].value == pytest.approx(wanted["f1_A"]["estimate"], rel=NEAR)
    assert "9 drawn texts have no answer" in two["f1"].reason


def test_allocation_and_permanent_random_numbers(vectors):
    for case in vectors["neyman_integer"]["cases"]:
        found = wright(case["N_h"], case["S_h"], case["n"], floors=case["floor"], caps=case["cap"])
        assert sorted(found[:2]) == sorted(case["n_h"][:2]) and list(found[2:]) == case["n_h"][2:]
        variance = variance_of_total(case["N_h"], case["S_h"], found)
        assert variance == pytest.approx(case["variance_of_total"], rel=NEAR)
    wanted = vectors["permanent_random_numbers"]
    numbers = permanent_random_numbers(wanted["seed"], wanted["ids"])
    assert numbers == pytest.approx(wanted["u"], abs=1e-15)
    assert [wanted["ids"][at] for at in np.argsort(numbers)] == wanted["order"]


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.5])), min_size=1, max_size=4),
    st.data(),
)
def test_no_other_allocation_is_better(strata, data):
    sizes, spreads = zip(*strata, strict=True)
    n = data.draw(st.integers(0, sum(sizes)))
    found = wright(sizes, spreads, n)
    assert found.sum() == n and (found <= sizes).all()
    best = variance_of_total(sizes, spreads, found)
    for give in range(len(sizes)):
        for take in range(len(sizes)):
            moved = found.copy()
            moved[give] -= 1
            moved[take] += 1
            if (moved >= 0).all() and (moved <= sizes).all():
                assert variance_of_total(sizes, spreads, moved) >= best - 1e-9


def test_an_allocation_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="the floors need 8"):
        wright([10, 10], [0.5, 0.5], 5, floors=4)


# coverage: texts of one label in four strata, drawn many times at once


def population(positive, missed, made_up, seed=5, size=20_000):
    """Planted errors: truth and two machines, codes [N] each."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([1, 0, -1, 2], size, p=[positive, 0.3, 0.01, 0.69 - positive]).astype(np.int8)

    def machine(other):
        said, chance = truth.copy(), rng.random(size)
        for wrong, codes in (((truth == 1) & (chance < missed), [0, -1, 2]), ((truth != 1) & (chance < made_up), [1]),
                             ((truth != 1) & (chance > 1 - other), [0, -1, 2])):  # fmt: skip
            said[wrong] = rng.choice(codes, int(wrong.sum()))
        return said

    return truth, machine(0.01), machine(0.02)


def strata_of(first, second):
    stratum = np.full(len(first), 3)
    stratum[first == 1], stratum[first == -1], stratum[first != second] = 2, 1, 0
    return stratum


def floors(sizes):
    return np.minimum(sizes, np.maximum(np.ceil(0.1 * sizes), [150, 150, 150, 0])).astype(int)


def take_all(sizes):
    return np.array([*sizes[:3], int(0.07 * sizes[3])])


def plain(sizes):
    return np.array([0, 0, 0, 2355])


def counted(stratum, truth, machine):
    table = np.zeros((4, 16), dtype=int)
    np.add.at(table, (stratum, places(truth).astype(int) * 4 + places(machine)), 1)
    return table


def drawn(table, n, replicates, framed):
    rng = np.random.default_rng(3)
    strata = zip(table, n, strict=True)
    texts = np.stack([rng.multivariate_hypergeometric(row, k, size=replicates) for row, k in strata], axis=1)
    seen, sizes = texts.reshape(replicates, -1, 4, 4).sum(axis=2), table.sum(axis=1)
    left = table.reshape(-1, 4, 4).sum(axis=1) - seen if framed else (seen > 0) & (sizes > n)[:, None]
    found = texts.astype(float)
    return Cells(found, found, found, sizes.astype(float), left.astype(float))


def truths(table):
    whole = table.sum(axis=0).astype(float)
    square = whole.reshape(4, 4)
    fold = [square[0, 0], square[1:, 0].sum(), square[0, 1:].sum(), square[1:, 1:].sum()]
    values = dict(zip(NAMES, ratios(whole[None])[0][0], strict=True))
    return values | {"kappa": float(kappa_gradient(square)[0]), "mcc": float(mcc_gradient(fold)[0])}


@pytest.mark.parametrize("design", [floors, take_all])
@pytest.mark.parametrize("framed", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("errors", [(0.014, 0.12, 0.002), (0.014, 0.02, 0.0002), (0.004, 0.1, 0.002), (0.014, 0, 0)])
def test_intervals_cover_also_where_few_errors_are_found_or_none(design, framed, errors):
    truth, first, second = population(*errors)
    table = counted(strata_of(first, second), truth, first)
    cells = drawn(table, design(table.sum(axis=1)), 700, framed)
    scores = scores_of(cells, [""] * 700)
    exact = exact_bounds(cells, framed=framed, confidence=0.95)
    for name, value in truths(table).items():
        rows = [row[name] for row in scores]
        covered = [row.value is None or row.lo - 1e-12 <= value <= row.hi + 1e-12 for row in rows]
        assert np.mean(covered) >= 0.94, name
        if name in exact:
            low, high = exact[name]
            assert np.mean((low <= value + 1e-12) & (value <= high + 1e-12)) >= 0.94, name


def test_an_oversampled_draw_halves_the_spread_of_f1_at_the_same_number_of_readings():
    truth, first, second = population(0.014, 0.12, 0.002)
    table = counted(strata_of(first, second), truth, first)
    n = floors(table.sum(axis=1))
    spread = {}
    for name, rows, sizes in (("strata", table, n), ("plain", table.sum(axis=0)[None], [n.sum()])):
        values = ratios(drawn(rows, sizes, 3000, True).totals)[0][:, NAMES.index("f1")]
        spread[name] = np.nanstd(values)
    assert spread["plain"] > 2 * spread["strata"], spread


@pytest.mark.slow
def test_differences_and_means_cover():
    truth, first, second = population(0.03, 0.15, 0.004)
    stratum = strata_of(first, second)
    sizes, n, rng, hits = np.bincount(stratum), floors(np.bincount(stratum)), np.random.default_rng(4), {}
    frame = FrameCounts(*[counted(stratum, truth, first).reshape(1, 4, 4, 4).sum(axis=2)] * 2,
                        np.bincount(stratum[first != second], minlength=4)[None])  # fmt: skip
    want = [truths(counted(stratum, truth, machine)) for machine in (first, second)]
    for _ in range(300):
        rows = np.concatenate([rng.choice(np.flatnonzero(stratum == h), k, replace=False) for h, k in enumerate(n)])
        found = estimate(sample_at(rows, stratum, sizes, n, truth, first, second), frame)
        pairs = {f"difference {k}": (v.difference, want[0][k] - want[1][k]) for k, v in found.differences["x"].items()}
        pairs |= {k: (v, want[0][k[6:]]) for k, v in found.overall.items()}
        pairs["assisted"] = found.per_label["x"].scores["prevalence_assisted"], want[0]["prevalence"]
        for name, (one, value) in pairs.items():
            hits.setdefault(name, []).append(one.value is None or one.lo - 1e-12 <= value <= one.hi + 1e-12)
    # three and a half standard errors of a share of .95 in 300 draws, since sixty statistics are looked at
    assert {name: np.mean(each) for name, each in hits.items() if np.mean(each) < 0.906} == {}


def sample_at(rows, stratum, sizes, n, truth, first, second):
    strata = tuple(
        Stratum(str(h), int(size), int(size), int(k)) for h, (size, k) in enumerate(zip(sizes, n, strict=True))
    )
    ids = tuple(map(str, rows))
    states = (each[rows][:, None] for each in (first, truth, second))
    return Sample(("x",), ids, strata, stratum[rows], np.ones(len(rows), int), *states)


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_a_text_that_stands_for_k_reports_counts_k_times(seed, size):
    rng = np.random.default_rng(seed)
    truth, machine = rng.choice([1, 0, -1, 2], (2, size, 1)).astype(np.int8)
    reports = rng.integers(1, 4, size)
    strata = (Stratum("all", size, int(reports.sum()), size),)
    ids = tuple(map(str, range(size)))
    found = estimate(Sample(("x",), ids, strata, np.zeros(size, int), reports, machine, truth)).per_label["x"]
    flat = [np.repeat(each[:, 0], reports) for each in (truth, machine)]
    for name, hit, whole in (
        ("recall", (flat[0] == 1) & (flat[1] == 1), flat[0] == 1),
        ("exact", flat[0] == flat[1], flat[0] < 3),
    ):
        one = found.scores[name]
        if whole.any():
            # all was read: nothing is in doubt
            assert [one.value, one.lo, one.hi] == pytest.approx([hit.sum() / whole.sum()] * 3)
        else:
            assert one.value is None and one.reason


def test_a_stratum_nobody_read_widens_the_interval_and_is_named():
    strata = (Stratum("seen", 20, 20, 20), Stratum("unseen", 20, 20, 5))
    states = np.ones((25, 1), dtype=np.int8)
    truth = states.copy()
    truth[20:] = UNREAD
    sample = Sample(
        ("x",), tuple(map(str, range(25))), strata, np.repeat([0, 1], [20, 5]), np.ones(25, int), states, truth
    )
    found = estimate(sample).per_label["x"]
    assert "nothing was read of unseen" in found.scores["recall"].reason
    assert found.scores["recall"].lo < 0.6 and found.exact["prevalence"].lo == 0.5
    assert cells_of(sample).read.tolist() == [[20, 0]]


# the command


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    from corpora.cli import run

    folder, rng = tmp_path_factory.mktemp("audit"), random.Random(1)
    said = [
        ("The heart is enlarged.", "Heart size is normal."),
        ("Small left pleural effusion.", "No pleural effusion."),
    ]
    with (folder / "reports.csv").open("w", newline="") as file:
        rows = (
            [f"s{i}", f"Film {i}. <script>x</script> " + " ".join(pair[rng.random() > 0.2] for pair in said)]
            for i in range(300)
        )
        csv.writer(file).writerows([["study_id", "report"], *rows])
    for command in (["label", "run", folder / "reports.csv", "-o", folder / "labels.csv"],
                    ["audit", "plan", folder / "labels.csv", "-o", folder / "audit", "--seed", "a"],
                    ["audit", "draw", folder / "audit"]):  # fmt: skip
        assert run([str(each) for each in command]) == 0
    return folder / "audit"


def read(audit, readers=("ann", "bob", "cy")):
    draw, frame, rng = load_draw(audit), load_frame(audit), random.Random(2)
    states = {1: 1, 0: 0, -1: -1, 2: None}
    with open_store(audit) as store:
        for text in draw.texts:
            codes = frame.machine[rows_of(frame, [text.study_id])[0]]
            for reader in readers if text.double else readers[:1]:
                answers = {
                    name: 0 if rng.random() < 0.05 else states[int(code)]
                    for name, code in zip(frame.names, codes, strict=True)
                }
                store.add_reading(Reading(text.study_id, reader, answers, "blind", "2026-01-01T00:00:00Z"), "test")
            if text.repeat:
                store.add_reading(
                    Reading(text.study_id, reader, answers, "blind", "2026-01-02T00:00:00Z", True), "test"
                )
        return store.readings()


def test_estimate_before_anyone_read(audited, radloop):
    found = radloop("audit", "estimate", audited)
    assert found.code == 2 and "[audit.not_read]" in found.err and not found.out
    assert radloop("audit", "estimate", audited, "--phase", "later").code == 2


def test_estimate_as_lines_json_and_page(audited, radloop, tmp_path):
    readings = read(audited)
    found = radloop("audit", "estimate", audited, "--html", tmp_path / "page.html", "-o", tmp_path / "out")
    assert found.code == 0 and "micro" in found.out and "Pleural Effusion" in found.out
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 3 and "&lt;script&gt;" in page and "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    written = json.loads((tmp_path / "out" / "estimates.json").read_text())
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]["read"] == written["read"]
    printed = json.loads(radloop("audit", "estimate", audited, "--json").out)
    assert printed == written
    effusion = printed["per_label"]["Pleural Effusion"]["scores"]["recall"]
    assert effusion["lo"] <= effusion["value"] <= effusion["hi"] and effusion["method"]
    assert set(printed["agreement"]["per_label"]["Edema"]) >= {"ac1", "fleiss", "alpha", "specific_positive"}
    assert printed["agreement"]["model"]["Pleural Effusion"]["bob"]["accuracy"] > 0.8
    same = agreement(readings, printed["labels"])
    assert same.double == printed["agreement"]["double"] and len(same.pairs) == 3


def test_readers_who_agree_on_everything_have_no_interval_by_theory_and_it_is_said():
    readings = [
        Reading(str(i), who, {"x": [1, 0][i % 2]}, "blind", "2026-01-01T00:00:00Z") for i in range(20) for who in "ab"
    ]
    found = agreement(readings, ["x"])
    assert found.per_label["x"]["ac1"].value == 1 and "standard error is 0" in found.per_label["x"]["ac1"].reason
    assert found.per_label["x"]["agreement"].lo < 1 and found.notes
