"""negspacy decides what is negated; it is asked once per constellation.

What negspacy makes of a sentence depends on the order of its negation cues, pseudo-negations, terminations, sentence
starts and entities, and on no other word. So a sentence is laid out with all other words blanked and entities side by
side made one, and a layout that was seen before is not asked again. The answer keeps the cues: negspacy gives a
verdict without its evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from labeler.rules.light_spacy import Doc, Language, Negex, Span, Vocab

_Match = tuple[int, int, int]
_Spans = tuple[tuple[int, int], ...]
_MOST_LAYOUTS = 50_000


class Answer(NamedTuple):
    """The cues before and after entities, where the reach of a negation ends, and which entities are negated."""

    before: _Spans
    after: _Spans
    ends: tuple[int, ...]
    negated: frozenset[tuple[int, int]]


class Words:
    """A spaCy tokenizer for canonical words joined by single spaces."""

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab

    def __call__(self, text: str) -> Doc:
        return Doc(self.vocab, words=text.split(" "))

    def pipe(self, texts: Iterable[str], batch_size: int = 1000) -> Iterator[Doc]:
        return map(self, texts)


class CueNegex(Negex):
    """negspacy's Negex, keeping the cues it found."""

    cues: tuple[list[_Match], list[_Match], list[_Match]]

    def process_negations(self, doc: Doc) -> tuple[list[_Match], list[_Match], list[_Match]]:
        """As in negspacy, but a negation right behind a pseudo-negation is one ("cannot be excluded no effusion")."""
        strings = self.nlp.vocab.strings
        matches = [(strings[key], key, start, end) for key, start, end in self.matcher(doc)]
        hidden = {i for kind, _, start, end in matches if kind == "pseudo" for i in range(start, end)}
        before, after, ends = (
            [(key, start, end) for kind, key, start, end in matches if kind == wanted and start not in hidden]
            for wanted in ("Preceding", "Following", "Termination")
        )
        # "has resolved" behind a finding is one cue: its "resolved" does not reach forward to the next finding
        named = min((span.end for span in doc.spans.get("radloop", ())), default=len(doc))
        late = [(start, end) for _, start, end in after if named <= start]
        before = [cue for cue in before if not any(start <= cue[1] and cue[2] <= end for start, end in late)]
        self.cues = before, after, ends
        return self.cues


class Negator:
    """negspacy with a termset: phrases of ``preceding``, ``following``, ``pseudo`` and ``termination`` negation.

    Phrases and sentences are strings of words' characters; ``word_of`` says which word a character stands for.
    """

    def __init__(self, termset: Mapping[str, Iterable[str]], word_of: Mapping[str, str]) -> None:
        nlp = Language()
        nlp.tokenizer = self._words = Words(nlp.vocab)
        self._word_of = word_of
        patterns = {
            kind if kind == "termination" else f"{kind}_negations": [" ".join(self._spelled(p)) for p in phrases]
            for kind, phrases in termset.items()
        }
        self._negex = CueNegex(nlp, "negex", neg_termset=patterns, span_keys=["radloop"])
        self._answers: dict[tuple[str, _Spans, tuple[int, ...]], Answer] = {}

    def ask(self, words: str, entities: _Spans, starts: tuple[int, ...]) -> Answer:
        """What negspacy says of ``words``, in which ``entities`` are spans and ``starts`` begin sentences."""
        key = (words, entities, starts)
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) >= _MOST_LAYOUTS:
                self._answers.clear()
            answer = self._answers[key] = self._ask(words, entities, starts)
        return answer

    def _spelled(self, words: str) -> list[str]:
        return [self._word_of[character] for character in words]

    def _ask(self, words: str, entities: _Spans, starts: tuple[int, ...]) -> Answer:
        begins: list[bool | int | None] = [index in starts for index in range(len(words))]
        doc = Doc(self._words.vocab, words=self._spelled(words), sent_starts=begins)
        spans = [Span(doc, start, end) for start, end in entities]
        doc.spans["radloop"] = spans
        self._negex(doc)
        before, after, ends = self._negex.cues
        return Answer(
            tuple(sorted({(start, end) for _, start, end in before})),
            tuple(sorted({(start, end) for _, start, end in after})),
            tuple(sorted({start for _, start, _ in ends})),
            frozenset((span.start, span.end) for span in doc.spans["radloop"] if span._.negex),
        )
