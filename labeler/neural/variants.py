"""Sentences made of others, with findings, anatomy and cues exchanged: what they mean, a teacher says.

    No pleural effusion.       -> no evidence of atelectasis.     possible pleural effusion.
    The heart size is normal.  -> The mediastinum is enlarged.    The heart size is normal, no pleural effusion.
    Old fracture of a rib.     -> Old fracture of a shoulder.     Olfusion fracture of a rib.

A teacher costs next to nothing, so a pupil can be told of as many texts as it has time to read. What is exchanged are
the spans that the teacher gives as evidence; what stands in their place are other such spans, and the phrases of the
schema's lexicons, rare ones as often as others. A sentence may also end as another one does, behind words that stand
between two findings of a third; and what means nothing to the teacher may give way to other such words, or to words
that are none, so that a pupil does not take a word it has hardly seen for a finding. Of a cue only some words may be
put in ("new" of "no new"), so that it does not take a part for the whole. A variant need not be good prose, nor mean
what it did before: it is labeled anew.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from corpora.errors import RegistryError
from labeler.base import Labeler
from labeler.neural.reading import sentences_of
from labeler.rules.lexicon import CueLexicon
from labeler.rules.phrases import expand
from labeler.schemas import RulesSchema, load_schema
from labeler.types import Mention

_EXCHANGED: Final = 0.5
_CUE_PUT_BEFORE: Final = 0.3
_CUE_PUT_AFTER: Final = 0.1
_QUALIFIED: Final = 0.25
_PLURAL: Final = 0.2
_CROSSED: Final = 0.25
# of the sentences whose other words are exchanged, the share of these words, and of those the share of made-up ones
_WORDS_EXCHANGED: Final = 0.15
_MADE_UP: Final = 0.3
# the kind of words that say how, where or how much
_QUALIFIER: Final = "qualifier"
# kinds of cues that can stand for each other
_BEFORE: Final = frozenset({"negation", "doubt", "open", "modal", "affirm", "unmention"})
_AFTER: Final = frozenset({"negation_after", "doubt_after", "unmention_after"})
_PREDICATES: Final = frozenset({"normal", "abnormal", "borderline", "unchanged"})
_ALIKE: Final = (_BEFORE, _AFTER, _PREDICATES)
_OPENING: Final = frozenset(" ,;")
_WORD: Final = re.compile(r"[^\W\d_]{4,}")

# text -> the phrases one of which takes its place
Phrases = Mapping[str, Sequence[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class _Span:
    """What can be exchanged in a sentence, and what kind of phrase it is."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Carrier:
    """A sentence and the spans in it, in order, none in another."""

    text: str
    spans: tuple[_Span, ...]


class Variants:
    """Makes sentences of those of ``texts``, as ``labeler`` reads them, with the phrases of ``schema``.

    ``schema`` is a shipped name or a YAML file; of another kind of schema only the words of the texts are used.
    """

    def __init__(self, labeler: Labeler, texts: Sequence[str], schema: str) -> None:
        plain = dict.fromkeys(text[start:end] for text in texts for start, end in sentences_of(text))
        self._carriers = [Carrier(text, _spans(text, labeler(text).mentions)) for text in plain]
        self._pools = _pools(self._carriers, schema)
        self._kinds = sorted(self._pools)
        self._has_cues = not (_BEFORE.isdisjoint(self._kinds) or _AFTER.isdisjoint(self._kinds))
        self._with_spans = [carrier for carrier in self._carriers if carrier.spans]
        self._between = _between(self._carriers)
        self._words = _other_words(self._carriers)
        self._cut = 0.0

    def sentences(
        self, number: int, seed: int, *, varied: float = 1.0, strange: float = 0.0, cut: float = 0.0
    ) -> list[str]:
        """``number`` sentences, a share ``varied`` of them changed, by ``seed`` alone; none of no sentences.

        In a share ``strange`` of the changed ones the words that mean nothing to the teacher are exchanged, too. Of a
        share ``cut`` of the cues of several words only some are put in.
        """
        if not self._carriers:
            return []
        chance, self._cut = random.Random(seed), cut
        return [self._sentence(chance, varied, strange) for _ in range(number)]

    def _sentence(self, chance: random.Random, varied: float, strange: float) -> str:
        carrier = chance.choice(self._carriers)
        text = carrier.text
        if chance.random() < varied:
            if self._between and carrier.spans and chance.random() < _CROSSED:
                carrier = self._crossed(carrier, chance)
            if self._words and chance.random() < strange:
                carrier = self._estranged(carrier, chance)
            text = self._changed(carrier, chance)
        return text if text.endswith((".", "?", "!")) else f"{text}."

    def _crossed(self, carrier: Carrier, chance: random.Random) -> Carrier:
        """A sentence up to one of its spans, then as another one from one of its spans on."""
        other = chance.choice(self._with_spans)
        last, first = chance.randrange(len(carrier.spans)), chance.randrange(len(other.spans))
        head = carrier.text[: carrier.spans[last].end] + chance.choice(self._between)
        begin = other.spans[first].start
        moved = [
            _Span(one.start - begin + len(head), one.end - begin + len(head), one.kind) for one in other.spans[first:]
        ]
        return Carrier(head + other.text[begin:], (*carrier.spans[: last + 1], *moved))

    def _estranged(self, carrier: Carrier, chance: random.Random) -> Carrier:
        """Some of the words outside of the spans are others."""
        parts: list[str] = []
        spans: list[_Span] = []
        at = length = 0
        for span in (*carrier.spans, None):
            end = span.start if span else len(carrier.text)
            plain = _WORD.sub(
                lambda word: self._word(chance) if chance.random() < _WORDS_EXCHANGED else word[0], carrier.text[at:end]
            )
            parts.append(plain)
            length += len(plain)
            if span:
                parts.append(carrier.text[span.start : span.end])
                spans.append(_Span(length, length + span.end - span.start, span.kind))
                at, length = span.end, length + span.end - span.start
        return Carrier("".join(parts), tuple(spans))

    def _word(self, chance: random.Random) -> str:
        word = chance.choice(self._words)
        if chance.random() < _MADE_UP:
            other = chance.choice(self._words)
            return word[: (len(word) + 1) // 2] + other[len(other) // 2 :]
        return word

    def _changed(self, carrier: Carrier, chance: random.Random) -> str:
        parts: list[str] = []
        at = 0
        kinds = {span.kind for span in carrier.spans}
        bare = not kinds & (_BEFORE | _AFTER)
        for span in carrier.spans:
            parts.append(carrier.text[at : span.start])
            if bare and self._has_cues and span.kind.startswith("finding") and chance.random() < _CUE_PUT_BEFORE:
                parts.append(f"{self._cue(chance, _BEFORE)} ")
            parts.append(self._other(span, carrier, chance))
            if bare and self._has_cues and span.kind.startswith("finding") and chance.random() < _CUE_PUT_AFTER:
                parts.append(f" {self._cue(chance, _AFTER)}")
            at = span.end
        return "".join(parts) + carrier.text[at:]

    def _other(self, span: _Span, carrier: Carrier, chance: random.Random) -> str:
        if chance.random() >= _EXCHANGED:
            return carrier.text[span.start : span.end]
        for alike in _ALIKE:
            if span.kind in alike:
                return self._cue(chance, alike if chance.random() < 0.5 else frozenset({span.kind}))
        kind, colon, _ = span.kind.partition(":")
        alike_kinds = [name for name in self._kinds if name.startswith(f"{kind}:")] if colon else [span.kind]
        phrase = self._phrase(chance.choice(alike_kinds), chance)
        return self._inflected(phrase, chance) if kind == "finding" else phrase

    def _inflected(self, phrase: str, chance: random.Random) -> str:
        """The phrase in the plural, or with a word before it that changes nothing, or as it is."""
        if chance.random() < _PLURAL and phrase[-1:].isalpha() and not phrase.endswith("s"):
            phrase += "s"
        if _QUALIFIER in self._pools and chance.random() < _QUALIFIED:
            phrase = f"{self._phrase(_QUALIFIER, chance)} {phrase}"
        return phrase

    def _cue(self, chance: random.Random, kinds: frozenset[str]) -> str:
        """A cue of one of the kinds, or some of its words."""
        phrase = self._phrase(chance.choice([kind for kind in self._kinds if kind in kinds]), chance)
        words = phrase.split()
        if not self._cut or len(words) < 2 or chance.random() >= self._cut:
            return phrase
        begin = chance.randrange(len(words))
        return " ".join(words[begin : chance.randrange(begin, len(words)) + 1])

    def _phrase(self, kind: str, chance: random.Random) -> str:
        return chance.choice(chance.choice(self._pools[kind]))


def _between(carriers: Sequence[Carrier]) -> list[str]:
    """What stands between two spans of a sentence, once each."""
    found = {
        carrier.text[one.end : other.start]: None for carrier in carriers for one, other in pairwise(carrier.spans)
    }  # fmt: skip
    return [text for text in found if text[:1] in _OPENING and text[-1:] == " "]


def _other_words(carriers: Sequence[Carrier]) -> list[str]:
    """The words that stand outside of all spans, once each."""
    found: dict[str, None] = {}
    for carrier in carriers:
        ends = [0, *(span.end for span in carrier.spans)]
        begins = [*(span.start for span in carrier.spans), len(carrier.text)]
        for at, end in zip(ends, begins, strict=True):
            found |= dict.fromkeys(word.lower() for word in _WORD.findall(carrier.text[at:end]))
    return list(found)


def _spans(text: str, mentions: Sequence[Mention]) -> tuple[_Span, ...]:
    """The spans of findings, structures and cues; of those that overlap the first and longest."""
    found: list[_Span] = []
    for mention in mentions:
        kind = "structure" if any(cue.kind in _PREDICATES for cue in mention.cues) else "finding"
        found.append(_Span(mention.start, mention.end, f"{kind}:{mention.label}"))
        for cue in mention.cues:
            after = cue.kind == "negation" and cue.start >= mention.end
            found.append(_Span(cue.start, cue.end, "negation_after" if after else cue.kind))
    kept: list[_Span] = []
    for span in sorted(found, key=lambda span: (span.start, -span.end, span.kind)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return tuple(kept)


def _pools(carriers: Sequence[Carrier], schema: str) -> dict[str, list[list[str]]]:
    """For each kind of span groups of phrases: what the texts have, each its own group, and the lexicons' patterns."""
    pools: defaultdict[str, dict[tuple[str, ...], None]] = defaultdict(dict)
    for carrier in carriers:
        for span in carrier.spans:
            pools[span.kind][(carrier.text[span.start : span.end].lower(),)] = None
    for kind, pattern in _of_lexicons(schema):
        pools[kind][tuple(expand(pattern))] = None
    return {kind: [list(group) for group in groups] for kind, groups in pools.items()}


def _of_lexicons(name: str) -> Iterator[tuple[str, str]]:
    try:
        schema: RulesSchema = load_schema(name)
    except RegistryError:
        return
    for label, phrases in schema.phrases.items():
        for pattern in (*phrases.findings, *phrases.weak, *phrases.located, *phrases.absent, *phrases.ignore):
            yield f"finding:{label}", pattern
        for pattern in phrases.structures:
            yield f"structure:{label}", pattern
    for pattern in schema.lexicon.other_findings:
        yield "finding:", pattern
    yield from _of_cues(schema.cues)


def _of_cues(cues: CueLexicon) -> Iterator[tuple[str, str]]:
    groups = {
        "negation": cues.negation.preceding, "negation_after": cues.negation.following, "modal": cues.modal,
        "open": cues.open, "doubt": cues.doubt, "doubt_after": cues.doubt_after, "affirm": cues.affirm,
        "unmention": cues.unmention, "unmention_after": cues.unmention_after, _QUALIFIER: cues.fillers,
        **{name: getattr(cues.predicates, name) for name in _PREDICATES},
    }  # fmt: skip
    for kind, patterns in sorted(groups.items()):
        for pattern in patterns:
            yield kind, pattern
