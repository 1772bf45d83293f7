"""Reading one unit after the other until it is clear: Wald's sequential probability ratio test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """A test of the share of defects: ``good`` against ``bad``, with errors ``alpha`` (good refused) and ``beta``.

    >>> test = SequentialTest(0.02, 0.08)
    >>> test.decide(0, 40), test.decide(3, 40)
    ('accept', 'go on')
    """

    good: float
    bad: float
    alpha: float = 0.05
    beta: float = 0.1

    @property
    def lower(self) -> float:
        """At or below this log likelihood ratio the lot is accepted."""
        return math.log(self.beta / (1 - self.alpha))

    @property
    def upper(self) -> float:
        """At or above this log likelihood ratio the lot is refused."""
        return math.log((1 - self.beta) / self.alpha)

    @property
    def defect(self) -> float:
        """What a defect adds to the log likelihood ratio."""
        return math.log(self.bad / self.good)

    @property
    def faultless(self) -> float:
        """What a unit without defect adds, a negative number."""
        return math.log((1 - self.bad) / (1 - self.good))

    def decide(self, defects: int, n: int) -> Literal["accept", "refuse", "go on"]:
        """What ``defects`` in ``n`` units say."""
        ratio = defects * self.defect + (n - defects) * self.faultless
        return "accept" if ratio <= self.lower else "refuse" if ratio >= self.upper else "go on"
