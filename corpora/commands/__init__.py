"""Assemble corpora of films and reports, check them against a specification, split and describe them.

radloop corpus phantom -o phantoms -n 200
radloop corpus import reports.csv films/ -o corpus
radloop corpus check corpus --spec thoracic-40k --html check.html
radloop corpus split corpus
radloop corpus card corpus
"""

from __future__ import annotations

import typer

app = typer.Typer(
    help="Assemble corpora of films and reports, check them against a specification, split and describe them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
