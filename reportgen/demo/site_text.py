"""Sections of the page on labels and their audit."""

from __future__ import annotations

from collections import Counter

from corpora.labels import STATE_NAMES, State, parse_cell
from reportgen.demo.site_parts import Figure, Files, Grid, Picture, Section, shown
from reportgen.demo.text import AGREEMENT, AUDIT, CERTIFICATE, ESTIMATES, FINAL, HYBRID, READER, RULES

_STATES = ("positive", "negative", "uncertain")


def labels(files: Files) -> Section:
    """How many labels there are, and how they agree with what the reports mean to say."""
    made, scored = f"{RULES}/manifest.json", f"{AGREEMENT}/{RULES}/score.json"
    section = Section(
        "labels", "Reports to labels",
        "Fourteen labels a report, each positive, negative, uncertain or not mentioned, with the words that decided "
        "it. Phantom reports come from a grammar that knows what it says, and the rules were written for such "
        "sentences: that they agree says little of real reports.",
        files.figure("reports labeled", made, "counts", "reports"),
    )  # fmt: skip
    if files.has(scored):
        section.figures.append(_weighted(files, "weighted F1 of the rules", scored))
        section.grids.append(_agreement(files, scored))
    hybrid = f"{AGREEMENT}/{HYBRID}/score.json"
    if files.has(hybrid):
        section.figures.append(_weighted(files, "weighted F1 of rules and network", hybrid))
    section.pictures.append(states_picture(files, f"{RULES}/labels.csv"))
    section.links.extend([("labels", f"{RULES}/labels.csv"), ("evidence", f"{RULES}/mentions.jsonl")])
    return section


def _weighted(files: Files, name: str, source: str) -> Figure:
    data = files.json(source)
    lo, hi = data["intervals"]["weighted_f1"] or (None, None)
    return Figure(name, shown({"value": data["weighted_f1"], "lo": lo, "hi": hi}), source, "weighted_f1")


def _agreement(files: Files, source: str) -> Grid:
    data = files.json(source)
    rows = []
    for label, row in data["per_label"].items():
        cells = [f"{shown(row[state]['f1'])} of {row[state]['support']:,}" for state in _STATES]
        rows.append((label, *cells))
    heads = ("label", *(f"F1 of {state}" for state in _STATES))
    return Grid("Labels of the rules against the grammar", heads, rows, source, "of so many cells with that state")


def states_picture(files: Files, table: str) -> Picture:
    """A label table as bars: each label with its states."""
    rows = files.table(table)
    names = [name for name in rows[0] if name != "study_id"] if rows else []
    counted = {name: Counter(STATE_NAMES[_state(row[name])] for row in rows) for name in names}
    try:
        from corpora.plots import states

        svg = states(counted, "Labels by state")
    except ImportError:  # matplotlib comes with an extra
        svg = ""
    return Picture("What the labels say, label by label", table, svg=svg)


def _state(cell: str) -> State:
    try:
        return parse_cell(cell)
    except ValueError:
        return None


def audit(files: Files) -> Section:
    """What was read, what it says of the labels, what it certifies."""
    made, found, certified = f"{AUDIT}/manifest.json", f"{ESTIMATES}/estimates.json", f"{CERTIFICATE}/certified.json"
    reader = f"{READER}/manifest.json"
    errs = files.json(reader)["config"]
    section = Section(
        "audit", "The audit",
        "A stratified draw of the labels is read by two readers. They are simulated: of what is there they see "
        f"{errs['sensitivity']:.1%}, of what is not there they leave out {errs['specificity']:.1%}, and call "
        f"{1 - errs['certainty']:.0%} of what is uncertain positive. An audit believes its readers: where they err, "
        "the labels seem wrong, as they would with people. What they read then stands in the machine's place.",
        Figure("F1, positive", shown(files.json(found)["overall"]["micro_f1"]), found, "overall / micro_f1"),
    )  # fmt: skip
    section.figures.extend([
        files.figure("the readers see, of what is there", reader, "config", "sensitivity"),
        files.figure("texts drawn", made, "counts", "drawn"), files.figure("texts in all", made, "counts", "texts"),
        files.figure("gates", certified, "gates"),
        Figure("gates that do not hold", shown(len(files.json(certified)["lacking"])), certified, "lacking"),
    ])  # fmt: skip
    scores = {label: each["scores"] for label, each in files.json(found)["per_label"].items()}
    names = ("precision", "recall", "f1", "prevalence")
    rows = [(label, *(shown(each[name]) for name in names)) for label, each in scores.items()]
    section.grids.append(Grid("Estimated from the readings, with 95 % intervals", ("label", *names), rows, found))
    section.links.extend([("estimates", f"{ESTIMATES}/estimates.html"), ("final labels", f"{FINAL}/labels.csv")])
    if files.has(f"{CERTIFICATE}/certificate.json"):
        section.links.append(("certificate", f"{CERTIFICATE}/certificate.json"))
    return section
