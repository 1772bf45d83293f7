"""Reports in several languages: each is read by the rules of its own.

load("rules.v1", language="auto")("Kein Pleuraerguss, kein Pneumothorax.")["Pleural Effusion"]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from corpora.errors import ConfigError
from corpora.labels import State
from corpora.registry import find
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.base import DEFAULT_LANGUAGE, Labeler
from labeler.languages import AUTO, doubtful, known_language, language_of
from labeler.types import LabelVector

#: Registered labelers that read other languages than English.
_READERS: Final = ("rules.v1",)


class PolyglotLabeler:
    """Finds the language of each report out, and lets the labeler of that language read it.

    Raises ``DataError`` (``label.language``) for a report whose language is doubtful, and ``ConfigError``
    (``config.language``) for one in a language that the schema has no lexicons of.
    """

    def __init__(self, load_in: Callable[[str], Labeler]) -> None:
        """``load_in`` gives the labeler for the code of a language; it is called once for each."""
        self._load_in = load_in
        self._labelers = {DEFAULT_LANGUAGE: load_in(DEFAULT_LANGUAGE)}
        self.made_by = self._labelers[DEFAULT_LANGUAGE].made_by

    @property
    def schema(self) -> LabelSchema:
        """The labels it gives, in order."""
        return self._labelers[DEFAULT_LANGUAGE].schema

    def __call__(self, report: str | Report, sections: str = "findings,impression") -> LabelVector:
        """Label one report, with evidence."""
        return self._labeler_of(report if isinstance(report, str) else report.text)(report, sections)

    def states(self, reports: Sequence[Report], sections: str = "findings,impression") -> list[tuple[State, ...]]:
        """The states alone of each report."""
        readers = [self._labeler_of(report.text) for report in reports]
        found: dict[int, tuple[State, ...]] = {}
        for labeler in self._labelers.values():
            places = [place for place, reader in enumerate(readers) if reader is labeler]
            found.update(zip(places, labeler.states([reports[place] for place in places], sections), strict=True))
        return [found[place] for place in range(len(reports))]

    def _labeler_of(self, text: str) -> Labeler:
        language = language_of(text)
        if language is None:
            raise doubtful()
        if language not in self._labelers:
            self._labelers[language] = self._load_in(language)
        return self._labelers[language]


def load_in(language: str, name: str, schema: str) -> Labeler:
    """The labeler registered as ``name`` for another language than English, or for ``auto``.

    Raises ``ConfigError`` (``config.language``) for a language that is not shipped or that the schema has no lexicons
    of, and for a labeler that reads English alone.
    """
    known_language(language)
    if name not in _READERS:
        raise ConfigError(
            "config.language", f"labeler {name!r} reads English alone", where="language",
            hint=f"leave --language out, or take {' or '.join(_READERS)}",
        )  # fmt: skip
    make: Callable[[str, str], Labeler] = find("labelers", name).load()
    if language == AUTO:
        return PolyglotLabeler(lambda code: make(schema, code))
    return make(schema, language)
