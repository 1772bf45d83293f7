"""The sections of a report: where each begins and ends, and which of them are to be read.

    FINDINGS: Small left effusion.        -> findings
    Impression - 1. Stable.               -> impression
    LUNGS: Clear.  Pneumothorax: None.    part of the section around it

A heading is one of the phrases of ``corpora.headings`` before a colon or a dash, or alone on its line. Whether it is a
heading or part of a sentence ("there are other findings: ...") is decided by what stands before it and its capitals.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from operator import attrgetter, itemgetter
from typing import Final

from corpora.errors import ConfigError
from corpora.headings import BY_LAST_WORD, INNER_WORDS, NAMED, NAMES
from corpora.types import Report, Section

_READING: Final = frozenset({"findings", "impression", "findings_impression"})
_MOST_LAID_OUT: Final = 64
_WITH_READING: Final = frozenset({"wet_read", "addendum"})
# what follows one of these after a blank line, or under the title of a film, is the reading without a heading
_ONE_PARAGRAPH: Final = frozenset({"indication", "history", "comparison", "technique"})
# words that prose puts before a colon too
_AMBIGUOUS: Final = frozenset(
    "advice assessment clinical communication description exam examination examinations exams finding interpretation "
    "modality observation observations opinion plan preliminary previous prior priors procedure procedures projection "
    "projections protocol question reason report result results studies study summary symptom symptoms technique "
    "techniques view views".split()
)
# a heading even in lower case in the midst of a line that has no full stops ...
_STRONG: Final = frozenset("findings impression impressions imp conclusion conclusions".split())
# ... unless one of these qualifies it: "the following findings:"
_QUALIFIERS: Final = frozenset(
    "a abdominal abnormal above acute additional all an ancillary and any associated below bone bony cardiac chest "
    "chronic clinical critical diagnostic first following for from further general her his important in incidental "
    "initial its key lung lungs main major mediastinal minor miscellaneous my negative new no nonacute normal of or "
    "osseous other our pertinent pleural positive previous prior pulmonary radiographic radiological relevant same "
    "secondary significant similar skeletal some specific such that the these this those to unexpected vascular with "
    "your".split()
)
_TITLE_WORDS: Final = frozenset("cxr chest x-ray xray x-rays radiograph radiographs".split())
_TITLE_ENDS: Final = _TITLE_WORDS | frozenset("view views pa ap lateral lat portable".split())


# a heading in start:end and the section it begins; if names follow, it counts only inside a section so named
_Mark = tuple[int, int, str, frozenset[str] | None]


# one character where the separator is; a dash must have white space after it
_SEPARATORS: Final = (":", "- ", "\u2013 ", "\u2014 ", "-\n", "-\r")
_PADDING: Final = " \t\r\xa0*_-\u2013\u2014"
_BULLETS: Final = " \t\xa0*#_>([\"'-"
# headings without a separator: alone on their line, or capitals before a sentence; a rule ends a wet read
_LINE: Final = re.compile(
    r"\n[ \t\xa0]*+[*#]*+[ \t]*+(?:(?P<rule>_{5,})|(?P<wet>WET READ(?: VERSION #?\d+)?)(?= [^:\n]*(?:\d:|\n))|"
    r"(?P<alone>[A-Za-z][A-Za-z /&(),-]{1,40}+)[ \t\xa0\r*_]*+(?=\n|\Z)|"
    r"(?P<capitals>[A-Z](?:[A-Z/&()]++[ \t]++)+)(?=[A-Z][a-z]|A |\d+[.)]))"
)
_UNDERLINES: Final = ("-----", "=====", "_____")
_TIMESTAMP: Final = re.compile(r"[_ \t\d:/.,#-]*(?:[AaPp][Mm]\b)?[^\S\n]*(?=\n)")
_BLANK_LINE: Final = re.compile(r"\n[^\S\n]*\n")
# a line shorter than this share of the longest one was ended on purpose
_FULL_LINE: Final = 0.75
_NEW_STATEMENT: Final = re.compile(r"\s*[A-Z\d*\u2022-]")
_TEMPLATE_LINE: Final = re.compile(r"[^\S\n]*[A-Z][A-Za-z]*(?:[ /&,]+[A-Za-z]+){0,4}[^\S\n]*:")
_ASCII_LOWER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_ENDS_SENTENCE: Final = frozenset(".!?:;)]_*|>\"'-\u2013\u2022\u201d")


def heading_name(heading: str) -> str | None:
    """The name of the section that ``heading`` begins, ``None`` if it is not known as one.

    >>> heading_name("Clinical History"), heading_name("LUNGS")
    ('history', None)
    """
    return NAMED.get(" ".join(heading.lower().split()))


def split_sections(text: str) -> tuple[Section, ...]:
    """The sections of a free-text report, in order; bodies without heading and surrounding white space, none empty.

    >>> text = "INDICATION: Cough. FINDINGS: Clear lungs. Impression: Normal."
    >>> [(part.name, text[part.start : part.end]) for part in split_sections(text)]
    [('indication', 'Cough.'), ('findings', 'Clear lungs.'), ('impression', 'Normal.')]
    """
    marks = _marks(text)
    headed = any(mark[2] in ("findings", "findings_impression") for mark in marks)
    found: list[Section] = []
    name, begin = "body", 0
    for start, end, next_name, ends in marks:
        if start >= begin and (ends is None or name in ends):
            _add(found, text, name, begin, start, headed)
            name, begin = next_name, end
    _add(found, text, name, begin, len(text), headed)
    return tuple(found)


def _add(found: list[Section], text: str, name: str, begin: int, end: int, headed: bool) -> None:
    body = text[begin:end].lstrip()
    if body.startswith(_UNDERLINES):
        body = body.lstrip(body[0]).lstrip()
    begin, end = end - len(body), end - len(body) + len(body.rstrip())
    if end <= begin:
        return
    paragraph = _paragraph_end(text, begin, end, headed) if name in _ONE_PARAGRAPH else None
    if paragraph is None:
        found.append(Section(name, begin, end))
        return
    found.append(Section(name, begin, begin + len(text[begin:paragraph].rstrip())))
    _add(found, text, "body", paragraph, end, headed)


def _paragraph_end(text: str, begin: int, end: int, headed: bool) -> int | None:
    """Where the one paragraph of an indication, technique ... ends; None if that is the section's end.

    At a blank line; and, in a report whose findings have no heading (not ``headed``), behind a line that is not full or
    before a line of a template ("HEART: normal").
    """
    blank = _BLANK_LINE.search(text, begin, end)
    last = blank.start() if blank else end
    if not headed:
        full = _FULL_LINE * max(len(line) for line in text[begin:end].split("\n"))
        line = begin
        while (at := text.find("\n", line, last)) >= 0:
            short = at - line < full
            if _TEMPLATE_LINE.match(text, at + 1, end) or (short and _NEW_STATEMENT.match(text, at + 1, end)):
                return at
            line = at + 1
    return blank.start() if blank else None


def _marks(text: str) -> list[_Mark]:
    marks: list[_Mark] = []
    for separator in _SEPARATORS:
        at = text.find(separator)
        while at >= 0:
            mark = _leads_line(text, at) or _before_separator(text, at)
            if mark:
                marks.append(mark)
            at = text.find(separator, at + 1)
    # the line break in front makes the first line one like the others
    for hit in _LINE.finditer("\n" + text):
        mark = _without_separator(text, hit)
        if mark:
            marks.append(mark)
    marks.sort(key=itemgetter(0))
    return marks


def _leads_line(text: str, at: int) -> _Mark | None:
    """The usual case, quickly: the heading is all there is between the line break and the separator."""
    line = text.rfind("\n", max(0, at - 41), at) + 1
    if at - line > 40 or (line > 1 and text[line - 2].isalpha() and _is_wrapped(text, line)):
        return None
    known = _known_line(text[line:at], text[at] == ":")
    return (line + known[0], _past_separator(text, at, known[1]), known[1], None) if known else None


def _is_wrapped(text: str, line: int) -> bool:
    """Whether the line before may hold the first words of a phrase: REASON FOR / EXAMINATION."""
    return text[max(0, line - 16) : line].split()[-1].lower() in INNER_WORDS


@lru_cache(maxsize=4096)
def _known_line(line: str, colon: bool) -> tuple[int, str] | None:
    phrase = line.strip(_PADDING).lstrip(_BULLETS)
    words = phrase.lower().split()
    name = NAMED.get(" ".join(words))
    # in lower case it may be the end of a wrapped sentence
    if name is None or not phrase[0].isupper():
        return None
    if not colon and words[-1] in _AMBIGUOUS and not phrase.isupper():
        return None
    return len(line) - len(line.lstrip()), name


def _before_separator(text: str, at: int) -> _Mark | None:
    begin = max(0, at - 60)
    window = _fold(text[begin:at]).rstrip(_PADDING)
    last = window[window.rfind(" ") + 1 :]
    phrases = _phrases_ending(last)
    if phrases is None:
        return None
    end = begin + len(window)
    spaced = " ".join(window.split())
    for phrase, name in phrases:
        if spaced.endswith(phrase):
            start = begin + _phrase_start(window, phrase)
            if start >= begin and _is_heading(text, start, end, at, name):
                return start, _past_separator(text, at, name), name, None
    return _title(text, end, at)


@lru_cache(maxsize=4096)
def _phrases_ending(last: str) -> tuple[tuple[str, str], ...] | None:
    """The phrases that end in the last word before a separator; None if neither a heading nor a title does."""
    word = last.rpartition("\n")[2]
    phrases = BY_LAST_WORD.get(word) or BY_LAST_WORD.get(word.rpartition(".")[2].lstrip(_BULLETS))
    if phrases is None and word.rstrip(")") in _TITLE_ENDS:
        return ()
    return phrases


def _fold(text: str) -> str:
    folded = text.lower()
    # a few capitals, such as the Turkish dotted I, grow when lowered
    return folded if len(folded) == len(text) else text.translate(_ASCII_LOWER)


def _phrase_start(window: str, phrase: str) -> int:
    """Where ``phrase``, with any white space between its words, begins at the end of ``window``; -1 inside a word."""
    end = len(window)
    for word in reversed(phrase.split()):
        end = len(window[:end].rstrip()) - len(word)
    return -1 if end > 0 and (window[end - 1].isalnum() or window[end - 1] in "/&") else end


def _is_heading(text: str, start: int, end: int, at: int, name: str) -> bool:
    before = text[max(0, start - 80) : start]
    stripped = before.rstrip()
    gap = before[len(stripped) :]
    on_line_start = not stripped or "\n" in gap
    clean = not stripped or stripped[-1] in _ENDS_SENTENCE or gap.count("\n") > 1
    heading = text[start:end]
    upper, titled = heading.isupper(), heading[0].isupper()
    ambiguous = heading.lower().split()[-1] in _AMBIGUOUS
    if text[at] != ":":
        spaced = text[at + 1 : at + 2] in {"", " ", "\t", "\r", "\n", "-"}
        return spaced and ((upper and (on_line_start or clean)) or (on_line_start and titled and not ambiguous))
    if ambiguous and not upper:
        in_line = titled and name not in _ONE_PARAGRAPH
        return (on_line_start and titled) or (clean and (on_line_start or in_line))
    if on_line_start or clean:
        return True
    previous = stripped.rsplit(None, 1)[-1].strip(",;")
    if name in _READING:
        return (upper or heading.lower() in _STRONG) and previous.lower() not in _QUALIFIERS
    return upper and not previous.isupper()


def _past_separator(text: str, at: int, name: str) -> int:
    end = at + 1
    while end < len(text) and text[end] in ":*-\u2013\u2014":
        end += 1
    return _past_timestamp(text, end) if name == "wet_read" else end


def _past_timestamp(text: str, end: int) -> int:
    stamp = _TIMESTAMP.match(text, end)
    return stamp.end() if stamp else end


def _title(text: str, end: int, at: int) -> _Mark | None:
    """The name of the film before a colon ("CXR 2 views:"), which ends a section that is not the reading."""
    if text[at] != ":":
        return None
    earliest = max(0, end - 120)
    begin = max(text.rfind("\n", earliest, end), text.rfind(". ", earliest, end)) + 1 or earliest
    words = re.split(r"[\s,()]+", text[begin:end].lower().strip())
    if len(words) > 8 or ":" in text[begin:end] or _TITLE_WORDS.isdisjoint(words):
        return None
    return begin, at + 1, "body", _ONE_PARAGRAPH


def _without_separator(text: str, hit: re.Match[str]) -> _Mark | None:
    kind = str(hit.lastgroup)
    # the match is in the text with a line break in front: it begins where the line does
    line, end = hit.start(), hit.end(kind) - 1
    if kind == "rule":
        return line, end, "body", _WITH_READING
    if kind == "wet":
        return line, _past_timestamp(text, end), "wet_read", None
    heading = hit[kind].rstrip(_PADDING)
    name = NAMED.get(" ".join(heading.lower().split()))
    if name is None or (kind == "alone" and not _may_stand_alone(text, line, heading)):
        return None
    return line, end, name, None


def _may_stand_alone(text: str, line: int, heading: str) -> bool:
    """Whether a phrase alone on its line is a heading, or the last word of a wrapped sentence."""
    before = text[max(0, line - 120) : line]
    written = before.rstrip()
    if not written or written[-1] in _ENDS_SENTENCE or before[len(written) :].count("\n") > 1:
        return True
    return heading.isupper() and any(map(str.islower, written.rpartition("\n")[2]))


def select(report: Report, wanted: str = "findings,impression") -> list[Section]:
    """The ``wanted`` sections of ``report`` in the order of its text.

    ``wanted`` is names with commas between them; ``impression|findings`` is the first of the two that the report has.
    ``findings`` and ``impression`` also stand for a section that is both, for wet reads and addenda. The text without
    headings is read where findings are wanted and no section has them, or where nothing else that is wanted is there;
    recommendations where they are all that could be read.
    A report that comes without sections is split here. Raises ``ConfigError`` (``config.section``) for a name that
    no section can have.

    >>> [part.name for part in select(Report("1", "HISTORY: Fall.\\n\\nNo fracture."))]
    ['body']
    """
    sections = report.sections or split_sections(report.text)
    names = tuple([section.name for section in sections])
    chosen = _chosen(names, wanted) if len(sections) <= _MOST_LAID_OUT else _chosen.__wrapped__(names, wanted)
    found = [sections[index] for index in chosen]
    if len(found) > 1:
        found.sort(key=_BY_START)
    return found


_BY_START: Final = attrgetter("start")


@lru_cache(maxsize=4096)
def _chosen(present: tuple[str, ...], wanted: str) -> tuple[int, ...]:
    """Which of the sections with the names ``present`` are the ``wanted`` ones; few combinations ever occur."""
    groups = _parse(wanted)
    names: set[str] = set()
    for group in groups:
        names |= next((found for name in group if (found := _also(name) & set(present))), set())
    if any(name in _READING for group in groups for name in group):
        # a wet read or an addendum comes beside the reading and does not stand in for it; before an impression,
        # text without a heading is the findings
        if not names or (("findings",) in groups and names.isdisjoint(_also("findings"))):
            names |= {"body"} & set(present)
        names |= _WITH_READING & set(present)
        names = names or {"recommendation"}
    return tuple(index for index, name in enumerate(present) if name in names)


def _also(name: str) -> frozenset[str]:
    return frozenset({name, "findings_impression"}) if name in _READING else frozenset({name})


@cache
def _parse(wanted: str) -> tuple[tuple[str, ...], ...]:
    groups = tuple(tuple(name.strip().lower() for name in group.split("|")) for group in wanted.split(","))
    for name in (name for group in groups for name in group):
        if name not in NAMES:
            raise _unknown(name)
    return groups


def _unknown(name: str) -> ConfigError:
    from corpora.registry import unknown

    error = unknown("config.section", "section", name, NAMES)
    return ConfigError(error.code, error.message, where="sections")
