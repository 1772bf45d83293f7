"""A corpus' films fitted to one size, in files that training maps into memory.

CACHE/
  films-00000.npy ...    uint8 or uint16, shape (films, size, size), memory-mapped when read
  index.parquet          one row a film: its ids and view, where it lies, its transform, its source
  failures.jsonl         films that could not be read, and why, if any
  manifest.json          written last
  partial/               while it is made: what is done of each shard
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpora.errors import ConfigError, DataError, RadloopError, RunError
from corpora.images.files import read_any
from corpora.images.fit import Transform, fit
from corpora.pool import ordered, usable_cores
from corpora.runs import atomic_writer, write_manifest, writing

Array = NDArray[np.uint8] | NDArray[np.uint16]

_SHARD_BYTES: Final = 64 << 20
_DEPTHS: Final = {8: np.uint8, 16: np.uint16}
_LARGEST: Final = 8192
# what an interrupted run may leave
_OURS: Final = re.compile(
    r"partial|films-\d{5,}\.npy|index\.parquet|failures\.jsonl"
    r"|\.(films-\d{5,}\.npy|index\.parquet|failures\.jsonl|manifest\.json)\.tmp"
)
_NOTES: Final = re.compile(r"(key|\d{5,})\.json|\.(key|\d{5,})\.json\.tmp")


class Film(NamedTuple):
    """A film to be cached: its id, its file, and what the index keeps of its study."""

    image_id: str
    path: str
    study_id: str | None = None
    patient_id: str | None = None
    view: str | None = None


@dataclass(frozen=True, slots=True)
class CacheSummary:
    """How a cache came out: where it is, its films, those that could not be read, seconds of work."""

    folder: Path
    films: int
    rejected: int
    seconds: float


class _Fitted(NamedTuple):
    """What a film came to: its pixels and row of the index, or the error."""

    film: Film
    pixels: Array | None
    row: dict[str, Any]
    code: str = ""
    message: str = ""


def build_cache(
    films: Sequence[Film],
    folder: Path | str,
    size: int,
    bits: int = 8,
    *,
    workers: int | None = None,
    resume: bool = False,
    command: Sequence[str] = (),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> CacheSummary:
    """Fit films to ``size`` x ``size`` pixels of ``bits`` bits (8 or 16) and store them in ``folder``.

    The bytes are the same for any number of ``workers`` (all cores if not given), and after an interruption that is
    resumed; a finished one is left as it is. A film that cannot be read is written to the failures, and the rest goes
    on. ``watch`` is called with the number of films done, and of all.

    Raises ``ConfigError`` (``config.value``) for a size or depth there is none of, ``DataError``: ``data.empty``
    without films, ``data.duplicate`` for an id that comes twice, ``image.none`` if none could be read; ``RunError``:
    ``run.not_empty`` if something else is there, ``run.changed`` if it is another cache than the one to be resumed, and
    as ``corpora.runs.writing``.
    """
    begun = monotonic()
    work = _work(films, Path(folder), size, bits)
    if resume and work.manifest.is_file():
        return _untouched(work)
    with writing(work.folder):
        _make_room(work, resume=resume)
    shards = [films[at : at + work.per_shard] for at in range(0, len(films), work.per_shard)]
    done = {number for number in range(len(shards)) if work.note(number).is_file()}
    finished = sum(len(shards[number]) for number in done)
    watch(finished, len(films))
    todo = [number for number in range(len(shards)) if number not in done]
    pending = (film for number in todo for film in shards[number])
    results = _flat(
        ordered(partial(_fitted, size=size, bits=bits), pending, len(films), workers or usable_cores(), _killed)
    )
    for number in todo:
        _write_shard(work, number, list(islice(results, len(shards[number]))))
        finished += len(shards[number])
        watch(finished, len(films))
    return _publish(work, len(shards), monotonic() - begun, command)


@dataclass(frozen=True, slots=True)
class _Work:
    folder: Path
    config: dict[str, Any]
    per_shard: int

    @property
    def partial(self) -> Path:
        return self.folder / "partial"

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.json"

    def shard(self, number: int) -> Path:
        return self.folder / f"films-{number:05d}.npy"

    def note(self, number: int) -> Path:
        return self.partial / f"{number:05d}.json"


def _work(films: Sequence[Film], folder: Path, size: int, bits: int) -> _Work:
    if bits not in _DEPTHS or not 1 <= size <= _LARGEST:
        raise ConfigError(
            "config.value", f"no films of {size} x {size} pixels of {bits} bits",
            hint=f"a size up to {_LARGEST:,}, and 8 or 16 bits",
        )  # fmt: skip
    if not films:
        raise DataError("data.empty", "there is no film to cache")
    ids = {film.image_id for film in films}
    if len(ids) < len(films):
        raise DataError("data.duplicate", f"{len(films) - len(ids):,} image ids come more than once")
    listed = hashlib.sha256("".join(f"{film.image_id}\0{film.path}\n" for film in films).encode("utf-8", "replace"))
    config = {"size": size, "bits": bits, "films": len(films), "list_sha256": listed.hexdigest()}
    return _Work(folder, config, max(16, _SHARD_BYTES // (size * size * (bits // 8))))


def _untouched(work: _Work) -> CacheSummary:
    """The summary of a finished cache. Raises ``RunError`` (``run.changed``) if it is another one than asked for."""
    try:
        made = json.loads(work.manifest.read_bytes())
        same, counts, seconds = made["config"] == work.config, made["counts"], made["wall_seconds"]
        summary = CacheSummary(work.folder, counts["films"], counts["rejected"], seconds)
    except (ValueError, KeyError, TypeError) as error:
        raise _not_empty(work) from error
    if not same:
        raise _changed(work, "this cache is finished, and is another one", "name a new folder")
    with writing(work.folder):
        # the run may have been killed after its manifest was written
        shutil.rmtree(work.partial, ignore_errors=True)
    return summary


def _make_room(work: _Work, *, resume: bool) -> None:
    key = work.partial / "key.json"
    if resume and key.is_file():
        if json.loads(key.read_text(encoding="utf-8")) != work.config:
            raise _changed(
                work,
                "this is not the cache that was interrupted",
                "run it as before, or without --resume to start over",
            )
        return
    if work.folder.exists():
        _clear(work)
    work.partial.mkdir(parents=True)
    with atomic_writer(key) as file:
        json.dump(work.config, file)


def _clear(work: _Work) -> None:
    """Remove what an interrupted run left; nothing at all if anything else is there, as in a finished cache."""
    if not work.folder.is_dir():
        raise _not_empty(work)
    found = list(work.folder.iterdir())
    if found and not _is_ours(work, found):
        raise _not_empty(work)
    # the folder that says whose the rest is goes last
    for left in sorted(found, key=work.partial.__eq__):
        if left == work.partial:
            shutil.rmtree(left)
        else:
            left.unlink()


def _is_ours(work: _Work, found: Iterable[Path]) -> bool:
    # other commands call the folder of their unfinished work the same
    return (
        work.partial.is_dir()
        and all(_OURS.fullmatch(entry.name) for entry in found)
        and all(_NOTES.fullmatch(entry.name) for entry in work.partial.iterdir())
    )


def _not_empty(work: _Work) -> RunError:
    return RunError("run.not_empty", "something is there already", where=str(work.folder), hint="name a new folder")


def _changed(work: _Work, what: str, hint: str) -> RunError:
    return RunError("run.changed", f"{what}: other films, size or depth", where=str(work.folder), hint=hint)


def _fitted(film: Film, size: int, bits: int) -> _Fitted:
    """Never raises for what is wrong with the film."""
    try:
        greys, transform = fit(read_any(film.path), size)
        with Path(film.path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except RadloopError as error:
        return _Fitted(film, None, {}, error.code, error.message)
    except OSError as error:
        return _Fitted(film, None, {}, "data.unreadable", error.strerror or "cannot be read")
    except MemoryError:
        return _Fitted(film, None, {}, "image.too_large", "there is not enough memory to read it")
    pixels: Array = greys if bits == 16 else np.rint(greys / 257).astype(np.uint8)
    return _Fitted(film, pixels, {**asdict(transform), "sha256": digest})


def _killed(film: Film) -> _Fitted:
    return _Fitted(film, None, {}, "image.crash", "the decoder crashed on it")


def _flat(groups: Iterable[Iterable[_Fitted]]) -> Iterator[_Fitted]:
    for group in groups:
        yield from group


def _write_shard(work: _Work, number: int, results: Iterable[_Fitted]) -> None:
    """The pixels first, then the note that they are whole."""
    read: list[Array] = []
    rows: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for film, pixels, row, code, message in results:
        if pixels is None:
            failures.append({"image_id": film.image_id, "file": film.path, "code": code, "message": message})
            continue
        rows.append({**film._asdict(), "shard": number, "row": len(read), **row})
        read.append(pixels)
    size = work.config["size"]
    with atomic_writer(work.shard(number), "wb") as file:
        stacked = np.stack(read) if read else np.zeros((0, size, size), dtype=_DEPTHS[work.config["bits"]])
        np.save(file, stacked, allow_pickle=False)
    with atomic_writer(work.note(number)) as note:
        json.dump({"rows": rows, "failures": failures}, note)


def _publish(work: _Work, shards: int, seconds: float, command: Sequence[str]) -> CacheSummary:
    import pyarrow as pa
    import pyarrow.parquet as pq

    notes = [json.loads(work.note(number).read_text(encoding="utf-8")) for number in range(shards)]
    rows = [row for note in notes for row in note["rows"]]
    failures = [failure for note in notes for failure in note["failures"]]
    if not rows:
        raise DataError("image.none", f"none of the {len(failures):,} films could be read", where=str(work.folder))
    with atomic_writer(work.folder / "index.parquet", "wb") as file:
        pq.write_table(pa.Table.from_pylist(rows), file)
    if failures:
        with atomic_writer(work.folder / "failures.jsonl") as file:
            file.writelines(json.dumps(failure, ensure_ascii=False) + "\n" for failure in failures)
    write_manifest(
        work.folder / "manifest.json", command=command, config=work.config, inputs=[],
        counts={"films": len(rows), "rejected": len(failures)}, wall_seconds=seconds,
        packages=("numpy", "pillow", "pydicom"),
    )  # fmt: skip
    with writing(work.folder):
        shutil.rmtree(work.partial)
    return CacheSummary(work.folder, len(rows), len(failures), seconds)


class ImageCache:
    """A finished cache: ``cache[image_id]`` is the film, shape (size, size), and its ``Transform``.

    The pixels stay on the disk until they are looked at. Raises ``DataError``: ``data.incomplete`` for a folder without
    its manifest, ``data.parquet`` for an index that cannot be read.
    """

    def __init__(self, folder: Path | str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.folder = Path(folder)
        if not (self.folder / "manifest.json").is_file():
            raise DataError("data.incomplete", "the cache has no manifest.json: it was not finished", where=str(folder))
        try:
            self.rows: list[dict[str, Any]] = pq.read_table(self.folder / "index.parquet").to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise DataError("data.parquet", "the index of the cache cannot be read", where=str(folder)) from error
        self._places = {row["image_id"]: place for place, row in enumerate(self.rows)}
        self._shards: dict[int, Array] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, image_id: str) -> tuple[Array, Transform]:
        row = self.rows[self._places[image_id]]
        shard = self._shards.get(row["shard"])
        if shard is None:
            shard = np.load(self.folder / f"films-{row['shard']:05d}.npy", mmap_mode="r", allow_pickle=False)
            self._shards[row["shard"]] = shard
        names = ("rows", "columns", "size", "scale_x", "scale_y", "left", "top")
        return shard[row["row"]], Transform(**{name: row[name] for name in names})
