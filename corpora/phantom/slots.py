"""What fills the slots of the grammar: sides and sizes, courses, and identities whose places are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import numpy as np

from corpora.phantom.grammar import FindingWords
from corpora.phantom.patients import Visit
from corpora.phantom.signs import Sign, rib_numbers

Slots = dict[str, str]

#: A planted value stands as one character of the private use area until the text is whole.
_FIRST: Final = 0xE000
_SIZES: Final = ("small", "moderate", "large")
_LOBES: Final = {
    (-1, "upper"): "right upper lobe", (-1, "mid"): "right middle lobe", (-1, "lower"): "right lower lobe",
    (1, "upper"): "left upper lobe", (1, "mid"): "lingula", (1, "lower"): "left lower lobe",
}  # fmt: skip
_DEVICES: Final = {
    "ett": "endotracheal tube", "central_line": "central venous line", "picc": "PICC", "pacemaker": "pacemaker",
    "feeding_tube": "nasogastric tube", "chest_tube": "chest tube", "port": "chest port", "valve": "prosthetic valve",
}  # fmt: skip
_ENDINGS: Final = {1: "st", 2: "nd", 3: "rd"}
_DATES: Final = ("%m/%d/%Y", "%d.%m.%Y", "%B %d, %Y", "%Y-%m-%d", "%d %b %Y")


class Vault:
    """Identities in a text: each is put in as one character and opened at the end, so that its place is known."""

    def __init__(self) -> None:
        self._values: list[str] = []

    def put(self, value: str) -> str:
        """The character that stands for a value."""
        self._values.append(value)
        return chr(_FIRST + len(self._values) - 1)

    def opened(self, text: str) -> tuple[str, tuple[tuple[int, int, str], ...]]:
        """The text with its values, and start, end and value of each."""
        out: list[str] = []
        places: list[tuple[int, int, str]] = []
        at = 0
        for letter in text:
            number = ord(letter) - _FIRST
            piece = self._values[number] if 0 <= number < len(self._values) else letter
            if piece is not letter:
                places.append((at, at + len(piece), piece))
            out.append(piece)
            at += len(piece)
        return "".join(out), tuple(places)


def phi_slots(visit: Visit, vault: Vault, names_someone: bool) -> Slots:
    """The slots that name someone or a date; without ``names_someone`` the prior study is not dated."""
    person = visit.person
    form = _DATES[visit.patient % len(_DATES)]
    sex = {"F": "female", "M": "male"}[person.sex]
    slots = {"age": str(int(visit.age)), "sex": sex if visit.age >= 18 else {"F": "girl", "M": "boy"}[person.sex]}
    slots |= {"prior": "the prior study", "dated": "of the last visit"}
    if visit.prior is not None and names_someone:
        slots["prior"] = vault.put(_written(visit.prior, form))
        slots["dated"] = f"of {slots['prior']}"
    if names_someone:
        title = "Ms." if person.sex == "F" else "Mr."
        given = {
            "name": f"{title} {person.family}", "patient": f"{person.family}, {person.given}", "mrn": person.mrn,
            "born": _written(person.born, form), "today": _written(visit.day, form), "clock": f"{visit.hour:%H:%M}",
            "reader": _spoken(person.reader), "referrer": person.referrer.split(",")[0], "telephone": person.telephone,
            "institution": person.institution,
        }  # fmt: skip
        slots |= {name: vault.put(value) for name, value in given.items() if name != "clock"} | {
            "clock": given["clock"]
        }
    return slots


def _spoken(name: str) -> str:
    family, _, given = name.partition(", ")
    return f"{given} {family}".strip()


def _written(day: date, form: str) -> str:
    return day.strftime(form)


def sign_slots(
    sign: Sign, visit: Visit, words: FindingWords, trends: Mapping[Any, Sequence[str]], rng: np.random.Generator
) -> Slots:
    """The slots that describe a sign."""
    size = words.sizes.get(size_class(sign), [""])  # type: ignore[call-overload]
    both = sign.side == 0
    side = {-1: "right", 1: "left", 0: "bilateral"}[sign.side]
    course = visit.changes.get(sign.number) if visit.prior is not None else None
    tail = list(trends.get(course, [""])) if course else [""]
    return {
        "side": side,
        "size": size[int(rng.integers(len(size)))],
        "zone": {"upper": "upper", "mid": "mid", "lower": "lower"}[sign.zone],
        "lobe": "lung bases" if both else _LOBES[sign.side, sign.zone],
        "a": "" if both else "a ",
        "s": "s" if both else "",
        "is": "are" if both else "is",
        "rib": _ribs(rib_numbers(sign)),
        "device": _DEVICES.get(sign.kind, ""),
        "trend": tail[int(rng.integers(len(tail)))],
    }


def _ribs(numbers: range) -> str:
    """Ribs in words.

    >>> _ribs(range(3, 4)), _ribs(range(3, 5)), _ribs(range(3, 7))
    ('3rd', '3rd and 4th', '3rd to 6th')
    """
    first, last = (f"{number}{_ENDINGS.get(number, 'th')}" for number in (numbers[0], numbers[-1]))
    return first if len(numbers) == 1 else f"{first} {'and' if len(numbers) == 2 else 'to'} {last}"


def size_class(sign: Sign) -> str:
    """The size of a sign in words: small, moderate or large."""
    return _SIZES[min(2, int(sign.size * 3))]
