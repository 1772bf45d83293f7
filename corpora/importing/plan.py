"""What each SOURCE of an import is: reports, films, a table that describes films, an archive, a corpus; or several."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from corpora import registry
from corpora.errors import ConfigError, DataError, RadloopError
from corpora.importing.layouts import LAYOUTS, mapping_columns
from corpora.importing.names import FILM_SUFFIXES
from corpora.importing.tables import FilmTable, first_line, sniff
from corpora.importing.walk import has_film_suffix, may_be_film, may_be_table, walk
from corpora.readers import ReadOptions, detect
from corpora.readers.columns import has_report
from corpora.readers.corpus import is_corpus
from corpora.readers.files import STDIN, missing
from corpora.readers.members import is_archive, names, wanted_name
from corpora.readers.mimic import TXT
from corpora.readers.openi import XML
from corpora.readers.tables import delimiter_of
from corpora.readers.textfiles import TEXTS

Join = Literal["auto", "study_uid", "accession", "layout", "mapping"]
#: Formats beside those of the report readers: films alone, or films with tables of one layout.
FILM_FORMATS: Final = ("films", "dicom", *dict.fromkeys(layout.name for layout in LAYOUTS if layout.name != "films"))
_AUTO: Final = "auto"
_HEAD: Final = 4096
# of the files of a kind, where a few tell
_LOOKED_AT: Final = 64
# tables deeper down are of something else
_TABLE_DEPTH: Final = 3


class ImportRun(BaseModel):
    """What decides a corpus, and goes into its manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[str, ...] = Field(description="The sources, in order: where two say different things, the first.")
    formats: tuple[str, ...] = Field(default=(), description="Format of each source; `auto` where it shows.")
    join: Join = Field(default="auto", description="What joins films and reports.")
    mapping: str | None = Field(default=None, description="CSV that maps films to study ids.")
    hash: bool = Field(default=False, description="Whether pixels are read, for a perceptual hash of each film.")
    copy_images: bool = Field(default=False, description="Whether films are copied into the corpus.")
    encoding: str | None = Field(default=None, description="Encoding of text sources; UTF-8 if not given.")
    id_column: str | None = Field(default=None, description="Column of study ids, in tables and the mapping.")
    text_column: str | None = Field(default=None, description="Column of whole reports.")
    findings_column: str | None = Field(default=None, description="Column of Findings sections.")
    impression_column: str | None = Field(default=None, description="Column of Impression sections.")

    def read_options(self, format_: str | None) -> ReadOptions:
        """What of this concerns the reader of a source."""
        tables = format_ in (None, "csv", "tsv", "jsonl", "json", "parquet", "xlsx")
        columns = (self.id_column, self.text_column, self.findings_column, self.impression_column)
        return ReadOptions(format_, self.encoding, *(columns if tables else ()))


@dataclass(frozen=True, slots=True)
class Source:
    """One part of a SOURCE. ``kind``: ``reports``, ``films``, ``archive``, ``corpus``. ``format`` is the reader's name.

    ``root`` is the folder that paths of films are relative to; ``only`` the one film, if a single file was named.
    ``tables`` describe the films of this folder.
    """

    number: int
    kind: Literal["reports", "films", "archive", "corpus", "table"]
    path: str
    format: str
    name: str
    only: str | None = None
    tables: tuple[FilmTable, ...] = ()

    @property
    def root(self) -> Path:
        return Path(self.path)


@dataclass(slots=True)
class _Seen:
    """What a folder holds."""

    films: int = 0
    maybe: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    openi: bool = False
    mimic: bool = False
    texts: list[str] = field(default_factory=list)


def make_plan(run: ImportRun, out: Path) -> list[Source]:
    """The parts of all sources, numbered in order.

    Raises ``DataError``: ``data.missing``, ``data.empty`` for a folder without film and report, ``data.format``, and
    as the readers; ``ConfigError``: ``config.value`` for formats that do not go with the sources, ``config.twice`` for
    a source that is named twice.
    """
    formats = _formats(run)
    places = [path if path == STDIN else str(Path(path).resolve()) for path in run.sources]
    for place, path in zip(places, run.sources, strict=True):
        if places.count(place) > 1:
            raise ConfigError("config.value", "the source is named twice", where=path, hint="name it once")
    plan: list[Source] = []
    for path, format_ in zip(run.sources, formats, strict=True):
        plan.extend(_parts(path, format_, run, out, len(plan)))
    # a table inside a folder may be named beside the folder
    named = {place for place in places if place != STDIN}
    return [part for part in plan if part.path in run.sources or str(Path(part.path).resolve()) not in named]


def _formats(run: ImportRun) -> list[str | None]:
    given = [None if name == _AUTO else name for name in run.formats]
    for name in given:
        if name is not None and name not in FILM_FORMATS:
            registry.find("readers", name)
    if len(given) in (0, 1):
        return (given or [None]) * len(run.sources)
    if len(given) != len(run.sources):
        raise ConfigError(
            "config.value", f"{len(given)} formats for {len(run.sources)} sources", where="--format",
            hint="give one for all, or one for each in their order; auto where it shows",
        )  # fmt: skip
    return given


def _parts(path: str, format_: str | None, run: ImportRun, out: Path, number: int) -> Iterator[Source]:
    name = "stdin" if path == STDIN else Path(path).resolve().name
    place = Path(path)
    if path != STDIN and not place.exists():
        raise missing(path)
    if format_ is not None and format_ not in FILM_FORMATS:
        kind: Literal["corpus", "reports"] = "corpus" if format_ == "corpus" else "reports"
        yield Source(number, kind, path, format_, name)
    elif path == STDIN:
        yield Source(number, "reports", path, "jsonl", name)
    elif place.is_dir():
        yield from _folder(path, name, format_, run, out, number)
    elif is_archive(path):
        yield from _archive(path, name, format_, number)
    elif may_be_table(path):
        yield from _table(path, name, format_, run, number)
    elif _is_film(place):
        yield Source(number, "films", str(place.parent), "films", name, place.name)
    else:
        yield Source(number, "reports", path, detect(path, run.read_options(None)), name)


def _folder(path: str, name: str, format_: str | None, run: ImportRun, out: Path, number: int) -> Iterator[Source]:
    if format_ is None and is_corpus(path):
        yield Source(number, "corpus", path, "corpus", name)
        return
    seen = _look_through(Path(path), out)
    layout = None if format_ in (None, "films", "dicom") else format_
    tables, reports = _tables_in(path, seen, layout, run, number) if format_ not in ("films", "dicom") else ([], [])
    has_films = _holds_films(Path(path), seen, format_)
    texts = _holds_texts(Path(path), seen, has_films or bool(tables)) and not reports
    if not (has_films or seen.openi or seen.mimic or texts or reports or tables):
        raise DataError(
            "data.empty", "the folder holds neither films (DICOM, PNG, JPEG) nor reports", where=path,
            hint="name the folder that holds them",
        )  # fmt: skip
    if format_ in FILM_FORMATS and not (seen.films or seen.maybe):
        raise DataError("data.empty", "the folder holds no films (DICOM, PNG, JPEG)", where=path)
    if has_films or tables:
        kind = tables[0].columns.layout.name if tables else "films"
        yield Source(number, "films", path, kind, name, tables=tuple(tables))
        number += 1
    if format_ in FILM_FORMATS:
        return
    kinds = (("openi", seen.openi), ("mimic", seen.mimic), ("txt", texts))
    for reader in (reader for reader, there in kinds if there):
        yield Source(number, "reports", path, reader, name)
        number += 1
    for table in reports:
        yield Source(number, "reports", table, detect(table, run.read_options(None)), name)
        number += 1


def _look_through(root: Path, out: Path) -> _Seen:
    seen = _Seen()
    for found in walk(root, out):
        path = found.path
        if found.fault:
            continue
        if has_film_suffix(path):
            seen.films += 1
        elif may_be_table(path):
            if path.count("/") < _TABLE_DEPTH:
                seen.tables.append(path)
        elif XML.search(path):
            seen.openi = seen.openi or _is_openi(root / path)
        elif TXT.search(path):
            seen.mimic = True
        elif wanted_name(path, TEXTS):
            if len(seen.texts) < _LOOKED_AT:
                seen.texts.append(path)
        elif may_be_film(path) and len(seen.maybe) < _LOOKED_AT:
            seen.maybe.append(path)
    return seen


def _holds_films(root: Path, seen: _Seen, format_: str | None) -> bool:
    return bool(seen.films) or format_ in FILM_FORMATS or any(_is_film(root / one) for one in seen.maybe[:_LOOKED_AT])


def _holds_texts(root: Path, seen: _Seen, beside_films: bool) -> bool:
    """Whether text files are the reports: there is nothing else, or most are named as films beside them are."""
    if seen.openi or seen.mimic or not seen.texts or not beside_films:
        return bool(seen.texts) and not (seen.openi or seen.mimic)
    stems = [str(root / text)[: -len(".txt")] for text in seen.texts]
    return 2 * sum(any(Path(stem + end).is_file() for end in ("", *FILM_SUFFIXES)) for stem in stems) > len(stems)


def _is_openi(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"<uId" in file.read(_HEAD)
    except OSError:
        return False


def _tables_in(
    path: str, seen: _Seen, layout: str | None, run: ImportRun, number: int
) -> tuple[list[FilmTable], list[str]]:
    tables: list[FilmTable] = []
    reports: list[str] = []
    for one in seen.tables:
        table = str(Path(path, one))
        if run.mapping and Path(table).resolve() == Path(run.mapping).resolve():
            continue
        try:
            found = sniff(table, run.encoding, layout)
            if found is not None:
                tables.append(FilmTable(table, *found, scope=number))
            if holds_reports(table, run):
                reports.append(table)
        except RadloopError:
            # beside films lies all manner of things; what is named outright is read, or refused
            continue
    return tables, reports


def tables_below(root: Path, source: Source, run: ImportRun) -> tuple[FilmTable, ...]:
    """The tables in a folder that describe films, which are those of ``source``."""
    layout = source.format if source.format in FILM_FORMATS[2:] else None
    return tuple(_tables_in(str(root), _look_through(root, root / "-"), layout, run, source.number)[0])


def holds_reports(path: str, run: ImportRun) -> bool:
    """Whether a table has a column of reports, as far as its header tells. Raises as ``first_line``."""
    import csv

    header = first_line(path, run.encoding)
    cells = next(csv.reader([header], delimiter=delimiter_of(header, run.read_options(None))), [])
    return has_report(cells) or any(name in cells for name in (run.text_column, run.findings_column) if name)


def _archive(path: str, name: str, format_: str | None, number: int) -> Iterator[Source]:
    reader = _reader_of(path) if format_ is None else None
    if reader is not None:
        yield Source(number, "reports", path, reader, name)
    else:
        yield Source(number, "archive", path, format_ or "films", name)


def _reader_of(path: str) -> str | None:
    """The reader of an archive of reports; None if films or tables are in it."""
    texts = False
    for member in names(path):
        if XML.search(member):
            return "openi"
        if TXT.search(member):
            return "mimic"
        if may_be_film(member) or may_be_table(member):
            return None
        texts = texts or wanted_name(member, TEXTS)
    if texts:
        return "txt"
    raise DataError("data.empty", "the archive holds neither films nor reports", where=path)


def _table(path: str, name: str, format_: str | None, run: ImportRun, number: int) -> Iterator[Source]:
    layout = None if format_ in (None, "films", "dicom") else format_
    found = sniff(path, run.encoding, layout)
    if found is not None:
        yield Source(number, "table", path, found[0].layout.name, name, tables=(FilmTable(path, *found),))
        number += 1
    if found is None or (format_ is None and holds_reports(path, run)):
        yield Source(number, "reports", path, detect(path, run.read_options(None)), name)


def _is_film(path: Path) -> bool:
    if has_film_suffix(path.name):
        return True
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))


def mapping_table(run: ImportRun) -> FilmTable | None:
    """The mapping of an import, if it has one.

    Raises ``DataError`` (``data.columns``) if it does not say both what is mapped and to which study or patient.
    """
    if run.mapping is None:
        return None
    if not Path(run.mapping).is_file():
        raise missing(run.mapping)
    import csv

    line = first_line(run.mapping, run.encoding)
    delimiter = max((",", ";", "\t"), key=line.count)
    header = next(csv.reader([line], delimiter=delimiter), [])
    columns = mapping_columns(header, run.id_column)
    given = columns.places.keys()
    if not given & {"image", "study_uid", "accession"} or not given & {"study", "patient"}:
        raise DataError(
            "data.columns", "the mapping needs a column study_id or patient_id, and one that names the film",
            where=run.mapping, hint=f"such as path, image, dicom_id, study_instance_uid; it has: {_shown(header)}",
        )  # fmt: skip
    return FilmTable(run.mapping, columns, delimiter, None, 0)


def _shown(header: Sequence[str]) -> str:
    named = [cell.strip() for cell in header if re.fullmatch(r"[\w ()/#-]{1,40}", cell.strip())]
    return ", ".join(named[:12]) or "no names"
