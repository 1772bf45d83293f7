"""Films and tables out of a .zip or .tgz, one member after the other, into a folder of the corpus and nowhere else."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Final

from corpora.errors import DataError
from corpora.importing.index import Fault, printable
from corpora.importing.walk import may_be_film, may_be_table
from corpora.readers.members import open_tar, open_zip, tar_entries
from corpora.runs import atomic_writer, writing

#: The largest member that is taken out, and what an archive may grow to: this many times its size, or this at least.
LARGEST: Final = 4 << 30
MOST_TIMES: Final = 100
MOST_AT_LEAST: Final = 1 << 30
_BLOCK: Final = 1 << 20
_DAMAGED: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
)
_DRIVE: Final = re.compile(r"^[A-Za-z]:")
_LONGEST_NAME: Final = 255


@dataclass(slots=True)
class Extracted:
    """What came of an archive: members written, of them by this process, passed over; and what was refused."""

    written: int = 0
    passed_over: int = 0
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    size: int
    stream: IO[bytes] | None


def extract(source: str, folder: Path) -> Extracted:
    """Write the films and tables in an archive into ``folder``; what is there already is left as it is.

    A member is written whole or not at all. One whose path leads out of the folder (``archive.path``), that is there
    twice (``archive.twice``), too large (``archive.too_large``) or damaged (``data.unreadable``) is a fault.
    Raises ``DataError``: ``archive.bomb`` if the archive grows beyond what films do, ``data.truncated`` if it is
    cut off, ``data.missing``, ``data.unreadable``; ``RunError`` as ``writing``.
    """
    done = Extracted()
    left = max(MOST_AT_LEAST, MOST_TIMES * Path(source).stat().st_size)
    seen: set[str] = set()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for number, member in enumerate(_members(source), 1):
        name = member.name.replace("\\", "/")
        if not (may_be_film(name) or may_be_table(name)):
            done.passed_over += 1
            continue
        fault, size = _take(source, number, member, folder, seen, left)
        left -= size
        if left < 0:
            raise _bomb(source, folder)
        if fault is None:
            done.written += 1
        else:
            done.faults.append(fault)
    return done


def _take(
    source: str, number: int, member: _Member, folder: Path, seen: set[str], left: int
) -> tuple[Fault | None, int]:
    fault = partial(Fault, number, file=source, member=printable(member.name))
    place = safe_path(member.name)
    if place is None:
        return fault("archive.path", "the member's path leads out of the folder, or is no path"), 0
    if place in seen:
        return fault("archive.twice", "two members have this path; the first was taken"), 0
    if member.size > LARGEST:
        return fault("archive.too_large", f"the member is larger than {LARGEST >> 30} GiB"), 0
    seen.add(place)
    target = folder / place
    if target.is_file():
        return None, target.stat().st_size
    if target.is_dir() or any((folder / above).is_file() for above in PurePosixPath(place).parents):
        return fault("archive.twice", "one member is a folder where another is a file"), 0
    if member.stream is None:
        return fault("data.unreadable", "damaged, encrypted or packed in an unknown way"), 0
    try:
        return None, _write(member.stream, target, left)
    except _Unreadable:
        return fault("data.unreadable", "damaged, encrypted or packed in an unknown way"), 0
    except _TooLarge as error:
        return fault("archive.too_large", f"the member is larger than {LARGEST >> 30} GiB"), error.args[0]


class _Unreadable(Exception):
    pass


class _TooLarge(Exception):
    pass


def _write(stream: IO[bytes], target: Path, left: int) -> int:
    """Write a member; its size, or the first one beyond ``left``, at which nothing is written."""
    size = 0
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(target, "wb") as file:
        while block := _read(stream):
            size += len(block)
            # what a header says of a member's size may be a lie
            if size > min(left, LARGEST):
                raise _TooLarge(size)
            file.write(block)
    return size


def _read(stream: IO[bytes]) -> bytes:
    try:
        return stream.read(_BLOCK)
    except _DAMAGED as error:
        raise _Unreadable from error


def _bomb(source: str, folder: Path) -> DataError:
    shutil.rmtree(folder, ignore_errors=True)
    return DataError(
        "archive.bomb", f"unpacked it is more than {MOST_TIMES} times its size: films do not shrink so much",
        where=source, hint="if it is sound, unpack it and name the folder",
    )  # fmt: skip


def _members(source: str) -> Iterator[_Member]:
    return _in_zip(source) if source.lower().endswith(".zip") else _in_tar(source)


def _in_zip(source: str) -> Iterator[_Member]:
    with open_zip(source) as archive:
        for info in archive.infolist():
            if info.is_dir() or _is_link(info):
                continue
            try:
                stream = archive.open(info)
            except _DAMAGED:
                yield _Member(info.filename, info.file_size, None)
                continue
            with stream:
                yield _Member(info.filename, info.file_size, stream)


def _is_link(info: zipfile.ZipInfo) -> bool:
    # the upper half holds the Unix mode
    return (info.external_attr >> 28) == 0xA


def _in_tar(source: str) -> Iterator[_Member]:
    with open_tar(source) as archive:
        for info in tar_entries(archive):
            yield _Member(info.name, info.size, archive.extractfile(info))


def safe_path(name: str) -> str | None:
    """A member's path as one below the folder it is written to, None if it is not.

    >>> safe_path("a/./b.png"), safe_path("../b.png"), safe_path("/etc/x"), safe_path("a\\\\..\\\\x")
    ('a/b.png', None, None, None)
    """
    flat = name.replace("\\", "/")
    if not flat or flat.startswith("/") or _DRIVE.match(flat) or any(ord(sign) < 32 for sign in flat):
        return None
    parts = [part for part in PurePosixPath(flat).parts if part != "."]
    if not parts or ".." in parts or any(len(os.fsencode(part)) > _LONGEST_NAME - 8 for part in parts):
        return None
    return "/".join(parts) if _is_encodable(flat) else None


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
