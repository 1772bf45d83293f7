"""Drafts for other programs: text, Markdown, DICOM Basic Text SR, FHIR DiagnosticReport, one file a study.

Each is marked as a draft: by a notice in every text, ``PARTIAL`` and ``UNVERIFIED`` in DICOM, ``preliminary`` in FHIR.
A structured report refers to the study's films and takes patient and study from their headers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corpora.allowance import allowance
from corpora.errors import ConfigError, DataError, RadloopError
from corpora.runs import atomic_writer, begin, discard_work, output_target, write_manifest
from corpora.types import Provenance, Reject
from vision.rejects import write_rejects

_SECTIONS: Final = ("findings", "impression")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was written: the folder, files, rejects; whether too many were rejected."""

    folder: Path
    written: int
    rejected: int
    too_many: bool


def export(
    drafts: Path, out: Path, kind: str, *, max_failures: str = "1%", command: Iterable[str] = ()
) -> ExportSummary:
    """Write each draft of ``drafts`` into the folder ``out`` as ``kind``: text, markdown, sr or fhir.

    An empty draft, and for sr a study whose films are not DICOM, is a reject. Raises ``ConfigError``
    (``config.value``), ``DataError`` (``data.*``, ``report.drafts``) and ``RunError``.
    """
    if kind not in _KINDS:
        raise ConfigError("config.value", f"no format {kind!r}; there are {', '.join(_KINDS)}", where="--format")
    suffix, write = _KINDS[kind]
    within, target = allowance(max_failures), output_target(out, f"drafts{suffix}")
    if not target.is_folder:
        raise ConfigError("config.value", "drafts are exported to a folder, one file a study", where=str(out))
    records = list(read_drafts(drafts))
    begin(target)
    rejects: list[Reject] = []
    names: set[str] = set()
    written = 0
    for record in records:
        try:
            if not record["text"]:
                raise DataError("report.empty", "the draft is empty")
            name = _named(record["study_id"], suffix, names)
            write(record, out / name)
            written += 1
        except RadloopError as error:
            rejects.append(Reject(error.code, error.message, Provenance(str(drafts)), record["study_id"]))
    write_rejects(target.failures, rejects)
    write_manifest(
        target.manifest, command=list(command), config={"format": kind}, inputs=[drafts_file(drafts)],
        counts={"files": written, "rejected": len(rejects)}, wall_seconds=0.0,
    )  # fmt: skip
    discard_work(target)
    return ExportSummary(out, written, len(rejects), not within(len(rejects), len(records)))


def drafts_file(drafts: Path) -> Path:
    """The table of drafts of a run, given by itself or by its folder. Raises ``DataError`` (``data.missing``)."""
    path = drafts / "drafts.jsonl" if drafts.is_dir() else drafts
    if not path.is_file():
        raise DataError("data.missing", "no drafts are here", where=str(path), hint="radloop report draft makes them")
    return path


def read_drafts(drafts: Path) -> Iterator[Record]:
    """The records of a table of drafts. Raises ``DataError`` (``data.missing``, ``report.drafts``)."""
    path = drafts_file(drafts)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError("report.drafts", "it cannot be read as text", where=str(path)) from None
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if record["status"] != "draft" or not isinstance(record["text"], str) or not record["study_id"]:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise DataError(
                "report.drafts", "this line is no draft", where=f"{path}, line {number}",
                hint="give a .jsonl of radloop report draft",
            ) from None  # fmt: skip
        yield record


def _named(study_id: str, suffix: str, taken: set[str]) -> str:
    """A file's name for a study, safe on any system and given once."""
    stem = _UNSAFE.sub("_", study_id).strip("._")[:120] or "study"
    name, number = f"{stem}{suffix}", 2
    while name.lower() in taken:
        name, number = f"{stem}-{number}{suffix}", number + 1
    taken.add(name.lower())
    return name


def sections_in(record: Record) -> dict[str, str]:
    """The sections of a record that have a text."""
    return {name: record[name] for name in _SECTIONS if record.get(name)}


# Text


def _text(record: Record, path: Path) -> None:
    with atomic_writer(path) as file:
        file.write(f"{record['notice']}\n\n{record['text']}\n")


def _markdown(record: Record, path: Path) -> None:
    lines = [f"# Draft: {_plain(record['study_id'])}", "", f"> **{record['notice']}**", ""]
    for name, text in sections_in(record).items():
        lines += [f"## {name.capitalize()}", "", _plain(text), ""]
    if record.get("flags"):
        lines += ["## Draft and encoder disagree", ""]
        lines += [f"- {flag['label']}: {flag['kind']} (p {flag['probability']:.2f})" for flag in record["flags"]]
        lines.append("")
    lines += [f"- {warning}" for warning in record.get("warnings", ())]
    with atomic_writer(path) as file:
        file.write("\n".join(lines).rstrip() + "\n")


def _plain(text: str) -> str:
    """A text in which Markdown sees no mark-up."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", text)


# FHIR R4


def _fhir(record: Record, path: Path) -> None:
    with atomic_writer(path) as file:
        json.dump(fhir_report(record), file, indent=2, ensure_ascii=False)
        file.write("\n")


def fhir_report(record: Record) -> dict[str, Any]:
    """A DiagnosticReport of FHIR R4, preliminary; the patient and the study by their ids."""
    from base64 import b64encode
    from html import escape

    whole = f"{record['notice']}\n\n{record['text']}"
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in whole.split("\n\n"))
    return {
        "resourceType": "DiagnosticReport",
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>'},
        "identifier": [{"system": "urn:radloop:draft", "value": f"{record['study_id']}/{record['made_by']}"}],
        "status": "preliminary",
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD",
                         "display": "Radiology"}]}
        ],
        "code": {
            "coding": [{"system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging study"}],
            "text": "Chest radiograph, draft by a model",
        },
        "subject": {"identifier": {"value": record["patient_id"]}},
        "imagingStudy": [{"identifier": {"value": record["study_id"]}}],
        "conclusion": record.get("impression") or record["text"],
        "presentedForm": [{
            "contentType": "text/plain; charset=utf-8", "title": record["notice"],
            "data": b64encode(whole.encode()).decode("ascii"),
        }],
    }  # fmt: skip


def _sr(record: Record, path: Path) -> None:
    from reportgen.structured import structured_report

    found = structured_report(record)
    with atomic_writer(path, "wb") as file:
        found.save_as(file, enforce_file_format=True)


_KINDS: Final[dict[str, tuple[str, Callable[[Record, Path], None]]]] = {
    "text": (".txt", _text),
    "markdown": (".md", _markdown),
    "sr": (".dcm", _sr),
    "fhir": (".json", _fhir),
}
