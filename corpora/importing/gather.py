"""Everything that the sources hold, into the index: reports, tables, the files of folders, and what each file says."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError, RunError
from corpora.importing.archive import extract
from corpora.importing.films import Item, Look, killed, look
from corpora.importing.index import Fault, Index
from corpora.importing.names import places_of, tails_of
from corpora.importing.plan import ImportRun, Source
from corpora.importing.walk import Found, may_be_film, walk
from corpora.pool import ordered
from corpora.readers import open_source
from corpora.readers.options import Record
from corpora.store import image_file, read_studies
from corpora.types import ImageRef, Reject, Study

_AT_ONCE: Final = 500
_FILE: Final = (
    "INSERT INTO files (source, path, size, changed, tail1, tail2, tail3, pattern, stem, folder, folder2, patient,"
    " state, facts, given) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_REPORT: Final = (
    "INSERT INTO reports (source, place, member, study, patient, text, sections, meta) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_LOOK: Final = (
    "UPDATE files SET state = ?, study_uid = ?, accession = ?, patient = coalesce(patient, ?), instance = ?, print = ?,"
    " facts = ? WHERE id = ?"
)

Watch = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Gathering:
    """What the stages share: the index, the run, where the corpus is, the processes, and who watches."""

    index: Index
    run: ImportRun
    out: Path
    workers: int
    watch: Watch


def add_reports(to: Gathering, source: Source) -> None:
    """The reports of a source. Raises as ``corpora.readers.open_source``."""
    records = open_source(source.path, to.run.read_options(source.format))
    _add_records(to, source, records, lambda study: [])


def add_corpus(to: Gathering, source: Source) -> None:
    """The studies of another corpus, their films where they lie. Raises as ``corpora.store.read_studies``."""
    _add_records(to, source, read_studies(source.path), partial(_films_of, source))


def _add_records(
    to: Gathering, source: Source, records: Iterable[Record], films: Callable[[Study], list[tuple[object, ...] | Fault]]
) -> None:
    faults: list[Fault] = []
    total = 0
    numbered = enumerate(records, 1)
    while batch := list(islice(numbered, _AT_ONCE)):
        rows: list[tuple[object, ...]] = []
        for at, record in batch:
            if isinstance(record, Reject):
                faults.append(_fault_of(record, at))
                continue
            rows.append(_report_row(source, record, at))
            for film in films(record):
                if isinstance(film, Fault):
                    faults.append(film)
                else:
                    to.index.db.execute(_FILE, film)
        to.index.db.executemany(_REPORT, rows)
        total += len(batch)
        to.watch("reports", total, None)
    to.index.reject("reports", faults)


def _fault_of(record: Reject, at: int) -> Fault:
    where = record.provenance
    return Fault(at, record.code, record.message, where.file, where.row, where.member, record.study_id)


def _report_row(source: Source, study: Study, at: int) -> tuple[object, ...]:
    report, where = study.report, study.provenance
    sections = json.dumps([asdict(section) for section in report.sections]) if report and report.sections else None
    meta = json.dumps(dict(study.meta), ensure_ascii=False, default=str) if study.meta else None
    place, member = (where.row, where.member) if where else (at, None)
    text = report.text if report else None
    return source.number, place or at, member, study.study_id, study.patient_id, text, sections, meta


def _films_of(source: Source, study: Study) -> list[tuple[object, ...] | Fault]:
    found: list[tuple[object, ...] | Fault] = []
    for image in study.images:
        path = image_file(source.path, image).absolute()
        try:
            status = path.stat()
        except OSError:
            found.append(Fault(0, "data.missing", "the corpus names a film that is not there", str(path), None, None,
                               study.study_id))  # fmt: skip
            continue
        facts = json.dumps({"image": _known(image), "study": {}})
        keys = _keys(str(path), path.name)
        place = (source.number, str(path), status.st_size, status.st_mtime_ns)
        found.append((*place, *keys, study.patient_id, "film", facts, study.study_id))
    return found


def _known(image: ImageRef) -> dict[str, Any]:
    return {name: value for name, value in asdict(image).items() if value is not None and name != "path"}


def _keys(absolute: str, relative: str) -> tuple[str | None, ...]:
    tails, places = tails_of(absolute), places_of(relative)
    return tails.tail1, tails.tail2, tails.tail3, places.pattern, places.stem, places.folder, places.folder2


def unpack(to: Gathering, source: Source) -> Path:
    """Take the films out of an archive into the corpus; the folder they are in. Raises as ``archive.extract``."""
    folder = to.out / "images" / f"{source.number:02d}-{Path(source.name).name}"
    done = extract(source.path, folder)
    to.index.reject("archive", done.faults)
    to.index.note(f"passed over {source.number}", done.passed_over)
    return folder


def add_files(to: Gathering, source: Source, root: Path) -> None:
    """The files of a folder that may be films, in their order, to be looked at later. Raises as ``walk``."""
    listed = hashlib.sha256()
    others = 0
    inside = root.resolve().is_relative_to(to.out.resolve())
    faults: list[Fault] = []
    found = walk(root, None if inside else to.out) if source.only is None else _one(root, source.only)
    for at, file in enumerate(found):
        listed.update(f"{file.path}\0{file.size}\0{file.changed}\n".encode("utf-8", "surrogateescape"))
        if file.fault:
            faults.append(Fault(at, "data.unreadable", file.fault, str(root / file.path)))
        elif not may_be_film(file.path):
            others += 1
        elif (problem := _unfit(file.path)) is not None:
            faults.append(Fault(at, "image.name", problem, str(root / file.path)))
        else:
            _add_file(to.index.db, source, root, file)
        if at % _AT_ONCE == 0:
            to.watch("files", at, None)
    to.index.reject("walk", faults)
    to.index.note(f"others {source.number}", max(0, others - len(source.tables)))
    to.index.note(f"listed {source.number}", listed.hexdigest())


def _one(root: Path, name: str) -> Iterator[Found]:
    status = (root / name).stat()
    yield Found(name, status.st_size, status.st_mtime_ns)


def _unfit(path: str) -> str | None:
    try:
        path.encode()
    except UnicodeEncodeError:
        return "the file's name is not UTF-8, and no table can hold it"
    return None


def _add_file(db: sqlite3.Connection, source: Source, root: Path, file: Found) -> None:
    keys = _keys(str((root / file.path).absolute()), file.path)
    place = (source.number, file.path, file.size, file.changed)
    db.execute(_FILE, (*place, *keys, places_of(file.path).patient, None, None, None))


def check_unchanged(to: Gathering, source: Source, root: Path) -> None:
    """Raise ``RunError`` (``run.changed``) if a folder no longer holds the files that were listed."""
    listed = hashlib.sha256()
    inside = root.resolve().is_relative_to(to.out.resolve())
    found = walk(root, None if inside else to.out) if source.only is None else _one(root, source.only)
    for file in found:
        listed.update(f"{file.path}\0{file.size}\0{file.changed}\n".encode("utf-8", "surrogateescape"))
    if listed.hexdigest() != to.index.noted(f"listed {source.number}"):
        raise RunError(
            "run.changed", "files of the source were added, removed or changed since the import began",
            where=source.path, hint="remove the output folder and run again",
        )  # fmt: skip


def look_at_all(to: Gathering, roots: dict[int, Path]) -> None:
    """Look at every file that was not looked at, by processes; what they say goes into the index in order."""
    db = to.index.db
    todo = to.index.count("count(*) FROM files WHERE state IS NULL")
    total = to.index.count("count(*) FROM files WHERE given IS NULL")
    done = total - todo
    work = partial(look, hashes=to.run.hash)
    items = _unseen(db, roots)
    # a decoder may take its process down; a header does not
    for looks in ordered(work, items, todo, to.workers, killed, isolate=to.run.hash):
        with to.index.stage():
            _keep(to.index, looks, roots)
        done += len(looks)
        to.watch("films", done, total)


def _unseen(db: sqlite3.Connection, roots: dict[int, Path]) -> Iterator[Item]:
    last = -1
    query = "SELECT id, source, path FROM files WHERE state IS NULL AND id > ? ORDER BY id LIMIT ?"
    while batch := db.execute(query, (last, _AT_ONCE)).fetchall():
        for number, source, path in batch:
            yield number, str(roots[source] / path)
        last = batch[-1][0]


def _keep(index: Index, looks: list[Look], roots: dict[int, Path]) -> None:
    index.db.executemany(
        _LOOK,
        (
            (one.state, one.study_uid, one.accession, one.patient, one.instance, one.print, one.facts, one.id)
            for one in looks
        ),
    )
    bad = [one for one in looks if one.state == "reject"]
    for one in bad:
        source, path = index.db.execute("SELECT source, path FROM files WHERE id = ?", (one.id,)).fetchone()
        index.reject("films", [Fault(one.id, one.code, one.message, str(roots[source] / path))])


def refuse_nothing(index: Index, plan: list[Source]) -> None:
    """Raise ``DataError`` (``data.empty``) if there is neither a film nor a report in all that was gathered."""
    if index.count("count(*) FROM files WHERE state IN ('film', 'report')") or index.count("count(*) FROM reports"):
        return
    rejected = index.count("count(*) FROM rejects")
    hint = f"{rejected} files or records were rejected" if rejected else "name the folder that holds them"
    example = index.db.execute("SELECT code, message, file FROM rejects ORDER BY stage, at LIMIT 1").fetchone()
    if example:
        hint += f", the first: [{example[0]}] {example[1]} ({example[2]})"
    raise DataError(
        "data.empty", "there is neither a film nor a report that can be used",
        where=", ".join(source.path for source in plan), hint=hint,
    )  # fmt: skip
