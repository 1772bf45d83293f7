"""Checks on labels, on the audit of them, and on boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from corpora.labels import STATE_NAMES
from corpora.runs import hash_input
from corpora.specs.evidence import Evidence, Outcome, Verdict, bounds_text, missing, share_outcome, share_text
from corpora.specs.model import Audit, Boxes, Labelled, LabelNames, LabelStates

_NO_LABELS: Final = "the corpus has no labels, and no label table was given"
_SHOWN: Final = 5


def labels_by_study(evidence: Evidence) -> dict[str, Mapping[str, int]]:
    """The labels of each study that has any: from the label table if one was given, else from the corpus."""
    table = evidence.labels
    if table is not None:
        return {
            study.study_id: table.labels[study.study_id] for study in evidence.studies if study.study_id in table.labels
        }
    return {study.study_id: study.labels for study in evidence.studies if study.labels is not None}


def labelled(criterion: Labelled, evidence: Evidence) -> Outcome:
    """Studies that carry labels. Rows of the table for studies that the corpus does not have are counted."""
    found = labels_by_study(evidence)
    threshold = bounds_text(criterion.at_least, criterion.at_most, share=True)
    if not found:
        reason = _NO_LABELS if evidence.labels is None else "the label table has none of the corpus's studies"
        return missing(criterion, reason, threshold)
    against = [study.study_id for study in evidence.studies if study.study_id not in found]
    strangers = len(evidence.labels.labels) - len(found) if evidence.labels else 0
    note = f"{strangers:,} rows of the table are of studies that the corpus does not have" if strangers else ""
    return share_outcome(criterion, len(found), len(evidence.studies), against, {"other rows": strangers}, note)


def label_names(criterion: LabelNames, evidence: Evidence) -> Outcome:
    """Labels that are there, and those that are not."""
    found = labels_by_study(evidence)
    if not found:
        return missing(criterion, _NO_LABELS, f"all {len(criterion.names)}")
    columns = evidence.labels.columns if evidence.labels else None
    present = {label for labels in found.values() for label in labels} if columns is None else set(columns)
    folded = {name.casefold() for name in present}
    lacking = [name for name in criterion.names if name.casefold() not in folded]
    reason = f"lacking: {', '.join(lacking)}" if lacking else ""
    has = len(criterion.names) - len(lacking)
    asked = {name.casefold() for name in criterion.names}
    others = sorted(name for name in present if name.casefold() not in asked)
    return Outcome(
        "fail" if lacking else "pass", has, f"{has} of {len(criterion.names)}", f"all {len(criterion.names)}", reason,
        details={"lacking": lacking, "others": others, "prevalence": prevalence(found, criterion.names)},
    )  # fmt: skip


def prevalence(found: Mapping[str, Mapping[str, int]], names: Any) -> dict[str, dict[str, int]]:
    """Studies by label and state: positive, negative, uncertain, blank."""
    counts = Counter((label, state) for labels in found.values() for label, state in labels.items())
    table = {name: {STATE_NAMES[state]: counts[name, state] for state in (1, 0, -1)} for name in names}
    return {name: states | {"blank": len(found) - sum(states.values())} for name, states in table.items()}


def label_states(criterion: LabelStates, evidence: Evidence) -> Outcome:
    """States that occur. A state that is none of those asked for is a fail, with the studies that have it."""
    found = labels_by_study(evidence)
    threshold = ", ".join(criterion.states)
    if not found:
        return missing(criterion, _NO_LABELS, threshold)
    names: dict[Any, str] = dict(STATE_NAMES)
    counts = Counter(names.get(state, str(state)) for labels in found.values() for state in labels.values())
    lacking = [name for name in criterion.states if not counts[name]]
    allowed = set(criterion.states)
    against = [
        study_id
        for study_id, labels in found.items()
        if not {names.get(state, str(state)) for state in labels.values()} <= allowed
    ]
    reasons = [f"no label is {' or '.join(lacking)}"] if lacking else []
    reasons += [f"also: {', '.join(sorted(counts.keys() - allowed))}"] if against else []
    shown = ", ".join(f"{name} {counts[name]:,}" for name in counts) or "none"
    return Outcome(
        "fail" if reasons else "pass", None, shown, threshold,
        "; ".join(reasons), tuple(against), {"counts": dict(counts)},
    )  # fmt: skip


def audit(criterion: Audit, evidence: Evidence) -> Outcome:
    """The share of the labelled studies that were read, overall and in every stratum of the certificate; and of each
    label in each state, as much as the certificate itself asks for.

    A certificate is what `radloop audit certify` writes: JSON with ``population`` (studies with labels), ``read``
    (those that a radiologist read), ``labels_sha256`` (of the label table) and, if it has any, ``strata``: a list of
    name, population, read; ``sites``, the same; ``cells``: a list of label, state, population, read, required.
    """
    threshold = bounds_text(criterion.at_least, None, share=True)
    if evidence.certificate is None:
        return missing(criterion, "no audit certificate was given", threshold)
    path, data = evidence.certificate
    numbers = _coverage(data)
    if numbers is None:
        return Outcome("fail", threshold=threshold, reason=f"{path.name} has no numbers population and read that fit")
    read, population = numbers
    value = read / population
    parts = [*_parts(data, "strata"), *_parts(data, "sites")]
    thin = [name for name, part, _ in parts if part is None or part[0] / part[1] < criterion.at_least]
    cells = _parts(data, "cells")
    thin_cells = [name for name, part, least in cells if part is None or part[0] < least]
    reasons = [f"too few in the stratum {', '.join(thin)}"] if thin else []
    reasons += [f"too few of {', '.join(thin_cells)}"] if thin_cells else []
    reasons += _not_of_these_labels(data, evidence, population)
    verdict: Verdict = "fail" if reasons or value < criterion.at_least else "pass"
    unbound = "" if reasons or evidence.labels else "not compared with a label table: none was given"
    return Outcome(
        verdict, value, f"{share_text(value)} ({read:,} of {population:,})", threshold, "; ".join(reasons) or unbound,
        details={
            "read": read, "population": population, "strata": len(_parts(data, "strata")), "cells": len(cells),
        },
    )  # fmt: skip


def _parts(data: Mapping[str, Any], kind: str) -> list[tuple[str, tuple[int, int] | None, int]]:
    """Name, coverage and what is asked for, of the strata, sites or cells of a certificate."""
    listed = data.get(kind, [])
    found = []
    for part in listed if isinstance(listed, list) else [None]:
        each: Mapping[str, Any] = part if isinstance(part, dict) else {}
        name = each.get("name") or " ".join(str(each[key]) for key in ("label", "state") if key in each)
        asked = each.get("required", 0)
        numbers = _coverage(each) if isinstance(asked, int) else None
        found.append((str(name or "?"), numbers, asked if isinstance(asked, int) else 0))
    return found


def _coverage(data: Mapping[str, Any]) -> tuple[int, int] | None:
    read, population = data.get("read"), data.get("population")
    if isinstance(read, bool) or not isinstance(read, int) or not isinstance(population, int):
        return None
    return (read, population) if 0 <= read <= population and population > 0 else None


def _not_of_these_labels(data: Mapping[str, Any], evidence: Evidence, population: int) -> list[str]:
    reasons = []
    if evidence.labels is not None and data.get("labels_sha256") != file_sha256(evidence.labels.path):
        reasons.append("the certificate is of another label table")
    labels = len(labels_by_study(evidence))
    if labels > population:
        reasons.append(f"it speaks of {population:,} studies, and {labels:,} are labelled")
    return reasons


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    return str(hash_input(path)["sha256"])


def boxes(criterion: Boxes, evidence: Evidence) -> Outcome:
    """Boxes that are valid and lie on images of the corpus, and some for each label."""
    from corpora.boxes import against_corpus, corpus_images

    threshold = f"valid, with {' and '.join(criterion.labels)}"
    if evidence.boxes is None:
        return missing(criterion, "no file of boxes was given", threshold)
    layer, problems = evidence.boxes
    images = corpus_images(evidence.studies)
    layer, more = against_corpus(layer, images, "boxes")
    problems = [*problems, *more]
    counts = Counter(box.label for box in layer.boxes if box.corners is not None)
    lacking = [name for name in criterion.labels if not counts[name]]
    reasons = [f"no box for {' and '.join(lacking)}"] if lacking else []
    reasons += [f"{len(problems):,} are wrong, first {problems[0].where}: {problems[0].message}"] if problems else []
    names = {image.image_id for image in layer.images}
    shown = f"{sum(counts.values()):,} boxes on {len(names):,} images"
    owners = _owners(evidence, {problem.image_id for problem in problems if problem.image_id})
    return Outcome(
        "fail" if reasons else "pass", len(problems), shown, threshold,
        "; ".join(reasons), owners,
        {"counts": dict(counts.most_common()), "problems": [f"{each.where}: {each.message}" for each in problems]},
    )  # fmt: skip


def _owners(evidence: Evidence, names: set[str]) -> tuple[str, ...]:
    return tuple(
        study.study_id
        for study in evidence.studies
        if any(
            {image.image_id, image.path, Path(image.path).name, Path(image.path).stem} & names for image in study.images
        )
    )
