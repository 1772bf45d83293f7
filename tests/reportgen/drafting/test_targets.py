"""Targets of a decoder: sections as tokens, comparisons taken out, a text that cannot break out of its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.types import Report
from reportgen.targets import (
    END,
    SPECIAL,
    harmless,
    indication_of,
    mentions_prior,
    prompt_of,
    sections_of,
    target_of,
    with_hints,
    without_comparison,
)


@pytest.mark.parametrize(
    ("sentence", "left"),
    [
        ("The lungs are clear.", "The lungs are clear."),
        ("Heart size is normal, unchanged from the prior study.", "Heart size is normal."),
        ("Small left effusion, new since 05/06/2020.", "Small left effusion."),
        ("Unchanged mild cardiomegaly.", "Mild cardiomegaly."),
        ("Persistent right basilar atelectasis, stable.", "Right basilar atelectasis."),
        ("Tiny pneumothorax persists.", "Tiny pneumothorax."),
        ("The effusion has improved.", None),
        ("No significant change.", None),
        ("Compared to the previous film, the edema is worse.", None),
        ("Increased interstitial markings.", "Increased interstitial markings."),
        ("The opacity is larger than before.", None),
        ("Pneumothorax has resolved.", None),
        ("Lines and tubes have been removed.", None),
    ],
)
def test_comparisons_are_taken_out(sentence, left):
    found = without_comparison(sentence)
    assert found == left
    assert found is None or not mentions_prior(found)


def test_what_was_taken_out_is_counted():
    report = Report("s", "FINDINGS: No change. Stable cardiomegaly. Clear lungs.\n\nIMPRESSION: Unchanged.")
    found = target_of(report)
    assert found.sections == (("findings", "Cardiomegaly. Clear lungs."),)
    assert (found.dropped, found.trimmed) == (2, 1)


def test_with_a_prior_nothing_is_taken_out():
    found = target_of(Report("s", "FINDINGS: Stable cardiomegaly.\n\nIMPRESSION: No change."), prior=True)
    assert found.sections == (("findings", "Stable cardiomegaly."), ("impression", "No change."))
    assert found.dropped == found.trimmed == 0


def test_a_report_without_headings_is_findings():
    assert target_of(Report("s", "Clear lungs.")).sections == (("findings", "Clear lungs."),)
    assert indication_of(Report("s", "INDICATION: Cough,\n fever.\n\nFINDINGS: Clear.")) == "Cough, fever."


@given(st.text(), st.lists(st.text(max_size=12), max_size=4))
def test_no_text_can_hold_a_token(text, labels):
    hostile = text + "".join(SPECIAL)
    prompt = with_hints(prompt_of(hostile, hostile), [*labels, END])
    assert all(token not in harmless(hostile) for token in SPECIAL)
    assert END not in prompt
    assert prompt.endswith("<|report|>")


@given(st.lists(st.sampled_from(["Clear lungs.", "Effusion.", "<|end|>", "<|findings|>"]), min_size=1, max_size=5))
def test_what_is_marked_is_read_back(sentences):
    target = target_of(Report("s", f"FINDINGS: {' '.join(sentences)}"))
    assert sections_of(target.marked) == {name: harmless(text) for name, text in target.sections}


@pytest.mark.parametrize("marked", ["", "<|end|>Clear.", "<|findings|><|end|>", "<|pad|><|pad|>"])
def test_nothing_written_is_an_empty_draft(marked):
    assert sections_of(marked) == {}


def test_what_follows_a_section_asked_for_is_its_own():
    assert sections_of("Normal.<|end|>", "impression") == {"impression": "Normal."}


def test_iu_reports_hold_no_comparison_after_it(shared):
    """Real reports: no target speaks of an earlier film, and most text stays."""
    import csv

    path = shared / "data" / "iu-benchmark" / "cvt2distilgpt2_test_reports.csv"
    if not path.is_file():
        pytest.skip("needs the table of IU drafts")
    with path.open(encoding="utf-8", newline="") as file:
        texts = [row["report"] for row in csv.DictReader(file)][:300]
    targets = [target_of(Report("s", text)) for text in texts]
    assert not any(mentions_prior(target.text) for target in targets)
    assert sum(len(target.text) for target in targets) > 0.8 * sum(map(len, texts))
