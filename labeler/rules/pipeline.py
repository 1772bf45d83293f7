"""The rule labeler: sentences, canonical words, decisions, vector; nothing is ever read twice.

Memories make it fast. A piece of text seen before is looked up as it is; of a new one, words seen before are looked up,
and a sentence whose reduced form was seen before ("No left effusion." after "No right effusion."). Only then do the
rules read it, and what phrases a fragment of a sentence holds is remembered too. All memories are bounded and change no
result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from itertools import chain, filterfalse
from operator import or_

from corpora.labels import State
from corpora.sections import select
from corpora.types import Report, Section
from labeler.base import DEFAULT_LANGUAGE
from labeler.languages import Language, select_in
from labeler.rules.aggregate import Aggregator, Effect
from labeler.rules.bulk import BulkReader
from labeler.rules.decide import ABNORMALITY, NORMAL_FILM, Decision, decide, in_order
from labeler.rules.fragments import Fragments
from labeler.rules.grammar import compile_grammar
from labeler.rules.kinds import name_of
from labeler.rules.sentences import Abbreviations, are_sentences, pieces, sentences
from labeler.rules.vocabulary import UNKNOWN
from labeler.schemas import RulesSchema, load_schema
from labeler.types import Cue, LabelVector, Mention

NAME = "rules.v1"
DEFAULT_SCHEMA = "chexpert14.v1"
DEFAULT_SECTIONS = "findings,impression"
_MOST_PIECES = 400_000
_LONGEST_PIECE = 1000
_MOST_READINGS = 400_000
_MOST_DECIDED = 20_000


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
            None if schema.language is None else schema.language.spelling(),
            shared=schema.shared,
        )
        self._select, self._sentences, self._pieces_in = _ways_of(schema.language)
        self._fragments = Fragments(self._grammar.phrasebook)
        self._bulk = BulkReader(self._grammar, self._fragments, self._aggregator)
        self._tokenizer = self._grammar.tokenizer
        self._pieces: dict[str, Effect] = {}
        self._readings: dict[str, Effect] = {}
        self._decided: dict[str, list[Decision]] = {}

    def __call__(self, report: str | Report, sections: str = DEFAULT_SECTIONS) -> LabelVector:
        """Label one report, with its evidence. Text is split into sections first, unless it comes as a Report."""
        if isinstance(report, str):
            report = Report("", report)
        effect = 0
        found = []
        for section in self._select(report, sections):
            for start, end in self._sentences(report.text, section.start, section.end):
                reduced, places = _reduce(self._tokenizer.tokens(report.text[start:end].rstrip(".")))
                decisions = self._decisions(reduced)
                effect |= self._aggregator.effect(decisions)
                found.append((start, places, in_order(decisions, reduced)))
        states = self._aggregator.states(effect)
        mentions = tuple(mention for sentence in found for mention in self._mentions(*sentence, states))
        return LabelVector(report.study_id, self.schema.name, self.schema.labels, states, mentions, self.made_by)

    def states(self, reports: Sequence[Report], sections: str = DEFAULT_SECTIONS) -> list[tuple[State, ...]]:
        """The states alone of each report, as ``__call__`` gives them: what a batch without evidence needs."""
        cut = [self._pieces_of(report, sections) for report in reports]
        known = self._pieces
        if len(known) >= _MOST_PIECES:
            known.clear()
        new = list(dict.fromkeys(filterfalse(known.__contains__, chain.from_iterable(cut))))
        known.update(zip(new, self._effects_of_pieces(new), strict=True))
        states = [self._aggregator.states(reduce(or_, map(known.__getitem__, found), 0)) for found in cut]
        for piece in new:
            if len(piece) > _LONGEST_PIECE:
                del known[piece]
        return states

    def _effects_of_pieces(self, found: Sequence[str]) -> list[Effect]:
        """What each piece of text amounts to."""
        texts = [*found]
        several: list[tuple[int, int, int]] = []
        for place in [place for place, plain in enumerate(are_sentences(found)) if not plain]:
            begin = len(texts)
            texts += [found[place][start:end].rstrip(".") for start, end in self._sentences(found[place])]
            texts[place] = ""
            several.append((place, begin, len(texts)))
        effects = self._effects_of_sentences(texts)
        for place, begin, end in several:
            effects[place] = reduce(or_, effects[begin:end], 0)
        return effects[: len(found)]

    def _effects_of_sentences(self, texts: Sequence[str]) -> list[Effect]:
        """What each sentence amounts to."""
        reduced = self._tokenizer.reduced(texts)
        readings = self._readings
        if len(readings) >= _MOST_READINGS:
            readings.clear()
        new = list(dict.fromkeys(filterfalse(readings.__contains__, reduced)))
        readings.update(zip(new, self._bulk.effects(new), strict=True))
        return list(map(readings.__getitem__, reduced))

    def _pieces_of(self, report: Report, sections: str) -> list[str]:
        text = report.text
        found: list[str] = []
        cut = self._pieces_in
        for section in self._select(report, sections):
            found += cut(text[section.start : section.end])
        return found

    def _decisions(self, reduced: str) -> list[Decision]:
        decisions = self._decided.get(reduced)
        if decisions is None:
            if len(self._decided) >= _MOST_DECIDED:
                self._decided.clear()
            decisions = self._decided[reduced] = decide(self._grammar, self._fragments, reduced)
        return decisions

    def _mentions(
        self, at: int, places: Sequence[tuple[int, int]], decisions: Sequence[Decision], states: Sequence[State]
    ) -> Iterator[Mention]:
        def offsets(start: int, end: int) -> tuple[int, int]:
            return at + places[start][0], at + places[end - 1][1]

        for decision in decisions:
            label, state = decision.label, decision.state
            if label in (ABNORMALITY, NORMAL_FILM):
                if self.schema.no_finding is None:
                    continue
                label = self.schema.no_finding
                state = states[self.schema.labels.index(label)] if decision.label == NORMAL_FILM else None
            cues = tuple(Cue(*offsets(start, end), name_of(kind)) for start, end, kind in decision.cues)
            yield Mention(label, *offsets(decision.start, decision.end), state, cues, decision.rule)


def _reduce(tokens: Sequence[tuple[int, int, str]]) -> tuple[str, list[tuple[int, int]]]:
    """The reduced form of a sentence, and where each of its characters stands in the text."""
    reduced: list[str] = []
    places: list[tuple[int, int]] = []
    for start, end, character in tokens:
        if character == UNKNOWN and reduced and reduced[-1] == UNKNOWN:
            places[-1] = (places[-1][0], end)
        elif character:
            reduced.append(character)
            places.append((start, end))
    return "".join(reduced), places


_Ways = tuple[Callable[[Report, str], list[Section]], Callable[..., list[tuple[int, int]]], Callable[[str], list[str]]]


def _ways_of(language: Language | None) -> _Ways:
    """How the sections, the sentences and the pieces of a report in this language are found; None is English."""
    if language is None:
        return select, sentences, pieces
    abbreviations = Abbreviations(language.abbreviations, language.before_lower)
    return partial(select_in, language), partial(sentences, abbreviations=abbreviations), _whole


def _whole(text: str) -> list[str]:
    return [text]


def load_rules_v1(schema: str = DEFAULT_SCHEMA, language: str = DEFAULT_LANGUAGE) -> RulesLabeler:
    """``rules.v1``: the rule labeler for a schema (a shipped name or a YAML file) and a language."""
    return RulesLabeler(load_schema(schema, language))
