"""Two runs, file by file: equal to the byte, the same figures, or other ones.

Paths of the runs, times, and seconds do not count. Numbers are the same within one in a million; weights of networks
within one in ten thousand of the largest of their tensor, since sums depend on how many threads share them.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

Verdict = Literal["equal", "same", "differs", "missing", "added"]

#: What a run has anew each time: not compared.
_VOLATILE: Final = frozenset({
    "bytes", "command", "commands", "config_sha256", "cpu_seconds", "created", "directory", "drawn_at", "environment",
    # where the films of a cache lie; which ones they are says its index
    "list_sha256",
    # of a scan: of the manifest of what it saw, in which are times
    "scanned_sha256",
    "made_at", "seconds", "versions", "wall_seconds",
})  # fmt: skip
#: Sets, which peft writes in no order.
_SETS: Final = frozenset({"target_modules"})
_SHARE: Final = 1e-6
_NEAR: Final = 1e-9
_WEIGHTS: Final = 1e-4
_NUMBER: Final = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
#: Seconds in a sentence of a page.
_SECONDS: Final = re.compile(r"\b[\d.,]+ (?:s|ms|min)\b")
#: What a structured report has anew each time it is written.
_ANEW: Final = frozenset({
    "ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime", "SeriesInstanceUID", "SOPInstanceUID",
    "TimezoneOffsetFromUTC",
})  # fmt: skip
#: Links of a page to what lies beside its folder.
_OUTWARD: Final = re.compile(r'\b(href|src)="(\.\./[^"]*)"')
_TEXTS: Final = frozenset({".html", ".md", ".svg", ".tex", ".txt", ".yaml"})
_LONGEST: Final = 1 << 28
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """A file of both runs (its name in them), how it compares, and the first thing that differs."""

    name: str
    verdict: Verdict
    why: str = ""


def compare_runs(old: Path, new: Path, moved: Mapping[str, str]) -> Iterator[FileVerdict]:
    """Compare two run folders, or two tables with what lies beside them. ``moved`` are paths that became others."""
    before, after = _files(old, old.name), _files(new, old.name)
    for name in sorted(before | after.keys()):
        if name not in after:
            # another run wrote it there
            if not (old.is_dir() and (name.endswith(".manifest.json") or f"{name}.manifest.json" in before)):
                yield FileVerdict(name, "missing")
        elif name not in before:
            yield FileVerdict(name, "added")
        else:
            yield _compared(name, before[name], after[name], moved)


def _files(run: Path, name: str) -> dict[str, Path]:
    """The files of a folder by their place in it; a table and what lies beside it as if it had that name."""
    if run.is_dir():
        return {path.relative_to(run).as_posix(): path for path in sorted(run.rglob("*")) if path.is_file()}
    beside = run.parent.glob(f"{run.name}.*") if run.parent.is_dir() else ()
    files = {f"{name}{path.name.removeprefix(run.name)}": path for path in beside if path.is_file()}
    return files | ({name: run} if run.is_file() else {})


def _compared(name: str, old: Path, new: Path, moved: Mapping[str, str]) -> FileVerdict:
    if _same_bytes(old, new):
        return FileVerdict(name, "equal")
    kind = _KINDS.get(old.suffix.lower())
    if old.name.endswith("manifest.json"):
        kind = _manifest
    if kind is None or old.stat().st_size > _LONGEST:
        return FileVerdict(name, "differs", "other bytes")
    try:
        why = kind(old, new, moved)
    except (OSError, ValueError, ImportError, sqlite3.Error):
        return FileVerdict(name, "differs", "other bytes, and one of the two cannot be read")
    return FileVerdict(name, "differs" if why else "same", why)


def _same_bytes(old: Path, new: Path) -> bool:
    if old.stat().st_size != new.stat().st_size:
        return False
    with old.open("rb") as one, new.open("rb") as other:
        while block := one.read(1 << 20):
            if block != other.read(1 << 20):
                return False
    return True


# What the files hold


def _json(old: Path, new: Path, moved: Mapping[str, str]) -> str:
    return _difference(_loaded(old), _loaded(new), moved)


def _loaded(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _lines(old: Path, new: Path, moved: Mapping[str, str]) -> str:
    one, other = (list(map(json.loads, path.read_text(encoding="utf-8").splitlines())) for path in (old, new))
    return _difference(one, other, moved)


def _manifest(old: Path, new: Path, moved: Mapping[str, str]) -> str:
    """Of a manifest what decides and what came out: an input that is itself of the run, or a manifest, has times in
    it and is compared as a file, not by its hash."""
    one, other = _loaded(old), _loaded(new)
    for made in (one, other):
        for given in made.get("inputs", ()):
            if isinstance(given, dict):
                given.pop("files", None)
                place = Path(str(made.get("directory", "")), str(given.get("path", "")))
                if place.name.endswith("manifest.json") or _is_moved(place, moved):
                    given.pop("sha256", None)
    return _difference(one, other, moved)


def _is_moved(place: Path, moved: Mapping[str, str]) -> bool:
    whole = Path(os.path.normpath(place.absolute()))
    return any(whole.is_relative_to(root) for pair in moved.items() for root in pair)


def _csv(old: Path, new: Path, moved: Mapping[str, str]) -> str:
    one, other = (list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))) for path in (old, new))
    return _difference(one, other, moved)


def _parquet(old: Path, new: Path, moved: Mapping[str, str]) -> str:
    import pyarrow.parquet as pq

    one, other = pq.read_table(old), pq.read_table(new)
    if one.schema.names != other.schema.names:
        return "other columns"
    return _difference(one.to_pydict(), other.to_pydict(), moved)


def _safetensors(old: Path, new: Path, moved: Mapping[str, str]) -> str:
    import numpy as np
    from safetensors.numpy import load_file

    one, other = load_file(old), load_file(new)
    if one.keys() != other.keys():
        return "other tensors"
    for name, tensor in one.items():
        if tensor.shape != other[name].shape or tensor.dtype != other[name].dtype:
            return f"tensor {name}: other shape"
        largest = float(np.abs(tensor).max(initial=0)) or 1.0
        apart = float(np.abs(tensor.astype(np.float64) - other[name].astype(np.float64)).max(initial=0)) / largest
        if not apart <= _WEIGHTS:
            return f"tensor {name}, by {apart:.1e} of its largest"
    return ""


def _sqlite(old: Path, new: Path, moved: Mapping[str, str]) -> str:
    return _difference(_rows(old), _rows(new), moved)


def _rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        database.row_factory = sqlite3.Row
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [dict(row) for row in database.execute(f'SELECT * FROM "{name}"')] for name in sorted(tables)}


def _text(old: Path, new: Path, moved: Mapping[str, str]) -> str:
    one, other = (_SECONDS.sub("#", _unmoved(_linked(path), moved)) for path in (old, new))
    return _text_difference(one, other)


def _structured_report(old: Path, new: Path, moved: Mapping[str, Any]) -> str:
    """Of a DICOM structured report what it says; of a film every byte counts, and those are others."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        one, other = (dcmread(path) for path in (old, new))
    except InvalidDicomError:
        return "other bytes"
    if not (one.get("Modality") == other.get("Modality") == "SR"):
        return "other bytes"
    for each in (one, other):
        for name in _ANEW & {element.keyword for element in each}:
            delattr(each, name)
    return _difference(one.to_json_dict(), other.to_json_dict(), moved)


def _linked(path: Path) -> str:
    """A text, its links out of their folder told by where they lead."""
    return _OUTWARD.sub(
        lambda link: f'{link[1]}="{os.path.normpath(path.parent.absolute() / link[2])}"',
        path.read_text(encoding="utf-8"),
    )


_KINDS: Final[dict[str, Callable[[Path, Path, Mapping[str, str]], str]]] = {
    ".json": _json, ".jsonl": _lines, ".csv": _csv, ".parquet": _parquet, ".safetensors": _safetensors,
    ".sqlite": _sqlite, ".dcm": _structured_report, **dict.fromkeys(_TEXTS, _text),
}  # fmt: skip


# Two values


def _difference(one: Any, other: Any, moved: Mapping[str, str], place: str = "") -> str:
    """The place of the first difference of two values in JSON's types; empty if there is none. No values are told."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in one.keys() | other.keys() if not _is_volatile(key, one, other)]
        for key in sorted(keys, key=str):
            if (key in one) != (key in other):
                return f"{place}{key} is in one only"
            a, b = (_in_order(each) if key in _SETS else each for each in (one[key], other[key]))
            if why := _difference(a, b, moved, f"{place}{key} / "):
                return why
        return ""
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"{place}{len(other):,} items, were {len(one):,}"
        found = (_difference(a, b, moved, f"{place}{at} / ") for at, (a, b) in enumerate(zip(one, other, strict=True)))
        return next((why for why in found if why), "")
    return "" if _alike(one, other, moved) else (place.removesuffix(" / ")[-_SHOWN:] or "its content")


def _in_order(value: Any) -> Any:
    return sorted(value, key=str) if isinstance(value, list) else value


def _is_volatile(key: Any, one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    # "at" is a time where it is text, and scores at a threshold elsewhere
    return key in _VOLATILE or (key == "at" and isinstance(one.get(key), str) and isinstance(other.get(key), str))


def _alike(one: Any, other: Any, moved: Mapping[str, str]) -> bool:
    if one == other:
        return True
    if isinstance(one, int | float) and isinstance(other, int | float):
        both = math.isnan(one) and math.isnan(other)
        return both or math.isclose(one, other, rel_tol=_SHARE, abs_tol=_NEAR)
    if isinstance(one, str) and isinstance(other, str):
        one, other = _unmoved(one, moved), _unmoved(other, moved)
        return one == other or _both_numbers(one, other)
    return False


def _both_numbers(one: str, other: str) -> bool:
    try:
        return math.isclose(float(one), float(other), rel_tol=_SHARE, abs_tol=_NEAR)
    except ValueError:
        return False


def _unmoved(text: str, moved: Mapping[str, str]) -> str:
    """The text with the paths of either run named alike: whole, and by their last part."""
    number_of = {new: number for number, new in enumerate(dict.fromkeys(moved.values()))}
    numbered = [(path, number_of[new]) for old, new in moved.items() for path in (new, old)]
    for path, number in numbered:
        text = text.replace(path, f"<{number}>")
    for path, number in numbered:
        text = re.sub(rf"(?<![\w-])(?:[\w.-]+/)*?{re.escape(Path(path).name)}(?![\w-])", f"<{number}>", text)
    return text


def _text_difference(one: str, other: str) -> str:
    if one == other:
        return ""
    if _NUMBER.sub("#", one) != _NUMBER.sub("#", other):
        return "other words"
    numbers = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    far = sum(not _both_numbers(a.replace(",", ""), b.replace(",", "")) for a, b in numbers)
    return f"{far:,} other numbers" if far else ""
