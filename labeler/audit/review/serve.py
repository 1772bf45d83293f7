"""The server: one for an audit at a time, on this machine unless another host is named and its TLS files given."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import logging
import os
import socket
import ssl
import unicodedata
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corpora.errors import ConfigError, RunError
from labeler.audit.frame import check_labels_unchanged, load_draw, load_frame, load_plan
from labeler.audit.review.app import Room, application
from labeler.audit.review.desk import Desk
from labeler.audit.review.evidence import Witness
from labeler.audit.review.films import Films
from labeler.audit.review.sessions import Door
from labeler.audit.review.work import Decisions, Readings, Work
from labeler.audit.store import open_store
from labeler.audit.texts import texts_of

LOCK: Final = "server.lock"
_LONGEST_NAME: Final = 60
_ANYWHERE: Final = frozenset({"0.0.0.0", "::", ""})

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: ``host`` and ``port`` (0: any that is free), TLS files, names that others reach the host by."""

    host: str = "127.0.0.1"
    port: int = 0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    names: tuple[str, ...] = ()

    @property
    def tls(self) -> bool:
        return self.tls_cert is not None


def serve(
    audit: Path | str, readers: Sequence[str], address: Address, *, decide: bool = False, films: Path | None = None,
    browser: bool = False, say: Say = lambda line: None,
) -> None:  # fmt: skip
    """Serve an audit's page to some readers until interrupted; ``decide``: for decisions between readers.

    ``say`` is told the links and what else a person should know; never anything of a report. Raises ``ConfigError``
    (``audit.host``, ``audit.tls``, ``audit.reader_name``), ``RunError`` (``audit.served``, ``audit.port``), and as
    ``load_plan``, ``load_draw``, ``texts_of``, ``open_store``.
    """
    check_address(address)
    draw, plan = load_draw(audit), load_plan(audit)
    check_labels_unchanged(audit)
    with _only_one(Path(audit)) as note, open_store(audit) as store:
        names = check_names(readers, store.readers())
        say("reading the reports ...")
        reports = dict(texts_of(audit, draw.by_id()))
        work: Work = Decisions(draw.texts, plan.names) if decide else Readings(draw.texts, plan.names)
        desk = Desk(store, work, _machine(audit, set(draw.by_id())))
        with _listening(address) as listener:
            port = int(listener.getsockname()[1])
            url = _url(address, port)
            note(url)
            door = Door(names)

            def entered(reader: str) -> None:
                say(f"{reader} has opened the page; should it be closed by mistake: {url}/enter#{door.link(reader)}")

            room = Room(
                desk, door, Witness(plan), Films(films, set(draw.by_id())), reports, plan.sections, plan.names,
                f"{'__Host-' if address.tls else ''}radloop-{port}", address.tls, decide, entered,
            )  # fmt: skip
            links = {name: f"{url}/enter#{door.link(name)}" for name in names}
            for name, link in links.items():
                say(f"{name}: {link}")
            say("each link works once; Ctrl+C ends the program, and the same command goes on from there")
            if browser and len(names) == 1:
                webbrowser.open(links[names[0]])
            _run(application(room, [f"{name}:{port}" for name in _hosts(address)]), listener, address)
    say("ended; what was shown as saved is saved")


def check_address(address: Address) -> None:
    """Raises ``ConfigError`` for a host other than this machine without TLS and a name, or for unusable files."""
    if (address.tls_cert is None) != (address.tls_key is None):
        raise ConfigError("audit.tls", "--tls-cert and --tls-key are given together or not at all")
    if not _is_loopback(address.host):
        if not address.tls:
            raise ConfigError(
                "audit.host", "reports are shown on another host only through TLS", where=f"--host {address.host}",
                hint="give --tls-cert and --tls-key, or leave --host out",
            )  # fmt: skip
        if address.host in _ANYWHERE and not address.names:
            raise ConfigError(
                "audit.host", "it is not said by which name others reach this host", where=f"--host {address.host}",
                hint="give it with --allow-host",
            )  # fmt: skip
    if address.tls:
        _context(address)


def check_names(readers: Sequence[str], known: Sequence[str]) -> list[str]:
    """The names of the readers, trimmed.

    Raises ``ConfigError`` (``audit.reader_name``) for one that is empty, long, not printable, there twice, or almost
    that of another reader of the audit: ``anna`` beside ``Anna``.
    """
    names = [unicodedata.normalize("NFC", name).strip() for name in readers]
    alike = {_folded(name): name for name in known}
    for name in names:
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            message = f"a reader's name is 1 to {_LONGEST_NAME} printable characters"
            raise ConfigError("audit.reader_name", message, where="--reader")
        if alike.setdefault(_folded(name), name) != name:
            raise ConfigError(
                "audit.reader_name", f"{name!r} is almost the name of another reader, {alike[_folded(name)]!r}",
                where="--reader", hint="use that name, or one that nobody takes for it",
            )  # fmt: skip
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError("audit.reader_name", f"{twice!r} is named twice", where="--reader")
    return names


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(char for char in plain if not unicodedata.combining(char) and not char.isspace())


def _machine(audit: Path | str, drawn: set[str]) -> dict[str, list[int]]:
    frame = load_frame(audit)
    return {
        study_id: [int(code) for code in frame.machine[row]]
        for row, study_id in enumerate(frame.ids)
        if study_id in drawn
    }


# the one server


@contextmanager
def _only_one(audit: Path) -> Iterator[Callable[[str], None]]:
    """Hold the audit's lock, which ends with the process, however it ends; gives what writes the address into it.

    Raises ``RunError`` (``audit.served``) if another program holds it, with its number and address.
    """
    path = audit / LOCK
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")
    except OSError as error:
        raise RunError("run.not_writable", f"cannot write: {error.strerror}", where=str(path)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise _served(file.read(), audit) from error

        def note(url: str) -> None:
            file.seek(0)
            file.truncate()
            json.dump({"pid": os.getpid(), "url": url}, file)
            file.flush()

        note("")
        yield note
        file.seek(0)
        file.truncate()


def _served(held: str, audit: Path) -> RunError:
    try:
        by = json.loads(held)
        who = f"process {int(by['pid'])}" + (f" at {str(by['url'])[:100]}" if by["url"] else "")
    except (ValueError, KeyError, TypeError):
        who = "another program"
    return RunError(
        "audit.served", f"the audit is open already: {who}", where=str(audit),
        hint="give all readers to one server: --reader A --reader B",
    )  # fmt: skip


# the network


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _hosts(address: Address) -> list[str]:
    own = ["127.0.0.1", "localhost", "[::1]"] if _is_loopback(address.host) else []
    named = [] if address.host in _ANYWHERE else [f"[{address.host}]" if ":" in address.host else address.host]
    return list(dict.fromkeys([*address.names, *named, *own]))


def _url(address: Address, port: int) -> str:
    return f"http{'s' if address.tls else ''}://{_hosts(address)[0]}:{port}"


@contextmanager
def _listening(address: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # the protocol is named because asyncio sends small answers at once only then: 44 ms less for each key
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address.host, address.port))
            # whoever has the link may come before the server is ready, and waits
            listener.listen(256)
        except (OSError, OverflowError) as error:
            said = getattr(error, "strerror", None) or "no such address"
            where = f"--host {address.host} --port {address.port}"
            raise RunError("audit.port", f"cannot listen: {said}", where=where, hint="name another --port") from error
        yield listener


def _context(address: Address) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(str(address.tls_cert), str(address.tls_key), "")
    except (OSError, ValueError) as error:
        where = f"--tls-cert {address.tls_cert} --tls-key {address.tls_key}"
        raise ConfigError("audit.tls", "the files are no certificate with its key", where=where) from error


def _run(app: Any, listener: socket.socket, address: Address) -> None:
    import uvicorn

    # what uvicorn says of an error may hold a part of a report
    logging.getLogger("uvicorn.error").disabled = True
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False, ws="none", http="h11",
        loop="asyncio", ssl_certfile=address.tls_cert, ssl_keyfile=address.tls_key, timeout_graceful_shutdown=3,
        timeout_keep_alive=60, backlog=256,
    )  # fmt: skip
    # uvicorn ends in order, then sends itself the signal again
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        return
