"""Phantom reports: their truth is that of their words."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ConfigError
from corpora.phantom.grammar import ReportGrammar, Sentence
from corpora.phantom.model import DRAWN, ChestModel, PeopleModel
from corpora.phantom.patients import INDICATIONS, Cohort
from corpora.phantom.reports import Reporter, expand
from corpora.phantom.settings import grammar_of
from corpora.sections import split_sections

STUDIES = 400


@pytest.fixture(scope="module")
def chest(settings):
    return ChestModel.model_validate_json(settings.chest)


@pytest.fixture(scope="module")
def visits(settings, chest):
    return list(Cohort(chest, PeopleModel.model_validate_json(settings.people), 3).visits(0, STUDIES))


@pytest.fixture(scope="module")
def written(settings, chest, visits):
    reporter = Reporter(grammar_of(settings), chest.reporting, chest.phi.text)
    return [reporter.write(visit, np.random.default_rng([3, 200, visit.index])) for visit in visits]


def evidence(report):
    """Findings and impression of a report, or all of it where nothing is headed."""
    sections = split_sections(report.text)
    named = [s for s in sections if s.name in ("findings", "impression")] or sections
    return " ".join(report.text[s.start : s.end] for s in named)


def test_a_state_has_its_word_in_the_text(written):
    stems = {
        "Pneumothorax": "pneumothora", "Pleural Effusion": "effusion|pleural fluid", "Atelectasis": "atelecta|collapse",
        "Consolidation": "consolidation", "Pneumonia": "pneumonia|infectio", "Fracture": "fracture",
        "Pleural Other": "thickening|plaque|scarring",
        "Cardiomegaly": "heart|cardi|CHF|congestive", "Enlarged Cardiomediastinum": "mediastin",
        "Lung Lesion": "nodul|mass|lesion",
    }  # fmt: skip
    for report in written:
        text = evidence(report)
        for label, stem in stems.items():
            if label in report.states:
                assert re.search(stem, text, re.IGNORECASE), (label, text)


def test_words_without_a_state_do_not_occur(written):
    for report in written:
        text = evidence(report)
        for label, stem in {
            "Pneumothorax": "pneumothora",
            "Fracture": "fracture",
            "Consolidation": "consolidation",
        }.items():
            if label not in report.states:
                assert not re.search(stem, text, re.IGNORECASE), (label, text)


def test_what_was_stated_open_or_omitted_shows_in_the_truth(visits, written):
    seen = Counter()
    for visit, report in zip(visits, written, strict=True):
        for sign in visit.signs:
            how = report.reported[sign.number]
            seen[how] += 1
            state = report.states.get(sign.label)
            if how == "stated":
                assert state == 1
            elif how == "open":
                assert state in (1, -1)
    assert min(seen["stated"], seen["open"], seen["omitted"]) > 5


def test_no_finding_is_one_or_blank(written):
    for report in written:
        found = [
            label
            for label, state in report.states.items()
            if state != 0 and label not in ("No Finding", "Support Devices")
        ]
        assert report.states.get("No Finding") in (1, None)
        if found:
            assert "No Finding" not in report.states


def test_all_states_of_all_labels_occur(written):
    seen = Counter((label, state) for report in written for label, state in report.states.items())
    for label in DRAWN:
        assert all(seen[label, state] for state in (1, 0)), label
    assert sum(seen[label, -1] for label in DRAWN) > 50
    assert 0.1 < seen["No Finding", 1] / len(written) < 0.6


def test_texts_vary(written):
    assert len({report.text for report in written}) > 0.97 * len(written)
    first_words = {report.text.split()[0] for report in written}
    assert len(first_words) > 6


def test_reports_hold_no_slot_or_bracket(written):
    for report in written:
        assert not re.search(r"[\[\]{}|]|  \w|\.\.|[\ue000-\uf8ff]", report.text.replace("   ID", " ID")), report.text


def test_places_of_identities(written, visits):
    planted = 0
    for report in written:
        for start, end, value in report.planted:
            assert report.text[start:end] == value
            planted += 1
    assert planted > 100
    for visit, report in zip(visits, written, strict=True):
        spans = [(start, end) for start, end, _ in report.planted]
        for match in re.finditer(re.escape(visit.person.mrn), report.text):
            assert match.span() in spans


def test_indications_and_years_and_ages_vary(visits, chest):
    assert {visit.indication for visit in visits} == set(INDICATIONS)
    assert len({visit.day.year for visit in visits}) == chest.years
    ages = [visit.age for visit in visits]
    assert min(ages) < 18 < 80 < max(ages)
    assert {visit.person.sex for visit in visits} == {"F", "M"}
    assert {visit.views for visit in visits} == {("PA",), ("AP",), ("PA", "LATERAL")}


def test_studies_of_a_patient_go_forward_in_time(visits):
    last = {}
    for visit in visits:
        before = last.get(visit.patient)
        if before is not None:
            assert visit.prior == before.day < visit.day and visit.number == before.number + 1
            known = {sign.number for sign in before.signs}
            now = {sign.number for sign in visit.signs}
            assert {sign.number for sign in visit.gone} == known - now
            assert all(visit.changes[number] == "new" for number in now - known)
        last[visit.patient] = visit


def test_a_study_does_not_depend_on_where_one_starts(settings, chest, visits):
    people = PeopleModel.model_validate_json(settings.people)
    for start in (0, 1, 57, 123):
        again = list(Cohort(chest, people, 3).visits(start, start + 9))
        assert again == visits[start : start + 9]


@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.integers(1, 12))
def test_any_window_of_any_seed(settings_cache, seed, start, length):
    chest, people = settings_cache
    window = list(Cohort(chest, people, seed).visits(start, start + length))
    assert [visit.index for visit in window] == list(range(start, start + length))


@pytest.fixture(scope="module")
def settings_cache(settings, chest):
    return chest, PeopleModel.model_validate_json(settings.people)


@pytest.mark.parametrize(
    ("text", "slots", "expected"),
    [
        (
            "{a}{size} effusion{trend}.",
            {"a": "a ", "size": "old", "trend": ", as {prior}", "prior": "May"},
            "An old effusion, as May.",
        ),
        ("[one|one] {side} lung.", {"side": "left"}, "One left lung."),
        ("{size} {side} fluid .", {}, "Fluid."),
    ],
)  # fmt: skip
def test_expand(text, slots, expected):
    assert expand(text, slots, np.random.default_rng(0)) == expected


@pytest.mark.parametrize("text", ["{sidee} effusion.", "[a|b effusion.", "a|b] effusion.", "{side effusion."])
def test_a_mistake_in_the_grammar_is_refused(text):
    with pytest.raises(ValueError, match=r"slot|bracket"):
        Sentence(text=text)


def test_the_grammar_file_names_the_line_of_a_mistake(tmp_path):
    from corpora.config import load_yaml

    own = tmp_path / "mine.yaml"
    own.write_text("base: phantom/reports.en\nnegated_lists:\n  - {text: 'No {list}.', sets: {Oedema: 0}}\n")
    with pytest.raises(ConfigError) as refused:
        load_yaml(own, ReportGrammar)
    assert refused.value.where.endswith("mine.yaml:3") and "Oedema" in refused.value.message


def test_the_rules_agree_with_the_truth(written):
    from corpora.types import Report
    from labeler import load

    labeler = load("rules.v1")
    wrong = cells = 0
    for report in written:
        states = labeler(Report("", report.text, tuple(split_sections(report.text)))).states
        found = states if isinstance(states, dict) else dict(zip(labeler.schema.labels, states, strict=True))
        for label in (*DRAWN, "No Finding"):
            cells += 1
            wrong += found.get(label) != report.states.get(label)
    assert wrong / cells < 0.02
