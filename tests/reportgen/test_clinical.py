"""The clinical score: what a radiologist charges, and what costs nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reportgen.clinical import load_clinical
from reportgen.clinical.contrast import load_contrasts, sensitivity
from reportgen.metrics.bleu import Bleu
from reportgen.metrics.clinical import Clinical
from reportgen.metrics.rouge import RougeL
from reportgen.metrics.safety import Safety, compares, repeats_itself
from reportgen.types import Pair


@pytest.fixture(scope="module")
def clinical():
    return Clinical()


def kinds(clinical, draft, reference):
    return {(error.kind, error.label) for error in clinical.compare(draft, reference).errors}


@pytest.mark.parametrize(
    ("draft", "error"),
    [
        ("Small right pleural effusion. Mild cardiomegaly.", ("side", "Pleural Effusion")),
        ("Large left pleural effusion. Mild cardiomegaly.", ("severity", "Pleural Effusion")),
        ("Small left pleural effusion. No cardiomegaly.", ("omission", "Cardiomegaly")),
        ("Small left pleural effusion. Mild cardiomegaly. Pneumothorax.", ("false finding", "Pneumothorax")),
        ("Possible small left pleural effusion. Mild cardiomegaly.", ("uncertainty", "Pleural Effusion")),
    ],
)
def test_each_error_is_named(clinical, draft, error):
    assert kinds(clinical, draft, "Small left pleural effusion. Mild cardiomegaly. No pneumothorax.") == {error}


@pytest.mark.parametrize("draft", ["", "   ", ".....", "- - -", "\u2026 \u2014"])
def test_a_draft_without_a_word_is_an_empty_draft(clinical, draft):
    # by its findings alone it would be nearly right: silence costs little where the reference is normal
    normal = "The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax."
    assert clinical.compare(draft, normal).score > 0.7
    scored = clinical.score([Pair("a", draft, (normal,)), Pair("b", normal, (normal,))])[0]
    assert scored.reasons == {0: "empty draft"} and scored.unscored == 1
    assert scored.total() == pytest.approx(scored.values[1] / 2)


@pytest.mark.parametrize("draft", ["Clear.", "\u5fc3\u81df\u306f\u6b63\u5e38\u3067\u3059\u3002", "4 cm"])
def test_a_draft_of_one_word_is_none(clinical, draft):
    scored = clinical.score([Pair("a", draft, ("The lungs are clear.",))])[0]
    assert scored.unscored == 0 and scored.values[0] == clinical.compare(draft, "The lungs are clear.").score


# reference, the draft that a radiologist prefers, the other one
RANKED = [
    ("Right tension pneumothorax. Mild degenerative changes of the spine.", "Right tension pneumothorax.",
     "Mild degenerative changes of the spine."),
    ("The heart is normal. The lungs are clear. No effusion.", "No acute cardiopulmonary process.",
     "The heart is normal. The lungs are clear. Small left effusion."),
    ("ET tube tip is in the right mainstem bronchus.", "The endotracheal tube ends in the right main bronchus.",
     "ET tube tip is 4 cm above the carina."),
    ("ET tube tip is 4 cm above the carina.", "Endotracheal tube ends 5 cm above the carina.",
     "ET tube tip is 1 cm above the carina."),
    ("Calcified aorta. Right lower lobe pneumonia.", "Right lower lobe pneumonia.", "Calcified aorta."),
    ("6 mm nodule in the right upper lobe.", "Right upper lobe nodule measuring 7 mm.",
     "30 mm nodule in the right upper lobe."),
    ("Free air under the right hemidiaphragm.", "Pneumoperitoneum.", "No free air under the right hemidiaphragm."),
    ("Unchanged small left effusion.", "Small left effusion.", "Worsening small left effusion."),
    ("Old healed right rib fractures.", "Chronic right rib fractures.", "Acute right rib fractures."),
    ("Large hiatal hernia. No acute process.", "No acute process.", "Large retrocardiac mass. No acute process."),
    ("Left pneumothorax has resolved.", "No pneumothorax.", "Persistent left pneumothorax."),
    ("Moderate cardiomegaly. Granuloma in the left lung.", "Moderate cardiomegaly.", "Granuloma in the left lung."),
    ("Opacity in the left base, likely atelectasis.", "Left basilar atelectasis.", "The left base is clear."),
    ("Central line ends in the right atrium. No pneumothorax.", "Central line ends in the right atrium.",
     "Central line ends in the right atrium. Small pneumothorax."),
]  # fmt: skip


@pytest.mark.parametrize(("reference", "better", "worse"), RANKED)
def test_what_a_radiologist_prefers_scores_higher(clinical, reference, better, worse):
    assert clinical.compare(better, reference).score > clinical.compare(worse, reference).score


def test_the_contrast_set_shows_what_each_metric_sees():
    contrasts = load_contrasts()
    assert len(contrasts) >= 200 and len({one.kind for one in contrasts}) == 10
    ours = sensitivity(Clinical(), contrasts)["radloop-clinical"]
    for kind, seen in ours.items():
        if kind == "rewording":
            assert seen["drop"] < 0.03
        else:
            assert seen["seen"] >= 0.9 * seen["of"], kind
            assert seen["drop"] > 4 * ours["rewording"]["drop"], kind
    # text overlap does not: a reworded report loses more than one that is wrong
    for name, table in (sensitivity(Bleu(), contrasts) | sensitivity(RougeL(), contrasts)).items():
        assert table["side"]["seen"] < 0.25 * table["side"]["of"], name
        assert table["rewording"]["drop"] > table["side"]["drop"], name


def test_consequence_orders_omissions(clinical):
    def omitted(finding):
        return clinical.compare("No acute process.", f"{finding}. The heart is normal.").score

    found = [omitted(f) for f in ("Large pneumothorax", "Pneumonia", "Atelectasis", "Mild degenerative changes")]
    assert found == sorted(found) and found[0] < 0.4 < 0.8 < found[-1]


SENTENCES = st.lists(
    st.sampled_from([text for one in load_contrasts()[::9] for text in one.reference.split(". ")]), max_size=6
).map(". ".join)


@given(SENTENCES)
def test_a_report_is_perfect_against_itself(text):
    found = Clinical().compare(text, text)
    assert found.score == 1 and not found.errors


@given(SENTENCES, SENTENCES)
def test_scores_are_shares_and_errors_cost(draft, reference):
    found = Clinical().compare(draft, reference)
    assert 0 < found.score <= 1
    assert all(error.cost > 0 for error in found.errors) and (found.score < 1 or not found.errors)


def test_scores_do_not_depend_on_what_was_read_before():
    pairs = [Pair("a", one.changed, (one.reference,)) for one in load_contrasts()]
    first = Clinical().score(pairs)[0].values
    assert (Clinical().score(pairs[::-1])[0].values[::-1] == first).all()


def test_every_weight_is_of_a_finding_that_is_looked_for():
    from labeler.schemas import read_schema

    config = load_clinical()
    known = set(read_schema(config.schema_file()).schema.labels)
    named = {*config.told_by, *config.instead_of, *(name for near in config.near for name in near[:2])}
    assert named <= known and set(config.weights) == known


def test_safety_columns():
    pairs = [
        Pair("a", "Stable cardiomegaly. No cardiomegaly.", ("Cardiomegaly.",)),
        Pair("b", "The lungs are clear. The lungs are clear.", ("The lungs are clear.",)),
    ]
    found = {one.name: one.total() for one in Safety().score(pairs)}
    assert found["drafts that compare"] == found["comparisons not in the reference"] == 0.5
    assert found["drafts that contradict themselves"] == found["drafts that repeat a sentence"] == 0.5
    assert found["findings the reference cannot support"] == 0
    assert found["length ratio"] == 12 / 5


def test_what_is_no_comparison_and_no_repeat():
    assert not compares("The heart is normal in size. No pneumothorax.")
    assert compares("In the interval the effusion has decreased.")
    assert not repeats_itself("No effusion. No pneumothorax.")
