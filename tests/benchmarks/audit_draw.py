"""How long an audit of many reports takes to plan and to draw, with and without their texts.

    python -m tests.benchmarks.audit_draw [--reports 400000] [--shared ../shared] [--texts] [--json FILE]

The label table has the rows of the rules' labels of Open-i, drawn with replacement, one cell in a hundred changed; the
texts are the made corpus of ``tests.benchmarks.corpus``. Prints one Markdown table to stdout.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.corpus import made_reports, openi_rows, write_rows
from tests.benchmarks.measure import ROOT, run

RADLOOP = Path(sys.executable).with_name("radloop")


def make_labels(folder: Path, openi: Path, ids: Sequence[str], seed: int = 0) -> Path:
    """A label table of these reports."""
    reports = len(ids)
    base = folder / "openi.csv"
    run([RADLOOP, "label", "run", openi, "-o", base])
    with base.open(newline="") as file:
        header, *rows = csv.reader(file)
    cells = np.array(rows)[:, 1:]
    pick = np.random.default_rng(seed)
    drawn = cells[pick.integers(0, len(cells), reports)]
    changed = pick.random(drawn.shape) < 0.01
    drawn[changed] = pick.choice(np.array(["1", "0", "-1", ""]), int(changed.sum()))
    path = folder / "labels.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([study_id, *row] for study_id, row in zip(ids, drawn.tolist(), strict=True))
    return path


def measured(folder: Path, labels: Path, *options: str | Path) -> dict[str, Any]:
    """Seconds and peak memory of a plan and of its draw, as commands."""
    audit = folder / f"audit{len(options)}"
    plan = run([RADLOOP, "audit", "plan", labels, *options, "-o", audit])
    draw = run([RADLOOP, "audit", "draw", audit])
    data = json.loads((audit / "manifest.json").read_text())["counts"]
    return {
        "source": "labels and texts" if options else "labels",
        "reports": data["reports"], "texts": data["texts"], "strata": data["strata"], "drawn": data["drawn"],
        "plan_s": round(plan.spent.wall, 1), "draw_s": round(draw.spent.wall, 1),
        "cpu_s": round(plan.spent.cpu + draw.spent.cpu, 1),
        "peak_mib": round(max(plan.peak_mib or 0, draw.peak_mib or 0)),
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=400_000)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--texts", action="store_true", help="also with the texts of the reports")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(arguments)
    openi = args.shared / "data" / "openi" / "NLMCXR_reports.tgz"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ids = [str(at + 1) for at in range(args.reports)]
        source = folder / "reports.csv"
        if args.texts:
            rows_of = [made.row() for made in made_reports(openi_rows(openi), args.reports)]
            ids = [row.study_id for row in rows_of]
            write_rows(source, rows_of)
            del rows_of
        labels = make_labels(folder, openi, ids)
        rows = [measured(folder, labels)]
        rows += [measured(folder, labels, "--reports", source)] if args.texts else []
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([str(row[name]) for name in names] for row in rows)]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines))


if __name__ == "__main__":
    main()
