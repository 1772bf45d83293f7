"""Rows as tasks of Label Studio: a JSON list, and the labelling interface beside it as ``FILE.config.xml``.

Offsets of spans are checked against the task's own text, in code points or, as a browser counts, in UTF-16 units: a
span that does not hold the words it names comes from another text, and its annotation is refused. Spans are not part
of a reading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from corpora.errors import DataError
from corpora.runs import atomic_writer
from labeler.audit.exchange.rows import CANNOT_JUDGE, Row
from labeler.audit.types import Answer

_CHOICES: Final[dict[str, Answer]] = {
    "positive": 1, "negative": 0, "uncertain": -1, "blank": None, CANNOT_JUDGE: CANNOT_JUDGE,
}  # fmt: skip
_WORD_OF: Final = {answer: word for word, answer in _CHOICES.items()}


def write(path: Path, rows: Iterable[Row], labels: Sequence[str]) -> None:
    """Write tasks, one per text with the readings of it as annotations, and the interface beside them.

    Raises ``RunError`` as ``corpora.runs.atomic_writer``.
    """
    names = slugs(labels)
    tasks: dict[str, dict[str, Any]] = {}
    for row in rows:
        data = {"text": row.text, "study_id": row.study_id, "audit": row.audit, "position": row.position}
        task = tasks.setdefault(row.study_id, {"id": len(tasks) + 1, "data": data, "annotations": []})
        if row.answers or row.reader:
            task["annotations"].append(_annotation(row, names))
    with atomic_writer(path.with_name(path.name + ".config.xml")) as file:
        file.write(interface(labels))
    with atomic_writer(path) as file:
        json.dump(list(tasks.values()), file)


def read(path: Path, labels: Sequence[str]) -> Iterator[Row]:
    """The annotations of an export of Label Studio (JSON), one row each; those that were cancelled are passed over.

    Raises ``DataError``: ``data.file``, ``data.json``, ``audit.columns`` for a control of another interface.
    """
    labels_of = {name: label for label, name in slugs(labels).items()}
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError("data.file", error.strerror or "cannot be read", where=str(path)) from None
    except (ValueError, RecursionError):
        raise DataError("data.json", "the file is not JSON", where=str(path)) from None
    if not isinstance(tasks, list):
        raise DataError("data.json", "the file is no list of tasks", where=str(path))
    for number, task in enumerate(tasks, 1):
        where = f"{path}, task {number}"
        try:
            for annotation in task.get("annotations", []):
                if not annotation.get("was_cancelled"):
                    yield _row(task["data"], annotation, labels_of, where)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise DataError("data.json", "not a task as Label Studio exports it", where=where) from error


def interface(labels: Sequence[str]) -> str:
    """The labelling interface: spans of evidence, a choice for each label, a note."""
    spans = "".join(f"<Label value={quoteattr(label)}/>" for label in labels)
    choices = "".join(f"<Choice value={quoteattr(word)}/>" for word in _CHOICES)
    blocks = "".join(
        f'<Header value={quoteattr(label)}/><Choices name="{name}" toName="report" choice="single-radio" '
        f'required="true">{choices}</Choices>'
        for label, name in slugs(labels).items()
    )
    return (
        f'<View><Text name="report" value="$text"/><Labels name="evidence" toName="report">{spans}</Labels>{blocks}'
        '<TextArea name="note" toName="report" rows="2" maxSubmissions="1"/></View>\n'
    )


def slugs(labels: Sequence[str]) -> dict[str, str]:
    """The name of each label's control.

    >>> slugs(["Pleural Effusion", "pleural-effusion"])
    {'Pleural Effusion': 'pleural_effusion', 'pleural-effusion': 'pleural_effusion_2'}
    """
    found: dict[str, str] = {}
    taken = {"report", "evidence", "note"}
    for label in labels:
        base = name = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_") or "label"
        number = 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        found[label] = name
    return found


def _annotation(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    result = [
        {"id": f"c-{name}", "from_name": name, "to_name": "report", "type": "choices",
         "value": {"choices": [_WORD_OF[row.answers[label]]]}}
        for label, name in names.items()
        if label in row.answers
    ]  # fmt: skip
    if row.note:
        note: dict[str, Any] = {"text": [row.note]}
        result.append({"id": "note", "from_name": "note", "to_name": "report", "type": "textarea", "value": note})
    return {
        "completed_by": row.reader,
        "created_at": row.at,
        "was_cancelled": False,
        "ground_truth": False,
        "radloop": {"phase": row.phase, "repeat": row.repeat},
        "result": result,
    }


def _row(data: Mapping[str, Any], annotation: Mapping[str, Any], labels_of: Mapping[str, str], where: str) -> Row:
    answers: dict[str, Answer] = {}
    note, problem = "", None
    text = data.get("text", "")
    for item in annotation["result"]:
        name, kind, value = item.get("from_name"), item.get("type"), item.get("value", {})
        if kind == "labels":
            if not span_holds(text, value["start"], value["end"], value.get("text")):
                problem = ("audit.offsets", "a span does not hold the words it names: it comes from another text")
        elif kind == "textarea" and name == "note":
            note = "\n".join(value["text"]) if isinstance(value["text"], list) else value["text"]
        elif name not in labels_of:
            message = f"{str(name)[:40]!r} is no label of this audit"
            raise DataError("audit.columns", message, where=where)
        elif len(value["choices"]) == 1 and value["choices"][0] in _CHOICES:
            answers[labels_of[name]] = _CHOICES[value["choices"][0]]
        else:
            problem = ("audit.answer", f"the choice of {labels_of[name]!r} is not one of {', '.join(_CHOICES)}")
    own = annotation.get("radloop", {})
    reader = annotation.get("completed_by")
    own_time = annotation.get("created_at")
    return Row(
        str(data["audit"]), str(data["study_id"]), answers, reader if isinstance(reader, str) else "",
        str(own.get("phase", "")), own_time if isinstance(own_time, str) else "", own.get("repeat") is True, note,
        where=where, problem=problem,
    )  # fmt: skip


def span_holds(text: str, start: int, end: int, words: object) -> bool:
    """Whether ``words`` stand at ``start:end`` of a text, counted in code points or in UTF-16 units.

    >>> text = "\U0001f600 effusion"
    >>> span_holds(text, 2, 10, "effusion"), span_holds(text, 3, 11, "effusion"), span_holds(text, 1, 9, "effusion")
    (True, True, False)
    """
    if type(start) is not int or type(end) is not int or not 0 <= start <= end:
        return False
    wide = text.encode("utf-16-le", "surrogatepass")[2 * start : 2 * end].decode("utf-16-le", "replace")
    return words in (text[start:end], wide)
