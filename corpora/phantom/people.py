"""Identities of patients who do not exist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from corpora.phantom.model import PeopleModel


@dataclass(frozen=True, slots=True)
class Person:
    """An invented patient and those around: names as DICOM writes them (``Family^Given``)."""

    family: str
    given: str
    mrn: str
    sex: str
    born: date
    address: str
    telephone: str
    institution: str
    department: str
    referrer: str
    reader: str
    operator: str

    @property
    def dicom_name(self) -> str:
        return f"{self.family}^{self.given}"


def draw_person(people: PeopleModel, female: bool, born: date, number: int, rng: np.random.Generator) -> Person:
    """The identity of patient ``number``."""

    def one(names: list[str]) -> str:
        return names[int(rng.integers(len(names)))]

    doctors = [people.doctors[at] for at in rng.choice(len(people.doctors), 3, replace=len(people.doctors) < 3)]
    return Person(
        family=one(people.family),
        given=one(people.female if female else people.male),
        mrn=f"{int(rng.integers(10, 99))}{number:06d}{int(rng.integers(0, 10))}",
        sex="F" if female else "M",
        born=born,
        address=f"{int(rng.integers(1, 240))} {one(people.streets)}, {one(people.towns)}",
        telephone=f"({int(rng.integers(200, 999))}) 555-{int(rng.integers(0, 10000)):04d}",
        institution=one(people.institutions),
        department=one(people.departments),
        referrer=doctors[0],
        reader=doctors[1],
        operator=doctors[2],
    )
