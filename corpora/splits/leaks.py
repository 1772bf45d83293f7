"""Is anything on both sides of a border: a patient, a film, a report? And are the labels shared out evenly?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from corpora.specs.facts import StudyFacts
from corpora.splits.types import Leaks

if TYPE_CHECKING:
    from corpora.specs.duplicates import Alike

#: Bits by which the hashes of near-duplicate images may differ.
_NEAR: Final = 2


def find_leaks(
    studies: Sequence[StudyFacts],
    parts: Mapping[str, str],
    compare: Callable[[Sequence[Alike]], list[Alike]] | None = None,
) -> Leaks:
    """Patients in two parts, groups of near-duplicate images over two parts, and identical reports over two parts.

    ``compare`` takes groups of images with like hashes apart by a look at the films (``corpora.specs.films.compare``).
    """
    from corpora.specs.duplicates import hashed_films, identical, near

    of_patient: dict[str, set[str]] = defaultdict(set)
    of_report: dict[bytes, set[str]] = defaultdict(set)
    for study in studies:
        of_patient[study.patient].add(parts[study.study_id])
        if study.report_key is not None:
            of_report[study.report_key].add(parts[study.study_id])
    films = hashed_films(studies)
    groups = [group for group in (*identical(films), *near(films, _NEAR)) if _over(group, parts)]
    groups = compare(groups) if compare and groups else groups
    over = {tuple(sorted(group.studies)) for group in groups if _over(group, parts)}
    return Leaks(
        tuple(patient[2:] for patient, found in of_patient.items() if len(found) > 1),
        tuple(sorted(over)),
        sum(len(found) > 1 for found in of_report.values()),
    )


def _over(group: Alike, parts: Mapping[str, str]) -> bool:
    return len({parts[study_id] for study_id in group.studies}) > 1


def balance_of(
    studies: Iterable[StudyFacts], labels: Mapping[str, Mapping[str, int]], parts: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """The share of studies that are positive, by label and part."""
    sizes: Counter[str] = Counter()
    positive: Counter[tuple[str, str]] = Counter()
    for study in studies:
        sizes[parts[study.study_id]] += 1
        positive.update(
            (name, parts[study.study_id]) for name, state in labels.get(study.study_id, {}).items() if state == 1
        )
    names = sorted({name for name, _ in positive})
    return {name: {part: round(positive[name, part] / size, 5) for part, size in sizes.items()} for name in names}
