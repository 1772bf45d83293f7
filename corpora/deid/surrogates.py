"""Something like it in the place of what was removed: the same for the same value, different without the key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from corpora.deid.identity import fold
from corpora.deid.key import Key
from corpora.deid.text import Span

_FAMILY: Final = "Alden Birk Corwin Dask Elmore Farrow Gant Holloway Ives Jarrow Kell Lorne Merrow Norrell Orme Pell Quill Rowe Selby Tarn".split()  # noqa: E501
_GIVEN: Final = "Alex Blair Casey Devon Ellis Finley Harper Jules Kerry Lane Morgan Noel Quinn Reese Sasha Toby".split()
_STREETS: Final = ("Example Street", "Sample Road", "Model Lane", "Pattern Avenue")
_HOUSES: Final = ("Example Hospital", "Sample Clinic", "Model Medical Centre", "Pattern Infirmary")
_MONTHS: Final = ("January February March April May June July August September October November December").split()
_ISO: Final = re.compile(r"(\d{4})([-/.]?)(\d{2})\2(\d{2})")
_NUMERIC: Final = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})")
_WORDS: Final = re.compile(
    r"(?P<d>\d{1,2})\D{1,8}?(?P<m>[A-Za-z]{3,9})\W{0,3}(?P<y>\d{4})|(?P<m2>[A-Za-z]{3,9})\W{1,3}(?P<d2>\d{1,2})\D{1,4}(?P<y2>\d{4})"
)


def fillers(text: str, spans: Sequence[Span], key: Key, patient: str, days: int) -> list[str]:
    """What to put in the place of each span; dates move by ``days``, which are the patient's own."""
    return [_filler(text[span.start : span.end], span.category, key, days) for span in spans]


def _filler(said: str, category: str, key: Key, days: int) -> str:
    folded = " ".join(fold(said).split())
    if category == "DATE":
        return _moved(said, days) or "[DATE]"
    if category == "NAME":
        return _name(said, key)
    if category in ("ID", "PHONE", "DEVICE"):
        return _shaped(said, key.digest(category, folded))
    number = key.below(category, folded, 240)
    return {
        "EMAIL": f"contact{number}@example.org", "URL": "https://example.org",
        "ADDRESS": f"{number + 1} {_STREETS[number % len(_STREETS)]}", "ORG": _HOUSES[number % len(_HOUSES)], "AGE": "90",  # noqa: E501
    }[category]  # fmt: skip


def _name(said: str, key: Key) -> str:
    words = re.findall(r"[^\W\d_]+", said)
    chosen = []
    for number, word in enumerate(words[:3]):
        names = _FAMILY if number == len(words[:3]) - 1 else _GIVEN
        name = names[key.below("NAME", fold(word), len(names))]
        chosen.append(name[0] + "." if len(word) == 1 else name.upper() if word.isupper() else name)
    return " ".join(chosen)


def _shaped(said: str, digest: bytes) -> str:
    """Digits for digits and letters for letters."""
    made = []
    for number, char in enumerate(said):
        drawn = digest[number % len(digest)] + number
        if char.isdigit():
            made.append(str(drawn % 10))
        elif char.isascii() and char.isalpha():
            made.append(chr((65 if char.isupper() else 97) + drawn % 26))
        else:
            made.append(char)
    return "".join(made)


def _moved(said: str, days: int) -> str:
    """A date that was moved, in the form that it had; empty if it is not a whole one."""
    found = _ISO.fullmatch(said)
    if found:
        day = _day(int(found[1]), int(found[3]), int(found[4]), days)
        return f"{day.year:04d}{found[2]}{day.month:02d}{found[2]}{day.day:02d}" if day else ""
    found = _NUMERIC.fullmatch(said)
    if found:
        first, second, year = int(found[1]), int(found[3]), int(found[4])
        year += 0 if len(found[4]) == 4 else 2000 if year < 40 else 1900
        european = first > 12 or (found[2] == "." and second <= 12)
        day = _day(year, second if european else first, first if european else second, days)
        if not day:
            return ""
        left, right = (day.day, day.month) if european else (day.month, day.day)
        shown = f"{day.year:04d}" if len(found[4]) == 4 else f"{day.year % 100:02d}"
        return f"{left:0{len(found[1])}d}{found[2]}{right:0{len(found[3])}d}{found[2]}{shown}"
    found = _WORDS.fullmatch(said)
    if found:
        name = (found["m"] or found["m2"])[:3].lower()
        month = next((number for number, each in enumerate(_MONTHS, 1) if each[:3].lower() == name), 0)
        moved = _day(int(found["y"] or found["y2"]), month, int(found["d"] or found["d2"]), days) if month else None
        return f"{_MONTHS[moved.month - 1]} {moved.day}, {moved.year}" if moved else ""
    return ""


def _day(year: int, month: int, day: int, days: int) -> date | None:
    try:
        return date(year, month, day) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
