"""The text that is measured on: Open-i as a table, and a corpus of MIMIC-CXR's size made from its sentences.

In the made corpus half of the sentence occurrences are strings that did not occur before in it. An old one is drawn
either as Open-i has it or from all that was written so far, a new one is a sentence of Open-i with one to three light
edits. Nothing but the seed and the base reports decides what is written.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from corpora.readers import open_source
from corpora.types import Study
from tests.benchmarks.edits import edited

#: As many reports as MIMIC-CXR has.
MIMIC_REPORTS: Final = 227_835
COLUMNS: Final = ("study_id", "findings", "impression")
_SENTENCE_END: Final = re.compile(r"(?<=[.?!])\s+")
_LIST_MARK: Final = re.compile(r"^\d{1,2}[.)]\s*")
_DIGITS_AND_MASKS: Final = re.compile(r"\d+(?:\.\d+)?|_{2,}|x{4,}")
_NEW_SHARE: Final = 0.5
_STOCK_SHARE: Final = 0.5


class Row(NamedTuple):
    """A report as the tables hold it."""

    study_id: str
    findings: str
    impression: str

    @property
    def text(self) -> str:
        """Both sections, for those who take a report as one text."""
        return f"{self.findings}\n{self.impression}"


class Made(NamedTuple):
    """A made report: its sentences, and how its impression is numbered."""

    study_id: str
    findings: tuple[str, ...]
    impression: tuple[str, ...]
    numbered: bool

    def row(self) -> Row:
        """The report as a row of a table."""
        listed = self.impression
        if self.numbered and len(listed) > 1:
            listed = tuple(f"{number}. {sentence}" for number, sentence in enumerate(listed, 1))
        return Row(self.study_id, " ".join(self.findings), " ".join(listed))


@dataclass(slots=True)
class Facts:
    """What was written: ``new`` of ``sentences`` occurrences are strings not seen before in the corpus.

    ``new_wording`` counts as new only what differs from all before it in more than case, digits and masks.
    """

    reports: int = 0
    characters: int = 0
    sentences: int = 0
    new: int = 0
    new_wording: int = 0


def openi_rows(source: Path) -> list[Row]:
    """The reports of an Open-i collection (its ``.tgz`` or folder) that have findings or an impression."""
    studies = (record for record in open_source(str(source)) if isinstance(record, Study))
    rows = [Row(study.study_id, _section(study, "findings"), _section(study, "impression")) for study in studies]
    return [row for row in rows if row.findings or row.impression]


def _section(study: Study, name: str) -> str:
    report = study.report
    if report is None:
        return ""
    return " ".join(report.text[part.start : part.end] for part in report.sections if part.name == name).strip()


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a table of reports as CSV, streaming."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def read_rows(path: Path) -> Iterator[Row]:
    """The reports of such a table, streaming."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        yield from map(Row._make, reader)


def copy_head(source: Path, target: Path, count: int) -> None:
    """The first ``count`` reports of a table as a table of their own."""
    write_rows(target, islice(read_rows(source), count))


def split(text: str) -> tuple[str, ...]:
    """The sentences of a section, without the numbers of a list."""
    parts = (_LIST_MARK.sub("", part.strip()) for part in _SENTENCE_END.split(text))
    return tuple(part for part in parts if sum(map(str.isalpha, part)) > 2)


def made_reports(base: Sequence[Row], count: int, seed: int = 0) -> Iterator[Made]:
    """``count`` reports of the shapes of ``base``, from its sentences; the same for the same arguments.

    Raises ``ValueError`` if a section has no sentence in any report of ``base``.
    """
    findings = tuple(sentence for row in base for sentence in split(row.findings))
    impressions = tuple(sentence for row in base for sentence in split(row.impression))
    if not findings or not impressions:
        raise ValueError("no sentences to make reports of")
    chance = Random(seed)
    seen: set[str] = set()
    sources = (_Sentences(findings, seen, chance), _Sentences(impressions, seen, chance))
    shapes = [(len(split(row.findings)), len(split(row.impression)), row.impression.startswith("1")) for row in base]
    shapes = [shape for shape in shapes if shape[0] + shape[1]]
    for number in range(count):
        *lengths, numbered = shapes[int(chance.random() * len(shapes))]
        sections = [
            tuple(source.draw() for _ in range(length)) for source, length in zip(sources, lengths, strict=True)
        ]
        yield Made(f"s{50_000_000 + number}", sections[0], sections[1], bool(numbered))


class _Sentences:
    """Sentences of one section: as they are in the base, as they were drawn before, or edited until they are new."""

    def __init__(self, stock: Sequence[str], seen: set[str], chance: Random) -> None:
        self._stock = stock
        self._chance = chance
        self._seen = seen
        self._drawn: list[str] = []

    def draw(self) -> str:
        new = not self._drawn or self._chance.random() < _NEW_SHARE
        sentence = self._new() if new else self._old()
        self._drawn.append(sentence)
        return sentence

    def _pick(self, sentences: Sequence[str]) -> str:
        return sentences[int(self._chance.random() * len(sentences))]

    def _old(self) -> str:
        """What is common in the base stays common; what was once written may be written again."""
        if self._chance.random() < _STOCK_SHARE:
            sentence = self._pick(self._stock)
            if sentence in self._seen:
                return sentence
        return self._pick(self._drawn)

    def _new(self) -> str:
        sentence = self._pick(self._stock)
        tries = 0
        while sentence in self._seen:
            tries += 1
            times = 1 + int(self._chance.random() * 3) + tries // 8
            sentence = edited(self._pick(self._stock), self._chance, times)
        self._seen.add(sentence)
        return sentence


def write_made(path: Path, base: Sequence[Row], count: int, seed: int = 0) -> Facts:
    """Write ``count`` made reports as CSV, streaming, and say what was written."""
    facts = Facts()
    write_rows(path, (made.row() for made in _counted(made_reports(base, count, seed), facts)))
    return facts


def _counted(reports: Iterable[Made], facts: Facts) -> Iterator[Made]:
    """The reports as they come, counted over both sections together."""
    seen: set[str] = set()
    wordings: set[int] = set()
    for made in reports:
        facts.reports += 1
        for sentence in (*made.findings, *made.impression):
            facts.sentences += 1
            facts.characters += len(sentence)
            if sentence not in seen:
                seen.add(sentence)
                facts.new += 1
                wordings_before = len(wordings)
                wordings.add(hash(_DIGITS_AND_MASKS.sub("#", sentence.lower())))
                facts.new_wording += len(wordings) - wordings_before
        yield made
