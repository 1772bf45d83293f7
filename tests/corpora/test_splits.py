"""The split: by patient, by ids and labels alone, and nothing on both sides."""

import csv
import json
from collections import Counter

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from corpora.errors import ConfigError, DataError, RunError
from corpora.specs.facts import StudyFacts
from corpora.splits import PARTS, make_split, parse_ratios, read_split, split, split_cli
from corpora.splits.draw import assign
from corpora.store import StudyWriter
from corpora.types import ImageRef, Report, Study

RATIOS = parse_ratios("train=.8,validate=.1,test=.1")
NAMES = ("Edema", "Fracture", "Pneumonia")


def fact(number, patient=None, label=None, **more):
    labels = None if label is None else {label: 1}
    return StudyFacts(f"s{number}", f"p{number if patient is None else patient}", labels=labels, **more)


def split_of(studies, **options):
    labels = {study.study_id: study.labels for study in studies if study.labels is not None}
    return make_split(studies, labels, options.pop("ratios", RATIOS), **options)


def write_corpus(folder, studies):
    folder.mkdir(parents=True, exist_ok=True)
    for shard in folder.glob("studies-*.parquet"):
        shard.unlink()
    with StudyWriter(folder) as writer:
        for study in studies:
            writer.append(study)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    return folder


def study(number, patient=None, phash=None, text=None, **meta):
    images = (ImageRef(f"{number}.dcm", phash=phash),) if phash else ()
    report = None if text is None else Report(f"s{number}", text)
    return Study(f"s{number}", f"p{number if patient is None else patient}", images, report, meta)


cohorts = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([*NAMES, None])), min_size=1, max_size=120
).map(lambda rows: [fact(number, patient, label) for number, (patient, label) in enumerate(rows)])  # fmt: skip


@given(cohorts, st.integers(0, 3))
def test_a_patient_is_in_one_part(studies, seed):
    made = split_of(studies, seed=seed)
    assert made.parts.keys() == {study.study_id for study in studies}
    assert set(made.parts.values()) <= set(PARTS)
    parts = {(study.patient_id, made.parts[study.study_id]) for study in studies}
    assert len(parts) == len({patient for patient, _ in parts})
    assert made.leaks.patients == ()


@given(cohorts, st.randoms())
def test_the_order_of_the_studies_does_not_count(studies, random):
    shuffled = list(studies)
    random.shuffle(shuffled)
    assert split_of(shuffled).parts == split_of(studies).parts


@given(cohorts, cohorts)
def test_whoever_is_in_a_split_stays_when_others_join(first, second):
    more = [StudyFacts(f"new {study.study_id}", study.patient_id, labels=study.labels) for study in second]
    before = split_of(first)
    kept = {study.patient: before.parts[study.study_id] for study in first}
    after = split_of([*first, *more], earlier=kept)
    assert {study_id: after.parts[study_id] for study_id in before.parts} == before.parts
    assert after.leaks.patients == ()


@given(st.integers(0, 5))
def test_without_the_earlier_split_few_are_moved(seed):
    strata = {f"p{number}": NAMES[number % 3] for number in range(3300)}
    before = assign(dict(list(strata.items())[:3000]), RATIOS, seed)
    after = assign(strata, RATIOS, seed)
    assert sum(before[patient] != after[patient] for patient in before) < 60


@given(st.integers(20, 400), st.integers(20, 60), st.integers(0, 5))
def test_each_stratum_is_shared_out_by_the_ratios(common, rare, seed):
    strata = {f"p{number}": "Edema" if number < rare else "none" for number in range(common + rare)}
    parts = assign(strata, RATIOS, seed)
    for stratum, size in (("Edema", rare), ("none", common)):
        counts = Counter(part for patient, part in parts.items() if strata[patient] == stratum)
        assert all(abs(counts[part] - ratio * size) < 1 + 1e-9 for part, ratio in RATIOS.items())


def test_rare_labels_are_in_every_part():
    studies = [fact(number, label="Edema" if number % 50 == 0 else "Pneumonia") for number in range(2000)]
    balance = split_of(studies).balance["Edema"]
    assert {round(share, 3) for share in balance.values()} == {0.02}


def test_another_seed_is_another_split():
    studies = [fact(number) for number in range(200)]
    assert split_of(studies, seed=1).parts != split_of(studies, seed=2).parts


def test_a_new_patient_goes_where_the_stratum_lacks_most():
    studies = [fact(number) for number in range(100)]
    kept = {study.patient: "train" for study in studies[:80]}
    assert split_of(studies, earlier=kept).sizes() == {"train": 80, "validate": 10, "test": 10}


def test_the_parts_of_the_source_are_respected_or_ignored():
    studies = [fact(number, split="test" if number < 30 else "training") for number in range(100)]
    made = split_of(studies)
    assert {made.parts[f"s{number}"] for number in range(30)} == {"test"}
    # the source has no validation part: it comes out of the training part
    assert {made.parts[f"s{number}"] for number in range(30, 100)} == {"train", "validate"}
    assert made.sizes()["validate"] == pytest.approx(70 / 9, abs=1)
    ignored = split_of(studies, respect=False)
    assert {ignored.parts[f"s{number}"] for number in range(30)} != {"test"}


def test_a_source_of_training_studies_only_gives_all_parts():
    made = split_of([fact(number, split="train") for number in range(100)])
    assert made.sizes() == {"train": 80, "validate": 10, "test": 10}


def test_a_validation_part_of_the_source_is_not_carved_again():
    names = ("train", "val", "test")
    studies = [fact(number, split=names[number % 3]) for number in range(99)]
    made = split_of(studies)
    assert all(made.parts[f"s{number}"] == ("train", "validate", "test")[number % 3] for number in range(99))


def test_a_patient_that_the_source_has_in_two_parts_is_a_leak():
    studies = [fact(0, 7, split="train"), fact(1, 7, split="test"), fact(2, 7), fact(3, 8, split="validation")]
    made = split_of(studies)
    assert (made.parts["s0"], made.parts["s1"]) == ("train", "test")
    assert made.leaks.patients == ("p7",)


def test_a_study_without_a_patient_is_a_patient_of_its_own():
    studies = [StudyFacts(f"s{number}") for number in range(50)]
    made = split_of(studies)
    assert (made.without_patient, len(set(made.parts.values()))) == (50, 3)


@pytest.mark.parametrize("apart", [0, 2, 3])
def test_a_film_in_two_parts_is_a_leak(apart):
    films = [ImageRef(f"{number}.dcm", phash=f"{0xFF00 ^ ((1 << apart) - 1) * number:016x}") for number in range(2)]
    studies = [fact(number, images=(films[number],), split=("train", "test")[number]) for number in range(2)]
    leaks = split_of(studies).leaks
    assert leaks.films == ((("s0", "s1"),) if apart <= 2 else ())


def test_films_that_turn_out_to_differ_are_no_leak():
    films = [ImageRef(f"{number}.dcm", phash="00ff00ff00ff00ff") for number in range(2)]
    studies = [fact(number, images=(films[number],), split=("train", "test")[number]) for number in range(2)]
    asked = []
    made = split_of(studies, compare=lambda groups: asked.extend(groups) or [])
    assert (len(asked), made.leaks.films) == (1, ())


def test_reports_in_two_parts_are_counted():
    studies = [fact(number, report_key=b"x", split=("train", "test")[number]) for number in range(2)]
    assert split_of(studies).leaks.reports == 1


# ---- files and the command


def test_a_split_is_written_kept_and_extended(tmp_path):
    corpus = write_corpus(tmp_path / "c", [study(n, labels={NAMES[n % 3]: 1}) for n in range(60)])
    first = split(corpus)
    assert read_split(corpus) == read_split(corpus / "split.csv") == dict(first.parts)
    manifest = json.loads((corpus / "split.csv.manifest.json").read_text(encoding="utf-8"))
    assert sum(manifest["counts"][part] for part in PARTS) == 60
    write_corpus(corpus, [study(n, labels={NAMES[n % 2]: 1}) for n in range(90)])
    second = split(corpus)
    assert (len(second.parts), second.kept) == (90, 60)
    assert {study_id: second.parts[study_id] for study_id in first.parts} == dict(first.parts)
    with pytest.raises(RunError) as caught:
        split(corpus, seed=5)
    assert caught.value.code == "split.changed"
    assert split(corpus, seed=5, fresh=True).kept == 0


def test_a_label_table_stratifies(tmp_path):
    corpus = write_corpus(tmp_path / "c", [study(n) for n in range(300)])
    table = tmp_path / "labels.csv"
    rows = [["study_id", "Edema"], *([f"s{n}", int(n < 30)] for n in range(300))]
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    made = split(corpus, tmp_path / "mine.csv", labels=table)
    assert set(made.balance["Edema"].values()) == {0.1}


def run_split(*args):
    app = typer.Typer()
    app.command()(split_cli)
    return CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)


def test_the_command_fails_on_leaks_and_says_what_leaks(tmp_path):
    good = write_corpus(tmp_path / "g", [study(n) for n in range(20)])
    assert run_split(good, "--json").exit_code == 0
    films = [study(n, phash="00ff00ff00ff00ff", split=("train", "test")[n]) for n in range(2)]
    bad = write_corpus(tmp_path / "b", films)
    done = run_split(bad, "--json", "--pixels", "none")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["leaks"]["films"] == [["s0", "s1"]]
    assert "near-duplicate" in done.stderr


@pytest.mark.parametrize(
    "text", ["train", "train=-1", "train=0", "hold=1", "train=1,train=2", "train=nan", "train=inf"]
)
def test_ratios_that_are_none_are_refused(text):
    with pytest.raises(ConfigError):
        parse_ratios(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("study_id,split\ns1,train\n", "data.column"),
        ("study_id,patient_id,split\ns1,p1,trian\n", "data.split"),
        ("study_id,patient_id,split\ns1,p1,train\ns1,p1,test\n", "data.duplicate"),
    ],
)
def test_a_broken_split_is_refused(tmp_path, text, code):
    path = tmp_path / "split.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_split(path)
    assert caught.value.code == code


def test_a_split_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match=r"data\.missing"):
        read_split(tmp_path / "split.csv")
    with pytest.raises(DataError, match=r"data\.missing"):
        split(tmp_path / "corpus")


def test_a_split_in_time(tmp_path):
    """Half of the patients come back in 2018: with all their studies they are the test part, and nobody else is."""
    studies = [fact(number, number % 40, NAMES[number % 3], year=2015 + number // 40) for number in range(120)]
    studies += [fact(200 + number, number, None, year=2018) for number in range(20)]
    studies += [fact(300, 300), fact(301, 301, split="test")]
    made = split_of(studies, test_from=2018)
    of_patient = {study.patient: made.parts[study.study_id] for study in studies}
    assert {patient for patient, part in of_patient.items() if part == "test"} == {f"p:p{n}" for n in range(20)}
    assert Counter(of_patient.values())["validate"] in (2, 3) and not made.leaks.patients
    with pytest.raises(DataError, match="no study of the corpus has a year"):
        split_of([fact(1)], test_from=2018)


def test_a_split_in_time_is_kept_and_not_mixed_with_another(tmp_path):
    corpus = write_corpus(tmp_path / "c", [study(number, year=2010 + number) for number in range(20)])
    made = split(corpus, test_from=2025, pixels="none")
    assert {name for name, part in made.parts.items() if part == "test"} == {f"s{number}" for number in range(15, 20)}
    assert split(corpus, test_from=2025, pixels="none").parts == made.parts
    with pytest.raises(RunError, match="test_from"):
        split(corpus, pixels="none")
