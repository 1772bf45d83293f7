"""The four states of a label and how a table spells them."""

from __future__ import annotations

from typing import Final, Literal

State = Literal[1, 0, -1] | None

POSITIVE: Final = 1
NEGATIVE: Final = 0
UNCERTAIN: Final = -1
BLANK: Final = None

STATE_NAMES: Final[dict[State, str]] = {1: "positive", 0: "negative", -1: "uncertain", None: "blank"}

_CELLS: Final[dict[str, State]] = {
    "": None, "nan": None, "1": 1, "1.0": 1, "0": 0, "0.0": 0, "-0.0": 0, "-1": -1, "-1.0": -1,
}  # fmt: skip


def parse_cell(text: str) -> State:
    """The state that a table cell spells: ``1``, ``0``, ``-1`` (also with ``.0``), empty or ``nan`` for blank.

    Raises ``ValueError`` for anything else.

    >>> parse_cell("-1.0"), parse_cell("")
    (-1, None)
    """
    try:
        return _CELLS[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{text!r} is none of 1, 0, -1 and empty") from None


def format_cell(state: State) -> str:
    """How a CSV table spells a state.

    >>> format_cell(None), format_cell(-1)
    ('', '-1')
    """
    return "" if state is None else str(state)
