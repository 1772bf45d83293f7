"""Whether something that can be a Ray cluster answers at an address, found out within seconds.

Ray itself tries for minutes, in native code that Ctrl-C does not stop. A cluster speaks gRPC, so that whoever opens
a connection with the preface of HTTP/2 is answered with a SETTINGS frame (RFC 9113, 3.4).
"""

from __future__ import annotations

import os
import socket
from typing import Final

from corpora.errors import RunError

_SECONDS: Final = 5.0
_EMPTY_SETTINGS: Final = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _EMPTY_SETTINGS
# of a frame's head: three bytes of length, and the kind; 4 is SETTINGS
_KIND_AT: Final = 3


def check_answers(address: str) -> None:
    """Raise ``RunError`` (``engine.unreachable``) if at ``address`` (``host:port``, ``ray://...``) nothing answers."""
    if address == "auto":
        # Ray looks for a cluster on this machine, and says at once if there is none
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        raise _unreachable(address, "this is no address of a Ray cluster", "such as 10.0.0.5:6379, or auto")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS) as connection:
            is_grpc = _is_encrypted() or _says_settings(connection)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "no answer in time"
        raise _unreachable(address, f"no Ray cluster answers: {reason}") from error
    if not is_grpc:
        raise _unreachable(address, "what answers is no Ray cluster")


def _is_encrypted() -> bool:
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")


def _says_settings(connection: socket.socket) -> bool:
    connection.sendall(_HELLO)
    head = b""
    while len(head) <= _KIND_AT and (more := connection.recv(_KIND_AT + 1 - len(head))):
        head += more
    return len(head) > _KIND_AT and head[_KIND_AT] == _EMPTY_SETTINGS[_KIND_AT]


def _unreachable(address: str, message: str, hint: str = "") -> RunError:
    hint = hint or "is it running? without RAY_ADDRESS, a cluster is started on this machine"
    return RunError("engine.unreachable", message, where=f"RAY_ADDRESS={address}", hint=hint)
