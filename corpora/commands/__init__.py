"""Assemble corpora of films and reports, check them against a specification, split and describe them.

radloop corpus phantom -o phantoms -n 200
radloop corpus import reports.csv films/ -o corpus
radloop corpus check corpus --spec thoracic-40k --html check.html
radloop corpus split corpus
radloop corpus card corpus
"""

from __future__ import annotations

import typer

from corpora.boxes.command import boxes_cli
from corpora.card.cli import card_cli
from corpora.commands.cache import cache_cli
from corpora.deid.command import deidentify_cli, key_cli
from corpora.importing.command import import_cli
from corpora.phantom.command import phantom_cli
from corpora.scan.command import scan_cli
from corpora.specs.cli import check_cli
from corpora.splits.command import split_cli

app = typer.Typer(
    help="Assemble corpora of films and reports, check them against a specification, split and describe them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("phantom")(phantom_cli)
app.command("import")(import_cli)
app.command("check")(check_cli)
app.command("split")(split_cli)
app.command("card")(card_cli)
app.command("boxes")(boxes_cli)
app.command("key")(key_cli)
app.command("deidentify")(deidentify_cli)
app.command("scan")(scan_cli)
app.command("cache")(cache_cli)
