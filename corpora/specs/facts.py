"""What the checks, the split and the card need to know of each study: one pass over the shards, no report text kept.

Of a report stay the names and lengths of its sections, the text of its indication (to sort it into classes), whether
its characters are sound, and a hash that tells identical reports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError
from corpora.sections import split_sections
from corpora.store import from_row, shards
from corpora.types import ImageRef, Report, Study

#: Text that went through a wrong encoding: the replacement character, C1 controls, NUL and other controls.
_UNSOUND: Final = re.compile("[\ufffd\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
#: UTF-8 that was read as Latin-1 or Windows-1252: what an accented letter or a quote becomes.
_TWICE: Final = re.compile(
    "\u00c3[\u0080-\u00bf\u2018-\u203a\u0152-\u0192]|\u00e2\u20ac[\u201c-\u203a\u2122\u0153\u02dc]"
)
_FLAGS: Final = ("paediatric", "pediatric", "is_paediatric", "is_pediatric")
_INDICATIONS: Final = ("indication", "history")


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What is known of one study.

    ``words`` is the number of words of each section that is not empty; ``text_fault`` says what is wrong with the
    characters of the report (empty if nothing is); ``report_key`` is equal for reports that differ in white space and
    case only. ``paediatric`` is the source's own flag.
    """

    study_id: str
    patient_id: str | None = None
    images: tuple[ImageRef, ...] = ()
    year: int | None = None
    age: float | None = None
    sex: str | None = None
    split: str | None = None
    source: str | None = None
    labels: Mapping[str, int] | None = None
    paediatric: bool | None = None
    words: Mapping[str, int] = field(default_factory=dict)
    indication: str = ""
    text_fault: str = ""
    report_key: bytes | None = None

    @property
    def has_report(self) -> bool:
        return self.report_key is not None

    @property
    def patient(self) -> str:
        """The patient, or the study itself where no patient is known; the two never meet."""
        return f"p:{self.patient_id}" if self.patient_id else f"s:{self.study_id}"


def read_facts(corpus: Path | str) -> Iterator[StudyFacts]:
    """The facts of every study of a corpus, in order.

    Raises ``DataError`` as ``corpora.store.shards``; ``data.parquet`` for a shard that cannot be read,
    ``data.encoding`` for text that is not UTF-8 in any column but that of the reports.
    """
    for shard in shards(corpus):
        yield from _of_shard(shard)


def manifest_of(corpus: Path | str) -> dict[str, Any]:
    """The manifest of a corpus. Raises ``DataError`` as ``corpora.store.shards``, ``data.json`` if it is none."""
    shards(corpus)
    path = Path(corpus) / "manifest.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataError("data.json", "the manifest is not JSON", where=str(path)) from error
    if not isinstance(data, dict):
        raise DataError("data.json", "the manifest is not a JSON object", where=str(path))
    return data


def _of_shard(shard: Path) -> Iterator[StudyFacts]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(batch_size=1000):
                at = batch.schema.get_field_index("text")
                if at >= 0:
                    # as bytes: a text that is not UTF-8 is a fault of its study, not of the shard
                    batch = batch.set_column(at, "text", batch.column(at).cast(pa.binary()))
                yield from map(_of_row, batch.to_pylist())
    except UnicodeDecodeError as error:
        raise DataError("data.encoding", "an id or name in the shard is not UTF-8", where=str(shard)) from error
    except (pa.ArrowException, OSError) as error:
        raise DataError("data.parquet", "the shard cannot be read", where=str(shard)) from error
    except (KeyError, TypeError) as error:
        raise DataError(
            "data.parquet", "the shard's columns are not those of a corpus", where=str(shard),
            hint="make it with radloop corpus import",
        ) from error  # fmt: skip


def _of_row(row: dict[str, Any]) -> StudyFacts:
    raw, fault = row.get("text"), ""
    if raw is not None:
        try:
            row["text"] = raw.decode("utf-8")
        except UnicodeDecodeError:
            row["text"], fault = raw.decode("utf-8", "replace"), "not UTF-8"
    return facts_of(from_row(row), fault)


def facts_of(study: Study, text_fault: str = "") -> StudyFacts:
    """The facts of a study; ``text_fault`` is what its source already found wrong with the characters."""
    meta = study.meta
    words, indication, key = _of_report(study.report)
    fault = text_fault or (_fault(study.report.text) if study.report else "")
    flags = [meta[name] for name in _FLAGS if name in meta]
    return StudyFacts(
        study.study_id, study.patient_id, study.images, meta.get("year"), meta.get("age"), meta.get("sex"),
        meta.get("split"), meta.get("source"), meta.get("labels"), bool(flags[0]) if flags else None,
        words, indication, fault, key,
    )  # fmt: skip


def _of_report(report: Report | None) -> tuple[dict[str, int], str, bytes | None]:
    if report is None:
        return {}, "", None
    words: dict[str, int] = {}
    indications: dict[str, str] = {}
    for section in report.sections or split_sections(report.text):
        body = report.text[section.start : section.end]
        count = len(body.split())
        if count:
            words[section.name] = words.get(section.name, 0) + count
            if section.name in _INDICATIONS:
                indications.setdefault(section.name, body.strip())
    indication = next((indications[name] for name in _INDICATIONS if name in indications), "")
    folded = " ".join(report.text.lower().split())
    return words, indication, blake2b(folded.encode("utf-8", "replace"), digest_size=16).digest()


def _fault(text: str) -> str:
    if "\ufffd" in text:
        return "replacement characters"
    if _UNSOUND.search(text):
        return "control characters"
    return "UTF-8 read as Latin-1" if _TWICE.search(text) else ""
