"""What decides a phantom corpus: its seed, the size of its films, and the three configuration files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from corpora.config import config_sha256, load_yaml
from corpora.phantom.grammar import ReportGrammar
from corpora.phantom.model import ChestModel, PeopleModel
from corpora.resources import config_path

#: Changes when the same settings give other studies.
GENERATOR = "phantom.v3"


@dataclass(frozen=True, slots=True)
class Settings:
    """Seed, height of the films in pixels, and each configuration as JSON."""

    seed: int
    size: int
    chest: str
    people: str
    grammar: str

    def key(self) -> dict[str, Any]:
        """What a run that resumes must share with the one before."""
        hashes = {name: config_sha256({"text": text}) for name, text in asdict(self).items() if isinstance(text, str)}
        return {"generator": GENERATOR, "seed": self.seed, "size": self.size, **hashes}


def read_settings(seed: int, size: int, config: Path | str | None = None) -> Settings:
    """The settings with the shipped files, or with ``config`` in place of that of patients and findings.

    Raises ``ConfigError`` as ``corpora.config.load_yaml``.
    """
    chest = load_yaml(config or config_path("phantom/chest"), ChestModel)
    people = load_yaml(config_path("phantom/people"), PeopleModel)
    grammar = load_yaml(config_path("phantom/reports.en"), ReportGrammar)
    return Settings(seed, size, chest.model_dump_json(), people.model_dump_json(), grammar.model_dump_json())


@cache
def grammar_of(settings: Settings) -> ReportGrammar:
    """The grammar of the settings."""
    return ReportGrammar.model_validate_json(settings.grammar)
