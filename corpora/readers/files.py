"""Files as streams of bytes and text: gzip or not, in an encoding, with errors that name file and line."""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import IO, Final, cast

from corpora.errors import ConfigError, DataError

STDIN: Final = "-"
_DAMAGED: Final = (EOFError, zlib.error, gzip.BadGzipFile)
_MAGIC: Final = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
    b"PAR1": "a Parquet file",
    b"\x7fELF": "a program",
}
_CONTROLS: Final = bytes(set(range(32)) - set(b"\t\n\r\f\v"))
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HEAD: Final = 8192
_CHUNK: Final = 1 << 18


def damaged(source: str) -> DataError:
    """The error for a compressed file that ends too early or does not decompress."""
    return DataError("data.truncated", "the file is cut off or damaged", where=source, hint="copy or download it again")


def missing(source: str) -> DataError:
    """The error for a path where nothing is, with a name like it if there is one beside it."""
    path = Path(source)
    beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, beside, n=1)
    return DataError(
        "data.missing", "no such file or folder", where=source, hint=f"did you mean {near[0]}?" if near else ""
    )


@contextmanager
def open_bytes(source: str) -> Iterator[IO[bytes]]:
    """The bytes of a file, or of standard input for ``-``; decompressed if they are gzip.

    Raises ``DataError``: ``data.missing``, ``data.unreadable``, and ``data.truncated`` for damaged gzip, wherever in
    the body of the ``with`` that shows.
    """
    try:
        with _open_raw(source) as raw:
            zipped = raw.peek(2)[:2] == b"\x1f\x8b"
            # gzip.open would close standard input
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if zipped else raw
    except _DAMAGED as error:
        raise damaged(source) from error
    except FileNotFoundError as error:
        raise missing(source) from error
    except OSError as error:
        raise DataError("data.unreadable", error.strerror or "cannot be read", where=source) from error


@contextmanager
def _open_raw(source: str) -> Iterator[io.BufferedReader]:
    if source == STDIN:
        stdin = sys.stdin.buffer
        yield cast("io.BufferedReader", stdin if hasattr(stdin, "peek") else io.BufferedReader(stdin))
        return
    with Path(source).open("rb") as raw:
        yield raw


@contextmanager
def open_text(source: str, encoding: str | None) -> Iterator[io.TextIOWrapper]:
    """A text file, line ends as they are; without an encoding UTF-16 where a byte order mark says so, else UTF-8.

    Raises ``DataError``: ``data.empty``, ``data.binary``, and as ``open_bytes``; ``ConfigError`` as ``codec``.
    """
    with open_bytes(source) as stream:
        peek = cast("Callable[[int], bytes]", stream.peek)  # type: ignore[attr-defined]
        head = peek(_HEAD)[:_HEAD]
        if encoding is None and head.startswith(_UTF16):
            # the mark says it: what Excel calls Unicode text
            encoding = "utf-16"
        _check_text(source, head, encoding)
        text = io.TextIOWrapper(stream, codec(encoding), newline="")
        try:
            yield text
        finally:
            text.detach()


def codec(encoding: str | None) -> str:
    """The Python name of an encoding, UTF-8 if none is given. Raises ``ConfigError`` (``config.encoding``)."""
    try:
        name = codecs.lookup(encoding or "utf-8").name
        # a codec such as rot13 is not between text and bytes
        "".encode(name)
        codecs.getincrementaldecoder(name)
    except LookupError as error:
        raise ConfigError(
            "config.encoding",
            f"no encoding is named {encoding!r}",
            where="--encoding",
            hint="such as latin-1 or utf-16",
        ) from error
    return "utf-8-sig" if name == "utf-8" else name


def _check_text(source: str, head: bytes, encoding: str | None) -> None:
    if not head:
        raise DataError("data.empty", "the file is empty", where=source)
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    controls = len(head) - len(head.translate(None, _CONTROLS))
    looks_binary = controls > 0.3 * len(head) or (b"\0" in head and not _is_utf8(head))
    if kind or (looks_binary and encoding is None):
        raise DataError(
            "data.binary",
            f"this is {kind or 'binary data'}, not a text file",
            where=source,
            hint="save it as CSV" if kind and "Excel" in kind else "name the right file, or --format",
        )


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _not_utf8(source: str, line: int, encoding: str) -> DataError:
    return DataError(
        "data.encoding",
        f"the text is not {encoding}",
        where=f"{source}, line {line}",
        hint="name its encoding, such as --encoding latin-1, or cp1252 of Windows",
    )


def text_lines(text: io.TextIOWrapper, source: str, encoding: str | None) -> Iterator[str]:
    """The lines of an open text, line ends kept. Raises ``DataError`` (``data.encoding``) with file and line."""
    lines = 0
    try:
        for lines, line in enumerate(text, 1):  # noqa: B007 - what was read before an error
            yield line
    except UnicodeDecodeError as error:
        raise _undecodable(error, source, encoding, lines) from None


def text_chunks(text: io.TextIOWrapper, source: str, encoding: str | None) -> Iterator[str]:
    """An open text in pieces. Raises as ``text_lines``."""
    lines = 0
    try:
        for chunk in iter(partial(text.read, _CHUNK), ""):
            lines += chunk.count("\n")
            yield chunk
    except UnicodeDecodeError as error:
        raise _undecodable(error, source, encoding, lines) from None


def _undecodable(error: UnicodeDecodeError, source: str, encoding: str | None, lines: int) -> DataError:
    # the bytes being decoded begin where the last whole piece ended
    line = lines + bytes(error.object[: error.start]).count(b"\n") + 1
    return _not_utf8(source, line, encoding or error.encoding.upper())
