"""The commands ``radloop audit review`` and ``radloop audit adjudicate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Audit = Annotated[Path, typer.Argument(metavar="AUDIT", help="Folder that `radloop audit plan` made.")]
Readers = Annotated[
    list[str], typer.Option("--reader", metavar="NAME", help="Who reads; several times for several readers at once.")
]
Port = Annotated[int, typer.Option(min=0, max=65535, metavar="P", help="Port; any that is free if not given.")]
Host = Annotated[str, typer.Option(metavar="H", help="Address to listen at; another than this machine's needs TLS.")]
Cert = Annotated[Path | None, typer.Option("--tls-cert", metavar="F", help="Certificate, for another --host.")]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", metavar="F", help="Its private key.")]
Names = Annotated[
    list[str] | None, typer.Option("--allow-host", metavar="NAME", help="Name by which others reach the host.")
]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Print the link, and open no browser.")]
Images = Annotated[
    Path | None, typer.Option(metavar="CORPUS", help="Corpus with the studies' films, shown on request.")
]


def review_cli(
    audit: Audit,
    reader: Readers,
    port: Port = 0,
    host: Host = "127.0.0.1",
    tls_cert: Cert = None,
    tls_key: TlsKey = None,
    allow_host: Names = None,
    no_browser: NoBrowser = False,
    images: Images = None,
) -> None:
    """Open the page on which the drawn reports are read, blind first."""
    _serve(audit, reader, (host, port, tls_cert, tls_key, allow_host), False, images, no_browser)


def adjudicate_cli(
    audit: Audit,
    reader: Readers,
    port: Port = 0,
    host: Host = "127.0.0.1",
    tls_cert: Cert = None,
    tls_key: TlsKey = None,
    allow_host: Names = None,
    no_browser: NoBrowser = False,
    images: Images = None,
) -> None:
    """Open the page on which rows are decided that two readers answered differently."""
    _serve(audit, reader, (host, port, tls_cert, tls_key, allow_host), True, images, no_browser)


def _serve(
    audit: Path,
    readers: list[str],
    place: tuple[str, int, Path | None, Path | None, list[str] | None],
    decide: bool,
    images: Path | None,
    no_browser: bool,
) -> None:
    from labeler.audit.review.serve import Address, serve

    host, port, cert, key, names = place
    address = Address(host, port, cert, key, tuple(names or ()))
    serve(
        audit, readers, address, decide=decide, films=images, browser=not no_browser,
        say=lambda line: typer.echo(line, err=True),
    )  # fmt: skip
