"""Rows as JSON lines: one object a text.

{"audit": HASH, "study_id": ..., "reader": ..., "labels": {LABEL: 1 | 0 | -1 | null | "cannot_judge"}, "note": ...}

``null`` is blank; a label that is left out is unanswered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from corpora.errors import DataError
from corpora.runs import atomic_writer
from labeler.audit.exchange.rows import Row, answer_of


def write(path: Path, rows: Iterable[Row], labels: Sequence[str]) -> None:
    """Write rows as JSON lines, in ASCII. Raises ``RunError`` as ``corpora.runs.atomic_writer``."""
    with atomic_writer(path) as file:
        for row in rows:
            data: dict[str, Any] = {"audit": row.audit, "study_id": row.study_id, "reader": row.reader}
            data |= {"labels": {label: row.answers[label] for label in labels if label in row.answers}}
            data |= {"note": row.note}
            data |= {name: value for name in ("phase", "at", "repeat", "position", "text")
                     if (value := getattr(row, name)) not in ("", None, False)}  # fmt: skip
            file.write(json.dumps(data) + "\n")


def read(path: Path, labels: Sequence[str]) -> Iterator[Row]:
    """The rows of a file of JSON lines.

    Raises ``DataError``: ``data.file``, ``data.encoding``, ``data.json``, ``audit.columns`` for a label of another
    audit.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _row(line, labels, f"{path}, line {number}")
    except UnicodeDecodeError:
        raise DataError("data.encoding", "not UTF-8 text", where=str(path)) from None
    except OSError as error:
        raise DataError("data.file", error.strerror or "cannot be read", where=str(path)) from None


def _row(line: str, labels: Sequence[str], where: str) -> Row:
    try:
        data = json.loads(line)
        said = data.get("labels", {})
        other = [label for label in said if label not in labels]
        names = {name: data.get(name, "") for name in ("audit", "study_id", "reader", "note", "phase", "at")}
        if not all(isinstance(value, str) for value in names.values()) or not isinstance(said, dict):
            raise TypeError
    except (ValueError, RecursionError, AttributeError, TypeError):
        raise DataError("data.json", "the line is no JSON object of a reading", where=where) from None
    if other:
        raise DataError("audit.columns", f"{other[0][:40]!r} is no label of this audit", where=where)
    try:
        answers, problem = {label: answer_of(value) for label, value in said.items()}, None
    except ValueError:
        answers, problem = {}, ("audit.answer", "an answer is none of 1, 0, -1, null and cannot_judge")
    return Row(answers=answers, repeat=data.get("repeat") is True, where=where, problem=problem, **names)
