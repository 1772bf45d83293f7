"""What the generated pages of this folder say; cog calls it, and ``make check`` fails when a page is out of date.

make docs      writes the pages anew
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_group

from corpora import registry
from corpora.cli import app

NOUNS = {"commands": "commands of `radloop`", "validators": "what validates a file"}


def commands() -> Iterator[tuple[str, Any]]:
    """Every command as ``("radloop label run", command)``, groups before what is in them."""
    yield from _walk("radloop", get_group(app))


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from _walk(f"{path} {name}", command.get_command(None, name))


def cli_page() -> str:
    """The reference of every command, its arguments and options."""
    return "\n\n".join("\n\n".join(_sections(path, command)) for path, command in commands())


def _sections(path: str, command: Any) -> Iterator[str]:
    shown = [param for param in command.params if not getattr(param, "hidden", False)]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    words = [path, *(_argument(param) for param in arguments)]
    is_group = hasattr(command, "list_commands")
    usage = " ".join([*words, "[OPTIONS]", *(["COMMAND ..."] if is_group else [])])
    yield f"{'##' if is_group else '###'} {path}"
    yield f"```\n{usage}\n```"
    if command.help:
        yield command.help.strip()
    if shown:
        yield "\n".join(["| option | what it does |", "|---|---|", *map(_row, shown)])


def _argument(param: Any) -> str:
    name = param.metavar or param.name.upper()
    return name if param.required else f"[{name}]"


def _row(param: Any) -> str:
    if param.param_type_name == "argument":
        spelled = f"`{_argument(param)}`"
    else:
        metavar = f" {param.metavar}" if param.metavar else ""
        spelled = ", ".join(f"`{name}{metavar}`" for name in [*param.opts, *param.secondary_opts])
    return f"| {_cell(spelled)} | {_cell(' '.join((param.help or '').split()) + _default(param))} |"


def _default(param: Any) -> str:
    default = getattr(param.default, "value", param.default)
    plain = isinstance(default, str | int | float | Path) and not isinstance(default, bool)
    return f" Default: `{default}`." if plain and str(default) else ""


def _cell(text: str) -> str:
    # docstrings quote code as reStructuredText does
    return text.replace("``", "`").replace("|", "\\|")


def registry_page() -> str:
    """Every registered name, what it is and what it loads."""
    return "\n\n".join(_kind(kind) for kind in registry.KINDS if registry.names(kind))


def _kind(kind: str) -> str:
    entries = [registry.find(kind, name) for name in registry.names(kind)]
    rows = [f"| `{entry.name}` | {_cell(registry.summary(entry))} | `{entry.value}` |" for entry in entries]
    title = f"## {NOUNS.get(kind, kind)}: `radloop.{kind}`"
    return "\n".join([title, "", "| name | what it is | loads |", "|---|---|---|", *rows])


def review_keys() -> str:
    """The keys of the page on which an audit is read, as a table."""
    from labeler.audit.review.keys import ACTIONS

    rows = [f"| {' or '.join(f'`{key}`' for key in action.keys)} | {action.says} |" for action in ACTIONS]
    return "\n".join(["| key | what it does |", "|---|---|", *rows])
