"""Names that a teacher does not know, because they were taken out of its lexicon."""

import json
import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import DataError
from corpora.resources import config_path
from corpora.types import Report, Section
from labeler.base import load
from labeler.hybrid import NAMES_TAUGHT
from labeler.neural.recipe import SynonymRecipe
from labeler.neural.synonyms import Suspect, ToldLabeler, suspects
from labeler.neural.train import train
from tests.labeler.neural.conftest import changed

RULES = load()
INFILTRATE = Suspect("infiltrate", "opacity", "Lung Opacity", 0.5, 3.0, 40)


SIDES = ["Left", "Right", "Bilateral"]
NAMES = {
    "Lung Opacity": ["infiltrate", "opacity", "airspace opacity"], "Lung Lesion": ["nodule", "mass", "lesion"],
    "Pleural Effusion": ["effusion", "pleural effusion"], "Pneumothorax": ["pneumothorax"],
    "Consolidation": ["consolidation"], "Atelectasis": ["atelectasis", "collapse"],
}  # fmt: skip
FORMS = ["{side} {name}.", "Possible {side} {name}.", "{side} lower lobe {name}.", "There is a small {side} {name}."]
LISTS = ["No {one}, {two} or {three}.", "No {one}.", "There is no {one} or {two}.", "{one} is not seen."]


@pytest.fixture(scope="module")
def texts():
    """Reports that name what they assert twice, and list what is not there."""
    chance = Random(0)
    made = []
    for _ in range(250):
        label = chance.choice(sorted(NAMES))
        side = chance.choice(SIDES).lower()
        findings, impression = (
            chance.choice(FORMS).format(side=side, name=chance.choice(NAMES[label])).capitalize() for _ in range(2)
        )
        one, two, three = (chance.choice(NAMES[other]) for other in chance.sample(sorted(set(NAMES) - {label}), 3))
        absent = chance.choice(LISTS).format(one=one, two=two, three=three)
        made.append(f"FINDINGS: {findings} {absent[0].upper()}{absent[1:]}\nIMPRESSION: {impression}")
    return made


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    """A schema whose lexicon lacks infiltrate."""
    folder = tmp_path_factory.mktemp("forgetful")
    lexicon = config_path("lexicons/chexpert14.en.yaml").read_text(encoding="utf-8")
    kept = "".join(line for line in lexicon.splitlines(keepends=True) if line.strip() != "- infiltrate")
    assert kept != lexicon
    (folder / "lexicon.yaml").write_text(re.sub(r"\binfiltrate\b", "qqq", kept), encoding="utf-8")
    schema = config_path("schemas/chexpert14.v1.yaml").read_text(encoding="utf-8")
    (folder / "schema.yaml").write_text(schema.replace("findings: chexpert14.en", "findings: lexicon.yaml"))
    return str(folder / "schema.yaml")


def test_a_name_that_was_taken_out_is_found_again(texts, schema):
    forgetful = load("rules.v1", schema)
    found = suspects(forgetful, texts, SynonymRecipe())
    assert [(one.word, one.label) for one in found] == [("infiltrate", "Lung Opacity")]
    reports = [Report("", text) for text in texts]
    whole, less, more = (one.states(reports) for one in (RULES, forgetful, ToldLabeler(forgetful, found)))
    assert less != whole == more


def test_nothing_is_found_where_the_teacher_knows_the_names(texts):
    assert suspects(RULES, texts, SynonymRecipe()) == []
    assert suspects(RULES, [], SynonymRecipe()) == []
    assert suspects(RULES, ["No effusion."], SynonymRecipe(least=1)) == []


def test_what_is_found_is_taught_and_said(texts, schema, tmp_path):
    source = tmp_path / "reports.jsonl"
    lines = [json.dumps({"study_id": str(at), "report": text}) + "\n" for at, text in enumerate(texts)]
    source.write_text("".join(lines), encoding="utf-8")
    recipe = changed(label_schema=schema, made=0, weak={"epochs": 1})
    done = train([str(source)], tmp_path / "run", recipe)
    line = json.loads((tmp_path / "run" / NAMES_TAUGHT).read_text())
    assert (line["word"], line["label"]) == ("infiltrate", "Lung Opacity")
    assert any("'infiltrate'" in warning and f"'{line['name']}'" in warning for warning in done.warnings)
    assert done.counts["unknown names"] == 1
    hybrid = f"hybrid.v1:{done.folder}"
    assert load(hybrid, schema).recipe.unseen_of == ("Lung Opacity",)
    silent = train([str(source)], tmp_path / "other", recipe.model_copy(update={"synonyms": None}))
    assert silent.counts["unknown names"] == 0
    assert not (tmp_path / "other" / NAMES_TAUGHT).exists()
    assert load(f"hybrid.v1:{silent.folder}", schema).recipe.unseen_of == ()
    (done.folder / NAMES_TAUGHT).write_text("[]")
    with pytest.raises(DataError) as error:
        load(hybrid, schema)
    assert error.value.code == "model.damaged"


@pytest.fixture(scope="module")
def told(schema):
    return ToldLabeler(load("rules.v1", schema), [INFILTRATE])


def test_the_mentions_of_a_told_name_stand_in_the_report(told):
    text = "FINDINGS: Two views. Questionable left infiltrates.\nIMPRESSION: No Infiltrate, no effusion."
    vector = told(text)
    spans = [(text[one.start : one.end], one.state) for one in vector.mentions if one.label == "Lung Opacity"]
    assert spans == [("infiltrates", -1), ("Infiltrate", 0)]
    cues = [cue for one in vector.mentions if one.label == "Lung Opacity" for cue in one.cues]
    assert [text[cue.start : cue.end] for cue in cues] == ["Questionable", "No"]
    assert vector.states == told.states([Report("", text)])[0]
    assert (told.schema, told.made_by) == (told.labeler.schema, told.labeler.made_by)


WORDS = st.lists(st.sampled_from(["infiltrate", "no", "effusion", "left", ".", "infiltrates", "opacity", "naïve"]))


@settings(deadline=None, max_examples=40)
@given(st.lists(WORDS, min_size=1, max_size=3))
def test_sections_and_mentions_are_where_they_were(told, parts):
    text, sections = "", []
    for part in parts:
        sections.append(Section("findings", len(text), len(text) + len(" ".join(part))))
        text += " ".join(part) + "\n"
    report = Report("1", text, tuple(sections))
    for one in told(report).mentions:
        assert any(section.start <= one.start < one.end <= section.end for section in sections)
        assert text[one.start : one.end].strip() == text[one.start : one.end]
    plain = Report("2", text.replace("infiltrate", "nothing"), ())
    assert told(plain) == told.labeler(plain)
