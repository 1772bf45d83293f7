"""The rule labeler reads the golden sentences as a careful reader does, and there are enough of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from corpora.labels import STATE_NAMES, State
from labeler import Labeler, load

GOLDEN = Path(__file__).parent / "golden" / "sentences.yaml"
# the fewest texts per label in each state; a blank one is a near-miss
QUOTA: dict[State, int] = {1: 6, 0: 6, -1: 6, None: 4}
SPELLED: dict[object, State] = {1: 1, 0: 0, -1: -1, "blank": None}


class Sentence(NamedTuple):
    """A text and, for the labels that matter in it, the states that are right."""

    group: str
    text: str
    accepted: dict[str, tuple[State, ...]]


def read_golden() -> list[Sentence]:
    groups = yaml.safe_load(GOLDEN.read_text(encoding="utf-8"))
    return [
        Sentence(group["group"], item["text"], {label: states(value) for label, value in item["labels"].items()})
        for group in groups
        for item in group["sentences"]
    ]


def states(value: object) -> tuple[State, ...]:
    """The states that a value of the file stands for: one, or a list of several."""
    several = value if isinstance(value, list) else [value]
    return tuple(SPELLED[item] for item in several)


SENTENCES = read_golden()


@pytest.fixture(scope="module")
def labeler() -> Labeler:
    return load("rules.v1")


def wrong(labeler: Labeler, text: str, accepted: dict[str, tuple[State, ...]]) -> dict[str, str]:
    """What the labeler says of the labels that it gets wrong in ``text``."""
    found = labeler(text)
    return {
        label: f"{STATE_NAMES[found[label]]}, not {' or '.join(STATE_NAMES[state] for state in right)}"
        for label, right in accepted.items()
        if found[label] not in right
    }


@pytest.mark.parametrize("sentence", [pytest.param(s, id=f"{s.group}: {s.text}") for s in SENTENCES])
def test_a_golden_sentence(labeler: Labeler, sentence: Sentence) -> None:
    assert wrong(labeler, sentence.text, sentence.accepted) == {}


def test_hard_sentences(labeler: Labeler, shared: Path) -> None:
    file = shared / "gold" / "hard-sentences.jsonl"
    if not file.is_file():
        pytest.skip("needs gold/hard-sentences.jsonl in the data folder")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert rows
    missed = {row["id"]: wrong(labeler, row["text"], row["accepted"]) for row in rows}
    assert {name: labels for name, labels in missed.items() if labels} == {}


def test_every_label_and_state_has_its_quota(labeler: Labeler) -> None:
    counts = Counter((label, right[0]) for s in SENTENCES for label, right in s.accepted.items() if len(right) == 1)
    schema = labeler.schema
    short = {
        (label, STATE_NAMES[state]): counts[label, state]
        for label in schema.labels
        for state, least in QUOTA.items()
        # No Finding is given or not: it is never denied and never left open
        if counts[label, state] < least and (label != schema.no_finding or state in (1, None))
    }
    assert short == {}


def test_every_sentence_stands_once_and_names_labels_of_the_schema(labeler: Labeler) -> None:
    texts = Counter(s.text.casefold() for s in SENTENCES)
    assert [text for text, times in texts.items() if times > 1] == []
    assert {label for s in SENTENCES for label in s.accepted} <= set(labeler.schema.labels)
    assert all(s.accepted for s in SENTENCES)
    impossible = {s.text for s in SENTENCES if {0, -1} & set(s.accepted.get(labeler.schema.no_finding or "", ()))}
    assert impossible == set()
