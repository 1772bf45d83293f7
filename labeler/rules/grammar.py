"""Lexicon and cues compiled for matching: spaCy's tokenizer and PhraseMatcher, negspacy's Negex.

The tokenizer's vocabulary computes each word's canonical form once (its ``NORM``); phrases are matched on canonical
words with the fillers left out, so that "the heart is mildly enlarged" holds "heart is enlarged".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import spacy
from negspacy.negation import Negex
from spacy.attrs import NORM
from spacy.language import Language
from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc
from spacy.vocab import Vocab

from labeler.rules.lexicon import CueLexicon, LabelPhrases, Negation
from labeler.rules.phrases import expand
from labeler.rules.vocabulary import MASK, Vocabulary


class Item(NamedTuple):
    """A phrase found in a sentence: ``kind`` and ``label`` from the lexicon, ``start:end`` in dense words."""

    kind: str
    label: str
    start: int
    end: int


# kinds that claim their words: of two that overlap, only the longer is there
CLAIMING = frozenset(
    "finding weak in_lung structure subject normal abnormal borderline unchanged modal open doubt doubt_after affirm "
    "unmention unmention_after no_change either versus turn".split()
)


class Words:
    """A spaCy tokenizer for text that is canonical words joined by single spaces."""

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab

    def __call__(self, text: str) -> Doc:
        return Doc(self.vocab, words=text.split(" "))

    def pipe(self, texts: Iterable[str], batch_size: int = 1000) -> Iterator[Doc]:
        return map(self, texts)


class CueNegex(Negex):
    """negspacy's Negex, keeping the cues it found: the evidence for a decision that it gives without one."""

    cues: tuple[list[tuple[int, int, int]], list[tuple[int, int, int]], list[tuple[int, int, int]]]

    def process_negations(self, doc: Doc):  # type: ignore[no-untyped-def]
        """As in negspacy, but a negation that begins right after a pseudo-negation is one ("not excluded no effusion")."""
        strings = self.nlp.vocab.strings
        matches = [(strings[key], key, start, end) for key, start, end in self.matcher(doc)]
        hidden = {i for kind, _, start, end in matches if kind == "pseudo" for i in range(start, end)}
        self.cues = tuple(
            [(key, start, end) for kind, key, start, end in matches if kind == wanted and start not in hidden]
            for wanted in ("Preceding", "Following", "Termination")
        )  # type: ignore[assignment]
        return self.cues


@dataclass(frozen=True)
class Grammar:
    """All that is needed to read a sentence."""

    nlp: Language
    vocabulary: Vocabulary
    words: Words
    matcher: PhraseMatcher
    kinds: dict[int, tuple[str, str]]
    negex: CueNegex
    fillers: frozenset[str]
    assertive: frozenset[str]
    labels: tuple[str, ...]


def _phrase_groups(labels: dict[str, LabelPhrases], cues: CueLexicon) -> Iterator[tuple[str, str, list[str]]]:
    """Every group of phrases with its kind and, where it has one, its label."""
    for label, phrases in labels.items():
        yield "finding", label, phrases.findings
        yield "weak", label, phrases.weak
        yield "structure", label, phrases.structures
        yield "in_lung", label, phrases.in_lung
        yield "ignore", label, phrases.ignore
        yield "unless", label, phrases.unless
    for kind in ("modal", "open", "doubt", "doubt_after", "affirm", "unmention", "unmention_after", "no_change", "versus"):
        yield kind, "", getattr(cues, kind)
    for kind in ("normal", "abnormal", "borderline", "unchanged"):
        yield kind, "", getattr(cues.predicates, kind)
    yield "either", "", cues.either
    yield "turn", "", cues.turns
    yield "lung", "", cues.lung_words
    yield "alternative", "", cues.alternatives


def compile_grammar(
    labels: dict[str, LabelPhrases],
    other_findings: list[str],
    normal_statements: list[str],
    subjects: list[str],
    cues: CueLexicon,
) -> Grammar:
    """Expand all phrases, build the vocabulary from their words, and fill the matchers."""
    groups = [(kind, label, _expand_all(phrases)) for kind, label, phrases in _phrase_groups(labels, cues)]
    groups += [
        ("other", "", _expand_all(other_findings)),
        ("fine", "", _expand_all(normal_statements)),
        ("subject", "", _expand_all(subjects)),
    ]
    negation = {kind: _expand_all(getattr(cues.negation, kind)) for kind in Negation.model_fields}
    phrases_of_all = [phrases for _, _, phrases in groups] + list(negation.values())
    tokenizer = spacy.blank("en").tokenizer
    pieces = {piece for phrases in phrases_of_all for phrase in phrases for piece in phrase.split(" ")}
    split = {piece: [token.lower_ for token in tokenizer(piece)] for piece in pieces}
    vocabulary = Vocabulary(
        {word for words in split.values() for word in words} | set(cues.fillers) | set(cues.assertive), cues.forms
    )
    nlp = _canonical_nlp(vocabulary)
    fillers = frozenset(vocabulary.canonical(word) for word in cues.fillers) | {MASK}
    canonical = {piece: [vocabulary.canonical(word) for word in words] for piece, words in split.items()}

    def dense(phrase: str) -> str:
        words = [word for piece in phrase.split(" ") for word in canonical[piece]]
        return " ".join(word for word in words if word not in fillers) or " ".join(words)

    words_nlp = Language()
    words_nlp.tokenizer = words = Words(words_nlp.vocab)
    matcher = PhraseMatcher(words_nlp.vocab, attr="ORTH")
    kinds = {}
    dense_groups = [(kind, label, sorted({dense(phrase) for phrase in phrases})) for kind, label, phrases in groups]
    for kind, label, phrases in dense_groups:
        key = f"{kind}|{label}"
        if phrases:
            matcher.add(key, list(words.pipe(phrases)))
            kinds[words_nlp.vocab.strings[key]] = (kind, label)
    termset = {
        f"{kind}_negations" if kind != "termination" else kind: sorted({dense(phrase) for phrase in phrases})
        for kind, phrases in negation.items()
    }
    termset["pseudo_negations"] = sorted(set(termset["pseudo_negations"]) | _hidden_negations(dense_groups, termset))
    negex = CueNegex(words_nlp, "negex", neg_termset=termset, span_keys=["radloop"])
    return Grammar(
        nlp, vocabulary, words, matcher, kinds, negex, fillers,
        frozenset(vocabulary.canonical(word) for word in cues.assertive), tuple(labels),
    )  # fmt: skip


def _expand_all(phrases: Iterable[str]) -> list[str]:
    return [plain for phrase in phrases for plain in expand(phrase)]


def _canonical_nlp(vocabulary: Vocabulary) -> Language:
    """A blank English pipeline whose tokens carry their canonical word as ``NORM``."""
    nlp = spacy.blank("en")
    nlp.vocab.lex_attr_getters[NORM] = vocabulary.canonical
    for lexeme in nlp.vocab:
        lexeme.norm_ = vocabulary.canonical(lexeme.text)
    return nlp


_SCOPED = ("modal", "open", "doubt", "doubt_after", "unmention", "unmention_after", "no_change", "unchanged", "borderline")


def _hidden_negations(groups: list[tuple[str, str, list[str]]], termset: dict[str, list[str]]) -> set[str]:
    """Phrases of other groups that hold a negation ("cannot exclude"): negspacy must not take it for one."""
    starts: defaultdict[str, set[str]] = defaultdict(set)
    for phrase in termset["preceding_negations"] + termset["following_negations"]:
        starts[phrase.split(" ")[0]].add(phrase)
    hidden = set()
    for kind, _, phrases in groups:
        if kind not in _SCOPED:
            continue
        for phrase in phrases:
            padded = f" {phrase} "
            if any(f" {n} " in padded for word in phrase.split(" ") for n in starts.get(word, ())):
                hidden.add(phrase)
    return hidden
