"""Sentences of radiology prose: numbered lists, decimals, abbreviations, no space after the full stop, hard wraps.

>>> text = "1. Heart size 12.5 cm.No effusion 2. Dr. Fox notified.\\nLungs:\\n- clear"
>>> [text[start:end] for start, end in sentences(text)]
['Heart size 12.5 cm.', 'No effusion', 'Dr. Fox notified.', 'Lungs:', 'clear']
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_ABBREVIATIONS = (
    "dr", "drs", "mr", "mrs", "ms", "prof", "vs", "approx", "e.g", "eg", "i.e", "ie", "cf", "st", "fig", "figs", "resp",
    "incl", "ca", "a.m", "p.m", "am", "pm", "min", "max", "ref", "dept", "hosp", "ext", "acc", "inf", "sup", "ant",
    "lat", "bilat", "poss", "prob", "mod",
)  # fmt: skip

# A full stop, with or without a space after it; a line end; a numbered item. Each begins with a character of one small
# set, which is what the pattern looks for first: three times as fast as the alternatives one by one.
_BOUNDARY = re.compile(
    r"[.!?\n\d](?:"
    r"(?P<stop>(?<=[.!?])[.!?]*)(?=[\s\"')\]]|$|(?<=[a-z)%]\.)[A-Z][A-Za-z]|(?<=[a-z]{3}\.)[a-z]{2})"
    r"|(?P<line>(?<=\n))"
    r"|(?P<item>(?<=[\s.]\d)\d?[.)](?=\s+[A-Za-z])))"
)
# Between two sentences whatever stands around them: full stops behind a word that is no abbreviation, and a space; the
# next one may have a number of a list in front. Splitting here first is quick, and most of the pieces are single
# sentences. The full stop comes first in the pattern because that is what can be searched for quickly.
_SURE = re.compile(
    r"\.(?<=[A-Za-z]{3}\.|___\.)(?<!\b(?i:drs|mrs|max|min|ref|ext|acc|inf|sup|ant|lat|mod|fig)\.)"
    r"(?<!\b(?i:prof|figs|resp|incl|dept|hosp|poss|prob)\.)(?<!\b(?i:bilat)\.)(?<!\b(?i:approx)\.)"
    r"\.{0,2} (?=[A-Za-z\d])(?:\d\d?[.)] (?=[A-Z]))?"
)
_FIRST_OF_LIST = re.compile(r"\d\d?[.)] (?=[A-Z])")
# the rules' time grows with the square of a sentence's length, and nobody writes one of this length
_LONGEST_SENTENCE = 4000
# text that begins with a letter, without one of these and without a space shortly before its last character
_DOUBTFUL = ".!?)\\t-\\r\\x1c-\\x1f\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
_ONE_SENTENCE = re.compile(
    f"[A-Za-z](?:(?:[^{_DOUBTFUL}]{{0,{_LONGEST_SENTENCE - 4}}}[^ {_DOUBTFUL}]{{2}}|[^ {_DOUBTFUL}]?)[^.])?", re.DOTALL
)
_ANSWER = re.compile(r"(?:No|NO|Yes|YES)\b")
_LEADING = re.compile(r"[\s\-*•·.]*(?:\(?\d{1,2}[.)](?=\s|[A-Z]))?[\s\-*•·]*")
_NEW_LINE_STARTS = re.compile(r"\s*(?:$|[-*•·]|\(?\d{1,2}[.)]\s|[A-Z][A-Za-z/&, ]{0,40}:|\n)")
_ABBREVIATED = re.compile(rf"\b(?:{'|'.join(re.escape(a) for a in _ABBREVIATIONS)}|[A-Z])$", re.IGNORECASE)
_SHORT_LINE = 0.6
# dots that lead from a heading to what is said of it ("Heart size ..... normal")
_LEADER = 4


def pieces(text: str) -> list[str]:
    """``text`` cut where a sentence surely ends; a piece may hold several sentences.

    The full stops and the space there, those at the end, and the numbers of a list are dropped: a sentence is the same
    piece wherever it stands.

    The sentences of the text, less the full stops at their ends, are those of its pieces. Text with line ends is one
    piece: where a line is short depends on the lines around it.
    """
    if "\n" in text:
        return [text]
    first = _FIRST_OF_LIST.match(text)
    end = len(text) - 1 if text.endswith(".") and text[-4:-1].isalpha() else len(text)
    return _SURE.split(text[first.end() if first else 0 : end])


def are_sentences(texts: Iterable[str]) -> Iterator[bool]:
    """Whether it is plain to see of each text that it is one sentence, without a full stop at its end."""
    return map(bool, map(_ONE_SENTENCE.fullmatch, texts))


class Abbreviations:
    """The abbreviations of a language: ``always`` inside a sentence, and those only ``before_lower`` case."""

    def __init__(self, always: Iterable[str], before_lower: Iterable[str] = ()) -> None:
        self.always = _ending_in((*always, *_ABBREVIATIONS))
        self.before_lower = _ending_in(before_lower)


def _ending_in(abbreviations: Iterable[str]) -> re.Pattern[str]:
    words = [re.escape(word.removesuffix(".")) for word in sorted(abbreviations, key=len, reverse=True)]
    return re.compile(rf"(?<!\w)(?:{'|'.join(words) or '(?!)'})$", re.IGNORECASE)


def sentences(
    text: str, start: int = 0, end: int | None = None, abbreviations: Abbreviations | None = None
) -> list[tuple[int, int]]:
    """Spans of the sentences in ``text[start:end]``, without list marks and surrounding white space.

    ``abbreviations`` are those of another language than English.
    """
    end = len(text) if end is None else end
    if _ONE_SENTENCE.fullmatch(text, start, end):
        return [(start, end)]
    spans: list[tuple[int, int]] = []
    begin = start
    width = 0
    for found in _BOUNDARY.finditer(text, start, end):
        at = found.start()
        cut = found.end()
        if found.lastgroup == "line":
            width = width or _width(text, start, end)
            if not _breaks(text, at, start, end, width):
                continue
            cut = at
        elif found.lastgroup == "item":
            if not text[begin:at].strip():
                continue
            cut = at
        elif _inside(text, at, cut, begin, end) or (
            abbreviations is not None and _abbreviates(text, at, cut, begin, abbreviations)
        ):
            continue
        _append(spans, text, begin, cut)
        begin = cut
    _append(spans, text, begin, end)
    return spans


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    leading = _LEADING.match(text, start, end)
    start = leading.end() if leading else start
    while end > start and text[end - 1].isspace():
        end -= 1
    while end - start > _LONGEST_SENTENCE:
        limit = start + _LONGEST_SENTENCE
        cut = text.rfind(" ", start + 1, limit) + 1 or limit
        spans.append((start, cut))
        start = cut
    if end > start:
        spans.append((start, end))


def _inside(text: str, at: int, after: int, begin: int, end: int) -> bool:
    """Whether the stop at ``at`` is no sentence end: abbreviation, list number, "? pneumonia", "(...?)"."""
    if text[at] == ".":
        head = text[max(begin, at - 8) : at]
        if after - at >= _LEADER and text[after : after + 2].lstrip()[:1].islower():
            return True
        if after - at == 1 and _ABBREVIATED.search(head):
            following = text[after : after + 3].lstrip()
            return not (following[:1].isupper() and head[-1:].isupper() and len(head.split()[-1]) > 1)
        return head.strip().isdigit() and text[begin:at].strip().isdigit()
    following = text[after : min(end, after + 5)].lstrip()
    return text[at] == "?" and (following[:1].islower() or bool(_ANSWER.match(following)))


def _abbreviates(text: str, at: int, after: int, begin: int, abbreviations: Abbreviations) -> bool:
    if text[at] != "." or after - at != 1:
        return False
    head = text[max(begin, at - 12) : at]
    lower = text[after : after + 3].lstrip()[:1].islower()
    return bool(abbreviations.always.search(head) or (lower and abbreviations.before_lower.search(head)))


def _width(text: str, start: int, end: int) -> int:
    return max(len(line) for line in text[start:end].split("\n"))


def _breaks(text: str, at: int, start: int, end: int, width: int) -> bool:
    """Whether the line end at ``at`` ends a sentence, or only wraps it."""
    if _NEW_LINE_STARTS.match(text, at + 1, end):
        return True
    line_start = max(start, text.rfind("\n", start, at) + 1)
    line = text[line_start:at].rstrip()
    if not line or line[-1] in ".:;!?":
        return True
    following = text[at + 1 : min(end, at + 40)].lstrip()
    return len(line) < _SHORT_LINE * width and not following[:1].islower()
