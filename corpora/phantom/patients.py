"""Patients and what becomes of them: the studies of each, with the findings that come, stay, grow, shrink and go.

A patient depends on the seed and its number alone, and a study only on those before it, so that corpora of another size
hold the same studies.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from itertools import count
from typing import Final

import numpy as np

from corpora.phantom.anatomy import Body, draw_body
from corpora.phantom.model import DRAWN, ChestModel, PeopleModel, Scanner
from corpora.phantom.people import Person, draw_person
from corpora.phantom.signs import Sign, draw_sign

#: Classes of indications; the words are in the grammar of reports.
INDICATIONS: Final = ("screening", "symptoms", "follow-up", "trauma")
_IN_BED: Final = frozenset({"ett", "central_line", "chest_tube", "feeding_tube"})
#: Not to be seen when a child is X-rayed, or hardly ever.
_ADULT_ONLY: Final = frozenset({"pacemaker", "valve", "port", "plaque"})


@dataclass(frozen=True, slots=True)
class Visit:
    """One study of a patient. ``signs`` are there now; ``changes`` tells by a sign's number whether it is ``new``,
    ``stable``, ``larger`` or ``smaller`` since the study before; ``gone`` are those that were there then."""

    patient: int
    number: int
    index: int
    person: Person
    body: Body
    scanner: Scanner
    day: date
    hour: time
    age: float
    prior: date | None
    portable: bool
    views: tuple[str, ...]
    indication: str
    signs: tuple[Sign, ...]
    changes: Mapping[int, str]
    gone: tuple[Sign, ...]


class Cohort:
    """The studies of a corpus in order: those of patient 0, of patient 1, and so on without end."""

    def __init__(self, chest: ChestModel, people: PeopleModel, seed: int) -> None:
        self._chest, self._people, self._seed = chest, people, seed
        self._ends: list[int] = []

    def visits(self, start: int, stop: int) -> Iterator[Visit]:
        """The studies number ``start`` to ``stop`` (not counted), 0-based."""
        patient = bisect_right(self._upto(stop), start)
        while (first := self._ends[patient - 1] if patient else 0) < stop:
            for visit in self._timeline(patient, first, min(stop, self._ends[patient]) - first):
                if start <= visit.index:
                    yield visit
            patient += 1

    def _upto(self, stop: int) -> list[int]:
        weights = np.array(self._chest.studies) / sum(self._chest.studies)
        for patient in count(len(self._ends)):
            if self._ends and self._ends[-1] >= stop:
                break
            studies = 1 + int(self._rng(patient, 0).choice(len(weights), p=weights))
            self._ends.append((self._ends[-1] if self._ends else 0) + studies)
        return self._ends

    def _rng(self, patient: int, what: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, 100, patient, what])

    def _timeline(self, patient: int, first: int, studies: int) -> Iterator[Visit]:
        chest, rng = self._chest, self._rng(patient, 1)
        female = bool(rng.random() < chest.female)
        age = _age(chest, rng)
        day = _first_day(chest, rng)
        person = draw_person(self._people, female, day - timedelta(days=round(age * 365.25)), patient, rng)
        body = draw_body(int(rng.integers(1 << 31)), age, female)
        scanner = chest.scanners[_weighted([scanner.weight for scanner in chest.scanners], rng)]
        signs: tuple[Sign, ...] = ()
        prior: date | None = None
        for number in range(studies):
            own = self._rng(patient, 2 + number)
            before = signs
            signs, changes = (
                _course(chest, before, body.child, 100 * number, own)
                if number
                else _first_signs(chest, body.child, own)
            )
            indication = str(own.choice(INDICATIONS, p=_reasons(signs, number)))
            portable = _is_portable(chest, signs, body.child, own)
            views = ("AP",) if portable else ("PA", "LATERAL") if own.random() < chest.lateral else ("PA",)
            hour = time(
                int(own.integers(0 if portable else 7, 24 if portable else 19)),
                int(own.integers(60)),
                int(own.integers(60)),
            )
            now = {sign.number for sign in signs}
            yield Visit(
                patient, number, first + number, person, body, scanner, day, hour, (day - person.born).days / 365.25,
                prior, portable, views, indication, signs, changes, tuple(s for s in before if s.number not in now),
            )  # fmt: skip
            prior, day = day, _next_day(chest, day, own)


def _weighted(weights: list[float], rng: np.random.Generator) -> int:
    return int(np.searchsorted(np.cumsum(weights) / sum(weights), rng.random(), side="right").clip(0, len(weights) - 1))


def _age(chest: ChestModel, rng: np.random.Generator) -> float:
    if rng.random() < chest.children:
        return float(rng.uniform(1.0, 17.5))
    return float(np.clip(rng.normal(57, 18), 18.2, 95))


def _first_day(chest: ChestModel, rng: np.random.Generator) -> date:
    # the first study lies so that most later ones fit into the years
    return date(chest.first_year, 1, 1) + timedelta(days=int(rng.integers(0, int(365.25 * (chest.years - 1)))))


def _next_day(chest: ChestModel, day: date, rng: np.random.Generator) -> date:
    wait = 1 + int(np.exp(rng.normal(3.6, 1.5)))
    # at most half of what is left, so that the last study falls into the years as well
    left = (date(chest.first_year + chest.years - 1, 12, 31) - day).days
    return day + timedelta(days=max(1, min(wait, left // 2)))


def _first_signs(chest: ChestModel, child: bool, rng: np.random.Generator) -> tuple[tuple[Sign, ...], dict[int, str]]:
    signs: tuple[Sign, ...] = ()
    if rng.random() >= chest.healthy:
        signs = _drawn(chest, (), 1.0, child, 1, rng)
    elif rng.random() < chest.healthy_device:
        signs = (_fitting("Support Devices", 1, child, rng),)
    return signs, {sign.number: "new" for sign in signs}


def _drawn(
    chest: ChestModel, there: tuple[Sign, ...], factor: float, child: bool, number: int, rng: np.random.Generator
) -> tuple[Sign, ...]:
    """Signs that come: each label at most once in a patient at a time, devices more often."""
    labels = {sign.label for sign in there}
    drawn: list[Sign] = []
    for label in DRAWN:
        finding = chest.findings[label]
        odds = finding.share * factor / max(1 - finding.share * factor, 1e-9)
        for other, times in finding.odds.items():
            odds *= times if other in labels else 1.0
        if rng.random() < odds / (1 + odds) and label not in labels:
            labels.add(label)
            drawn.append(_fitting(label, number + len(drawn), child, rng))
            if label == "Support Devices" and rng.random() < 0.4:
                more = _fitting(label, number + len(drawn), child, rng)
                drawn += [more] if more.kind != drawn[-1].kind else []
    return tuple(drawn)


def _fitting(label: str, number: int, child: bool, rng: np.random.Generator) -> Sign:
    while True:
        sign = draw_sign(label, number, rng)
        if not (child and sign.kind in _ADULT_ONLY):
            return sign


def _course(
    chest: ChestModel, before: tuple[Sign, ...], child: bool, highest: int, rng: np.random.Generator
) -> tuple[tuple[Sign, ...], dict[int, str]]:
    """What becomes of the signs of the study before, and what is new."""
    kept: list[Sign] = []
    changes: dict[int, str] = {}
    for sign in before:
        finding, luck = chest.findings[sign.label], rng.random()
        step = float(rng.uniform(0.2, 0.45))
        if luck < finding.resolves:
            continue
        grows = luck < finding.resolves + finding.grows and sign.size < 0.8
        shrinks = not grows and luck < finding.resolves + finding.grows + finding.shrinks and sign.size > 0.3
        changes[sign.number] = "larger" if grows else "smaller" if shrinks else "stable"
        kept.append(sign.sized(sign.size + (step if grows else -step if shrinks else 0)))
    new = _drawn(chest, tuple(kept), chest.new_finding, child, highest + 1, rng)
    changes |= {sign.number: "new" for sign in new}
    return (*kept, *new), changes


def _reasons(signs: tuple[Sign, ...], number: int) -> list[float]:
    """The chances of the four classes of indications."""
    if any(sign.label == "Fracture" for sign in signs):
        return [0.05, 0.2, 0.15, 0.6]
    if number:
        return [0.12, 0.3, 0.5, 0.08]
    return [0.12, 0.6, 0.2, 0.08] if signs else [0.4, 0.4, 0.1, 0.1]


def _is_portable(chest: ChestModel, signs: tuple[Sign, ...], child: bool, rng: np.random.Generator) -> bool:
    chance = 0.95 if any(sign.kind in _IN_BED for sign in signs) else chest.portable * 0.6
    return bool(rng.random() < chance) and not child
