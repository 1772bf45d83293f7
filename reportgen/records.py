"""A draft as it is written down: its text by section, what a labeler reads in it, where the encoder disagrees.

{"study_id", "patient_id", "status": "draft", "notice", "text", "findings", "impression", "confidence", "tokens",
 "token_probabilities", "labels": {...}, "probabilities": {...}, "flags": [{"label", "kind", "probability"}],
 "warnings": [...], "images": [...], "films": [paths], "made_by", "seed"}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from corpora.runs import OutputTarget, atomic_writer, write_manifest
from corpora.types import Provenance, Reject, Report
from labeler.base import load
from reportgen.data import Example
from reportgen.flags import flags
from reportgen.pretrain import PACKAGES
from reportgen.targets import as_report
from vision.rejects import write_rejects

#: Stands on every draft.
NOTICE: Final = "Draft written by a model. Not for clinical use. Not read by a radiologist."

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DraftSummary:
    """What was drafted: the file, drafts, distinct ones, empty ones, flagged ones, rejects, seconds."""

    table: Path
    drafts: int
    distinct: int
    empty: int
    flagged: int
    unusual: int
    rejected: int
    seconds: float
    too_many: bool


class Recorder:
    """Turns texts into records; ``paths`` are files of films by image id, ``thresholds`` those of the encoder."""

    def __init__(
        self, labeler: str, thresholds: Mapping[str, float], paths: Mapping[str, str], made_by: str, seed: int
    ) -> None:
        self.reader = load(labeler)
        self.thresholds, self.paths, self.made_by, self.seed = thresholds, paths, made_by, seed

    def record(
        self, study: Example, sections: Mapping[str, str], probabilities: Sequence[float] = (),
        warnings: Sequence[str] = (), confidence: float | None = None, tokens: Sequence[str] = (),
        token_probabilities: Sequence[float] = (),
    ) -> Record:  # fmt: skip
        """The record of a draft; ``probabilities`` are the encoder's, in the order of the thresholds."""
        labels = self._labels(" ".join(sections.values()))
        seen = dict(zip(self.thresholds, map(float, probabilities), strict=True)) if len(probabilities) else {}
        found = flags(labels, seen, self.thresholds) if sections else []
        return {
            "study_id": study.study_id, "patient_id": study.patient_id, "status": "draft", "notice": NOTICE,
            "text": as_report(sections), "report": " ".join(sections.values()), **sections,
            "confidence": None if confidence is None else round(confidence, 4),
            "tokens": list(tokens), "token_probabilities": [round(p, 4) for p in token_probabilities],
            "labels": {label: state for label, state in labels.items() if state is not None},
            "probabilities": {label: round(p, 4) for label, p in seen.items()},
            "flags": [asdict(flag) for flag in found], "warnings": list(warnings),
            "images": list(study.image_ids), "views": list(study.views),
            "films": [self.paths.get(name, "") for name in study.image_ids],
            "made_by": self.made_by, "seed": self.seed,
        }  # fmt: skip

    def _labels(self, text: str) -> dict[str, Any]:
        states = self.reader.states([Report("", text)])[0] if text else (None,) * len(self.reader.schema.labels)
        return dict(zip(self.reader.schema.labels, states, strict=True))


def publish(
    target: OutputTarget, records: Sequence[Record], rejects: Sequence[Reject], within: Callable[[int, int], bool],
    seconds: float, settings: Mapping[str, Any], inputs: Sequence[Path], command: Iterable[str],
) -> DraftSummary:  # fmt: skip
    """Write drafts, rejects and, last, the manifest; an empty draft is a reject, too."""
    rejects = [*rejects, *(_empty(record) for record in records if not record["text"])]
    write_rejects(target.failures, rejects)
    with atomic_writer(target.table) as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    summary = _summary(records, rejects, target, within, seconds)
    write_manifest(
        target.manifest, command=list(command), config=settings, inputs=inputs,
        counts={"drafts": summary.drafts, "distinct": summary.distinct, "empty": summary.empty,
                "flagged": summary.flagged, "unusual films": summary.unusual, "rejected": summary.rejected},
        wall_seconds=seconds, seed=settings["seed"], packages=PACKAGES,
    )  # fmt: skip
    return summary


def _empty(record: Record) -> Reject:
    return Reject("report.empty", "the draft is empty", Provenance(""), record["study_id"])


def _summary(
    records: Sequence[Record], rejects: Sequence[Reject], target: OutputTarget, within: Callable[[int, int], bool],
    seconds: float,
) -> DraftSummary:  # fmt: skip
    texts = [record["text"] for record in records]
    empty = sum(not text for text in texts)
    return DraftSummary(
        target.table, len(texts), len(set(texts)), empty, sum(bool(record["flags"]) for record in records),
        sum(bool(record["warnings"]) for record in records), len(rejects), seconds,
        not within(len(rejects), len(texts) + len(rejects) - empty),
    )  # fmt: skip
