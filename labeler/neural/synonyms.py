"""Names of findings that a teacher does not know, told by the company they keep; and the teacher with them told.

    teacher knows "opacity"; the reports also say
        No infiltrate.   Questionable left infiltrate.   Opacities: right upper lobe infiltrate.
    -> infiltrate stands where names of findings stand, and where it is asserted the rest of the report speaks of
       Lung Opacity 2.9 times as often as other reports do: it is read as "opacity"

A word that the teacher passes over is suspected if the words nearest to it are names of findings. Nearness is the
cosine of the words before and behind, by positive pointwise mutual information with smoothed contexts (Levy, Goldberg
and Dagan, TACL 2015). Such company says that a word names a finding, hardly which: lists of what is not there hold them
all. That says what else the reports with it assert.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from corpora.labels import BLANK, POSITIVE, UNCERTAIN, State
from corpora.schema import LabelSchema
from corpora.types import Report, Section
from labeler.base import Labeler
from labeler.neural.reading import sentences_of
from labeler.neural.recipe import SynonymRecipe
from labeler.types import LabelVector, Mention

_TOKEN: Final = re.compile(r"[^\W\d_][\w/-]*|\d+(?:\.\d+)?|[.,;:()?]")
_EDGE: Final = ("<", "<")
_NUMBER: Final = "#"
# a sentence that is found in many reports says little more of a word than one found in three
_COUNTED: Final = 3
_SMOOTHED: Final = 0.75
_NEIGHBOURS: Final = 8
_AT_ONCE: Final = 256
_SMALLEST: Final = 1e-9
_SHORTEST: Final = 3
# how much more what else is asserted says of a label than the nearest names do
_COMPANY: Final = 2.0
_TRIED_NAMES: Final = 20
_ASSERTED: Final = (POSITIVE, UNCERTAIN)

# of a word: the label it mostly names; "" if the teacher reads it otherwise; None if it passes over it
Kind = str | None


@dataclass(frozen=True, slots=True)
class Suspect:
    """A word that is read as ``name``, which the teacher knows as ``label``.

    ``nearness`` is that to the nearest name of a finding, ``lift`` how many times as often as other reports those that
    assert the word assert the label elsewhere (a cautious bound), ``reports`` how many assert it.
    """

    word: str
    name: str
    label: str
    nearness: float
    lift: float
    reports: int


@dataclass(slots=True)
class _Corpus:
    """The reports by sentence, and what the teacher says of each sentence alone."""

    bags: list[list[str]]
    vectors: dict[str, LabelVector]
    counts: Counter[str]
    owners: dict[str, list[int]]
    asserted: dict[str, frozenset[str]]
    share: dict[str, float]


@dataclass(slots=True)
class _Word:
    """In which sentences a word is passed over, what it is read as, and what stands around it, by count."""

    sentences: set[str] = field(default_factory=set)
    read: Counter[Kind] = field(default_factory=Counter)
    around: Counter[tuple[str, ...]] = field(default_factory=Counter)


def suspects(teacher: Labeler, texts: Sequence[str], recipe: SynonymRecipe) -> list[Suspect]:
    """The words of ``texts`` that look like names of findings ``teacher`` does not know, the surest first."""
    corpus = _corpus(teacher, texts)
    found = {
        name: word
        for name, word in _words(corpus, teacher.schema.no_finding).items()
        if sum(word.read.values()) >= recipe.least
    }
    names = list(found)
    if not names:
        return []
    kinds = [_kind(word) for word in found.values()]
    passed = [at for at, name in enumerate(names) if kinds[at] is None and len(name) >= _SHORTEST]
    known = _names_of(teacher, corpus)
    made = []
    for at, near in _nearest([word.around for word in found.values()], passed):
        company = _company(near, kinds, recipe)
        if company:
            made.append(_suspect(teacher, corpus, known, names[at], found[names[at]], company, near[0][1], recipe))
    return sorted((one for one in made if one), key=lambda one: (-one.nearness, one.word))


def _corpus(teacher: Labeler, texts: Sequence[str]) -> _Corpus:
    bags = [[text[start:end] for start, end in sentences_of(text)] for text in texts]
    counts = Counter(sentence for bag in bags for sentence in bag)
    vectors = {sentence: teacher(_as_report(sentence)) for sentence in counts}
    owners = defaultdict(list)
    for number, bag in enumerate(bags):
        for sentence in dict.fromkeys(bag):
            owners[sentence].append(number)
    no_finding = teacher.schema.no_finding
    asserted = {
        sentence: frozenset(
            label for label, state in vector.asserted().items() if state in _ASSERTED and label != no_finding
        )
        for sentence, vector in vectors.items()
    }
    often = Counter(label for bag in bags for label in frozenset().union(*(asserted[sentence] for sentence in bag)))
    share = {label: often[label] / max(len(bags), 1) for label in teacher.schema.labels if label != no_finding}
    return _Corpus(bags, vectors, counts, dict(owners), asserted, share)


def _as_report(text: str) -> Report:
    return Report("", text, (Section("findings", 0, len(text)),))


def _words(corpus: _Corpus, no_finding: str | None) -> dict[str, _Word]:
    tokens = {sentence: list(_TOKEN.finditer(sentence)) for sentence in corpus.counts}
    all_words = {token[0].lower() for found in tokens.values() for token in found}
    words: defaultdict[str, _Word] = defaultdict(_Word)
    for sentence, count in corpus.counts.items():
        vector, weight = corpus.vectors[sentence], min(count, _COUNTED)
        plain = [_singular(token[0].lower(), all_words) for token in tokens[sentence]]
        padded = [*_EDGE, *plain, *_EDGE]
        for at, token in enumerate(tokens[sentence]):
            if plain[at][0].isalpha():
                word, kind = words[plain[at]], _read_as(vector, token.start(), token.end(), no_finding)
                word.read[kind] += weight
                if kind is None:
                    word.sentences.add(sentence)
                for feature in _features(padded, at + len(_EDGE)):
                    word.around[feature] += weight
    return words


def _singular(word: str, words: set[str]) -> str:
    if word[0].isdigit():
        return _NUMBER
    return word[:-1] if len(word) > _SHORTEST + 1 and word.endswith("s") and word[:-1] in words else word


def _features(tokens: Sequence[str], at: int) -> list[tuple[str, ...]]:
    before2, before, after, after2 = tokens[at - 2], tokens[at - 1], tokens[at + 1], tokens[at + 2]
    return [
        ("-1", before), ("+1", after), ("-2", before2), ("+2", after2), ("<", before2, before), (">", after, after2),
        ("<>", before, after),
    ]  # fmt: skip


def _read_as(vector: LabelVector, start: int, end: int, no_finding: str | None) -> Kind:
    """The label that the word at ``start:end`` is read as; "" if as several, as a cue or as nothing to count.

    What only stands in the way of No Finding is of no label, and passed over.
    """
    over = [
        one for one in vector.mentions
        if one.start < end and start < one.end and (one.label != no_finding or one.state is not BLANK)
    ]  # fmt: skip
    labels = {one.label for one in over if one.state is not BLANK}
    if len(labels) == 1:
        return labels.pop()
    cues = (cue for one in vector.mentions for cue in one.cues)
    return "" if over or any(cue.start < end and start < cue.end for cue in cues) else None


def _kind(word: _Word) -> Kind:
    half = sum(word.read.values()) / 2
    count, label = max(((count, kind) for kind, count in word.read.items() if kind), default=(0, ""))
    if count >= half and label:
        return label
    return None if word.read[None] > half else ""


def _nearest(
    around: Sequence[Mapping[tuple[str, ...], int]], chosen: Sequence[int]
) -> Iterator[tuple[int, list[tuple[int, float]]]]:
    """Of each chosen word the nearest ones with their cosines, nearest first; what is around one alone ties none."""
    shared = Counter(feature for features in around for feature in features)
    columns = {feature: at for at, feature in enumerate(one for one, count in shared.items() if count > 1)}
    cells = [
        (row, columns[feature], count)
        for row, features in enumerate(around)
        for feature, count in features.items()
        if feature in columns
    ]
    if not cells:
        return
    rows, places, counts = (np.array(one) for one in zip(*cells, strict=True))
    by_row = np.bincount(rows, counts, minlength=len(around))
    by_column = np.bincount(places, counts, minlength=len(columns)) ** _SMOOTHED
    values = np.maximum(np.log(counts * by_column.sum() / (by_row[rows] * by_column[places])), 0)
    table = sparse.csr_matrix((values, (rows, places)), shape=(len(around), len(columns)))
    lengths = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel())
    table = (sparse.diags(1 / np.maximum(lengths, _SMALLEST)) @ table).tocsr()
    for begin in range(0, len(chosen), _AT_ONCE):
        some = list(chosen[begin : begin + _AT_ONCE])
        near: NDArray[np.float64] = (table[some] @ table.T).toarray()
        near[np.arange(len(some)), some] = 0
        for at, row in zip(some, near, strict=True):
            first = np.argsort(-row, kind="stable")[:_NEIGHBOURS]
            yield at, [(int(other), float(row[other])) for other in first]


def _names_of(teacher: Labeler, corpus: _Corpus) -> dict[str, str]:
    """For each label a name that alone says that label and no other: of its common ones the shortest, in words."""
    often: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence, vector in corpus.vectors.items():
        for one in vector.mentions:
            if one.state is not BLANK and one.label != teacher.schema.no_finding:
                often[one.label][sentence[one.start : one.end].lower()] += corpus.counts[sentence]
    named = {}
    for label, names in often.items():
        for name in sorted((name for name, _ in names.most_common(_TRIED_NAMES)), key=lambda one: len(one.split())):
            said = teacher(_as_report(f"There is {name}.")).asserted()
            others = {other for other, state in said.items() if state in _ASSERTED} - {label, teacher.schema.no_finding}
            if said.get(label) == POSITIVE and not others:
                named[label] = name
                break
    return named


def _company(near: Sequence[tuple[int, float]], kinds: Sequence[Kind], recipe: SynonymRecipe) -> dict[str, float]:
    """By label the share of the nearest names; none if a word is not among names of findings."""
    weights: defaultdict[str, float] = defaultdict(float)
    top = 0.0
    for at, cosine in near:
        kind = kinds[at]
        if kind:
            weights[kind] += cosine**2
            top = max(top, cosine)
    found = sum(weights.values())
    if top < recipe.nearness or not found or found < recipe.among * sum(cosine**2 for _, cosine in near):
        return {}
    return {label: weight / found for label, weight in weights.items()}


def _suspect(
    teacher: Labeler, corpus: _Corpus, known: Mapping[str, str], word: str, places: _Word,
    company: Mapping[str, float], nearness: float, recipe: SynonymRecipe,
) -> Suspect | None:  # fmt: skip
    """The word as a name of the label that its company and its reports speak for; None if they do not."""
    nearest = max(company, key=lambda label: company[label])
    if nearest not in known:
        return None
    sentences = sorted(places.sentences)
    as_name = _states(teacher, sentences, word, known[nearest], nearest)
    using = [
        (number, sentence) for sentence, state in zip(sentences, as_name, strict=True) if state in _ASSERTED
        for number in corpus.owners[sentence]
    ]  # fmt: skip
    lifts = {label: _lift(corpus, using, label) for label in sorted(known)}
    label = max(lifts, key=lambda one: lifts[one] * (company.get(one, 0.0) + _COMPANY))
    told = _states(teacher, sentences, word, known[label], label)
    news = [
        state is not BLANK and corpus.vectors[one][label] is BLANK for one, state in zip(sentences, told, strict=True)
    ]
    weights = np.array([corpus.counts[sentence] for sentence in sentences])
    if lifts[label] < recipe.lift or weights @ np.array(news) < recipe.news * weights.sum():
        return None
    return Suspect(word, known[label], label, round(float(nearness), 3), round(lifts[label], 2), len(using))


def _states(teacher: Labeler, sentences: Sequence[str], word: str, name: str, label: str) -> list[State]:
    """What the teacher says of a label in each sentence with ``name`` for ``word``."""
    reports = [_as_report(_pattern([word]).sub(name, sentence)) for sentence in sentences]
    at = teacher.schema.labels.index(label)
    return [states[at] for states in teacher.states(reports)]


def _lift(corpus: _Corpus, using: Sequence[tuple[int, str]], label: str) -> float:
    """How many times as often as others the reports that use a word assert ``label`` in another sentence.

    The count less its own square root, as a bound that few reports do not pass.
    """
    hits = sum(
        any(label in corpus.asserted[other] for other in corpus.bags[number] if other != sentence)
        for number, sentence in using
    )  # fmt: skip
    return max(hits - math.sqrt(hits), 0.0) / max(len(using), 1) / max(corpus.share[label], 1e-3)


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return re.compile(rf"\b({'|'.join(map(re.escape, longest_first))})(?:s|es)?\b", re.IGNORECASE)


class ToldLabeler:
    """A labeler that has been told names: a suspected word that it passes over is read as the name it stands for.

    The mentions it gives stand in the report as it is.
    """

    def __init__(self, labeler: Labeler, found: Sequence[Suspect]) -> None:
        self.labeler = labeler
        self.made_by = labeler.made_by
        self._names = {one.word: one.name for one in found}
        self._pattern = _pattern(self._names) if found else None

    @property
    def schema(self) -> LabelSchema:
        """The labels it gives: those of the labeler that was told."""
        return self.labeler.schema

    def __call__(self, report: str | Report, sections: str = "findings,impression") -> LabelVector:
        """Label one report, with the evidence of the labeler that was told."""
        report = Report("", report) if isinstance(report, str) else report
        told, shifts = self._told(report, sections)
        vector = self.labeler(told, sections)
        if not shifts:
            return vector
        return replace(vector, mentions=tuple([_moved(one, shifts) for one in vector.mentions]))

    def states(self, reports: Sequence[Report], sections: str = "findings,impression") -> list[tuple[State, ...]]:
        """The states alone of each report."""
        return self.labeler.states([self._told(report, sections)[0] for report in reports], sections)

    def _told(self, report: Report, sections: str) -> tuple[Report, list[_Shift]]:
        if self._pattern is None or not self._pattern.search(report.text):
            return report, []
        vector = self.labeler(report, sections)
        shifts: list[_Shift] = []
        parts: list[str] = []
        at = length = 0
        for found in self._pattern.finditer(report.text):
            if _read_as(vector, found.start(), found.end(), self.schema.no_finding) is not None:
                continue
            name = self._names[found[1].lower()]
            parts += [report.text[at : found.start()], name]
            length += found.start() - at
            shifts.append(_Shift(found.start(), found.end(), length, length + len(name)))
            at, length = found.end(), length + len(name)
        text = "".join([*parts, report.text[at:]])
        moved = tuple(
            replace(one, start=_place(one.start, shifts, told=True), end=_place(one.end, shifts, told=True))
            for one in report.sections
        )
        return replace(report, text=text, sections=moved), shifts


@dataclass(frozen=True, slots=True)
class _Shift:
    """A word at ``start:end`` of a report, and its name at ``told_start:told_end`` of what is read."""

    start: int
    end: int
    told_start: int
    told_end: int


def _place(at: int, shifts: Sequence[_Shift], *, told: bool, is_end: bool = False) -> int:
    """A place of the report in what is read (``told``), or the other way round; inside of a word its start or end."""
    moved = 0
    for one in shifts:
        start, end, to_start, to_end = one.start, one.end, one.told_start, one.told_end
        if not told:
            start, end, to_start, to_end = to_start, to_end, start, end
        if at <= start:
            break
        if at < end:
            return to_end if is_end else to_start
        moved = to_end - end
    return at + moved


def _moved(mention: Mention, shifts: Sequence[_Shift]) -> Mention:
    start, end = _span(mention.start, mention.end, shifts)
    cues = []
    for cue in mention.cues:
        cue_start, cue_end = _span(cue.start, cue.end, shifts)
        cues.append(replace(cue, start=cue_start, end=cue_end))
    return replace(mention, start=start, end=end, cues=tuple(cues))


def _span(start: int, end: int, shifts: Sequence[_Shift]) -> tuple[int, int]:
    return _place(start, shifts, told=False), _place(end, shifts, told=False, is_end=True)
