"""Excel workbooks: the reports of the first sheet whose first row names a column of them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from corpora.errors import DataError
from corpora.readers.columns import find_columns, has_report
from corpora.readers.files import missing
from corpora.readers.options import ReadOptions, Record
from corpora.readers.tables import from_cells
from corpora.types import Provenance

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook

# a workbook that unpacks to more than this was not made by hand
_MOST_BYTES: Final = 2 << 30


def read_xlsx(source: str, options: ReadOptions) -> Iterator[Record]:
    """The studies of a workbook (``.xlsx``), a row each; formulas by their stored values.

    A cell that is no text where a report should be is a ``Reject`` (``data.type``). Raises ``DataError``:
    ``data.missing``, ``data.xlsx`` for what is no workbook, ``data.empty``, ``data.columns``; ``ModuleNotFoundError``
    where openpyxl is not installed.
    """
    from openpyxl.utils.escape import unescape

    with _opened(source) as book:
        header, rows = _table(book, options, source)
        layout = find_columns(header, options, source)
        for number, values in enumerate(rows, 1):
            cells = [unescape(value) if isinstance(value, str) else value for value in values]
            cells += [None] * (layout.width - len(cells))
            yield from_cells(cells, layout, layout.id is not None, Provenance(source, number))


@contextmanager
def _opened(source: str) -> Iterator[Workbook]:
    from openpyxl import load_workbook

    try:
        _check_size(source)
        with closing(load_workbook(source, read_only=True, data_only=True)) as book:
            yield book
    except DataError:
        raise
    except FileNotFoundError as error:
        raise missing(source) from error
    # openpyxl raises what its XML parser, zipfile and its own descriptors raise
    except Exception as error:
        hint = "save it as .xlsx, without a password, or as CSV"
        raise DataError("data.xlsx", "not a workbook that can be read", where=source, hint=hint) from error


def _check_size(source: str) -> None:
    with zipfile.ZipFile(source) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
            hint = "save it as CSV"
            raise DataError("data.xlsx", "the workbook unpacks to more than 2 GiB", where=source, hint=hint)


def _table(book: Workbook, options: ReadOptions, source: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """The names of the columns and the rows below, of the sheet that holds reports, else of the first one."""
    found: tuple[list[str], Iterator[tuple[Any, ...]]] | None = None
    for sheet in book.worksheets:
        rows = (row for row in sheet.iter_rows(values_only=True) if any(value is not None for value in row))
        header = ["" if value is None else str(value) for value in next(rows, ())]
        if has_report(header) or any(name in header for name in options.columns()):
            return header, rows
        found = found or ((header, rows) if header else None)
    if found is None:
        raise DataError("data.empty", "there is nothing in it", where=source)
    return found
