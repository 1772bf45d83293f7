"""The rows that every format carries, and how a cell spells an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from corpora.errors import DataError
from labeler.audit.types import Answer

#: Columns of a table besides the labels.
FIXED: Final = ("audit", "study_id", "position", "reader", "phase", "at", "repeat", "note", "text")
CANNOT_JUDGE: Final = "cannot_judge"
_WORDS: Final[dict[str, Answer]] = {
    "1": 1, "+": 1, "1.0": 1, "positive": 1, "0": 0, "0.0": 0, "-0": 0, "negative": 0, "-1": -1, "-1.0": -1, "?": -1,
    "uncertain": -1, "blank": None, "not mentioned": None, "cannot_judge": CANNOT_JUDGE, "cannot judge": CANNOT_JUDGE,
    "x": CANNOT_JUDGE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A text for a reader, or what a reader said of it.

    ``answers`` holds what is answered: a label that is not in it was not. ``where`` is its place in a file.
    ``problem`` says (code, message) why a row that was read cannot be used.
    """

    audit: str
    study_id: str
    answers: Mapping[str, Answer] = field(default_factory=dict)
    reader: str = ""
    phase: str = ""
    at: str = ""
    repeat: bool = False
    note: str = ""
    text: str = ""
    position: int | None = None
    where: str = ""
    problem: tuple[str, str] | None = None


def headers(labels: Sequence[str]) -> dict[str, str]:
    """The column of each label in a table: its name, unless a column has it already."""
    return {label: f"label {label}" if label.strip().lower() in FIXED else label for label in labels}


def spell(answers: Mapping[str, Answer], label: str) -> str:
    """How a cell spells an answer; an empty cell is unanswered.

    >>> spell({"Edema": None}, "Edema"), spell({"Edema": -1}, "Edema"), spell({}, "Edema")
    ('blank', '-1', '')
    """
    if label not in answers:
        return ""
    answer = answers[label]
    return "blank" if answer is None else str(answer)


def read_answers(cells: Mapping[str, Any], where: str) -> tuple[dict[str, Answer], tuple[str, str] | None]:
    """The answers that cells spell, and what is wrong with the first that spells none."""
    answers: dict[str, Answer] = {}
    for label, cell in cells.items():
        word = "" if cell is None else str(cell).strip().lower()
        if not word:
            continue
        if word not in _WORDS or isinstance(cell, bool):
            message = f"the cell of {label!r} is none of 1, 0, -1, blank, cannot_judge and empty"
            return answers, ("audit.answer", message)
        answers[label] = _WORDS[word]
    return answers, None


def row_of(cells: Mapping[str, str], columns: Mapping[str, str], where: str) -> Row:
    """The row of a table: ``cells`` by header, ``columns`` the header of each label."""
    answers, problem = read_answers({label: cells.get(header) for label, header in columns.items()}, where)
    repeat = cells.get("repeat", "").strip().lower()
    if repeat not in ("", "0", "1", "false", "true"):
        problem = ("audit.answer", "the column repeat is neither 1 nor 0")
    return Row(
        cells.get("audit", "").strip(), cells.get("study_id", ""), answers, cells.get("reader", ""),
        cells.get("phase", "").strip(), cells.get("at", "").strip(), repeat in ("1", "true"), cells.get("note", ""),
        where=where, problem=problem,
    )  # fmt: skip


def cells_of(row: Row, columns: Mapping[str, str]) -> dict[str, str]:
    """A row as the cells of a table, by header; the text last, where it is in nobody's way."""
    return {
        "audit": row.audit,
        "study_id": row.study_id,
        "position": "" if row.position is None else str(row.position),
        "reader": row.reader,
        "phase": row.phase,
        "at": row.at,
        "repeat": "1" if row.repeat else "",
        **{header: spell(row.answers, label) for label, header in columns.items()},
        "note": row.note,
        "text": row.text,
    }


def check_columns(found: Sequence[str], columns: Mapping[str, str], where: str) -> None:
    """That a table has the columns of this audit's labels, each once.

    Raises ``DataError``: ``audit.columns``.
    """
    known = {*FIXED, *columns.values()}
    twice = sorted({name for name in found if found.count(name) > 1})
    lacking = [name for name in ("audit", "study_id", *columns.values()) if name not in found]
    other = [name for name in found if name and name not in known]
    if twice or lacking or other:
        what = f"the column {twice[0][:40]!r} is there twice" if twice else ""
        what = what or (f"no column {lacking[0][:40]!r}" if lacking else f"{other[0][:40]!r} is no label of this audit")
        hint = "fill in the file that `radloop audit export` wrote, and leave its columns as they are"
        raise DataError("audit.columns", what, where=where, hint=hint)


# what a cell cannot hold

# a backslash that would begin an escape, what XML or a spreadsheet cannot hold, and what would be taken for an escape
# of Excel's own (_x000D_), of which openpyxl undoes one on reading
_UNSAFE: Final = re.compile(
    r"\\(?=u[0-9a-f]{4})|[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]|(?<=_)x|x(?=005F_)"
)
_ESCAPE: Final = re.compile(r"\\u([0-9a-f]{4})")


def escape(text: str) -> str:
    r"""Text for a cell: what it cannot hold becomes ``\uXXXX``.

    >>> escape("a\r\n_x000D_")
    'a\\u000d\n_\\u0078000D_'
    """
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def unescape(text: str) -> str:
    """What ``escape`` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def answer_of(value: object) -> Answer:
    """An answer in JSON's types. Raises ``ValueError`` for what is none."""
    if value is None or value == CANNOT_JUDGE or (type(value) is int and value in (1, 0, -1)):
        return cast(Answer, value)
    raise ValueError("no answer")
