"""What radiologists call the sections of a report."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

# "(s)" stands for the singular, the plural and the literal "(s)"
_PHRASES: Final[dict[str, str]] = {
    "findings": "finding(s), chest findings, lung findings, x-ray findings, radiographic findings, imaging findings, "
    "radiological findings, result(s), observation(s), report, narrative, description",
    "impression": "impression(s), imp, conclusion(s), opinion(s), summary, interpretation(s), assessment, "
    "assessment and plan, assessment/plan, impression and plan, impression/plan, final impression, overall impression, "
    "impression and recommendation(s), impression/recommendation(s), conclusion and recommendation(s), "
    "conclusion/recommendation(s), summary and recommendation(s), radiological opinion",
    "findings_impression": "",
    "indication": "indication(s), clinical indication(s), clinical information, clinical info, clinical details, "
    "clinical data, clinical question(s), clinical statement, clinical summary, clinical background, clinical notes, "
    "clinical context, clinical request, clinical, clinical diagnosis, clinical impression, provisional diagnosis, "
    "admitting diagnosis, relevant clinical information, question, reason, reason for exam(s), reason for examination, "
    "reason for this exam, reason for this examination, reason for study, reason for this study, reason for x-ray, "
    "reason for visit, reason for referral, reason for request, indication for exam, indication for examination, "
    "indication for study, indication/history, indication and history, history/indication, history and indication, "
    "clinical history/indication, symptom(s), chief complaint, presenting complaint",
    "history": "history, hx, clinical history, clinical hx, medical history, past medical history, patient history, "
    "brief history, relevant history, history of present illness, hpi, pmh",
    "comparison": "comparison(s), comparison study, comparison studies, comparison exam(s), comparison examination(s), "
    "comparison film(s), comparison is made to, compared to, compared with, prior(s), prior study, prior studies, "
    "prior exam(s), prior examination(s), prior film(s), prior imaging, previous, previous study, previous studies, "
    "previous exam(s), previous examination(s), previous film(s), previous imaging",
    "technique": "technique(s), procedure(s), procedure comment(s), procedure description, exam(s), exam date, "
    "exam type, exam performed, exam description, date of exam, type of exam, examination(s), examination performed, "
    "date of examination, type of examination, study, study date, study type, study performed, study description, "
    "view(s), number of views, technique and views, projection(s), protocol, modality",
    "recommendation": "recommendation(s), suggestion(s), recommendation(s) and suggestion(s), "
    "recommendation(s)/suggestion(s), follow-up recommendation(s), plan, advice",
    "wet_read": "wet read, wet-read, wet reading, preliminary report, preliminary read, preliminary reading, "
    "preliminary interpretation, preliminary, prelim report, prelim read, prelim",
    "addendum": "addendum, addenda, addendum report, supplementary report",
    "notification": "notification(s), communication, critical result(s), critical results communication, "
    "discussion of results",
    "body": "final report, final read, final reading, radiology report, x-ray report",
}

#: The names a section can have.
NAMES: Final = tuple(_PHRASES)


def _spell(phrase: str) -> Iterator[str]:
    parts = phrase.split("(s)")
    for endings in product(("", "s", "(s)"), repeat=len(parts) - 1):
        yield "".join(part + ending for part, ending in zip(parts, (*endings, ""), strict=True))


def _phrases() -> Iterator[tuple[str, str]]:
    for name, listed in _PHRASES.items():
        for phrase in filter(None, listed.split(", ")):
            yield from ((spelled, name) for spelled in _spell(phrase))
    joiners = ("/", " / ", " and ", " & ", "-", " - ", ", ")
    lasts = ("impression(s)", "conclusion(s)", "opinion", "interpretation")
    for joiner, last in product(joiners, lasts):
        yield from ((spelled, "findings_impression") for spelled in _spell(f"finding(s){joiner}{last}"))


#: The section that a heading in lower case begins.
NAMED: Final = dict(_phrases())


def _by_last_word() -> dict[str, tuple[tuple[str, str], ...]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for phrase, name in sorted(NAMED.items(), key=lambda item: -len(item[0])):
        found.setdefault(phrase.split()[-1], []).append((phrase, name))
    return {last: tuple(phrases) for last, phrases in found.items()}


#: Headings with their sections by their last word, the longest first.
BY_LAST_WORD: Final = _by_last_word()
#: Words that a heading goes on behind.
INNER_WORDS: Final = frozenset(word for phrase in NAMED for word in phrase.split()[:-1])
