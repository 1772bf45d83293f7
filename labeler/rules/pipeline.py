"""The rule labeler: sentences, canonical words, decisions, vector; nothing is ever read twice.

Three memories make it fast. A stretch of text seen before is looked up as it is; the sentences of a new one are
tokenized, and one whose reduced form was seen before ("No left effusion." after "No right effusion.") is looked up by
that. Only then do the rules read it, and what a fragment of a sentence holds is remembered too. All memories are
bounded and change no result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from spacy.attrs import NORM
from spacy.tokens import Doc

from corpora.labels import State
from corpora.sections import select
from corpora.types import Report
from labeler.rules.aggregate import Aggregator, Effect
from labeler.rules.decide import ABNORMAL, FINE, Decision, decide, in_order
from labeler.rules.grammar import canonical_nlp, compile_grammar
from labeler.rules.sentence import Fragments
from labeler.rules.sentences import pieces, sentences
from labeler.rules.vocabulary import BETWEEN_SENTENCES, UNKNOWN, Vocabulary
from labeler.schemas import RulesSchema, load_schema
from labeler.types import Cue, LabelVector, Mention

NAME = "rules.v1"
DEFAULT_SCHEMA = "chexpert14.v1"
DEFAULT_SECTIONS = "findings,impression"
_MOST_PIECES = 200_000
_LONGEST_PIECE = 1000
_MOST_READINGS = 200_000
_MOST_DECIDED = 20_000
_MOST_LEXEMES = 300_000
_RUNS = re.compile(f"{UNKNOWN}{{2,}}")
# white space between two sentences in one Doc; inside a sentence all white space is alike
_BREAK = "\x1e"


class _Characters(dict[int, str]):
    """The characters of canonical words by the codes that spaCy knows the words by."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.nlp = canonical_nlp(vocabulary)
        self.nlp.vocab[_BREAK].norm_ = _BREAK
        self._vocabulary = vocabulary

    def __missing__(self, code: int) -> str:
        word = self.nlp.vocab.strings[code]
        character = BETWEEN_SENTENCES if word == _BREAK else self._vocabulary.character(word)
        self[code] = character
        return character


class RulesLabeler:
    """Labels reports by rules. Results do not depend on what was labeled before."""

    made_by = NAME

    def __init__(self, schema: RulesSchema) -> None:
        self.schema = schema.schema
        self._aggregator = Aggregator(schema)
        self._grammar = compile_grammar(
            {label: phrases for label, phrases in schema.phrases.items() if label != schema.schema.no_finding},
            schema.lexicon.other_findings,
            schema.lexicon.normal_statements,
            schema.lexicon.subjects,
            schema.cues,
        )
        self._fragments = Fragments(self._grammar.phrasebook)
        self._characters = _Characters(self._grammar.vocabulary)
        self._pieces: dict[str, Effect] = {}
        self._readings: dict[str, Effect] = {}
        self._decided: dict[str, list[Decision]] = {}

    def __call__(self, report: str | Report, sections: str = DEFAULT_SECTIONS) -> LabelVector:
        """Label one report, with its evidence. Text is split into sections first, unless it comes as a Report."""
        if isinstance(report, str):
            report = Report("", report)
        effect = 0
        found = []
        for section in select(report, sections):
            for start, end in sentences(report.text, section.start, section.end):
                doc = self._tokens(_bare(report.text[start:end]))
                reduced, places = self._reduce(doc)
                decisions = self._decisions(reduced)
                effect |= self._aggregator.effect(decisions)
                found.append((start, doc, places, in_order(decisions, reduced)))
        states = self._aggregator.states(effect)
        mentions = tuple(mention for sentence in found for mention in self._mentions(*sentence, states))
        return LabelVector(report.study_id, self.schema.name, self.schema.labels, states, mentions, self.made_by)

    def states(self, report: Report, sections: str = DEFAULT_SECTIONS) -> tuple[State, ...]:
        """The states alone, as ``__call__`` gives them: what a batch without evidence needs."""
        text = report.text
        known = self._pieces
        effect = 0
        unknown = []
        for section in select(report, sections):
            for piece in pieces(text[section.start : section.end]):
                remembered = known.get(piece)
                if remembered is None:
                    unknown.append(piece)
                else:
                    effect |= remembered
        return self._aggregator.states(effect | self._learn(unknown) if unknown else effect)

    def _learn(self, unknown: list[str]) -> Effect:
        """Read pieces of text, remember what each amounts to, and say what all of them do."""
        if len(self._pieces) >= _MOST_PIECES:
            self._pieces.clear()
        split = [[_bare(piece[start:end]) for start, end in sentences(piece)] for piece in unknown]
        readings = iter(self._read([sentence for found in split for sentence in found]))
        total = 0
        for piece, found in zip(unknown, split, strict=True):
            effect = 0
            for _ in found:
                effect |= next(readings)
            if len(piece) <= _LONGEST_PIECE:
                self._pieces[piece] = effect
            total |= effect
        return total

    def _read(self, bare: list[str]) -> list[Effect]:
        """What each of some bare sentences amounts to."""
        # with the comma a word of its own, the word before it is found in spaCy's cache more often
        text = _BREAK.join(bare).replace(", ", " , ")
        codes = self._tokens(text).to_array(NORM).tolist()
        reduced = _RUNS.sub(UNKNOWN, "".join(map(self._characters.__getitem__, codes)))
        return [self._reading(form) for form in reduced.split(BETWEEN_SENTENCES)]

    def _reading(self, reduced: str) -> Effect:
        effect = self._readings.get(reduced)
        if effect is None:
            if len(self._readings) >= _MOST_READINGS:
                self._readings.clear()
            effect = self._aggregator.effect(decide(self._grammar, self._fragments, reduced))
            self._readings[reduced] = effect
        return effect

    def _decisions(self, reduced: str) -> list[Decision]:
        decisions = self._decided.get(reduced)
        if decisions is None:
            if len(self._decided) >= _MOST_DECIDED:
                self._decided.clear()
            decisions = self._decided[reduced] = decide(self._grammar, self._fragments, reduced)
        return decisions

    def _tokens(self, text: str) -> Doc:
        if len(self._characters.nlp.vocab) > _MOST_LEXEMES:
            self._characters = _Characters(self._grammar.vocabulary)
        return self._characters.nlp.tokenizer(text)

    def _reduce(self, doc: Doc) -> tuple[str, list[tuple[int, int]]]:
        """The reduced form of a sentence, and the tokens (first, after the last) of each of its characters."""
        reduced: list[str] = []
        places: list[tuple[int, int]] = []
        for index, code in enumerate(doc.to_array(NORM).tolist()):
            character = self._characters[code]
            if character == UNKNOWN and reduced and reduced[-1] == UNKNOWN:
                places[-1] = (places[-1][0], index + 1)
            elif character:
                reduced.append(character)
                places.append((index, index + 1))
        return "".join(reduced), places

    def _mentions(
        self,
        at: int,
        doc: Doc,
        places: Sequence[tuple[int, int]],
        decisions: Sequence[Decision],
        states: Sequence[State],
    ) -> Iterator[Mention]:
        def offsets(start: int, end: int) -> tuple[int, int]:
            first, last = doc[places[start][0]], doc[places[end - 1][1] - 1]
            return at + first.idx, at + last.idx + len(last)

        for decision in decisions:
            label, state = decision.label, decision.state
            if label in (ABNORMAL, FINE):
                if self.schema.no_finding is None:
                    continue
                label = self.schema.no_finding
                state = states[self.schema.labels.index(label)] if decision.label == FINE else None
            cues = tuple(Cue(*offsets(start, end), kind) for start, end, kind in decision.cues)
            yield Mention(label, *offsets(decision.start, decision.end), state, cues, decision.rule)


def _bare(sentence: str) -> str:
    """A sentence without what no rule reads: its full stop, and white space that means a break to us.

    A word with a full stop behind it would be a second word to spaCy's cache.
    """
    return sentence.removesuffix(".").rstrip().replace(_BREAK, " ")


def load_rules_v1(schema: str = DEFAULT_SCHEMA) -> RulesLabeler:
    """``rules.v1``: the rule labeler for a schema (a shipped name or a YAML file)."""
    return RulesLabeler(load_schema(schema))
