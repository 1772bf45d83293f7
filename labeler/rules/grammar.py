"""Lexicon and cues compiled for reading: spaCy's tokenizer, a book of phrases, negspacy's negation.

The tokenizer's vocabulary computes each word's canonical form once (its ``NORM``). Phrases are matched on canonical
words with the fillers left out, so that "the heart is mildly enlarged" holds "heart is enlarged". A phrase is a string
of its words' characters, and two words between which no phrase goes on part a sentence into *fragments*: what is found
in one depends on nothing else, so each is looked through once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import spacy
from spacy.attrs import NORM
from spacy.language import Language
from spacy.vocab import Vocab

from labeler.rules.lexicon import CueLexicon, LabelPhrases, Negation
from labeler.rules.negation import Negator
from labeler.rules.phrases import expand
from labeler.rules.vocabulary import Vocabulary


class Item(NamedTuple):
    """A phrase found in a sentence: ``kind`` and ``label`` from the lexicon, ``start:end`` in dense words."""

    kind: str
    label: str
    start: int
    end: int


class Phrasebook:
    """Phrases as strings of their words' characters, with the kinds and labels that each has."""

    def __init__(self, groups: Iterable[tuple[str, str, list[str]]]) -> None:
        self.phrases: dict[str, list[tuple[str, str]]] = {}
        for kind, label, phrases in groups:
            meaning = (kind, label)
            for phrase in phrases:
                self.phrases.setdefault(phrase, []).append(meaning)
        self.longest = max(map(len, self.phrases), default=0)
        self.bonds = frozenset(first + second for phrase in self.phrases for first, second in pairwise(phrase))

    def match(self, words: str, at: int = 0) -> list[Item]:
        """Every phrase that occurs in ``words``, by where they start and then by where they end; ``at`` is added."""
        count = len(words)
        phrases = self.phrases
        return [
            Item(kind, label, at + start, at + end)
            for start in range(count)
            for end in range(start + 1, min(start + self.longest, count) + 1)
            for kind, label in phrases.get(words[start:end], ())
        ]


@dataclass(frozen=True)
class Grammar:
    """All that is needed to read a sentence."""

    vocabulary: Vocabulary
    phrasebook: Phrasebook
    negator: Negator


def compile_grammar(
    labels: dict[str, LabelPhrases],
    other_findings: list[str],
    normal_statements: list[str],
    subjects: list[str],
    cues: CueLexicon,
) -> Grammar:
    """Expand all phrases, build the vocabulary from their words, fill the phrasebook and negspacy's termset."""
    groups = [(kind, label, _expand_all(phrases)) for kind, label, phrases in _phrase_groups(labels, cues)]
    groups += [
        ("other", "", _expand_all(other_findings)),
        ("fine", "", _expand_all(normal_statements)),
        ("subject", "", _expand_all(subjects)),
    ]
    negation = {kind: _expand_all(getattr(cues.negation, kind)) for kind in Negation.model_fields}
    split = _split({phrase for *_, phrases in groups for phrase in phrases}.union(*negation.values()))
    vocabulary = Vocabulary(
        {word for pieces in split.values() for word in pieces}, cues.forms, cues.fillers, cues.assertive
    )
    canonical = {piece: list(map(vocabulary.canonical, pieces)) for piece, pieces in split.items()}
    characters = {
        piece: "".join([vocabulary.characters[word] for word in words if word not in vocabulary.fillers])
        for piece, words in canonical.items()
    }

    def dense(phrases: Iterable[str]) -> list[str]:
        found = {"".join([characters[piece] for piece in phrase.split(" ")]) for phrase in phrases}
        # of fillers alone: there is no such thing in a sentence without its fillers
        found.discard("")
        return sorted(found)

    dense_groups = [(kind, label, dense(phrases)) for kind, label, phrases in groups]
    termset = {kind: dense(phrases) for kind, phrases in negation.items()}
    termset["pseudo"] = sorted({*termset["pseudo"], *_hidden_negations(dense_groups, termset)})
    dense_groups += [(f"neg_{kind}", "", phrases) for kind, phrases in termset.items()]
    return Grammar(vocabulary, Phrasebook(dense_groups), Negator(termset, vocabulary.word_of))


def canonical_nlp(vocabulary: Vocabulary) -> Language:
    """A blank English pipeline whose tokens carry their canonical word as ``NORM``, and nothing else."""
    return _blank_english(vocabulary.canonical)


def _blank_english(norm: Callable[[str], str]) -> Language:
    """English with one lexical attribute: spaCy works out twenty for every new word, and none but this is read here."""
    getters: Mapping[int, Callable[[str], str]] = {NORM: norm}
    return spacy.blank("en", vocab=Vocab(lex_attr_getters=dict(getters)))


def _split(phrases: Iterable[str]) -> dict[str, list[str]]:
    """The tokens of every piece between spaces, as spaCy's tokenizer sees them."""
    tokenizer = _blank_english(str.lower).tokenizer
    pieces = {piece for phrase in phrases for piece in phrase.split(" ")}
    return {piece: [token.text.lower() for token in tokenizer(piece)] for piece in pieces}


def _phrase_groups(labels: dict[str, LabelPhrases], cues: CueLexicon) -> Iterator[tuple[str, str, list[str]]]:
    """Every group of phrases with its kind and, where it has one, its label."""
    for label, phrases in labels.items():
        yield "finding", label, phrases.findings
        yield "weak", label, phrases.weak
        yield "structure", label, phrases.structures
        yield "in_lung", label, phrases.in_lung
        yield "ignore", label, phrases.ignore
        yield "unless", label, phrases.unless
    for kind in ("modal", "open", "doubt", "doubt_after", "affirm", "unmention", "unmention_after", "no_change"):
        yield kind, "", getattr(cues, kind)
    for kind in ("normal", "abnormal", "borderline", "unchanged"):
        yield kind, "", getattr(cues.predicates, kind)
    yield "either", "", cues.either
    yield "versus", "", cues.versus
    yield "turn", "", cues.turns
    yield "lung", "", cues.lung_words
    yield "alternative", "", cues.alternatives


def _expand_all(phrases: Iterable[str]) -> list[str]:
    return [plain for phrase in phrases for plain in expand(phrase)]


_SCOPED = frozenset(
    {"modal", "open", "doubt", "doubt_after", "unmention", "unmention_after", "no_change", "unchanged", "borderline"}
)


def _hidden_negations(groups: list[tuple[str, str, list[str]]], termset: dict[str, list[str]]) -> set[str]:
    """Phrases of other groups that hold a negation ("cannot exclude"): negspacy must not take it for one."""
    negations = frozenset(termset["preceding"] + termset["following"])
    first_words = frozenset(negation[0] for negation in negations)
    return {
        phrase
        for kind, _, phrases in groups
        if kind in _SCOPED
        for phrase in phrases
        if not first_words.isdisjoint(phrase) and any(negation in phrase for negation in negations)
    }
