"""A dataset card as Markdown, with the header that the Hugging Face hub reads, and as a page with plots."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corpora.card.limits import limitations
from corpora.card.numbers import CardNumbers, Spread, numbers_of
from corpora.errors import RunError
from corpora.runs import atomic_writer, write_manifest, writing
from corpora.specs.evidence import share_text
from corpora.specs.page import render

MADE_BY: Final = "<!-- made by radloop corpus card -->"
_TALLIED: Final = {
    "year": "Years", "age": "Age in decades", "sex": "Sex", "manufacturer": "Vendors", "source": "Sources of studies",
}  # fmt: skip
_SIZES: Final = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CardFiles:
    """Where a card was written, and its numbers."""

    markdown: Path
    html: Path
    numbers: CardNumbers


def card(
    corpus: Path | str,
    out: Path | str | None = None,
    *,
    labels: Path | str | None = None,
    split: Path | str | None = None,
    name: str = "",
    command: Sequence[str] = (),
) -> CardFiles:
    """Write ``README.md`` and ``card.html`` of a corpus into a folder; into the corpus itself if ``out`` is None.

    A folder of its own gets a manifest with the ``command``, if that is given.

    Raises ``DataError`` as ``numbers_of``; ``RunError``: ``run.other`` if a README.md that no card is stands there, and
    as ``atomic_writer``.
    """
    begun = time.perf_counter()
    numbers = numbers_of(corpus, labels=labels, split=split, name=name)
    folder = Path(corpus if out is None else out)
    markdown, html = folder / "README.md", folder / "card.html"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if markdown.is_file() and MADE_BY not in markdown.read_text(encoding="utf-8", errors="replace"):
            raise RunError(
                "run.other", "there is a README.md that was not made by this command", where=str(markdown),
                hint="move it away, or name another folder with -o",
            )  # fmt: skip
    texts = {markdown: to_markdown(numbers), html: to_html(numbers)}
    for path, text in texts.items():
        with atomic_writer(path) as file:
            file.write(text)
    # in the corpus, or beside something else, the manifest is another's
    if command and _is_own(folder / "manifest.json"):
        write_manifest(
            folder / "manifest.json", command=command, config={"name": numbers.name},
            inputs=[path for path in (Path(corpus) / "manifest.json", labels, split) if path is not None],
            counts={"studies": numbers.studies}, wall_seconds=time.perf_counter() - begun,
        )  # fmt: skip
    return CardFiles(markdown, html, numbers)


def _is_own(manifest: Path) -> bool:
    """Whether a manifest is of an earlier card, or not there."""
    try:
        command: list[str] = json.loads(manifest.read_text(encoding="utf-8"))["command"]
        return command[1:3] == ["corpus", "card"]
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False


def to_markdown(numbers: CardNumbers) -> str:
    """The card in Markdown."""
    body = render("card.md.jinja", made_by=MADE_BY, **_values(numbers, cell=markdown_cell))
    return f"---\n{header(numbers)}---\n{body}"


def to_html(numbers: CardNumbers) -> str:
    """The card as one self-contained page."""
    return render("card.html", plots=list(_plots(numbers)), **_values(numbers, cell=str))


def header(numbers: CardNumbers) -> str:
    """The YAML header: name, size, tasks, where the data is. The licence is for the owner to add."""
    import yaml

    tasks = ["image-classification"] * bool(numbers.images and numbers.labelled)
    tasks += ["image-to-text"] * bool(numbers.images and numbers.reports)
    tasks += ["text-classification"] * bool(numbers.reports and numbers.labelled)
    data = {
        "pretty_name": numbers.name,
        "size_categories": [next((size for limit, size in _SIZES if numbers.studies < limit), "n>10M")],
        "tags": ["medical", "radiology", "chest-x-ray"],
        "configs": [{"config_name": "default", "data_files": "studies-*.parquet"}],
    }
    return str(
        yaml.safe_dump(data | ({"task_categories": tasks} if tasks else {}), sort_keys=False, allow_unicode=True)
    )


def markdown_cell(text: object) -> str:
    """Text in one cell of a Markdown table: no line ends, and nothing that Markdown or HTML would read.

    >>> markdown_cell("a|b\\n<i>")
    'a\\\\|b &lt;i&gt;'
    """
    flat = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", flat)


@dataclass(frozen=True, slots=True)
class Table:
    """A heading and rows of cells for a template; the first column is a name, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def _values(numbers: CardNumbers, cell: Any) -> dict[str, Any]:
    tables = [
        Table(cell(each.title), each.columns, tuple(tuple(map(cell, row)) for row in each.rows), cell(each.note))
        for each in _tables(numbers)
    ]
    limits = [cell(sentence) for sentence in limitations(numbers)]
    return {"numbers": numbers, "name": cell(numbers.name), "tables": tables, "limits": limits}


def _tables(numbers: CardNumbers) -> Iterator[Table]:
    for field, title in _TALLIED.items():
        tally = numbers.tallies[field]
        note = "Counted before de-identification; the studies carry no such value." if tally.source else ""
        if tally.counts:
            yield _counted(title, tally.counts, "studies", note)
    for title, counts in (("Views", numbers.views), ("Formats", numbers.formats), ("Bits stored", numbers.bits)):
        if counts:
            yield _counted(title, counts, "images")
    if len(numbers.images_per_study) > 1:
        yield _counted("Images per study", numbers.images_per_study, "studies")
    if numbers.sides:
        yield _spreads("Size in pixels", "side", "images", numbers.sides)
    if numbers.labels:
        columns = ("label", "positive", "negative", "uncertain", "blank")
        states = ((name, *(f"{row[state]:,}" for state in columns[1:])) for name, row in numbers.labels.items())
        where = f" Labels from {numbers.labels_from}." if numbers.labels_from else ""
        yield Table("Labels", columns, tuple(states), f"{numbers.labelled:,} labelled studies.{where}")
    if numbers.sections:
        yield _spreads("Sections of the reports, length in words", "section", "reports", numbers.sections)
    for title, counts in (("Split", numbers.splits), ("Split of the source", numbers.official)):
        if counts:
            yield _counted(title, counts, "studies")
    gaps = ((name, f"{lacks:,}", _share(lacks, of)) for name, (lacks, of) in numbers.missing.items() if lacks)
    yield Table("Missing values", ("field", "missing", "share"), tuple(gaps), "Of studies, or of images if it says so.")
    yield Table("Provenance", ("what", "value"), tuple(_provenance(numbers.manifest)))


def _spreads(title: str, what: str, counted: str, spreads: Mapping[str, Spread]) -> Table:
    rows = ((name, *(f"{value:,.0f}" for value in (s.n, s.low, s.median, s.high))) for name, s in spreads.items())
    return Table(title, (what, counted, "5 % below", "median", "5 % above"), tuple(rows))


def _counted(title: str, counts: Mapping[str, int], what: str, note: str = "") -> Table:
    total = sum(counts.values())
    rows = tuple((name, f"{number:,}", _share(number, total)) for name, number in counts.items())
    return Table(title, ("value", what, "share"), rows, note)


def _share(part: int, of: int) -> str:
    return share_text(part / of) if of else ""


def _provenance(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    command = manifest.get("command")
    if isinstance(command, list) and command:
        yield "command", " ".join([Path(str(command[0])).name, *map(str, command[1:])])
    for source in manifest.get("inputs") or ():
        if isinstance(source, Mapping):
            parts = [f"{source['bytes']:,} bytes"] if isinstance(source.get("bytes"), int) else []
            parts += [f"SHA-256 {source['sha256']}"] if source.get("sha256") else []
            yield f"input {source.get('path', '')}", ", ".join(parts) or "not hashed"
    for package, version in _mapping(manifest.get("versions")).items():
        yield f"version of {package}", str(version)
    for name, number in _mapping(manifest.get("counts")).items():
        yield f"count: {name}", f"{number:,}" if isinstance(number, int) else str(number)
    for name in ("config_sha256", "seed"):
        if manifest.get(name) is not None:
            yield name, str(manifest[name])
    if not manifest.get("inputs"):
        yield "inputs", "the manifest names none"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _plots(numbers: CardNumbers) -> Iterator[str]:
    from corpora import plots

    for field, title in (("year", "Studies by year"), ("age", "Studies by age in decades")):
        if numbers.tallies[field].counts:
            yield plots.columns(numbers.tallies[field].counts, title)
    for field, title in (("sex", "Studies by sex"), ("manufacturer", "Studies by vendor")):
        counts = numbers.tallies[field].counts
        if counts:
            yield plots.bars(dict(sorted(counts.items(), key=lambda item: -item[1])), title)
    if numbers.views:
        yield plots.bars(numbers.views, "Images by view")
    if numbers.labels:
        yield plots.states(numbers.labels, "Labels by state")
    if numbers.sections:
        yield plots.bars({name: round(s.median) for name, s in numbers.sections.items()}, "Median words of a section")
    if numbers.splits:
        yield plots.bars(numbers.splits, "Studies by part of the split")


def to_json(numbers: CardNumbers) -> dict[str, Any]:
    """The numbers in JSON's types, with the limitations."""
    from dataclasses import asdict

    data: dict[str, Any] = json.loads(json.dumps(asdict(numbers), default=str))
    data.pop("manifest")
    return data | {"limitations": limitations(numbers)}
