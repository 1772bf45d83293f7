"""Many sentences at once: what they amount to, without the evidence.

The steps of reading a sentence, each taken for all sentences before the next: that is faster than one sentence after
the other, and lets numpy find where fragments end. A sentence in which nothing is denied, hedged or said of a structure
amounts to the sum of its fragments and is not read any further. What comes out is what ``decide`` says, sentence by
sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from labeler.rules.aggregate import Aggregator, Effect
from labeler.rules.decide import decisions_of
from labeler.rules.denial import Part, denial, part_of
from labeler.rules.fragments import Fragment, Fragments, put_together
from labeler.rules.grammar import Grammar, Phrasebook
from labeler.rules.kinds import (
    ABSENT,
    ARTIFACT,
    DOUBT,
    DOUBT_AFTER,
    EITHER,
    FINDING,
    FINDINGS,
    FINE,
    LOCATED,
    MODAL,
    NEG_FOLLOWING,
    NEG_PRECEDING,
    OPEN,
    OTHER,
    STRUCTURE,
    UNLESS,
    UNMENTION,
    UNMENTION_AFTER,
    VERSUS,
    WEAK,
)  # fmt: skip
from labeler.rules.sentence import BETWEEN_VERBS, JUDGED, read_contents
from labeler.rules.vocabulary import ASSERTIVE, END

# what a fragment amounts to by itself
_BY_ITSELF: Final = FINDING | WEAK | ABSENT | OTHER | FINE
# what makes more of something judged than its being there ...
_TELLING: Final = (
    STRUCTURE | MODAL | OPEN | DOUBT | DOUBT_AFTER | UNMENTION | UNMENTION_AFTER | ARTIFACT | NEG_PRECEDING
    | NEG_FOLLOWING
)  # fmt: skip
# ... and of a finding
_TELLING_OF_FINDINGS: Final = EITHER | VERSUS | LOCATED | UNLESS
_MOST_FRAGMENTS: Final = 50_000

_Entry = tuple[int, Fragment | None, Part]
_END_ENTRY: Final[_Entry] = (0, None, Part(0, 0, 0, 0, False, -1, False, False, False, False, True))


class BulkReader:
    """Reads the reduced forms of many sentences."""

    def __init__(self, grammar: Grammar, fragments: Fragments, aggregator: Aggregator) -> None:
        self._grammar = grammar
        self._aggregator = aggregator
        self._bonds = _Bonds(grammar.phrasebook)
        self._entries = _Entries(grammar, fragments, aggregator)

    def effects(self, reduced: Sequence[str]) -> list[Effect]:
        """What each of some sentences amounts to."""
        if not reduced:
            return []
        text = END.join(reduced) + END
        dense = text.replace(ASSERTIVE, "")
        effects: list[Effect] = []
        kinds = effect = number = 0
        fragments: list[Fragment] = []
        parts: list[Part] = []
        for its_kinds, fragment, part in map(self._entries.__getitem__, self._bonds.parts(dense)):
            if fragment is not None:
                kinds |= its_kinds
                effect |= part[0]
                fragments.append(fragment)
                parts.append(part)
                continue
            if kinds & JUDGED and self._is_telling(kinds, reduced[number]):
                denied = denial(kinds, reduced[number], parts)
                effect = self._read(reduced[number], fragments) if denied is None else denied
            effects.append(effect)
            number += 1
            kinds = effect = 0
            fragments = []
            parts = []
        return effects

    def _is_telling(self, kinds: int, reduced: str) -> bool:
        if kinds & _TELLING or (kinds & FINDINGS and kinds & _TELLING_OF_FINDINGS):
            return True
        return bool(kinds & FINDING and BETWEEN_VERBS.search(reduced))

    def _read(self, reduced: str, fragments: Iterable[Fragment]) -> Effect:
        words = reduced.replace(ASSERTIVE, "")
        sentence = read_contents(self._grammar, reduced, words, put_together(fragments))
        return 0 if sentence is None else self._aggregator.effect(decisions_of(sentence, self._grammar))


class _Entries(dict[str, _Entry]):
    """The kinds in each fragment, what it amounts to by itself, and the fragment."""

    def __init__(self, grammar: Grammar, fragments: Fragments, aggregator: Aggregator) -> None:
        super().__init__({END: _END_ENTRY})
        self._grammar = grammar
        self._fragments = fragments
        self._aggregator = aggregator

    def __missing__(self, words: str) -> _Entry:
        fragment = self._fragments.fragment(words)
        entry = fragment.kinds, fragment, part_of(words, fragment, self._grammar, self._aggregator)
        if len(self) >= _MOST_FRAGMENTS:
            self.clear()
            self[END] = _END_ENTRY
        self[words] = entry
        return entry


class _Bonds:
    """Pairs of words that some phrase holds side by side, as a table of bits that numpy can ask about many pairs."""

    def __init__(self, phrasebook: Phrasebook) -> None:
        codes = [(ord(first) - ord(END), ord(second) - ord(END)) for first, second in map(tuple, phrasebook.bonds)]
        self._width = 1 + max((code for pair in codes for code in pair), default=0)
        table = np.zeros(self._width * self._width, dtype=bool)
        table[[first * self._width + second for first, second in codes]] = True
        self._table = np.packbits(table, bitorder="little")

    def parts(self, dense: str) -> list[str]:
        """The fragments of sentences, each sentence with ``END`` behind it, which is a part of its own."""
        codes = np.frombuffer(dense.encode("utf-32-le"), dtype=np.uint32).astype(np.int64) - ord(END)
        # a word that no phrase goes on from or to
        codes[codes >= self._width] = 0
        pairs = codes[:-1] * self._width + codes[1:]
        bound = (self._table[pairs >> 3] >> (pairs & 7).astype(np.uint8)) & 1
        ends = (np.flatnonzero(bound == 0) + 1).tolist()
        return [dense[start:end] for start, end in zip([0, *ends], [*ends, len(dense)], strict=True)]
