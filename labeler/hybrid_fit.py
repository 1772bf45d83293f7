"""When the network of hybrid.v1 is to overrule the rules, found on labeled reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Literal, get_args

from corpora.errors import DataError
from corpora.labels import STATE_NAMES, State
from corpora.types import Report
from labeler.hybrid import DEFAULT_SECTIONS, HybridLabeler, HybridRecipe, Kind, Thresholds
from labeler.neural.reading import CLASSES
from labeler.score_io import EXCLUDED, STATES, read_labels

# a cell that no score counts
Excluded = Literal["x"]
Gold = Mapping[str, Mapping[str, "State | Excluded"]]


def fit(
    hybrid: HybridLabeler, reports: Sequence[Report], gold: Gold, sections: str = DEFAULT_SECTIONS, *,
    chance: float = 0.05,
) -> HybridRecipe:  # fmt: skip
    """The hybrid's recipe with the thresholds that serve best on ``reports``, whose true labels are ``gold``.

    For each kind and state the network is followed from the confidence on at which most is won by it: cells that it
    reads right and the rules wrong, less those that the rules read right and it wrong. It is followed only where that
    many more wins than losses would come with at most ``chance`` from a coin (a sign test). Where there are too few
    cells to tell, what holds of all cells together is taken, unless more is lost than won by it; and where these do not
    tell either, the hybrid's own threshold stays, unless a coin would lose that much by it with at most ``chance``. A
    label that ``gold`` leaves out is blank, and ``x`` does not count.
    """
    recipe = hybrid.recipe
    won: defaultdict[tuple[Kind, State], list[tuple[float, int]]] = defaultdict(list)
    for one in hybrid.disagreements([report for report in reports if report.study_id in gold], sections):
        true = gold[one.study_id].get(one.label)
        if true != "x":
            gain = (one.network_state == true) - (one.rules_state == true)
            won[one.kind, one.network_state].append((one.confidence, gain))
    of_all = _threshold([cell for cells in won.values() for cell in cells], chance)
    fitted = {kind: _thresholds(won, kind, recipe, of_all, chance) for kind in get_args(Kind)}
    everywhere = fitted["unseen"] != recipe.unseen
    return recipe.model_copy(update={**fitted, "unseen_of": None if everywhere else recipe.unseen_of})


def _thresholds(
    won: Mapping[tuple[Kind, State], Sequence[tuple[float, int]]], kind: Kind, recipe: HybridRecipe,
    of_all: float | None, chance: float,
) -> Thresholds:  # fmt: skip
    before = getattr(recipe, kind).model_dump()
    return Thresholds(
        **{
            STATE_NAMES[state]: _fitted(won.get((kind, state), ()), of_all, before[STATE_NAMES[state]], chance)
            for state in CLASSES
        }
    )


def _fitted(
    cells: Sequence[tuple[float, int]], of_all: float | None, before: float | None, chance: float
) -> float | None:
    own = _threshold(cells, chance)
    if own is not None:
        return own
    if of_all is not None:
        return of_all if sum(gain for sure, gain in cells if sure >= of_all) >= 0 else None
    followed = [gain for sure, gain in cells if before is not None and sure >= before]
    wins, losses = (sum(gain == one for gain in followed) for one in (1, -1))
    return before if losses <= wins or _by_chance(losses, wins) > chance else None


def _threshold(cells: Sequence[tuple[float, int]], chance: float) -> float | None:
    """The confidence from which on most is won, if hardly by chance: between the last that counts and the next."""
    ordered = sorted(cells, reverse=True)
    best, found = 0, None
    wins = losses = 0
    for at, (sure, gain) in enumerate(ordered):
        wins, losses = wins + (gain > 0), losses + (gain < 0)
        below = ordered[at + 1][0] if at + 1 < len(ordered) else 0.0
        if sure > below and wins - losses > best and _by_chance(wins, losses) <= chance:
            best, found = wins - losses, round((sure + below) / 2, 4)
    return found


def _by_chance(wins: int, losses: int) -> float:
    """How often a coin gives at least so many wins."""
    tosses = wins + losses
    return sum(comb(tosses, hits) for hits in range(wins, tosses + 1)) / float(2**tosses)


def read_gold(path: Path, labels: Sequence[str]) -> Gold:
    """A gold table as ``fit`` takes it. Raises ``DataError``: as ``read_labels``, or ``data.label``, ``data.cell``."""
    table = read_labels(path, gold=True)
    unknown = [name for name, column in table.columns.items() if name not in labels and not column.holds_no_state()]
    if unknown:
        message = f"{unknown[0][:40]!r} is no label of the schema"
        raise DataError("data.label", message, where=str(path), hint=f"the labels are {', '.join(labels)}")
    gold: dict[str, dict[str, State | Excluded]] = {study_id: {} for study_id in table.ids}
    for label in labels:
        column = table.columns.get(label)
        if column is None:
            if not table.sparse:
                for cells in gold.values():
                    cells[label] = "x"
            continue
        if column.bad is not None:
            row, shown = column.bad
            raise DataError("data.cell", f"{shown} is none of 1, 0, -1, x and empty", where=f"{path}, row {row}")
        for study_id, code in zip(table.ids, column.codes, strict=True):
            gold[study_id][label] = "x" if code == EXCLUDED else STATES[code]
    return gold
