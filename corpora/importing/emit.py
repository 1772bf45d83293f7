"""Studies out of the index, in the order of their ids, and the counts of what is known of them."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError
from corpora.importing.index import Fault, Index
from corpora.importing.names import stem_of
from corpora.importing.plan import Source
from corpora.importing.readings import labels_of
from corpora.runs import atomic_writer, writing
from corpora.sections import split_sections
from corpora.types import ImageRef, Report, Section, Study

_FILMS: Final = (
    "SELECT study, id, source, path, patient, given, facts FROM files WHERE state = 'film' ORDER BY study, id"
)
_SHARED: Final = (
    "SELECT coalesce(json_extract(facts, '$.image.image_id'), stem) FROM files WHERE state = 'film'"
    " GROUP BY 1 HAVING count(*) > 1"
)
_REPORTS: Final = (
    "SELECT study, source, patient, text, sections, meta FROM reports WHERE fate IS NULL"
    " ORDER BY study, text IS NULL, file IS NOT NULL, id"
)
_ROWS: Final = "SELECT study, patient, facts FROM rows WHERE parts = 0 AND study IS NOT NULL ORDER BY study, weight, id"
_OF_FILM: Final = (
    "SELECT r.patient, r.facts FROM match m JOIN rows r ON r.id = m.entry WHERE m.file = ? ORDER BY r.weight, r.id"
)
_OVERLAID: Final = ("rows", "columns", "pixel_spacing")
_KEPT: Final = ("age", "sex", "year", "split", "follow_up")
_SAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")

Row = tuple[Any, ...]


@dataclass(slots=True)
class Tally:
    """Counts over all studies, as the manifest carries them."""

    counts: Counter[str] = field(default_factory=Counter)
    years: Counter[str] = field(default_factory=Counter)
    ages: Counter[str] = field(default_factory=Counter)
    sexes: Counter[str] = field(default_factory=Counter)
    manufacturers: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    views: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)

    def add(self, study: Study) -> None:
        """Count a study; makers once for a study, views once for a film, ages by decade."""
        meta, images = study.meta, study.images
        self.counts["studies"] += 1
        self.counts["images"] += len(images)
        self.counts["reports"] += study.report is not None
        self.counts["images_without_report"] += 0 if study.report else len(images)
        self.counts["studies_without_report"] += study.report is None
        self.counts["studies_without_image"] += not images
        self.counts["studies_without_patient"] += study.patient_id is None
        for name, counter in (("year", self.years), ("sex", self.sexes), ("source", self.sources)):
            if meta.get(name) is not None:
                counter[str(meta[name])] += 1
        if meta.get("age") is not None and meta["age"] >= 0:
            decade = int(meta["age"] // 10)
            self.ages["100+" if decade >= 10 else f"{10 * decade}-{10 * decade + 9}"] += 1
        self.manufacturers.update({image.manufacturer for image in images if image.manufacturer})
        self.models.update({image.model for image in images if image.model})
        self.views.update(image.view for image in images if image.view)

    def aggregates(self) -> dict[str, dict[str, int]]:
        """The counts by field and value, in order."""
        names = ("years", "ages", "sexes", "manufacturers", "models", "views", "sources")
        return {name: dict(sorted(getattr(self, name).items(), key=_by_number)) for name in names}


def _by_number(item: tuple[str, int]) -> tuple[int, str]:
    digits = re.match(r"\d+", item[0])
    return int(digits[0]) if digits else 0, item[0]


@dataclass(frozen=True, slots=True)
class Emission:
    """Where the films lie, and where the corpus is. ``copy``: whether films are copied into it.

    ``shared``: names that more than one film has, such as view1_frontal or IM0001.
    """

    index: Index
    plan: Sequence[Source]
    roots: Mapping[int, Path]
    out: Path
    copy: bool
    shared: frozenset[str] = frozenset()


def shared_names(index: Index) -> frozenset[str]:
    """The names that several films have: they are no ids by themselves."""
    return frozenset(name for (name,) in index.db.execute(_SHARED))


def studies(to: Emission, tally: Tally, faults: list[Fault]) -> Iterator[Study]:
    """Every study, in the order of the ids; films that cannot belong to theirs are added to ``faults``."""
    rows = _Ahead(to.index.db.execute(_ROWS))
    for study_id, films, reports in _merged(to.index):
        of_study = rows.at(study_id)
        study = _study(to, study_id, films, reports, of_study, faults)
        if study is not None:
            tally.add(study)
            yield study


class _Ahead:
    """Groups of rows by their first column, which only grows."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._groups = groupby(rows, itemgetter(0))
        self._next = next(self._groups, None)
        self._rows = list(self._next[1]) if self._next else []

    @property
    def key(self) -> str | None:
        return None if self._next is None else str(self._next[0])

    def at(self, key: str) -> list[Row]:
        """The rows of ``key``; those of smaller keys are passed over."""
        while self._next is not None and str(self._next[0]) < key:
            self._step()
        if self.key != key:
            return []
        found = self._rows
        self._step()
        return found

    def _step(self) -> None:
        self._next = next(self._groups, None)
        self._rows = list(self._next[1]) if self._next else []


def _merged(index: Index) -> Iterator[tuple[str, list[Row], list[Row]]]:
    films, reports = _Ahead(index.db.execute(_FILMS)), _Ahead(index.db.execute(_REPORTS))
    while keys := [key for key in (films.key, reports.key) if key is not None]:
        key = min(keys)
        yield key, films.at(key), reports.at(key)


def _study(
    to: Emission, study_id: str, films: list[Row], reports: list[Row], of_study: list[Row], faults: list[Fault]
) -> Study | None:
    described = [(film, to.index.db.execute(_OF_FILM, (film[1],)).fetchall()) for film in films]
    report = next((row for row in reports if row[3] is not None), None)
    patient, kept = _one_patient(to, study_id, described, reports, of_study, faults)
    if not kept and not reports:
        return None
    facts = [json.loads(row[-1]) for _, rows in kept for row in rows if row[-1]]
    facts += [json.loads(row[-1]) for row in of_study if row[-1]]
    given = [json.loads(row[5]) for row in reports if row[5]]
    headers = [json.loads(film[6])["study"] for film, _ in kept]
    meta = _meta(facts, given, headers)
    source = kept[0][0][2] if kept else reports[0][1]
    meta.setdefault("source", to.plan[source].name)
    if report is not None and to.plan[report[1]].name != meta["source"]:
        meta.setdefault("report_source", to.plan[report[1]].name)
    taken: set[str] = set()
    ids: set[str] = set()
    images = tuple(_image(to, study_id, film, rows, taken, ids) for film, rows in kept)
    return Study(study_id, patient, images, _report(study_id, report), meta)


def _one_patient(
    to: Emission,
    study_id: str,
    described: list[tuple[Row, list[Row]]],
    reports: list[Row],
    of_study: list[Row],
    faults: list[Fault],
) -> tuple[str | None, list[tuple[Row, list[Row]]]]:
    """The patient of a study, and the films that are of this patient.

    What tables say of films goes before headers, headers before reports. Films of whom the same kind of source says
    that they are another patient's are set aside: a study of two patients would be in two parts of a split.
    """
    by_table = [next((row[0] for row in rows if row[0]), film[5] and film[4]) for film, rows in described]
    if not any(by_table):
        by_table = [film[4] for film, _ in described]
    known = Counter(name for name in by_table if name)
    if not known:
        others = [row[1] for row in of_study] + [row[2] for row in reports]
        return next((name for name in others if name), None), described
    # the most films, then the first film
    patient = max(known, key=lambda name: (known[name], -by_table.index(name)))
    kept = []
    for one, name in zip(described, by_table, strict=True):
        if name in (None, "", patient):
            kept.append(one)
            continue
        message = "the film has another patient id than most films of its study"
        faults.append(Fault(one[0][1], "import.two_patients", message, str(_place(to, one[0])), study_id=study_id))
    return patient, kept


def _meta(facts: list[dict[str, Any]], given: list[dict[str, Any]], headers: list[dict[str, Any]]) -> dict[str, Any]:
    """What tables say goes before what reports bring, and that before what headers say."""
    meta: dict[str, Any] = {}
    for one in facts:
        for name in _KEPT:
            if name in one:
                meta.setdefault(name, one[name])
    meta |= labels_of(facts)
    for one in (*given, *headers):
        for name, value in one.items():
            if value is not None:
                meta.setdefault(name, value)
    return meta


def _report(study_id: str, row: Row | None) -> Report | None:
    if row is None:
        return None
    text, sections = row[3], json.loads(row[4] or "[]")
    known = tuple(Section(**section) for section in sections)
    return Report(study_id, text, known or split_sections(text))


def _image(to: Emission, study_id: str, film: Row, rows: list[Row], taken: set[str], ids: set[str]) -> ImageRef:
    place = _place(to, film)
    known: dict[str, Any] = json.loads(film[6])["image"]
    for row in rows:
        facts = json.loads(row[-1]) if row[-1] else {}
        if known.get("view") is None and "view" in facts:
            known |= {"view": facts["view"], "view_source": facts.get("view_source")}
        # a table that gives them gives those of the native image, of which this is a smaller copy
        known |= {name: facts[name] for name in _OVERLAID if name in facts}
    if known.get("pixel_spacing") is not None:
        known["pixel_spacing"] = tuple(known["pixel_spacing"])
    known["image_id"] = _image_id(to, study_id, known.get("image_id") or stem_of(place.name), ids)
    path = _copied(to, study_id, place, taken) if to.copy else _relative(to.out, place)
    return ImageRef(path, **known)


def _image_id(to: Emission, study_id: str, name: str, ids: set[str]) -> str:
    """The film's name, with its study where others have it too, and a number where they are of this study."""
    whole = f"{study_id}/{name}" if name in to.shared else name
    found, number = whole, 1
    while found in ids:
        number += 1
        found = f"{whole}-{number}"
    ids.add(found)
    return found


def _place(to: Emission, film: Row) -> Path:
    root = to.roots.get(film[2])
    return (root / film[3] if root is not None else Path(film[3])).absolute()


def _relative(out: Path, place: Path) -> str:
    return place.relative_to(out).as_posix() if place.is_relative_to(out) else str(place)


def safe_name(text: str) -> str:
    """A study's id as the name of one folder; one that had to be changed ends in a hash, so that no two become one.

    >>> safe_name("CXR1"), safe_name("p1/s1"), safe_name("..")
    ('CXR1', 'p1_s1-92740aab', '_-e6fc5bb9')
    """
    safe = _SAFE.sub("_", text).strip(".")[:80] or "_"
    return safe if safe == text else f"{safe}-{blake2b(text.encode(), digest_size=4).hexdigest()}"


def _copied(to: Emission, study_id: str, place: Path, taken: set[str]) -> str:
    name, number = place.name, 1
    while name.lower() in taken:
        number += 1
        name = f"{place.stem}-{number}{place.suffix}"
    taken.add(name.lower())
    target = to.out / "images" / safe_name(study_id) / name
    try:
        size = place.stat().st_size
        # an interrupted import has copied some already, each of them whole
        if not (target.is_file() and target.stat().st_size == size):
            with writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            with place.open("rb") as source, atomic_writer(target, "wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
    except OSError as error:
        raise DataError("data.unreadable", error.strerror or "cannot be read", where=str(place)) from error
    return target.relative_to(to.out).as_posix()


def write_failures(index: Index, path: Path) -> Counter[str]:
    """Write what was set aside, in the order of the stages, a JSON object a line; how many of each kind and code.

    Without any the file is not there. Raises ``RunError`` as ``corpora.runs.atomic_writer``.
    """
    counts: Counter[str] = Counter()
    if not index.count("count(*) FROM rejects"):
        path.unlink(missing_ok=True)
        return counts
    found = index.db.execute(
        "SELECT code, message, file, place, member, study, kind FROM rejects ORDER BY stage, at, file, place, code"
    )
    with atomic_writer(path) as file:
        for code, message, where, row, member, study, kind in found:
            counts[kind] += 1
            counts[code] += 1
            line = {"code": code, "message": message, "file": where, "row": row, "member": member, "study_id": study}
            file.write(json.dumps({name: value for name, value in line.items() if value is not None}) + "\n")
    return counts
