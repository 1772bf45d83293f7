"""The certificate of an audit: that people read enough of everything, bound to the label table by its hash.

    {"format": "radloop-audit-certificate", "version": 1,
     "labels_sha256": ...,              SHA-256 of the label table's bytes
     "population": N, "read": n,        reports in the table, and those whose text was read
     "fraction": .1, "least": 30,
     "strata": [{"name", "population", "read", "required", "texts", "texts_read", "texts_required"}],
     "cells": [{"label", "state", ... the same counts}],
     "sites": [{"name", ... the same counts}],
     "texts": {"population", "read", "required"},
     "readers": [...], "double_read": n, "undecided": n, "unjudged": n, "audit": hash of the frame, "made_at": time}

`radloop corpus check --certificate` reads it. There is none unless every gate holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from corpora.runs import manifest_beside, write_manifest
from labeler.audit.coverage import Coverage, GateState, coverage
from labeler.audit.frame import DRAW, PLAN, check_labels_unchanged, write_json
from labeler.audit.store import readings_sha256

FORMAT: Final = "radloop-audit-certificate"
VERSION: Final = 1
FILE: Final = "certificate.json"


@dataclass(frozen=True, slots=True)
class Certified:
    """The gates that do not hold; the certificate if all do, and where it was written."""

    lacking: tuple[GateState, ...]
    gates: int
    certificate: dict[str, Any] | None = None
    path: Path | None = None


def certify(audit: Path | str, out: Path | None = None, *, command: Sequence[str] = ()) -> Certified:
    """Write the certificate of an audit (into its folder if ``out`` is None) if all gates hold, and with a ``command``
    its manifest beside it.

    Where one does not, an earlier certificate in the folder is removed: it speaks of another state of the readings.
    Raises ``DataError``: ``audit.labels_changed``, and as ``labeler.audit.coverage.coverage``; ``RunError`` as
    ``corpora.runs.atomic_writer``.
    """
    begun = time.perf_counter()
    check_labels_unchanged(audit)
    found = coverage(audit)
    lacking = tuple(found.lacking())
    path = Path(audit) / FILE if out is None else out
    if lacking:
        if out is None:
            path.unlink(missing_ok=True)
            manifest_beside(path).unlink(missing_ok=True)
        return Certified(lacking, len(found.gates))
    made = certificate_of(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, made)
    if command:
        write_manifest(
            manifest_beside(path), command=command,
            config={"labels_sha256": made["labels_sha256"], "readings_sha256": readings_sha256(audit)},
            inputs=[Path(audit) / PLAN, Path(audit) / DRAW], counts={"gates": len(found.gates), "read": made["read"]},
            wall_seconds=time.perf_counter() - begun,
        )  # fmt: skip
    return Certified((), len(found.gates), made, path)


def certificate_of(found: Coverage) -> dict[str, Any]:
    """The certificate of an audit all of whose gates hold."""
    (texts, reports), *rest = _pairs(found.gates)
    by_kind: dict[str, list[dict[str, Any]]] = {"stratum": [], "cell": [], "site": []}
    for in_texts, in_reports in rest:
        by_kind[in_texts.gate.kind].append(_part(in_texts, in_reports))
    truths = found.truths.values()
    return {
        "format": FORMAT,
        "version": VERSION,
        "labels_sha256": found.plan.labels_sha256,
        "labels": Path(found.plan.labels).name,
        "population": reports.gate.population,
        "read": reports.read,
        "required": reports.gate.required,
        "texts": {"population": texts.gate.population, "read": texts.read, "required": texts.gate.required},
        "fraction": found.plan.fraction,
        "least": found.plan.least,
        "strata": by_kind["stratum"],
        "cells": by_kind["cell"],
        "sites": by_kind["site"],
        "readers": sorted({reader for each in truths for reader in each.readers}),
        "double_read": sum(len(each.readers) > 1 for each in truths),
        "undecided": sum(len(each.differing) for each in truths),
        "unjudged": sum(len(each.unjudged) for each in truths),
        "audit": found.draw.frame_sha256,
        "seed": found.plan.seed,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _pairs(gates: Sequence[GateState]) -> list[tuple[GateState, GateState]]:
    return list(zip(gates[::2], gates[1::2], strict=True))


def _part(texts: GateState, reports: GateState) -> dict[str, Any]:
    gate = texts.gate
    name = {"label": gate.name, "state": gate.state} if gate.kind == "cell" else {"name": gate.name}
    return name | {
        "population": reports.gate.population,
        "read": reports.read,
        "required": reports.gate.required,
        "texts": gate.population,
        "texts_read": texts.read,
        "texts_required": gate.required,
    }
