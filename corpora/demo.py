"""The ground floor's part of ``radloop demo``: phantom studies, checked, split and described."""

from __future__ import annotations

import sys
from pathlib import Path

STUDIES = 24


def run(out: Path) -> Path:
    """Draw phantom studies into ``out/phantoms``, check, split and describe them; returns the page of the card.

    Studies that an earlier demo drew are kept. Writes ``check.html`` and ``card/``. Raises ``RunError`` if ``out``
    cannot be written.
    """
    from rich.console import Console

    from corpora.card.write import card
    from corpora.phantom.command import phantom
    from corpora.runs import atomic_writer
    from corpora.specs.check import check
    from corpora.specs.page import summary, to_html
    from corpora.splits import split

    console = Console(stderr=True)
    corpus = out / "phantoms"
    if not (corpus / "manifest.json").is_file():
        drawn = phantom(corpus, STUDIES, resume=corpus.is_dir(), command=sys.argv)
        console.print(f"{drawn.studies} studies of patients who do not exist, with {drawn.films} films: {corpus}")
    labels = corpus / "truth" / "labels.csv"
    checked = check(corpus, labels=labels)
    with atomic_writer(out / "check.html") as file:
        file.write(to_html(checked))
    console.print(f"{summary(checked)} (a demonstration has no 40,000 studies): {out / 'check.html'}")
    split(corpus, labels=labels, command=sys.argv)
    return card(corpus, out / "card", labels=labels).html
