"""A simulated reader: says what is true of a report but for errors at known rates, the same ones for the same seed.

Cell by cell: a positive or uncertain cell is overlooked (read as not mentioned) by one less ``sensitivity``; an
uncertain one that is seen is read as positive by one less ``certainty``; a negative or blank one is read as positive by
one less ``specificity``. For demonstrations: what such a reader certifies is worth nothing beyond them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from corpora.labels import State
from reportgen.demo.recipe import ReaderRecipe


def reading(
    truth: Mapping[str, State], recipe: ReaderRecipe, *, seed: int, reader: str, study_id: str
) -> dict[str, State]:
    """What ``reader`` says of a report whose labels are ``truth``.

    >>> never = ReaderRecipe(sensitivity=1, specificity=1)
    >>> reading({"Edema": 1, "Fracture": None}, never, seed=0, reader="a", study_id="s")
    {'Edema': 1, 'Fracture': None}
    """
    return {
        label: _read(state, recipe, _chance(seed, reader, study_id, label), _chance(seed, reader, study_id, label, "?"))
        for label, state in truth.items()
    }


def _read(state: State, recipe: ReaderRecipe, first: float, second: float) -> State:
    if state in (1, -1):
        if first >= recipe.sensitivity:
            return None
        return 1 if state == -1 and second >= recipe.certainty else state
    return state if first < recipe.specificity else 1


def _chance(*parts: object) -> float:
    """A number from 0 to 1 that depends on its parts alone."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)
