"""The elements of JSON arrays, one after the other, without holding the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from corpora.errors import DataError

_SPACE: Final = re.compile(r"[ \t\r\n]*")
# a broken element must not make the search for its end hold the whole file
_LONGEST_ELEMENT: Final = 1 << 26
_DECODER: Final = json.JSONDecoder()


class _Stream:
    """A window on JSON text that moves forward."""

    def __init__(self, chunks: Iterator[str], source: str) -> None:
        self.chunks, self.source = chunks, source
        self.text, self.at = "", 0

    def grow(self) -> bool:
        """Add about as much text as there is left, so that a long element is not scanned too often."""
        pieces, wanted = [self.text[self.at :]], len(self.text) - self.at
        for chunk in self.chunks:
            pieces.append(chunk)
            wanted -= len(chunk)
            if wanted <= 0:
                break
        self.text, self.at = "".join(pieces), 0
        return len(pieces) > 1

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            space = _SPACE.match(self.text, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.grow():
                return ""

    def take(self, expected: str) -> None:
        if self.peek() != expected:
            raise self.error(f"{expected!r} is missing")
        self.at += 1

    def value(self) -> Any:
        self.peek()
        while True:
            cut = True
            try:
                found, end = _DECODER.raw_decode(self.text, self.at)
                # what ends with the window may go on beyond it
                if end < len(self.text):
                    self.at = end
                    return found
            except RecursionError:
                raise self.error("nested too deep") from None
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos >= len(self.text.rstrip())
            except ValueError:
                raise self.error("a number has too many digits") from None
            if len(self.text) - self.at > _LONGEST_ELEMENT or not self.grow():
                raise self.error("an element is broken", cut=cut)

    def error(self, problem: str, *, cut: bool = False) -> DataError:
        if cut or not self.peek():
            return DataError("data.truncated", "the JSON is cut off", where=self.source)
        return DataError("data.json", f"this is no JSON: {problem}", where=self.source)


def elements(chunks: Iterator[str], source: str) -> Iterator[Any]:
    """The elements of a JSON array, or of all arrays that are the values of a JSON object, in order.

    Raises ``DataError``: ``data.json``, ``data.truncated``; what came before the fault has been given by then.

    >>> list(elements(iter(['{"a": [1, 2', '0], "b": [3]}']), "x.json"))
    [1, 20, 3]
    """
    stream = _Stream(chunks, source)
    if stream.peek() == "[":
        yield from _array(stream, source)
        return
    if stream.peek() != "{":
        raise _no_records(source)
    stream.take("{")
    while stream.peek() != "}":
        stream.value()
        stream.take(":")
        if stream.peek() != "[":
            raise _no_records(source)
        yield from _array(stream, source)
        if stream.peek() != "}":
            stream.take(",")


def _array(stream: _Stream, source: str) -> Iterator[Any]:
    stream.take("[")
    number = 0
    while stream.peek() != "]":
        number += 1
        stream.source = f"{source}, element {number}"
        yield stream.value()
        if stream.peek() != "]":
            stream.take(",")
    stream.take("]")


def _no_records(source: str) -> DataError:
    return DataError(
        "data.json",
        "neither an array of objects nor an object of such arrays",
        where=source,
        hint="for one object a line use --format jsonl",
    )
