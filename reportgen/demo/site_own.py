"""Sections of the page on reports of your own."""

from __future__ import annotations

from reportgen.demo.own import CLEANED, COUNTED, EXPLAINED, SHEET
from reportgen.demo.site_parts import Figure, Files, Grid, Section, shown
from reportgen.demo.site_text import states_picture
from reportgen.demo.text import AUDIT, HYBRID, RULES

_MANIFEST = "manifest.json"


def reports(files: Files) -> Section:
    """How many there are, and which sections they have."""
    source = f"{COUNTED}/reports.json"
    data = files.json(source)
    section = Section(
        "reports", "Your reports", "Read as every command reads them; sections by their headings.",
        files.figure("reports", source, "reports"),
    )  # fmt: skip
    rows = [(name, f"{count:,}") for name, count in data["sections"].items()]
    section.grids.append(Grid("Sections", ("section", "reports that have it"), rows, source))
    return section


def cleaned(files: Files) -> Section:
    """What would be taken out of them."""
    made, scan = f"{CLEANED}/{_MANIFEST}", f"{CLEANED}/scan.json"
    counts = files.json(made)["counts"]
    section = Section(
        "clean", "The person left out of a copy",
        "By patterns and names alone: a table of reports has no headers that would say who somebody is. The labels are "
        "of the reports as they were given.",
        Figure("left, by the scan", shown(len(files.json(scan)["findings"])), scan, "findings"),
    )  # fmt: skip
    spans = [name for name in sorted(counts) if name.startswith("spans_")]
    section.figures.extend(files.figure(f"removed: {name[6:].upper()}", made, "counts", name) for name in spans)
    section.links.append(("the copy", f"{CLEANED}/reports.csv"))
    return section


def labels(files: Files) -> Section:
    """What the labels say."""
    made = f"{RULES}/{_MANIFEST}"
    section = Section(
        "labels", "Reports to labels",
        "Fourteen labels a report, each positive, negative, uncertain or not mentioned. Nothing here knows what is "
        "true: how good they are, the audit has to find out.",
        files.figure("reports labeled", made, "counts", "reports"),
    )  # fmt: skip
    if files.json(made)["counts"].get("rejected"):
        section.figures.append(files.figure("rejected: failures.jsonl says why", made, "counts", "rejected"))
    section.pictures.append(states_picture(files, f"{RULES}/labels.csv"))
    section.links.extend([("labels", f"{RULES}/labels.csv"), ("evidence", f"{RULES}/mentions.jsonl"),
                          ("some, explained word by word", f"{EXPLAINED}/explained.html")])  # fmt: skip
    if files.has(f"{HYBRID}/labels.csv"):
        section.links.append(("labels by rules and network", f"{HYBRID}/labels.csv"))
    return section


def sheet(files: Files) -> Section:
    """What is to be read, and what comes next."""
    made, sheet_made = f"{AUDIT}/{_MANIFEST}", f"{SHEET}/{_MANIFEST}"
    section = Section(
        "audit", "The audit",
        f"Drawn, and not read: that takes people. Fill in {SHEET}/read.csv and import it (radloop audit import), or "
        "read on the page of radloop audit review; then radloop audit estimate and certify say how good they are.",
        files.figure("texts to read", sheet_made, "counts", "texts"),
    )  # fmt: skip
    section.figures.append(files.figure("texts in all", made, "counts", "texts"))
    section.figures.append(files.figure("strata", made, "counts", "strata"))
    section.links.append(("the sheet", f"{SHEET}/read.csv"))
    return section
