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
from corpora.sections import select, split_sections
from corpora.types import Report
from labeler.rules.aggregate import Aggregator, Effect
from labeler.rules.decide import ABNORMAL, FINE, Decision, decide
from labeler.rules.grammar import compile_grammar
from labeler.rules.sentences import sentences
from labeler.rules.vocabulary import UNKNOWN
from labeler.schemas import RulesSchema, load_schema
from labeler.types import Cue, LabelVector, Mention

NAME = "rules.v1"
DEFAULT_SCHEMA = "chexpert14.v1"
DEFAULT_SECTIONS = "findings,impression"
_MOST_SENTENCES = 200_000
_MOST_READINGS = 100_000
_MOST_LEXEMES = 300_000
_RUNS = re.compile(f"{UNKNOWN}{{2,}}")


class Reading(NamedTuple):
    """A sentence read: what its phrases say, and what that amounts to."""

    decisions: tuple[Decision, ...]
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
        found = []
        for start, end in self._spans(report, sections):
            doc = self._grammar.nlp.tokenizer(report.text[start:end])
            reduced, places = self._reduce(doc)
            found.append((start, doc, places, self._read(reduced)))
        states = self._aggregator.states(reading.effect for *_, reading in found)
        mentions = tuple(
            mention
            for start, doc, places, reading in found
            for mention in self._mentions(start, doc, places, reading, states)
        )
        return LabelVector(report.study_id, self.schema.name, self.schema.labels, states, mentions, self.made_by)

    def states(self, report: Report, sections: str = DEFAULT_SECTIONS) -> tuple[State, ...]:
        """The states alone, as ``__call__`` gives them: what a batch without evidence needs."""
        text = report.text
        known = self._effects
        effects = []
        for start, end in self._spans(report, sections):
            sentence = text[start:end]
            effect = known.get(sentence)
            if effect is None:
                effect = self._remember(sentence)
            effects.append(effect)
        return self._aggregator.states(effects)

    def _spans(self, report: Report, sections: str) -> list[tuple[int, int]]:
        if not report.sections:
            report = Report(report.study_id, report.text, split_sections(report.text))
        chosen = select(report, sections)
        return [span for section in chosen for span in sentences(report.text, section.start, section.end)]

    def _remember(self, sentence: str) -> Effect:
        if len(self._effects) >= _MOST_SENTENCES:
            self._effects.clear()
        if len(self._grammar.nlp.vocab) > _MOST_LEXEMES:
            self._compile()
        codes = self._grammar.nlp.tokenizer(sentence).to_array(NORM).tolist()
        characters = self._characters
        try:
            reduced = "".join([characters[code] for code in codes])
        except KeyError:
            reduced = "".join([self._character(code) for code in codes])
        effect = self._read(_RUNS.sub(UNKNOWN, reduced)).effect
        self._effects[sentence] = effect
        return effect

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
        self, at: int, doc: Doc, places: Sequence[tuple[int, int]], reading: Reading, states: Sequence[State]
    ) -> Iterator[Mention]:
        def offsets(start: int, end: int) -> tuple[int, int]:
            first, last = doc[places[start][0]], doc[places[end - 1][1] - 1]
            return at + first.idx, at + last.idx + len(last)

        for decision in reading.decisions:
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
