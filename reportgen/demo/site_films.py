"""Sections of the page on the encoder, the drafts, the benchmark, and what the loop lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from reportgen.demo.drafts import BENCH, DRAFTS, GENERATORS, PAGES, TRACE
from reportgen.demo.films import EVALUATION, EYE, MAPS
from reportgen.demo.site_parts import Figure, Files, Grid, Pair, Picture, Section, shown

_SHOWN: Final = 3
_METRICS: Final = ("radloop-clinical", "ce-macro-14", "ce-micro-findings", "ROUGE_L", "BLEU_4")
_WORDS: Final = {1: "present", 0: "absent", -1: "uncertain"}


def eye(files: Files) -> Section:
    """How well the encoder sees what was drawn, and where it looks."""
    found, trained, pointing = f"{EVALUATION}/evaluation.json", f"{EYE}/manifest.json", f"{MAPS}/scores.json"
    data = files.json(found)
    section = Section(
        "encoder", "Films to labels",
        "A small network learns the audited labels from the films of the training part, and is measured on the test "
        "part against what was drawn. Maps show where it looks; boxes are of what was drawn.",
        Figure("macro AUROC", shown(data["macro"]["scores"]["auroc"]), found, "macro / scores / auroc"),
    )  # fmt: skip
    section.figures.extend(
        files.figure(name, trained, "counts", name) for name in ("films, train", "films, validate", "labels left out")
    )
    section.figures.append(files.figure("studies, test", found, "units"))
    rows = [
        (label, f"{row['positives']:,}", shown(row["scores"]["auroc"]), shown(row["scores"]["auprc"]))
        for label, row in data["per_label"].items()
    ]
    section.grids.append(Grid("The encoder on the test part", ("label", "positive", "AUROC", "AUPRC"), rows, found))
    scores = files.json(pointing)["scores"]
    if scores:
        hits = [(label, shown(row["pointing"]["n"]), shown(row["pointing"])) for label, row in scores.items()]
        section.grids.append(Grid("Maps against boxes", ("label", "maps", "highest point in a box"), hits, pointing))
    for name, says in (("roc.svg", "ROC curves"), ("calibration.svg", "Calibration")):
        if files.has(f"{EVALUATION}/plots/{name}"):
            section.pictures.append(Picture(says, found, file=f"{EVALUATION}/plots/{name}"))
    sheets = sorted((files.root / MAPS / "sheets").glob("*.png"))
    for sheet in _first_with_boxes(sheets, scores):
        name = sheet.stem.replace("_", " ")
        section.pictures.append(Picture(f"Where it looks: {name}", pointing, file=f"{MAPS}/sheets/{sheet.name}"))
    section.links.extend([("evaluation", f"{EVALUATION}/evaluation.html"), ("all maps", f"{MAPS}/explain.html")])
    return section


def _first_with_boxes(sheets: list[Path], scores: dict[str, Any]) -> list[Path]:
    def rank(sheet: Path) -> tuple[bool, float]:
        label = sheet.stem.replace("_", " ")
        return label not in scores, -float((scores.get(label) or {"pointing": {"n": 0}})["pointing"]["n"])

    return sorted(sheets, key=rank)[:_SHOWN]


def drafts(files: Files) -> Section:
    """What was drafted, and some drafts beside the reports."""
    made, table = f"{DRAFTS}/drafter/manifest.json", f"{DRAFTS}/drafter/drafts.jsonl"
    records = list(files.lines(table))
    section = Section(
        "drafts", "Films to drafts",
        "A language model that read the training reports alone is joined to the encoder by a projector and adapters "
        "(LoRA), and drafts the test part. Drafts of a model, not for clinical use.",
        Figure("drafts", shown(len(records)), table),
    )  # fmt: skip
    section.figures.extend([
        Figure("distinct", shown(len({record["text"] for record in records})), table),
        Figure("that disagree with the encoder", shown(sum(bool(record["flags"]) for record in records)), table),
    ])  # fmt: skip
    for name in ("studies, train", "adapter weights", "decoder weights"):
        if name in files.json("drafter/manifest.json")["counts"]:
            section.figures.append(files.figure(name, "drafter/manifest.json", "counts", name))
    section.pairs.extend(_beside(files, records, table))
    section.links.extend([("drafts with films and maps", f"{PAGES}/index.html"), ("manifest", made)])
    return section


def _beside(files: Files, records: list[dict[str, Any]], table: str) -> list[Pair]:
    """The drafts of studies whose reports say most, beside these; labels as the rules read them in both."""
    from corpora.store import read_studies
    from labeler.base import load
    from reportgen.targets import read_sections

    reports = {study.study_id: study.report for study in read_studies(files.root / "clean") if study.report}
    reader = load("rules.v1")
    pairs = []
    pages = files.json(f"{PAGES}/manifest.json")["counts"]["pages"] if files.has(f"{PAGES}/manifest.json") else 0
    for number, record in list(enumerate(records, 1))[: max(pages, _SHOWN)]:
        report = reports.get(record["study_id"])
        if report is None:
            continue
        read = "\n".join(f"{name.capitalize()}: {text}" for name, text in read_sections(report))
        meant = reader(report).asserted()
        said = {label: state for label, state in record["labels"].items() if state is not None}
        notes = [(label, f"draft {_word(said.get(label))}, report {_word(meant.get(label))}") for label in meant | said]
        link = f"{PAGES}/{number:04d}.html" if number <= pages else ""
        pair = Pair(f"Study {record['study_id']}", "draft", record["text"], "report", read, table, notes, link)
        pairs.append((sum(state in (1, -1) for state in meant.values()), pair))
    return [pair for _, pair in sorted(pairs, key=lambda item: -item[0])[:_SHOWN]]


def _word(state: object) -> str:
    return _WORDS.get(state, "not mentioned") if isinstance(state, int) else "not mentioned"


def bench(files: Files) -> Section:
    """The drafts scored, beside the rows that they should beat."""
    source = f"{BENCH}/drafter/table.json"
    data = files.json(source)
    cell = data["rows"][0]["metrics"]["ce-macro-14"]
    section = Section(
        "benchmark", "Drafts against reports",
        f"Scored under the protocol {data['protocol']}, beside drafts that take no decoder and rows that see no film. "
        "Where a constant report scores as well, a metric says little.",
        Figure("macro F1 of labels", shown(cell), source, "rows / drafter / ce-macro-14"),
    )  # fmt: skip
    names = [name for name in _METRICS if name in data["rows"][0]["metrics"]]
    others = [other for name in GENERATORS if files.has(other := f"{BENCH}/{name}/table.json")]
    found = [data["rows"][0], *(files.json(other)["rows"][0] for other in others), *data["rows"][1:]]
    rows = [_row(row, names) for row in found]
    note = "95 % intervals by report; rows below the generators are the benchmark's own"
    section.grids.append(Grid("Systems", ("system", "distinct", *names), rows, source, note, others))
    section.links.append(("scores of the drafter", f"{BENCH}/drafter/report.html"))
    section.links.append(("compared, pair by pair", f"{BENCH}/compared/compare.md"))
    return section


def _row(row: dict[str, Any], names: list[str]) -> tuple[str, ...]:
    return (row["name"], f"{row['distinct']:,}", *(shown(row["metrics"][name]) for name in names))


def trace(files: Files) -> Section:
    """Where findings were lost."""
    source = f"{TRACE}/table.json"
    data = files.json(source)
    *labels, total = data["labels"].items()
    first, *later = data["stations"]
    section = Section(
        "trace", "What the loop lost",
        "Of the findings that are true of the test films: the share that the report states, that the labels hold, that "
        "the encoder sees, and that a labeler reads in the draft. Uncertain counts as present.",
        Figure("kept in the draft", shown(total[1][-1]["kept"]), source, "labels / all labels / draft / kept"),
    )  # fmt: skip
    rows = [
        (label, f"{rows[0]['positive']:,}", *(shown(row["kept"]) for row in rows[1:]), _lost(rows))
        for label, rows in [total, *labels]
    ]
    heads = ("label", f"{first}, positive", *(f"{name}: kept" for name in later), "most lost at")
    section.grids.append(Grid("Kept of what is true", heads, rows, source, f"{data['studies']:,} test studies"))
    section.pictures.append(_kept(total[1], source))
    section.links.append(("as text", f"{TRACE}/table.md"))
    return section


def _lost(rows: list[dict[str, Any]]) -> str:
    worst = max(rows, key=lambda row: row["lost"])
    return f"{worst['station']} ({worst['lost']:,})" if worst["lost"] else ""


def _kept(rows: list[dict[str, Any]], source: str) -> Picture:
    from corpora.plots import bars

    counts = {row["station"]: round(row["kept"]["value"] * row["kept"]["n"]) for row in rows if row["kept"]["n"]}
    return Picture("Findings of the test films that are true, and are still there", source,
                   svg=bars(counts, "True findings, still there at"))  # fmt: skip
