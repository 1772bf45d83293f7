"""Metrics, one a file; each is registered under ``radloop.metrics`` as a user's own would be.

A metric is an object with a ``name``, the names of what it gives (``gives``), and ``score(pairs)``: one ``Scored`` for
each of them. ``reportgen.testing.check_metric`` says what it has to hold to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from corpora import registry
from reportgen.types import Pair, Scored

__all__ = ["Metric", "load_metric"]


class Metric(Protocol):
    """Scores drafts against references; the same pairs always get the same scores."""

    @property
    def name(self) -> str:
        """Registered name, with its version."""
        ...

    @property
    def text(self) -> str:
        """Which text it reads: ``tokens`` as the protocol cleaned them, or the report as ``written``."""
        ...

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """The scores of all pairs."""
        ...


def load_metric(name: str) -> Metric:
    """The metric registered as ``name``. Raises ``RegistryError`` with the nearest names."""
    metric: Metric = registry.load("metrics", name)()
    return metric
