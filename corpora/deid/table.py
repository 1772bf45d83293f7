"""The attributes of PS3.15 Table E.1-1 and what becomes of each, from a CSV file that an edition can replace.

    tag,name,basic,safe_private,uids,device,institution,patient,full_dates,modified_dates,...,cr,dx
    00080050,Accession Number,Z,...

``cr`` and ``dx`` are the types of attributes in these objects, which decide what a combined code such as X/Z/D means.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from corpora.errors import ConfigError
from corpora.resources import config_root

#: The columns of options, by the name that an option has on the command line.
OPTION_COLUMNS: Final = {
    "retain-safe-private": "safe_private", "retain-uids": "uids", "retain-device-identity": "device",
    "retain-institution-identity": "institution", "retain-patient-characteristics": "patient",
    "retain-full-dates": "full_dates", "modify-dates": "modified_dates", "clean-descriptors": "descriptors",
    "clean-structured-content": "structured", "clean-graphics": "graphics",
}  # fmt: skip
#: Options without a column.
OTHER_OPTIONS: Final = ("clean-pixel-data",)
_IODS: Final = {"1.2.840.10008.5.1.4.1.1.1": "cr"} | {
    f"1.2.840.10008.5.1.4.1.1.1.{number}": "dx" for number in ("1", "1.1")
}
_CODES: Final = re.compile(r"[XZDUCK](/[XZDU]\*?)*")
_TAG: Final = re.compile(r"[0-9A-FX]{8}|PRIVATE")
_COLUMNS: Final = ("tag", "name", "basic", *OPTION_COLUMNS.values(), "cr", "dx")
PRIVATE: Final = "PRIVATE"
DEFAULT: Final = "annex-e-2024e"


@dataclass(frozen=True, slots=True)
class Row:
    """One attribute: its code in the basic profile, by option, and its type in CR and DX objects."""

    name: str
    basic: str
    options: Mapping[str, str]
    types: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """An edition of the table: by tag, and by pattern of tags for groups that repeat (``60XX3000``)."""

    edition: str
    rows: Mapping[int, Row]
    repeating: tuple[tuple[re.Pattern[str], Row], ...]
    private: Row | None

    def find(self, tag: int) -> Row | None:
        """The row of an attribute; None for one that is not listed."""
        if (tag >> 16) & 1:
            return self.private
        found = self.rows.get(tag)
        if found is None and self.repeating:
            spelled = f"{tag:08X}"
            found = next((row for pattern, row in self.repeating if pattern.fullmatch(spelled)), None)
        return found


def iod_of(sop_class: str | None) -> str | None:
    """The column of types that holds for objects of a SOP class: ``cr``, ``dx`` or none."""
    return _IODS.get(sop_class or "")


def resolve(code: str, kind: str | None) -> str:
    """One action of a combined code, by the type of the attribute; where it is not known, what keeps the object valid.

    >>> resolve("X/Z/D", "3"), resolve("X/Z/D", "2C"), resolve("X/Z/D", None), resolve("X/Z/U*", None)
    ('X', 'Z', 'D', 'U')
    """
    parts = [part.rstrip("*") for part in code.split("/")]
    order = {"3": "XZDU", "2": "ZDUX", "1": "DUZX"}.get((kind or "-")[0], "UDZX")
    return min(parts, key=order.index)


@cache
def load_table(source: str = DEFAULT) -> Table:
    """The table of a shipped edition, or in a CSV file. Raises ``ConfigError`` (``deid.table``)."""
    shipped = config_root() / "deid" / f"{source}.csv"
    path = shipped if shipped.is_file() else Path(source)
    rows: dict[int, Row] = {}
    repeating: list[tuple[re.Pattern[str], Row]] = []
    private = None
    for tag, row in _read(path):
        if tag == PRIVATE:
            private = row
        elif "X" in tag:
            repeating.append((re.compile(tag.replace("X", "[0-9A-F]")), row))
        else:
            rows[int(tag, 16)] = row
    if not rows:
        raise ConfigError("deid.table", "the table has no rows", where=str(path))
    return Table(path.stem, rows, tuple(repeating), private)


def _read(path: Path) -> Iterator[tuple[str, Row]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ConfigError("deid.table", f"the table has no column {missing[0]!r}", where=str(path))
            for cells in reader:
                yield _row(cells, f"{path}:{reader.line_num}")
    except FileNotFoundError as error:
        raise ConfigError(
            "deid.table", "there is no such table", where=str(path), hint=f"the shipped one is {DEFAULT}"
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError("deid.table", "the table cannot be read", where=str(path)) from error


def _row(cells: Mapping[str, str | None], where: str) -> tuple[str, Row]:
    given = {name: (cells.get(name) or "").strip() for name in _COLUMNS}
    tag = given["tag"].upper().strip("()").replace(",", "")
    if not _TAG.fullmatch(tag):
        raise ConfigError("deid.table", "this is no tag: eight hexadecimal digits, X for any, or PRIVATE", where=where)
    options = {option: given[column] for option, column in OPTION_COLUMNS.items() if given[column]}
    for code in (given["basic"], *options.values()):
        if not _CODES.fullmatch(code):
            raise ConfigError("deid.table", f"{code!r} is no action: X, Z, D, U, C or K", where=where)
    return tag, Row(given["name"], given["basic"], options, {iod: given[iod] for iod in ("cr", "dx")})
