"""Options that commands of several packages declare alike, and what these commands say when they are stopped or end.

def train_cli(..., config: Config = "vision/resnet50", set_: Changes = None, resume: Resume = False) -> None:
    recipe = recipe_from(config, VisionRecipe, set_)
    with resumable(), counting("fitting films") as caching: ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    Recipe = TypeVar("Recipe", bound=BaseModel)

Config = Annotated[str, typer.Option(metavar="NAME|FILE", help="Recipe: shipped, or a file.")]
Changes = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]
Workers = Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes; all cores if not given.")]
Cache = Annotated[
    Path | None, typer.Option(metavar="CACHE", help="Folder of fitted films; made there if it is not there.")
]
Summary = Annotated[bool, typer.Option("--json", help="Write the summary as JSON to stdout.")]
SourceFormat = Annotated[
    str | None, typer.Option("--format", metavar="NAME", help="Source format; `radloop ls readers` lists them.")
]
Encoding = Annotated[str | None, typer.Option(metavar="NAME", help="Encoding of texts, if not UTF-8.")]
IdColumn = Annotated[str | None, typer.Option(metavar="NAME", help="Column of study ids.")]
TextColumn = Annotated[str | None, typer.Option(metavar="NAME", help="Column of whole reports.")]
FindingsColumn = Annotated[str | None, typer.Option(metavar="NAME", help="Column of Findings.")]
ImpressionColumn = Annotated[str | None, typer.Option(metavar="NAME", help="Column of Impressions.")]


def recipe_from(config: str, kind: type[Recipe], changes: Iterable[str] | None = ()) -> Recipe:
    """The recipe of a shipped name, or of a file by its path, with changes. Raises ``ConfigError``."""
    from corpora.config import load_yaml
    from corpora.resources import config_path

    path = Path(config) if config.endswith((".yaml", ".yml")) else config_path(config)
    return load_yaml(path, kind, changes or ())


@contextmanager
def resumable() -> Iterator[None]:
    """Says how to go on when a person interrupts."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command with --resume goes on from here", err=True)
        raise


def end_if_more(too_many: bool, what: str, max_failures: str) -> None:
    """End with 1 if there are too many rejects; ``what`` is what happened to them: `films could not be read`."""
    if too_many:
        typer.echo(f"more {what} than --max-failures {max_failures} allows", err=True)
        raise typer.Exit(1)
