"""Films that could not be used: written down, counted, and too many of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from corpora.errors import RunError
from corpora.runs import atomic_writer
from corpora.types import Reject


def write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    """Write rejects as JSON lines, or remove the file of an earlier attempt if there are none."""
    if not rejects:
        path.unlink(missing_ok=True)
        return
    with atomic_writer(path) as file:
        for reject in rejects:
            at = reject.provenance
            line = {"study_id": reject.study_id, "file": at.file, "code": reject.code, "message": reject.message}
            row = {} if at.row is None else {"row": at.row}
            file.write(json.dumps(line | row, ensure_ascii=False) + "\n")


def refuse_too_many(
    rejected: int, of: int, within: Callable[[int, int], bool], failures: Path, what: str = "films"
) -> None:
    """Raise ``RunError`` (``vision.rejects``, exit code 1) if more of ``what`` were rejected than may be."""
    if within(rejected, of):
        return
    error = RunError(
        "vision.rejects", f"{rejected:,} of {of:,} {what} cannot be used; nothing was trained", where=str(failures),
        hint="mend or remove them, or allow more by --max-failures",
    )  # fmt: skip
    error.exit_code = 1
    raise error
