"""What the rule labeler remembers, and what it is asked for, changes nothing that it says."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpora.types import Report, Section
from labeler.rules import bulk, fragments, grammar, negation, pipeline
from labeler.rules.pipeline import RulesLabeler, load_rules_v1
from labeler.rules.sentences import pieces, sentences

_LIMITS = (
    (pipeline, "_MOST_PIECES"), (pipeline, "_MOST_READINGS"), (pipeline, "_MOST_DECIDED"), (pipeline, "_LONGEST_PIECE"),
    (grammar, "_MOST_STRETCHES"), (grammar, "_MOST_LOCATED"), (grammar, "_LONGEST_STRETCH"),
    (fragments, "_MOST_FRAGMENTS"), (bulk, "_MOST_FRAGMENTS"), (negation, "_MOST_LAYOUTS"),
)  # fmt: skip

FINDINGS = (
    "pleural effusion", "effusions", "pneumothorax", "cardiomegaly", "consolidation", "opacity", "edema", "fracture",
    "nodule", "PICC line", "atelectasis", "pneumonia", "scoliosis", "heart", "heart size", "mediastinum", "lungs",
)  # fmt: skip
CUES = (
    "no", "not", "without", "no evidence of", "cannot exclude", "possible", "may represent", "versus", "or", "and",
    "with", "but", ",", ";", ":", "is", "are", "there is", "normal", "enlarged", "unchanged", "borderline", "clear",
    "resolved", "is not seen", "history of", "likely", "in the", "left", "right", "mild", "new", "3.5 cm", "e.g.",
    "(", ")", "/", "?", "don't", "of", "No", "There are",
)  # fmt: skip
ODD = (
    "🫁", "e\u0301", "שלום", "مرحبا", "\u200f", "\u00a0", "\x1e", "\x85", "\ufb01", "İ", "ß", ":)", "8 )", "xxxx",
    "[**12**]", "¿", "1. .",
)  # fmt: skip

words = st.sampled_from(FINDINGS + CUES) | st.sampled_from(ODD)
phrases = st.lists(words, min_size=1, max_size=9).map(" ".join)
texts = st.lists(phrases.map(str.capitalize), min_size=1, max_size=4).map(". ".join).map("{}.".format)
anything = texts | st.text(max_size=60)
seldom = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def labeler() -> RulesLabeler:
    return load_rules_v1()


@pytest.fixture(scope="module")
def other() -> RulesLabeler:
    return load_rules_v1()


def report(text: str) -> Report:
    return Report("r", text, (Section("findings", 0, len(text)),))


@seldom
@given(found=st.lists(anything, min_size=1, max_size=6), data=st.data())
def test_results_do_not_depend_on_what_was_labeled_before(
    labeler: RulesLabeler, other: RulesLabeler, found: list[str], data: st.DataObject
) -> None:
    reports = [report(text) for text in found]
    shuffled = data.draw(st.permutations(reports))
    expected = {r.text: labeler(r) for r in reports}
    assert {r.text: other(r) for r in shuffled} == expected
    assert dict(zip([r.text for r in shuffled], other.states(shuffled), strict=True)) == {
        text: vector.states for text, vector in expected.items()
    }


@pytest.mark.parametrize("limit", [0, 1, 3])
@seldom
@given(found=st.lists(anything, min_size=1, max_size=4))
def test_results_do_not_depend_on_the_limits_of_the_memories(
    labeler: RulesLabeler, other: RulesLabeler, limit: int, found: list[str]
) -> None:
    expected = [labeler(report(text)) for text in found]
    with pytest.MonkeyPatch.context() as patch:
        for module, name in _LIMITS:
            patch.setattr(module, name, limit)
        for text, vector in itertools.islice(itertools.cycle(zip(found, expected, strict=True)), 2 * len(found)):
            assert other(report(text)) == vector
            assert other.states([report(text)]) == [vector.states]


def test_results_do_not_depend_on_when_the_vocabulary_of_seen_words_starts_anew(
    labeler: RulesLabeler, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ["No pleural effusion, 12.5 cm.", "Cardiomegaly; zzyzx (mild).", "No pleural effusion, 12.5 cm."]
    expected = [labeler(report(text)) for text in found]
    forgetful = load_rules_v1()
    monkeypatch.setattr(grammar, "_MOST_LEXEMES", 1)
    assert [forgetful(report(text)) for text in found] == expected
    assert forgetful.states([report(text) for text in found]) == [vector.states for vector in expected]


@seldom
@given(text=anything)
def test_states_alone_are_those_with_evidence(labeler: RulesLabeler, text: str) -> None:
    assert labeler.states([report(text)]) == [labeler(report(text)).states]
    assert labeler.states([Report("r", text)]) == [labeler(text).states]


DENIAL = (
    "no", "without", "negative for", "free of", "is", "are", "seen", "identified", "there is", "stable", "unchanged",
    "mild", "small", "old", "by radiograph", "since the prior study", "or", "nor", "and", ",", "with", "again", "but",
    "no evidence of", "is seen", "portable", "clear", "lungs", "cardiomegaly", "new", "acute", "focal",
    "airspace disease",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(found=st.lists(st.lists(st.sampled_from(FINDINGS + DENIAL), min_size=2, max_size=9).map(" ".join), max_size=8))
def test_denials_read_the_quick_way_are_read_alike(labeler: RulesLabeler, found: list[str]) -> None:
    reports = [report(text) for text in found]
    assert labeler.states(reports) == [labeler(each).states for each in reports]


@settings(max_examples=300, deadline=None)
@given(text=anything)
def test_the_sentences_of_the_pieces_are_those_of_the_text(text: str) -> None:
    text = text.replace("\n", " ")
    whole = [text[start:end].rstrip(".").strip() for start, end in sentences(text)]
    parted = [piece[start:end].rstrip(".").strip() for piece in pieces(text) for start, end in sentences(piece)]
    assert [part for part in parted if part] == [part for part in whole if part]


@settings(max_examples=150, deadline=None)
@given(text=anything)
def test_a_text_in_one_piece_has_the_states_of_its_pieces(labeler: RulesLabeler, text: str) -> None:
    parted = pieces(text)
    together = Report("r", "\x00".join(parted), tuple(_sections(parted)))
    assert labeler(together).states == labeler(report(text)).states


def _sections(parts: list[str]) -> list[Section]:
    ends = list(itertools.accumulate(len(part) + 1 for part in parts))
    return [Section("findings", end - 1 - len(part), end - 1) for part, end in zip(parts, ends, strict=True)]


@seldom
@given(before=st.lists(st.sampled_from(ODD), max_size=4), finding=st.sampled_from(FINDINGS[:8]), glued=st.booleans())
def test_a_finding_is_where_its_mention_says(
    labeler: RulesLabeler, before: list[str], finding: str, glued: bool
) -> None:
    lead = ("" if glued else " ").join(before)
    text = f"{lead} no {finding} {lead}"
    found = [mention for mention in labeler(report(text)).mentions if mention.rule == "denied"]
    assert finding in {text[mention.start : mention.end] for mention in found}
    assert {text[cue.start : cue.end] for mention in found for cue in mention.cues} <= {"no"}


@seldom
@given(text=anything)
def test_spans_lie_in_the_text_and_hold_whole_words(labeler: RulesLabeler, text: str) -> None:
    for mention in labeler(report(text)).mentions:
        for start, end in [(mention.start, mention.end), *((cue.start, cue.end) for cue in mention.cues)]:
            assert 0 <= start < end <= len(text)
            assert text[start:end].strip() == text[start:end]


@pytest.mark.parametrize("text", ["effusion" + "," * 1500, "no " * 2000 + "effusion", "," * 1500, "effusion " * 3000])
def test_endless_text_is_read(labeler: RulesLabeler, text: str) -> None:
    assert labeler.states([report(text)]) == [labeler(report(text)).states]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("🫁🫁 Small effusion.", "effusion"),
        ("ריאות: pneumothorax.", "pneumothorax"),
        ("Cafe\u0301 e\u0301tat. Cardiomegaly.", "Cardiomegaly"),
        ("\u200fNo\u200f cardiomegaly 🙂, large\u00a0effusion.", "effusion"),
    ],
)
def test_offsets_count_code_points(labeler: RulesLabeler, text: str, finding: str) -> None:
    mentions = {text[mention.start : mention.end] for mention in labeler(report(text)).mentions}
    assert any(found.endswith(finding) for found in mentions)
