"""Lines of a template: "Pleural effusion: possible small effusion" says of it what stands behind the colon.

The name before the colon is no statement of its own where the answer names the same finding again.
"""

from __future__ import annotations

from labeler.rules.grammar import Item
from labeler.rules.kinds import ABSENT, FINDINGS
from labeler.rules.vocabulary import rule_character, rule_characters

COLON = rule_character(":")
_JOINS = rule_characters(",", "and", "or", "/")
_LONGEST = 12


def without_heading(words: str, items: list[Item]) -> list[Item]:
    """``items`` without the findings of a heading that are named again behind its colon."""
    colon = words.find(COLON, 0, _LONGEST)
    if colon < 1:
        return items
    heading = [item for item in items if item.kind & FINDINGS and item.end <= colon]
    named = {place for item in heading for place in range(item.start, item.end)}
    if not heading or any(place not in named and words[place] not in _JOINS for place in range(colon)):
        return items
    again = {item.label for item in items if item.kind & (FINDINGS | ABSENT) and item.start > colon}
    said_again = {item for item in heading if item.label in again}
    return [item for item in items if item not in said_again]
