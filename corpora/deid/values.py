"""Single values of a header: dummies by value representation, dates that move, ages that stop at 89."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any, Final

#: Dummies of attributes that must have a value, by value representation.
DUMMIES: Final[dict[str, Any]] = {
    "AE": "REMOVED", "AS": "000Y", "CS": "REMOVED", "DA": "19000101", "DS": "0", "DT": "19000101000000", "IS": "0",
    "LO": "REMOVED", "LT": "REMOVED", "PN": "REMOVED", "SH": "REMOVED", "ST": "REMOVED", "TM": "000000",
    "UC": "REMOVED", "UR": "urn:removed", "UT": "REMOVED", "AT": 0, "FD": 0.0, "FL": 0.0, "SL": 0, "SS": 0, "SV": 0,
    "UL": 0, "US": 0, "UV": 0, "OB": b"\0\0", "OD": bytes(8), "OF": bytes(4), "OL": bytes(4), "OV": bytes(8),
    "OW": b"\0\0",
}  # fmt: skip
#: In text these stand for a person or a thing; a scan passes over them.
DATES: Final = frozenset({"DA", "DT", "TM"})
TEXTS: Final = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
BYTES: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_DAY: Final = re.compile(r"(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})(.*)", re.DOTALL)
_AFTER_DAY: Final = re.compile(r"(\d{2}){0,3}(\.\d{1,6})?([+-]\d{4})?")
_AGE: Final = re.compile(r"(\d{3})([DWMY])")
#: Years above which an age identifies (45 CFR 164.514(b)(2)(i)(C)).
OLDEST: Final = 89
_DECIMAL: Final = re.compile(rb"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*")
_WHOLE: Final = re.compile(rb"\s*[-+]?\d{1,12}\s*")
_CODE_STRING: Final = re.compile(r"[A-Z0-9 _]{0,16}")
_STANDARD: Final = re.compile(r"ISO[_ ].*|ISO_\d+_\d+")


def moved(value: str, days: int) -> str:
    """A DA or DT value moved by ``days``; empty where it is no date.

    >>> moved("20240229", -366), moved("20240101120000.5+0100", 1), moved("20250231", 1)
    ('20230228', '20240102120000.5+0100', '')
    """
    found = _DAY.fullmatch(value.strip().rstrip("\0"))
    if not found or not _AFTER_DAY.fullmatch(found[4].strip()):
        return ""
    try:
        day = date(int(found[1]), int(found[2]), int(found[3])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}{found[4].strip()}"


def capped_age(value: str) -> str:
    """An age string, at most 90 years; empty where it is none.

    >>> capped_age("034Y"), capped_age("097Y"), capped_age("old")
    ('034Y', '090Y', '')
    """
    found = _AGE.fullmatch(value.strip().rstrip("\0"))
    if not found:
        return ""
    per_year = {"D": 365, "W": 52, "M": 12, "Y": 1}[found[2]]
    return "090Y" if int(found[1]) / per_year > OLDEST else found[0]


def is_number(raw: bytes, representation: str) -> bool:
    """Whether DS or IS bytes are numbers and nothing else.

    >>> is_number(b"1.5\\\\-2 ", "DS"), is_number(b"ZQX0001K", "IS")
    (True, False)
    """
    form = _WHOLE if representation == "IS" else _DECIMAL
    return all(form.fullmatch(part) or not part.strip(b" \0") for part in raw.rstrip(b"\0").split(b"\\"))


def is_code_string(value: str) -> bool:
    """Whether a CS value looks like a term and not like an id: no number of four digits but in names of standards.

    >>> is_code_string("DERIVED"), is_code_string("ISO_15444_1"), is_code_string("ZQX0001K")
    (True, True, False)
    """
    plain = value.strip(" \0")
    if _STANDARD.fullmatch(plain):
        return True
    return bool(_CODE_STRING.fullmatch(plain.upper())) and not re.search(r"\d{4}", plain)


def looks_like_id(text: str) -> bool:
    """Whether a technical term has in it what could be an id: five digits, or letters with four.

    >>> looks_like_id("DX-D 300"), looks_like_id("ZQX0207K"), looks_like_id("SN 123456")
    (False, True, True)
    """
    return bool(re.search(r"\d{5}|(?<![A-Za-z0-9])[A-Za-z]{1,4}-?\d{4}|\d{4}[A-Za-z]", text))
