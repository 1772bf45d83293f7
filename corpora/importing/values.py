"""What cells and header values mean: ages, sexes, years, views and label states, or None where they mean nothing."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

_AGE: Final = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*([DWMY]?)[A-Z]*", re.IGNORECASE)
_PER_YEAR: Final = {"D": 365.25, "W": 52.1775, "M": 12.0, "Y": 1.0, "": 1.0}
_OLDEST: Final = 120.0
_FIRST_FILM: Final = 1895
_SEXES: Final = {"m": "M", "male": "M", "f": "F", "female": "F", "o": "O", "other": "O"}
_VIEWS: Final = {
    "pa": "PA", "p->a": "PA", "postero-anterior": "PA", "posteroanterior": "PA",
    "ap": "AP", "a->p": "AP", "antero-posterior": "AP", "anteroposterior": "AP",
    "l": "LATERAL", "ll": "LATERAL", "rl": "LATERAL", "lat": "LATERAL", "lateral": "LATERAL",
}  # fmt: skip
_YEAR: Final = re.compile(r"(\d{4})(?:[-/.]?\d{2}[-/.]?\d{2}.*|\.0)?")


def parse_age(cell: str) -> float | None:
    """An age in years; DICOM's ``058Y`` and ``006M`` and plain numbers, None beyond 120.

    >>> parse_age("058Y"), parse_age("006M"), parse_age("41"), parse_age("411")
    (58.0, 0.5, 41.0, None)
    """
    found = _AGE.fullmatch(cell.strip())
    if found is None:
        return None
    age = float(found[1]) / _PER_YEAR[found[2].upper()]
    return round(age, 4) if age <= _OLDEST else None


def parse_sex(cell: str) -> str | None:
    """``M``, ``F`` or ``O``.

    >>> parse_sex("Female"), parse_sex("Unknown")
    ('F', None)
    """
    return _SEXES.get(cell.strip().lower())


def parse_year(cell: str) -> int | None:
    """The year of a date or year; None before the first X-ray film and in the future, where shifted dates lie.

    >>> parse_year("20110328"), parse_year("2011-03-28"), parse_year("21800506")
    (2011, 2011, None)
    """
    found = _YEAR.fullmatch(cell.strip())
    year = int(found[1]) if found else 0
    return year if _FIRST_FILM <= year <= date.today().year else None


def parse_view(cell: str) -> str | None:
    """``PA``, ``AP``, ``LATERAL``, or the term as it is, in capitals.

    >>> parse_view("Lateral"), parse_view("LL"), parse_view("ap"), parse_view("lpo"), parse_view(" ")
    ('LATERAL', 'LATERAL', 'AP', 'LPO', None)
    """
    text = " ".join(cell.split())
    return _VIEWS.get(text.lower(), text.upper()) or None


def parse_state(cell: str) -> int | None:
    """A label's state, None for a blank one. Raises ``ValueError`` for what is none of 1, 0, -1 and blank.

    >>> parse_state("1.0"), parse_state("-1"), parse_state("")
    (1, -1, None)
    """
    text = cell.strip()
    if not text or text.lower() == "nan":
        return None
    number = float(text)
    if number not in (1, 0, -1):
        raise ValueError("not a state")
    return int(number)
