"""The errors a user can meet. No message ever holds report text.

    RadloopError
      ConfigError      a configuration, schema or lexicon file is wrong        [config.*]
      DataError        a source or table cannot be read as asked               [data.*]
      RegistryError    no such labeler, schema, reader ...                     [registry.*]
      RunError         an output cannot be written or a run not resumed        [run.*]

The command line prints them as three lines at most and exits with ``exit_code``.
"""

from __future__ import annotations


class RadloopError(Exception):
    """What went wrong (``message``), where (file, row, field, study), and what to do about it (``hint``)."""

    exit_code = 2

    def __init__(self, code: str, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.where = where
        self.hint = hint

    def lines(self) -> list[str]:
        """The error as printed: ``[code] message``, then where and hint if there are any."""
        rest = [f"  where: {self.where}"] if self.where else []
        rest += [f"  hint: {self.hint}"] if self.hint else []
        return [f"[{self.code}] {self.message}", *rest]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __reduce__(self) -> tuple[object, ...]:
        # keyword-only arguments do not survive the default pickling between worker processes
        return (_rebuild, (type(self), self.code, self.message, self.where, self.hint))


def _rebuild(cls: type[RadloopError], code: str, message: str, where: str, hint: str) -> RadloopError:
    return cls(code, message, where=where, hint=hint)


class ConfigError(RadloopError):
    """A configuration, schema or lexicon file is wrong."""


class DataError(RadloopError):
    """A source or table cannot be read as asked."""


class RegistryError(RadloopError):
    """A name that nothing is registered under."""


class RunError(RadloopError):
    """An output that cannot be written, or a run that cannot be resumed."""
