"""Options that several commands of `radloop vision` share, as their functions declare them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Split = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Split by patient; split.csv of the corpus if not given.")
]
Cache = Annotated[
    Path | None, typer.Option(metavar="CACHE", help="Folder of fitted films; made there if it is not there.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write the summary as JSON to stdout.")]
