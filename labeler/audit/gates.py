"""The gates of an audit, and how many texts of each stratum must be drawn for all of them to hold.

A gate says: of so many texts (or reports) at least so many were read by people. There is one over all, one for each
stratum, one for each site, one for each label in each state; each in texts and in reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from labeler.audit.frame import CODES, Frame

Kind = Literal["overall", "stratum", "site", "cell"]
Unit = Literal["texts", "reports"]
Array = NDArray[Any]

#: Strata up to this size are read whole: of so few, a sample has no variance to speak of.
_WHOLE: Final = 5
#: How far, in standard deviations, the expected count of a gate lies above what it asks for: a chance of 1 in 2,000.
_MARGIN: Final = 3.29


@dataclass(frozen=True, slots=True)
class Texts:
    """The distinct texts of a frame: U texts, L labels; the first report of each stands for it.

    ``first`` [U] is that report's place in the frame, ``reports`` [U] how many reports the text has; the others are
    those of the frame, by text.
    """

    names: tuple[str, ...]
    strata: tuple[str, ...]
    sites: tuple[str, ...]
    first: Array
    reports: Array
    stratum: Array
    site: Array | None
    prn: Array
    machine: Array
    disagree: Array
    second: Array | None

    def sizes(self) -> Array:
        """Texts per stratum [H]."""
        return np.bincount(self.stratum, minlength=len(self.strata))

    def ranks(self) -> Array:
        """The place of each text [U] in its stratum by its permanent random number, from 0."""
        order = np.lexsort((self.prn, self.stratum))
        sizes = self.sizes()
        starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(len(order)) - starts
        return ranks


@dataclass(frozen=True, slots=True)
class Gate:
    """``required`` of ``population`` texts or reports must be read; ``state`` of a cell, ``name`` its label."""

    kind: Kind
    name: str
    unit: Unit
    population: int
    required: int
    state: str = ""

    def title(self) -> str:
        """What the gate is of, in words."""
        return {"overall": "all", "stratum": self.name, "site": self.name}.get(self.kind, f"{self.name} {self.state}")


def texts_of_frame(frame: Frame) -> Texts:
    """The frame by distinct text."""
    first, reports = first_of(frame.cluster, frame.ids)
    return Texts(
        frame.names, frame.strata, frame.sites, first, reports, frame.stratum[first],
        None if frame.site is None else frame.site[first], frame.prn[first], frame.machine[first],
        frame.disagree[first], None if frame.second is None else frame.second[first],
    )  # fmt: skip


def first_of(cluster: Array, ids: Sequence[str]) -> tuple[Array, Array]:
    """For each cluster the place of its lexically first report, and how many it has [U]."""
    order = np.argsort(cluster, kind="stable")
    reports = np.bincount(cluster)
    ends = np.cumsum(reports)
    first = order[ends - reports]
    for number in np.flatnonzero(reports > 1):
        first[number] = min(order[ends[number] - reports[number] : ends[number]], key=ids.__getitem__)
    return first, reports


def members(texts: Texts) -> Iterator[tuple[Kind, str, str, Array]]:
    """Kind, name and state of each gate, and which texts [U] it is of."""
    yield "overall", "", "", np.ones(len(texts.reports), bool)
    for number, name in enumerate(texts.strata):
        yield "stratum", name, "", texts.stratum == number
    if texts.site is not None:
        for number, name in enumerate(texts.sites):
            yield "site", name, "", texts.site == number
    for at, label in enumerate(texts.names):
        for state, code in CODES.items():
            yield "cell", label, state, texts.machine[:, at] == code


def gates_of(texts: Texts, fraction: float, least: int) -> tuple[list[Gate], Array]:
    """The gates that are of anything, two for each row of [K, U]: in texts, then in reports; and these rows, which say
    what texts the two are of."""
    gates: list[Gate] = []
    rows: list[Array] = []
    for kind, name, state, which in members(texts):
        if which.any():
            floor = least if kind in ("cell", "site") else 0
            for unit, population in (("texts", int(which.sum())), ("reports", int(texts.reports[which].sum()))):
                asked = required(population, fraction, floor)
                gates.append(Gate(kind, name, unit, population, asked, state))  # type: ignore[arg-type]
            rows.append(which)
    return gates, np.stack(rows)


def counted(rows: Array, reports: Array, chosen: Array) -> Array:
    """What the chosen texts [U] come to in each gate [2 K]: texts and reports by turns."""
    of = rows[:, chosen]
    return np.stack([of.sum(axis=1), of @ reports[chosen]], axis=1).reshape(-1)


def required(population: int, fraction: float, least: int = 0) -> int:
    """How many of a population must be read: that share of it, at least so many, at most all.

    >>> required(1000, 0.1), required(100, 0.1, 30), required(20, 0.1, 30)
    (100, 30, 20)
    """
    return min(population, max(ceil(Fraction(str(fraction)) * population), least))


def floors(texts: Texts, gates: Sequence[Gate], rows: Array) -> Array:
    """The least number of texts to draw from each stratum [H] so that every gate holds.

    Where a gate is spread over strata, the count that a random draw brings is uncertain: the expected count is kept so
    far above the gate that it falls short in 1 of 2,000 draws. The very draw that the permanent random numbers give is
    then looked at, and enlarged where it is the one.
    """
    sizes = texts.sizes()
    asked = np.array([gate.required for gate in gates])
    means, variances = _moments(texts, rows, sizes)
    drawn = _first_floors(texts, gates, sizes)
    _raise(drawn, sizes, means, lambda: asked - _surely(drawn, sizes, means, variances))
    ranks = texts.ranks()
    _raise(drawn, sizes, means, lambda: asked - counted(rows, texts.reports, ranks < drawn[texts.stratum]))
    return drawn


def _first_floors(texts: Texts, gates: Sequence[Gate], sizes: Array) -> Array:
    drawn = np.minimum(sizes, 2)
    of = {gate.name: gate.required for gate in gates if gate.kind == "stratum" and gate.unit == "texts"}
    drawn = np.maximum(drawn, [of[name] for name in texts.strata])
    whole = (sizes <= _WHOLE) | np.array([name == "common texts" for name in texts.strata])
    return np.where(whole, sizes, drawn).astype(np.int64)


def _moments(texts: Texts, rows: Array, sizes: Array) -> tuple[Array, Array]:
    """Mean and variance [2 K, H] of what a text of a stratum counts in a gate."""
    shape = (2 * len(rows), len(sizes))
    means, variances = np.zeros(shape), np.zeros(shape)
    for at, which in enumerate(rows):
        stratum, reports = texts.stratum[which], texts.reports[which].astype(np.float64)
        for gate, counts in ((2 * at, np.ones(len(reports))), (2 * at + 1, reports)):
            sums = np.bincount(stratum, weights=counts, minlength=len(sizes))
            squares = np.bincount(stratum, weights=counts**2, minlength=len(sizes))
            means[gate] = sums / sizes
            variances[gate] = np.maximum(squares - sums * means[gate], 0) / np.maximum(sizes - 1, 1)
    return means, variances


def _surely(drawn: Array, sizes: Array, means: Array, variances: Array) -> Array:
    """What each gate [G] counts in all but 1 of 2,000 draws."""
    spread: Array = np.sqrt(variances @ (drawn * (1 - drawn / sizes)))
    found: Array = means @ drawn - _MARGIN * spread
    # where all is certain, a rounding error must not ask for one more
    return np.floor(found + 1e-6)


def _raise(drawn: Array, sizes: Array, means: Array, lacking: Any) -> None:
    """Draw more, in place, where it brings most for the gate that lacks most, until none lacks anything."""
    while True:
        lacks = lacking()
        if not (lacks > 0).any():
            return
        gate = int(np.argmax(lacks))
        yields = np.where(drawn < sizes, means[gate], 0.0)
        stratum = int(np.argmax(yields))
        step = ceil(lacks[gate] / max(yields[stratum], 1e-9))
        drawn[stratum] += max(1, min(step, int(sizes[stratum] - drawn[stratum])))
