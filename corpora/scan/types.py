"""What a scan finds and what it looks for."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Leak:
    """Something left: the file (below what was scanned), where in it, and of what kind. Never the value.

    ``kind`` is ``source value``, ``pattern``, ``not removed`` or ``pixels``.
    """

    file: str
    where: str
    kind: str
    what: str
    study_id: str | None = None


@dataclass(slots=True)
class Terms:
    """What source headers say: whole values, the words of names and ids, dates; all folded.

    ``films`` are the values of one film by its object UID and by tag.
    """

    values: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    films: dict[str, dict[str, str]] = field(default_factory=dict)


def plain(text: str) -> str:
    """Lower case, no accents, single blanks.

    >>> plain("  Müller^Jürgen ")
    'muller^jurgen'
    """
    flat = unicodedata.normalize("NFKD", text.replace("\0", " "))
    return " ".join("".join(char for char in flat if not unicodedata.combining(char)).lower().split())


WORD: Final = re.compile(r"[^\W_]{3,}")
