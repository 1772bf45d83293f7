"""The files inside a folder, a tar or a zip archive, one after the other, nothing written to disk."""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

from corpora.errors import DataError
from corpora.readers.files import damaged, missing, open_bytes
from corpora.readers.records import LONGEST_TEXT
from corpora.types import Provenance, Reject

# four bytes a character, and the markup around it
_LARGEST: Final = 4 * LONGEST_TEXT
_DIGITS: Final = re.compile(r"(\d+)")
_BLOCK: Final = 512


class Member(NamedTuple):
    """A file by its path inside the folder or archive, and its bytes."""

    name: str
    data: bytes


def is_archive(source: str) -> bool:
    """Whether the name is that of a tar or zip archive."""
    return source.lower().endswith((".tgz", ".tar.gz", ".tar", ".zip"))


def names(source: str) -> Iterator[str]:
    """The paths of the files in a folder (sorted, 2 before 10) or an archive (in its order). Raises as ``members``."""
    if Path(source).is_dir():
        yield from _walk(Path(source), "")
    elif source.lower().endswith(".zip"):
        with open_zip(source) as archive:
            yield from (info.filename for info in archive.infolist())
    else:
        with open_tar(source) as archive:
            yield from (info.name for info in tar_entries(archive))


def members(source: str, wanted: re.Pattern[str]) -> Iterator[Member | Reject]:
    """The files whose path ``wanted`` matches, sorted in a folder, else in the order of the archive.

    A file that is too large or cannot be read is a ``Reject``. Raises ``DataError``: ``data.missing``,
    ``data.unreadable``, and ``data.truncated`` for a damaged archive, after all that can be read.
    """
    if Path(source).is_dir():
        return _from_folder(source, wanted)
    return _from_zip(source, wanted) if source.lower().endswith(".zip") else _from_tar(source, wanted)


def wanted_name(name: str, wanted: re.Pattern[str]) -> bool:
    """Whether a path is one that ``members`` with this pattern gives."""
    # macOS puts files such as ._1.xml beside the real ones
    return wanted.search(name) is not None and not name.rpartition("/")[2].startswith("._")


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(((entry.name, entry.is_dir()) for entry in found), key=lambda one: _natural(one[0]))
    except OSError as error:
        raise DataError("data.unreadable", error.strerror or "cannot be read", where=str(folder)) from error
    for name, is_folder in entries:
        if is_folder and not (folder / name).is_symlink():
            yield from _walk(folder / name, f"{prefix}{name}/")
        elif not is_folder:
            yield prefix + name


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in _DIGITS.split(name)]


def _from_folder(source: str, wanted: re.Pattern[str]) -> Iterator[Member | Reject]:
    for name in _walk(Path(source), ""):
        if not wanted_name(name, wanted):
            continue
        try:
            with (Path(source) / name).open("rb") as stream:
                data = stream.read(_LARGEST + 1)
        except OSError as error:
            yield Reject("data.unreadable", error.strerror or "cannot be read", Provenance(source, member=name))
            continue
        yield _member(source, name, data)


def _member(source: str, name: str, data: bytes) -> Member | Reject:
    return Member(name, data) if len(data) <= _LARGEST else _too_large(source, name)


def _too_large(source: str, name: str) -> Reject:
    return Reject("data.too_long", f"the file is larger than {_LARGEST:,} bytes", Provenance(source, member=name))


class _UpToDamage:
    """A stream that ends where its file is damaged, and remembers that."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.damage: Exception | None = None
        self.last = b""

    def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        while size > 0 and self.damage is None:
            try:
                piece = self.stream.read1(size)  # type: ignore[attr-defined]
            except (EOFError, OSError, zlib.error) as error:
                self.damage = error
                break
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        self.last = b"".join(pieces)
        return self.last

    def ends_in_zeros(self) -> bool:
        """Whether there is nothing but padding from the last block that was read to the end, which is then reached."""
        piece = self.last
        while not piece.strip(b"\0"):
            piece = self.read(1 << 16)
            if not piece:
                return self.damage is None
        return False


@contextmanager
def open_tar(source: str) -> Iterator[tarfile.TarFile]:
    """A tar archive, compressed or not, as a stream. Raises ``DataError`` (``data.truncated``) where it breaks off."""
    with open_bytes(source) as stream:
        tolerant = _UpToDamage(stream)
        try:
            with tarfile.open(fileobj=tolerant, mode="r|", bufsize=_BLOCK) as archive:  # type: ignore[call-overload]
                yield archive
        except tarfile.TarError as error:
            raise damaged(source) from tolerant.damage or error
        # the reader of tar takes a broken header for the end of the archive
        if not tolerant.ends_in_zeros() or _is_cut(source):
            raise damaged(source) from tolerant.damage


def _is_cut(source: str) -> bool:
    # and so it does with a part of a block, of which an archive has none
    return source.lower().endswith(".tar") and Path(source).stat().st_size % _BLOCK != 0


def tar_entries(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The files in it, of which the archive keeps no list."""
    for info in archive:
        # it would keep them all
        archive.members = []  # type: ignore[attr-defined]
        if info.isreg():
            yield info


def _from_tar(source: str, wanted: re.Pattern[str]) -> Iterator[Member | Reject]:
    with open_tar(source) as archive:
        for info in tar_entries(archive):
            if not wanted_name(info.name, wanted):
                continue
            if info.size > _LARGEST:
                yield _too_large(source, info.name)
                continue
            stream = archive.extractfile(info)
            if stream is not None:
                yield Member(info.name, stream.read())


@contextmanager
def open_zip(source: str) -> Iterator[zipfile.ZipFile]:
    """A zip archive. Raises ``DataError`` as ``open_tar``, and ``data.missing``."""
    try:
        archive = zipfile.ZipFile(source)
    except FileNotFoundError as error:
        raise missing(source) from error
    except zipfile.BadZipFile as error:
        raise damaged(source) from error
    except OSError as error:
        raise DataError("data.unreadable", error.strerror or "cannot be read", where=source) from error
    with archive:
        yield archive


def _from_zip(source: str, wanted: re.Pattern[str]) -> Iterator[Member | Reject]:
    with open_zip(source) as archive:
        for info in archive.infolist():
            if info.is_dir() or not wanted_name(info.filename, wanted):
                continue
            try:
                with archive.open(info) as stream:
                    data = stream.read(_LARGEST + 1)
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError):
                where = Provenance(source, member=info.filename)
                yield Reject("data.unreadable", "damaged, encrypted or packed in an unknown way", where)
                continue
            yield _member(source, info.filename, data)
