"""What a reader is told, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from corpora.types import Reject, Study

Record = Study | Reject


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a source is to be read; ``None`` leaves it to what the source shows.

    ``format``: a name registered under ``radloop.readers``. ``encoding``: of text files, UTF-8 if not given.
    ``*_column``: which columns of a table hold the study id and the report, or the findings and the impression.
    """

    format: str | None = None
    encoding: str | None = None
    id_column: str | None = None
    text_column: str | None = None
    findings_column: str | None = None
    impression_column: str | None = None

    def columns(self) -> tuple[str, ...]:
        """The columns that are named."""
        named = (self.id_column, self.text_column, self.findings_column, self.impression_column)
        return tuple(name for name in named if name is not None)


Reader = Callable[[str, ReadOptions], Iterator[Record]]
