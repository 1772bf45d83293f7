"""Labels with their evidence: for a terminal, as JSON, as a page to read.

    explain_text(report, vector)                  a renderable for rich
    to_json(report, vector)                       for programs
    explain_html([(report, vector)], "Audit")     one page, nothing to load, no script

Text is shown as it is, except for characters that would change how the rest is shown: these become visible ones, one
for one. Nothing is said by colour alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from corpora.labels import STATE_NAMES, State
from corpora.sections import select, split_sections
from corpora.types import Report, Section
from labeler.reasons import CUES, ROLES, Answer, Reason, answers
from labeler.schemas import RulesSchema
from labeler.types import Cue, LabelVector, Mention

if TYPE_CHECKING:
    from jinja2 import Template
    from rich.console import RenderableType
    from rich.text import Text

_MARKS: Final[dict[State, str]] = {1: "+", 0: "\u2212", -1: "?", None: ""}
_ROLE_MARKS: Final = dict(zip(ROLES, ("+", "?", "\u2212", "!", "\u00d7"), strict=True))
_STYLES: Final = {
    "positive": "bold dark_orange", "uncertain": "bold yellow", "negative": "bold deep_sky_blue1",
    "abnormality": "bold", "uncounted": "dim", "blank": "dim",
}  # fmt: skip
# characters of context that a terminal shows on each side
_AROUND: Final = 40

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
    return "; ".join(f"\u201c{_words(text, cue)}\u201d {CUES.get(cue.kind, cue.kind)}" for cue in mention.cues)


# ---- terminal


def explain_text(report: Report, vector: LabelVector, *, schema: RulesSchema | None = None) -> RenderableType:
    """A table of labels, states and evidence, then what was seen and not counted; the words meant stand in \u00bb\u00ab.

    ``schema`` and errors as ``labeler.reasons.answers``.
    """
    from rich.console import Group
    from rich.text import Text

    found = answers(report, vector, schema)
    rows = [_label_row(report.text, answer) for answer in found]
    parts: list[RenderableType] = [_table(("Label", "State", "Why"), rows)]
    uncounted = [
        (Text(visible(answer.label)), _evidence(report.text, reason))
        for answer in found
        for reason in answer.reasons
        if reason.role == "uncounted"
    ]
    if uncounted:
        parts += [Text("\nSeen and not counted", style="bold"), _table(("Label", "Why"), uncounted)]
    made = ", ".join(part for part in (vector.study_id, vector.schema, vector.made_by) if part)
    return Group(*parts, Text(made.translate(_ONE_LINE), style="dim"))


def _table(headings: Iterable[str], rows: Iterable[Iterable[Text]]) -> RenderableType:
    from rich.table import Table

    table = Table(*headings, show_lines=True)
    for row in rows:
        table.add_row(*row)
    return table


def _label_row(text: str, answer: Answer) -> tuple[Text, Text, Text]:
    from rich.text import Text

    name = STATE_NAMES[answer.state]
    lines = [Text(answer.said)] if answer.said else []
    lines += [_evidence(text, reason) for reason in answer.reasons if reason.role != "uncounted"]
    state = Text(f"{_MARKS[answer.state]} {name}".strip(), style=_STYLES[name], no_wrap=True)
    return Text(answer.label.translate(_ONE_LINE)), state, Text("\n").join(lines)


def _evidence(text: str, reason: Reason) -> Text:
    """A mention in its context, and below it the rule and the cues."""
    from rich.text import Text

    notes = _cue_notes(text, reason.mention)
    why = f"\n  {reason.why}{f' ({notes})' if notes else ''}"
    return _in_context(text, reason).append_text(Text(why, style="" if reason.counts else "dim"))


def _in_context(text: str, reason: Reason) -> Text:
    from rich.text import Text

    mention = reason.mention
    spans = (mention, *mention.cues)
    start, end = _widened(text, min(span.start for span in spans), max(span.end for span in spans))
    line = Text(text[start:end].translate(_ONE_LINE))
    for cue in mention.cues:
        line.stylize("underline", cue.start - start, cue.end - start)
    line.stylize(_STYLES[reason.role], mention.start - start, mention.end - start)
    before, after = line[: mention.start - start], line[mention.end - start :]
    words = line[mention.start - start : mention.end - start]
    left, right = ("\u2026 " if text[:start].strip() else ""), (" \u2026" if text[end:].strip() else "")
    return Text.assemble(left, before, "\u00bb", words, "\u00ab", after, right)


def _widened(text: str, start: int, end: int) -> tuple[int, int]:
    """``start:end`` with the whole words around it that fit."""
    left, right = max(0, start - _AROUND), min(len(text), end + _AROUND)
    before, after = text[left:start], text[end:right]
    if left and not text[left - 1].isspace():
        before = before[len(before.split(maxsplit=1)[0]) :] if before.strip() else ""
    if right < len(text) and not text[right].isspace():
        after = after[: -len(after.rsplit(maxsplit=1)[-1])] if after.strip() else ""
    return start - len(before.lstrip()), end + len(after.rstrip())


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
    cue: bool
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
    text = report.text
    parts = report.sections or split_sections(text)
    parts_at = _parts_at(Report(report.study_id, text, parts), wanted)
    reasons = sorted((reason for answer in found for reason in answer.reasons), key=lambda reason: reason.number)
    cues = [cue for mention in vector.mentions for cue in mention.cues]
    opening, cue_depth = defaultdict(list), defaultdict(int)
    for reason in reasons:
        opening[reason.mention.start].append(reason)
    for cue in cues:
        cue_depth[cue.start] += 1
        cue_depth[cue.end] -= 1
    ends = {reason.mention.end for reason in reasons}
    cuts = sorted({0, len(text), *parts_at, *opening, *cue_depth, *ends})
    covering: list[Reason] = []
    depth, part, heading = 0, "heading", ""
    for start, end in pairwise(cuts):
        part, heading = parts_at.get(start, (part, ""))
        depth += cue_depth.get(start, 0)
        covering = [reason for reason in covering if reason.mention.end > start] + opening.get(start, [])
        anchors = tuple(reason.number for reason in opening.get(start, ()))
        tags = _tags(vector, [reason for reason in covering if reason.mention.end == end])
        role = min((reason.role for reason in covering), key=ROLES.index, default="")
        yield _Piece(text[start:end], heading, part, role, depth > 0, _note(covering), anchors, tags)
