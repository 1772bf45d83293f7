"""A scan of all that lies in an output: films, reports, tables, notes, file names.

result = scan("clean/", source="films/", key_file="site.key")
result.leaks          # where something is left, and of what kind; never what
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError
from corpora.pool import ordered, usable_cores
from corpora.scan.films import is_dicom, scan_film
from corpora.scan.pixels import reader, scan_pixels
from corpora.scan.result import ScanResult
from corpora.scan.terms import add_film
from corpora.scan.texts import look_for_patterns, look_for_terms
from corpora.scan.types import WORD, Leak, Terms, plain

_PICTURES: Final = (".png", ".jpg", ".jpeg")
#: Pages of what was found in pixels, for the person who signs off, in the folder of a run.
_SHEET: Final = re.compile(r"pixels(-\d+)?\.png")
_TEXT_COLUMNS: Final = re.compile(
    r"(?i)report|text|findings?|impression|indication|history|comparison|conclusion|technique|note|comment|value"
)
_UID: Final = re.compile(r"2\.25\.\d+|1\.2\.840\.10008[\d.]*|[0-9a-f]{16,64}|[A-Z][A-Z2-7]{8,15}")
_LARGE: Final = 1 << 27


def scan(
    folder: Path | str, *, source: Path | str | None = None, key_file: Path | str | None = None, pixels: bool = True,
    workers: int | None = None, watch: Callable[[int, int], None] = lambda done, total: None,
) -> ScanResult:  # fmt: skip
    """Look through ``folder`` (or one file) for what is left of the people it is about.

    ``source`` is what it was made of: its header values and study ids are looked for. With ``key_file`` each film is
    compared with its own source, too. Raises ``DataError``: ``data.missing``, ``data.empty``, ``scan.key``.
    """
    start, root = time.perf_counter(), Path(folder)
    if not root.exists():
        raise DataError("data.missing", "there is no such file or folder", where=str(folder))
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    if not files:
        raise DataError("data.empty", "the folder has no files", where=str(folder))
    terms = terms_of(Path(source)) if source is not None else Terms()
    program = reader() if pixels else None
    task = _Task(root, terms, _paired(terms, key_file), _study_ids(root), program, _is_surrogate(root))
    found: list[Leak] = []
    counts: Counter[str] = Counter()
    for group in ordered(
        partial(_scan_file, task), iter(files), len(files), workers or usable_cores(), _killed,
        together=partial(_scan_files, task),
    ):  # fmt: skip
        for counted, leaks in group:
            counts.update(counted)
            found += leaks
        watch(counts["seen"], len(files))
    return ScanResult(
        root, counts["films"], counts["reports"], counts["others"], counts["pixels"], tuple(dict.fromkeys(found)),
        time.perf_counter() - start, program is not None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Task:
    root: Path
    terms: Terms
    pairs: Mapping[str, Mapping[str, str]]
    study_ids: Mapping[str, str]
    program: str | None
    surrogates: bool


Counted = tuple[dict[str, int], list[Leak]]


def _killed(path: Path) -> Counted:
    return {"seen": 1}, [Leak("a file", "file", "not removed", "the process that read the file died")]


def terms_of(source: Path) -> Terms:
    """What the headers of a source say. Raises ``DataError`` (``data.missing``)."""
    if not source.exists():
        raise DataError("data.missing", "there is no such source", where=str(source))
    terms = Terms()
    paths = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    for path in paths:
        if is_dicom(path) or path.suffix.lower() == ".dcm":
            add_film(terms, path)
        elif path.suffix.lower() == ".parquet" and path.name.startswith("studies-"):
            _add_studies(terms, path)
        elif path.suffix.lower() in (".csv", ".jsonl"):
            _add_headers(terms, path)
    return terms


def _add_studies(terms: Terms, shard: Path) -> None:
    """The ids of a corpus, and its films where they lie elsewhere."""
    import pyarrow.parquet as pq

    folder = shard.parent
    for row in pq.read_table(shard, columns=["study_id", "patient_id", "images"]).to_pylist():
        for value in (row["study_id"], row["patient_id"]):
            if value and len(value) > 4:
                terms.values.add(plain(value))
        for image in row["images"] or ():
            path = folder / image["path"]
            if not path.is_relative_to(folder) and is_dicom(path):
                add_film(terms, path)


def _add_headers(terms: Terms, table: Path) -> None:
    """The names and ids in a column ``header`` of a table of reports."""
    for row in _rows(table):
        cell = next((row[name] for name in row if name.strip().lower() == "header"), None)
        try:
            header = json.loads(cell) if isinstance(cell, str) else cell
        except ValueError:
            continue
        if isinstance(header, Mapping):
            for name, value in header.items():
                _add_value(terms, str(name), str(value))


def _add_value(terms: Terms, name: str, value: str) -> None:
    folded = plain(value)
    if re.search(r"(?i)name|physician|operator|00100010|00080090", name) and not re.search(
        r"(?i)institution|station|manufacturer", name
    ):
        terms.names.update(WORD.findall(folded))
    elif re.search(r"(?i)id$|number|accession|phone|00100020|00080050", name) and len(folded) > 4:
        terms.values.add(folded)


def _paired(terms: Terms, key_file: Path | str | None) -> dict[str, dict[str, str]]:
    """The values of each source film by the UID that its output has; of the one film if there is one alone."""
    if len(terms.films) == 1:
        return {"": next(iter(terms.films.values()))}
    if key_file is None:
        return {}
    try:
        key = bytes.fromhex(Path(key_file).read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise DataError("scan.key", "the key file cannot be read, or is no key", where=str(key_file)) from error
    pairs = {}
    for uid, own in terms.films.items():
        digest = hmac.new(key, f"uid\0{uid}".encode(), hashlib.sha256).digest()
        pairs[f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}"] = own
        pairs[uid] = own
    return pairs


def _study_ids(root: Path) -> dict[str, str]:
    """Which study of a corpus each film belongs to."""
    ids: dict[str, str] = {}
    if root.is_dir() and (shards := sorted(root.glob("studies-*.parquet"))):
        import pyarrow.parquet as pq

        for shard in shards:
            for row in pq.read_table(shard, columns=["study_id", "images"]).to_pylist():
                ids |= {image["path"]: row["study_id"] for image in row["images"] or ()}
    return ids


def _is_surrogate(root: Path) -> bool:
    """Whether the reports have invented values in them, which look like those of people."""
    manifest = root / "manifest.json" if root.is_dir() else root.with_name(root.name + ".manifest.json")
    try:
        return bool(json.loads(manifest.read_text(encoding="utf-8"))["config"]["surrogates"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _scan_file(task: _Task, path: Path) -> Counted:
    return _scan_files(task, [path])[0]


def _scan_files(task: _Task, paths: Sequence[Path]) -> list[Counted]:
    """Several files. Text in the pixels of their films is read at once: starting what reads it takes longest."""
    done = [_scan_without_pixels(task, path) for path in paths]
    films = [(path, *each) for path, each in zip(paths, done, strict=True) if each[0].get("films")]
    if task.program is None:
        return done
    for (path, counts, leaks), told in zip(
        films, scan_pixels([path for path, _, _ in films], task.terms, task.program), strict=True
    ):
        _, shown, study = _names(task, path)
        counts["pixels"] = 1
        leaks += [Leak(shown, "pixels", "pixels", what, study) for what in told]
    return done


def _names(task: _Task, path: Path) -> tuple[str, str, str | None]:
    """Where a file lies in the output, the same as it may be shown, and the study that it is of."""
    name = path.relative_to(task.root).as_posix() if task.root.is_dir() else path.name
    shown = name if not list(_name_leaks(name, task.terms)) else f"*{path.suffix}"
    return name, shown, task.study_ids.get(name)


def _scan_without_pixels(task: _Task, path: Path) -> Counted:
    name, shown, study = _names(task, path)
    leaks = [Leak(shown, "file name", kind, what, study) for kind, what in _name_leaks(name, task.terms)]
    counts = {"seen": 1}
    if is_dicom(path) or path.suffix.lower() == ".dcm":
        counts["films"] = 1
        own = task.pairs.get("") or task.pairs.get(path.stem.split("-")[0]) or {}
        leaks += [
            Leak(leak.file, leak.where, leak.kind, leak.what, study or leak.study_id)
            for leak in scan_film(path, shown, task.terms, dict(own))
        ]
    elif path.suffix.lower() in _PICTURES and not _is_sheet(task, path):
        counts["films"] = 1
        leaks += [Leak(shown, where, "not removed", what, study) for where, what in _picture_notes(path)]
    elif (
        path.suffix.lower() in (".parquet", ".csv", ".tsv", ".jsonl")
        and path.name not in ("failures.jsonl", "pixels.csv", "done.jsonl")
        and path.parent.name != "audit"
    ):
        reports, more = _scan_table(task, path, shown)
        counts["reports"] = reports
        leaks += more
    else:
        counts["others"] = 1
        leaks += _scan_note(task, path, shown)
    return counts, leaks


def _is_sheet(task: _Task, path: Path) -> bool:
    return path.parent == task.root and _SHEET.fullmatch(path.name) is not None


def _name_leaks(name: str, terms: Terms) -> Iterator[tuple[str, str]]:
    rest = _UID.sub(" ", name)
    for part in re.split(r"[/\s]+", rest):
        words = [plain(word) for word in re.findall(r"[^\W_]{3,}", part)]
        if any(
            (word in terms.names and len(word) > 3) or word in terms.values or word in terms.words for word in words
        ):
            yield "source value", "a name or an id in a file name"
        if (
            re.search(r"(?<!\d)(?:(?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d|\d{6,})(?!\d)", part)
            and "studies-" not in part
        ):
            yield "pattern", "a date or a number in a file name"
    if plain(name) in terms.values or any(
        plain(part) in terms.values for part in re.split(r"[/]", Path(name).with_suffix("").as_posix())
    ):
        yield "source value", "an id in a file name"


def _picture_notes(path: Path) -> Iterator[tuple[str, str]]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            notes = [
                name
                for name, value in picture.info.items()
                if isinstance(value, str | bytes) and name not in ("icc_profile", "jfif", "transparency")
            ]
            exif = len(picture.getexif())
    except (OSError, SyntaxError, ValueError):
        yield "file", "the picture cannot be read, so nobody knows what is in it"
        return
    if notes or exif:
        yield "notes", "text or camera data beside the pixels of a picture"


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1000):
                yield from batch.to_pylist()
        return
    csv.field_size_limit(_LARGE)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        if suffix == ".jsonl":
            for line in file:
                try:
                    item = json.loads(line)
                except ValueError:
                    item = {"text": line}
                yield item if isinstance(item, dict) else {"text": line}
        else:
            for row in csv.DictReader(file, delimiter="\t" if suffix == ".tsv" else ","):
                yield {name or "more": cell if isinstance(cell, str) else "" for name, cell in row.items()}


def _scan_table(task: _Task, path: Path, shown: str) -> tuple[int, list[Leak]]:
    leaks: list[Leak] = []
    number = 0
    try:
        for number, row in enumerate(_rows(path), 1):
            study = str(row.get("study_id") or "") or None
            for name, value in row.items():
                where = f"row {number}, {name}"
                for text, column in _cells(name, value):
                    running = bool(_TEXT_COLUMNS.search(column)) and len(text.split()) > 2
                    leaks += [
                        Leak(shown, where, kind, what, study) for kind, what in _text(task, text, column, running)
                    ]
    except (OSError, ValueError, csv.Error):
        leaks.append(Leak(shown, "file", "not removed", "the table cannot be read, so nobody knows what is in it"))
    return number, leaks


def _cells(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if value and name not in ("spans", "split"):
            yield value, name
    elif isinstance(value, Mapping):
        for inner, each in value.items():
            yield from _cells(f"{name}.{inner}" if name == "meta" else inner, each)
    elif isinstance(value, list) and name not in ("sections", "labels", "spans", "pixel_spacing"):
        for each in value:
            yield from _cells(name, each)


_QUIET: Final = frozenset({"path", "image_id", "study_id", "patient_id", "format", "view", "view_source", "photometric", "modality", "body_part",  # noqa: E501
                           "manufacturer", "model", "transfer_syntax", "phash", "sex", "source"})  # fmt: skip


def _text(task: _Task, text: str, column: str, running: bool) -> Iterator[tuple[str, str]]:
    bare = _UID.sub(" ", text)
    for what in look_for_terms(text if column not in ("path",) else bare, task.terms, running=running):
        if column not in ("manufacturer", "model"):
            yield "source value", what
    if column in _QUIET or (task.surrogates and running):
        return
    for what in look_for_patterns(bare):
        yield "pattern", what


def _scan_note(task: _Task, path: Path, shown: str) -> Iterable[Leak]:
    """Any other file: what of the source is in its bytes."""
    if path.stat().st_size > _LARGE or _is_sheet(task, path):
        return []
    text = path.read_bytes().decode("utf-8", "replace")
    found = []
    for line in text.splitlines():
        found += [
            Leak(shown, "text", "source value", what)
            for what in look_for_terms(_UID.sub(" ", line), task.terms, running=False)
        ]
        if path.suffix.lower() not in (".json", ".jsonl", ".csv", ".html"):
            found += [Leak(shown, "text", "pattern", what) for what in look_for_patterns(line)]
    return dict.fromkeys(found)
