"""Stages for reports of your own: counted, cleaned in a copy, some of their labels explained, the sheet for a reader.

Nothing knows what is true of these reports, so nobody is simulated: the audit is drawn, and its sheet waits for people.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from corpora.runs import atomic_writer, writing
from corpora.types import Reject, Report
from reportgen.demo.corpus import demo_command, site_key
from reportgen.demo.job import Job, write_json
from reportgen.demo.text import AUDIT, RULES, source_of

COUNTED, CLEANED, EXPLAINED, SHEET = "reports", "cleaned", "explained", "sheet"
#: Reports whose labels are explained on a page.
SHOWN: Final = 20
_TABLES: Final = (".csv", ".jsonl", ".parquet")


def count_in(source: str) -> int:
    """How many reports a source holds. Raises ``DataError`` as ``corpora.readers.open_source``."""
    return sum(1 for _ in _reports(source))


def _reports(source: str) -> Iterator[Report]:
    from corpora.readers import open_source

    for record in open_source(source):
        if not isinstance(record, Reject) and record.report is not None:
            yield record.report


def count_reports(job: Job) -> None:
    """Count the reports and the sections in them."""
    from corpora.sections import split_sections

    begun, source = time.monotonic(), source_of(job)
    out = job.run_at(COUNTED)
    reports = characters = 0
    sections: dict[str, int] = {}
    for report in _reports(source):
        reports, characters = reports + 1, characters + len(report.text)
        for name in {section.name for section in report.sections or split_sections(report.text)}:
            sections[name] = sections.get(name, 0) + 1
    found = {"reports": reports, "characters": characters, "sections": dict(sorted(sections.items()))}
    write_json(out / "reports.json", found)
    job.manifest(
        COUNTED, demo_command(job), config={}, inputs=[Path(source)],
        counts={"reports": reports}, begun=begun,
    )  # fmt: skip


def clean_reports(job: Job) -> None:
    """De-identify a copy of the reports, and scan it; the labels are of the reports as they were given."""
    from corpora.deid.command import deidentify
    from corpora.scan.result import write_result
    from corpora.scan.run import scan

    begun, source, out, key = time.monotonic(), source_of(job), job.run_at(CLEANED), site_key(job)
    table = out / "reports.csv"
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    command = job.radloop("corpus", "deidentify", source, "-o", table, "--key-file", key)
    done = deidentify(source, table, key, resume=True, command=command, watch=job.watch)
    scanned = job.radloop("corpus", "scan", table, "-o", out / "scan.json", "--no-pixels")
    write_result(scan(table, pixels=False), out / "scan.json", command=scanned)
    job.manifest(
        CLEANED, demo_command(job), config={}, inputs=[Path(source)], counts=dict(done.counts), begun=begun
    )  # fmt: skip


def explain_some(job: Job) -> None:
    """Explain the labels of the first reports, word by word."""
    from labeler.base import load
    from labeler.explain import explain_html

    begun, source, out = time.monotonic(), source_of(job), job.run_at(EXPLAINED)
    labeler = load("rules.v1")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    pairs = [(report, labeler(report)) for report in islice(_reports(source), SHOWN)]
    with atomic_writer(out / "explained.html") as file:
        file.write(explain_html(pairs, "Your reports, labeled and explained"))
    job.manifest(
        EXPLAINED, demo_command(job), config={"labeler": "rules.v1"}, inputs=[Path(source)],
        counts={"reports": len(pairs)}, begun=begun,
    )  # fmt: skip


def write_sheet(job: Job) -> None:
    """Write the texts that were drawn into a sheet that a reader fills in."""
    from labeler.audit.exchange.run import export

    begun, out = time.monotonic(), job.run_at(SHEET)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    sheet = out / "read.csv"
    command = job.radloop("audit", "export", job.at(AUDIT), "--to", "csv", "--what", "tasks", "-o", sheet)
    rows = export(job.at(AUDIT), sheet, to="csv", force=True)
    job.manifest(
        SHEET, command, config={}, inputs=[job.at(RULES) / "labels.csv"], counts={"texts": rows}, begun=begun
    )  # fmt: skip
