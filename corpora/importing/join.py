"""Which study each film belongs to, which report each study has, and what is there twice: all within the index."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corpora.errors import DataError
from corpora.importing.index import Fault, Index
from corpora.importing.plan import Join, Source

#: Columns of ``files`` that may hold a study's id, in the order in which they are preferred, by way of joining.
WAYS: Final[dict[Join, tuple[str, ...]]] = {
    "auto": ("study_uid", "accession", "pattern", "stem", "folder", "folder2"),
    "study_uid": ("study_uid",),
    "accession": ("accession",),
    "layout": ("pattern", "stem", "folder", "folder2"),
    "mapping": (),
}
_NAMES: Final = {
    "study_uid": "StudyInstanceUID", "accession": "AccessionNumber", "pattern": "known file layouts",
    "stem": "file name", "folder": "folder", "folder2": "folder above", "table": "table", "mapping": "mapping",
}  # fmt: skip
#: What a film without a match is named by. Folders are ids only where they match: most are just folders.
_OWN: Final = {
    "auto": "coalesce(study_uid, pattern, stem)",
    "study_uid": "coalesce(study_uid, pattern, stem)",
    "accession": "coalesce(accession, study_uid, pattern, stem)",
    "layout": "coalesce(pattern, folder, stem)",
    "mapping": "coalesce(study_uid, pattern, stem)",
}
_INDEXES: Final = {
    "files": ("tail1", "tail2", "tail3", "study_uid", "accession", "instance", "print"),
    "rows": ("tail1", "tail2", "tail3", "study", "study_uid", "accession"),
    "reports": ("study",),
}
_USED: Final = "state IN ('film', 'report')"


@dataclass(frozen=True, slots=True)
class Joined:
    """How the films of one source were joined: by what, how many of how many found a report."""

    source: str
    way: str
    matched: int
    films: int


def join(index: Index, plan: Sequence[Source], roots: dict[int, Path], how: Join) -> list[Joined]:
    """Give every film and report its study; set aside what is there twice; once, and in one transaction.

    ``roots`` are the folders of the sources that hold films. Raises ``DataError`` (``import.no_match``) if the mapping,
    or the way of joining that was asked for, matches nothing.
    """
    _begin(index)
    _match_rows(index)
    _refuse_idle_mapping(index)
    _from_tables(index, how)
    _known_ids(index)
    films = [source for source in plan if source.number in roots]
    ways = [_join_source(index, source.number, how) for source in films]
    _reports_of_files(index)
    joined = [_counted(index, source, way) for source, way in zip(films, ways, strict=True)]
    _refuse_no_match(index, joined, how)
    _twins(index, roots)
    _one_report_each(index, plan, roots)
    index.db.execute("CREATE INDEX IF NOT EXISTS files_by_study ON files (study, id)")
    return joined


def _begin(index: Index) -> None:
    for table, columns in _INDEXES.items():
        for column in columns:
            index.db.execute(f"CREATE INDEX IF NOT EXISTS {table}_{column} ON {table} ({column})")
    index.db.execute("CREATE INDEX IF NOT EXISTS match_entry ON match (entry)")


def _match_rows(index: Index) -> None:
    """Film and row wherever the row names the film: by as many parts of the path as it gives, at most three; a film
    that has moved by fewer, if only one fits; else by UID."""
    scope = "(r.scope IS NULL OR r.scope = f.source)"
    free = "NOT EXISTS (SELECT 1 FROM match m WHERE m.entry = r.id)"
    single = "(SELECT count(*) FROM files g WHERE g.{0} = f.{0} AND (r.scope IS NULL OR r.scope = g.source)) = 1"
    steps = [
        f"f.tail3 = r.tail3 WHERE {scope} AND r.parts >= 3",
        f"f.tail2 = r.tail2 WHERE {scope} AND r.parts = 2",
        f"f.tail1 = r.tail1 WHERE {scope} AND r.parts = 1",
        f"f.tail2 = r.tail2 WHERE {scope} AND r.parts > 2 AND {free} AND {single.format('tail2')}",
        f"f.tail1 = r.tail1 WHERE {scope} AND r.parts > 1 AND {free} AND {single.format('tail1')}",
        f"f.instance = r.tail1 WHERE {scope} AND r.parts = 1 AND {free}",
        f"f.study_uid = r.study_uid WHERE {scope} AND r.parts = 0 AND r.study_uid IS NOT NULL",
        f"f.accession = r.accession WHERE {scope} AND r.parts = 0 AND r.accession IS NOT NULL AND {free}",
    ]
    for step in steps:
        index.db.execute(
            f"INSERT OR IGNORE INTO match SELECT f.id, r.id FROM rows r JOIN files f ON {step} AND f.{_USED}"
        )
    index.db.execute("UPDATE files SET described = 1 WHERE id IN (SELECT file FROM match)")


def _refuse_idle_mapping(index: Index) -> None:
    mapping = index.noted("mapping")
    if mapping is None or index.count("count(*) FROM match m JOIN rows r ON r.id = m.entry WHERE r.weight = 0"):
        return
    row = index.db.execute("SELECT coalesce(tail1, study_uid, accession) FROM rows WHERE weight = 0 LIMIT 1").fetchone()
    film = index.db.execute(f"SELECT path FROM files WHERE {_USED} ORDER BY id LIMIT 1").fetchone()
    raise DataError(
        "import.no_match", "no row of the mapping fits a film: paths, file names and UIDs were tried", where=mapping,
        hint=f"the first row names {row[0]!r}, the first film is {film[0]!r}" if row and film else
        "the mapping has no rows" if film else "there are no films",
    )  # fmt: skip


def _from_tables(index: Index, how: Join) -> None:
    index.db.execute("UPDATE files SET study = given")
    if how not in ("auto", "mapping"):
        return
    only = "AND r.weight = 0" if how == "mapping" else ""
    index.db.execute(
        "UPDATE files SET study = (SELECT r.study FROM match m JOIN rows r ON r.id = m.entry"
        f" WHERE m.file = files.id AND r.study IS NOT NULL {only} ORDER BY r.weight, r.id LIMIT 1)"
        " WHERE described = 1 AND given IS NULL"
    )


def _reports_of_files(index: Index) -> None:
    index.db.execute(
        "INSERT INTO reports (source, study, patient, text, sections, meta, file, rank) SELECT source, study, patient,"
        " json_extract(facts, '$.text'), json_extract(facts, '$.sections'), json_extract(facts, '$.study'), id,"
        " json_extract(facts, '$.rank') FROM files WHERE state = 'report' ORDER BY id"
    )


def _known_ids(index: Index) -> None:
    index.db.execute("CREATE TEMP TABLE IF NOT EXISTS known (study TEXT PRIMARY KEY) WITHOUT ROWID")
    index.db.execute("DELETE FROM known")
    index.db.execute("INSERT OR IGNORE INTO known SELECT study FROM reports WHERE file IS NULL AND study IS NOT NULL")
    index.db.execute("INSERT OR IGNORE INTO known SELECT study FROM rows WHERE parts = 0 AND study IS NOT NULL")


def _join_source(index: Index, number: int, how: Join) -> str:
    """Name the studies of a source's films by the way that finds most reports; which way that was."""
    free = f"source = {number} AND study IS NULL AND {_USED}"
    fits = {
        way: index.count(f"count(*) FROM files WHERE {free} AND {way} IN (SELECT study FROM known)")
        for way in WAYS[how]
    }
    way = max(fits, key=lambda name: fits[name], default="")
    if not way or not fits[way]:
        index.db.execute(f"UPDATE files SET study = {_OWN[how]} WHERE {free}")
        described = index.count("count(*) FROM files WHERE source = ? AND described = 1", number)
        return "mapping" if how == "mapping" else "table" if described else ""
    index.db.execute(f"UPDATE files SET study = {way} WHERE {free} AND {way} IN (SELECT study FROM known)")
    # the films of an examination stay together, whatever one of them lacks
    index.db.execute(
        f"UPDATE files SET study = (SELECT g.study FROM files g WHERE g.study_uid = files.study_uid AND g.source ="
        f" {number} AND g.study IS NOT NULL ORDER BY g.id LIMIT 1) WHERE {free} AND study_uid IS NOT NULL"
    )
    own = f"coalesce({way}, {_OWN[how]})" if way in ("accession", "pattern") else _OWN[how]
    index.db.execute(f"UPDATE files SET study = {own} WHERE {free}")
    return way


def _counted(index: Index, source: Source, way: str) -> Joined:
    films = index.count("count(*) FROM files WHERE source = ? AND state = 'film'", source.number)
    matched = index.count(
        "count(*) FROM files WHERE source = ? AND state = 'film' AND study IN (SELECT study FROM reports WHERE text"
        " IS NOT NULL)", source.number,
    )  # fmt: skip
    return Joined(source.path, _NAMES.get(way, ""), matched, films)


def _refuse_no_match(index: Index, joined: Sequence[Joined], how: Join) -> None:
    films = sum(one.films for one in joined)
    reports = index.count("count(*) FROM reports WHERE text IS NOT NULL")
    if how == "auto" or not films or not reports or any(one.matched for one in joined):
        return
    raise DataError(
        "import.no_match", f"none of {films:,} films found one of {reports:,} reports by {how}",
        where=", ".join(one.source for one in joined), hint=tried(index, WAYS[how]),
    )  # fmt: skip


def tried(index: Index, ways: Sequence[str]) -> str:
    """What was compared in vain: an id of a film by every way, and one of a report."""
    ids = []
    for way in ways:
        row = index.db.execute(f"SELECT {way} FROM files WHERE {_USED} AND {way} IS NOT NULL LIMIT 1").fetchone()
        ids.append(f"{_NAMES[way]} {row[0]!r}" if row else f"{_NAMES[way]} (no film has one)")
    report = index.db.execute("SELECT study FROM reports WHERE study IS NOT NULL ORDER BY id LIMIT 1").fetchone()
    films = ", ".join(ids) or "the mapping's study ids"
    return f"tried {films}, against report ids such as {report[0]!r}" if report else f"tried {films}"


def _twins(index: Index, roots: dict[int, Path]) -> None:
    """Set aside a film that is there already: the same SOP Instance UID, or the same bytes. One that a table describes
    is kept rather than one that none does, else the first."""
    order = "described DESC, id"
    for column in ("instance", "print"):
        groups = index.db.execute(
            f"SELECT {column} FROM files WHERE {_USED} AND {column} IS NOT NULL GROUP BY {column} HAVING count(*) > 1"
        ).fetchall()
        for (value,) in groups:
            same = index.db.execute(
                f"SELECT id, source, path, study FROM files WHERE {column} = ? AND {_USED} ORDER BY {order}", (value,)
            ).fetchall()
            _set_aside(index, same, roots, by_uid=column == "instance")


def _set_aside(index: Index, same: list[tuple[int, int, str, str]], roots: dict[int, Path], *, by_uid: bool) -> None:
    kept: list[Path] = []
    for number, source, path, study in same:
        place = _place(roots, source, path)
        first = next((one for one in kept if _is_same(one, place)), None)
        if first is None and not (by_uid and kept):
            kept.append(place)
            continue
        code, message = "import.same_image", f"the same film as {(first or kept[0]).name}, which was kept"
        if first is None:
            code, message = "import.same_uid", f"{kept[0].name}, which was kept, has its UID and other content"
        index.db.execute("UPDATE files SET state = 'twin' WHERE id = ?", (number,))
        index.reject("twins", [Fault(number, code, message, str(place), study_id=study, kind="repeat")])


def _is_same(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _place(roots: dict[int, Path], source: int, path: str) -> Path:
    return roots[source] / path if source in roots else Path(path)


def _one_report_each(index: Index, plan: Sequence[Source], roots: dict[int, Path]) -> None:
    """Keep one report a study: of tables and texts the first, before those in DICOM; of these the highest rank."""
    index.db.execute("DELETE FROM reports WHERE file IN (SELECT id FROM files WHERE state = 'twin')")
    later = index.db.execute(
        "WITH many AS (SELECT study FROM reports WHERE text IS NOT NULL GROUP BY study HAVING count(*) > 1)"
        " SELECT id, text = first, source, place, member, study, file FROM (SELECT *, first_value(text) OVER one AS"
        " first, row_number() OVER one AS number FROM reports WHERE text IS NOT NULL AND study IN many WINDOW one AS"
        " (PARTITION BY study ORDER BY file IS NOT NULL, rank DESC, id)) WHERE number > 1 ORDER BY id"
    ).fetchall()
    for number, same, source, place, member, study, file in later:
        index.db.execute("UPDATE reports SET fate = ? WHERE id = ?", ("repeat" if same else "later", number))
        message = f"the study has {'this very' if same else 'another'} report already, which was kept"
        kind = "repeat" if same else "broken"
        where = plan[source].path if file is None else _file_of(index, roots, source, file)
        index.reject("repeats", [Fault(number, "data.duplicate", message, where, place, member, study, kind)])


def _file_of(index: Index, roots: dict[int, Path], source: int, file: int) -> str:
    return str(_place(roots, source, index.db.execute("SELECT path FROM files WHERE id = ?", (file,)).fetchone()[0]))
