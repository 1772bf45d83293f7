"""The kinds of phrases, one bit each: what a sentence holds, and what a rule asks for, are sets of bits.

Bits are given in the order of the names, so that sorting by kind sorts by name.

>>> found = FINDING | DOUBT
>>> bool(found & CUES), name_of(DOUBT), bit_of("doubt") == DOUBT
(True, 'doubt', True)
"""

from __future__ import annotations

from typing import Final

_NAMES: Final = (
    "abnormal", "absent", "affirm", "alternative", "artifact", "borderline", "change", "doubt", "doubt_after",
    "either", "exception", "finding", "fine", "ignore", "located", "modal", "neg_following", "neg_preceding",
    "neg_pseudo", "neg_termination", "negation", "no_change", "normal", "open", "other", "part", "place",
    "structure", "subject", "turn", "unchanged", "unless", "unmention", "unmention_after", "versus", "weak",
)  # fmt: skip
(
    ABNORMAL, ABSENT, AFFIRM, ALTERNATIVE, ARTIFACT, BORDERLINE, CHANGE, DOUBT, DOUBT_AFTER, EITHER, EXCEPTION,
    FINDING, FINE, IGNORE, LOCATED, MODAL, NEG_FOLLOWING, NEG_PRECEDING, NEG_PSEUDO, NEG_TERMINATION, NEGATION,
    NO_CHANGE, NORMAL, OPEN, OTHER, PART, PLACE, STRUCTURE, SUBJECT, TURN, UNCHANGED, UNLESS, UNMENTION,
    UNMENTION_AFTER, VERSUS, WEAK,
) = (1 << index for index in range(len(_NAMES)))  # fmt: skip

#: What is reported, and gives a label its state.
FINDINGS: Final = FINDING | WEAK | LOCATED
#: What is said of a structure.
PREDICATES: Final = NORMAL | ABNORMAL | BORDERLINE | UNCHANGED
#: Besides negations, what makes more of a finding than that it is there.
CUES: Final = MODAL | OPEN | DOUBT | DOUBT_AFTER | AFFIRM | UNMENTION | UNMENTION_AFTER | ARTIFACT

_BIT_OF: Final = {name: 1 << index for index, name in enumerate(_NAMES)}


def bit_of(name: str) -> int:
    """The kind with this name. Raises ``KeyError`` for any other name."""
    return _BIT_OF[name]


def name_of(kind: int) -> str:
    """The name of a single kind."""
    return _NAMES[kind.bit_length() - 1]
