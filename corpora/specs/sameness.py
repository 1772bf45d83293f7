"""Checks for one film under two patients, for films that nearly agree, and for what a scan found."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from corpora.specs.duplicates import Alike, hashed_films, identical, near
from corpora.specs.evidence import Evidence, Outcome, missing, share_text
from corpora.specs.model import Beyond, NearDuplicates, PatientDuplicates, Scan

_LISTED: Final = 1000
#: Pairs after which near duplicates are no longer listed one by one: hashes that tell nothing apart.
_MOST: Final = 2_000_000
_NO_HASHES: Final = "no image has a perceptual hash"


def patient_duplicates(criterion: PatientDuplicates, evidence: Evidence) -> Outcome:
    """Groups of images with one hash under two or more patients."""
    threshold = f"at most {criterion.at_most:,}"
    films = hashed_films(evidence.studies)
    if not films:
        return missing(criterion, _NO_HASHES, threshold)
    groups = _seen(evidence, [group for group in identical(films) if group.patients > 1])
    groups = [group for group in groups if group.patients > 1]
    offending = tuple(dict.fromkeys(study_id for group in groups for study_id in group.studies))
    return Outcome(
        "fail" if len(groups) > criterion.at_most else "pass", len(groups), f"{len(groups):,}", threshold,
        _notes(evidence, groups), offending, {"groups": [_entry(group) for group in groups[:_LISTED]]},
    )  # fmt: skip


def near_duplicates(criterion: NearDuplicates, evidence: Evidence) -> Outcome:
    """The share of images that have a near double in another study."""
    threshold = f"at most {share_text(criterion.at_most)}, up to {criterion.distance} bits apart"
    films = hashed_films(evidence.studies)
    if not films:
        return missing(criterion, _NO_HASHES, threshold)
    of = sum(map(len, films.values()))
    pairs = islice(near(films, criterion.distance), _MOST) if criterion.distance else iter(())
    groups = _seen(evidence, [group for group in (*identical(films), *pairs) if len(group.studies) > 1])
    groups = [group for group in groups if len(group.studies) > 1]
    doubles = dict.fromkeys((film.study.study_id, film.image.path) for group in groups for film in group.films)
    value = len(doubles) / of
    return Outcome(
        "fail" if value > criterion.at_most else "pass", value, f"{share_text(value)} ({len(doubles):,} of {of:,})",
        threshold, _notes(evidence, groups), tuple(dict.fromkeys(study_id for study_id, _ in doubles)),
        {"groups": [_entry(group) for group in groups[:_LISTED]], "number": len(groups)},
    )  # fmt: skip


def _entry(group: Alike) -> dict[str, Any]:
    return {
        "bits apart": group.distance,
        "patients": group.patients,
        "compared": group.compared,
        "images": [{"study_id": film.study.study_id, "path": film.image.path} for film in group.films[:20]],
    }


def _seen(evidence: Evidence, groups: list[Alike]) -> list[Alike]:
    return evidence.compare(groups) if evidence.compare and groups else groups


def _notes(evidence: Evidence, groups: list[Alike]) -> str:
    without = sum(not image.phash for study in evidence.studies for image in study.images)
    by_hash = sum(not group.compared for group in groups)
    notes = [f"{without:,} images have no hash"] if without else []
    # some pairs of different films have one hash by chance
    notes += [f"{by_hash:,} groups by their hashes alone, the films were not compared"] if by_hash else []
    return "; ".join(notes)


def scan(criterion: Scan, evidence: Evidence) -> Outcome:
    """Findings of a scan for identities: JSON with ``files`` (number scanned) and ``findings``, a list of objects."""
    threshold = f"at most {criterion.at_most:,} findings"
    if evidence.scan is None:
        return missing(criterion, "no result of a scan was given", threshold)
    path, data = evidence.scan
    findings, files = data.get("findings"), data.get("files")
    if not isinstance(findings, list) or not isinstance(files, int) or isinstance(files, bool) or files < 1:
        return Outcome("fail", threshold=threshold, reason=f"{path.name} has no numbers files and findings that fit")
    images = sum(len(study.images) for study in evidence.studies)
    short = f"it scanned {files:,} files, and the corpus has {images:,} images" if files < images else ""
    found = [str(entry["study_id"]) for entry in findings if isinstance(entry, dict) and entry.get("study_id")]
    return Outcome(
        "fail" if short or len(findings) > criterion.at_most else "pass", len(findings), f"{len(findings):,} findings",
        threshold, short, tuple(dict.fromkeys(found)), {"files": files},
    )  # fmt: skip


def beyond(criterion: Beyond, evidence: Evidence) -> Outcome:
    """What the data cannot tell."""
    return Outcome("not judged", reason=criterion.because)
