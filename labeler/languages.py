"""Languages of reports: how they are written, what their sections are called, and which one a report is in.

What is particular to a language is data: ``configs/languages/de.yaml`` here, and the lexicons that a schema names for
it. ``docs/languages.md`` says how to add one.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from corpora.config import load_yaml
from corpora.errors import ConfigError, DataError
from corpora.headings import NAMES
from corpora.resources import config_path, config_root
from corpora.sections import select
from corpora.types import Report, Section
from labeler.base import DEFAULT_LANGUAGE
from labeler.rules.spelling import Spelling

#: Not a language: the language of each report is found out.
AUTO: Final = "auto"

_WORD = re.compile(r"[^\W\d_]+")
_ACCENTED: Final = str.maketrans("äáàâãåéèêëíìîïóòôöõúùûüçñ", "aaaaaaeeeeiiiiooooouuuucn")
# so many of the telling words of a language must be in a report, and so many times as many as of the next language
_FEWEST_TELLING = 2
_CLEARLY = 1.5


class Language(BaseModel):
    """A language as written in YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: str = Field(description="ISO 639-1 code, the name of the file.")
    name: str = Field(description="The language's name, for people.")
    markers: list[str] = Field(description="Words that tell it from the other languages.")
    digraphs: bool = Field(default=False, description="Whether ae, oe and ue are other spellings of umlauts.")
    endings: list[tuple[str, str]] = Field(
        default_factory=list, description="An ending and what stands in its place in the word of the lexicon."
    )
    heads: list[str] = Field(default_factory=list, description="Words that a compound ends in and is one of.")
    tails: list[str] = Field(default_factory=list, description="Last parts of a compound that say nothing.")
    abbreviations: list[str] = Field(default_factory=list, description="A full stop behind them ends no sentence.")
    before_lower: list[str] = Field(
        default_factory=list, description="Abbreviations that end no sentence before a small letter."
    )
    headings: dict[str, list[str]] = Field(default_factory=dict, description="Headings by the section they begin.")

    def spelling(self) -> Spelling:
        """How its words are written."""
        fold = Spelling(self.digraphs).fold
        return Spelling(self.digraphs, tuple(self.endings), tuple(map(fold, self.heads)), tuple(map(fold, self.tails)))


@cache
def load_language(code: str) -> Language:
    """The language with this code. Raises ``ConfigError`` (``config.language``) for one that is not shipped."""
    if code not in languages():
        known = ", ".join(languages())
        raise ConfigError(
            "config.language", f"no language {code!r}. Known: {known}", where="language",
            hint=f"or {AUTO}, which finds the language of each report out",
        )  # fmt: skip
    path = config_path(f"languages/{code}")
    language = load_yaml(path, Language)
    for section in language.headings:
        if section not in NAMES:
            message = f"no section is called {section!r}. Known: {', '.join(NAMES)}"
            raise ConfigError("config.section", message, where=f"{path}: headings")
    return language


@cache
def languages() -> tuple[str, ...]:
    """The codes of the shipped languages."""
    return tuple(sorted(path.stem for path in (config_root() / "languages").glob("*.yaml")))


def select_in(language: Language, report: Report, wanted: str = "findings,impression") -> list[Section]:
    """As ``corpora.sections.select``, by the headings of ``language``."""
    return select(sectioned(report, language), wanted)


def sectioned(report: Report, language: Language) -> Report:
    """``report`` with the sections that the headings of ``language`` begin; those it has, if there are none."""
    flat = _flat(report.text)
    found = list(_headings(language.language).finditer(flat)) if language.headings else []
    if not found:
        return report if report.sections else Report(report.study_id, report.text, _body(0, len(flat)))
    names = _sections_of(language.language)
    ends = [hit.start() for hit in found[1:]] + [len(flat)]
    sections = _body(0, found[0].start()) if flat[: found[0].start()].strip() else ()
    for hit, end in zip(found, ends, strict=True):
        sections += (Section(names[" ".join(hit["heading"].split())], hit.end(), end),)
    return Report(report.study_id, report.text, sections)


def _body(start: int, end: int) -> tuple[Section, ...]:
    return (Section("body", start, end),)


@cache
def _sections_of(code: str) -> dict[str, str]:
    headings = load_language(code).headings
    return {_flat(heading): section for section, listed in headings.items() for heading in listed}


@cache
def _headings(code: str) -> re.Pattern[str]:
    """A heading with a colon behind it, or alone on its line; where a line or a sentence begins."""
    listed = sorted(_sections_of(code), key=len, reverse=True)
    names = "|".join(r"\s+".join(map(re.escape, heading.split())) for heading in listed)
    return re.compile(rf"(?:\A|(?<=[\n.!?;]))[ \t\r\n*#]*(?P<heading>{names})[ \t*]*(?::|(?=\r?\n|\Z)|[-\u2013](?=\s))")


def _flat(text: str) -> str:
    """``text`` in lower case and without accents, of the same length."""
    lower = text.lower()
    return (lower if len(lower) == len(text) else text).translate(_ACCENTED)


@cache
def _markers() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for code in languages():
        for word in load_language(code).markers:
            found[_flat(word)] = (*found.get(_flat(word), ()), code)
    return found


def language_of(text: str) -> str | None:
    """The language that a text is in, None where that is doubtful. A text without words passes for English.

    >>> language_of("Kein Nachweis eines Ergusses."), language_of("Pas d'épanchement."), language_of("OK")
    ('de', 'fr', None)
    """
    words = _WORD.findall(_flat(text))
    if not words:
        return DEFAULT_LANGUAGE
    markers = _markers()
    scores = dict.fromkeys(languages(), 0.0)
    for word in words:
        telling = markers.get(word, ())
        for code in telling:
            scores[code] += 1 / len(telling)
    (best, most), (_, next_most), *_ = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return best if most >= _FEWEST_TELLING and most >= _CLEARLY * next_most else None


def known_language(code: str) -> str:
    """``code`` if it is a language or ``auto``. Raises ``ConfigError`` (``config.language``) otherwise."""
    return code if code == AUTO else load_language(code).language


def doubtful() -> DataError:
    """What is wrong with a report whose language cannot be told."""
    return DataError("label.language", "the language of this report is doubtful: label it with --language")


def in_its_language(report: Report, language: str) -> Report:
    """``report`` with its sections by the headings of ``language``, which may be ``auto``; for English, as it is.

    Raises ``DataError`` (``label.language``) where the language is to be found out and doubtful.
    """
    code = language_of(report.text) if language == AUTO else language
    if code is None:
        raise doubtful()
    return report if code == DEFAULT_LANGUAGE else sectioned(report, load_language(code))
