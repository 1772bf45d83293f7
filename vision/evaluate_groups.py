"""Who the studies are of: values of each unit to break an evaluation down by, from a table or a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError
from vision.evaluate_input import Cohort, study_of, table_rows, text_or_none

#: Names under which a column is known here.
_NAMES: Final = {
    "age": "age", "patient_age": "age", "sex": "sex", "gender": "sex", "patient_sex": "sex", "view": "view",
    "view_position": "view", "viewposition": "view", "vendor": "vendor", "manufacturer": "vendor", "site": "site",
    "hospital": "site", "institution": "site", "patient_id": "patient_id", "image_id": "image_id",
}  # fmt: skip
_IDS_HERE: Final = ("patient_id", "image_id")
_OF_IMAGES: Final = ("view", "vendor")
_CHILD: Final = 18
_OLDEST: Final = 90
#: A column with more values than this is no grouping.
_MOST: Final = 20


@dataclass(frozen=True, slots=True)
class People:
    """What is known of studies and of single images: patients, and values by grouping (``age``, ``sex`` ...)."""

    patients: Mapping[str, str] = field(default_factory=dict)
    studies: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """The units of a cohort that share a value: their places."""

    grouping: str
    value: str
    units: tuple[int, ...]


def people_of_table(path: Path | str) -> People:
    """From a table with ``study_id`` and any of age, sex, view, vendor, site, patient_id, image_id; any other column
    with few values is a grouping of its own.

    Several rows of a study are of its images. Raises ``DataError`` as ``table_rows``, and ``data.id``.
    """
    file = Path(path)
    rows = [_known(row, file, number) for number, row in enumerate(table_rows(file), 1)]
    if not rows:
        raise DataError("data.empty", "the table has no studies", where=str(file))
    values: dict[str, set[str]] = {}
    for _, row in rows:
        for name, value in row.items():
            values.setdefault(name, set()).add(value)
    wide = [name for name, seen in values.items() if len(seen) > _MOST and name not in ("age", *_IDS_HERE)]
    notes = (f"columns of {file.name} with more than {_MOST} values make no groups: {', '.join(wide)}",) if wide else ()
    return _people(((study, {k: v for k, v in row.items() if k not in wide}) for study, row in rows), notes)


def _known(row: Mapping[str, Any], path: Path, number: int) -> tuple[str, dict[str, str]]:
    found = {}
    for name, cell in row.items():
        key, value = str(name).strip().lower(), text_or_none(cell)
        if value is not None and key not in ("study_id", "id"):
            found[_NAMES.get(key, key)] = value
    return study_of(row, path, number), found


def people_of_corpus(corpus: Path | str) -> People:
    """From the studies of a corpus. Raises as ``corpora.store.read_studies``."""
    return _people(_corpus_rows(corpus))


def _corpus_rows(corpus: Path | str) -> Iterator[tuple[str, Mapping[str, str]]]:
    from corpora.store import read_studies

    for study in read_studies(corpus):
        meta = study.meta
        known = {"age": meta.get("age"), "sex": meta.get("sex"), "site": meta.get("site") or meta.get("source"),
                 "patient_id": study.patient_id}  # fmt: skip
        for image in study.images or (None,):
            of_image = {} if image is None else {
                "image_id": image.image_id or Path(image.path).stem, "view": image.view, "vendor": image.manufacturer,
            }  # fmt: skip
            yield study.study_id, {k: str(v) for k, v in (known | of_image).items() if v is not None}


def _people(rows: Iterator[tuple[str, Mapping[str, str]]], notes: tuple[str, ...] = ()) -> People:
    patients: dict[str, str] = {}
    studies: dict[str, dict[str, list[str]]] = {}
    images: dict[str, dict[str, str]] = {}
    for study, row in rows:
        if "patient_id" in row:
            patients[study] = row["patient_id"]
        grouped = _grouped(row)
        for name, value in grouped.items():
            studies.setdefault(study, {}).setdefault(name, []).append(value)
        if "image_id" in row:
            images[row["image_id"]] = {name: grouped[name] for name in _OF_IMAGES if name in grouped}
    joined = {
        study: {name: " + ".join(sorted(set(values))) for name, values in of.items()} for study, of in studies.items()
    }
    return People(patients, joined, images, notes)


def _grouped(row: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in row.items() if name not in ("age", *_IDS_HERE)}
    age = _age(row.get("age"))
    if age is not None:
        decade = int(age // 10) * 10
        found["age"] = f"{_OLDEST}+" if age >= _OLDEST else f"{decade:02d}-{decade + 9:02d}"
        found["pediatric"] = "under 18" if age < _CHILD else "18 and over"
    return found


def _age(text: str | None) -> float | None:
    """Years: ``47``, ``047Y``, ``6M``."""
    if text is None:
        return None
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "Y")
    try:
        years = float(number) / {"Y": 1, "M": 12, "W": 52.18, "D": 365.25}[unit]
    except (ValueError, KeyError):
        return None
    return years if 0 <= years < 130 else None


def groups(cohort: Cohort, people: People, of_images: bool | None = None) -> list[Group]:
    """The groups of a cohort, those of one value only left out; units without the value are ``unknown``.

    ``of_images`` takes only groupings that single images have (True), or only the others (False).
    """
    by: dict[str, dict[str, list[int]]] = {}
    known = [_values(cohort, people, at) for at in range(len(cohort.ids))]
    for name in dict.fromkeys(name for values in known for name in values):
        if of_images is None or (name in _OF_IMAGES) == of_images:
            for at, values in enumerate(known):
                by.setdefault(name, {}).setdefault(values.get(name, "unknown"), []).append(at)
    return [
        Group(name, value, tuple(units))
        for name, parts in by.items()
        if len(parts) > 1
        for value, units in sorted(parts.items(), key=lambda part: (part[0] == "unknown", part[0]))
    ]


def _values(cohort: Cohort, people: People, at: int) -> Mapping[str, str]:
    of_study = people.studies.get(cohort.studies[at], {})
    return {**of_study, **people.images.get(cohort.ids[at], {})} if cohort.unit == "image" else of_study
