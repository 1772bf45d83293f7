"""Who may read as whom: a link that works once becomes a cookie, and the cookie ends after a while without a key."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from labeler.audit.review.desk import Refusal

#: Seconds without a key after which a session ends.
IDLE_SECONDS: Final = 12 * 3600.0
#: Seconds without a sign of life after which a page counts as closed.
CLOSED_SECONDS: Final = 45.0


@dataclass(slots=True)
class Session:
    """A reader at a page. ``public`` names the session to the page, and is no secret."""

    reader: str
    public: str
    acted: float
    seen: float


class Door:
    """Links and sessions of some readers, in memory only."""

    def __init__(
        self, readers: Iterable[str], *, idle: float = IDLE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._readers = tuple(readers)
        self._idle, self._clock = idle, clock
        self._links: dict[str, str] = {}
        self._sessions: dict[str, Session] = {}

    def link(self, reader: str) -> str:
        """A new secret that lets somebody in as ``reader``, once; an earlier one that was not used ends."""
        self._links = {hashed: name for hashed, name in self._links.items() if name != reader}
        secret = secrets.token_urlsafe(32)
        self._links[_hashed(secret)] = reader
        return secret

    def enter(self, secret: str) -> tuple[str, str]:
        """The reader and the cookie for a link's secret, which then is spent.

        Raises ``Refusal``: ``link`` for one that is not known or was used, ``open_elsewhere`` while the reader's page
        is open somewhere; the link can be tried again then.
        """
        hashed = _hashed(secret)
        reader = self._links.get(hashed)
        if reader is None:
            message = "This link was used already or has been replaced. The newest one is in the program's window."
            raise Refusal(403, "link", message)
        now = self._clock()
        mine = [session for session in self._sessions.values() if session.reader == reader]
        if any(now - session.seen < CLOSED_SECONDS and now - session.acted < self._idle for session in mine):
            message = f"{reader} is open in another window. Close it there, wait a minute, and open this link again."
            raise Refusal(409, "open_elsewhere", message)
        del self._links[hashed]
        self._sessions = {key: session for key, session in self._sessions.items() if session.reader != reader}
        cookie = secrets.token_urlsafe(32)
        self._sessions[_hashed(cookie)] = Session(reader, secrets.token_hex(8), now, now)
        return reader, cookie

    def session(self, cookie: str | None, *, acts: bool = False) -> Session:
        """The session of a cookie; ``acts``: a key was pressed, not just a sign of life.

        Raises ``Refusal`` (``session``) for one that is not known or has ended.
        """
        session = self._sessions.get(_hashed(cookie)) if cookie else None
        now = self._clock()
        if session is None or now - session.acted >= self._idle:
            message = (
                "This page was left for too long, or the program was started anew. What was shown as saved is saved; "
                "nothing else was kept or overwritten. Open the newest link, which is in the program's window."
            )
            raise Refusal(401, "session", message)
        session.seen = now
        if acts:
            session.acted = now
        return session

    def leave(self, cookie: str | None) -> None:
        """The page was closed: another one may be opened at once. The session itself goes on, for a reload."""
        session = self._sessions.get(_hashed(cookie)) if cookie else None
        if session is not None:
            session.seen = self._clock() - CLOSED_SECONDS


def _hashed(secret: str) -> str:
    # what is looked up is a hash, so that the time of the look-up tells nothing of the secret
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
