"""Specification checks: every criterion has a corpus that passes and one that fails."""

import csv
import hashlib
import importlib.util
import json
import sys
import time
import types
from dataclasses import replace

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image
from typer.testing import CliRunner

from corpora.cli import validate
from corpora.errors import ConfigError, DataError
from corpora.readers import open_source
from corpora.resources import config_path
from corpora.sections import split_sections
from corpora.specs.check import CHECKS, check
from corpora.specs.cli import check_cli
from corpora.specs.duplicates import near_pairs
from corpora.specs.evidence import share_text
from corpora.specs.model import SpecFile, load_spec
from corpora.specs.page import to_html, to_json
from corpora.store import StudyWriter
from corpora.types import ImageRef, Report, Study

LABELS = load_spec("thoracic-40k").criteria["label_set"].names
REPORT = "INDICATION: {indication}\n\nFINDINGS: The lungs are clear.\n\nIMPRESSION: No acute disease."
REASONS = ("Routine check.", "Cardiac follow-up.", "Cough and fever.", "Pre-op clearance.")
VENDORS = ("PHILIPS Medical Systems", "SIEMENS", "Agfa-Gevaert", "Canon Inc.")


def write_corpus(folder, studies, **manifest):
    folder.mkdir(parents=True, exist_ok=True)
    with StudyWriter(folder, size=500) as writer:
        for study in studies:
            writer.append(study)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def report(study_id, text):
    return Report(study_id, text, tuple(split_sections(text)))


def image(number, view="PA", **changes):
    digest = hashlib.sha256(f"{number} {view}".encode()).hexdigest()[:16]
    given = ImageRef(
        f"images/{number}-{view}.dcm", view, f"i{number}-{view}", "dicom", rows=2500, columns=2048, bits_stored=12,
        modality="DX", body_part="CHEST", manufacturer=VENDORS[number % 4], identity_removed=True, burned_in=False,
        phash=digest,
    )  # fmt: skip
    return replace(given, **changes)


def study(number, /, *, images=None, text=None, patient=None, labels="all", **meta):
    study_id = f"s{number}"
    states = {name: (1, 0, -1)[(number + place) % 3] for place, name in enumerate(LABELS)}
    known = {"year": 2015 + number % 6, "age": 20.0 + number % 60, "sex": "FM"[number % 2], "split": "train"} | meta
    known |= {} if labels is None else {"labels": states if labels == "all" else labels}
    films = (image(number), image(number, "LATERAL")) if images is None else tuple(images)
    body = REPORT.format(indication=REASONS[number % 4]) if text is None else text
    return Study(study_id, patient or f"p{number}", films, report(study_id, body) if body else None,
                 {name: value for name, value in known.items() if value is not None})  # fmt: skip


GOOD = [study(number) for number in range(12)]


def with_one(number, /, **changes):
    """The good studies, one of them changed."""
    return [study(each, **changes) if each == number else good for each, good in enumerate(GOOD)]


def spec_of(criterion, **more):
    given = {"name": "mine", "title": "Mine", "criteria": {"it": {"asks": "It", **criterion}}}
    return SpecFile.model_validate(given | more)


def outcome(corpus, criterion, indications=None, **options):
    given = {"indications": indications} if indications else {}
    return check(corpus, spec_of(criterion, **given), pixels="none", **options).outcomes["it"]


CLASSES = {
    "pre-op": ["pre-?op"], "cardiac": ["cardiac"], "respiratory": ["cough"], "routine": ["routine"],
}  # fmt: skip
ALL = {"at_least": 1.0}
# name: criterion, studies that fail it, and the ids that stand against it
CASES = {
    "too few": ({"check": "count", "of": "studies", "at_least": 12}, GOOD[:11], ()),
    "too many images": ({"check": "count", "of": "images", "at_most": 24}, [*GOOD, study(12)], ()),
    "patients": ({"check": "count", "of": "patients", "at_least": 12}, with_one(3, patient="p4"), ()),
    "two studies of one": (
        {"check": "count_per", "of": "studies", "at_most": 1}, with_one(3, patient="p4"), ("s3", "s4"),
    ),
    "three films": (
        {"check": "count_per", "of": "images", "at_most": 2}, with_one(3, images=[image(3)] * 3), ("s3",),
    ),
    "no PA": (
        {"check": "view_share", "views": ["PA"], **ALL}, with_one(5, images=[image(5, "LATERAL")]), ("s5",),
    ),
    "no lateral": ({"check": "view_share", "views": ["LATERAL"], **ALL}, with_one(5, images=[image(5)]), ("s5",)),
    "few rows": (
        {"check": "image_values", "where": {"rows": {"at_least": 2048}, "columns": {"at_least": 2048}}, **ALL},
        with_one(2, images=[image(2, rows=2047)]), ("s2",),
    ),
    "few columns": (
        {"check": "image_values", "where": {"rows": {"at_least": 2048}, "columns": {"at_least": 2048}}, **ALL},
        with_one(2, images=[image(2, columns=1024)]), ("s2",),
    ),
    "size unknown": (
        {"check": "image_values", "where": {"rows": {"at_least": 2048}}, **ALL},
        with_one(2, images=[image(2, rows=None)]), ("s2",),
    ),
    "ten bits": (
        {"check": "image_values", "where": {"bits_stored": {"at_least": 12}}, **ALL},
        with_one(2, images=[image(2, bits_stored=10)]), ("s2",),
    ),
    "a hand": (
        {"check": "image_values", "where": {"body_part": {"matches": ["chest"]}}, "unknown": "left out", **ALL},
        with_one(2, images=[image(2, body_part="HAND")]), ("s2",),
    ),
    "not de-identified": (
        {"check": "image_values", "where": {"identity_removed": {"one_of": [True]}}, **ALL},
        with_one(2, images=[image(2, identity_removed=False)]), ("s2",),
    ),
    "burned in": (
        {"check": "image_values", "where": {"burned_in": {"one_of": [False]}}, **ALL},
        with_one(2, images=[image(2, burned_in=None)]), ("s2",),
    ),
    "no impression": (
        {"check": "sections", "sections": ["findings", "impression"], **ALL},
        with_one(7, text="FINDINGS: Clear lungs."), ("s7",),
    ),
    "not demarcated": (
        {"check": "sections", "sections": ["findings", "impression"], **ALL},
        with_one(7, text="Clear lungs. No acute disease."), ("s7",),
    ),
    "empty section": (
        {"check": "sections", "sections": ["findings", "impression"], **ALL},
        with_one(7, text="FINDINGS: \n\nIMPRESSION: No acute disease."), ("s7",),
    ),
    "no report": (
        {"check": "sections", "sections": ["findings", "impression"], **ALL}, with_one(7, text=""), ("s7",),
    ),
    "replacement character": (
        {"check": "sound_text", **ALL}, with_one(7, text="FINDINGS: Caf\ufffd sign."), ("s7",),
    ),
    "decoded twice": ({"check": "sound_text", **ALL}, with_one(7, text="FINDINGS: R\u00c3\u00b6ntgen."), ("s7",)),
    "control character": ({"check": "sound_text", **ALL}, with_one(7, text="FINDINGS: Clear.\x07"), ("s7",)),
    "unlabelled": ({"check": "labelled", **ALL}, with_one(6, labels=None), ("s6",)),
    "a label missing": (
        {"check": "label_names", "names": LABELS},
        [study(each, labels=dict.fromkeys(LABELS[1:], 1)) for each in range(12)], (),
    ),
    "nothing uncertain": (
        {"check": "label_states", "states": ["positive", "negative", "uncertain"]},
        [study(each, labels={"Edema": 1, "Fracture": 0}) for each in range(3)], (),
    ),
    "uncertain where it may not be": (
        {"check": "label_states", "states": ["positive", "negative"]}, GOOD[:1], ("s0",),
    ),
    "four years": (
        {"check": "distinct", "field": "year", "at_least": 5},
        [study(each, year=2015 + each % 4) for each in range(12)], (),
    ),
    "a year of one study": (
        {"check": "distinct", "field": "year", "at_least": 6, "least_studies": 2}, GOOD[:7], (),
    ),
    "two vendors": (
        {"check": "distinct", "field": "manufacturer", "at_least": 3, "names": {"Philips": ["philips"]}},
        [study(each, images=[image(each, manufacturer=("PHILIPS", "Philips Medical", "Agfa")[each % 3])])
         for each in range(12)], (),
    ),
    "sexes unknown": (
        {"check": "study_values", "where": {"sex": {"recorded": True}}, "at_least": 0.95},
        with_one(4, sex=None), ("s4",),
    ),
    "another sex": (
        {"check": "study_values", "where": {"sex": {"one_of": ["M", "F", "O"]}}, **ALL}, with_one(4, sex="X"), ("s4",),
    ),
    "children": (
        {"check": "study_values", "where": {"age": {"below": 18}}, "at_most": 0.1},
        [study(each, age=17.9 if each < 2 else 18.0) for each in range(12)], ("s0", "s1"),
    ),
    "not flagged": (
        {"check": "study_values", "where": {"paediatric": {"recorded": True}}, "unknown": "breaks", **ALL},
        with_one(4, age=None), ("s4",),
    ),
    "another year": (
        {"check": "study_values", "where": {"year": {"at_least": 2015, "at_most": 2020}}, **ALL},
        with_one(4, year=2021), ("s4",),
    ),
    "sizes of splits": ({"check": "split_sizes", "sizes": {"train": 12}}, with_one(4, split="test"), ()),
    "an indication of no class": (
        {"check": "indication", **ALL}, with_one(4, text=REPORT.format(indication="Fall.")), ("s4",),
    ),
    "a class without studies": ({"check": "indication", "at_least": 0.5}, [GOOD[0], GOOD[1], GOOD[2]], ()),
    "one film, two patients": (
        {"check": "patient_duplicates"}, with_one(4, images=[image(4, phash=image(9).phash)]), ("s4", "s9"),
    ),
    "films alike": (
        {"check": "near_duplicates", "distance": 2, "at_most": 0.0},
        with_one(4, images=[image(4, phash=f"{int(image(9).phash, 16) ^ 0b101:016x}")]), ("s4", "s9"),
    ),
}  # fmt: skip
GOOD_FOR = {
    "nothing uncertain": GOOD, "uncertain where it may not be": [study(0, labels={"Edema": 1, "Fracture": 0})],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_corpus_that_passes_and_one_that_fails(tmp_path, name):
    criterion, bad, against = CASES[name]
    passing = outcome(write_corpus(tmp_path / "good", GOOD_FOR.get(name, GOOD)), criterion, CLASSES)
    assert (passing.verdict, passing.offending) == ("pass", ())
    failing = outcome(write_corpus(tmp_path / "bad", bad), criterion, CLASSES)
    assert (failing.verdict, tuple(sorted(failing.offending))) == ("fail", against)


def test_every_kind_of_check_has_such_a_case():
    elsewhere = {"audit", "boxes", "film_quality", "scan", "beyond"}
    assert {criterion["check"] for criterion, _, _ in CASES.values()} | elsewhere == set(CHECKS)


MISSING = {
    "no values": ({"check": "image_values", "where": {"burned_in": {"one_of": [False]}}, **ALL},
                  [study(0, images=[image(0, burned_in=None)])]),
    "no ages": ({"check": "study_values", "where": {"age": {"below": 18}}, "at_most": 0.1}, [study(0, age=None)]),
    "no years": ({"check": "distinct", "field": "year", "at_least": 5}, [study(0, year=None)]),
    "no reports": ({"check": "sections", "sections": ["findings"], **ALL}, [study(0, text="")]),
    "no indications": ({"check": "indication", **ALL}, [study(0, text="FINDINGS: Clear.")]),
    "no labels": ({"check": "labelled", **ALL}, [study(0, labels=None)]),
    "no hashes": ({"check": "near_duplicates"}, [study(0, images=[image(0, phash=None)])]),
    "no certificate": ({"check": "audit", "at_least": 0.1}, GOOD),
    "no boxes": ({"check": "boxes", "labels": ["Edema"]}, GOOD),
    "no scan": ({"check": "scan"}, GOOD),
    "no films": ({"check": "film_quality", "measure": "polarity", "rule": {"at_least": 0}, **ALL}, GOOD),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
@pytest.mark.parametrize("verdict", ["fail", "not judged"])
def test_what_is_not_there_is_judged_as_the_specification_says(tmp_path, name, verdict):
    criterion, studies = MISSING[name]
    found = outcome(write_corpus(tmp_path / "c", studies), criterion | {"without": verdict}, CLASSES)
    assert (found.verdict, found.measured) == (verdict, None)
    assert found.reason


def test_what_cannot_be_judged_says_so(tmp_path):
    found = outcome(write_corpus(tmp_path / "c", GOOD), {"check": "beyond", "because": "needs a reader"})
    assert (found.verdict, found.reason) == ("not judged", "needs a reader")


# ---- aggregates


def test_years_ages_and_sexes_come_from_the_manifest_when_the_studies_have_none(tmp_path):
    bare = [study(each, year=None, age=None, sex=None) for each in range(100)]
    ages = {"10-19": 8, "20-29": 50, "40-49": 42}
    aggregates = {"years": {str(2015 + each): 20 for each in range(5)}, "ages": ages, "sexes": {"F": 40, "M": 60}}
    corpus = write_corpus(tmp_path / "c", bare, aggregates=aggregates)
    years = outcome(corpus, {"check": "distinct", "field": "year", "at_least": 5})
    assert (years.verdict, years.measured) == ("pass", 5)
    assert "manifest" in years.reason
    assert outcome(corpus, {"check": "distinct", "field": "year", "at_least": 6}).verdict == "fail"
    sexes = outcome(corpus, {"check": "study_values", "where": {"sex": {"recorded": True}}, "at_least": 0.9})
    assert (sexes.verdict, sexes.measured) == ("pass", 1.0)
    children = {"check": "study_values", "where": {"age": {"below": 18}}}
    # 8 of 100 may be children: at most a tenth for sure, a twentieth perhaps
    assert outcome(corpus, children | {"at_most": 0.1}).verdict == "pass"
    assert outcome(corpus, children | {"at_most": 0.05}).verdict == "not judged"
    assert outcome(corpus, children | {"at_least": 0.5}).verdict == "fail"


def test_an_aggregate_that_covers_half_of_the_studies_is_not_recorded(tmp_path):
    bare = [study(each, age=None) for each in range(100)]
    corpus = write_corpus(tmp_path / "c", bare, aggregates={"ages": {"40-49": 50, "unknown": 50}})
    found = outcome(corpus, {"check": "study_values", "where": {"age": {"recorded": True}}, "at_least": 0.9})
    assert (found.verdict, found.measured) == ("fail", 0.5)


def test_a_source_may_flag_children_without_ages(tmp_path):
    flagged = [study(each, age=None, paediatric=each < 2) for each in range(10)]
    corpus = write_corpus(tmp_path / "c", flagged)
    children = {"check": "study_values", "where": {"age": {"below": 18}}}
    assert outcome(corpus, children | {"at_most": 0.2}).verdict == "pass"
    assert outcome(corpus, children | {"at_most": 0.1}).offending == ("s0", "s1")
    flags = {"check": "study_values", "where": {"paediatric": {"recorded": True}}, "unknown": "breaks", **ALL}
    assert outcome(corpus, flags).verdict == "pass"


# ---- labels, audit, boxes, scan


def label_table(path, ids, labels=LABELS, state=1):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["study_id", *labels])
        writer.writerows([each, *[state] * len(labels)] for each in ids)
    return path


def test_a_label_table_stands_in_for_the_labels_of_the_corpus(tmp_path):
    corpus = write_corpus(tmp_path / "c", [study(each, labels=None) for each in range(4)])
    table = label_table(tmp_path / "labels.csv", ["s0", "s1", "s2", "s3", "other"])
    found = outcome(corpus, {"check": "labelled", **ALL}, labels=table)
    assert (found.verdict, found.details["other rows"]) == ("pass", 1)
    assert outcome(corpus, {"check": "label_names", "names": LABELS}, labels=table).verdict == "pass"
    short = label_table(tmp_path / "short.csv", ["s0", "s1"], LABELS[:3])
    assert outcome(corpus, {"check": "labelled", **ALL}, labels=short).offending == ("s2", "s3")
    assert outcome(corpus, {"check": "label_names", "names": LABELS}, labels=short).verdict == "fail"


def test_a_column_of_blanks_is_a_label_that_is_there(tmp_path):
    corpus = write_corpus(tmp_path / "c", GOOD)
    table = label_table(tmp_path / "labels.csv", [f"s{each}" for each in range(12)], state="")
    assert outcome(corpus, {"check": "label_names", "names": LABELS}, labels=table).verdict == "pass"


def test_tables_of_every_format_are_read_alike(tmp_path, radloop):
    corpus = write_corpus(tmp_path / "c", [study(each, labels=None) for each in range(12)])
    verdicts = []
    for name in ("labels.csv", "labels.parquet", "labels.jsonl", "run"):
        assert radloop("label", "run", corpus, "-o", tmp_path / name, "--workers", 1).code == 0
        verdicts.append(outcome(corpus, {"check": "labelled", **ALL}, labels=tmp_path / name).verdict)
    assert verdicts == ["pass"] * 4


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("study_id,Edema\ns1,2\n", "data.cell"),
        ("name,Edema\ns1,1\n", "data.column"),
        ("study_id,Edema\ns1,1\ns1,1\n", "data.duplicate"),
        ("study_id,Edema\n,1\n", "data.id"),
        ("study_id,Edema\ns1,1,1\n", "data.csv"),
    ],
)
def test_a_broken_label_table_is_refused(tmp_path, text, code):
    corpus, table = write_corpus(tmp_path / "c", GOOD), tmp_path / "labels.csv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        outcome(corpus, {"check": "labelled", **ALL}, labels=table)
    assert caught.value.code == code


def test_a_table_of_reports_is_refused_without_a_word_of_them(tmp_path):
    corpus, table = write_corpus(tmp_path / "c", GOOD), tmp_path / "reports.csv"
    table.write_text("study_id,report\ns1,Secret words\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        outcome(corpus, {"check": "labelled", **ALL}, labels=table)
    assert "Secret" not in str(caught.value)


def certificate(path, table, read, population=12, **more):
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    path.write_text(
        json.dumps({"labels_sha256": digest, "read": read, "population": population} | more), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize(
    ("read", "more", "verdict"),
    [
        (2, {}, "pass"),
        (1, {}, "fail"),
        (2, {"labels_sha256": "0" * 64}, "fail"),
        (2, {"strata": [{"name": "rare", "population": 3, "read": 0}]}, "fail"),
        (2, {"strata": [{"name": "rare", "population": 3, "read": 1}]}, "pass"),
        (2, {"population": 4}, "fail"),
        ("2", {}, "fail"),
        (13, {}, "fail"),
    ],
)
def test_the_audit_is_judged_by_its_certificate(tmp_path, read, more, verdict):
    corpus = write_corpus(tmp_path / "c", GOOD)
    table = label_table(tmp_path / "labels.csv", [f"s{each}" for each in range(12)])
    paper = certificate(tmp_path / "certificate.json", table, read, **more)
    assert outcome(corpus, {"check": "audit", "at_least": 0.1}, labels=table, certificate=paper).verdict == verdict


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ("i4-PA,Cardiomegaly,10,10,500,600", "pass"),
        ("i4-PA,Edema,10,10,500,600", "fail"),
        ("i4-PA,Cardiomegaly,10,10,2500,600", "fail"),
        ("elsewhere,Cardiomegaly,10,10,500,600", "fail"),
        ("i4-PA,Cardiomegaly,500,10,10,600", "fail"),
    ],
)
def test_boxes_must_be_valid_and_there(tmp_path, row, verdict):
    corpus = write_corpus(tmp_path / "c", GOOD)
    path = tmp_path / "boxes.csv"
    path.write_text(f"image_id,class_name,x_min,y_min,x_max,y_max\ni1-PA,Pleural Effusion,1,2,3,4\n{row}\n", "utf-8")
    found = outcome(corpus, {"check": "boxes", "labels": ["Pleural Effusion", "Cardiomegaly"]}, boxes=path)
    assert found.verdict == verdict
    assert found.offending == (("s4",) if row.startswith("i4-PA,Cardiomegaly") and verdict == "fail" else ())


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        ({"files": 24, "findings": []}, "pass"),
        ({"files": 24, "findings": [{"study_id": "s3"}]}, "fail"),
        ({"files": 3, "findings": []}, "fail"),
        ({"files": 24}, "fail"),
    ],
)
def test_what_a_scan_found(tmp_path, data, verdict):
    path = tmp_path / "scan.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert outcome(write_corpus(tmp_path / "c", GOOD), {"check": "scan"}, scan=path).verdict == verdict


# ---- duplicates


@given(
    npst.arrays(
        np.uint8, st.tuples(st.integers(0, 30), st.integers(1, 3)), elements=st.sampled_from([0, 1, 3, 7, 255])
    ),
    st.integers(0, 9),
)
def test_near_pairs_are_those_of_a_comparison_of_all(hashes, distance):
    numbers = [int.from_bytes(row.tobytes(), "big") for row in hashes]
    pairs = [(i, j, (a ^ b).bit_count()) for j, b in enumerate(numbers) for i, a in enumerate(numbers[:j])]
    assert sorted(near_pairs(hashes, distance)) == sorted(pair for pair in pairs if pair[2] <= distance)


def test_one_film_twice_in_a_study_or_of_one_patient_is_no_film_of_two_patients(tmp_path):
    twice = with_one(4, images=[image(4), image(4)])
    again = [*GOOD, study(20, patient="p3", images=[image(3)])]
    for number, studies in enumerate((twice, again)):
        found = outcome(write_corpus(tmp_path / str(number), studies), {"check": "patient_duplicates"})
        assert (found.verdict, found.measured) == ("pass", 0)


@pytest.mark.slow
def test_eighty_thousand_films_are_compared_in_seconds():
    generator = np.random.default_rng(0)
    # films of one kind agree in most bits, as those of chests do
    centre = generator.integers(0, 2, 64, dtype=np.uint8)
    bits = centre ^ (generator.random((80_000, 64)) < 0.3)
    start = time.perf_counter()
    sum(1 for _ in near_pairs(np.packbits(bits.astype(np.uint8), axis=1), 2))
    assert time.perf_counter() - start < 20


# ---- films


@pytest.fixture
def reads_films(monkeypatch):
    """The reader of films; a plain one for grey PNG where the package has none."""
    if importlib.util.find_spec("corpora.images") is None:

        def read_any(path):
            with Image.open(path) as file:
                return np.asarray(file, dtype=np.float64)

        module = types.ModuleType("corpora.images")
        module.read_any = read_any
        monkeypatch.setitem(sys.modules, "corpora.images", module)


def chest_film(seed=0, side=200):
    y, x = np.mgrid[0:side, 0:side] / side
    film = np.full((side, side), 0.65)
    for middle in (0.3, 0.7):
        film -= 0.45 * ((((x - middle) / 0.16) ** 2 + ((y - 0.45) / 0.33) ** 2) < 1)
    film += 0.15 * (np.abs(x - 0.5) < 0.06) + np.random.default_rng(seed).normal(0, 0.1, film.shape)
    return np.clip(film / film.max(), 0, 1)


def film_corpus(folder, films, phash=None):
    """A corpus of one PNG a study."""
    (folder / "images").mkdir(parents=True)
    studies = []
    for number, film in enumerate(films):
        path = f"images/{number}.png"
        if film is not None:
            Image.fromarray((film * 65535).astype(np.uint16)).save(folder / path)
        studies.append(study(number, images=[image(number, path=path, format="png", phash=phash)]))
    return write_corpus(folder, studies)


def clipped_film():
    return np.clip(chest_film() * 2 - 0.7, 0, 1)


def framed(film):
    return np.pad(film, 60)


QUALITY = {
    "clipped": ({"at_most": 0.1}, clipped_film()),
    "polarity": ({"at_least": 0.0}, 1 - chest_film()),
    "chest": ({"at_least": 0.25}, np.random.default_rng(1).random((200, 200))),
    "border": ({"at_most": 0.3}, framed(chest_film())),
}


@pytest.mark.parametrize("measure", QUALITY)
def test_films_are_judged_by_their_pixels(tmp_path, reads_films, measure):
    rule, bad = QUALITY[measure]
    criterion = spec_of({"check": "film_quality", "measure": measure, "rule": rule, "at_least": 0.7})
    good = film_corpus(tmp_path / "good", [chest_film(seed) for seed in range(3)])
    assert check(good, criterion, pixels="all").outcomes["it"].verdict == "pass"
    mixed = film_corpus(tmp_path / "bad", [chest_film(0), bad, bad])
    found = check(mixed, criterion, pixels="all").outcomes["it"]
    assert (found.verdict, found.offending) == ("fail", ("s1", "s2"))
    assert check(mixed, criterion, pixels="none").outcomes["it"].reason == "no film was looked at"


def test_a_film_that_cannot_be_read_is_a_film_against_it(tmp_path, reads_films):
    corpus = film_corpus(tmp_path / "c", [chest_film(), None, chest_film()])
    (corpus / "images" / "2.png").write_bytes((corpus / "images" / "2.png").read_bytes()[:500])
    criterion = spec_of({"check": "film_quality", "measure": "chest", "rule": {"at_least": 0.25}, **ALL})
    found = check(corpus, criterion, pixels="all").outcomes["it"]
    assert (found.verdict, found.offending) == ("fail", ("s1", "s2"))
    assert "2 could not be read" in found.reason


def test_a_sample_says_so_with_its_interval_and_is_the_same_each_time(tmp_path, reads_films):
    corpus = film_corpus(tmp_path / "c", [chest_film(seed) for seed in range(8)])
    criterion = spec_of({"check": "film_quality", "measure": "chest", "rule": {"at_least": 0.25}, "at_least": 0.5})
    first, second = (check(corpus, criterion, pixels="3") for _ in range(2))
    assert "a sample of 3 of 8 films; 95 % interval 29.2 % to 100 %" in first.outcomes["it"].reason
    assert first.evidence.films.measures.keys() == second.evidence.films.measures.keys()


def test_films_with_one_hash_are_compared_by_their_pixels(tmp_path, reads_films):
    duplicates = spec_of({"check": "patient_duplicates"})
    other = np.roll(chest_film(1), 15, axis=0)
    different = film_corpus(tmp_path / "d", [chest_film(0), other], phash="00ff00ff00ff00ff")
    assert check(different, duplicates, pixels="none").outcomes["it"].verdict == "fail"
    assert check(different, duplicates, pixels="5").outcomes["it"].verdict == "pass"
    same = film_corpus(tmp_path / "s", [chest_film(0), chest_film(0) * 0.7, other], phash="00ff00ff00ff00ff")
    found = check(same, duplicates, pixels="5").outcomes["it"]
    assert (found.verdict, found.offending) == ("fail", ("s0", "s1"))
    unread = film_corpus(tmp_path / "u", [chest_film(0), None], phash="00ff00ff00ff00ff")
    found = check(unread, duplicates, pixels="5").outcomes["it"]
    assert (found.verdict, found.offending) == ("fail", ("s0", "s1"))
    assert "by their hashes alone" in found.reason


# ---- corpora that are wrong


def test_text_that_is_not_utf8_is_a_fault_of_its_study(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    corpus = write_corpus(tmp_path / "c", GOOD)
    shard = next(corpus.glob("studies-*.parquet"))
    table = pq.read_table(shard)
    texts = [text.encode() for text in table.column("text").to_pylist()]
    texts[3] = b"FINDINGS: Caf\xe9 au lait.\n\nIMPRESSION: None."
    raw = pa.array(texts, pa.binary())
    broken = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    pq.write_table(table.set_column(table.schema.get_field_index("text"), "text", broken), shard)
    assert outcome(corpus, {"check": "sound_text", **ALL}).offending == ("s3",)


def test_a_folder_that_is_no_corpus_is_refused(tmp_path):
    for name, code in (("missing", "data.missing"), ("unfinished", "data.incomplete"), ("empty", "data.empty")):
        folder = tmp_path / name
        if name != "missing":
            folder.mkdir()
        if name == "empty":
            (folder / "manifest.json").write_text("{}", encoding="utf-8")
        with pytest.raises(DataError) as caught:
            check(folder, pixels="none")
        assert caught.value.code == code


def test_a_shard_that_is_cut_off_or_of_another_kind_is_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    corpus = write_corpus(tmp_path / "c", GOOD)
    shard = next(corpus.glob("studies-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(DataError, match=r"data\.parquet"):
        check(corpus, pixels="none")
    pq.write_table(pa.table({"x": [1]}), shard)
    with pytest.raises(DataError, match=r"data\.parquet"):
        check(corpus, pixels="none")


# ---- specifications


@pytest.mark.parametrize("name", ["thoracic-40k", "vindr-cxr", "pedicxr"])
def test_the_shipped_specifications_are_valid_and_measure_a_corpus(tmp_path, name):
    spec = load_spec(name)
    result = check(write_corpus(tmp_path / "c", GOOD), name, pixels="none")
    assert result.outcomes.keys() == spec.kept().keys()
    assert not result.passed
    assert "studies" in result.failed


def test_a_corpus_of_the_size_asked_for_passes(tmp_path):
    small = tmp_path / "small.yaml"
    small.write_text("base: specs/thoracic-40k\nname: small\ncriteria:\n  studies: {at_least: 12}\n  papers: null\n")
    corpus = write_corpus(tmp_path / "c", GOOD)
    table = label_table(tmp_path / "labels.csv", [f"s{each}" for each in range(12)])
    mixed = table.read_text(encoding="utf-8").splitlines()
    mixed[1], mixed[2] = mixed[1].replace(",1", ",0"), mixed[2].replace(",1", ",-1")
    table.write_text("\n".join(mixed), encoding="utf-8")
    paper = certificate(tmp_path / "certificate.json", table, 2)
    result = check(corpus, str(small), labels=table, certificate=paper, pixels="none")
    assert result.failed == []
    assert "papers" not in result.outcomes
    assert check(corpus, str(small), labels=table, pixels="none").failed == ["radiologist_audit"]


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        ("it: {asks: x, check: count, of: studies}", "without a bound nothing can fail"),
        ("it: {asks: x, check: counted, of: studies}", "criteria"),
        ("it: {asks: x, check: count, of: studies, at_least: 2, at_most: 1}", "above"),
        ("it: {asks: x, check: indication, at_least: 1}", "no indications"),
        ("it: null", "no criterion is left"),
        ("it: {asks: x, check: image_values, at_least: 1, where: {bits: {at_least: 1}}}", "has no field 'bits'"),
        ("it: {asks: x, check: study_values, at_least: 1, where: {ages: {at_least: 1}}}", "did you mean age"),
        ("it: {asks: x, check: distinct, field: year, at_least: 1, names: {a: ['(']}}", "not a regular expression"),
    ],
)
def test_a_specification_that_cannot_work_is_refused(tmp_path, criteria, message):
    path = tmp_path / "spec.yaml"
    path.write_text(f"name: x\ntitle: X\ncriteria:\n  {criteria}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_spec(str(path))


def test_the_name_of_a_specification_is_looked_up():
    with pytest.raises(ConfigError, match="thoracic-40k"):
        load_spec("thoracic-4k")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Preoperative evaluation before hip surgery.", "pre-operative clearance"),
        ("XXXX-year-old with cough and SOB", "respiratory symptoms"),
        ("CHF, evaluate for edema.", "cardiac follow-up"),
        ("Annual screening", "routine check-up"),
        ("Trauma after a fall", None),
        ("sobriety", None),
    ],
)
def test_indications_fall_into_their_classes(tmp_path, text, expected):
    rules = load_spec("thoracic-40k").indications
    corpus = write_corpus(tmp_path / "c", [study(0, text=REPORT.format(indication=text))])
    found = outcome(corpus, {"check": "indication", **ALL, "every_class": False}, rules)
    assert [name for name, number in found.details["counts"].items() if number] == ([expected] if expected else [])


def test_open_i_measures_what_is_known_of_it(tmp_path, shared):
    archive = shared / "data" / "openi" / "NLMCXR_reports.tgz"
    corpus = write_corpus(tmp_path / "c", open_source(str(archive)))
    found = outcome(corpus, {"check": "sections", "sections": ["findings", "impression"], **ALL})
    assert found.details["good"] == 3419
    assert found.details["lacking"]["findings, impression"] == 28
    assert outcome(corpus, {"check": "sound_text", **ALL}).verdict == "pass"
    classes = outcome(corpus, {"check": "indication", "at_least": 0.5}, load_spec("thoracic-40k").indications)
    assert classes.verdict == "pass"
    assert min(classes.details["counts"].values()) > 50


# ---- what is written


def run_check(*args):
    app = typer.Typer()
    app.command()(check_cli)
    return CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)


def test_the_command_exits_by_the_verdict_and_prints_json_with_every_study(tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text("name: x\ntitle: X\ncriteria:\n  it: {asks: x, check: labelled, at_least: 1.0}\n", encoding="utf-8")
    good, bad = (
        write_corpus(tmp_path / "g", GOOD),
        write_corpus(tmp_path / "b", [study(n, labels=None) for n in range(30)]),
    )
    assert run_check(good, "--spec", spec, "--pixels", "none").exit_code == 0
    mixed = write_corpus(tmp_path / "m", [study(n, labels=None if n else "all") for n in range(30)])
    done = run_check(mixed, "--spec", spec, "--json", "--pixels", "none")
    assert done.exit_code == 1
    data = json.loads(done.stdout)
    assert data["passed"] is False
    assert len(data["criteria"][0]["offending"]) == 29
    assert run_check(bad, "--spec", spec, "--pixels", "none").exit_code == 1


def test_what_is_not_required_is_said_and_does_not_fail_the_corpus(tmp_path):
    spec = spec_of({"check": "labelled", "at_least": 1.0, "required": False})
    result = check(write_corpus(tmp_path / "c", with_one(2, labels=None)), spec, pixels="none")
    assert (result.passed, result.missed) == (True, ["it"])


def test_the_page_escapes_what_comes_from_data(tmp_path):
    hostile = "<script>alert(1)</script>"
    studies = [
        replace(study(0, labels=None), study_id=hostile),
        study(1, images=[image(1, manufacturer=hostile + "$x$", view=hostile)]),
    ]
    page = to_html(check(write_corpus(tmp_path / hostile.replace("/", ""), studies), pixels="none"))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http-equiv" in page
    assert page.count("<svg") >= 4


def test_the_same_corpus_gives_the_same_page_and_json(tmp_path):
    corpus = write_corpus(tmp_path / "c", GOOD)
    first, second = (check(corpus, pixels="none") for _ in range(2))
    assert to_html(first) == to_html(second)
    assert to_json(first) | {"seconds": 0} == to_json(second) | {"seconds": 0}


def test_radloop_validate_knows_a_specification(monkeypatch):
    from corpora import registry

    path = config_path("specs/thoracic-40k")
    monkeypatch.setattr(registry, "names", lambda kind: ["spec"])
    monkeypatch.setattr(registry, "load", lambda kind, name: SpecFile)
    assert validate(path) == "spec"


@pytest.mark.parametrize("value", ["-1", "some", "1.5", "\u00b2"])
def test_pixels_is_a_number_all_or_none(tmp_path, value):
    with pytest.raises(ConfigError, match="--pixels"):
        check(write_corpus(tmp_path / "c", GOOD), pixels=value)


@given(st.floats(0, 1))
def test_a_share_is_never_rounded_to_whole(value):
    assert (share_text(value) == "100 %") == (value == 1)


@pytest.mark.slow
def test_forty_thousand_studies_are_checked_in_under_a_minute(tmp_path):
    corpus = write_corpus(tmp_path / "c", (study(number) for number in range(40_000)))
    start = time.perf_counter()
    result = check(corpus, pixels="none")
    assert time.perf_counter() - start < 60
    assert set(result.failed) <= {"radiologist_audit"}
