"""Reports said otherwise, with labels that are known to stay, or to change in a known way.

    No pleural effusion.           Pleural effusion is absent.              restate_denied: nothing changes
    Possible pneumonia.            Pneumonia cannot be excluded.            restate_doubted: nothing changes
    Small left pleural effusion.   No small left pleural effusion.          assert_to_deny: 1 becomes 0

A rewrite is a function of what was read and of chance; it gives the new text and the states that are others now, or
None where it finds nothing to do. The rules say where findings and their cues stand, never what the new text means:
that follows from the rewrite. Words are data, in ``configs/label/augment.en.yaml`` and the lexicons of the schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Final, get_args

import numpy as np

from corpora.labels import BLANK, NEGATIVE, POSITIVE, UNCERTAIN, State
from corpora.sections import select
from corpora.types import Report
from labeler.base import Labeler, load
from labeler.neural.augment_read import Edit, Read, Said, unless_same
from labeler.neural.augment_recipe import AugmentRecipe, FormKind, Name, load_recipe
from labeler.neural.augment_words import CLEAN, case, mask, misspell, stems, synonym, typing
from labeler.neural.data import Examples
from labeler.neural.reading import CLASS_OF, CLASSES, IGNORED
from labeler.rules.sentences import sentences
from labeler.schemas import load_schema
from labeler.types import Mention

DEFAULT_SECTIONS: Final = "findings,impression"
_STATE_OF: Final[dict[FormKind, State]] = {"denied": NEGATIVE, "doubted": UNCERTAIN, "asserted": POSITIVE}
_ABNORMALITY: Final = "an abnormality"
_MENTIONED: Final = (POSITIVE, UNCERTAIN)
_WORD: Final = re.compile(r"[^\W\d_]+")
_PLAIN: Final = re.compile(r"[\w\s/-]+")
_PLURAL: Final = re.compile(r"(?<![sui])s$")

Rewrite = Callable[["Augmenter", Read, Random], Edit | None]


@dataclass(frozen=True, slots=True)
class _Match:
    """A sentence of a form: the finding in it, with its article, and where the sentence stands in the text."""

    finding: str
    start: int
    end: int


class Augmenter:
    """Rewrites reports with the words of ``recipe`` and of the schema's lexicons; ``labeler`` says where findings are.

    ``schema`` is the labeler's: a shipped name or a YAML file.
    """

    def __init__(self, labeler: Labeler, recipe: AugmentRecipe | None = None, schema: str = "chexpert14.v1") -> None:
        self.recipe = recipe or load_recipe()
        self.labeler = labeler
        lexicons = load_schema(schema)
        self.no_finding = lexicons.schema.no_finding
        self.beside = lexicons.beside_no_finding | {self.no_finding or ""}
        self.phrases = {label: found.findings for label, found in lexicons.phrases.items()}
        self.stems = stems(lexicons)
        self.patterns = {kind: _compiled(getattr(self.recipe.forms, kind)) for kind in get_args(FormKind)}
        self.refused = frozenset(self.recipe.not_in_finding)
        self._alone: dict[tuple[str, str], bool] = {}

    def augment(
        self, text: str, states: Sequence[State], labels: Sequence[str], chance: Random
    ) -> tuple[str, tuple[State, ...]]:
        """``text`` after some rewrites, each done with its share, and its states, in the order of ``labels``."""
        known = dict(zip(labels, states, strict=True))
        for name, rewrite in REWRITES.items():
            if chance.random() < self.recipe.shares.get(name, 0.0):
                edit = rewrite(self, self.read(text, known), chance)
                if edit is not None:
                    text, known = edit.text, {label: edit.changed.get(label, state) for label, state in known.items()}
        return text, tuple(known.values())

    def read(self, text: str, states: Mapping[str, State]) -> Read:
        """``text``, whose labels are known to have ``states``, with the rules' mentions by sentence."""
        report = Report("", text)
        vector = self.labeler(report, DEFAULT_SECTIONS)
        sections = tuple(select(report, DEFAULT_SECTIONS))
        said = [
            Said(start, end, tuple([one for one in vector.mentions if start <= one.start < end]))
            for section in sections
            for start, end in sentences(text, section.start, section.end)
        ]
        return Read(text, sections, tuple(said), vector, states)

    def is_name(self, phrase: str, label: str) -> bool:
        """Whether ``phrase`` alone names ``label`` and nothing else."""
        key = phrase.lower(), label
        if key not in self._alone:
            found = Said(0, 0, self.labeler(f"There is {phrase}.").mentions).findings(self.no_finding)
            self._alone[key] = len(found) == 1 and (found[0].label, found[0].rule) == (label, "asserted")
        return self._alone[key]


def augment(
    text: str, states: Sequence[State], labels: Sequence[str], chance: Random
) -> tuple[str, tuple[State, ...]]:  # fmt: skip
    """``text`` said otherwise and its states then, by the shipped words, ``rules.v1`` and chance.

    ``states`` are in the order of ``labels``, those of ``chexpert14.v1`` or some of them.
    """
    return _shipped().augment(text, states, labels, chance)


def augment_examples(
    examples: Examples, labels: Sequence[str], copies: int, seed: int, augmenter: Augmenter | None = None
) -> Examples:
    """``copies`` of each example said otherwise, with the labels it then has; cells that do not count stay so.

    ``labels`` are those of the columns of ``examples``. By ``seed`` alone.
    """
    augmenter, chance = augmenter or _shipped(), Random(seed)
    texts: list[str] = []
    classes = np.repeat(examples.classes, copies, axis=0)
    for row, at in enumerate(at for at in range(len(examples)) for _ in range(copies)):
        counted = np.flatnonzero(classes[row] != IGNORED)
        states = [CLASSES[number] for number in classes[row, counted]]
        text, found = augmenter.augment(
            examples.texts[at], states, [labels[column] for column in counted.tolist()], chance
        )
        texts.append(text)
        classes[row, counted] = [CLASS_OF[state] for state in found]
    return Examples(texts, classes, np.repeat(examples.trust, copies, axis=0))


@cache
def _shipped() -> Augmenter:
    return Augmenter(load())


# order


def shuffle(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """The sentences of each section in another order; nothing changes."""
    text = read.text
    pieces: list[str] = []
    at = 0
    for section in read.sections:
        spans = [(one.start, one.end) for one in read.sentences if section.start <= one.start < section.end]
        if len(spans) < 2 or not all(_stands_alone(text[start:end]) for start, end in spans):
            continue
        for (start, end), (first, last) in zip(spans, chance.sample(spans, len(spans)), strict=True):
            pieces += [text[at:start], _closed(text[first:last])]
            at = end
    return unless_same("".join([*pieces, text[at:]]), text)


def _stands_alone(sentence: str) -> bool:
    """Whether a sentence means the same elsewhere: no heading of what follows, not broken over lines."""
    return "\n" not in sentence and not sentence.endswith(":")


def _closed(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


# forms


def restate_denied(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """A denial of a finding, or of a list of them, in another form; nothing changes."""
    return _restated(augmenter, read, chance, "denied", "denied")


def restate_doubted(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """A doubt about a finding in another form; nothing changes."""
    return _restated(augmenter, read, chance, "doubted", "doubted")


def restate_asserted(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """A finding that is there in another form; nothing changes."""
    return _restated(augmenter, read, chance, "asserted", "asserted")


def assert_to_deny(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """A finding that is there is denied: its label becomes negative."""
    return _restated(augmenter, read, chance, "asserted", "denied")


def assert_to_doubt(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """A finding that is there is left open: its label becomes uncertain."""
    return _restated(augmenter, read, chance, "asserted", "doubted")


def deny_to_assert(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """A finding that is denied is there: its label becomes positive."""
    return _restated(augmenter, read, chance, "denied", "asserted")


def deny_to_doubt(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """A finding that is denied is left open: its label becomes uncertain."""
    return _restated(augmenter, read, chance, "denied", "doubted")


def doubt_to_assert(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """A finding that is left open is there: its label becomes positive."""
    return _restated(augmenter, read, chance, "doubted", "asserted")


def doubt_to_deny(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """A finding that is left open is denied: its label becomes negative."""
    return _restated(augmenter, read, chance, "doubted", "denied")


def _restated(augmenter: Augmenter, read: Read, chance: Random, kind: FormKind, to: FormKind) -> Edit | None:
    recipe = augmenter.recipe
    for said in chance.sample(read.sentences, len(read.sentences)):
        match = _match(augmenter, read, said, kind)
        mentions = said.findings(augmenter.no_finding)
        several = len(mentions) > 1
        if match is None or (kind != to and (several or not _is_only(read, mentions[0]))):
            continue
        forms = [form for form in getattr(recipe.forms, to) if not several or form in recipe.lists]
        if not forms:
            continue
        sentence = _in_form(chance.choice(forms), match.finding, recipe, to)
        text = read.text[: match.start] + sentence + read.text[match.end :]
        changed = {} if kind == to else _changed(augmenter, read, mentions[0].label, _STATE_OF[to])
        return unless_same(text, read.text, changed)
    return None


def _match(augmenter: Augmenter, read: Read, said: Said, kind: FormKind) -> _Match | None:
    """The finding of a sentence that is of this form and says nothing else; None if it is not."""
    mentions = said.findings(augmenter.no_finding)
    if not mentions or any(one.state != _STATE_OF[kind] or not read.agreed(one) for one in mentions):
        return None
    if any(one.rule not in CLEAN for one in mentions) or any(one.rule == _ABNORMALITY for one in said.mentions):
        return None
    sentence = read.text[said.start : said.end].rstrip(".")
    for pattern in augmenter.patterns[kind]:
        found = pattern.fullmatch(sentence)
        if found and _is_finding(augmenter, found["x"], kind, len(mentions)):
            first, last = said.start + found.start("x"), said.start + found.end("x")
            if all(first <= one.start and one.end <= last for one in mentions):
                return _Match(found["x"], said.start, said.start + len(sentence))
    return None


def _is_finding(augmenter: Augmenter, phrase: str, kind: FormKind, findings: int) -> bool:
    """Whether a phrase is one finding with its attributes, or as many denied ones in a list."""
    refused = augmenter.refused
    if findings > 1:
        if kind != "denied":
            return False
        refused = refused - set(augmenter.recipe.joins)
        phrase = phrase.replace(",", "")
    words = {word.lower() for word in _WORD.findall(phrase)}
    return refused.isdisjoint(words) and _PLAIN.fullmatch(phrase) is not None


def _is_only(read: Read, mention: Mention) -> bool:
    """Whether nothing else in the report is said of the mention's label."""
    return sum(one.label == mention.label for one in read.vector.mentions) == 1


def _in_form(form: str, finding: str, recipe: AugmentRecipe, kind: FormKind) -> str:
    first, _, rest = finding.partition(" ")
    if rest and first.lower() in recipe.articles and (kind != "asserted" or first.lower() != "the"):
        finding = rest
    if finding[1:2].islower():
        finding = finding[0].lower() + finding[1:]
    verb = "are" if _PLURAL.search(finding) else "is"
    made = re.sub(r"^there (is|are)\b", f"there {verb}", form).replace("{is}", verb).replace("{x}", finding)
    return made[0].upper() + made[1:]


def _changed(augmenter: Augmenter, read: Read, label: str, state: State) -> dict[str, State]:
    """The label's new state, and No Finding's where it follows from it."""
    changed: dict[str, State] = {label: state}
    no_finding = augmenter.no_finding
    if no_finding is None or label in augmenter.beside:
        return changed
    if state in _MENTIONED:
        return changed | {no_finding: BLANK}
    now = {**dict(zip(read.vector.labels, read.vector.states, strict=True)), **read.states, label: state}
    others = any(found in _MENTIONED and one not in augmenter.beside for one, found in now.items())
    unlabeled = any(one.rule == _ABNORMALITY for one in read.vector.mentions)
    if read.vector[label] in _MENTIONED and not others and not unlabeled:
        changed[no_finding] = POSITIVE
    return changed


def _compiled(forms: Sequence[str]) -> list[re.Pattern[str]]:
    """The forms as patterns, those with most words of their own first."""
    ordered = sorted(forms, key=len, reverse=True)
    return [
        re.compile(re.escape(form).replace(r"\{x\}", "(?P<x>.+?)").replace(r"\{is\}", "(?:is|are)"), re.IGNORECASE)
        for form in ordered
    ]


#: Every rewrite by its name, in the order in which they are done.
REWRITES: Final[Mapping[Name, Rewrite]] = {
    "shuffle": shuffle, "restate_denied": restate_denied, "restate_doubted": restate_doubted,
    "restate_asserted": restate_asserted, "assert_to_deny": assert_to_deny, "assert_to_doubt": assert_to_doubt,
    "deny_to_assert": deny_to_assert, "deny_to_doubt": deny_to_doubt, "doubt_to_assert": doubt_to_assert,
    "doubt_to_deny": doubt_to_deny, "synonym": synonym, "misspell": misspell, "typing": typing, "mask": mask,
    "case": case,
}  # fmt: skip
