"""One sentence as the rules see it: dense words, the phrases in it, its segments, negspacy's negations.

A *segment* is a stretch that no cue reaches out of: it ends at negspacy's termination words ("but"), and where our
scope rules see the sentence turn ("no pneumothorax, | small effusion", "no effusion | heart is enlarged").
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from spacy.tokens import Doc, Span

from labeler.rules.grammar import CLAIMING, Grammar, Item

FINDINGS = frozenset({"finding", "weak", "in_lung"})
PREDICATES = frozenset({"normal", "abnormal", "borderline", "unchanged"})
_NEGATABLE = FINDINGS | {"normal", "abnormal", "borderline", "other", "unless"}
_JOINS = frozenset({",", "and", "with"})


@dataclass(slots=True)
class Sentence:
    """What the rules need to know of a sentence; positions are of dense words (no fillers, no masks)."""

    words: list[str]
    full: list[int]
    items: list[Item]
    starts: list[int]
    negations: list[tuple[int, int]]
    late_negations: list[tuple[int, int]]
    negated: set[Item] = field(default_factory=set)

    def segment(self, position: int) -> tuple[int, int]:
        """The segment that holds a position."""
        index = bisect_right(self.starts, position)
        end = self.starts[index] if index < len(self.starts) else len(self.words)
        return self.starts[index - 1], end

    def of(self, *kinds: str) -> list[Item]:
        """The items of some kinds, in order."""
        return [item for item in self.items if item.kind in kinds]

    def between(self, start: int, end: int, kinds: frozenset[str]) -> list[Item]:
        """The items of ``kinds`` that lie within ``start:end``."""
        return [item for item in self.items if item.kind in kinds and start <= item.start and item.end <= end]


def read(grammar: Grammar, canonical: Sequence[str]) -> Sentence | None:
    """The sentence made of these canonical words, or None if there is nothing in it that a rule could look at."""
    full = [index for index, word in enumerate(canonical) if word not in grammar.fillers]
    words = [canonical[index] for index in full]
    if not words:
        return None
    doc = Doc(grammar.words.vocab, words=words)
    items = _claim(_matches(grammar, doc))
    if not items:
        return None
    starts = [0, *_turns(grammar, canonical, words, full, items)]
    for token in doc:
        token.is_sent_start = token.i in starts
    negatable = [item for item in items if item.kind in _NEGATABLE]
    doc.spans["radloop"] = [Span(doc, item.start, item.end) for item in negatable]
    grammar.negex(doc)
    before, after, ends = grammar.negex.cues
    return Sentence(
        words,
        full,
        items,
        sorted({*starts, *(start for _, start, _ in ends)}),
        sorted({(start, end) for _, start, end in before}),
        sorted({(start, end) for _, start, end in after}),
        {item for item, span in zip(negatable, doc.spans["radloop"], strict=True) if span._.negex},
    )


def _matches(grammar: Grammar, doc: Doc) -> list[Item]:
    return [Item(*grammar.kinds[key], start, end) for key, start, end in grammar.matcher(doc)]


def _claim(items: list[Item]) -> list[Item]:
    """The items that stand: of two claiming phrases that overlap the longer one, and then the one further left."""
    claiming = sorted((i for i in items if i.kind in CLAIMING), key=lambda i: (i.start - i.end, i.start))
    ignored = [i for i in items if i.kind == "ignore"]
    owner: dict[int, tuple[int, int]] = {}
    kept = []
    for item in claiming:
        span = (item.start, item.end)
        if any(_covers(ignore, item) for ignore in ignored):
            continue
        if all(owner.get(position, span) == span for position in range(*span)):
            owner.update(dict.fromkeys(range(*span), span))
            kept.append(item)
    named = {p for i in kept if i.kind in FINDINGS or i.kind in ("structure", "normal") for p in range(i.start, i.end)}
    others = [i for i in items if i.kind == "other" and not named.intersection(range(i.start, i.end))]
    others = [i for i in others if not any(j != i and j.start <= i.start and i.end <= j.end for j in others)]
    rest = [i for i in items if i.kind not in CLAIMING and i.kind != "other"]
    return sorted({*kept, *others, *rest}, key=lambda i: (i.start, i.end, i.kind, i.label))


def _covers(ignore: Item, item: Item) -> bool:
    """Whether ``item`` is only part of a longer phrase that is no mention of its label."""
    overlap = ignore.start < item.end and item.start < ignore.end
    return ignore.label == item.label and overlap and ignore.end - ignore.start >= item.end - item.start


def _turns(
    grammar: Grammar, canonical: Sequence[str], words: list[str], full: list[int], items: list[Item]
) -> list[int]:
    """Where a statement of its own begins after a finding was named: no negation or doubt crosses it."""
    finding_ends = {item.end for item in items if item.kind in FINDINGS or item.kind == "ignore"}
    anatomy = {item.start for item in items if item.kind in ("structure", "subject")}
    turn_starts = {item.start for item in items if item.kind == "turn"}
    stated = finding_ends | {item.end for item in items if item.kind in PREDICATES}
    last_or = max((i for i, word in enumerate(words) if word in ("or", "nor")), default=-1)
    cuts = []
    first = min(finding_ends, default=len(words))
    for at in range(1, len(words)):
        if at in turn_starts and (at >= first or words[at] == "there"):
            cuts.append(at)
        if at < first:
            continue
        lead = {words[at], *canonical[full[at - 1] + 1 : full[at]]}
        asserts = not lead.isdisjoint(grammar.assertive) and at > last_or
        if (
            (words[at - 1] in _JOINS and asserts)
            or (at in stated and at in anatomy)
            or (at in finding_ends and asserts and words[at] not in _JOINS)
        ):
            cuts.append(at)
    return cuts
