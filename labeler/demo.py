"""The labeler's part of ``radloop demo``: label the bundled reports, score the labels, show every reason."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from corpora.runs import atomic_writer
from corpora.types import Report


def run(out: Path) -> Path:
    """Label the bundled sample of invented reports into ``out``; returns the page that explains the labels.

    Writes ``labels.csv`` with its manifest, ``evidence.jsonl`` and ``explained.html``; prints the agreement with the
    sample's own gold labels. Raises ``RunError`` if ``out`` cannot be written.
    """
    from rich.console import Console

    from labeler.batch import LabelRun, label_batch
    from labeler.score import score, to_table

    sample = Path(__file__).parent / "sample"
    summary = label_batch(
        str(sample / "reports.csv"), out / "labels.csv", LabelRun(evidence=True), evidence=out / "evidence.jsonl",
        command=sys.argv,
    )  # fmt: skip
    console = Console(stderr=True)
    console.print(
        f"{summary.reports} invented reports labeled into {summary.target.table}. Against their gold labels "
        "(written with the reports, checked by no radiologist, and known to the rules: this shows the scorer at work, "
        "not what to expect of your reports):"
    )
    console.print(to_table(score(summary.target.table, sample / "gold.jsonl")))
    page = out / "explained.html"
    with atomic_writer(page) as file:
        file.write(_page(sample / "reports.csv"))
    return page


def _page(reports: Path) -> str:
    from labeler.base import load
    from labeler.explain import explain_html

    labeler = load()
    with reports.open(encoding="utf-8", newline="") as file:
        rows = [Report(row["study_id"], row["report"]) for row in csv.DictReader(file)]
    return explain_html(((report, labeler(report)) for report in rows), "The sample, labeled and explained")
