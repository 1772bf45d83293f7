"""What a scan saw and found, as a value and as a file with its manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpora.runs import atomic_writer, hash_input, manifest_beside, without_places, write_manifest, writing
from corpora.scan.types import Leak


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan saw and what it found left."""

    folder: Path
    files: int
    reports: int
    others: int
    pixels: int
    leaks: tuple[Leak, ...]
    seconds: float
    reads_pixels: bool

    def to_json(self) -> dict[str, Any]:
        """As `radloop corpus check --scan` reads it: ``files`` are the films that were scanned."""
        findings = [
            {"study_id": leak.study_id, "file": leak.file, "where": leak.where, "kind": leak.kind, "what": leak.what}
            for leak in self.leaks
        ]
        return {
            "scanned": str(self.folder), "files": self.files, "reports": self.reports, "other_files": self.others,
            "films_whose_pixels_were_read": self.pixels, "findings": findings,
            "by_kind": dict(Counter(leak.kind for leak in self.leaks)), "seconds": round(self.seconds, 3),
        }  # fmt: skip


def write_result(result: ScanResult, out: Path, *, command: Sequence[str]) -> None:
    """Write a result as JSON, and its manifest beside it, without the places: those of a source may name somebody.

    Raises ``RunError`` as ``corpora.runs.atomic_writer``.
    """
    manifest = manifest_beside(out)
    with writing(manifest):
        manifest.unlink(missing_ok=True)
    with atomic_writer(out) as file:
        json.dump(result.to_json(), file, indent=2, ensure_ascii=False)
        file.write("\n")
    made = result.folder / "manifest.json" if result.folder.is_dir() else result.folder
    scanned = hash_input(made)["sha256"] if made.is_file() else None
    write_manifest(
        manifest, command=without_places(command), config={"pixels": result.reads_pixels, "scanned_sha256": scanned},
        inputs=[], counts={"films": result.files, "reports": result.reports, "leaks": len(result.leaks)},
        wall_seconds=result.seconds, nameless=True,
    )  # fmt: skip
