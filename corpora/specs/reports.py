"""Checks on reports: their sections, their characters, their indications."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

from corpora.specs.evidence import Evidence, Outcome, bounds_text, missing, share_outcome
from corpora.specs.facts import StudyFacts
from corpora.specs.model import Indication, Sections, SoundText


def sections(criterion: Sections, evidence: Evidence) -> Outcome:
    """Studies whose report has every section, demarcated by a heading and not empty."""
    wanted = [name.lower() for name in criterion.sections]
    lacking: Counter[str] = Counter()
    against: list[str] = []
    for study in evidence.studies:
        absent = [name for name in wanted if name not in study.words]
        if absent or not study.has_report:
            against.append(study.study_id)
            lacking[", ".join(absent) if study.has_report else "no report"] += 1
    if not any(study.has_report for study in evidence.studies):
        return missing(
            criterion, "no study has a report", bounds_text(criterion.at_least, criterion.at_most, share=True)
        )
    of = len(evidence.studies)
    return share_outcome(criterion, of - len(against), of, against, {"lacking": dict(lacking.most_common())})


def sound_text(criterion: SoundText, evidence: Evidence) -> Outcome:
    """Reports whose characters are sound."""
    reports = [study for study in evidence.studies if study.has_report]
    if not reports:
        return missing(
            criterion, "no study has a report", bounds_text(criterion.at_least, criterion.at_most, share=True)
        )
    faults = Counter(study.text_fault for study in reports if study.text_fault)
    against = [study.study_id for study in reports if study.text_fault]
    return share_outcome(criterion, len(reports) - len(against), len(reports), against, {"faults": dict(faults)})


def indication(criterion: Indication, evidence: Evidence) -> Outcome:
    """Studies whose indication falls into one of the classes; each class must occur if the criterion says so."""
    threshold = bounds_text(criterion.at_least, criterion.at_most, share=True)
    if not any(study.indication for study in evidence.studies):
        return missing(criterion, "no report has an indication or history", threshold)
    classes = indication_classes(evidence.studies, evidence.spec.indications)
    counts = Counter(classes.values())
    against = [study.study_id for study in evidence.studies if study.study_id not in classes]
    absent = [name for name in evidence.spec.indications if not counts[name]]
    without = sum(not study.indication for study in evidence.studies)
    details = {
        "counts": {name: counts[name] for name in evidence.spec.indications},
        "no class": len(against) - without, "no indication": without,
    }  # fmt: skip
    note = f"no study is in the class {', '.join(absent)}" if absent else ""
    found = share_outcome(criterion, len(classes), len(evidence.studies), against, details, note)
    if not (absent and criterion.every_class):
        return found
    return Outcome("fail", found.measured, found.shown, threshold, note, found.offending, found.details)


def indication_classes(studies: Iterable[StudyFacts], classes: Mapping[str, list[str]]) -> dict[str, str]:
    """The class of every study that has one: the first whose expression is found in its indication."""
    rules = tuple((name, tuple(patterns)) for name, patterns in classes.items())
    found = ((study.study_id, _class(study.indication, rules)) for study in studies if study.indication)
    return {study_id: name for study_id, name in found if name}


@lru_cache(maxsize=16_384)
def _class(text: str, rules: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    folded = " ".join(text.lower().split())
    return next((name for name, patterns in rules if _compiled(patterns).search(folded)), "")


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(patterns) + ")")
