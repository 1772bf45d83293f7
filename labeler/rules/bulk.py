"""Many sentences at once: what they amount to, without the evidence.

The steps of reading a sentence, each taken for all sentences before the next: that is faster than one sentence after
the other, and lets numpy find where fragments end. A sentence in which nothing is denied, hedged or said of a structure
amounts to the sum of its fragments and is not read any further. What comes out is what ``decide`` says, sentence by
sentence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

import numpy as np

from labeler.rules.aggregate import Aggregator, Effect
from labeler.rules.decide import decisions_of
from labeler.rules.denial import Part, denial, part_of
from labeler.rules.fragments import Contents, Fragment, Fragments, put_together
from labeler.rules.grammar import Grammar, Phrasebook
from labeler.rules.headings import COLON
from labeler.rules.kinds import (
    ARTIFACT,
    DOUBT,
    DOUBT_AFTER,
    EITHER,
    FINDING,
    FINDINGS,
    LOCATED,
    MODAL,
    NEG_FOLLOWING,
    NEG_PRECEDING,
    OPEN,
    STRUCTURE,
    UNLESS,
    UNMENTION,
    UNMENTION_AFTER,
    VERSUS,
)  # fmt: skip
from labeler.rules.sentence import BETWEEN_VERBS, JUDGED, read_contents
from labeler.rules.vocabulary import ASSERTIVE, END

# what makes more of something judged than its being there ...
_TELLING: Final = (
    STRUCTURE | MODAL | OPEN | DOUBT | DOUBT_AFTER | UNMENTION | UNMENTION_AFTER | ARTIFACT | NEG_PRECEDING
    | NEG_FOLLOWING
)  # fmt: skip
# ... and of a finding
_TELLING_OF_FINDINGS: Final = EITHER | VERSUS | LOCATED | UNLESS
_MOST_FRAGMENTS: Final = 50_000

_END: Final = Part(END, Fragment(0, [], []), 0, 0)


class BulkReader:
    """Reads the reduced forms of many sentences."""

    def __init__(self, grammar: Grammar, fragments: Fragments, aggregator: Aggregator) -> None:
        self._grammar = grammar
        self._aggregator = aggregator
        self._bonds = _Bonds(grammar.phrasebook)
        self._parts = _Parts(fragments, aggregator)

    def effects(self, reduced: Sequence[str]) -> list[Effect]:
        """What each of some sentences amounts to."""
        if not reduced:
            return []
        effects: list[Effect] = []
        telling: list[tuple[int, int, list[Part]]] = []
        kinds = effect = 0
        parts: list[Part] = []
        dense = (END.join(reduced) + END).replace(ASSERTIVE, "")
        for part in map(self._parts.__getitem__, self._bonds.fragments(dense)):
            if part is not _END:
                kinds |= part.kinds
                effect |= part.asserted
                parts.append(part)
                continue
            if kinds & JUDGED and (kinds & _TELLING or _tells_of_findings(kinds, reduced[len(effects)])):
                telling.append((len(effects), kinds, parts))
            effects.append(effect)
            kinds = effect = 0
            parts = []
        for number, effect in self._read(reduced, telling):
            effects[number] = effect
        return effects

    def _read(
        self, reduced: Sequence[str], telling: Collection[tuple[int, int, list[Part]]]
    ) -> Iterator[tuple[int, Effect]]:
        """What the sentences that are more than the sum of their parts amount to, with their numbers."""
        grammar, aggregator = self._grammar, self._aggregator
        denied = [denial(kinds, reduced[number], parts, grammar, aggregator) for number, kinds, parts in telling]
        contents: list[tuple[int, Contents]] = []
        for (number, _, parts), effect in zip(telling, denied, strict=True):
            if effect is None:
                contents.append((number, put_together([part.fragment for part in parts])))
            else:
                yield number, effect
        sentences = [
            (number, read_contents(grammar, reduced[number], reduced[number].replace(ASSERTIVE, ""), found))
            for number, found in contents
        ]
        for number, sentence in sentences:
            yield number, 0 if sentence is None else aggregator.effect(decisions_of(sentence, grammar))


def _tells_of_findings(kinds: int, reduced: str) -> bool:
    if not kinds & FINDINGS:
        return False
    if kinds & _TELLING_OF_FINDINGS or COLON in reduced:
        return True
    return bool(kinds & FINDING and BETWEEN_VERBS.search(reduced))


class _Parts(dict[str, Part]):
    """The part that each fragment is."""

    def __init__(self, fragments: Fragments, aggregator: Aggregator) -> None:
        super().__init__({END: _END})
        self._fragments = fragments
        self._aggregator = aggregator

    def __missing__(self, words: str) -> Part:
        part = part_of(words, self._fragments.fragment(words), self._aggregator)
        if len(self) >= _MOST_FRAGMENTS:
            self.clear()
            self[END] = _END
        self[words] = part
        return part


class _Bonds:
    """Pairs of words that some phrase holds side by side, as a table of bits that numpy can ask about many pairs."""

    def __init__(self, phrasebook: Phrasebook) -> None:
        codes = [(ord(first) - ord(END), ord(second) - ord(END)) for first, second in map(tuple, phrasebook.bonds)]
        self._width = 1 + max((code for pair in codes for code in pair), default=0)
        table = np.zeros(self._width * self._width, dtype=bool)
        table[[first * self._width + second for first, second in codes]] = True
        self._table = np.packbits(table, bitorder="little")

    def fragments(self, dense: str) -> list[str]:
        """The fragments of sentences, each sentence with ``END`` behind it, which is a part of its own."""
        codes = np.frombuffer(dense.encode("utf-32-le"), dtype=np.uint32).astype(np.int64) - ord(END)
        # a word that no phrase goes on from or to
        codes[codes >= self._width] = 0
        pairs = codes[:-1] * self._width + codes[1:]
        bound = (self._table[pairs >> 3] >> (pairs & 7).astype(np.uint8)) & 1
        ends = (np.flatnonzero(bound == 0) + 1).tolist()
        return [dense[start:end] for start, end in zip([0, *ends], [*ends, len(dense)], strict=True)]
