"""What is a heading and what is not, where sections begin and end, and which of them are read."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ConfigError
from corpora.sections import NAMES, select, split_sections
from corpora.types import Report, Section

MIMIC_LIKE = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)
 
 INDICATION:  ___ year old man with productive cough.  // infiltrate?
 
 COMPARISON:  Radiograph from ___.
 
 FINDINGS: 
 
 Heart size is normal.  There is a band of opacity at the left base that is new
 since the
 prior.  The findings at the apices are unchanged, as is the impression of a
 rounded density: see below.
 
 No effusion.
 
 IMPRESSION: 
 
 1. New opacity at the left base.
 
 2. Apices unchanged.
"""  # noqa: W291, W293


def parts(text: str) -> list[tuple[str, str]]:
    return [(section.name, text[section.start : section.end]) for section in split_sections(text)]


def chosen(text: str, wanted: str = "findings,impression") -> list[str]:
    return [text[section.start : section.end] for section in select(Report("1", text), wanted)]


def test_a_hard_wrapped_report_keeps_paragraphs_and_numbers_together() -> None:
    found = dict(parts(MIMIC_LIKE))
    assert list(found) == ["technique", "indication", "comparison", "findings", "impression"]
    assert found["technique"] == "CHEST (PA AND LAT)"
    assert found["findings"].startswith("Heart size")
    assert found["findings"].endswith("No effusion.")
    assert found["impression"] == "1. New opacity at the left base.\n \n 2. Apices unchanged."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FINDINGS: Clear. IMPRESSION: Normal.", [("findings", "Clear."), ("impression", "Normal.")]),
        ("Findings: Clear.\nConclusion: Normal.", [("findings", "Clear."), ("impression", "Normal.")]),
        ("findings: clear impression: normal", [("findings", "clear"), ("impression", "normal")]),
        ("No effusion.Impression:Normal.", [("body", "No effusion."), ("impression", "Normal.")]),
        ("FINDINGS\nClear\nIMPRESSION\nNormal", [("findings", "Clear"), ("impression", "Normal")]),
        ("Findings\r\n\r\nClear.\r\n\r\nImpression\r\nNormal.", [("findings", "Clear."), ("impression", "Normal.")]),
        ("IMPRESSION - Normal.", [("impression", "Normal.")]),
        ("Impression \u2013 Normal.", [("impression", "Normal.")]),
        ("Clear. IMPRESSION- Normal.", [("body", "Clear."), ("impression", "Normal.")]),
        ("IMPRESSION 1. Normal.", [("impression", "1. Normal.")]),
        ("COMPARISON None.\nFINDINGS Small heart.", [("comparison", "None."), ("findings", "Small heart.")]),
        ("IMP: Normal.", [("impression", "Normal.")]),
        ("OPINION: Normal.", [("impression", "Normal.")]),
        ("**Findings:** Clear.\n**Impression:** Normal.", [("findings", "Clear."), ("impression", "Normal.")]),
        ("## Findings\nClear.\n\n## Impression\nNormal.", [("findings", "Clear."), ("impression", "Normal.")]),
        ("FINDINGS\n--------\nClear.", [("findings", "Clear.")]),
        ("FINDINGS AND IMPRESSION: Clear.", [("findings_impression", "Clear.")]),
        ("Findings/Impression: Clear.", [("findings_impression", "Clear.")]),
        ("FINDINGS AND\nIMPRESSION: Clear.", [("findings_impression", "Clear.")]),
        ("REASON FOR\n EXAMINATION: Fall.", [("indication", "Fall.")]),
        ("Clinical details: Fall.\nReport: Clear.", [("indication", "Fall."), ("findings", "Clear.")]),
        ("CLINICAL  HISTORY: Fall.", [("history", "Fall.")]),
        ("COMPARISON(S): None.\nRECOMMENDATION(S): CT.", [("comparison", "None."), ("recommendation", "CT.")]),
        ("IMPRESSION: Normal.\nNOTIFICATION: Told.", [("impression", "Normal."), ("notification", "Told.")]),
        ("IMPRESSION:\n\nFINDINGS: Clear.", [("findings", "Clear.")]),
        ("", []),
        (" \n ", []),
    ],
)  # fmt: skip
def test_headings(text: str, expected: list[tuple[str, str]]) -> None:
    assert parts(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The findings are stable. The impression of a mass remains in comparison to the prior study.",
        "There is a history of surgery. No acute findings.",
        "There are other findings: a granuloma and a healed rib.",
        "Incidental finding: azygos lobe.",
        "There are no acute\nfindings\nin the bones.",
        "THERE ARE NO ACUTE\nFINDINGS\nIN THE BONES.",
        "Compared with the last\nexam: no change.",
        "LUNGS: Clear.\nHEART: Normal.\nPneumothorax: None.\nLines/tubes: None.\nBONES: Intact.",
        "CHEST TWO VIEWS: The lungs are clear.",
        "Read at 11:20 by telephone - no change.",
    ],
)
def test_no_headings(text: str) -> None:
    assert parts(text) == [("body", text)]


def test_anatomy_stays_inside_its_section() -> None:
    text = "FINDINGS:\nLUNGS: Clear.\nPneumothorax: None.\n\nBONES: Intact.\nIMPRESSION: Normal."
    assert parts(text)[0] == ("findings", "LUNGS: Clear.\nPneumothorax: None.\n\nBONES: Intact.")


@pytest.mark.parametrize("heading", ["INDICATION", "HISTORY", "COMPARISON", "TECHNIQUE"])
def test_a_blank_line_ends_a_section_of_one_paragraph(heading: str) -> None:
    text = f"{heading}: One line\n that is wrapped.\n\nThe heart is large.\n\nNo effusion.\n\nIMPRESSION: Large heart."
    assert [name for name, _ in parts(text)] == [heading.lower(), "body", "impression"]
    assert parts(text)[1][1] == "The heart is large.\n\nNo effusion."


def test_a_line_break_is_enough_where_nothing_else_would_be_read() -> None:
    assert parts("Technique: One view.\nThe heart is large.\nNo effusion.")[1] == (
        "body",
        "The heart is large.\nNo effusion.",
    )
    wrapped = "INDICATION: Man with cough and\n fever for two days."
    assert [name for name, _ in parts(wrapped)] == ["indication"]


def test_the_name_of_the_film_ends_the_indication() -> None:
    assert chosen("Clinical details: ?pneumonia\nChest X-ray: The lungs are clear.") == ["The lungs are clear."]


def test_wet_read_and_final_report() -> None:
    text = (
        " WET READ: ___ ___ ___ 11:20 PM\n  Small right effusion.\n "
        + "_" * 78
        + "\n                        FINAL REPORT\n HISTORY: Fall.\n\n Small effusion.\n\n IMPRESSION: Effusion."
    )
    assert [name for name, _ in parts(text)] == ["wet_read", "history", "body", "impression"]
    assert chosen(text) == ["Small right effusion.", "Small effusion.", "Effusion."]
    assert chosen(text, "impression") == ["Small right effusion.", "Effusion."]


def test_versions_of_a_wet_read() -> None:
    text = "WET READ VERSION #1 ___ 9:13 PM\n No pneumothorax.\nWET READ VERSION #2 ___ 9:40 PM\n Tiny pneumothorax."
    assert parts(text) == [("wet_read", "No pneumothorax."), ("wet_read", "Tiny pneumothorax.")]


def test_select_takes_combined_sections_once_and_addenda() -> None:
    assert chosen("ADDENDUM: Rib fracture.\nFINDINGS/IMPRESSION: Clear.\nCOMPARISON: None.") == [
        "Rib fracture.",
        "Clear.",
    ]


def test_an_addendum_does_not_hide_a_report_without_headings() -> None:
    text = "ADDENDUM\nRib fracture.\n" + "_" * 40 + "\nFINAL REPORT\nThe lungs are clear."
    assert chosen(text) == ["Rib fracture.", "The lungs are clear."]


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("FINDINGS: A. IMPRESSION: B.", "impression|findings", ["B."]),
        ("FINDINGS: A. COMPARISON: C.", "impression|findings", ["A."]),
        ("FINDINGS: A. IMPRESSION: B.", " Impression , FINDINGS ", ["A.", "B."]),
        ("INDICATION: I. FINDINGS: A.", "indication", ["I."]),
        ("FINDINGS: A.", "indication", []),
        ("A.", "findings,impression", ["A."]),
        ("A. IMPRESSION: B.", "findings,impression", ["A.", "B."]),
        ("A. IMPRESSION: B.", "impression", ["B."]),
        ("A. IMPRESSION: B.", "impression|findings", ["B."]),
        ("A.\nFINDINGS/IMPRESSION: B.", "findings,impression", ["B."]),
        ("INDICATION: I.\n\nA.", "findings,impression", ["A."]),
        ("RECOMMENDATION AND SUGGESTIONS: CT.", "findings,impression", ["CT."]),
        ("IMPRESSION: B.\nRECOMMENDATION: CT.", "findings,impression", ["B."]),
        ("INDICATION: I.", "findings,impression", []),
        ("", "findings,impression", []),
    ],
)
def test_select(text: str, wanted: str, expected: list[str]) -> None:
    assert chosen(text, wanted) == expected


def test_select_trusts_the_sections_that_a_source_gives() -> None:
    text = "FINDINGS: the old IMPRESSION: of a mass"
    report = Report("1", text, (Section("findings", 10, len(text)),))
    assert select(report) == list(report.sections)


def test_select_names_what_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="Did you mean impression") as raised:
        select(Report("1", "A."), "findings,impresion")
    assert raised.value.code == "config.section"


def test_offsets_are_right_in_other_scripts_and_where_capitals_grow() -> None:
    text = "\u0130\u0130 \U0001f600 ok.\nFINDINGS: \u0628\u0637 \U0001f600.\nIMPRESSION: \u0130."
    assert parts(text)[1:] == [("findings", "\u0628\u0637 \U0001f600."), ("impression", "\u0130.")]


HEADINGS = st.sampled_from(
    [
        "FINDINGS:",
        "Impression:",
        "impression -",
        "INDICATION:",
        "History",
        "COMPARISON(S):",
        "WET READ:",
        "FINAL REPORT",
    ]
)
PIECES = st.lists(st.one_of(HEADINGS, st.text(max_size=20), st.sampled_from(["\n", "\n\n", ". ", " "])), max_size=20)


@given(PIECES)
def test_sections_are_in_order_apart_named_and_stripped(pieces: list[str]) -> None:
    text = "".join(pieces)
    end = 0
    for section in split_sections(text):
        body = text[section.start : section.end]
        assert end <= section.start < section.end
        assert section.name in NAMES
        assert body == body.strip()
        end = section.end
    assert end <= len(text)


@given(st.text(alphabet="abc dfg.\n", max_size=60).filter(str.strip))
def test_text_without_headings_is_read_whole(text: str) -> None:
    assert chosen(text) == [text.strip()]


@pytest.mark.parametrize(
    "unit", [":", "\n", "- ", "findings: ", "A ", "\n_____", "history: .\n \n", "\nWET READ ", "chest: "]
)
def test_time_grows_with_length_only(unit: str) -> None:
    text = unit * (300_000 // len(unit))
    begun = time.perf_counter()
    split_sections(text)
    assert time.perf_counter() - begun < 5
