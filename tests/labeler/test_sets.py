"""The shipped label sets read their golden sentences, as do the maps and parents between their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from corpora.labels import NEGATIVE, POSITIVE, STATE_NAMES, UNCERTAIN, State
from corpora.registry import names
from labeler import Labeler, load
from labeler.schemas import load_schema

GOLDEN = Path(__file__).parent / "golden"
SETS = [name for name in names("schemas") if name != "chexpert14.v1"]
SIZES = {"deepmrdtr.v1": 28, "nih14.v1": 15, "padchest-top.v1": 62, "pedicxr52.v1": 52, "vindr28.v1": 28}
FEWEST = 6
SPELLED: dict[object, State] = {1: 1, 0: 0, -1: -1, "blank": None}


class Golden(NamedTuple):
    entry: str
    text: str
    state: State


def by_entry() -> dict[str, list[Golden]]:
    """The golden sentences of each entry of the finding lexicons: those of the sets, and of chexpert14."""
    found: dict[str, list[Golden]] = {}
    own = yaml.safe_load((GOLDEN / "sets.yaml").read_text(encoding="utf-8"))
    for entry, states in own.items():
        found[entry] = [Golden(entry, text, SPELLED[state]) for state, texts in states.items() for text in texts]
    for group in yaml.safe_load((GOLDEN / "sentences.yaml").read_text(encoding="utf-8")):
        for item in group["sentences"]:
            for label, state in item["labels"].items():
                if label not in own and not isinstance(state, list) and state != "blank":
                    found.setdefault(label, []).append(Golden(label, item["text"], SPELLED[state]))
    return found


ENTRIES = by_entry()


def sentences(schema: str, label: str) -> Iterator[Golden]:
    """The golden sentences that hold for a label; near misses where they miss all that it means."""
    entries = load_schema(schema).entries[label]
    near = {g.text for entry in entries for g in ENTRIES.get(entry, ()) if g.state is None}
    other = {g.text for entry in entries for g in ENTRIES.get(entry, ()) if g.state is not None}
    for entry in entries:
        for golden in ENTRIES.get(entry, ()):
            if golden.state is not None or (len(entries) == 1 and golden.text in near - other):
                yield golden


@pytest.fixture(scope="module", params=SETS)
def labeler(request: pytest.FixtureRequest) -> Labeler:
    return load("rules.v1", request.param)


def test_the_sets_have_their_labels() -> None:
    assert {name: len(load_schema(name).schema.labels) for name in SETS} == SIZES


def test_golden_sentences(labeler: Labeler) -> None:
    schema = labeler.schema
    wrong = {
        (label, golden.text): f"{STATE_NAMES[found]}, not {STATE_NAMES[golden.state]}"
        for label in schema.labels
        if label != schema.no_finding
        for golden in sentences(schema.name, label)
        if (found := labeler(golden.text)[label]) != golden.state
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Normal chest.", POSITIVE),
        ("Lungs are clear. Heart size is normal. No effusion.", POSITIVE),
        ("No acute cardiopulmonary abnormality.", POSITIVE),
        ("No focal consolidation, effusion or pneumothorax.", POSITIVE),
        ("Small left pleural effusion.", None),
        ("Possible pneumonia. Otherwise normal.", None),
        ("Right lower lobe opacity.", None),
        ("Healed rib fracture. The lungs are clear.", None),
        ("A nodule cannot be excluded.", None),
        ("Comparison was made.", None),
    ],
)
def test_a_film_without_a_finding(labeler: Labeler, text: str, state: State) -> None:
    if labeler.schema.no_finding is not None:
        assert labeler(text)[labeler.schema.no_finding] == state


def test_every_label_has_its_golden_sentences(labeler: Labeler) -> None:
    schema = labeler.schema
    short = {}
    for label in schema.labels:
        if label == schema.no_finding:
            continue
        counts = Counter(golden.state for golden in sentences(schema.name, label))
        if sum(counts.values()) < FEWEST or not {POSITIVE, NEGATIVE, UNCERTAIN} <= counts.keys():
            short[label] = counts
    assert short == {}


def test_a_schema_that_adds_a_label_in_english_is_valid(radloop, tmp_path):
    path = tmp_path / "ours.yaml"
    path.write_text("base: chexpert14.v1\nname: ours.v1\nlabels: {Hiatal Hernia: {findings: [hiatal hernia]}}\n")
    assert radloop("validate", path).code == 0
    german = radloop("label", "explain", "Kein Erguss.", "--schema", path, "--language", "de")
    assert german.code == 2 and "label 'Hiatal Hernia' has no phrases" in german.err
    path.write_text("base: chexpert14.v1\nname: ours.v1\nlabels: {Hiatal Hernia: {}}\n")
    assert "[config.label]" in radloop("validate", path).err
