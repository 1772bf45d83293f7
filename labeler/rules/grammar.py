"""Lexicon and cues compiled for reading: spaCy's tokenizer, a book of phrases, negspacy's negation.

The tokenizer's vocabulary computes each word's canonical form once (its ``NORM``). Phrases are matched on canonical
words with the fillers left out, so that "the heart is mildly enlarged" holds "heart is enlarged". A phrase is a string
of its words' characters, and two words between which no phrase goes on part a sentence into *fragments*: what is found
in one depends on nothing else, so each is looked through once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from labeler.rules.kinds import bit_of
from labeler.rules.lexicon import CueLexicon, LabelPhrases, Negation
from labeler.rules.light_spacy import NORM, Doc, Language, Vocab, spacy
from labeler.rules.negation import Negator
from labeler.rules.phrases import expand
from labeler.rules.spelling import Spelling
from labeler.rules.vocabulary import END, UNKNOWN, Vocabulary, rule_character

_MOST_LEXEMES = 300_000
_MOST_STRETCHES = 300_000
_MOST_LOCATED = 30_000
_LONGEST_STRETCH = 100
_MOST_AT_ONCE = 100
# between spaces they part a heading from what is said of it, as a colon does ("Pneumothorax - none")
_DASHES = frozenset({"-", "--", "\u2013", "\u2014"})
_STRETCH = re.compile(r"\S+")
_RUNS = re.compile(f"{UNKNOWN}{{2,}}")
_TWO_UNKNOWN = UNKNOWN * 2
_BETWEEN = f" {END} "


class Item(NamedTuple):
    """A phrase found in a sentence: its kind (``labeler.rules.kinds``), its label, ``start:end`` in dense words."""

    kind: int
    label: str
    start: int
    end: int


# a NamedTuple's own constructor takes four times as long
_new_item = tuple.__new__


class Phrasebook:
    """Phrases as strings of their words' characters, with the kinds and labels that each has."""

    def __init__(self, groups: Iterable[tuple[str, str, list[str]]]) -> None:
        self.phrases: dict[str, list[tuple[int, str]]] = {}
        for kind, label, phrases in groups:
            meaning = (bit_of(kind), label)
            for phrase in phrases:
                self.phrases.setdefault(phrase, []).append(meaning)
        self.longest = max(map(len, self.phrases), default=0)
        self.bonds = frozenset(first + second for phrase in self.phrases for first, second in pairwise(phrase))

    def match(self, words: str) -> list[Item]:
        """Every phrase that occurs in ``words``, by where they start and then by where they end."""
        count = len(words)
        phrases = self.phrases
        return [
            _new_item(Item, (kind, label, start, end))
            for start in range(count)
            for end in range(start + 1, min(start + self.longest, count) + 1)
            for kind, label in phrases.get(words[start:end], ())
        ]


# from, to, and the character of the canonical word
_Token = tuple[int, int, str]


class Tokenizer:
    """spaCy's tokenizer, asked once for every stretch of text between white space.

    It tokenizes each stretch by itself, so the tokens of a text are those of its stretches. A look-up here takes a
    tenth of what spaCy takes to make a Doc of known words.
    """

    def __init__(self, vocabulary: Vocabulary, nlp: Language, words: Mapping[str, str]) -> None:
        """``words`` is the canonical word of stretches that are one token, as far as they are known from the start."""
        self._vocabulary = vocabulary
        self._nlp = nlp
        self._known = _Known(self, {word: vocabulary.character(canonical) for word, canonical in words.items()})
        self._located: dict[str, list[_Token]] = {}

    def reduced(self, texts: Sequence[str]) -> list[str]:
        """The reduced forms of some sentences without the full stops at their ends; a run of unknown words is one."""
        joined = _BETWEEN.join(texts)
        lower = joined.lower()
        if len(lower) == len(joined) and joined.count(END) == len(texts) - 1:
            return self._characters(lower.split()).split(END)
        return [self._characters(map(_folded, text.split())) for text in texts]

    def _characters(self, stretches: Iterable[str]) -> str:
        characters = "".join(map(self._known.__getitem__, stretches))
        return _RUNS.sub(UNKNOWN, characters) if _TWO_UNKNOWN in characters else characters

    def tokens(self, text: str) -> list[_Token]:
        """The tokens of ``text``."""
        found = []
        for stretch in _STRETCH.finditer(text):
            at = stretch.start()
            located = self._locate(_folded(stretch[0]))
            found += [(at + start, at + end, character) for start, end, character in located]
        return found

    def _locate(self, stretch: str) -> list[_Token]:
        if stretch in _DASHES:
            return [(0, len(stretch), rule_character(":"))]
        tokens = self._located.get(stretch)
        if tokens is None:
            character = self._vocabulary.character
            tokens = [
                (at + token.idx, at + token.idx + len(token), character(token.norm_))
                for at, part in _parts_of(stretch)
                for token in self._doc(part)
            ]
            if len(stretch) <= _LONGEST_STRETCH:
                if len(self._located) >= _MOST_LOCATED:
                    self._located.clear()
                self._located[stretch] = tokens
        return tokens

    def learn(self, stretch: str) -> str:
        """The characters of a stretch without white space."""
        character = self._vocabulary.character
        return "".join([character(token.norm_) for _, part in _parts_of(stretch) for token in self._doc(part)])

    def _doc(self, stretch: str) -> Doc:
        if len(self._nlp.vocab) > _MOST_LEXEMES:
            self._nlp = _canonical(_blank(self._nlp.meta["lang"]), self._vocabulary)
        return self._nlp.tokenizer(stretch)


def _parts_of(stretch: str) -> Iterator[tuple[int, str]]:
    """A stretch in parts that spaCy can take: its time grows with the square of a run of brackets or emoji."""
    return ((at, stretch[at : at + _MOST_AT_ONCE]) for at in range(0, len(stretch), _MOST_AT_ONCE))


def _folded(stretch: str) -> str:
    """In lower case: fewer words to know. A few capitals grow when lowered, and offsets must hold."""
    lower = stretch.lower()
    return lower if len(lower) == len(stretch) else stretch


class _Known(dict[str, str]):
    """The characters of stretches of text seen before, of some of which they are known from the start."""

    def __init__(self, tokenizer: Tokenizer, words: Mapping[str, str]) -> None:
        self._tokenizer = tokenizer
        self._first = {**words, **dict.fromkeys(_DASHES, rule_character(":")), END: END}
        super().__init__(self._first)

    def __missing__(self, stretch: str) -> str:
        if stretch[-1] == "," and stretch[-2:-1] not in ("", ","):
            # what spaCy does first with it; the word before is often known already, the two together seldom
            characters = self[stretch[:-1]] + self[","]
        else:
            characters = self._tokenizer.learn(stretch)
        if len(stretch) <= _LONGEST_STRETCH:
            if len(self) >= _MOST_STRETCHES:
                self.clear()
                self.update(self._first)
            self[stretch] = characters
        return characters


@dataclass(frozen=True)
class Grammar:
    """All that is needed to read a sentence."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary
    phrasebook: Phrasebook
    negator: Negator
    general: frozenset[str]
    near: frozenset[str]
    #: whether a phrase may be one of several labels
    shared: bool = False


def compile_grammar(
    labels: dict[str, LabelPhrases],
    other_findings: list[str],
    normal_statements: list[str],
    subjects: list[str],
    cues: CueLexicon,
    spelling: Spelling | None = None,
    *,
    shared: bool = False,
) -> Grammar:
    """Expand all phrases, build the vocabulary from their words, fill the phrasebook and negspacy's termset.

    ``spelling`` is that of the cues' language, if it is not English. ``shared``: a phrase may be one of several labels.
    """
    groups = [(kind, label, _expand_all(phrases)) for kind, label, phrases in _phrase_groups(labels, cues)]
    groups += [
        ("other", "", _expand_all(other_findings)),
        ("fine", "", _expand_all(normal_statements)),
        ("subject", "", _expand_all(subjects)),
    ]
    negation = {kind: _expand_all(getattr(cues.negation, kind)) for kind in Negation.model_fields}
    nlp = _blank(cues.language)
    split = _split(nlp, {phrase for *_, phrases in groups for phrase in phrases}.union(*negation.values()))
    vocabulary = Vocabulary(
        {word for pieces in split.values() for word in pieces}, cues.forms, cues.fillers, cues.assertive, spelling
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
    tokenizer = Tokenizer(vocabulary, _canonical(nlp, vocabulary), _plain_words(nlp, canonical))
    return Grammar(
        tokenizer,
        vocabulary,
        Phrasebook(dense_groups),
        Negator(_needed(termset), vocabulary.word_of),
        frozenset(label for label, phrases in labels.items() if phrases.general),
        frozenset(label for label, phrases in labels.items() if phrases.near),
        shared,
    )


def _blank(language: str) -> Language:
    """A language with one lexical attribute: spaCy works out twenty for every new word; none but this is read here."""
    return spacy.blank(language, vocab=Vocab(lex_attr_getters={NORM: str.lower}))


def _canonical(nlp: Language, vocabulary: Vocabulary) -> Language:
    """``nlp`` with the canonical words as the ``NORM`` of all words, known and new."""
    nlp.vocab.lex_attr_getters = {NORM: vocabulary.canonical}  # type: ignore[attr-defined]  # not in spaCy's stubs
    for lexeme in nlp.vocab:
        lexeme.norm_ = vocabulary.canonical(lexeme.text)
    return nlp


def _split(nlp: Language, phrases: Iterable[str]) -> dict[str, list[str]]:
    """The tokens of every piece between spaces, as spaCy's tokenizer sees them."""
    pieces = {piece for phrase in phrases for piece in phrase.split(" ")}
    return {piece: [token.text.lower() for token in nlp.tokenizer(piece)] for piece in pieces}


def _plain_words(nlp: Language, canonical: Mapping[str, list[str]]) -> dict[str, str]:
    """The words of the lexicon that are one token each, but spaCy's exceptions, which bring a ``NORM`` of their own."""
    exceptions: AbstractSet[str] = nlp.tokenizer.rules.keys()  # type: ignore[union-attr]  # not in spaCy's stubs
    return {
        piece: words[0]
        for piece, words in canonical.items()
        if len(words) == 1 and piece == piece.lower() and piece not in exceptions
    }


def _phrase_groups(labels: dict[str, LabelPhrases], cues: CueLexicon) -> Iterator[tuple[str, str, list[str]]]:
    """Every group of phrases with its kind and, where it has one, its label."""
    for label, phrases in labels.items():
        yield "finding", label, phrases.findings
        yield "weak", label, phrases.weak
        yield "structure", label, phrases.structures
        yield "absent", label, phrases.absent
        yield "located", label, phrases.located
        yield "place", label, phrases.places
        yield "ignore", label, phrases.ignore
        yield "unless", label, phrases.unless
    for kind in ("modal", "open", "doubt", "doubt_after", "affirm", "unmention", "unmention_after", "no_change"):
        yield kind, "", getattr(cues, kind)
    for kind in ("normal", "abnormal", "borderline", "unchanged"):
        yield kind, "", getattr(cues.predicates, kind)
    yield "either", "", cues.either
    yield "versus", "", cues.versus
    yield "turn", "", cues.turns
    yield "exception", "", cues.exceptions
    yield "change", "", cues.change
    yield "part", "", cues.parts
    yield "alternative", "", [*cues.alternatives, *cues.artifacts]
    yield "artifact", "", cues.artifacts


def _expand_all(phrases: Iterable[str]) -> list[str]:
    return [plain for phrase in phrases for plain in expand(phrase)]


_SCOPED = frozenset(
    {
        "modal",
        "open",
        "doubt",
        "doubt_after",
        "unmention",
        "unmention_after",
        "no_change",
        "unchanged",
        "borderline",
        "normal",
        "absent",
    }
)


def _hidden_negations(groups: list[tuple[str, str, list[str]]], termset: dict[str, list[str]]) -> set[str]:
    """Phrases of other groups that hold a negation ("cannot exclude"): negspacy must not take it for one."""
    negations = frozenset(termset["preceding"] + termset["following"])
    first_words = {negation[0] for negation in negations}
    return {
        phrase
        for kind, _, phrases in groups
        if kind in _SCOPED
        for phrase in phrases
        if not first_words.isdisjoint(phrase) and any(part in negations for _, part in _parts(phrase, first_words))
    }


def _parts(phrase: str, first_words: AbstractSet[str]) -> Iterator[tuple[int, str]]:
    """The parts of a phrase that begin with one of some words, and where they begin."""
    for at, word in enumerate(phrase):
        if word in first_words:
            for end in range(at + 1, len(phrase) + 1):
                yield at, phrase[at:end]


def _needed(termset: dict[str, list[str]]) -> dict[str, list[str]]:
    """The termset without the pseudo-negations that shorter ones stand for: about half, and negspacy loads it faster.

    A pseudo-negation hides the negations and terminations that begin in it. Where one can begin, a shorter
    pseudo-negation inside this one often hides it already.
    """
    hidden = {phrase[0] for kind in ("preceding", "following", "termination") for phrase in termset[kind]}
    needed: set[str] = set()
    first_words: set[str] = set()
    for phrase in sorted(termset["pseudo"], key=len):
        begins = {at for at, word in enumerate(phrase) if word in hidden}
        covered = {
            position
            for at, part in _parts(phrase, first_words)
            if part in needed
            for position in range(at, at + len(part))
        }
        if not begins <= covered:
            needed.add(phrase)
            first_words.add(phrase[0])
    return {**termset, "pseudo": sorted(needed)}
