"""What the place of a film tells: keys to find it by, and the ids that its folders and its name may hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

#: Endings that are no part of a film's name; all others may be, as in a UID.
FILM_SUFFIXES: Final = (".dcm", ".dicom", ".dic", ".png", ".jpg", ".jpeg", ".gz")
_OPENI: Final = re.compile(r"^(?:CXR)?(\d{1,4})(?:_\d+)?_IM-\d+")
_MIMIC: Final = re.compile(r"^s\d{8}$")
_MIMIC_PATIENT: Final = re.compile(r"^p\d{8}$")
_CHEXPERT: Final = re.compile(r"^patient\d+$")


@dataclass(frozen=True, slots=True)
class Tails:
    """The last one, two and three parts of a path without the ending of its name; None where it is too short."""

    parts: int
    tail1: str
    tail2: str | None
    tail3: str | None


@dataclass(frozen=True, slots=True)
class Places:
    """Ids that a film's place may hold: of a layout that is known, its name, its folder, and the folder around that."""

    pattern: str | None
    stem: str
    folder: str | None
    folder2: str | None
    patient: str | None = None


def stem_of(name: str) -> str:
    """A file's name without the ending of a film.

    >>> stem_of("view1_frontal.jpg"), stem_of("1.2.840.99")
    ('view1_frontal', '1.2.840.99')
    """
    lower = name.lower()
    end = next((end for end in FILM_SUFFIXES if lower.endswith(end) and len(name) > len(end)), "")
    return name[: len(name) - len(end)]


def tails_of(path: str) -> Tails:
    """The keys of a path, of a file or in a cell of a table.

    >>> tails_of("train\\\\patient1/study1/view1.jpg")
    Tails(parts=4, tail1='view1', tail2='study1/view1', tail3='patient1/study1/view1')
    """
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts:
        return Tails(0, "", None, None)
    parts[-1] = stem_of(parts[-1])
    longer = ["/".join(parts[-length:]) if len(parts) >= length else None for length in (2, 3)]
    return Tails(len(parts), parts[-1], *longer)


def places_of(path: str) -> Places:
    """The ids that a path relative to its source may hold.

    >>> places_of("1000/1000_IM-0003-2001.dcm").pattern, places_of("CXR1_1_IM-0001-3001.png").pattern
    ('CXR1000', 'CXR1')
    >>> places_of("p10/p10000032/s50414267/02aa804e.jpg").pattern
    's50414267'
    """
    parts = PurePosixPath(path).parts
    stem, folders = stem_of(parts[-1]), parts[:-1]
    pattern, patient = _known(stem, folders)
    folder = folders[-1] if folders else None
    return Places(pattern, stem, folder, folders[-2] if len(folders) > 1 else None, patient)


def _known(stem: str, folders: tuple[str, ...]) -> tuple[str | None, str | None]:
    for name in (stem, *folders[-1:]):
        if found := _OPENI.match(name):
            return f"CXR{found[1]}", None
    if folders and _MIMIC.match(folders[-1]):
        patient = folders[-2] if len(folders) > 1 and _MIMIC_PATIENT.match(folders[-2]) else None
        return folders[-1], patient
    if len(folders) > 1 and _CHEXPERT.match(folders[-2]) and folders[-1].startswith("study"):
        return f"{folders[-2]}/{folders[-1]}", folders[-2]
    return None, None
