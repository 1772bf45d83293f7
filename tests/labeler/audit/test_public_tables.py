"""An audit of labels that were published: MIMIC-CXR's table as it is downloaded, beside the files of its reports."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

TABLE = "subject_id,study_id,Edema,Pneumothorax\n10000032,50414267,1.0,\n10000032,53189527,-1.0,0.0\n"


def test_the_labels_of_mimic_cxr_are_audited_beside_its_reports(radloop: Callable[..., Any], tmp_path: Path) -> None:
    table = tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz"
    table.write_bytes(gzip.compress(TABLE.encode()))
    folder = tmp_path / "files" / "p10" / "p10000032"
    folder.mkdir(parents=True)
    for study, text in (("s50414267", "Edema."), ("s53189527", "Possible edema. No pneumothorax.")):
        (folder / f"{study}.txt").write_text(f"IMPRESSION: {text}")
    audit, tasks = tmp_path / "audit", tmp_path / "tasks.jsonl"
    for step in (
        ("plan", table, "--reports", tmp_path / "files", "-o", audit),
        ("draw", audit),
        ("export", audit, "--to", "jsonl", "-o", tasks),
    ):
        done = radloop("audit", *step)
        assert done.code == 0, done.err
    texts = {task["study_id"]: task["text"] for task in map(json.loads, tasks.read_text().splitlines())}
    assert texts == {"50414267": "IMPRESSION: Edema.", "53189527": "IMPRESSION: Possible edema. No pneumothorax."}
