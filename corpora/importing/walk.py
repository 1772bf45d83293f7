"""The files of a folder in a fixed order; links are followed, and a folder that they lead to twice is entered once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corpora.errors import DataError
from corpora.importing.names import FILM_SUFFIXES

_OTHER: Final = frozenset(
    ".bib .bz2 .c .cfg .conf .csv .db .doc .docx .gif .h5 .hdf5 .html .ini .ipynb .jpgz .json .jsonl .log .mat .md"
    " .mp4 .nii .npy .npz .parquet .pdf .pkl .ps .pt .pth .py .rtf .sh .sqlite .svg .tar .tex .tgz .toml .tsv .txt"
    " .xls .xlsx .xml .yaml .yml .zip .sha256 .md5 .lock .tmp .part".split()
)
_TABLES: Final = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


@dataclass(frozen=True, slots=True)
class Found:
    """A file, by its path relative to the folder that was walked; what cannot be read has a ``fault``."""

    path: str
    size: int = 0
    changed: int = 0
    fault: str = ""


def walk(root: Path, leave_out: Path | None = None) -> Iterator[Found]:
    """Every regular file under ``root``, sorted in each folder, files before folders; not those in ``leave_out``.

    Raises ``DataError`` (``data.unreadable``) if the folder itself cannot be read; a folder in it is a ``Found`` with a
    ``fault``.
    """
    entered: set[tuple[int, int]] = set()
    without = _identity(leave_out) if leave_out and leave_out.is_dir() else None
    if without is not None:
        entered.add(without)
    waiting = [(root, "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            identity = _identity(folder)
            if identity in entered:
                continue
            entered.add(identity)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            if not prefix:
                raise DataError("data.unreadable", error.strerror or "cannot be read", where=str(root)) from error
            yield Found(prefix, fault=error.strerror or "the folder cannot be read")
            continue
        inner: list[tuple[Path, str]] = []
        for entry in entries:
            path = prefix + entry.name
            try:
                if entry.is_dir():
                    inner.append((Path(entry.path), f"{path}/"))
                    continue
                status = entry.stat()
                if entry.is_file():
                    yield Found(path, status.st_size, status.st_mtime_ns)
            except OSError as error:
                # a link that leads nowhere, or round in a circle
                yield Found(path, fault=error.strerror or "the file cannot be read")
        waiting.extend(reversed(inner))


def candidates(root: Path, leave_out: Path | None = None) -> Iterator[Found]:
    """The files under ``root`` that may be films and that a table can name."""
    for each in walk(root, leave_out):
        if not each.fault and may_be_film(each.path) and not any("\ud800" <= sign <= "\udfff" for sign in each.path):
            yield each


def listing_sha256(found: Iterable[Found]) -> str:
    """A hash of names and sizes, of films whose content is not all read."""
    digest = hashlib.sha256()
    for each in sorted(found, key=lambda one: one.path):
        digest.update(f"{each.path}\0{each.size}\n".encode())
    return digest.hexdigest()


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def may_be_film(name: str) -> bool:
    """Whether a file of this name is looked into for a film or a report in DICOM.

    >>> [may_be_film(name) for name in ("a.dcm", "IM0001", "1.2.840.5", "a.csv", ".DS_Store", "DICOMDIR")]
    [True, True, True, False, False, False]
    """
    name = name.rpartition("/")[2]
    lower = name.lower()
    if name.startswith(".") or lower in ("dicomdir", "thumbs.db", "license", "readme", "makefile"):
        return False
    return Path(lower.removesuffix(".gz") if lower.endswith(".csv.gz") else lower).suffix not in _OTHER


def has_film_suffix(name: str) -> bool:
    """Whether the name says that the file is a film."""
    return name.lower().endswith(FILM_SUFFIXES[:-1]) and not name.rpartition("/")[2].startswith(".")


def may_be_table(name: str) -> bool:
    """Whether a file of this name may be a table that describes films."""
    return name.lower().endswith(_TABLES) and not name.rpartition("/")[2].startswith(".")
