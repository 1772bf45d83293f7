"""The key of a site: with it, the same person becomes the same pseudonym; without it, no guess can be tested.

Everything derived is an HMAC-SHA-256 (RFC 2104) of a kind and a value: two runs and two sites with one key agree.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corpora.errors import DataError, RunError
from corpora.runs import writing

_BYTES: Final = 32
#: A shift of dates goes back at least this many days, so that no study lies in the future.
_LEAST_SHIFT: Final = 366
_SHIFTS: Final = 3650


def make_key(path: Path | str) -> None:
    """Write a new key: 32 random bytes in hexadecimal, for the owner's eyes alone (mode 0600).

    Raises ``RunError``: ``run.exists`` if the file is there already, ``run.not_writable``.
    """
    file = Path(path)
    try:
        with writing(file):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as out:
                out.write(secrets.token_hex(_BYTES) + "\n")
    except RunError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise RunError(
                "run.exists", "there is a file already, and a key is never replaced", where=str(file),
                hint="what was made with the old key would no longer agree; name another file",
            ) from error  # fmt: skip
        raise


def read_key(path: Path | str) -> Key:
    """The key in a file. Raises ``DataError``: ``deid.no_key``, ``deid.key``."""
    file = Path(path)
    try:
        text = file.read_bytes()[:4096].decode("ascii", "replace").strip()
    except FileNotFoundError as error:
        raise DataError(
            "deid.no_key", "there is no such key file", where=str(file),
            hint=f"`radloop corpus key {file}` makes one; to go on with an old set, take the key it was made with",
        ) from error  # fmt: skip
    except OSError as error:
        raise DataError("deid.no_key", f"the key file cannot be read: {error.strerror}", where=str(file)) from error
    if not re.fullmatch(f"[0-9a-fA-F]{{{2 * _BYTES}}}", text) or len(set(text.lower())) < 5:
        raise DataError(
            "deid.key", "this is not a key: a key is 32 random bytes, as 64 hexadecimal digits", where=str(file),
            hint="`radloop corpus key FILE` makes one",
        )  # fmt: skip
    return Key(bytes.fromhex(text))


def is_open(path: Path | str) -> bool:
    """Whether others than its owner may read the file."""
    return os.name == "posix" and bool(Path(path).stat().st_mode & 0o077)


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """What pseudonyms are made with."""

    secret: bytes

    def digest(self, kind: str, value: str) -> bytes:
        """32 bytes that depend on the key, the kind of thing and the value."""
        return hmac.digest(self.secret, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), "sha256")

    @property
    def fingerprint(self) -> str:
        """Tells one key from another, and nothing about it."""
        return self.digest("fingerprint", "").hex()[:16]

    def uid(self, uid: str) -> str:
        """A UID for another one (2.25 and a UUID, PS3.5 B.2)."""
        return f"2.25.{uuid.UUID(bytes=self.digest('uid', uid)[:16], version=4).int}"

    def pseudonym(self, kind: str, value: str, letters: int = 15) -> str:
        """A name for an id: an initial of its kind and letters and digits; 75 bits with 15 of them.

        >>> Key(bytes(32)).pseudonym("patient", "12345")
        'PDRSLLRZ4QVTUO5K'
        """
        text = base64.b32encode(self.digest(kind, value)).decode("ascii")
        return kind[0].upper() + text[:letters]

    def days(self, patient: str) -> int:
        """By how many days the dates of a patient move: one to eleven years back."""
        return -(_LEAST_SHIFT + self.below("days", patient, _SHIFTS))

    def below(self, kind: str, value: str, end: int) -> int:
        """A number from 0 to ``end``, not counted."""
        return int.from_bytes(self.digest(kind, value)[:8], "big") % end

    def share(self, kind: str, value: str) -> float:
        """A number from 0 to 1, the same whenever it is asked for."""
        return int.from_bytes(self.digest(kind, value)[:6], "big") / (1 << 48)
