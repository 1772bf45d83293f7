"""Rows as an Excel workbook: strings that stay strings, texts of any length, choices to pick from."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from corpora.errors import DataError
from corpora.runs import atomic_writer
from labeler.audit.exchange.rows import FIXED, Row, cells_of, check_columns, escape, headers, row_of, unescape

if TYPE_CHECKING:
    from openpyxl.worksheet._write_only import WriteOnlyWorksheet

#: UTF-16 units that a cell holds; Excel cuts what is longer, without a word.
LIMIT: Final = 32_767
_LONG: Final = ("note", "text")
_NUMBERS: Final = frozenset({"1", "0", "-1"})
_SHEET: Final = "readings"
# a workbook that unpacks to more than this was not made by this program or by hand
_MOST_BYTES: Final = 2 << 30
_WIDTHS: Final = {"study_id": 16, "note": 30, "text": 100}


def write(path: Path, rows: Iterable[Row], labels: Sequence[str]) -> None:
    """Write rows as a workbook of one sheet. Raises ``RunError`` as ``corpora.runs.atomic_writer``."""
    from openpyxl import Workbook

    columns = headers(labels)
    made = [_pieces(cells_of(row, columns)) for row in rows]
    counts = {name: max([1, *(len(cells[name]) for cells in made)]) for name in _LONG}
    names = [*FIXED[:-2], *columns.values()]
    long = [(name, at) for name in _LONG for at in range(counts[name])]
    book = Workbook(write_only=True)
    sheet = book.create_sheet(_SHEET)
    header = [*names, *(name if at == 0 else f"{name} {at + 1}" for name, at in long)]
    _lay_out(sheet, header, list(columns.values()), len(made))
    sheet.append([_cell(sheet, escape(name)) for name in header])
    for cells in made:
        pieces = [*(cells[name][0] for name in names)]
        pieces += [cells[name][at] if at < len(cells[name]) else "" for name, at in long]
        numbers = [False] * len(FIXED[:-2]) + [True] * len(columns) + [False] * len(long)
        sheet.append([_cell(sheet, piece, number=number) for piece, number in zip(pieces, numbers, strict=True)])
    with atomic_writer(path, "wb") as file:
        book.save(file)


def read(path: Path, labels: Sequence[str]) -> Iterator[Row]:
    """The rows of the first sheet of a workbook.

    Raises ``DataError``: ``data.file``, ``data.xlsx`` for what is no workbook, ``audit.columns``.
    """
    from openpyxl import load_workbook

    columns = headers(labels)
    try:
        _check_size(path)
        book = load_workbook(path, read_only=True, data_only=True)
        rows = book.worksheets[0].iter_rows(values_only=True)
        header = [_text(value) for value in next(rows, ())]
        found = [name for name in header if not _is_more(name)]
        check_columns(found, columns, str(path))
        for number, values in enumerate(rows, 2):
            if any(value is not None for value in values):
                yield row_of(_joined(header, values), columns, f"{path}, row {number}")
        book.close()
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError("data.file", "no such file", where=str(path)) from error
    # openpyxl raises what its XML parser, zipfile and its own descriptors raise
    except Exception as error:
        raise DataError("data.xlsx", "not a workbook that can be read", where=str(path)) from error


def _check_size(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
            raise DataError("data.xlsx", "the workbook unpacks to more than 2 GiB", where=str(path))


def _pieces(cells: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: _split(escape(cell)) for name, cell in cells.items()}


def _split(text: str) -> list[str]:
    """A text in pieces that a cell holds, characters beyond the basic plane left whole."""
    if 2 * len(text) <= LIMIT:
        return [text]
    pieces, start, units = [], 0, 0
    for at, character in enumerate(text):
        width = 2 if ord(character) > 0xFFFF else 1
        if units + width > LIMIT:
            pieces.append(text[start:at])
            start, units = at, 0
        units += width
    return [*pieces, text[start:]]


def _cell(sheet: WriteOnlyWorksheet, text: str, *, number: bool = False) -> Any:
    from openpyxl.cell import WriteOnlyCell

    if not text:
        return None
    if number and text in _NUMBERS:
        return int(text)
    cell = WriteOnlyCell(sheet, text)
    # not a formula, an error value or a date, whatever it looks like
    cell.data_type = "s"
    return cell


def _lay_out(sheet: WriteOnlyWorksheet, header: Sequence[str], labels: Sequence[str], rows: int) -> None:
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    sheet.freeze_panes = "C2"
    for at, name in enumerate(header, 1):
        sheet.column_dimensions[get_column_letter(at)].width = _WIDTHS.get(name, 12)
    if rows and labels:
        first = header.index(labels[0]) + 1
        last = first + len(labels) - 1
        choices = DataValidation(type="list", formula1='"1,0,-1,blank,cannot_judge"', allow_blank=True)
        choices.add(f"{get_column_letter(first)}2:{get_column_letter(last)}{rows + 1}")
        sheet.data_validations.append(choices)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return unescape(str(value))


def _raw(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def _is_more(name: str) -> bool:
    base, _, number = name.rpartition(" ")
    return base in _LONG and number.isdecimal()


def _joined(header: Sequence[str], values: Sequence[object]) -> dict[str, str]:
    """The cells of a row by header, what was split put together again."""
    cells: dict[str, str] = {}
    for name, value in zip(header, values, strict=False):
        whole = name.rpartition(" ")[0] if _is_more(name) else name
        cells[whole] = cells.get(whole, "") + _raw(value)
    return {name: unescape(cell) for name, cell in cells.items()}
