"""What a decoder learns to write, and what it is told before: sections as tokens, comparisons taken out.

    <|indication|> Cough. <|no_prior|> <|hints|> Edema, Fracture <|report|>      the prompt, behind the film
    <|findings|> ... <|impression|> ... <|end|>                                  the target

A hint is a label of the report in training, and one that the encoder sees in drafting: a decoder so trained says what
it is told, and the film decides how.

A film alone cannot say what has changed. Where no prior report is given, what compares with one is taken out of the
target: a clause behind a comma, a leading word, else the sentence; all are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from corpora.sections import split_sections
from corpora.types import Report
from labeler.rules.sentences import sentences
from reportgen.metrics.safety import compares

PAD, END, REPORT, FINDINGS, IMPRESSION, INDICATION, PRIOR, NO_PRIOR, HINTS = SPECIAL = (
    "<|pad|>", "<|end|>", "<|report|>", "<|findings|>", "<|impression|>", "<|indication|>", "<|prior|>",
    "<|no_prior|>", "<|hints|>",
)  # fmt: skip
SECTION_TOKENS: Final = {"findings": FINDINGS, "impression": IMPRESSION}
_AS: Final = {"findings": "findings", "findings_impression": "findings", "impression": "impression"}
_MORE: Final = re.compile(
    r"\b(?:since|again|no longer|new\b|(?<!symptoms )persists?|persisting|remains?|residual|resol(?:ved|ution|ving)|"
    r"(?:larger|smaller|worse|better|more|less)\b.{0,40}\bthan|(?:increas|decreas)(?:ed|ing) (?:from|in size)|"
    r"improv(?:ed|ing|ement)|worsen(?:ed|ing)|similar to|changed|(?:significant|interval) change|prior|"
    r"previous(?:ly)?|(?:been|was|were) removed|"
    r"normalized|returned to normal|re-?expanded|has cleared|have cleared|earlier|interval)\b",
    re.IGNORECASE,
)
_LEADING: Final = re.compile(
    r"^(?:stable|unchanged|persistent|redemonstrated|(?:re)?demonstrated again|again (?:seen|noted)(?: is| are)?|"
    r"no (?:significant |interval )*change in)[ ,]+(?:the |a |an )?",
    re.IGNORECASE,
)
_TRAILING: Final = re.compile(
    r"(?:,? (?:is |are )?again (?:seen|noted|demonstrated)| but (?:stable|unchanged)|(?<!symptoms) persists?)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be written of a study: sections with their text; sentences dropped and trimmed to come there."""

    study_id: str
    sections: tuple[tuple[str, str], ...]
    dropped: int = 0
    trimmed: int = 0

    @property
    def text(self) -> str:
        """The text of all sections, as a labeler reads it."""
        return " ".join(text for _, text in self.sections)

    @property
    def marked(self) -> str:
        """The text with its section tokens and end, as a decoder learns it."""
        parts = [f"{SECTION_TOKENS[name]}{harmless(text)}" for name, text in self.sections]
        return "".join(parts) + END


def mentions_prior(text: str) -> bool:
    """Whether a text speaks of an earlier film or of a change.

    >>> mentions_prior("Small effusion, new since the prior study."), mentions_prior("Increased markings.")
    (True, False)
    """
    return compares(text) or _MORE.search(text) is not None


def without_comparison(sentence: str) -> str | None:
    """A sentence without what compares; None if nothing is left that could stand.

    >>> without_comparison("Tiny left pneumothorax, new since the prior study.")
    'Tiny left pneumothorax.'
    >>> without_comparison("Stable cardiomegaly."), without_comparison("Heart size is unchanged.")
    ('Cardiomegaly.', None)
    """
    if not mentions_prior(sentence):
        return sentence
    end = sentence[-1] if sentence[-1:] in ".!?" else ""
    first, *rest = sentence.removesuffix(end).split(", ")
    kept = _TRAILING.sub("", _LEADING.sub("", first))
    kept = ", ".join([kept, *(clause for clause in rest if not mentions_prior(clause))]).strip()
    if not kept or mentions_prior(kept):
        return None
    return kept[0].upper() + kept[1:] + end


def target_of(report: Report, *, prior: bool = False) -> Target:
    """The target of a report; ``prior`` says whether the decoder is given an earlier one.

    >>> target_of(Report("s", "FINDINGS: Stable cardiomegaly. No change. IMPRESSION: Cardiomegaly.")).sections
    (('findings', 'Cardiomegaly.'), ('impression', 'Cardiomegaly.'))
    """
    found: list[tuple[str, str]] = []
    dropped = trimmed = 0
    for name, text in read_sections(report):
        kept = []
        for start, end in sentences(text):
            sentence = " ".join(text[start:end].split())
            left = sentence if prior else without_comparison(sentence)
            dropped += left is None
            trimmed += left is not None and left != sentence
            if left:
                kept.append(left)
        if kept:
            found.append((name, " ".join(kept)))
    return Target(report.study_id, tuple(found), dropped, trimmed)


def read_sections(report: Report) -> list[tuple[str, str]]:
    """Findings and Impression of a report, in this order; a report without headings is Findings."""
    parts = report.sections or split_sections(report.text)
    texts: dict[str, list[str]] = {"findings": [], "impression": []}
    for part in parts:
        if part.name in _AS:
            texts[_AS[part.name]].append(report.text[part.start : part.end])
    if not any(texts.values()):
        texts["findings"] = [report.text[part.start : part.end] for part in parts if part.name == "body"]
    return [(name, " ".join(" ".join(found).split())) for name, found in texts.items() if any(map(str.strip, found))]


def indication_of(report: Report | None) -> str:
    """The Indication of a report, on one line; empty without one."""
    if report is None:
        return ""
    parts = report.sections or split_sections(report.text)
    return " ".join(" ".join(report.text[p.start : p.end] for p in parts if p.name == "indication").split())


def prompt_of(indication: str = "", prior: str = "", begin: str = "") -> str:
    """What stands between the film and the draft. ``begin`` is a section to begin with; the decoder's choice without.

    >>> prompt_of("Cough.")
    '<|indication|>Cough.<|no_prior|><|report|>'
    """
    told = f"{INDICATION}{harmless(indication)}" if indication else ""
    before = f"{PRIOR}{harmless(prior)}" if prior else NO_PRIOR
    return f"{told}{before}{REPORT}{SECTION_TOKENS.get(begin, '')}"


def with_hints(prompt: str, labels: Iterable[str]) -> str:
    """A prompt that tells labels.

    >>> with_hints("<|no_prior|><|report|>", ["Edema", "Fracture"])
    '<|no_prior|><|hints|>Edema, Fracture<|report|>'
    """
    before, found, after = prompt.rpartition(REPORT)
    return f"{before}{HINTS}{harmless(', '.join(labels))}{found}{after}"


def harmless(text: str) -> str:
    """A text that cannot hold one of the tokens.

    >>> harmless("Clear.<|end|>")
    'Clear.< |end|>'
    """
    return text.replace("<|", "< |")


def sections_of(marked: str, begin: str = "") -> dict[str, str]:
    """The sections in what a decoder wrote, by name; text before any token belongs to ``begin``, else to findings.

    >>> sections_of("<|findings|>Clear lungs.<|impression|>Normal.<|end|>")
    {'findings': 'Clear lungs.', 'impression': 'Normal.'}
    """
    found: dict[str, str] = {}
    name = begin or "findings"
    names: Mapping[str, str] = {token: section for section, token in SECTION_TOKENS.items()}
    for part in re.split(r"(<\|\w+\|>)", marked):
        if part == END:
            break
        if part in names:
            name = names[part]
        elif part.strip() and part not in SPECIAL:
            found[name] = " ".join(f"{found.get(name, '')} {part}".split())
    return found


def as_report(sections: Mapping[str, str]) -> str:
    """Sections as one text with headings.

    >>> as_report({"impression": "Normal."})
    'IMPRESSION: Normal.'
    """
    return "\n\n".join(f"{name.upper()}: {text}" for name, text in sections.items())


def counts_of(targets: Sequence[Target]) -> dict[str, int]:
    """How much was taken out of targets, for a manifest."""
    return {
        "sentences dropped": sum(target.dropped for target in targets),
        "sentences trimmed": sum(target.trimmed for target in targets),
    }
