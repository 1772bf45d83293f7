"""Which files of a source are films, and what place each has in it."""

from __future__ import annotations

from pathlib import Path

from corpora.errors import DataError


def is_dicom(source: Path) -> bool:
    """Whether a source is a DICOM file, or a folder with one in it. Raises ``DataError`` (``data.missing``)."""
    if not source.exists():
        raise DataError("data.missing", "no such file or folder", where=str(source))
    if source.is_file():
        return _has_mark(source) or source.suffix.lower() in (".dcm", ".dicom", ".ima")
    return any(
        _has_mark(path) or path.suffix.lower() in (".dcm", ".dicom") for path in source.rglob("*") if path.is_file()
    )


def _has_mark(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def films_below(source: Path) -> tuple[list[Path], int]:
    """The DICOM files below a folder in order, and how many other files there are."""
    if source.is_file():
        return [source], 0
    files = sorted(path for path in source.rglob("*") if path.is_file())
    films = [
        path for path in files if _has_mark(path) or path.suffix.lower() in (".dcm", ".dicom", ".ima") or _is_bare(path)
    ]
    return films, len(files) - len(films)


def _is_bare(path: Path) -> bool:
    """Whether a file without a name that tells begins as a data set does."""
    if path.suffix and not path.suffix[1:].isdigit():
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"\x08\0\0\0", b"\x08\0\5\0", b"\x08\0\x16\0", b"\x08\0\x08\0", b"\x02\0\0\0")
    except OSError:
        return False


def place_of(source: Path, path: Path) -> str:
    """Where a film lies in its source."""
    return path.relative_to(source).as_posix() if source.is_dir() else path.name
