"""Drawing: the same again, larger containing smaller, bound to the table and the frame; texts read again."""

import json
from collections import Counter
from dataclasses import asdict

import numpy as np
import pytest

from corpora.errors import DataError, RunError
from labeler.audit.draw import draw
from labeler.audit.frame import load_draw, load_frame, load_plan
from labeler.audit.prn import permanent_random_numbers
from labeler.audit.texts import texts_of

FILES = ("draw.json", "draw.parquet")


def test_a_draw_is_what_the_plan_says(drawn):
    plan, frame, made = load_plan(drawn), load_frame(drawn), load_draw(drawn)
    counts = Counter(each.stratum for each in made.texts)
    assert {each.name: each.planned for each in plan.strata} == {each.name: counts[each.name] for each in plan.strata}
    assert [each.position for each in made.texts] == list(range(plan.budget))
    assert sum(each.double for each in made.texts) == pytest.approx(0.2 * plan.budget, abs=1)
    assert 0 < sum(each.repeat for each in made.texts) <= 0.03 * plan.budget + 1
    sizes = {each.name: each.planned / each.size for each in plan.strata}
    assert all(each.probability == sizes[each.stratum] for each in made.texts)
    members = {study_id: each for each in made.texts for study_id in each.members}
    assert all(len(each.members) == each.reports and each.study_id == min(each.members) for each in made.texts)
    chosen = {study_id for study_id, number in zip(frame.ids, frame.cluster, strict=True)
              if number in {each.cluster for each in made.texts}}  # fmt: skip
    assert members.keys() == chosen


def test_the_smallest_permanent_random_numbers_are_drawn(drawn):
    frame, made = load_frame(drawn), load_draw(drawn)
    ids = {each.study_id for each in made.texts}
    stands = {each.study_id for each in made.texts}
    for at, name in enumerate(frame.strata):
        clusters = {int(c): frame.prn[row] for row, c in enumerate(frame.cluster) if frame.stratum[row] == at}
        taken = [clusters[each.cluster] for each in made.texts if each.stratum == name]
        left = [prn for number, prn in clusters.items() if number not in {each.cluster for each in made.texts}]
        assert not left or max(taken) < min(left)
    numbers = permanent_random_numbers("audit-1", sorted(stands))
    by_id = dict(zip(sorted(ids), numbers, strict=True))
    rows = {study_id: row for row, study_id in enumerate(frame.ids)}
    assert all(frame.prn[rows[study_id]] == prn for study_id, prn in by_id.items())


def test_drawn_again_it_is_the_same_to_the_byte(radloop, drawn):
    before = [(drawn / name).read_bytes() for name in FILES]
    assert radloop("audit", "draw", drawn).code == 0
    assert [(drawn / name).read_bytes() for name in FILES] == before


def test_another_folder_draws_the_same_texts(radloop, labeled, drawn, tmp_path):
    other = tmp_path / "other"
    args = ("--config", labeled / "recipe.yaml", "-o", other)
    assert radloop("audit", "plan", labeled / "labels.csv", *args).code == 0
    assert radloop("audit", "draw", other).code == 0
    assert load_draw(other).texts == load_draw(drawn).texts
    assert radloop("audit", "plan", labeled / "labels.csv", *args[:2], "-o", tmp_path / "c", "--seed", "two").code == 0
    assert radloop("audit", "draw", tmp_path / "c").code == 0
    assert {each.study_id for each in load_draw(tmp_path / "c").texts} != {
        each.study_id for each in load_draw(drawn).texts
    }


def test_a_larger_draw_contains_the_smaller_and_keeps_its_order(radloop, drawn):
    before = load_draw(drawn)
    done = radloop("audit", "draw", drawn, "--extend", 40, "--json")
    assert done.code == 0 and json.loads(done.out)["texts"] == len(before.texts) + 40
    after = load_draw(drawn)
    keep = ("study_id", "position", "double", "repeat", "members", "stratum")
    assert [[asdict(row)[name] for name in keep] for row in after.texts[: len(before.texts)]] == [
        [asdict(row)[name] for name in keep] for row in before.texts
    ]
    assert [row.position for row in after.texts] == list(range(len(after.texts)))
    grown = dict(zip((each.name for each in after.strata), (each.drawn for each in after.strata), strict=True))
    assert all(grown[each.name] >= each.drawn for each in before.strata)
    assert radloop("audit", "draw", drawn).code == 0
    assert load_draw(drawn) == after


def test_no_more_than_there_is_can_be_drawn(radloop, drawn):
    left = sum(each.size - each.drawn for each in load_draw(drawn).strata)
    done = radloop("audit", "draw", drawn, "--extend", left + 1)
    assert done.code == 2 and f"[audit.budget] {left} texts are left" in done.err
    assert radloop("audit", "draw", drawn, "--extend", left).code == 0


def test_a_label_table_that_changed_is_refused(radloop, labeled, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_bytes((labeled / "labels.csv").read_bytes())
    assert radloop("audit", "plan", table, "-o", tmp_path / "a").code == 0
    table.write_text(table.read_text() + "new,,,,,,,,,,,,,,\n")
    for command in ("draw", "certify"):
        done = radloop("audit", command, tmp_path / "a")
        assert done.code == 2 and "[audit.labels_changed]" in done.err
    table.unlink()
    assert "is gone" in radloop("audit", "draw", tmp_path / "a").err
    assert not (tmp_path / "a" / "draw.json").exists()


def test_a_frame_or_a_plan_that_changed_is_refused(radloop, drawn):
    frame = drawn / "frame.parquet"
    whole = frame.read_bytes()
    frame.write_bytes(whole[:-100])
    done = radloop("audit", "status", drawn)
    assert done.code == 2 and "[audit.damaged]" in done.err
    frame.write_bytes(whole)
    (drawn / "audit.json").write_text(
        (drawn / "audit.json").read_text().replace(load_plan(drawn).frame_sha256, "0" * 64)
    )
    with pytest.raises(DataError, match="not the one that was planned"):
        load_frame(drawn)
    with pytest.raises(DataError, match="another frame"):
        load_draw(drawn)


def test_folders_that_are_no_audit_are_refused(radloop, tmp_path, planned):
    for folder in (tmp_path, tmp_path / "nowhere"):
        done = radloop("audit", "draw", folder)
        assert done.code == 2 and "[data.missing]" in done.err
    done = radloop("audit", "certify", planned)
    assert done.code == 2 and "[audit.not_drawn]" in done.err
    data = json.loads((planned / "audit.json").read_text())
    (planned / "audit.json").write_text(json.dumps(data | {"version": 2}))
    with pytest.raises(RunError, match="version 2"):
        load_plan(planned)
    (planned / "audit.json").write_text("[1]")
    with pytest.raises(DataError, match="not as radloop writes"):
        load_plan(planned)


def test_texts_are_read_again_from_their_source(drawn):
    ids = [each.study_id for each in load_draw(drawn).texts][:20]
    found = dict(texts_of(drawn, ids))
    assert found.keys() == set(ids)
    assert all(report.sections and report.study_id == study_id for study_id, report in found.items())


def test_texts_that_changed_or_went_are_not_shown(radloop, labeled, tmp_path):
    source = tmp_path / "reports.jsonl"
    lines = (labeled / "reports.jsonl").read_text().splitlines()
    source.write_text("\n".join(lines))
    audit = tmp_path / "a"
    assert radloop("audit", "plan", labeled / "labels.csv", "--reports", source, "-o", audit).code == 0
    source.write_text("\n".join([lines[0].replace("clear", "hazy"), *lines[1:-1]]))
    with pytest.raises(DataError) as changed:
        list(texts_of(audit, ["s0000"]))
    assert changed.value.code == "audit.text_changed"
    with pytest.raises(DataError) as gone:
        list(texts_of(audit, ["s0499"]))
    assert gone.value.code == "audit.text_missing"


def test_the_draw_is_random_within_strata(labeled, tmp_path):
    from labeler.audit.plan import plan
    from labeler.audit.recipe import load_recipe

    recipe = load_recipe(labeled / "recipe.yaml")
    hits, expected = np.zeros(500), np.zeros(500)
    for seed in range(30):
        folder = tmp_path / str(seed)
        plan(labeled / "labels.csv", folder, seed=f"seed {seed}", recipe=recipe)
        made, frame = draw(folder), load_frame(folder)
        taken = {each.cluster for each in made.texts}
        hits += np.isin(frame.cluster, list(taken))
        share = {each.name: each.drawn / each.size for each in made.strata}
        expected += np.array([share[frame.strata[at]] for at in frame.stratum])
    # squared distances in units of their variance average 1
    p = expected / 30
    middle = (p > 0.05) & (p < 0.95)
    z = (hits - expected)[middle] ** 2 / (30 * (p * (1 - p))[middle])
    assert 0.8 < z.mean() < 1.2
