"""Planning an audit: strata, gates, budget, and what is wrong with its inputs."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler.audit.frame import load_frame, load_plan
from labeler.audit.gates import counted, floors, gates_of, required, texts_of_frame
from labeler.audit.plan import allocate, make_frame
from labeler.audit.recipe import AuditRecipe, load_recipe
from labeler.audit.types import BLANK_CODE

SMALL = AuditRecipe(fraction=0.1, least=8)


def random_frame(number, seed=0, sites=None, second=False, repeated=True, recipe=SMALL):
    """A frame of reports with five labels, one of them rare; a third of the texts occur more than once."""
    pick = np.random.default_rng(seed)
    states = np.array([1, 0, -1, BLANK_CODE], dtype=np.int8)
    shares = [(0.3, 0.4, 0.1, 0.2), (0.05, 0.2, 0.02, 0.73), (0.01, 0, 0.004, 0.986), (0.5, 0, 0, 0.5), (0, 0, 0, 1)]
    text = pick.integers(0, number * 2 // 3, number) if repeated else np.arange(number)
    text[: number // 20] = 0
    by_text = np.stack([pick.choice(states, number, p=each) for each in shares], axis=1)
    machine = by_text[text]
    other = np.where(pick.random(machine.shape) < 0.02, pick.choice(states, machine.shape), machine)[text]
    return make_frame(
        [f"L{at}" for at in range(5)], [f"r{at:05d}" for at in range(number)], machine, seed="x", recipe=recipe,
        text_sha=[f"{each:032x}" for each in text], second=other if second else None,
        sites=None if sites is None else [sites[each % len(sites)] for each in text],
    )  # fmt: skip


@settings(max_examples=25)
@given(
    number=st.integers(40, 1500),
    seed=st.integers(0, 1000),
    sites=st.sampled_from([None, ("A", "B", "B", "B")]),
    second=st.booleans(),
    fraction=st.sampled_from([0.05, 0.1, 0.33, 1.0]),
)
def test_all_gates_hold_when_the_draw_is_read(number, seed, sites, second, fraction):
    recipe = AuditRecipe(fraction=fraction, least=8)
    texts = texts_of_frame(random_frame(number, seed, sites, second, recipe=recipe))
    gates, rows = gates_of(texts, fraction, recipe.least)
    drawn = floors(texts, gates, rows)
    assert (drawn <= texts.sizes()).all()
    read = counted(rows, texts.reports, texts.ranks() < drawn[texts.stratum])
    assert all(n >= gate.required for gate, n in zip(gates, read, strict=True))
    kinds = {(gate.kind, gate.unit) for gate in gates}
    assert kinds >= {(kind, unit) for kind in ("overall", "stratum", "cell") for unit in ("texts", "reports")}
    assert ("site", "texts") in kinds or sites is None


def test_each_text_has_an_inclusion_probability_of_the_fraction_at_least():
    texts = texts_of_frame(random_frame(3000, second=True))
    strata, _ = allocate(texts, SMALL, None)
    assert min(each.planned / each.size for each in strata) >= 0.1
    assert all(each.planned >= min(2, each.size) for each in strata)


def test_rare_cells_that_are_disagreed_about_are_strata_of_their_own():
    frame = random_frame(6000, second=True, recipe=AuditRecipe(fraction=0.1, least=200))
    divided = [name for name in frame.strata if name.startswith("rare:") and name.endswith(", disagree")]
    assert divided
    assert all(frame.disagree[frame.stratum == frame.strata.index(name)].all() for name in divided)


def test_rare_cells_cost_about_what_the_gate_asks_for_and_not_a_large_stratum():
    frame = random_frame(6000, repeated=False)
    strata, _ = allocate(texts_of_frame(frame), AuditRecipe(fraction=0.1, least=30), None)
    assert sum(each.planned for each in strata) < 0.1 * 6000 * 1.35
    rare = {each.name: each for each in strata if each.name.startswith("rare: L2")}
    assert rare["rare: L2 positive"].planned <= 45
    assert rare["rare: L2 uncertain"].planned >= min(30, rare["rare: L2 uncertain"].size)


def test_required_is_exact_where_floats_are_not():
    assert required(30, 0.1) == 3
    assert required(10**6, 0.07) == 70_000
    assert [required(n, 0.1, 30) for n in (0, 7, 30, 299, 301, 3001)] == [0, 7, 30, 30, 31, 301]


def test_a_budget_is_spent_whole_and_narrows_the_intervals_of_rare_labels():
    texts = texts_of_frame(random_frame(5000, repeated=False))
    least, narrow = allocate(texts, SMALL, None)
    floor = sum(each.planned for each in least)
    more, wide = allocate(texts, SMALL, floor + 400)
    assert sum(each.planned for each in more) == floor + 400
    assert all(a.planned >= b.planned for a, b in zip(more, least, strict=True))
    assert all(wide[name]["f1"] < narrow[name]["f1"] for name in ("L0", "L1"))
    assert wide["L4"] == {"precision": None, "recall": None, "f1": None}


def test_expected_widths_are_the_spread_of_estimates_under_the_assumed_errors():
    frame = random_frame(4000, repeated=False)
    texts = texts_of_frame(frame)
    strata, widths = allocate(texts, SMALL, 800)
    drawn = np.array([each.planned for each in strata])
    errors, pick = SMALL.errors, np.random.default_rng(1)
    said, uncertain = texts.machine[:, 0] == 1, texts.machine[:, 0] == -1
    missed = errors.missed * said.sum() / (~said & ~uncertain).sum()
    rate = np.where(said, 1 - errors.positive, np.where(uncertain, errors.uncertain, missed))
    f1, weight = [], (texts.sizes() / drawn)[texts.stratum]
    truth = pick.random(len(said)) < rate
    for _ in range(300):
        order = np.lexsort((pick.random(len(said)), texts.stratum))
        starts = np.repeat(np.cumsum(texts.sizes()) - texts.sizes(), texts.sizes())
        chosen = order[np.arange(len(said)) - starts < drawn[texts.stratum[order]]]
        w, s, t = weight[chosen], said[chosen], truth[chosen]
        f1.append(2 * (w * (s & t)).sum() / ((w * s).sum() + (w * t).sum()))
    assert 2 * 1.96 * np.std(f1) == pytest.approx(widths["L0"]["f1"], rel=0.2)


# the command


def test_the_plan_is_printed_and_kept(radloop, labeled, tmp_path):
    audit = tmp_path / "audit"
    done = radloop("audit", "plan", labeled / "labels.csv", "--config", labeled / "recipe.yaml", "-o", audit, "--json")
    assert done.code == 0, done.err
    printed = json.loads(done.out)
    plan, frame = load_plan(audit), load_frame(audit)
    assert printed["budget"] == plan.budget == sum(each.planned for each in plan.strata)
    assert plan.reports == str(labeled / "reports.jsonl")
    assert plan.schema == "chexpert14.v1" and len(plan.names) == 14
    assert len(frame.ids) == 500 and len(set(frame.cluster.tolist())) == printed["counts"]["texts"] < 500
    assert plan.strata[0].name == "common texts" and plan.strata[0].planned == plan.strata[0].size
    assert "assumed before anyone reads: 10% of positive labels wrong" in done.err
    assert json.loads((audit / "manifest.json").read_text())["counts"]["reports"] == 500
    table = radloop("audit", "plan", labeled / "labels.csv", "--config", labeled / "recipe.yaml", "-o", audit)
    assert "Expected width" in table.out and "common texts" in table.out


def test_reports_of_one_text_are_one_cluster_and_the_first_stands_for_it(planned):
    frame = load_frame(planned)
    texts = texts_of_frame(frame)
    largest = int(texts.reports.argmax())
    assert texts.reports[largest] == 72  # every seventh of 500
    assert frame.ids[texts.first[largest]] == "s0000"
    assert texts.reports.sum() == 500


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_every_format_of_a_label_table_gives_the_same_plan(radloop, labeled, tmp_path, suffix):
    table = tmp_path / f"labels.{suffix}"
    assert radloop("label", "run", labeled / "reports.jsonl", "-o", table, "--workers", 1).code == 0
    args = ("--config", labeled / "recipe.yaml")
    assert radloop("audit", "plan", table, *args, "-o", tmp_path / "a").code == 0
    assert radloop("audit", "plan", labeled / "labels.csv", *args, "-o", tmp_path / "b").code == 0
    one, other = load_plan(tmp_path / "a"), load_plan(tmp_path / "b")
    assert (one.names, one.strata, one.widths) == (other.names, other.strata, other.widths)
    assert (load_frame(tmp_path / "a").prn == load_frame(tmp_path / "b").prn).all()


def test_a_run_folder_is_audited_too(radloop, labeled, tmp_path):
    assert radloop("label", "run", labeled / "reports.jsonl", "-o", tmp_path / "run", "--workers", 1).code == 0
    assert radloop("audit", "plan", tmp_path / "run", "-o", tmp_path / "a").code == 0
    assert load_plan(tmp_path / "a").reports == str(labeled / "reports.jsonl")


def test_without_texts_each_report_is_its_own(radloop, labeled, tmp_path):
    table = tmp_path / "alone.csv"
    table.write_bytes((labeled / "labels.csv").read_bytes())
    done = radloop("audit", "plan", table, "-o", tmp_path / "a")
    assert done.code == 0
    assert "each report counts as a text of its own" in done.err
    assert sum(each.size for each in load_plan(tmp_path / "a").strata) == 500


def changed_table(labeled, path, rows=range(0, 500, 25)):
    lines = (labeled / "labels.csv").read_text().splitlines()
    for at in rows:
        cells = lines[at + 1].split(",")
        cells[3] = "0" if cells[3] == "1" else "1"
        lines[at + 1] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")
    return path


def test_where_two_labelers_differ_is_a_stratum(radloop, labeled, tmp_path):
    second = changed_table(labeled, tmp_path / "second.csv")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text((labeled / "recipe.yaml").read_text().replace("least: 8", "least: 1"))
    args = ("--second-labels", second, "--config", recipe, "-o", tmp_path / "a")
    done = radloop("audit", "plan", labeled / "labels.csv", *args)
    assert done.code == 0, done.err
    frame = load_frame(tmp_path / "a")
    assert frame.disagree.sum() == 20
    assert frame.second is not None and ((frame.second != frame.machine).any(axis=1) == frame.disagree).all()
    assert "disagree" in frame.strata
    assert "where the two labelers differ" in done.err


def test_the_two_voices_of_a_hybrid_labeler_are_a_stratum(radloop, labeled, tmp_path):
    evidence = tmp_path / "evidence.jsonl"
    rules = [{"label": "Edema", "rule": "rules.v1: asserted"}, {"label": "Edema", "rule": "network .93"}]
    lines = [json.dumps({"study_id": f"s{at:04d}", "mentions": rules if at < 12 else []}) for at in range(500)]
    evidence.write_text("\n".join(lines))
    args = ("--config", labeled / "recipe.yaml", "--evidence", evidence)
    assert radloop("audit", "plan", labeled / "labels.csv", *args, "-o", tmp_path / "a").code == 0
    assert load_frame(tmp_path / "a").disagree.sum() == 12
    evidence.write_text('{"rule": "network .9"\n')
    done = radloop("audit", "plan", labeled / "labels.csv", *args, "-o", tmp_path / "a")
    assert done.code == 2 and "[data.json]" in done.err and "line 1" in done.err


def test_each_site_has_its_floor(radloop, labeled, tmp_path):
    sites = tmp_path / "sites.csv"
    sites.write_text(
        "study_id,hospital\n" + "".join(f"s{at:04d},{'small' if at < 12 else 'large'}\n" for at in range(500))
    )
    args = ("--sites", sites, "--site-column", "hospital", "--config", labeled / "recipe.yaml")
    assert radloop("audit", "plan", labeled / "labels.csv", *args, "-o", tmp_path / "a").code == 0
    frame, plan = load_frame(tmp_path / "a"), load_plan(tmp_path / "a")
    texts = texts_of_frame(frame)
    chosen = texts.ranks() < np.array([each.planned for each in plan.strata])[texts.stratum]
    small = texts.site == frame.sites.index("small")
    assert chosen[small].sum() >= min(8, small.sum())
    sites.write_text("study_id,hospital\ns0000,A\n")
    done = radloop("audit", "plan", labeled / "labels.csv", *args, "-o", tmp_path / "a")
    assert done.code == 2 and "[audit.site] 499 of 500 reports have no site" in done.err


def test_sites_may_be_a_column_of_the_label_table(radloop, labeled, tmp_path):
    lines = (labeled / "labels.csv").read_text().splitlines()
    table = tmp_path / "labels.csv"
    table.write_text(
        "\n".join([lines[0] + ",site", *(f"{line},{'AB'[at % 2]}" for at, line in enumerate(lines[1:]))]) + "\n"
    )
    assert radloop("audit", "plan", table, "--site-column", "site", "-o", tmp_path / "a").code == 0
    assert load_frame(tmp_path / "a").sites == ("A", "B")
    assert "site" not in load_plan(tmp_path / "a").names


@pytest.mark.parametrize(
    ("budget", "said"), [(1, "short: the gates ask for"), (10_000, "more than the"), (0, "--budget")]
)
def test_a_budget_that_does_not_fit_is_refused(radloop, labeled, tmp_path, budget, said):
    done = radloop("audit", "plan", labeled / "labels.csv", "--budget", budget, "-o", tmp_path / "a")
    assert done.code == 2 and said in done.err
    assert not (tmp_path / "a").exists()


def test_the_message_about_the_budget_says_how_much_is_lacking(radloop, labeled, planned, tmp_path):
    need = load_plan(planned).budget
    args = ("--config", labeled / "recipe.yaml", "--budget")
    done = radloop("audit", "plan", labeled / "labels.csv", *args, need - 5, "-o", tmp_path / "a")
    assert f"is 5 short: the gates ask for {need}" in done.err
    assert radloop("audit", "plan", labeled / "labels.csv", *args, need, "-o", tmp_path / "a").code == 0


BAD = {
    "no ids": ("name,Edema\na,1\n", "data.column"),
    "no rows": ("study_id,Edema\n", "data.empty"),
    "empty": ("", "data.empty"),
    "ids twice": ("study_id,Edema\na,1\na,0\n", "data.duplicate"),
    "a word": ("study_id,Edema\na,1\nb,maybe\n", "data.cell"),
    "two": ("study_id,Edema\na,1\nb,2\n", "data.cell"),
    "an id missing": ("study_id,Edema\na,1\n,0\n", "data.id"),
    "no labels": ("study_id,remark\na,fine\n", "data.label"),
    "ragged": ("study_id,Edema\na,1\nb\n", "data.csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_table_that_is_wrong_is_refused_and_nothing_is_written(radloop, tmp_path, case):
    content, code = BAD[case]
    (tmp_path / "labels.csv").write_text(content)
    done = radloop("audit", "plan", tmp_path / "labels.csv", "-o", tmp_path / "a")
    assert done.code == 2 and f"[{code}]" in done.err
    assert not (tmp_path / "a").exists()


def test_a_second_table_of_other_reports_or_labels_is_refused(radloop, labeled, tmp_path):
    second = tmp_path / "second.csv"
    second.write_text((labeled / "labels.csv").read_text().replace("s0007", "other"))
    done = radloop("audit", "plan", labeled / "labels.csv", "--second-labels", second, "-o", tmp_path / "a")
    assert done.code == 2 and "[audit.other_ids] 1 of 500 reports are not in the second table" in done.err
    second.write_text("study_id,Edema\n" + "".join(f"s{at:04d},1\n" for at in range(500)))
    done = radloop("audit", "plan", labeled / "labels.csv", "--second-labels", second, "-o", tmp_path / "a")
    assert done.code == 2 and "[data.label]" in done.err


def test_reports_of_other_studies_are_refused(radloop, labeled, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"study_id": "zz", "report": "Clear."}\n')
    done = radloop("audit", "plan", labeled / "labels.csv", "--reports", other, "-o", tmp_path / "a")
    assert done.code == 2 and "[audit.other_ids]" in done.err


def test_an_audit_that_is_drawn_is_not_planned_again(radloop, labeled, drawn):
    before = (drawn / "audit.json").read_bytes()
    done = radloop("audit", "plan", labeled / "labels.csv", "-o", drawn)
    assert done.code == 2 and "[audit.exists]" in done.err
    assert (drawn / "audit.json").read_bytes() == before


def test_the_shipped_recipe_asks_for_a_tenth_and_thirty():
    recipe = load_recipe()
    assert (recipe.fraction, recipe.least, recipe.double, recipe.repeats) == (0.1, 30, 0.2, 0.03)
    assert math.isclose(recipe.errors.positive, 0.1)
