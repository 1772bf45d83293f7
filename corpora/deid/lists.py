"""The names, words and patterns that the text of reports is searched for, from ``configs/deid``."""

# ruff: noqa: RUF001 - apostrophes as they are printed
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from corpora.config import load_yaml
from corpora.deid.identity import fold
from corpora.errors import ConfigError
from corpora.resources import config_root

#: Categories of what is removed.
KINDS: Final = ("NAME", "DATE", "ID", "PHONE", "EMAIL", "URL", "ADDRESS", "ORG", "AGE", "DEVICE")


class NamesFile(BaseModel):
    """Given and family names, folded."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    given: str = Field(description="Given names, separated by blanks.")
    family: str = Field(description="Family names, separated by blanks.")


class WordsFile(BaseModel):
    """Words that decide whether something is a name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    eponyms: str = Field(description="Names in medicine, separated by blanks.")
    heads: str = Field(description="Words that make an eponym of a name before them.")
    titles: str = Field(description="Titles before names.")
    roles: str = Field(description="Labels of people, separated by bars.")
    cues: str = Field(description="Words after which a capitalised word is a name, separated by bars.")
    credentials: str = Field(description="Letters after names.")
    particles: str = Field(description="Particles inside family names.")
    facilities: str = Field(description="Words after the name of a place of care, separated by bars.")
    facilities_before: str = Field(description="Words before the name of a place of care, separated by bars.")
    facilities_suffix: str = Field(description="Ends of words that name a place of care, separated by bars.")
    known_places: str = Field(description="Places of care that are known by name, separated by bars.")
    ordinary: str = Field(description="Words that are also names.")
    common: str = Field(description="Capitalised words that are no names.")


class PatternEntry(BaseModel):
    """A regular expression for one way of telling who somebody is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="What it finds.")
    category: str = Field(description="Category of what it finds.", pattern="|".join(KINDS))
    pattern: str = Field(description="Regular expression; the group phi is what is removed.")
    least_digits: int = Field(0, description="Digits that the match must have.")
    needs_digit: bool = Field(False, description="Whether there must be a digit in it.")
    needs_letter: bool = Field(False, description="Whether there must be a letter in it.")
    stop_words: bool = Field(False, description="Whether a common word in it makes it no match.")
    not_state: bool = Field(False, description="Whether the end may be a view instead of a state.")


class PatternsFile(BaseModel):
    """Patterns with macros."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    macros: dict[str, str] = Field(
        default_factory=dict, description="Alternatives by name; white space does not count."
    )
    patterns: list[PatternEntry] = Field(description="Patterns, in any order.")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled entry."""

    entry: PatternEntry
    regex: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Lists:
    """All lists, folded, as sets and compiled patterns."""

    given: frozenset[str]
    family: frozenset[str]
    eponyms: frozenset[str]
    heads: frozenset[str]
    titles: frozenset[str]
    credentials: frozenset[str]
    particles: frozenset[str]
    ordinary: frozenset[str]
    common: frozenset[str]
    vocabulary: frozenset[str]
    roles: re.Pattern[str]
    cues: re.Pattern[str]
    patterns: tuple[Pattern, ...]
    facilities: tuple[re.Pattern[str], ...]

    def is_listed(self, word: str) -> bool:
        """Whether a folded word is in one of the lists of names."""
        return word in self.given or word in self.family

    def is_word(self, word: str) -> bool:
        """Whether a folded word is one of the language or of medicine, whatever else it may be."""
        return word in self.common or word in self.vocabulary or word in self.ordinary


@cache
def load_lists() -> Lists:
    """The shipped lists. Raises ``ConfigError`` (``config.*``, ``deid.pattern``)."""
    folder = config_root() / "deid"
    names = load_yaml(folder / "names.yaml", NamesFile)
    words = load_yaml(folder / "words.en.yaml", WordsFile)
    patterns = load_yaml(folder / "patterns.en.yaml", PatternsFile)
    given, family = _words(names.given), _words(names.family)
    common = _words(words.common)
    return Lists(
        given, family, _words(words.eponyms), _words(words.heads), _words(words.titles),
        frozenset(words.credentials.split()), _words(words.particles), _words(words.ordinary), common,
        _vocabulary() - _words(words.eponyms), _phrases(words.roles), _phrases(words.cues),
        tuple(_compiled(entry, patterns.macros) for entry in patterns.patterns), _facilities(words),
    )  # fmt: skip


def _words(text: str) -> frozenset[str]:
    return frozenset(fold(text).split())


def _alternatives(text: str) -> str:
    phrases = sorted({phrase.strip() for phrase in text.split("|") if phrase.strip()}, key=len, reverse=True)
    return "|".join(re.escape(phrase).replace(r"\ ", r"[\s-]+") for phrase in phrases)


def _phrases(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w'’-])(?:{_alternatives(fold(text))})(?![\w'’])")


def _vocabulary() -> frozenset[str]:
    """Words of the shipped lexicons and of the grammar of invented reports: they are no names."""
    root = config_root()
    files = [*(root / "lexicons").glob("*.yaml"), root / "phantom" / "reports.en.yaml"]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    return frozenset(word for text in texts for word in re.findall(r"[a-z]{3,}", fold(text)))


def _compiled(entry: PatternEntry, macros: dict[str, str]) -> Pattern:
    text = entry.pattern
    for name, value in macros.items():
        text = text.replace(f"{{{name}}}", re.sub(r"\s+", "", value))
    try:
        return Pattern(entry, re.compile(text))
    except re.error as error:
        raise ConfigError(
            "deid.pattern", f"the pattern {entry.name!r} is no regular expression: {error.msg}",
            where="configs/deid/patterns.en.yaml",
        ) from None  # fmt: skip


def _facilities(words: WordsFile) -> tuple[re.Pattern[str], ...]:
    cap = r"(?:St\.?|[A-ZÀ-ÖØ-ÞĀ-Ž][\w'’]*(?:-[A-ZÀ-ÖØ-ÞĀ-Ža-z][\w'’]*)*)"
    link = r"(?:\s+(?:of|the|and|&|de|del|della|des|du|da|do|la|le|di|den|der|am|im|an|for|zu|zum|zur|sur|en)){0,2}"
    after, before = _alternatives(words.facilities), _alternatives(words.facilities_before)
    suffix, known = words.facilities_suffix.strip(), _alternatives(words.known_places)
    return (
        re.compile(rf"(?<![\w-])(?P<own>{cap}(?:{link}\s+{cap}){{0,4}}?)\s+(?:{after})(?:\s+(?:{after}))*(?![\w-])"),
        re.compile(rf"(?<![\w-])(?:{before}){link}\s+(?P<own>(?:['’\w]{{1,3}}['’])?{cap}(?:{link}\s+{cap}){{0,3}})"),
        re.compile(rf"(?<![\w-])(?P<own>[A-ZÀ-Þ][\w-]*(?:{suffix})(?:\s+{cap}){{0,2}})(?![\w-])"),
        re.compile(rf"(?<![\w-])(?P<own>{known})(?:\s+(?:{after}))*(?![\w-])"),
    )
