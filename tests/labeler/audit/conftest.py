"""Small audits of invented reports, made by the real commands."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from corpora.cli import run

SENTENCES = (
    "The heart is enlarged.", "Heart size is normal.", "No pleural effusion.", "Small left pleural effusion.",
    "Possible small effusion on the right.", "No pneumothorax.", "Small apical pneumothorax on the left.",
    "Cannot exclude a tiny pneumothorax.", "Old rib fracture.", "No fracture.", "Bibasilar atelectasis.",
    "Opacity at the left base, possibly atelectasis or pneumonia.", "Mild pulmonary edema.", "No edema.",
    "A nodule in the right upper lobe.", "The lungs are clear.", "A pacemaker is in place.",
    "Right lower lobe consolidation.", "No focal consolidation.", "Pleural thickening at the left apex.",
)  # fmt: skip
RECIPE = """\
fraction: 0.1
least: 8
double: 0.2
repeats: 0.03
errors: {positive: 0.1, uncertain: 0.4, missed: 0.1, disagree: 0.5}
"""
NORMAL = "FINDINGS: The lungs are clear. Heart size is normal.\nIMPRESSION: Normal chest."


def texts(number: int) -> list[str]:
    """Reports, of which a seventh are one text, and some others occur twice."""
    pick = random.Random(4)
    made = [
        f"FINDINGS: {' '.join(pick.sample(SENTENCES, 3))}\nIMPRESSION: {pick.choice(SENTENCES)}" for _ in range(number)
    ]
    return [NORMAL if at % 7 == 0 else made[at // 2] if at % 31 == 0 else text for at, text in enumerate(made)]


@pytest.fixture(scope="session")
def labeled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``reports.jsonl``, ``labels.csv`` that the rules made of it, and ``recipe.yaml``."""
    folder = tmp_path_factory.mktemp("labeled")
    lines = [json.dumps({"study_id": f"s{at:04d}", "report": text}) for at, text in enumerate(texts(500))]
    (folder / "reports.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    assert run(["label", "run", str(folder / "reports.jsonl"), "-o", str(folder / "labels.csv"), "--workers", "1"]) == 0
    return folder


@pytest.fixture(scope="session")
def audits(labeled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an audit that is ``planned`` and one that is ``drawn``, to be copied."""
    folder = tmp_path_factory.mktemp("audits")
    plan = ["audit", "plan", str(labeled / "labels.csv"), "--config", str(labeled / "recipe.yaml"), "-o"]
    assert run([*plan, str(folder / "planned")]) == 0
    shutil.copytree(folder / "planned", folder / "drawn")
    assert run(["audit", "draw", str(folder / "drawn")]) == 0
    return folder


@pytest.fixture
def planned(audits: Path, tmp_path: Path) -> Path:
    """An audit that is planned."""
    return Path(shutil.copytree(audits / "planned", tmp_path / "audit"))


@pytest.fixture
def drawn(audits: Path, tmp_path: Path) -> Path:
    """An audit that is drawn."""
    return Path(shutil.copytree(audits / "drawn", tmp_path / "audit"))


Said = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


@pytest.fixture
def fill(tmp_path: Path) -> Callable[..., Path]:
    """Fills in exported tasks as a reader does who says what ``said`` gives for a text and its machine labels."""

    def fill_in(
        audit: Path, said: Said = lambda study_id, machine: machine, *, share: float = 1.0, what: str = "tasks",
        name: str = "filled",
    ) -> Path:  # fmt: skip
        from labeler.audit.frame import load_frame

        frame = load_frame(audit)
        row_of = {study_id: row for row, study_id in enumerate(frame.ids)}
        tasks = tmp_path / f"{name}.tasks.jsonl"
        assert run(["audit", "export", str(audit), "--to", "jsonl", "--what", what, "-o", str(tasks)]) == 0
        lines = tasks.read_text().splitlines()
        filled = []
        for line in lines[: round(share * len(lines))]:
            task = json.loads(line)
            codes = frame.machine[row_of[task["study_id"]]].tolist()
            machine = {label: None if code == 2 else code for label, code in zip(frame.names, codes, strict=True)}
            filled.append(json.dumps(task | {"labels": dict(said(task["study_id"], machine))}))
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(filled) + "\n")
        return path

    return fill_in
