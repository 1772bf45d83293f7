"""What a run counts: actions as MIDI-B names them, and of whom and when the films were, as whole numbers only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from corpora.deid.work import Result


@dataclass(slots=True)
class Totals:
    """What is counted of a run: records, actions, codes of the table, and what its films were of."""

    counts: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    years: Counter[str] = field(default_factory=Counter)
    ages: Counter[str] = field(default_factory=Counter)
    sexes: Counter[str] = field(default_factory=Counter)
    manufacturers: Counter[str] = field(default_factory=Counter)


def add_film(totals: Totals, result: Result) -> None:
    """Count a film that is done."""
    totals.counts["films"] += 1
    totals.actions.update(result.get("actions", {}))
    totals.codes.update(result.get("codes", {}))
    totals.counts["films_with_text_in_pixels"] += bool(result.get("finding", {}).get("boxes"))
    add_facts(totals, result.get("facts", {}))


def add_facts(totals: Totals, facts: Any) -> None:
    """Count the year, age, sex and manufacturer of a film or study, as far as they are known."""
    for counter, name in ((totals.years, "year"), (totals.sexes, "sex"), (totals.manufacturers, "manufacturer")):
        if facts.get(name) is not None:
            counter[str(facts[name])] += 1
    age = facts.get("age")
    if age is not None:
        low = min(int(float(age) // 10), 9)
        totals.ages["90+" if low == 9 else f"{10 * low}-{10 * low + 9}"] += 1
