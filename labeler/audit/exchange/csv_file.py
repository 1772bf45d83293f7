"""Rows as CSV: every cell in quotes, none that a spreadsheet would take for a formula."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from corpora.errors import DataError
from corpora.runs import atomic_writer
from labeler.audit.exchange.rows import FIXED, Row, cells_of, check_columns, escape, headers, row_of, unescape

# a cell that begins so is run by a spreadsheet; an apostrophe before it is not
_FORMULA: Final = re.compile(r"'*[=+\-@\t\n\uff1d\uff0b\uff0d\uff20]")
_GUARDED: Final = re.compile(r"'+[=+\-@\t\n\uff1d\uff0b\uff0d\uff20]")
_FREE: Final = frozenset({"study_id", "reader", "note", "text"})


def write(path: Path, rows: Iterable[Row], labels: Sequence[str]) -> None:
    """Write rows as CSV. Raises ``RunError`` as ``corpora.runs.atomic_writer``."""
    columns = headers(labels)
    names = [*FIXED[:-2], *columns.values(), *FIXED[-2:]]
    with atomic_writer(path) as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerow([_guard(escape(name)) for name in names])
        for row in rows:
            cells = cells_of(row, columns)
            writer.writerow([_guard(escape(cells[name])) if name in _FREE else cells[name] for name in names])


def read(path: Path, labels: Sequence[str]) -> Iterator[Row]:
    """The rows of a CSV file; a semicolon or a tab may stand for the comma.

    Raises ``DataError``: ``data.file``, ``data.encoding``, ``data.csv``, ``audit.columns``.
    """
    columns = headers(labels)
    csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            rows = csv.reader(file, delimiter=_delimiter(first), strict=True)
            names = [_plain(name) for name in next(rows, [])]
            check_columns(names, columns, str(path))
            for number, cells in enumerate((row for row in rows if any(row)), 1):
                if len(cells) != len(names):
                    message = f"the row has {len(cells)} cells where the header has {len(names)}"
                    raise DataError("data.csv", message, where=f"{path}, row {number}")
                free = {name: _plain(cell) if name in _FREE else cell for name, cell in zip(names, cells, strict=True)}
                yield row_of(free, columns, f"{path}, row {number}")
    except csv.Error as error:
        raise DataError("data.csv", f"not a readable table: {error}", where=str(path)) from None
    except UnicodeDecodeError:
        hint = "save it as CSV UTF-8"
        raise DataError("data.encoding", "not UTF-8 text", where=str(path), hint=hint) from None
    except OSError as error:
        raise DataError("data.file", error.strerror or "cannot be read", where=str(path)) from None


def _delimiter(first: str) -> str:
    return max(",;\t", key=first.count)


def _guard(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _plain(text: str) -> str:
    # spreadsheets write line ends in cells in their own ways; a carriage return of the text's own is escaped
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return unescape(text[1:] if _GUARDED.match(text) else text)
