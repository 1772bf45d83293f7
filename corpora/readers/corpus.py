"""A corpus folder as a source of reports: ``manifest.json`` and the shards ``studies-*.parquet``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from corpora.readers.options import ReadOptions, Record
from corpora.readers.records import make_study
from corpora.types import Provenance

_COLUMNS: Final = ("study_id", "patient_id", "text", "sections")


def is_corpus(source: str) -> bool:
    """Whether a folder is a corpus."""
    return (Path(source) / "manifest.json").is_file() and any(Path(source).glob("studies-*.parquet"))


def read_corpus(source: str, options: ReadOptions) -> Iterator[Record]:
    """The studies of a corpus folder, shard after shard, with the sections that are stored; their films are left out.

    Raises ``DataError`` as ``corpora.store.shards``: ``data.incomplete`` if there is no manifest, which is written
    last, ``data.empty`` without shards; ``data.parquet`` for a shard that is damaged.
    """
    from corpora.store import from_row, read_rows

    for number, row in enumerate(read_rows(source, _COLUMNS), 1):
        study, where = from_row(row), Provenance(source, number)
        report = study.report
        if report is None:
            yield replace(study, provenance=where)
        else:
            yield make_study(study.study_id, report.text, where, sections=report.sections, patient_id=study.patient_id)
