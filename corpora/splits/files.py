"""The file of a split: study_id, patient_id, split."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from corpora.errors import DataError
from corpora.runs import atomic_writer
from corpora.splits.types import PARTS, Split

_COLUMNS: Final = ("study_id", "patient_id", "split")


def write_split(path: Path, split: Split) -> None:
    """Write a split as CSV, in the order of the corpus. Raises ``RunError`` as ``atomic_writer``."""
    with atomic_writer(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows((study_id, split.patients[study_id] or "", part) for study_id, part in split.parts.items())


def read_patients(path: Path) -> dict[str, str]:
    """The part of each patient, named as ``StudyFacts.patient``; the first one of a patient in two. Raises as
    ``read_split``."""
    parts: dict[str, str] = {}
    for study_id, patient_id, part in split_rows(path):
        parts.setdefault(f"p:{patient_id}" if patient_id else f"s:{study_id}", part)
    return parts


def read_split(path: Path | str) -> dict[str, str]:
    """The part of each study in a ``split.csv``, or in the one of a corpus folder.

    Raises ``DataError``: ``data.missing``, ``data.column``, ``data.split`` for a part that is none, ``data.duplicate``.
    """
    return {study_id: part for study_id, _, part in split_rows(path)}


def split_rows(path: Path | str) -> list[tuple[str, str, str]]:
    """Study id, patient id (empty if there is none) and part of each row. Raises as ``read_split``."""
    path = Path(path)
    path = path / "split.csv" if path.is_dir() else path
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {*_COLUMNS} <= {*(reader.fieldnames or ())}:
                raise DataError("data.column", f"a split has the columns {', '.join(_COLUMNS)}", where=str(path))
            rows = [(row["study_id"], row["patient_id"] or "", row["split"]) for row in reader]
    except FileNotFoundError as error:
        raise DataError("data.missing", "there is no such split", where=str(path)) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError("data.csv", "the split cannot be read", where=str(path)) from error
    seen: set[str] = set()
    for number, (study_id, _, part) in enumerate(rows, 1):
        if part not in PARTS:
            raise DataError("data.split", f"the part is none of {', '.join(PARTS)}", where=f"{path}, row {number}")
        if study_id in seen:
            raise DataError("data.duplicate", "the study id occurs twice", where=f"{path}, row {number}")
        seen.add(study_id)
    return rows
