"""Files of drafts and references for the tests of the benchmark. All sentences are invented."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

REFERENCES = (
    "The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax.",
    "Small left pleural effusion with adjacent atelectasis. No pneumothorax.",
    "Moderate cardiomegaly. Mild pulmonary edema. Small bilateral pleural effusions.",
    "Right lower lobe consolidation, likely pneumonia. No effusion.",
    "Small right apical pneumothorax. Right chest tube in place.",
    "Endotracheal tube tip is 4 cm above the carina. Low lung volumes.",
    "6 mm nodule in the left upper lobe. The heart is normal.",
    "Degenerative changes of the spine. No acute cardiopulmonary abnormality.",
)
DRAFTS = (
    "The heart is normal in size. The lungs are clear.",
    "Small right pleural effusion. No pneumothorax.",
    "Stable cardiomegaly. No edema. No effusions.",
    "Right lower lobe pneumonia.",
    "No pneumothorax.",
    "Endotracheal tube tip is in the right mainstem bronchus.",
    "The lungs are clear. The lungs are clear.",
    "No acute cardiopulmonary abnormality.",
)


def write_table(path: Path, texts: Sequence[str], column: str = "report", ids: Sequence[str] = ()) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["study_id", column])
        writer.writerows(zip(ids or [f"s{at}" for at in range(len(texts))], texts, strict=True))
    return path


@pytest.fixture
def drafts(tmp_path: Path) -> Path:
    return write_table(tmp_path / "drafts.csv", DRAFTS)


@pytest.fixture
def references(tmp_path: Path) -> Path:
    return write_table(tmp_path / "references.csv", REFERENCES)


@pytest.fixture
def train(tmp_path: Path) -> Path:
    path = tmp_path / "train.json"
    records = [{"id": f"t{at}", "report": text} for at, text in enumerate(REFERENCES * 4)]
    path.write_text(json.dumps(records))
    return path


@pytest.fixture
def scored(radloop: Callable[..., object], drafts: Path, references: Path, tmp_path: Path) -> Path:
    """A finished run of the drafts under the protocol raw-lower."""
    out = tmp_path / "runs" / "mine"
    done = radloop(
        "bench", "score", "--predictions", drafts, "--references", references, "--protocol", "raw-lower", "-o", out,
        "--replicates", 100, "--randomisations", 200,
    )  # fmt: skip
    assert done.code == 0, done.err  # type: ignore[attr-defined]
    return out
