"""Which stratum a text belongs to: one each, by priority, so that what is rare or doubtful is drawn often enough.

    common texts      texts of many reports: each reading of one speaks of all of them; all are read
    rare: LABEL STATE a label in a state so rare that the gate asks for more than the general share of it
    disagree          two labelers differ in some label
    uncertain: LABEL  some label is uncertain; the rarest such label
    positive: LABEL   some label is positive; the rarest such label
    rest              everything else

``disagree`` and ``rest`` are divided by site where there are sites. What is rare comes before all else, because the
gate wants at least 30 of each label in each state: in a stratum of its own that costs about 30 readings, inside a large
stratum it would cost most of the stratum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labeler.audit.frame import CODES

#: A text of fewer reports than this is never drawn for being common.
LEAST_COMMON: Final = 5
#: Of the texts that the general share asks for, at most this part is spent on common ones.
_SHARE_COMMON: Final = 0.25
#: Strata of fewer texts are put together with others of their kind.
_SMALLEST: Final = 20

Ints = NDArray[Any]


def assign(
    machine: Ints, reports: Ints, disagree: Ints, site: Ints | None, *,
    names: Sequence[str], sites: Sequence[str], fraction: float, least: int,
) -> tuple[tuple[str, ...], Ints]:  # fmt: skip
    """Names of the strata, and the stratum of each of the N texts.

    ``machine`` [N, L] holds states, ``reports`` [N] how many reports a text stands for, ``disagree`` [N] whether
    labelers differ, ``site`` [N] indexes ``sites``.
    """
    taken = np.full(len(reports), -1, dtype=np.int32)
    found: list[str] = []

    def take(name: str, which: Ints) -> None:
        places = which & (taken < 0)
        if places.any():
            taken[places] = len(found)
            found.append(name)

    take("common texts", reports >= common_from(reports, fraction))
    for size, label, state in _cells(machine):
        if size * fraction < least:
            take(f"rare: {names[label]} {state}", machine[:, label] == CODES[state])
    _by_site(take, "disagree", disagree, site, sites)
    for kind in ("uncertain", "positive"):
        _by_label(take, kind, machine == CODES[kind], taken, names)
    _by_site(take, "rest", np.ones(len(reports), bool), site, sites)
    return tuple(found), taken


def common_from(reports: Ints, fraction: float) -> int:
    """From how many reports on a text is common: so that all common texts are a small part of what is read anyway.

    >>> common_from(np.array([1] * 100 + [7, 40]), 0.1)
    7
    """
    most = _SHARE_COMMON * fraction * len(reports)
    sizes, counts = np.unique(reports[reports >= LEAST_COMMON], return_counts=True)
    at_least = counts[::-1].cumsum()[::-1]
    fitting = sizes[at_least <= most]
    return int(fitting[0]) if len(fitting) else int(reports.max()) + 1


def _cells(machine: Ints) -> list[tuple[int, int, str]]:
    """Size, label and state of all that occurs, the rarest first."""
    sizes = [
        (int((machine[:, label] == code).sum()), label, state)
        for state, code in CODES.items()
        for label in range(machine.shape[1])
    ]
    return sorted(each for each in sizes if each[0])


def _by_label(take: Callable[[str, Ints], None], kind: str, is_so: Ints, taken: Ints, names: Sequence[str]) -> None:
    """A stratum for each label that has enough texts left, the rarest first; one for the others."""
    for label in np.argsort(is_so.sum(axis=0), kind="stable"):
        left = is_so[:, label] & (taken < 0)
        if left.sum() >= _SMALLEST:
            take(f"{kind}: {names[label]}", left)
    take(f"{kind}: other labels", is_so.any(axis=1))


def _by_site(
    take: Callable[[str, Ints], None], kind: str, which: Ints, site: Ints | None, sites: Sequence[str]
) -> None:
    if site is not None:
        for number, name in enumerate(sites):
            take(f"{kind} @ {name}", which & (site == number))
    take(kind, which)
