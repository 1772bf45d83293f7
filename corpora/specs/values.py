"""Checks on counts and values: how many, which views, which header fields, which years, ages and vendors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from corpora.specs.aggregates import Tally, tally
from corpora.specs.evidence import (
    Evidence,
    Outcome,
    Verdict,
    bounds_text,
    missing,
    number_text,
    share_outcome,
    share_text,
    within,
)
from corpora.specs.facts import StudyFacts
from corpora.specs.model import Count, CountPer, Distinct, ImageValues, Rule, SplitSizes, StudyValues, ViewShare
from corpora.types import ImageRef

#: The names that sources give their own splits.
SPLIT_NAMES: Final = {
    "train": "train", "training": "train", "development": "train", "dev": "train",
    "validate": "validate", "valid": "validate", "val": "validate", "validation": "validate", "tune": "validate",
    "test": "test", "testing": "test", "eval": "test",
}  # fmt: skip
#: The age from which a patient is no child, in years.
ADULT: Final = 18
_LATERAL: Final = frozenset({"LL", "RL", "LAT", "LLD", "RLD"})


def view_of(image: ImageRef) -> str | None:
    """The view in capitals; every lateral is ``LATERAL``."""
    view = image.view.strip().upper() if image.view else None
    return "LATERAL" if view and (view in _LATERAL or "LATERAL" in view) else view or None


def keeps(rule: Rule, value: Any) -> bool | None:
    """Whether a value keeps a rule; None if there is no value to tell by.

    >>> keeps(Rule(at_least=12), 10), keeps(Rule(one_of=["CR"]), "cr"), keeps(Rule(recorded=True), None)
    (False, True, False)
    """
    if value is None or value == "":
        return False if rule.recorded else None
    bounds = (rule.at_least, rule.at_most, rule.below)
    if any(bound is not None for bound in bounds):
        if isinstance(value, str) or not within(value, rule.at_least, rule.at_most):
            return False
        if rule.below is not None and not value < rule.below:
            return False
    if rule.one_of is not None and _folded(value) not in map(_folded, rule.one_of):
        return False
    return rule.matches is None or any(re.search(pattern, str(value), re.IGNORECASE) for pattern in rule.matches)


def _folded(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def count(criterion: Count, evidence: Evidence) -> Outcome:
    """How many studies, patients or images."""
    numbers = {
        "studies": len(evidence.studies),
        "patients": len({study.patient for study in evidence.studies}),
        "images": sum(len(study.images) for study in evidence.studies),
    }
    value = numbers[criterion.of]
    verdict: Verdict = "pass" if within(value, criterion.at_least, criterion.at_most) else "fail"
    threshold = bounds_text(criterion.at_least, criterion.at_most, share=False)
    return Outcome(verdict, value, number_text(value), threshold, details=numbers)


def count_per(criterion: CountPer, evidence: Evidence) -> Outcome:
    """Images of each study, or studies of each patient."""
    studies = evidence.studies
    patients = Counter(study.patient for study in studies)
    images = criterion.of == "images"
    sizes = [len(study.images) if images else patients[study.patient] for study in studies]
    outside = [
        study.study_id
        for study, size in zip(studies, sizes, strict=True)
        if not within(size, criterion.at_least, criterion.at_most)
    ]
    spread = Counter(sizes if images else patients.values())
    low, high = min(spread, default=0), max(spread, default=0)
    worst = low if criterion.at_least is not None and low < criterion.at_least else high
    return Outcome(
        "fail" if outside else "pass", worst, f"{low} to {high}" if low != high else str(low),
        bounds_text(criterion.at_least, criterion.at_most, share=False), offending=tuple(outside),
        details={"counts": {str(size): spread[size] for size in sorted(spread)}},
    )  # fmt: skip


def view_share(criterion: ViewShare, evidence: Evidence) -> Outcome:
    """Studies that have an image of one of the views."""
    wanted = {view.upper() for view in criterion.views}
    views = [{view_of(image) for image in study.images} for study in evidence.studies]
    with_view = [bool(wanted & found) for found in views]
    counts = Counter(view_of(image) or "unknown" for study in evidence.studies for image in study.images)
    against = (study.study_id for study, found in zip(evidence.studies, with_view, strict=True) if not found)
    return share_outcome(criterion, sum(with_view), len(with_view), against, {"images": dict(counts.most_common())})


def image_values(criterion: ImageValues, evidence: Evidence) -> Outcome:
    """Images whose header fields keep the rules."""
    wanted = None if criterion.views is None else {view.upper() for view in criterion.views}
    good, of, unknown_values = 0, 0, 0
    against: list[str] = []
    breaks: Counter[str] = Counter()
    for study, image in _images(evidence.studies):
        if wanted is not None and view_of(image) not in wanted:
            continue
        kept = {name: keeps(rule, getattr(image, name)) for name, rule in criterion.where.items()}
        if None in kept.values():
            unknown_values += 1
            if criterion.unknown == "left out" and False not in kept.values():
                continue
        of += 1
        if all(kept.values()):
            good += 1
        else:
            against.append(study.study_id)
            breaks.update(f"{name}: {_value(image, name)}" for name, held in kept.items() if not held)
    threshold = bounds_text(criterion.at_least, criterion.at_most, share=True)
    if not of or (good == 0 and unknown_values == of):
        names = ", ".join(criterion.where)
        reason = f"no image has a value of {names}" if unknown_values else "there are no such images"
        return missing(criterion, reason, threshold)
    details = {"without a value": unknown_values, "broken by": dict(breaks.most_common(20))}
    note = f"{unknown_values:,} images have no value" if unknown_values else ""
    return share_outcome(criterion, good, of, against, details, note)


def _images(studies: Iterable[StudyFacts]) -> Iterator[tuple[StudyFacts, ImageRef]]:
    return ((study, image) for study in studies for image in study.images)


def _value(image: ImageRef, name: str) -> str:
    value = getattr(image, name)
    return "no value" if value is None else str(value)


def study_values(criterion: StudyValues, evidence: Evidence) -> Outcome:
    """Studies whose values keep the rules, or what the aggregates of the manifest say of one field."""
    held = [_holds(study, criterion.where) for study in evidence.studies]
    name, rule = next(iter(criterion.where.items()))
    if len(criterion.where) == 1 and all(_known(study, name) is None for study in evidence.studies):
        counted = tally(evidence, name)
        if counted.counts:
            return _from_aggregates(criterion, rule, counted, len(evidence.studies))
    if criterion.unknown == "breaks":
        held = [bool(value) for value in held]
    known = [value for value in held if value is not None]
    threshold = bounds_text(criterion.at_least, criterion.at_most, share=True)
    if not known or not any(_recorded(study, criterion.where) for study in evidence.studies):
        return missing(criterion, f"no study has a value of {', '.join(criterion.where)}", threshold)
    against = criterion.at_least is None
    offending = (study.study_id for study, value in zip(evidence.studies, held, strict=True) if value is against)
    left_out = len(held) - len(known)
    note = f"{left_out:,} studies have no value" if left_out else ""
    details = {"without a value": left_out, "counts": _counts(evidence, name)}
    return share_outcome(criterion, sum(known), len(known), offending, details, note)


def _counts(evidence: Evidence, name: str) -> dict[str, int]:
    if name in ("age", "sex", "year"):
        return dict(tally(evidence, name).counts)
    return {}


def _recorded(study: StudyFacts, where: Mapping[str, Rule]) -> bool:
    return all(_known(study, name) not in (None, "") or _flagged(study, name) for name in where)


def _flagged(study: StudyFacts, name: str) -> bool:
    return name == "age" and study.paediatric is not None


def _holds(study: StudyFacts, where: Mapping[str, Rule]) -> bool | None:
    kept = [_study_keeps(study, name, rule) for name, rule in where.items()]
    return False if False in kept else None if None in kept else True


def _study_keeps(study: StudyFacts, name: str, rule: Rule) -> bool | None:
    if name == "split":
        return keeps(rule, SPLIT_NAMES.get((study.split or "").lower(), study.split))
    if name == "age" and study.age is None and rule.below == ADULT:
        # a source that gives no ages may still say who is a child
        return study.paediatric
    return keeps(rule, _known(study, name))


def _known(study: StudyFacts, name: str) -> Any:
    return is_child(study) if name == "paediatric" else getattr(study, name)


def is_child(study: StudyFacts) -> bool | None:
    """Whether the patient is under 18: by age, else by the source's own flag; None where neither is there."""
    return study.paediatric if study.age is None else study.age < ADULT


def _from_aggregates(criterion: StudyValues, rule: Rule, counted: Tally, studies: int) -> Outcome:
    """A share from counts by value or decade: between what surely keeps the rule and what may."""
    surely, maybe, known = 0, 0, sum(counted.counts.values())
    for text, number in counted.counts.items():
        low, high = counted.span(text)
        ends = {keeps(rule, low), keeps(rule, high)}
        surely += number if ends == {True} else 0
        maybe += number if True in ends else 0
    of = max(studies, known) if criterion.unknown == "breaks" or rule.recorded else known
    low_share, high_share = surely / of, maybe / of
    threshold = bounds_text(criterion.at_least, criterion.at_most, share=True)
    verdicts = {within(share, criterion.at_least, criterion.at_most) for share in (low_share, high_share)}
    shown = share_text(low_share) if surely == maybe else f"{share_text(low_share)} to {share_text(high_share)}"
    note = f"from the {counted.source} of the manifest: the studies carry no such value"
    verdict: Verdict = "not judged" if len(verdicts) > 1 else "pass" if True in verdicts else "fail"
    if len(verdicts) > 1:
        note += "; the bins are too wide to tell"
    return Outcome(verdict, low_share, shown, threshold, note, details={"counts": dict(counted.counts)})


def distinct(criterion: Distinct, evidence: Evidence) -> Outcome:
    """How many different years, vendors and so on, each with enough studies."""
    counted = tally(evidence, criterion.field, criterion.names)
    threshold = bounds_text(criterion.at_least, criterion.at_most, share=False)
    if not counted.counts:
        return missing(criterion, f"no study has a value of {criterion.field}", threshold)
    enough = {value: number for value, number in counted.counts.items() if number >= criterion.least_studies}
    verdict: Verdict = "pass" if within(len(enough), criterion.at_least, criterion.at_most) else "fail"
    note = f"from the {counted.source} of the manifest: the studies carry no such value" if counted.source else ""
    shown = f"{len(enough)}: {', '.join(list(enough)[:8])}{' ...' if len(enough) > 8 else ''}" if enough else "0"
    return Outcome(verdict, len(enough), shown, threshold, note, details={"counts": dict(counted.counts)})


def split_sizes(criterion: SplitSizes, evidence: Evidence) -> Outcome:
    """The sizes of the source's own splits."""
    names = Counter(SPLIT_NAMES.get(study.split.lower(), study.split) for study in evidence.studies if study.split)
    threshold = ", ".join(f"{name} {size:,}" for name, size in criterion.sizes.items())
    if not names:
        return missing(criterion, "no study has a split of its source", threshold)
    shown = ", ".join(
        f"{name} {names[name]:,}" for name in (*criterion.sizes, *(names.keys() - criterion.sizes.keys()))
    )
    right = (
        all(names[name] == size for name, size in criterion.sizes.items()) and not names.keys() - criterion.sizes.keys()
    )
    without = tuple(study.study_id for study in evidence.studies if not study.split)
    return Outcome(
        "pass" if right else "fail", None, shown, threshold, offending=without, details={"counts": dict(names)}
    )
