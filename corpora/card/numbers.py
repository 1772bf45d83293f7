"""The numbers of a card: everything that is counted, nothing that is claimed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from corpora.specs.aggregates import Tally, aggregates_of, tally
from corpora.specs.evidence import Evidence
from corpora.specs.facts import StudyFacts, manifest_of, read_facts
from corpora.specs.labelling import labels_by_study, prevalence
from corpora.specs.labels import read_label_table
from corpora.specs.model import Distinct, SpecFile, load_spec
from corpora.specs.values import view_of
from corpora.splits.files import read_split
from corpora.types import ImageRef

_STUDY_FIELDS: Final = ("patient_id", "year", "age", "sex", "split", "source")
_IMAGE_FIELDS: Final = (
    "view", "rows", "bits_stored", "pixel_spacing", "body_part", "manufacturer", "model", "identity_removed",
    "burned_in", "phash",
)  # fmt: skip
_FIELDS: Final = ("year", "age", "sex", "manufacturer", "source")


@dataclass(frozen=True, slots=True)
class Spread:
    """How numbers are spread: how many, and their 5th, 50th and 95th percentiles."""

    n: int
    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class CardNumbers:
    """What is in a corpus. ``tallies`` are studies by year, age, sex, manufacturer and source; ``missing`` is how many
    studies or images lack a field, of how many; ``sides`` are the spreads of rows and columns."""

    name: str
    studies: int
    patients: int
    without_patient: int
    images: int
    reports: int
    tallies: Mapping[str, Tally]
    views: Mapping[str, int]
    formats: Mapping[str, int]
    bits: Mapping[str, int]
    labels: Mapping[str, Mapping[str, int]]
    labelled: int
    labels_from: str
    sections: Mapping[str, Spread]
    sides: Mapping[str, Spread]
    missing: Mapping[str, tuple[int, int]]
    splits: Mapping[str, int]
    official: Mapping[str, int]
    repeated_reports: int
    images_per_study: Mapping[str, int]
    faulty_text: int
    manifest: Mapping[str, Any] = field(default_factory=dict)


def numbers_of(
    corpus: Path | str, *, labels: Path | str | None = None, split: Path | str | None = None, name: str = ""
) -> CardNumbers:
    """Count what is in a corpus; labels from a table if one is given, the split from its ``split.csv`` or a file.

    Raises ``DataError`` as ``read_facts``, ``read_label_table`` and ``read_split``.
    """
    corpus = Path(corpus)
    manifest = manifest_of(corpus)
    studies = list(read_facts(corpus))
    table = None if labels is None else read_label_table(labels, {study.study_id for study in studies})
    spec = load_spec("thoracic-40k")
    evidence = Evidence(spec, studies, aggregates_of(manifest), table)
    found = labels_by_study(evidence)
    names = list(table.columns) if table and table.columns else _label_names(found)
    images = [image for study in studies for image in study.images]
    return CardNumbers(
        name or corpus.resolve().name, len(studies), len({study.patient for study in studies}),
        sum(not study.patient_id for study in studies), len(images), sum(study.has_report for study in studies),
        {each: tally(evidence, each, _vendors(spec) if each == "manufacturer" else None) for each in _FIELDS},
        _count(view_of(image) for image in images), _count(image.format for image in images),
        _count(image.bits_stored for image in images), prevalence(found, names), len(found),
        "" if table is None else table.path.name, _sections(studies), _sides(images), _missing(studies, images),
        _split_sizes(corpus, split, studies), _count(study.split for study in studies if study.split),
        _repeated(studies), _count(len(study.images) for study in studies),
        sum(bool(study.text_fault) for study in studies), manifest,
    )  # fmt: skip


def _vendors(spec: SpecFile) -> Mapping[str, list[str]]:
    criteria = spec.kept().values()
    return next((each.names for each in criteria if isinstance(each, Distinct) and each.field == "manufacturer"), {})


def _count(values: Iterable[Any]) -> dict[str, int]:
    counts = Counter("unknown" if value is None else str(value) for value in values)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _label_names(found: Mapping[str, Mapping[str, int]]) -> list[str]:
    return sorted({label for labels in found.values() for label in labels})


def _spread(values: Sequence[float]) -> Spread:
    import numpy as np

    low, median, high = np.percentile(values, (5, 50, 95))
    return Spread(len(values), float(low), float(median), float(high))


def _sections(studies: Iterable[StudyFacts]) -> dict[str, Spread]:
    words: dict[str, list[float]] = {}
    for study in studies:
        for name, count in study.words.items():
            words.setdefault(name, []).append(count)
    return {name: _spread(words[name]) for name in sorted(words, key=lambda name: -len(words[name]))}


def _sides(images: Iterable[ImageRef]) -> dict[str, Spread]:
    known = [image for image in images if image.rows and image.columns]
    if not known:
        return {}
    return {
        "rows": _spread([image.rows or 0 for image in known]),
        "columns": _spread([image.columns or 0 for image in known]),
    }


def _missing(studies: Sequence[StudyFacts], images: Sequence[ImageRef]) -> dict[str, tuple[int, int]]:
    reads: dict[str, Callable[[StudyFacts], bool]] = {
        "report": lambda study: not study.has_report,
        "findings": lambda study: "findings" not in study.words,
        "impression": lambda study: "impression" not in study.words,
        "indication": lambda study: not study.indication,
        "images": lambda study: not study.images,
    }
    of_studies = {name: sum(map(lacks, studies)) for name, lacks in reads.items()}
    of_studies |= {name: sum(getattr(study, name) in (None, "") for study in studies) for name in _STUDY_FIELDS}
    of_images = {f"image {name}": sum(getattr(image, name) in (None, "") for image in images) for name in _IMAGE_FIELDS}
    found = {name: (number, len(studies)) for name, number in of_studies.items()}
    return found | ({name: (number, len(images)) for name, number in of_images.items()} if images else {})


def _split_sizes(corpus: Path, split: Path | str | None, studies: Sequence[StudyFacts]) -> dict[str, int]:
    if split is None and not (corpus / "split.csv").is_file():
        return {}
    parts = read_split(corpus if split is None else split)
    counts = Counter(parts.get(study.study_id, "in none") for study in studies)
    return {part: counts[part] for part in ("train", "validate", "test", "in none") if counts[part]}


def _repeated(studies: Iterable[StudyFacts]) -> int:
    counts = Counter(study.report_key for study in studies if study.report_key is not None)
    return sum(number - 1 for number in counts.values())
