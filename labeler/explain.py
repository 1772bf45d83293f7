"""Labels with their evidence: for a terminal, as JSON, as a page to read.

    explain_text(report, vector)                  a renderable for rich
    to_json(report, vector)                       for programs
    explain_html([(report, vector)], "Audit")     one page, nothing to load, no script

Text is shown as it is, except for characters that would change how the rest is shown: these become visible ones, one
for one. Nothing is said by colour alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from corpora.labels import STATE_NAMES, State
from corpora.sections import select, split_sections
from corpora.types import Report
from labeler.reasons import CUES, ROLES, Answer, Reason, answers
from labeler.rules.sentences import sentences
from labeler.schemas import RulesSchema
from labeler.types import Cue, LabelVector, Mention

if TYPE_CHECKING:
    from jinja2 import Template
    from rich.console import RenderableType
    from rich.text import Text

_MARKS: Final[dict[State, str]] = {1: "+", 0: "\u2212", -1: "?", None: ""}
_ROLE_MARKS: Final = dict(zip(ROLES, ("+", "?", "\u2212", "!", "\u2713", "\u00d7"), strict=True))
_STYLES: Final = {
    "positive": "bold dark_orange", "uncertain": "bold yellow", "negative": "bold deep_sky_blue1",
    "abnormality": "bold", "normality": "bold", "uncounted": "dim", "blank": "dim",
}  # fmt: skip
# characters of context that a terminal shows on each side
_AROUND: Final = 60

# pictures for control characters; U+FFFD for what turns the direction of a line or has no encoding
_VISIBLE: Final[dict[int, int]] = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n\r"},
    0x7F: 0x2421,
    **dict.fromkeys([*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD),
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
}
_ONE_LINE: Final = dict.fromkeys(map(ord, "\t\n\r\v\f\u2028\u2029"), " ") | {
    code: picture for code, picture in _VISIBLE.items() if chr(code) not in "\v\f"
}


def visible(text: str) -> str:
    """``text`` with control characters, text direction overrides and lone surrogates shown, its length unchanged.

    >>> visible("a\\0b\\x1b[31m")
    'a\u2400b\u241b[31m'
    """
    return text.translate(_VISIBLE)


def to_json(report: Report, vector: LabelVector) -> dict[str, Any]:
    """The vector with its evidence, in JSON's types; states as in a table (1, 0, -1, ``None``), offsets code points.

    >>> from labeler import load
    >>> found = to_json(Report("", "No effusion."), load("rules.v1")("No effusion."))
    >>> found["labels"]["Pleural Effusion"], found["mentions"][0]["cues"]
    (0, [{'start': 0, 'end': 2, 'text': 'No', 'kind': 'negation'}])
    """
    return {
        "study_id": vector.study_id,
        "schema": vector.schema,
        "made_by": vector.made_by,
        "labels": dict(zip(vector.labels, vector.states, strict=True)),
        "mentions": [
            {
                "label": mention.label,
                **_span(report.text, mention),
                "state": mention.state,
                "rule": mention.rule,
                "cues": [{**_span(report.text, cue), "kind": cue.kind} for cue in mention.cues],
            }
            for mention in vector.mentions
        ],
    }


def _span(text: str, span: Mention | Cue) -> dict[str, Any]:
    return {"start": span.start, "end": span.end, "text": text[span.start : span.end]}


def _words(text: str, span: Mention | Cue) -> str:
    return text[span.start : span.end].translate(_ONE_LINE)


def _cue_notes(text: str, mention: Mention) -> str:
    """The words of each cue and what they do: ``“No” denies; “likely” affirms``."""
    notes = (f"\u201c{_words(text, cue)}\u201d {CUES.get(cue.kind, cue.kind)}" for cue in mention.cues)
    return "; ".join(notes).translate(_ONE_LINE)


# ---- terminal


class _Prose(NamedTuple):
    """A report's text and where its sentences are."""

    text: str
    sentences: list[tuple[int, int]]


def explain_text(report: Report, vector: LabelVector, *, schema: RulesSchema | None = None) -> RenderableType:
    """A table of labels, states and evidence, then what was seen and not counted. Guillemets enclose a mention.

    ``schema`` and errors as ``labeler.reasons.answers``.
    """
    from rich.console import Group
    from rich.text import Text

    found = answers(report, vector, schema)
    sections = report.sections or split_sections(report.text)
    prose = _Prose(
        report.text, [span for section in sections for span in sentences(report.text, section.start, section.end)]
    )
    parts: list[RenderableType] = [_table(("Label", "State", "Why"), [_label_row(prose, answer) for answer in found])]
    uncounted = [
        (Text(answer.label.translate(_ONE_LINE)), _evidence(prose, reason))
        for answer in found
        for reason in answer.reasons
        if reason.role == "uncounted"
    ]
    if uncounted:
        parts += [Text("Seen and not counted", style="bold"), _table(("Label", "Why"), uncounted)]
    made = ", ".join(part for part in (vector.study_id, vector.schema, vector.made_by) if part)
    return Group(*parts, Text(made.translate(_ONE_LINE), style="dim"))


def _table(headings: Iterable[str], rows: Iterable[Iterable[RenderableType]]) -> RenderableType:
    from rich import box
    from rich.table import Table

    table = Table(*headings, box=box.HORIZONTALS, show_lines=True, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    return table


def _label_row(prose: _Prose, answer: Answer) -> tuple[RenderableType, ...]:
    from rich.console import Group
    from rich.text import Text

    name = STATE_NAMES[answer.state]
    state = Text(f"{_MARKS[answer.state]} {name}".strip(), style=_STYLES[name], no_wrap=True)
    evidence = [_evidence(prose, reason) for reason in answer.reasons if reason.role != "uncounted"]
    return (
        Text(answer.label.translate(_ONE_LINE)),
        state,
        Group(*([Text(answer.said.translate(_ONE_LINE))] if answer.said else []), *evidence),
    )


def _evidence(prose: _Prose, reason: Reason) -> RenderableType:
    """A mention in its sentence, and below it the rule and the cues."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    notes = _cue_notes(prose.text, reason.mention)
    why = Text(
        f"{reason.why}{f' ({notes})' if notes else ''}".translate(_ONE_LINE), style="" if reason.counts else "dim"
    )
    return Group(_in_context(prose, reason), Padding(why, (0, 0, 0, 2)))


def _in_context(prose: _Prose, reason: Reason) -> Text:
    from rich.text import Text

    mention = reason.mention
    start, end, before, after = _around(prose, mention)
    line = Text(prose.text[start:end].translate(_ONE_LINE))
    for cue in mention.cues:
        line.stylize("underline", cue.start - start, cue.end - start)
    line.stylize(_STYLES[reason.role], mention.start - start, mention.end - start)
    words = slice(mention.start - start, mention.end - start)
    return Text.assemble(before, line[: words.start], "\u00bb", line[words], "\u00ab", line[words.stop :], after)


def _around(prose: _Prose, mention: Mention) -> tuple[int, int, str, str]:
    """Start and end of the sentence, or of what is near in it; and what stands for the words left out on each side."""
    text = prose.text
    start = min(mention.start, *(cue.start for cue in mention.cues), len(text))
    end = max(mention.end, *(cue.end for cue in mention.cues), 0)
    index = bisect_right(prose.sentences, (start, len(text))) - 1
    first, last = prose.sentences[index] if index >= 0 else (0, len(text))
    first, last = min(first, start), max(last, end)
    left, right = max(first, start - _AROUND), min(last, end + _AROUND)
    while first < left < start and not text[left - 1].isspace():
        left += 1
    while end < right < last and not text[right].isspace():
        right -= 1
    return left, right, "\u2026 " if left > first else "", " \u2026" if right < last else ""


# ---- page


class _Tag(NamedTuple):
    """The note behind a mention: the label it speaks of, what it says, the row of the table."""

    label: str
    role: str
    mark: str
    row: int


class _Piece(NamedTuple):
    """A stretch of the report within which nothing begins or ends."""

    text: str
    heading: str
    part: str
    role: str
    cue: str
    note: str
    anchors: tuple[int, ...]
    tags: tuple[_Tag, ...]


def explain_html(
    reports: Iterable[tuple[Report, LabelVector]],
    title: str,
    *,
    sections: str = "findings,impression",
    schema: RulesSchema | None = None,
) -> str:
    """One self-contained page: each report whole and highlighted, beside a table of its labels with the reasons.

    ``sections`` are those that were labeled, as ``corpora.sections.select`` takes them: the others are shown greyed
    out. ``schema`` and errors as ``labeler.reasons.answers``; ``ConfigError`` for an unknown section.
    """
    views = [_view(report, vector, sections, schema) for report, vector in reports]
    return _template().render(title=title, views=views, marks=_ROLE_MARKS)


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if isinstance(value, str) else value,
    )
    return environment.get_template("explain.html")


def _view(report: Report, vector: LabelVector, sections: str, schema: RulesSchema | None) -> dict[str, Any]:
    found = answers(report, vector, schema)
    return {
        "study_id": report.study_id,
        "vector": vector,
        "pieces": list(_pieces(report, vector, found, sections)),
        "rows": [_page_row(report.text, answer) for answer in found],
    }


def _page_row(text: str, answer: Answer) -> dict[str, Any]:
    return {
        "label": answer.label,
        "state": STATE_NAMES[answer.state],
        "mark": _MARKS[answer.state],
        "said": answer.said,
        "reasons": [
            {
                "number": reason.number,
                "role": reason.role,
                "words": _words(text, reason.mention),
                "why": reason.why,
                "cues": _cue_notes(text, reason.mention),
                "counts": reason.counts,
            }
            for reason in answer.reasons
        ],
    }


def _pieces(report: Report, vector: LabelVector, found: list[Answer], wanted: str) -> Iterator[_Piece]:
    """The report cut wherever a section, a mention or a cue begins or ends."""
    parts = _parts(report, wanted)
    opening: defaultdict[int, list[Reason]] = defaultdict(list)
    for reason in sorted((reason for answer in found for reason in answer.reasons), key=lambda one: one.number):
        opening[reason.mention.start].append(reason)
    all_cues = [cue for mention in vector.mentions for cue in mention.cues]
    cue_starts, cue_ends = Counter(cue.start for cue in all_cues), Counter(cue.end for cue in all_cues)
    ends = {mention.end for mention in vector.mentions}
    covering: list[Reason] = []
    part, depth = "heading", 0
    for start, end in pairwise(sorted({0, len(report.text), *parts, *opening, *cue_starts, *cue_ends, *ends})):
        part, heading = parts.get(start, (part, ""))
        depth += cue_starts[start] - cue_ends[start]
        cue = ["cue", *(["first"] if start in cue_starts else []), *(["last"] if end in cue_ends else [])]
        begun = opening.get(start, [])
        covering = [reason for reason in covering if reason.mention.end > start] + begun
        yield _Piece(
            report.text[start:end], heading, part,
            min((reason.role for reason in covering), key=ROLES.index, default=""), " ".join(cue) if depth else "",
            "\n".join(_note(reason) for reason in covering), tuple(reason.number for reason in begun),
            _tags(vector, (reason for reason in covering if reason.mention.end == end)),
        )  # fmt: skip


def _parts(report: Report, wanted: str) -> dict[int, tuple[str, str]]:
    """Where the bodies of sections begin and end: what follows is ``read``, ``unread`` or ``heading``.

    With it the name of a section that has no heading in the text.
    """
    sections = report.sections or split_sections(report.text)
    read = select(Report(report.study_id, report.text, sections), wanted) if sections else []
    parts: dict[int, tuple[str, str]] = {}
    last = 0
    for section in sections:
        unnamed = section.name != "body" and not report.text[last : section.start].strip()
        heading = section.name.replace("findings_", "findings and ").replace("_", " ") if unnamed else ""
        parts[section.start] = ("read" if section in read else "unread", heading)
        parts[section.end] = ("heading", "")
        last = section.end
    return parts


def _note(reason: Reason) -> str:
    return f"{reason.mention.label}: {reason.role}. {reason.why}"


def _tags(vector: LabelVector, ending: Iterable[Reason]) -> tuple[_Tag, ...]:
    tags = (
        _Tag(reason.mention.label, reason.role, _ROLE_MARKS[reason.role], vector.labels.index(reason.mention.label))
        for reason in ending
    )
    return tuple(dict.fromkeys(tags))
