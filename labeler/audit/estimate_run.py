"""What ``radloop audit estimate`` does: check, estimate, write."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from corpora.errors import ConfigError
from corpora.runs import atomic_writer, write_manifest, writing
from labeler.audit.frame import PLAN, load_plan
from labeler.audit.page import to_html
from labeler.audit.report import FILE, AuditReport, report, to_json
from labeler.audit.store import readings_sha256


def run_estimate(
    audit: Path,
    *,
    html: Path | None = None,
    out: Path | None = None,
    phase: str = "blind",
    confidence: float = 0.95,
    command: Sequence[str] = ("labeler.audit.estimate_run.run_estimate",),
) -> tuple[AuditReport, list[Path]]:
    """Estimate from the readings of ``audit``; write a page to ``html``, and JSON, page and manifest into ``out``.

    Returns the report and the files written. Raises ``ConfigError`` (``config.value``) for a phase or a confidence
    that there is not, ``DataError`` as ``labeler.audit.report.report``.
    """
    if phase not in ("blind", "revealed") or not 0 < confidence < 1:
        message = "the phase is blind or revealed, and the confidence lies between 0 and 1"
        raise ConfigError("config.value", message, where=f"{phase=}, {confidence=}")
    start = time.monotonic()
    found = report(audit, phase="blind" if phase == "blind" else "revealed", confidence=confidence)
    pages = [html] if html else []
    if out is not None:
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
            (out / "manifest.json").unlink(missing_ok=True)
        pages.append(out / "estimates.html")
    text = to_html(found, audit) if pages else ""
    for page in pages:
        with writing(page):
            page.parent.mkdir(parents=True, exist_ok=True)
        with atomic_writer(page) as file:
            file.write(text)
    return found, [*pages, *(_write(found, audit, out, command, start) if out is not None else [])]


def _write(found: AuditReport, audit: Path, out: Path, command: Sequence[str], start: float) -> list[Path]:
    with atomic_writer(out / FILE) as file:
        json.dump(to_json(found), file, indent=2, ensure_ascii=False)
        file.write("\n")
    plan = load_plan(audit)
    write_manifest(
        out / "manifest.json", command=command,
        config={"phase": found.phase, "confidence": found.estimates.confidence, "labels_sha256": plan.labels_sha256,
                "frame_sha256": plan.frame_sha256, "readings_sha256": readings_sha256(audit)},
        inputs=[audit / PLAN], counts={"texts": found.estimates.texts, "read": found.estimates.read},
        wall_seconds=time.monotonic() - start, packages=["numpy", "scipy"],
    )  # fmt: skip
    return [out / FILE, out / "manifest.json"]
