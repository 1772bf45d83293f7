"""The naive peer: what a competent researcher writes in an afternoon with spaCy and negspacy, no cache.

A blank English pipeline with the sentencizer, a PhraseMatcher over lower-cased words (one key per label, overlapping
matches reduced by ``filter_spans``) and negspacy's ``negex`` with its own clinical terms. A label is positive if one
mention of it is not negated, negative if all are.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import negspacy.negation  # noqa: F401 - registers the factory "negex"
import spacy
from spacy.language import Language
from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc
from spacy.util import filter_spans

from corpora.labels import NEGATIVE, POSITIVE, State
from labeler.rules.phrases import expand
from labeler.schemas import chexpert14_v1
from tests.benchmarks.corpus import Row, read_rows

Phrases = Mapping[str, Sequence[str]]

NO_FINDING: Final = "No Finding"
_DEVICES: Final = "Support Devices"
#: About sixty phrases, as one would think of without a lexicon.
SHORT_LIST: Final[Phrases] = {
    "Enlarged Cardiomediastinum": ["widened mediastinum", "mediastinal widening", "enlarged cardiomediastinum"],
    "Cardiomegaly": ["cardiomegaly", "enlarged heart", "heart is enlarged", "cardiac enlargement"],
    "Lung Lesion": ["nodule", "nodules", "mass", "masses", "lesion", "granuloma", "tumor"],
    "Lung Opacity": ["opacity", "opacities", "infiltrate", "infiltrates", "airspace disease", "scarring", "density"],
    "Edema": ["edema", "pulmonary edema", "vascular congestion", "heart failure"],
    "Consolidation": ["consolidation", "consolidations"],
    "Pneumonia": ["pneumonia", "infection", "infectious process", "bronchopneumonia"],
    "Atelectasis": ["atelectasis", "atelectatic", "volume loss", "collapse"],
    "Pneumothorax": ["pneumothorax", "pneumothoraces"],
    "Pleural Effusion": ["effusion", "effusions", "pleural effusion", "pleural effusions", "pleural fluid"],
    "Pleural Other": ["pleural thickening", "pleural plaque", "pleural plaques", "fibrothorax"],
    "Fracture": ["fracture", "fractures", "fractured"],
    _DEVICES: [
        "catheter", "catheters", "tube", "pacemaker", "picc", "central line", "port", "sternotomy wires", "clips",
        "icd", "hardware", "chest tube", "stent",
    ],
}  # fmt: skip


def lexicon_phrases() -> Phrases:
    """The findings of the shipped lexicon, every alternative spelled out, by label."""
    labels = chexpert14_v1().phrases
    return {
        label: sorted({plain for phrase in phrases.findings for plain in expand(phrase)})
        for label, phrases in labels.items()
        if phrases.findings
    }


@Language.factory("finding_matcher", default_config={"phrases": {}})
class FindingMatcher:
    """Sets ``doc.ents`` to the phrases found, each labelled with the label it belongs to."""

    def __init__(self, nlp: Language, name: str, phrases: dict[str, list[str]]) -> None:
        self.matcher = PhraseMatcher(nlp.vocab, attr="LOWER")
        for label, listed in phrases.items():
            self.matcher.add(label, [nlp.make_doc(phrase) for phrase in listed])

    def __call__(self, doc: Doc) -> Doc:
        doc.ents = filter_spans(self.matcher(doc, as_spans=True))
        return doc


def build(phrases: Phrases) -> Language:
    """The peer's pipeline for these phrases."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("finding_matcher", config={"phrases": {label: list(listed) for label, listed in phrases.items()}})
    nlp.add_pipe("negex")
    return nlp


def states(doc: Doc, labels: Sequence[str]) -> list[State]:
    """One state per label; No Finding where nothing but devices is positive."""
    found: dict[str, State] = {}
    for mention in doc.ents:
        if not mention._.negex:
            found[mention.label_] = POSITIVE
        else:
            found.setdefault(mention.label_, NEGATIVE)
    if not any(state == POSITIVE for label, state in found.items() if label != _DEVICES):
        found[NO_FINDING] = POSITIVE
    return [found.get(label) for label in labels]


def label_table(nlp: Language, source: Path, out: Path, *, pipe: bool) -> int:
    """Label the CSV ``source`` into the CSV ``out``, by ``nlp.pipe`` or report by report; the number of reports."""
    labels = chexpert_labels()
    count = 0
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["study_id", *labels])
        for doc, study_id in _docs(nlp, read_rows(source), pipe):
            writer.writerow([study_id, *states(doc, labels)])
            count += 1
    return count


def chexpert_labels() -> tuple[str, ...]:
    """The fourteen columns."""
    return chexpert14_v1().schema.labels


def _docs(nlp: Language, rows: Iterable[Row], pipe: bool) -> Iterator[tuple[Doc, Any]]:
    if pipe:
        return nlp.pipe(((row.text, row.study_id) for row in rows), as_tuples=True)
    return ((nlp(row.text), row.study_id) for row in rows)
