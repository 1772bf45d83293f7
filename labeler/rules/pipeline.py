"""The rule labeler: sentences, canonical words, decisions, vector; nothing is ever read twice.

Two memories make it fast. A sentence seen before is looked up by its text; a new one is tokenized, and if its
reduced form was seen before ("No left effusion." after "No right effusion.") its decisions are looked up by that.
Only then do the rules read. Both memories are bounded and change no result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from spacy.attrs import NORM
from spacy.tokens import Doc

from corpora.labels import State
from corpora.sections import select
from corpora.types import Report
from labeler.rules.aggregate import Aggregator, Effect
from labeler.rules.decide import ABNORMAL, FINE, Decision, decide, in_order
from labeler.rules.grammar import compile_grammar
from labeler.rules.sentences import pieces, sentences
from labeler.rules.vocabulary import UNKNOWN
from labeler.schemas import RulesSchema, load_schema
from labeler.types import Cue, LabelVector, Mention

NAME = "rules.v1"
DEFAULT_SCHEMA = "chexpert14.v1"
DEFAULT_SECTIONS = "findings,impression"
_MOST_PIECES = 200_000
_LONGEST_PIECE = 1000
_MOST_READINGS = 100_000
_MOST_LEXEMES = 300_000
_RUNS = re.compile(f"{UNKNOWN}{{2,}}")


class Reading(NamedTuple):
    """A sentence read: what its phrases say, and what that amounts to."""

    decisions: list[Decision]
    effect: Effect


class RulesLabeler:
    """Labels reports by rules. Results do not depend on what was labeled before."""

    made_by = NAME

    def __init__(self, schema: RulesSchema) -> None:
        self.schema = schema.schema
        self._source = schema
        self._aggregator = Aggregator(schema)
        self._effects: dict[str, Effect] = {}
        self._readings: dict[str, Reading] = {}
        self._compile()

    def _compile(self) -> None:
        source = self._source
        self._grammar = compile_grammar(
            {label: phrases for label, phrases in source.phrases.items() if label != source.schema.no_finding},
            source.lexicon.other_findings,
            source.lexicon.normal_statements,
            source.lexicon.subjects,
            source.cues,
        )
        self._characters: dict[int, str] = {}

    def __call__(self, report: str | Report, sections: str = DEFAULT_SECTIONS) -> LabelVector:
        """Label one report, with its evidence. Text is split into sections first, unless it comes as a Report."""
        if isinstance(report, str):
            report = Report("", report)
        found, effects = [], []
        spans = [s for section in select(report, sections) for s in sentences(report.text, section.start, section.end)]
        for start, end in spans:
            doc = self._tokens(report.text[start:end])
            reduced, places = self._reduce(doc)
            reading = self._read(reduced)
            effects.append(reading.effect)
            found.append((start, doc, places, in_order(reading.decisions, reduced)))
        states = self._aggregator.states(effects)
        mentions = tuple(
            mention
            for start, doc, places, decisions in found
            for mention in self._mentions(start, doc, places, decisions, states)
        )
        return LabelVector(report.study_id, self.schema.name, self.schema.labels, states, mentions, self.made_by)

    def states(self, report: Report, sections: str = DEFAULT_SECTIONS) -> tuple[State, ...]:
        """The states alone, as ``__call__`` gives them: what a batch without evidence needs."""
        text = report.text
        known = self._effects
        effects = []
        for section in select(report, sections):
            for piece in pieces(text[section.start : section.end]):
                effect = known.get(piece)
                if effect is None:
                    effect = self._remember(piece)
                effects.append(effect)
        return self._aggregator.states(effects)

    def _remember(self, piece: str) -> Effect:
        if len(self._effects) >= _MOST_PIECES:
            self._effects.clear()
        if len(self._grammar.nlp.vocab) > _MOST_LEXEMES:
            self._compile()
        effects = [self._effect_of(piece[start:end]) for start, end in sentences(piece)]
        effect = effects[0] if len(effects) == 1 else self._aggregator.merged(effects)
        if len(piece) <= _LONGEST_PIECE:
            self._effects[piece] = effect
        return effect

    def _effect_of(self, sentence: str) -> Effect:
        codes = self._tokens(sentence).to_array(NORM).tolist()
        characters = self._characters
        try:
            reduced = "".join([characters[code] for code in codes])
        except KeyError:
            reduced = "".join([self._character(code) for code in codes])
        return self._read(_RUNS.sub(UNKNOWN, reduced)).effect

    def _tokens(self, sentence: str) -> Doc:
        # a word with a full stop behind it is a second word to spaCy's cache, and no rule reads the stop
        return self._grammar.nlp.tokenizer(sentence.removesuffix("."))

    def _character(self, code: int) -> str:
        """The character of the canonical word that spaCy knows by ``code``."""
        character = self._characters.get(code)
        if character is None:
            grammar = self._grammar
            character = self._characters[code] = grammar.vocabulary.character(grammar.nlp.vocab.strings[code])
        return character

    def _reduce(self, doc: Doc) -> tuple[str, list[tuple[int, int]]]:
        """The reduced form of a sentence, and the tokens (first, after the last) of each of its characters."""
        reduced: list[str] = []
        places: list[tuple[int, int]] = []
        for index, code in enumerate(doc.to_array(NORM).tolist()):
            character = self._character(code)
            if character == UNKNOWN and reduced and reduced[-1] == UNKNOWN:
                places[-1] = (places[-1][0], index + 1)
            elif character:
                reduced.append(character)
                places.append((index, index + 1))
        return "".join(reduced), places

    def _read(self, reduced: str) -> Reading:
        reading = self._readings.get(reduced)
        if reading is None:
            decisions = decide(self._grammar, reduced)
            reading = Reading(decisions, self._aggregator.effect(decisions))
            if len(self._readings) >= _MOST_READINGS:
                self._readings.clear()
            self._readings[reduced] = reading
        return reading

    def _mentions(
        self, at: int, doc: Doc, places: Sequence[tuple[int, int]], decisions: Sequence[Decision], states: Sequence[State]
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


def load_rules_v1(schema: str = DEFAULT_SCHEMA) -> RulesLabeler:
    """``rules.v1``: the rule labeler for a schema (a shipped name or a YAML file)."""
    return RulesLabeler(load_schema(schema))
