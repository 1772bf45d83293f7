"""The command ``radloop``: what is installed under ``radloop.commands``, and a few commands to find your way.

    radloop --help            imports no sub-command: their one-line helps are read from their source
    radloop --debug COMMAND   a traceback instead of the short error

Exit codes: 0 done; 1 a gate or comparison failed, or too many records were rejected; 2 usage or bad input;
130 interrupted. Data goes to stdout, all else to stderr.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command_from_info, get_group

from corpora import __version__, registry
from corpora.errors import ConfigError, RadloopError
from corpora.reproduce.command import reproduce_cli

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel
    from typer.models import CommandInfo

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class _Umbrella(TyperGroup):
    """Own commands first, then the registered ones, which are imported only when they are called."""

    def list_commands(self, ctx: Any) -> list[str]:
        own = super().list_commands(ctx)
        return [*(name for name in registry.names("commands") if name not in own), *own]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        if own is not None or cmd_name.startswith("-"):
            return own
        if cmd_name not in registry.names("commands"):
            raise registry.unknown("commands.unknown", "command", cmd_name, self.list_commands(ctx))
        sub_app = registry.load("commands", cmd_name)
        sub_app.rich_markup_mode = None
        alone = _only_command(sub_app)
        command: Any = get_group(sub_app)
        if alone is not None:
            command = get_command_from_info(alone, pretty_exceptions_short=True, rich_markup_mode=None)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        own = {name: command.get_short_help_str(90) for name, command in self.commands.items()}
        rows = [(name, own[name] if name in own else _summary("commands", name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _only_command(sub_app: typer.Typer) -> CommandInfo | None:
    """The command of an app that is no group: its only one, with no name but the app's."""
    commands = sub_app.registered_commands
    alone = len(commands) == 1 and commands[0].name is None and not sub_app.registered_callback
    return commands[0] if alone else None


def _summary(kind: str, name: str) -> str:
    try:
        return registry.summary(registry.find(kind, name))
    except (RadloopError, OSError, SyntaxError):
        return "(cannot be loaded)"


app: Final = typer.Typer(
    cls=_Umbrella,
    name="radloop",
    help="Chest X-ray research: reports and films to labels, their audit, a vision model, draft reports, benchmarks.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"radloop {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command; ``--debug`` is taken out of the arguments before they get here."""


@app.command("where")
def where_cli(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A registered name, such as rules.v1.")],
    json_: JsonOption = False,
) -> None:
    """Print the file and line that a registered name comes from."""
    found = registry.where(name)
    if json_:
        _echo_json([{"kind": kind, "name": name, "where": place} for kind, place in found.items()])
    else:
        typer.echo("\n".join(dict.fromkeys(found.values())))


@app.command("ls")
def ls_cli(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Such as labelers; without it, the kinds.")] = "",
    json_: JsonOption = False,
) -> None:
    """List what is registered: the kinds, or the names of one kind and what each is."""
    rows = _names_of(kind) if kind else [{"kind": kind, "names": registry.names(kind)} for kind in registry.KINDS]
    if json_:
        _echo_json(rows)
    elif kind:
        _echo_columns((str(row["name"]), str(row["summary"])) for row in rows)
    else:
        _echo_columns((str(row["kind"]), " ".join(row["names"])) for row in rows)


def _names_of(kind: str) -> list[dict[str, Any]]:
    return [{"name": name, "summary": _summary(kind, name)} for name in registry.names(kind)]


@app.command("doctor")
def doctor_cli(
    gpu: Annotated[bool, typer.Option("--gpu", help="Load torch, and ask it for GPUs.")] = False,
    json_: JsonOption = False,
) -> None:
    """Say what is there of all that radloop can use, what is missing, and what it would buy."""
    from corpora.doctor import doctor, lines_of, to_json

    parts = doctor(gpu=gpu)
    if json_:
        _echo_json(to_json(parts))
    else:
        typer.echo("\n".join(lines_of(parts)))


@app.command("validate")
def validate_cli(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A schema, lexicon or recipe in YAML.")],
    kind: Annotated[str, typer.Option(metavar="KIND", help="What it should be; without it, the likeliest.")] = "",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=JSON", help="Replace one field.")] = None,
) -> None:
    """Check a configuration file and say what it is."""
    typer.echo(f"{config}: valid {validate(config, kind, set_ or ())}", err=True)


app.command("reproduce")(reproduce_cli)


def validate(config: Path, kind: str = "", overrides: Iterable[str] = ()) -> str:
    """Check ``config`` against a pydantic model registered under ``radloop.validators``; returns the name of the model.

    Without ``kind`` it is the model that shares most fields with the file. What a model cannot see from its own fields
    (other files, say) it checks in a method ``verify(document: corpora.config.Document)``, if it has one.

    Raises ``ConfigError``, or ``RegistryError`` for an unknown kind.
    """
    from corpora.config import read_document
    from corpora.config import validate as check

    document = read_document(config, overrides)
    names = [kind] if kind else registry.names("validators")
    models: dict[str, type[BaseModel]] = {name: registry.load("validators", name) for name in names}
    likeliest = max(models, key=lambda name: _likeness(models[name], document.data), default="")
    if not kind and (not likeliest or not models[likeliest].model_fields.keys() & document.data.keys()):
        message = f"its fields are those of no known kind of file; known: {', '.join(models) or 'none'}"
        raise ConfigError("config.unknown_kind", message, where=document.where())
    checked = check(document, models[likeliest])
    if hasattr(checked, "verify"):
        checked.verify(document)
    return likeliest


def _likeness(model: type[BaseModel], data: dict[str, Any]) -> tuple[int, int]:
    missing = [name for name, info in model.model_fields.items() if info.is_required() and name not in data]
    return len(model.model_fields.keys() & data.keys()), -len(missing)


def _echo_json(value: object) -> None:
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _echo_columns(rows: Iterable[tuple[str, str]]) -> None:
    pairs = list(rows)
    width = max((len(first) for first, _ in pairs), default=0)
    for first, second in pairs:
        typer.echo(f"{first:<{width}}  {second}".rstrip())


def run(argv: list[str]) -> int:
    """Run ``radloop`` with the arguments ``argv``; returns the exit code, errors are printed to stderr."""
    debug, argv = _take_debug(argv)
    before, sys.argv = sys.argv, ["radloop", *argv]
    try:
        get_group(app).main(args=argv, prog_name="radloop")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except RadloopError as error:
        _say(*(_traceback(error) if debug else error.lines()))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        _say(*(_traceback(error) if debug else _missing(error).lines()))
        return 2
    except Exception as error:
        _say(*(_traceback(error) if debug else _internal(error).lines()))
        return 2
    finally:
        # commands note how they were called; one that was called from Python, too
        sys.argv = before
    return 0


def main() -> NoReturn:
    """The console script."""
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # the reader went away; Python would complain again when it closes stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def _take_debug(argv: list[str]) -> tuple[bool, list[str]]:
    end = argv.index("--") if "--" in argv else len(argv)
    options = argv[:end]
    return "--debug" in options, [option for option in options if option != "--debug"] + argv[end:]


def _traceback(error: Exception) -> list[str]:
    from traceback import format_exception

    return "".join(format_exception(error)).splitlines()


def _say(*lines: str) -> None:
    for line in lines:
        typer.echo(line, err=True)


# module -> the extra that brings it
_EXTRAS: Final = {
    "PIL": "corpus", "imagehash": "corpus", "matplotlib": "corpus", "pydicom": "corpus", "scipy": "corpus",
    "accelerate": "neural", "safetensors": "neural", "tokenizers": "neural", "torch": "neural",
    "transformers": "neural", "onnx": "onnx", "onnxruntime": "onnx", "onnxscript": "onnx",
    "openpyxl": "review", "ray": "ray", "starlette": "review", "uvicorn": "review",
}  # fmt: skip


def _missing(error: ModuleNotFoundError) -> RadloopError:
    module = (error.name or "").partition(".")[0]
    if module not in _EXTRAS:
        return _internal(error)
    hint = f"pip install 'radloop[{_EXTRAS[module]}]'"
    return RadloopError("extra.missing", f"this needs {module}, which is not installed", hint=hint)


def _internal(error: Exception) -> RadloopError:
    # not the message: that of a ValueError may quote a report
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    hint = "a mistake in the program; --debug shows the traceback"
    return RadloopError("internal.error", f"unexpected {type(error).__name__}", where=where, hint=hint)
