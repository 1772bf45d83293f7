"""Parents of a label set, filled in: a film with a kind of a finding has the finding.

What is asserted of a label is asserted of its parent, and what is left open leaves the parent open, unless it is
asserted itself. A label that is denied says nothing of its parent, and nothing goes down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from corpora.errors import ConfigError
from corpora.labels import POSITIVE, UNCERTAIN, State
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.base import Labeler
from labeler.schemas import load_schema
from labeler.types import LabelVector


class Hierarchical:
    """A labeler whose labels' parents are filled in; the mentions are as it found them."""

    def __init__(self, labeler: Labeler, parents: Mapping[str, str]) -> None:
        self._labeler = labeler
        self._steps = steps(labeler.schema.labels, parents)
        self.made_by = labeler.made_by

    @property
    def schema(self) -> LabelSchema:
        return self._labeler.schema

    def __call__(self, report: str | Report, sections: str = "findings,impression") -> LabelVector:
        """Label one report, with evidence."""
        vector = self._labeler(report, sections)
        return replace(vector, states=filled(vector.states, self._steps))

    def states(self, reports: Sequence[Report], sections: str = "findings,impression") -> list[tuple[State, ...]]:
        """The states alone."""
        return [filled(states, self._steps) for states in self._labeler.states(reports, sections)]


def with_parents(labeler: Labeler, schema: str) -> Labeler:
    """``labeler`` with the parents filled in that the schema gives its labels.

    Raises ``ConfigError`` (``label.no_parents``) for a schema that gives none.
    """
    parents = load_schema(schema).parents
    if not parents:
        message = f"no label of {labeler.schema.name} has a parent"
        raise ConfigError("label.no_parents", message, hint="leave --hierarchy out, or give its labels a parent")
    return Hierarchical(labeler, parents)


def steps(labels: Sequence[str], parents: Mapping[str, str]) -> tuple[tuple[int, int], ...]:
    """Pairs of places, of a label and of its parent, those farthest down first."""
    place = {label: index for index, label in enumerate(labels)}
    children = [label for label in labels if parents.get(label) in place]
    ordered = sorted(children, key=lambda label: -_depth(label, parents))
    return tuple((place[label], place[parents[label]]) for label in ordered)


def filled(states: Sequence[State], upward: Sequence[tuple[int, int]]) -> tuple[State, ...]:
    """``states`` with what children say of their parents.

    >>> filled((None, 0, 1), steps(("Lung Opacity", "Consolidation", "Pneumonia"),
    ...                            {"Consolidation": "Lung Opacity", "Pneumonia": "Consolidation"}))
    (1, 1, 1)
    """
    whole = list(states)
    for child, parent in upward:
        if whole[child] == POSITIVE or (whole[child] == UNCERTAIN and whole[parent] != POSITIVE):
            whole[parent] = whole[child]
    return tuple(whole)


def _depth(label: str, parents: Mapping[str, str]) -> int:
    depth = 0
    while label in parents:
        label, depth = parents[label], depth + 1
    return depth
