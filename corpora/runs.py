"""Where a run writes: one table with its companions beside it, or a run folder; the manifest comes last.

    -o labels.csv                          -o run-7
      labels.csv                             run-7/labels.csv
      labels.csv.manifest.json               run-7/manifest.json
      labels.csv.failures.jsonl (if any)     run-7/failures.jsonl (if any)
      labels.csv.partial/ (until done)       run-7/partial/ (until done)

A run is complete exactly when its manifest exists.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, Final

from corpora.errors import RunError

#: Variables that change what a run computes, in its last bits, noted where they are set.
ENVIRONMENT: Final = ("MKL_NUM_THREADS", "OMP_NUM_THREADS")
TABLE_SUFFIXES: Final = (".csv", ".parquet", ".jsonl")
_BESIDE: Final = {"manifest": ".manifest.json", "failures": ".failures.jsonl", "work": ".partial"}
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class OutputTarget:
    """The paths of one run's outputs. ``format`` is that of the table: ``csv``, ``parquet`` or ``jsonl``."""

    out: Path
    is_folder: bool
    table: Path
    manifest: Path
    failures: Path
    work: Path

    @property
    def format(self) -> str:
        return self.table.suffix[1:].lower()

    @property
    def complete(self) -> bool:
        """Whether an earlier run to this output finished."""
        return self.manifest.is_file()


def output_target(out: Path | str, table: str = "labels.csv") -> OutputTarget:
    """What ``-o OUT`` means: a table if it ends in .csv, .parquet or .jsonl, else a run folder holding ``table``.

    Nothing is created. Raises ``RunError`` if a folder stands where the table should be, or the reverse.
    """
    out = Path(out)
    if out.suffix.lower() in TABLE_SUFFIXES:
        if out.is_dir():
            raise RunError("run.is_folder", f"{out} is a folder, not a table", hint="name another output")
        beside = {name: out.with_name(out.name + end) for name, end in _BESIDE.items()}
        return OutputTarget(out, False, out, **beside)
    if out.exists() and not out.is_dir():
        raise RunError(
            "run.is_file",
            f"{out} is a file, not a run folder",
            hint="name a folder, or end in .csv, .parquet or .jsonl",
        )
    return OutputTarget(out, True, out / table, out / "manifest.json", out / "failures.jsonl", out / "partial")


def begin(target: OutputTarget, *, resume: bool = False) -> None:
    """Make the folders of a run. Unless it resumes, what an earlier run left is no longer complete: its manifest,
    failures and unfinished work are removed, its table stays until the new one replaces it.

    Raises ``RunError`` (``run.not_writable``, ``run.disk_full``).
    """
    with writing(target.out):
        target.table.parent.mkdir(parents=True, exist_ok=True)
        if not resume:
            target.manifest.unlink(missing_ok=True)
            target.failures.unlink(missing_ok=True)
            discard_work(target)
        target.work.mkdir(exist_ok=True)


def manifest_beside(file: Path) -> Path:
    """Where the manifest of a single file lies: ``scan.json.manifest.json`` beside ``scan.json``."""
    return file.with_name(f"{file.name}{_BESIDE['manifest']}")


def without_places(command: Sequence[str]) -> list[str]:
    """A command for a ``nameless`` manifest: its program, words and options, without paths, which may name somebody."""
    return [Path(command[0]).name, *[part for part in command[1:] if part.startswith("-") or part.isalpha()]]


def discard_work(target: OutputTarget) -> None:
    """Remove the unfinished work of a run, if any."""
    if target.work.is_dir():
        shutil.rmtree(target.work)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says about writing ``path`` into a ``RunError``.

    ``run.disk_full`` when there is no space, ``run.not_writable`` for every other refusal.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise RunError(
                "run.disk_full", "no space left", where=str(path), hint="free some space, then run again with --resume"
            ) from error
        where = error.filename if isinstance(error.filename, str) else str(path)
        raise RunError("run.not_writable", f"cannot write: {error.strerror or error}", where=where) from error


@contextmanager
def atomic_writer(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """A file that appears at ``path`` whole or not at all. ``mode`` is ``w`` (UTF-8, ``\\n`` as given; what UTF-8
    cannot hold, as in file names in other encodings, becomes ``\\udc80``) or ``wb``.

    Raises ``RunError`` as ``writing`` does.
    """
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        try:
            with temporary.open(mode, **text) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_manifest(
    path: Path,
    *,
    command: Sequence[str],
    config: Mapping[str, Any],
    inputs: Iterable[Path | str],
    counts: Mapping[str, int],
    wall_seconds: float,
    seed: int | None = None,
    packages: Iterable[str] = (),
    leave_out: Iterable[Path] = (),
    stdout: str | None = None,
    nameless: bool = False,
    continues: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write what made a run, last of all its files; returns it.

    ``config`` is the resolved one; ``inputs`` are hashed here as ``hash_input`` does; ``packages`` are the
    distributions whose versions matter, beside radloop and Python. ``stdout`` is the file of the run that holds what
    the command prints, if one does. The directory that the command's paths start from is noted, unless the manifest
    is ``nameless``: to go with data whose places may name somebody. A command that works in the folder of another run
    ``continues`` its manifest, whose command is kept with what it was given. Raises ``RunError`` as ``writing`` does.
    """
    from corpora.config import config_sha256

    outputs = list(leave_out)
    manifest: dict[str, Any] = {
        "command": list(command),
        **({"nameless": True} if nameless else {"directory": str(Path.cwd())}),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        **({} if stdout is None else {"stdout": stdout}),
        **({} if continues is None else {"earlier": _steps(continues)}),
        "config": dict(config),
        "config_sha256": config_sha256(config),
        "versions": package_versions(packages),
        "inputs": [hash_input(source, outputs) for source in inputs],
        "counts": dict(counts),
        "seed": seed,
        "wall_seconds": round(wall_seconds, 3),
    }
    with atomic_writer(path) as file:
        json.dump(manifest, file, indent=2, ensure_ascii=False, default=str)
        file.write("\n")
    return manifest


def _steps(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The commands that made a folder, oldest first, each with what it was given."""
    kept = {name: manifest[name] for name in ("command", "directory", "environment", "inputs") if name in manifest}
    return [*manifest.get("earlier", ()), kept]


def package_versions(packages: Iterable[str] = ()) -> dict[str, str | None]:
    """Versions of Python, radloop and ``packages``; None for one that is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("radloop", *packages):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions


def hash_input(source: Path | str, leave_out: Iterable[Path] = ()) -> dict[str, Any]:
    """Path, size in bytes and SHA-256 of an input, read as a stream; ``-`` for stdin is named, not hashed.

    A folder's hash is that of its sorted relative file names, each with the hash of its content (``unreadable`` where
    that cannot be read); it also has ``files``. ``leave_out`` are files and folders that do not count in it: the
    outputs of the run, where they lie in there.
    """
    path = Path(source)
    if str(source) == "-":
        return {"path": "-", "bytes": None, "sha256": None}
    if not path.is_dir():
        return {"path": str(path), "bytes": path.stat().st_size, "sha256": _file_sha256(path)}
    files = sorted(file for file in _left(path, leave_out) if file.is_file())
    lines = (f"{file.relative_to(path).as_posix()}\0{_member_sha256(file)}\n" for file in files)
    digest = hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    return {
        "path": str(path),
        "bytes": sum(file.stat().st_size for file in files),
        "sha256": digest,
        "files": len(files),
    }


def _left(folder: Path, leave_out: Iterable[Path]) -> Iterator[Path]:
    root = folder.resolve()
    inside = {place.relative_to(root) for place in map(Path.resolve, leave_out) if place.is_relative_to(root)}
    for file in folder.rglob("*"):
        place = file.relative_to(folder)
        if not inside or inside.isdisjoint((place, *place.parents)):
            yield file


def _member_sha256(path: Path) -> str:
    # whoever reads the folder has passed over such a file as well
    try:
        return _file_sha256(path)
    except OSError:
        return "unreadable"


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
