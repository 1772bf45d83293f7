"""Sections of the page on the corpus: the phantoms, their check, what was removed from them."""

from __future__ import annotations

from reportgen.demo.corpus import CARD, CHECK, CLEAN, PHANTOMS, SCAN, TRUTH
from reportgen.demo.site_parts import Figure, Files, Grid, Pair, Picture, Section, shown

_MANIFEST = "manifest.json"


def phantoms(files: Files) -> Section:
    """What was drawn, and which requirements it misses."""
    made, check = f"{PHANTOMS}/{_MANIFEST}", f"{CHECK}/check.json"
    section = Section(
        "corpus", "Studies of patients who do not exist",
        "Films, headers and reports are drawn by a program, with identities planted in all three. The corpus is "
        "checked against a specification; a demonstration is too small for most of them, and the check says where.",
        files.figure("studies", made, "counts", "studies"),
    )  # fmt: skip
    names = {"patients": "patients", "films": "films", "boxes of findings": "boxes", "identities planted": "phi"}
    section.figures.extend(files.figure(label, made, "counts", key) for label, key in names.items())
    if files.has(check):
        found = files.json(check)
        section.figures.extend(files.figure(f"criteria: {name}", check, "counts", name) for name in found["counts"])
        rows = [
            (each["asks"], each["shown"] or each["reason"], each["threshold"])
            for each in found["criteria"]
            if each["verdict"] == "fail"
        ]
        section.grids.append(Grid(f"What fails of {found['spec']}", ("asked", "measured", "threshold"), rows, check))
        section.links.append(("all criteria", f"{CHECK}/check.html"))
    if files.has(f"{CARD}/card.html"):
        section.links.append(("card of the corpus", f"{CARD}/card.html"))
    return section


def cleaned(files: Files) -> Section:
    """What was taken out, and what a scan found left."""
    made, scan = f"{CLEAN}/{_MANIFEST}", f"{SCAN}/scan.json"
    found = files.json(scan)
    section = Section(
        "clean", "The person left out",
        "Headers by PS3.15 Annex E, reports by what the headers say and by patterns, text in the pixels blacked out; a "
        "scan that shares no code with that looks for what is left. Of text in pixels both find a part: films of few "
        "pixels are the hardest, and what is listed is for a person to look at.",
        Figure("left in headers and reports", shown(len(found["findings"])), scan, "findings"),
    )  # fmt: skip
    counts = files.json(made)["counts"]
    section.figures.append(files.figure("films", made, "counts", "images"))
    section.figures.append(files.figure("films with text in the pixels", made, "counts", "films_with_text_in_pixels"))
    spans = [name for name in sorted(counts) if name.startswith("spans_")]
    section.figures.extend(
        files.figure(f"removed from reports: {name[6:].upper()}", made, "counts", name) for name in spans
    )
    section.figures.append(
        files.figure("films whose pixels the scan read", scan, "films_whose_pixels_were_read")
    )  # fmt: skip
    pixels = f"{TRUTH}/pixels.json"
    section.figures.extend(
        files.figure(label, pixels, key)
        for label, key in (
            ("films with text planted in pixels", "films"), ("of these listed", "films listed"),
            ("texts planted in pixels", "texts"), ("blacked out wholly", "wholly"), ("in part", "in part"),
            ("not at all", "not at all"),
        )
    )  # fmt: skip
    section.pairs.extend(_before_and_after(files))
    if files.has(f"{CLEAN}/pixels.png"):
        section.pictures.append(
            Picture(
                "Text that was found in pixels: red is blacked out, the rest stays",
                f"{CLEAN}/pixels.csv",
                file=f"{CLEAN}/pixels.png",
            )
        )
    return section


def _before_and_after(files: Files) -> list[Pair]:
    """The report that lost most."""
    from corpora.deid.key import read_key
    from corpora.store import read_studies
    from reportgen.demo.corpus import KEY

    if not files.has(KEY):
        return []
    key = read_key(files.root / KEY)
    clean = {study.study_id: study.report for study in read_studies(files.root / CLEAN) if study.report}
    best: tuple[int, str, str] | None = None
    for study in read_studies(files.root / PHANTOMS):
        after = clean.get(key.pseudonym("study", study.study_id))
        if study.report and after:
            lost = after.text.count("[")
            if best is None or lost > best[0]:
                best = (lost, study.report.text, after.text)
    if best is None or not best[0]:
        return []
    source = f"{CLEAN}/{_MANIFEST}"
    return [Pair("A report, as it was and as it went on", "as it was (all of it invented)", best[1], "as it went on",
                 best[2], source)]  # fmt: skip
