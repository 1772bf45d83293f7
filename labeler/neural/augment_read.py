"""A report as its rewrites see it: sections, sentences, the rules' mentions, the states it is known to have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from corpora.labels import State
from corpora.types import Section
from labeler.types import LabelVector, Mention

_NO_MENTION: Final = "not this label"


@dataclass(frozen=True, slots=True)
class Edit:
    """A text said otherwise, and the labels that have another state now."""

    text: str
    changed: Mapping[str, State]


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence and the rules' mentions in it."""

    start: int
    end: int
    mentions: tuple[Mention, ...]

    def findings(self, no_finding: str | None) -> list[Mention]:
        """The mentions of other labels than ``no_finding``, without phrases that only have words of a label."""
        return [one for one in self.mentions if one.label != no_finding and one.rule != _NO_MENTION]


@dataclass(frozen=True, slots=True)
class Read:
    """A text as it was read: its sections, its sentences, the rules' vector, and the states it is known to have."""

    text: str
    sections: tuple[Section, ...]
    sentences: tuple[Said, ...]
    vector: LabelVector
    states: Mapping[str, State]

    def agreed(self, mention: Mention) -> bool:
        """Whether the rules read the mention's label as it is known to be; one that is not known is theirs."""
        return self.states.get(mention.label, mention.state) == self.vector[mention.label]


def unless_same(text: str, before: str, changed: Mapping[str, State] | None = None) -> Edit | None:
    """An edit, if it changes the text."""
    return None if text == before else Edit(text, changed or {})
