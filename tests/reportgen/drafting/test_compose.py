"""Made reports: they hold the labels that they are told with, and no chance changes them."""

from collections import Counter

from corpora.types import Report
from reportgen.compose import compose
from reportgen.scorer import positives
from reportgen.targets import target_of

TEXTS = (
    "The heart is enlarged. No pneumothorax. The osseous structures are intact.",
    "There is a pleural effusion. The heart is not enlarged.",
    "There is a rib fracture. No pleural effusion.",
    "The trachea is midline. There is pulmonary edema.",
)


def targets():
    return [target_of(Report(f"s{number}", text)) for number, text in enumerate(TEXTS)]


def test_a_made_report_says_the_labels_it_is_told_with():
    made = compose(targets(), "rules.v1", 80, seed=0)
    labels, found = positives("rules.v1", [target.text for target, _ in made])
    for (_, told), row in zip(made, found, strict=True):
        said = {label for label, here in zip(labels, row, strict=True) if here} - {"No Finding"}
        assert said == set(told)


def test_each_label_is_as_likely_and_a_seed_decides():
    made = compose(targets(), "rules.v1", 200, seed=1)
    assert made == compose(targets(), "rules.v1", 200, seed=1)
    counts = Counter(label for _, labels in made for label in labels)
    assert len(counts) == 4
    assert min(counts.values()) > 0.6 * max(counts.values())


def test_nothing_is_made_of_reports_without_labels():
    assert compose([target_of(Report("s", "Images were sent."))], "rules.v1", 5, seed=0) == []
