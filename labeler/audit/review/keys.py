"""What the keys of the page do. Names of keys are those of the browser (``KeyboardEvent.key``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Action(NamedTuple):
    """Something that a key does: its name, what it does, its keys unless the reader has chosen others."""

    name: str
    says: str
    keys: tuple[str, ...]


READING: Final = (
    Action("positive", "Positive: the report says that it is there", ("1", "+")),
    Action("negative", "Negative: the report says that it is not there", ("2", "-")),
    Action("uncertain", "Uncertain: the report leaves it open", ("3", "?")),
    Action("blank", "Blank: the report does not speak of it", ("0",)),
    Action("cannot_judge", "Cannot judge: the report does not let one tell", ("c",)),
    Action("clear", "Take the answer of this row away", ("x", "Delete")),
    Action("down", "Next row", ("j", "ArrowDown")),
    Action("up", "Row before", ("k", "ArrowUp")),
    Action("rest_blank", "All rows without an answer: blank", ("b",)),
    Action("undo", "Undo, as often as you like", ("u", "Backspace")),
    Action("note", "Write a note; Escape ends it", ("n",)),
    Action("submit", "Submit, or go on to the next report", ("Enter",)),
    Action("before", "The report before", ("[",)),
    Action("after", "The report after", ("]",)),
    Action("evidence", "After submitting: to the words behind the machine's label", ("e",)),
    Action("text_down", "Further down in the report", ("PageDown",)),
    Action("text_up", "Further up in the report", ("PageUp",)),
    Action("film", "Show or hide the film", ("i",)),
    Action("theme", "Light or dark", ("t",)),
    Action("help", "Show or hide these keys", ("h",)),
)
FILM: Final = (
    Action("film_next", "Next film of the study", ("f",)),
    Action("zoom_in", "Larger", ("z",)),
    Action("zoom_out", "Smaller", ("Z",)),
    Action("brighter", "Brighter", ("d",)),
    Action("darker", "Darker", ("a",)),
    Action("more_contrast", "More contrast", ("w",)),
    Action("less_contrast", "Less contrast", ("s",)),
    Action("invert", "Black for white", ("v",)),
    Action("film_reset", "As it was at first", ("r",)),
    Action("pan_left", "Move to the left", ("Shift+ArrowLeft",)),
    Action("pan_right", "Move to the right", ("Shift+ArrowRight",)),
    Action("pan_up", "Move up", ("Shift+ArrowUp",)),
    Action("pan_down", "Move down", ("Shift+ArrowDown",)),
)
ACTIONS: Final = (*READING, *FILM)
_LONGEST: Final = 24
# these leave a field, move the focus or the page
_RESERVED: Final = frozenset({"Escape", "Tab", "Shift+Tab", " ", "Unidentified", "Dead", "Process"})


def default_keys() -> dict[str, list[str]]:
    """Action to keys, as shipped."""
    return {action.name: list(action.keys) for action in ACTIONS}


def merged(chosen: Mapping[str, object]) -> dict[str, list[str]]:
    """The shipped keys with those that a reader has chosen, each action of theirs replaced.

    Raises ``ValueError`` with a sentence for people: an action that there is not, a key that does two things.
    """
    keys = default_keys()
    for name, listed in chosen.items():
        if name not in keys:
            raise ValueError("There is no such action.")
        keys[name] = _checked(listed)
    owners: dict[str, str] = {}
    for name, listed in keys.items():
        for key in listed:
            if owners.setdefault(key, name) != name:
                raise ValueError(f"One key cannot do two things: {_said(owners[key])}; {_said(name)}.")
    return keys


def _checked(listed: object) -> list[str]:
    if not isinstance(listed, list) or not 1 <= len(listed) <= 4:
        raise ValueError("An action has one to four keys.")
    if not all(isinstance(key, str) and 0 < len(key) <= _LONGEST and key.isprintable() for key in listed):
        raise ValueError("That is not the name of a key.")
    if any(key in _RESERVED for key in listed):
        raise ValueError("That key is needed to move about the page.")
    return [str(key) for key in listed]


def _said(name: str) -> str:
    return next(action.says for action in ACTIONS if action.name == name)
