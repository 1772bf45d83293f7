"""Pages of the documentation as the tests see them: their blocks, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"(?P<marks>(?:^[ ]*<!-- [a-z]+ -->\n)*)^(?P<indent> *)```(?P<language>[\w-]*)\n(?P<text>.*?)^(?P=indent)```",
    re.M | re.S,
)
_INDENTED = re.compile(r"(?:^(?: {4}.*)?\n)+", re.M)
_INLINE = re.compile(r"`(radloop [a-z][^`\n]*)`")
_SEPARATORS = {"|", "&&", "||", ";", ">", ">>", "<", "2>", "&"}


@dataclass(frozen=True)
class Block:
    """Fenced text. ``marks`` are the comments right above it, such as ``run``."""

    language: str
    text: str
    marks: frozenset[str]


def pages(root: Path) -> list[Path]:
    """Every page that people read."""
    texts = [root / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [path for path in [*texts, *sorted((root / "docs").rglob("*.md"))] if path.is_file()]


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for match in _FENCE.finditer(path.read_text(encoding="utf-8")):
        text = "".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines(keepends=True))
        marks = frozenset(re.findall(r"<!-- ([a-z]+) -->", match["marks"]))
        found.append(Block(match["language"], text, marks))
    return found


def commands(path: Path) -> Iterator[list[str]]:
    """The words after ``radloop`` of every command in a page's blocks."""
    text = path.read_text(encoding="utf-8")
    shown = [block.text for block in blocks(path) if block.language in ("", "sh", "bash", "console", "yaml")]
    shown += [match.group() for match in _INDENTED.finditer(_FENCE.sub("", text))]
    for block in shown:
        for line in block.replace("\\\n", " ").splitlines():
            yield from commands_of(line)


def commands_of(line: str) -> Iterator[list[str]]:
    """The words after ``radloop`` of every command in a line of a shell."""
    lexer = shlex.shlex(line.strip(), posix=True, punctuation_chars="|&;<>")
    lexer.commenters = "#"
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a line of something else, with a quotation mark that is not closed
        return
    current: list[str] | None = None
    if words[:2] == ["docker", "build"]:  # names an image
        return
    for word in [*words, ";"]:
        if word in _SEPARATORS or set(word) <= set("|&;<>"):
            if current:
                yield current
            current = None
        elif current is not None:
            current.append(word)
        elif word == "radloop" or word.endswith("/radloop"):
            current = []


def inline(path: Path) -> list[str]:
    """What follows ``radloop`` in code within a sentence."""
    return [
        match[1].removeprefix("radloop ").partition(",")[0]
        for match in _INLINE.finditer(_FENCE.sub("", path.read_text("utf-8")))
    ]
