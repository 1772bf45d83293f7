"""Lexicon and cues compiled for reading: spaCy's tokenizer, a trie of phrases, negspacy's negation.

The tokenizer's vocabulary computes each word's canonical form once (its ``NORM``). Phrases are matched on canonical
words with the fillers left out, so that "the heart is mildly enlarged" holds "heart is enlarged". They lie in a trie
of nested dicts: over a sentence's dozen words a walk through it takes 3 microseconds, making a second Doc for
spaCy's PhraseMatcher 15.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import spacy
from spacy.attrs import NORM
from spacy.language import Language

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


# a NamedTuple's own constructor costs four times as much, and there are ten of them to a sentence
_new_item = tuple.__new__
Trie = dict[str, Any]
_HERE = ""


@dataclass(frozen=True)
class Grammar:
    """All that is needed to read a sentence."""

    nlp: Language
    vocabulary: Vocabulary
    trie: Trie
    negator: Negator


def compile_grammar(
    labels: dict[str, LabelPhrases],
    other_findings: list[str],
    normal_statements: list[str],
    subjects: list[str],
    cues: CueLexicon,
) -> Grammar:
    """Expand all phrases, build the vocabulary from their words, fill the trie and negspacy's termset."""
    groups = [(kind, label, _expand_all(phrases)) for kind, label, phrases in _phrase_groups(labels, cues)]
    groups += [
        ("other", "", _expand_all(other_findings)),
        ("fine", "", _expand_all(normal_statements)),
        ("subject", "", _expand_all(subjects)),
    ]
    negation = {kind: _expand_all(getattr(cues.negation, kind)) for kind in Negation.model_fields}
    split = _split({phrase for *_, phrases in groups for phrase in phrases}.union(*negation.values()))
    words = {word for pieces in split.values() for word in pieces}
    vocabulary = Vocabulary(words, cues.forms, cues.fillers, cues.assertive)
    canonical = {piece: [vocabulary.canonical(word) for word in pieces] for piece, pieces in split.items()}

    def dense(phrases: Iterable[str]) -> list[str]:
        found = set()
        for phrase in phrases:
            words = [word for piece in phrase.split(" ") for word in canonical[piece]]
            found.add(" ".join(word for word in words if word not in vocabulary.fillers) or " ".join(words))
        return sorted(found)

    dense_groups = [(kind, label, dense(phrases)) for kind, label, phrases in groups]
    termset = {kind: dense(phrases) for kind, phrases in negation.items()}
    termset["pseudo"] = sorted({*termset["pseudo"], *_hidden_negations(dense_groups, termset)})
    dense_groups += [(f"neg_{kind}", "", phrases) for kind, phrases in termset.items()]
    return Grammar(_canonical_nlp(vocabulary), vocabulary, _trie(dense_groups), Negator(termset))


def match(trie: Trie, words: list[str]) -> list[Item]:
    """Every phrase of the trie that occurs in ``words``, by where they start and then by where they end."""
    found: list[Item] = []
    count = len(words)
    for start, word in enumerate(words):
        node = trie.get(word)
        at = start + 1
        while node is not None:
            if _HERE in node:
                for kind, label in node[_HERE]:
                    found.append(_new_item(Item, (kind, label, start, at)))
            if at == count:
                break
            node = node.get(words[at])
            at += 1
    return found


def _trie(groups: Iterable[tuple[str, str, list[str]]]) -> Trie:
    root: Trie = {}
    for kind, label, phrases in groups:
        for phrase in phrases:
            node = root
            for word in phrase.split(" "):
                node = node.setdefault(word, {})
            node.setdefault(_HERE, []).append((kind, label))
    return root


def _split(phrases: Iterable[str]) -> dict[str, list[str]]:
    """The tokens of every piece between spaces, as spaCy's tokenizer sees them."""
    tokenizer = spacy.blank("en").tokenizer
    pieces = {piece for phrase in phrases for piece in phrase.split(" ")}
    return {piece: [token.lower_ for token in tokenizer(piece)] for piece in pieces}


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


def _canonical_nlp(vocabulary: Vocabulary) -> Language:
    """A blank English pipeline whose tokens carry their canonical word as ``NORM``, and nothing else.

    spaCy works out twenty properties of every new word (shape, like_url ...); none but this is read here.
    """
    nlp = spacy.blank("en")
    nlp.vocab.lex_attr_getters = {NORM: vocabulary.canonical}
    for lexeme in nlp.vocab:
        lexeme.norm_ = vocabulary.canonical(lexeme.text)
    return nlp


_SCOPED = frozenset(
    {"modal", "open", "doubt", "doubt_after", "unmention", "unmention_after", "no_change", "unchanged", "borderline"}
)


def _hidden_negations(groups: list[tuple[str, str, list[str]]], termset: dict[str, list[str]]) -> set[str]:
    """Phrases of other groups that hold a negation ("cannot exclude"): negspacy must not take it for one."""
    starts: defaultdict[str, set[str]] = defaultdict(set)
    for phrase in termset["preceding"] + termset["following"]:
        starts[phrase.split(" ")[0]].add(f" {phrase} ")
    return {
        phrase
        for kind, _, phrases in groups
        if kind in _SCOPED
        for phrase in phrases
        if any(negation in f" {phrase} " for word in phrase.split(" ") for negation in starts.get(word, ()))
    }
