"""How far ``radloop vision detect`` has come: a line of JSON for each batch of films, so that a run that was stopped
goes on behind the last one that is whole, with the batches it would have had."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpora.errors import RunError
from corpora.runs import OutputTarget, hash_input, writing
from corpora.types import Provenance, Reject
from vision.detections import Detection, Looked


@dataclass(frozen=True, slots=True)
class DetectBatch:
    """What a batch came to. ``read``: films gone through so far, those that could not be read too; boxes ``drawn`` on
    overlays; structured ``reports`` written."""

    read: int
    looked: tuple[Looked, ...]
    found: tuple[Detection, ...]
    rejects: tuple[Reject, ...]
    drawn: int
    reports: int


class Journal:
    """The batches of a run, of which ``key`` says which it is, and ``begun`` when it began (ISO 8601)."""

    def __init__(self, path: Path, key: str, begun: str, *, resume: bool) -> None:
        """Read what is there if it resumes. Raises ``RunError`` (``run.changed``) for the journal of another run."""
        self.path, self.begun = path, begun
        self.batches: list[DetectBatch] = []
        if resume and path.is_file():
            self._take(path.read_text(encoding="utf-8", errors="replace").split("\n"), key)
        lines = [{"key": key, "begun": self.begun}, *map(asdict, self.batches)]
        with writing(path):
            # without the line that a kill cut off
            path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    def _take(self, lines: list[str], key: str) -> None:
        try:
            first = json.loads(lines[0])
            same, begun = first["key"] == key, str(first["begun"])
        except (ValueError, KeyError, TypeError):
            return
        if not same:
            raise changed_detection(self.path)
        self.begun = begun
        self.batches += _whole(lines[1:])

    @property
    def read(self) -> int:
        """Films gone through so far."""
        return self.batches[-1].read if self.batches else 0

    def add(self, batch: DetectBatch) -> None:
        """Note a batch whose overlays and reports are written."""
        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(batch)) + "\n")
        self.batches.append(batch)


def _whole(lines: list[str]) -> Iterator[DetectBatch]:
    for line in lines:
        try:
            yield _batch(json.loads(line))
        except (ValueError, KeyError, TypeError):
            return


def _batch(row: Mapping[str, Any]) -> DetectBatch:
    return DetectBatch(
        row["read"], tuple(Looked(**each) for each in row["looked"]),
        tuple(Detection(**each | {"corners": tuple(each["corners"])}) for each in row["found"]),
        tuple(Reject(**each | {"provenance": Provenance(**each["provenance"])}) for each in row["rejects"]),
        row["drawn"], row["reports"],
    )  # fmt: skip


def changed_detection(where: Path) -> RunError:
    """The error for a run that cannot go on, because it is another one."""
    return RunError(
        "run.changed", "the detector, the films or the options are others than those of the run to go on with",
        where=str(where), hint="run without --resume to start over",
    )  # fmt: skip


def finished(target: OutputTarget, config: Mapping[str, Any], inputs: Iterable[Path]) -> dict[str, int]:
    """The counts of a complete run. Raises ``RunError``: ``run.changed`` if it was another one, ``run.damaged``."""
    try:
        made = json.loads(target.manifest.read_text(encoding="utf-8"))
        before = made["config"], [given["sha256"] for given in made["inputs"]]
        counts: dict[str, int] = made["counts"]
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(
            "run.damaged", "its manifest cannot be read", where=str(target.out),
            hint="run without --resume to start over",
        ) from None  # fmt: skip
    if before != (json.loads(json.dumps(config)), [hash_input(path)["sha256"] for path in inputs]):
        raise changed_detection(target.out)
    return counts


def replaced(made: Path, kept: Path, count: int) -> None:
    """Put the folder ``made`` in the place of ``kept``, which may be of an earlier run; ``count``: files it has."""
    with writing(kept):
        if kept.is_dir() and (made.is_dir() or not count):
            shutil.rmtree(kept)
        if made.is_dir():
            made.replace(kept)
