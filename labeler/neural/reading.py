"""What of a report a network reads, where its words stand in the report, and the classes it tells apart.

    blank 0, positive 1, negative 2, uncertain 3

The text is the selected sections with a line break between them; ``Reading.place`` leads back to the report. A network
reads it sentence by sentence.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from corpora.labels import BLANK, NEGATIVE, POSITIVE, UNCERTAIN, State
from corpora.sections import select
from corpora.types import Report
from labeler.rules.sentences import sentences

CLASSES: Final[tuple[State, ...]] = (BLANK, POSITIVE, NEGATIVE, UNCERTAIN)
CLASS_OF: Final[dict[State, int]] = {state: number for number, state in enumerate(CLASSES)}
IGNORED: Final = -100

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Reading:
    """The selected text, and for each section in it where it begins there and in the report."""

    text: str
    begins: tuple[int, ...] = ()
    places: tuple[int, ...] = ()

    def place(self, at: int) -> int:
        """Where in the report the character ``at`` of the text stands."""
        section = bisect_right(self.begins, at) - 1
        return self.places[section] + at - self.begins[section]

    def words(self) -> list[tuple[int, int]]:
        """Spans of the words of the text."""
        return [found.span() for found in _WORD.finditer(self.text)]


def read(report: Report, sections: str) -> Reading:
    """The ``sections`` of ``report`` as a network reads them. Raises ``ConfigError`` (``config.section``)."""
    parts = select(report, sections)
    begins: list[int] = []
    length = 0
    for part in parts:
        begins.append(length)
        length += part.end - part.start + 1
    text = "\n".join([report.text[part.start : part.end] for part in parts])
    return Reading(text, tuple(begins), tuple([part.start for part in parts]))


def sentences_of(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences of ``text`` that have words.

    >>> text = "1. No effusion. 2. ..."
    >>> [text[start:end] for start, end in sentences_of(text)]
    ['No effusion.']
    """
    return [(start, end) for start, end in sentences(text) if _WORD.search(text, start, end)]


def has_words(text: str) -> bool:
    """Whether there is anything to read."""
    return _WORD.search(text) is not None
