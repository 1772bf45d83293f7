"""What a labeler is, how to get one by name, and a toy for tests of what is built on labelers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from corpora.labels import NEGATIVE, POSITIVE, State
from corpora.registry import find
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.types import LabelVector, Mention


class Labeler(Protocol):
    """Reads reports; the same report always gets the same labels."""

    made_by: str

    @property
    def schema(self) -> LabelSchema:
        """The labels it gives, in order."""
        ...

    def __call__(self, report: str | Report, sections: str = "findings,impression") -> LabelVector:
        """Label one report, with evidence; ``sections`` as ``corpora.sections.select`` takes them."""
        ...

    def states(self, reports: Sequence[Report], sections: str = "findings,impression") -> list[tuple[State, ...]]:
        """The states of the same vectors, one for each report, without evidence."""
        ...


DEFAULT_SCHEMA: Final = "chexpert14.v1"
DEFAULT_LANGUAGE: Final = "en"


def load(name: str = "rules.v1", schema: str = DEFAULT_SCHEMA, language: str = DEFAULT_LANGUAGE) -> Labeler:
    """The labeler registered as ``name``, for a schema; or the one that ``radloop label train`` wrote to this folder.

    ``hybrid.v1:RUN`` is the registered one with the network in the folder RUN. A trained labeler has a schema of its
    own, and is refused for any other but the default one. Raises ``RegistryError`` with the nearest names; for a folder
    as ``labeler.neural.predict.NeuralLabeler``.

    ``language`` is the ISO 639-1 code of the reports' language, or ``auto``; raises ``ConfigError``
    (``config.language``) where the labeler or the schema does not know it.

    >>> load("rules.v1")("No effusion. Possible small pneumothorax.")["Pneumothorax"]
    -1
    """
    if language != DEFAULT_LANGUAGE:
        from labeler.polyglot import load_in

        return load_in(language, name, schema)
    if Path(name).is_dir():
        from labeler.neural.predict import NeuralLabeler

        return NeuralLabeler(name, "" if schema == DEFAULT_SCHEMA else schema)
    registered, _, folder = name.partition(":")
    make = find("labelers", registered).load()
    labeler: Labeler = make(schema, folder) if folder else make(schema)
    return labeler


def network_of(name: str) -> Path | None:
    """The folder of the trained network that the labeler ``name`` reads with, if it is one that does.

    >>> network_of("rules.v1"), network_of("hybrid.v1:run-7")
    (None, PosixPath('run-7'))
    """
    folder = name if Path(name).is_dir() else name.partition(":")[2]
    return Path(folder) if folder else None


def is_trained(name: str) -> bool:
    """Whether ``name`` is the folder of a trained labeler, not a registered name."""
    return Path(name).is_dir()


def explain_by(labeler: Labeler, method: str) -> None:
    """Let a network, that of a hybrid too, find its evidence by ``method``; other labelers have only one."""
    network: Any = getattr(labeler, "network", labeler)
    if hasattr(network, "evidence"):
        network.evidence = method


class ToyLabeler:
    """Positive where a label's name occurs in the text, negative where it does not: for tests, not for reports."""

    made_by = "toy.v1"

    def __init__(self, schema: str = "") -> None:
        self.schema = LabelSchema("toy.v1", ("effusion", "fracture"))

    def __call__(self, report: str | Report, sections: str = "") -> LabelVector:
        """Label one report by its words."""
        report = Report("", report) if isinstance(report, str) else report
        # not in text.lower(): its places are others where a letter's lower case is two
        found = {label: re.search(label, report.text, re.IGNORECASE) for label in self.schema.labels}
        mentions = tuple(
            Mention(label, *hit.span(), POSITIVE, (), "contains") for label, hit in found.items() if hit is not None
        )
        return LabelVector(
            report.study_id, self.schema.name, self.schema.labels, self.states([report])[0], mentions, self.made_by
        )

    def states(self, reports: Sequence[Report], sections: str = "") -> list[tuple[State, ...]]:
        """The states alone."""
        return [tuple(self._state(report, label) for label in self.schema.labels) for report in reports]

    def _state(self, report: Report, label: str) -> State:
        return NEGATIVE if re.search(label, report.text, re.IGNORECASE) is None else POSITIVE
