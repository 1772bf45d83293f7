"""What is left in texts: words of source headers, and what looks like a date, a number, a name, an address."""

# ruff: noqa: RUF001 - apostrophes as they are printed
from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from corpora.scan.types import Terms, plain

_MONTH: Final = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-zä]*|märz|mai|juni|juli|okt\w*|dez\w*|janvier|février|avril|juin|juillet|août|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre"  # noqa: E501
#: By name of what it looks like. Values of numbers with decimals, levels, ratios are none of these.
PATTERNS: Final = {
    "date": re.compile(
        r"(?<![\d./-])(?:(?:19|20)\d\d[-/.][01]?\d[-/.][0-3]?\d|[0-3]?\d[-/.][0-3]?\d[-/.](?:(?:19|20)\d\d|\d\d))(?![\d./-]*\d)"
        rf"|\b[0-3]?\d(?:st|nd|rd|th|\.)?[ -](?:of )?(?:{_MONTH})\.?,?[ -]+(?:19|20)\d\d\b|\b(?:{_MONTH})\.? [0-3]?\d(?:st|nd|rd|th)?,? (?:19|20)\d\d\b",  # noqa: E501
        re.IGNORECASE,
    ),
    "e-mail": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    "web address": re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE),
    "phone": re.compile(
        r"(?<![\d.-])(?:\(\d{3}\) ?|\d{3}[-.])\d{3}[-.]\d{4}(?!\d)|(?<![\w.])\+\d{1,3}[ ./-]?(?:\(?\d{1,5}\)?[ ./-]?){2,5}\d{2,}"  # noqa: E501
        r"|\b(?:tel|phone|fax|pager)\b\W{0,4}\d[\d -]{4,}", re.IGNORECASE,
    ),
    "social security number": re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"),
    "number": re.compile(r"(?<![\d.,\w^-])\d{6,}(?![\d]|[.,]\d)"),
    "id": re.compile(r"\b(?:MRN|accession(?: number| no)?|patient id|acc#?)\b\W{0,4}(?=[\w-]*\d)(?!\[)[\w-]{4,}", re.IGNORECASE),  # noqa: E501
    "name after a title": re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|Herr|Frau|Mme|Señora?|Sra)\b\.?\s+(?:[A-Z]\.\s*)*[A-ZÀ-Ž][a-zà-ž]+"),  # noqa: E501
    "name after a label": re.compile(
        r"\b(?i:patient(?: name)?|name|signed(?: by)?|dictated by|referring physician|radiologist|attending|transcribed by)\s*:\s*"  # noqa: E501
        r"[A-ZÀ-Ž][a-zà-ž'’-]+,?\s+[A-ZÀ-Ž][a-zà-ž'’.-]*"
    ),
    "age over 89": re.compile(r"(?<![\d.])(?:9\d|1[0-2]\d)[ -]?(?:years?|yrs?|y/?o)\b", re.IGNORECASE),
    "street": re.compile(r"\b\d{1,5} (?:[A-Z][\w'.]+ ){1,3}(?:Street|St|Road|Rd|Lane|Avenue|Ave|Drive|Boulevard|Blvd|Crescent)\b"),  # noqa: E501
}  # fmt: skip
#: Names that are words, or names of diseases: they count beside a title or another name alone.
_WORDS: Final = frozenset(
    "may day rose bell marsh long short small young little large hand head chest heart"
    " stone wood hill field brook green"
    " brown white black grey gray gold king prince cook baker carter walker turner smith"
    " page price rich best good sharp"
    " strong high north south east west park lane church hall cross grace hope faith joy dawn mark grant chase ray dean"
    " earl major angel bank waters rivers lake ford bridge mill post case port wall ball ward fair love lord cash power"
    " light lights glass steel keys block burns crane fox wolf lamb bull swan robin hawk"
    " crow hodgkin kerley hickman wegener"
    " cobb paget crohn parkinson alzheimer marfan down graves addison cushing wilson baker"
    " foley greenfield jackson pratt"
    " swan ganz harrington bochdalek morgagni pancoast castleman kaposi ewing zenker"
    " nissen lewis fontan glenn kartagener"
    " general medical center saint university normal stable clear view left right upper"
    " lower lobe lung port line".split()
)
_CAPITAL: Final = re.compile(r"[^\W\d_][^\W\d_'’-]*(?:['’-][^\W\d_]+)*")


def look_for_terms(text: str, terms: Terms, *, running: bool = True) -> Iterator[str]:
    """What of the source is in a text; ``running`` text has words that happen to be names."""
    folded = plain(text)
    if folded in terms.values:
        yield "a whole value"
        return
    words = re.findall(r"[^\W_]+", folded)
    if any(word in terms.words for word in words) or any(
        token in terms.values for token in re.findall(r"[\w.^/-]{5,}", folded) if re.search(r"\d", token)
    ):
        yield "an id"
    if any(token in terms.dates for token in re.findall(r"(?<!\d)\d{8}(?!\d)|\d{12,14}(?:\.\d+)?|\d{6}\.\d+", folded)):
        yield "a date"
    if running and _has_name(text, terms):
        yield "a name"
    if not running and any(word in terms.names and len(word) > 3 for word in words):
        yield "a name"


def _has_name(text: str, terms: Terms) -> bool:
    before = ""
    for match in _CAPITAL.finditer(text):
        parts = [plain(part) for part in re.split(r"['’-]", match[0])] + [plain(match[0])]
        hit = any(part in terms.names and len(part) > 2 for part in parts)
        if hit and match[0][0].isupper():
            if len(parts[-1]) > 3 and parts[-1] not in _WORDS:
                return True
            if before in ("dr", "mr", "mrs", "ms", "prof", "herr", "frau", "name") or before in terms.names:
                return True
        before = parts[-1]
    return False


def look_for_patterns(text: str) -> Iterator[str]:
    """What a text has that looks like something about a person."""
    for name, pattern in PATTERNS.items():
        if pattern.search(text):
            yield name
