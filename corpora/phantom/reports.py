"""Reports of what is seen, written by the grammar, with what they mean for each label.

The truth is that of the words, not of the film: a report may leave a finding open, leave it out, or doubt one that is
not there. Sections other than findings and impression mean nothing for the labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

import numpy as np

from corpora.labels import State
from corpora.phantom.grammar import ReportGrammar, Sentence, StyleModel
from corpora.phantom.model import DRAWN, ReportingModel
from corpora.phantom.patients import Visit
from corpora.phantom.signs import Sign, draw_sign
from corpora.phantom.slots import Slots, Vault, phi_slots, sign_slots

Option = TypeVar("Option")

_ORGANS: Final = {
    "devices": ("Support Devices",),
    "lungs": ("Lung Lesion", "Lung Opacity", "Edema", "Consolidation", "Pneumonia", "Atelectasis"),
    "pleura": ("Pneumothorax", "Pleural Effusion", "Pleural Other"),
    "heart": ("Cardiomegaly", "Enlarged Cardiomediastinum"),
    "bones": ("Fracture",),
}
#: Labels that are negated in lists, and those that are spoken of one by one, with how often.
_LISTED: Final = ("Pleural Effusion", "Pneumothorax", "Consolidation", "Lung Opacity", "Edema", "Lung Lesion",
                  "Fracture", "Pneumonia", "Atelectasis")  # fmt: skip
_SPOKEN: Final = {
    "Cardiomegaly": 0.65, "Enlarged Cardiomediastinum": 0.4, "Support Devices": 0.04, "Pleural Other": 0.05,
}  # fmt: skip
_NORMAL_SHARE: Final = {"lungs": 0.6, "pleura": 0.3, "heart": 0.3, "bones": 0.5, "devices": 0.15}
_CHOICE: Final = re.compile(r"\[([^\[\]]*)\]")
_SLOT: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Written:
    """A report: its text, the state of each label (absent is blank), each planted identity with its place, how each
    sign was reported (``stated``, ``open``, ``omitted``)."""

    text: str
    states: dict[str, State]
    planted: tuple[tuple[int, int, str], ...]
    reported: dict[int, str]


@dataclass(slots=True)
class _Draft:
    """What has been said so far."""

    states: dict[str, list[int]] = field(default_factory=dict)
    weak: dict[str, int] = field(default_factory=dict)
    abnormal: bool = False
    reported: dict[int, str] = field(default_factory=dict)

    def take(self, sentence: Sentence, label: str | None, state: int) -> None:
        """Note what a sentence of ``label`` means."""
        said = {label: state} if label else {}
        for name, value in {**said, **sentence.sets}.items():
            self.states.setdefault(name, []).append(value)
        self.weak |= sentence.unless_said
        self.abnormal |= sentence.abnormal

    def is_raised(self, labels: Iterable[str]) -> bool:
        """Whether any of the labels was asserted or left open."""
        return any(value != 0 for label in labels for value in self.states.get(label, ()))

    def truth(self) -> dict[str, State]:
        """Any 1 is 1, else any -1 is -1, else 0; No Finding where no abnormality is asserted or left open."""
        for label, value in self.weak.items():
            self.states.setdefault(label, [value])
        states: dict[str, State] = {}
        for label, values in self.states.items():
            states[label] = 1 if 1 in values else -1 if -1 in values else 0
        found = any(state != 0 for label, state in states.items() if label != "Support Devices")
        if not (found or self.abnormal):
            states["No Finding"] = 1
        return states


class Reporter:
    """Writes the reports of one corpus."""

    def __init__(self, grammar: ReportGrammar, reporting: ReportingModel, phi_share: float) -> None:
        self._grammar, self._reporting, self._phi_share = grammar, reporting, phi_share

    def write(self, visit: Visit, rng: np.random.Generator) -> Written:
        """The report of a study."""
        style = _drawn_style(self._grammar, rng)
        vault = Vault()
        names_someone = bool(rng.random() < self._phi_share)
        slots = phi_slots(visit, vault, names_someone)
        telling = _Telling(self._grammar, self._reporting, visit, style, slots, rng)
        text = _laid_out(telling.parts(), style)
        if names_someone:
            text = telling.signed(text)
        text, planted = vault.opened(text)
        return Written(text, telling.draft.truth(), planted, telling.draft.reported)


class _Telling:
    """One report in the making: what it tells, in which style; ``draft`` is what it has said so far."""

    def __init__(
        self, grammar: ReportGrammar, reporting: ReportingModel, visit: Visit, style: StyleModel, slots: Slots,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.grammar, self.reporting, self.visit, self.style = grammar, reporting, visit, style
        self.slots, self.rng, self.draft = slots, rng, _Draft()
        self.has_prior = visit.prior is not None
        self.by_organ: dict[str, list[str]] = {organ: [] for organ in _ORGANS}

    def parts(self) -> dict[str, list[str]]:
        """The sentences of each section."""
        findings, impression = self._body()
        indications = self.grammar.indications[self.visit.indication]
        return {
            "indication": [self._one([s for s in indications if "name" in self.slots or "{name}" not in s.text])],
            "technique": [self._expand(_pick(self.grammar.technique[_films(self.visit)], self.rng))],
            "comparison": [self._one(self.grammar.comparison)],
            "findings": findings,
            "impression": impression,
        }

    def signed(self, text: str) -> str:
        """The report with a line that names the patient, and one that names who wrote it, where the style has them."""
        if self.style.header or self.rng.random() < 0.2:
            text = f"{self._one(self.grammar.identity)}\n\n{text}"
        if self.rng.random() < 0.6:
            text = f"{text}\n\n{self._one(self.grammar.closing)}"
        return text

    def _one(self, sentences: Sequence[Sentence]) -> str:
        return self._expand(_pick([s for s in sentences if self._in_time(s)] or sentences, self.rng).text)

    def _in_time(self, sentence: Sentence) -> bool:
        return sentence.prior is None or sentence.prior == self.has_prior

    def _expand(self, text: str, more: Slots | None = None) -> str:
        return expand(text, self.slots | (more or {}), self.rng)

    def _body(self) -> tuple[list[str], list[str]]:
        """The sentences of findings and impression; only what is printed is in ``draft``."""
        said = [*self._stated(), *self._doubted()]
        with_findings = "findings" in self.style.headings
        findings: list[str] = []
        if with_findings:
            self._tell(said)
            findings = [text for organ in _order(self.style, self.rng) for text in self.by_organ[organ]]
            findings += self._distractor()
        impression = self._impression(said, with_findings)
        if self.style.terse:
            return [_terse(text) for text in findings], [_terse(text) for text in impression]
        return findings, impression

    def _stated(self) -> list[tuple[Sign, int]]:
        """The signs that are reported, each stated (1) or left open (-1)."""
        seen: list[tuple[Sign, int]] = []
        omitted, uncertain = self.reporting.omitted, self.reporting.uncertain
        for sign in self.visit.signs:
            luck = self.rng.random()
            is_open = omitted <= luck < omitted + uncertain and sign.label != "Support Devices"
            how = "omitted" if luck < omitted else "open" if is_open else "stated"
            self.draft.reported[sign.number] = how
            if how != "omitted":
                seen.append((sign, -1 if is_open else 1))
        return seen

    def _doubted(self) -> list[tuple[Sign, int]]:
        """At times a sign that is not there, left open."""
        if self.rng.random() >= self.reporting.doubted:
            return []
        there = {sign.label for sign in (*self.visit.signs, *self.visit.gone)}
        label = str(self.rng.choice([label for label in DRAWN if label not in there]))
        return [(draw_sign(label, -1, self.rng), -1)]

    def _tell(self, said: list[tuple[Sign, int]]) -> None:
        for sign, state in said:
            words = self.grammar.findings[sign.label]
            how: Literal["present", "possible"] = "present" if state == 1 else "possible"
            form = words.form.get(how, []) if self.style.findings == "form" else []
            self._add(sign.label, self._of_sign(form or getattr(words, how), sign, state))
        for sign in self.visit.gone:
            if self.rng.random() < 0.6 and not self.draft.is_raised([sign.label]):
                self._add(sign.label, self._of_sign(self.grammar.findings[sign.label].gone, sign, 0))
        if self.style.findings == "form":
            self._negate_by_form()
        else:
            self._negate()
            self._normal()

    def _add(self, label: str, text: str) -> None:
        if text:
            self.by_organ[_organ(label)].append(text)

    def _of_sign(self, sentences: Sequence[Sentence], sign: Sign, state: int) -> str:
        """A sentence on a sign; empty where none fits."""
        side = {-1: "right", 1: "left"}.get(sign.side, "both")
        fitting = [
            s
            for s in sentences
            if (not s.kinds or sign.kind in s.kinds) and (not s.sides or side in s.sides) and self._in_time(s)
        ]
        if not fitting:
            return ""
        sentence = _pick(fitting, self.rng)
        self.draft.take(sentence, sign.label, state)
        words = self.grammar.findings[sign.label]
        return self._expand(sentence.text, sign_slots(sign, self.visit, words, dict(self.grammar.trends), self.rng))

    def _plain(self, sentences: Sequence[Sentence], label: str | None) -> str:
        """A sentence that is of no sign, and negates ``label`` if there is one; empty where none can be said."""
        fitting = [
            s
            for s in sentences
            if self._in_time(s)
            and not self.draft.is_raised(s.absent)
            and not any(name in self.draft.states for name in s.sets)
        ]
        if not fitting:
            return ""
        sentence = _pick(fitting, self.rng)
        self.draft.take(sentence, label, 0)
        return self._expand(sentence.text)

    def _negate_by_form(self) -> None:
        for label in DRAWN:
            form = self.grammar.findings[label].form.get("absent")
            if form and label not in self.draft.states and self.rng.random() < 0.75:
                self._add(label, self._plain(form, label))

    def _negate(self) -> None:
        """Negations of what is not there: in a list, or each in a sentence."""
        chosen = [label for label in _LISTED if label not in self.draft.states and self.rng.random() < 0.42]
        if len(chosen) > 1 and self.rng.random() < 0.75:
            chosen = [chosen[at] for at in self.rng.permutation(len(chosen))][:4]
            self._add(chosen[0], self._list(chosen))
        else:
            for label in chosen:
                self._add(label, self._plain(self.grammar.findings[label].absent, label))
        for label, share in _SPOKEN.items():
            if label not in self.draft.states and self.rng.random() < share:
                self._add(label, self._plain(self.grammar.findings[label].absent, label))

    def _list(self, labels: list[str]) -> str:
        names = [_pick(self.grammar.findings[label].names, self.rng) for label in labels]
        comma = "," if len(names) > 2 and self.rng.random() < 0.4 else ""
        joined = f"{', '.join(names[:-1])}{comma} or {names[-1]}"
        sentence = _pick(self.grammar.negated_lists, self.rng)
        for label in labels:
            self.draft.take(sentence, label, 0)
        return self._expand(sentence.text, {"list": joined, "List": joined[0].upper() + joined[1:]})

    def _normal(self) -> None:
        for organ, sentences in self.grammar.normal.items():
            if self.rng.random() < _NORMAL_SHARE[organ] and (text := self._plain(sentences, None)):
                self.by_organ[organ].append(text)

    def _distractor(self) -> list[str]:
        if self.style.findings == "form" or self.rng.random() >= self.reporting.distractor:
            return []
        text = self._plain(self.grammar.distractors, None)
        return [text] if text else []

    def _impression(self, said: list[tuple[Sign, int]], with_findings: bool) -> list[str]:
        lines = []
        for sign, state in said:
            words = self.grammar.findings[sign.label]
            share = 0.5 if sign.label == "Support Devices" else 0.8
            if not with_findings or self.rng.random() < share:
                brief, full = (words.brief, words.present) if state == 1 else (words.brief_possible, words.possible)
                lines.append(self._of_sign(brief, sign, state) or self._of_sign(full, sign, state))
        if not said:
            lines.append(self._plain(self.grammar.impression_normal, None))
        return [line for line in lines if line] or ["As above."]


def _organ(label: str) -> str:
    return next(organ for organ, labels in _ORGANS.items() if label in labels)


def _order(style: StyleModel, rng: np.random.Generator) -> list[str]:
    organs = list(_ORGANS)
    if style.findings == "form" or rng.random() < 0.5:
        return organs
    return [organs[at] for at in rng.permutation(len(organs))]


def _pick(options: Sequence[Option], rng: np.random.Generator) -> Option:
    return options[int(rng.integers(len(options)))]


def expand(text: str, slots: Slots, rng: np.random.Generator) -> str:
    """The text with its choices taken and its slots filled, begun with a capital.

    A slot may stand in a choice, and hold a slot; one that nothing fills is empty.

    >>> expand("{a}{size} effusion{trend}", {"a": "a ", "size": "old"}, np.random.default_rng(0))
    'An old effusion'
    """
    chosen = _CHOICE.sub(lambda match: _pick(match[1].split("|"), rng), text)
    filled = chosen
    for _ in range(2):
        filled = _SLOT.sub(lambda match: slots.get(match[1], ""), filled)
    tidy = re.sub(r" {2,}", " ", filled).strip()
    tidy = re.sub(r" ([.,;])", r"\1", tidy)
    tidy = re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", tidy)
    return tidy[:1].upper() + tidy[1:]


def _terse(text: str) -> str:
    """As it is dictated in a hurry: without articles and verbs at the start, in lower case."""
    short = re.sub(r"^(There (is|are) (an? )?|The |An? )", "", text)
    return short[:1].lower() + short[1:] if short[1:2].islower() else short


def _laid_out(parts: dict[str, list[str]], style: StyleModel) -> str:
    return style.between.join(
        f"{heading}{_joined(parts[name], name, style)}" for name, heading in style.headings.items()
    )


def _joined(sentences: list[str], name: str, style: StyleModel) -> str:
    if name == "impression" and style.numbered and len(sentences) > 1:
        return "\n".join(f"{number}. {text}" for number, text in enumerate(sentences, 1))
    return ("\n" if name == "findings" and style.findings != "prose" else " ").join(sentences)


def _drawn_style(grammar: ReportGrammar, rng: np.random.Generator) -> StyleModel:
    styles = list(grammar.styles.values())
    weights = np.array([style.weight for style in styles])
    return styles[int(rng.choice(len(styles), p=weights / weights.sum()))]


def _films(visit: Visit) -> Literal["one", "two", "portable"]:
    return "portable" if visit.portable else "two" if len(visit.views) > 1 else "one"
