"""``index.html`` of a demo: the loop as a picture, a section for each part, how all of it was made.

Every figure is read from a file of a run folder and links to it. The page needs no network and no script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from corpora import __version__
from corpora.runs import atomic_writer
from reportgen.demo import site_corpus, site_films, site_own, site_text
from reportgen.demo.job import NOTES
from reportgen.demo.picture import Node, tall, wide
from reportgen.demo.recipe import DemoRecipe
from reportgen.demo.site_parts import Files, Section

Part = tuple[str, str, Callable[[Files], Section]]
#: The stage that a section needs, the words in the picture, what makes it.
LOOP: Final[tuple[Part, ...]] = (
    ("phantoms", "Studies", site_corpus.phantoms),
    ("truth", "De-identified", site_corpus.cleaned),
    ("rules", "Labels", site_text.labels),
    ("final", "Audit", site_text.audit),
    ("maps", "Encoder", site_films.eye),
    ("pages", "Drafts", site_films.drafts),
    ("bench", "Benchmark", site_films.bench),
    ("trace", "What was lost", site_films.trace),
)
OWN: Final[tuple[Part, ...]] = (
    ("reports", "Your reports", site_own.reports),
    ("cleaned", "De-identified", site_own.cleaned),
    ("rules", "Labels", site_own.labels),
    ("sheet", "Audit", site_own.sheet),
)


def write_site(
    root: Path, recipe: DemoRecipe, notes: Sequence[Mapping[str, Any]], left_out: Sequence[tuple[str, str]], *,
    reports: str | None, seed: int,
) -> Path:  # fmt: skip
    """Write ``index.html`` of the stages that are done, and return its path. Raises ``RunError``."""
    from reportgen.page import environment

    files, done = Files(root), {note["name"] for note in notes}
    parts = LOOP if reports is None else OWN
    made = [(title, make(files)) for stage, title, make in parts if stage in done]
    nodes = [
        Node(section.anchor, title, _short(section.headline.text), section.headline.name)
        for title, section in made
        if section.headline
    ]
    closed = len(made) == len(LOOP)
    page = environment().get_template("demo.html").render(
        title="The loop, once around" if reports is None else "Your reports, through the text half of the loop",
        recipe=recipe, seed=seed, version=__version__,
        sections=[(section, _runs(files, section)) for _, section in made],
        phantoms=reports is None,
        wide=wide(nodes, closed=closed), tall=tall(nodes, closed=closed), left_out=left_out,
        stages=list(_stages(files, notes)), wall=sum(note["wall_seconds"] for note in notes),
        cpu=sum(note["cpu_seconds"] for note in notes), hybrid=recipe.hybrid,
    )  # fmt: skip
    with atomic_writer(root / "index.html") as file:
        file.write(page)
    return root / "index.html"


def _runs(files: Files, section: Section) -> list[tuple[str, str]]:
    """The runs that a section was read from, each with its manifest."""
    found = (files.run_of(source) for source in section.sources())
    return list(dict.fromkeys(run for run in found if run))


def _short(text: str) -> str:
    return text.partition(" (")[0]


def _stages(files: Files, notes: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for note in notes:
        folders = [(folder, _manifest(files, folder)) for folder in note["folders"]]
        yield {**note, "note": f"{NOTES}/{note['name']}.json", "folders": folders}


def _manifest(files: Files, folder: str) -> str:
    """The manifest of a run folder or table, if it has one."""
    names = (f"{folder}/manifest.json", f"{folder}.manifest.json")
    return next((name for name in names if files.has(name)), "")
