"""How many rejected records a batch may have: ``--max-failures``."""

from __future__ import annotations

from collections.abc import Callable

from corpora.errors import ConfigError


def allowance(spelled: str) -> Callable[[int, int], bool]:
    """A number of records, or a share of them, as a test of how many were rejected of how many.

    Raises ``ConfigError`` (``config.value``).

    >>> allowance("1%")(1, 100), allowance("1%")(2, 100), allowance("2")(2, 2)
    (True, False, True)
    """
    number, is_share = spelled.removesuffix("%"), spelled.endswith("%")
    try:
        limit = float(number) / 100 if is_share else int(number)
    except ValueError:
        limit = -1
    # NaN is not at least 0 either
    if not limit >= 0 or (is_share and limit > 1):
        raise ConfigError(
            "config.value", f"{spelled!r} is neither a number of records nor a share of them", where="--max-failures",
            hint="such as 100 or 1%",
        )  # fmt: skip
    return lambda rejected, of: rejected <= (limit * of if is_share else limit)
