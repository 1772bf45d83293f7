"""What a statistic comes as: never a bare number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, the number of units it rests on, and how the interval was made.

    ``value`` is None where the statistic is undefined, ``lo`` and ``hi`` where no interval can be given;
    ``reason`` then says why. It also says what a value or an interval that is there leaves out or cannot show.
    """

    value: float | None
    lo: float | None
    hi: float | None
    n: int
    method: str
    reason: str = ""
