"""The rule labeler: sentences, canonical words, decisions, vector; nothing is ever read twice.

Two memories make it fast. A sentence seen before is looked up by its text; a new one is tokenized, and if its
canonical words were seen before ("No left effusion." after "No right effusion.") its decisions are looked up by those.
Only then do the rules read. Both memories are bounded and change no result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from spacy.attrs import NORM

from corpora.labels import State
from corpora.sections import select, split_sections
from corpora.types import Report
from labeler.rules.aggregate import Aggregator, Effect
from labeler.rules.decide import ABNORMAL, FINE, Decision, decide
from labeler.rules.grammar import Grammar, compile_grammar
from labeler.rules.sentences import sentences
from labeler.schemas import RulesSchema, load_schema
from labeler.types import Cue, LabelVector, Mention

NAME = "rules.v1"
DEFAULT_SCHEMA = "chexpert14.v1"
DEFAULT_SECTIONS = "findings,impression"
_MOST_SENTENCES = 200_000
_MOST_READINGS = 100_000
_MOST_LEXEMES = 300_000


class Reading(NamedTuple):
    """A sentence read: decisions by token, and what they amount to."""

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
        self._readings: dict[bytes, Reading] = {}
        self._grammar = self._compile()

    def _compile(self) -> Grammar:
        source = self._source
        return compile_grammar(
            {label: phrases for label, phrases in source.phrases.items() if label != source.schema.no_finding},
            source.lexicon.other_findings,
            source.lexicon.normal_statements,
            source.lexicon.subjects,
            source.cues,
        )

    def __call__(self, report: str | Report, sections: str = DEFAULT_SECTIONS) -> LabelVector:
        """Label one report, with its evidence. Text is split into sections first, unless it comes as a Report."""
        if isinstance(report, str):
            report = Report("", report)
        spans = self._spans(report, sections)
        found = [(start, end, self._read(report.text[start:end])) for start, end in spans]
        states = self._aggregator.states(reading.effect for _, _, (reading, _) in found)
        mentions = [
            mention for start, _, (reading, offsets) in found for mention in self._mentions(start, reading, offsets, states)
        ]
        return LabelVector(
            report.study_id, self.schema.name, self.schema.labels, states, tuple(mentions), self.made_by
        )

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
        effect = self._read(sentence)[0].effect
        self._effects[sentence] = effect
        return effect

    def _read(self, sentence: str) -> tuple[Reading, list[tuple[int, int]]]:
        """The reading of a sentence, and where its tokens are."""
        if len(self._grammar.nlp.vocab) > _MOST_LEXEMES:
            self._grammar = self._compile()
        doc = self._grammar.nlp.tokenizer(sentence)
        codes = doc.to_array(NORM)
        key = codes.tobytes()
        reading = self._readings.get(key)
        if reading is None:
            strings = self._grammar.nlp.vocab.strings
            decisions = decide(self._grammar, [strings[code] for code in codes.tolist()])
            reading = Reading(decisions, self._aggregator.effect(decisions))
            if len(self._readings) >= _MOST_READINGS:
                self._readings.clear()
            self._readings[key] = reading
        return reading, doc

    def _mentions(self, at: int, reading: Reading, doc, states: Sequence[State]) -> Iterable[Mention]:
        for decision in reading.decisions:
            label, state = decision.label, decision.state
            if label in (ABNORMAL, FINE):
                if self.schema.no_finding is None:
                    continue
                label = self.schema.no_finding
                state = states[self.schema.labels.index(label)] if decision.label == FINE else None
            cues = tuple(Cue(at + doc[s].idx, at + doc[e - 1].idx + len(doc[e - 1]), kind) for s, e, kind in decision.cues)
            start, last = doc[decision.start], doc[decision.end - 1]
            yield Mention(label, at + start.idx, at + last.idx + len(last), state, cues, decision.rule)


def load_rules_v1(schema: str = DEFAULT_SCHEMA) -> RulesLabeler:
    """``rules.v1``: the rule labeler for a schema (a shipped name or a YAML file)."""
    return RulesLabeler(load_schema(schema))
