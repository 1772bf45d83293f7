"""What may reach the application, and what every answer carries. Each rule stands against one kind of attack.

Host             a name of the server's own              a page that points its name at this machine (rebinding)
Origin           the server's own, for everything sent   a page that sends forms or requests (CSRF)
Sec-Fetch-Site   not from elsewhere, but to the entrance  the same, and pages that embed this one
body             JSON, of limited size                   forms; memory
answer           policy, no-store, nosniff ...           markup that slipped through; caches; frames
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

#: More than any request of the page has.
MOST_BYTES: Final = 64 * 1024
#: Pages that a link on another site may lead to.
ENTRANCE: Final = "/enter"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """An ASGI application around another. ``hosts`` are the values of Host that are taken, with the port."""

    def __init__(self, application: Application, hosts: Collection[str], *, tls: bool = False) -> None:
        self._application = application
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(f"http{'s' if tls else ''}://{host}" for host in self._hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a websocket is never accepted

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.encode(): value.encode() for name, value in HEADERS.items()}
                kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in own]
                message = {**message, "headers": [*kept, *own.items()]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None and scope["method"] == "POST":
            body = await _body(receive)
            if body is None:
                refusal = 413, "The request is too large."
            else:
                receive = _again(body)
        if refusal is not None:
            await _refuse(sending, *refusal)
            return
        await self._application(scope, receive, sending)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = _headers(scope)
        if headers.get("host", "").lower() not in self._hosts:
            return 421, "This server does not go by that name."
        site = headers.get("sec-fetch-site", "none")
        if site not in ("same-origin", "none") and scope["path"] != ENTRANCE:
            return 403, "Requests from other pages are refused."
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST":
            return 405, "There is no such method here."
        # a browser always sends it; what does not is no page of ours
        if headers.get("origin", "").lower() not in self._origins:
            return 403, "Requests from other pages are refused."
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, "Only JSON is taken."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return 413, "The request is too large."
        return None


def _headers(scope: Scope) -> dict[str, str]:
    """The headers by lower-case name; of two of one name both, which then is no value that is taken."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


async def _body(receive: Receive) -> bytes | None:
    """The body, None if it is too large, whatever its announced length."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > MOST_BYTES:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": "refused", "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
