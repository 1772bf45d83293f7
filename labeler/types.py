"""What a labeler says of a report: mentions with their evidence, and the vector that follows from them."""

from __future__ import annotations

from dataclasses import dataclass

from corpora.labels import State


@dataclass(frozen=True, slots=True)
class Cue:
    """The words that decided a mention's state: ``text[start:end]`` of the report, and what they did."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Mention:
    """A span of the report that speaks of a label. Offsets are code points of the report's text.

    ``state`` is None for a span that was seen and deliberately not counted; ``rule`` says which rule decided.
    """

    label: str
    start: int
    end: int
    state: State
    cues: tuple[Cue, ...]
    rule: str


@dataclass(frozen=True, slots=True)
class LabelVector:
    """One state per label of the schema, in its order, with the mentions it was read from."""

    study_id: str
    schema: str
    labels: tuple[str, ...]
    states: tuple[State, ...]
    mentions: tuple[Mention, ...]
    made_by: str

    def __getitem__(self, label: str) -> State:
        """The state of one label; raises ``KeyError`` for a label that is not in the schema."""
        try:
            return self.states[self.labels.index(label)]
        except ValueError:
            raise KeyError(label) from None

    def asserted(self) -> dict[str, State]:
        """The labels that are not blank."""
        return {label: state for label, state in zip(self.labels, self.states, strict=True) if state is not None}
