"""How fast radloop labels, beside a naive peer and spaCy's tokenizer alone, in one run over the same text.

    python -m tests.benchmarks.labeling                        all of it: four to five minutes
    python -m tests.benchmarks.labeling --json speed.json      and the figures as JSON
    python -m tests.benchmarks.labeling --only openi --stages  Open-i alone, and where the time goes

Prints one Markdown table to stdout; docs/benchmarks.md explains it. Nothing else should be running.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import corpora
from tests.benchmarks import parts
from tests.benchmarks.corpus import MIMIC_REPORTS
from tests.benchmarks.measure import ROOT
from tests.benchmarks.results import Results, stage_table, table


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    shared = Path(os.environ.get("RADLOOP_SHARED", ROOT.parent / "shared"))
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.labeling", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--source", type=Path, default=shared / "data" / "openi" / "NLMCXR_reports.tgz",
        help="reports to measure on and to make a corpus of (default: the Open-i archive in ../shared)",
    )  # fmt: skip
    parser.add_argument("--only", default=",".join(parts.PARTS), help="parts: %(default)s")
    parser.add_argument("--reports", type=int, default=MIMIC_REPORTS, help="size of the made corpus (%(default)s)")
    parser.add_argument("--sample", type=int, default=20_000, help="how many of those the peer labels (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="how often short measurements are made (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the made corpus (%(default)s)")
    parser.add_argument("--stages", action="store_true", help="also show where the labeler's time goes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    options = parser.parse_args(arguments)
    unknown = set(options.only.split(",")) - set(parts.PARTS)
    if unknown:
        parser.error(f"--only takes {', '.join(parts.PARTS)}; not {', '.join(sorted(unknown))}")
    return options


def benchmark(options: argparse.Namespace) -> Results:
    """Measure the parts that are asked for; one whose text is absent is skipped with the reason."""
    results = Results()
    with tempfile.TemporaryDirectory(prefix="radloop-benchmark-") as folder:
        for name in options.only.split(","):
            parts.PARTS[name](options, Path(folder), results)
    return results


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    packages = {name: version(name) for name in ("spacy", "negspacy")}
    return {"cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version(), **packages}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write the figures where ``--json`` says."""
    options = _options(arguments)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.5:
        print(f"this machine is busy (load {load:.1f}): the figures will be worse than they should", file=sys.stderr)
    results = benchmark(options)
    print(table(results.lines))
    for stages in results.stages:
        print("\n" + stage_table(stages))
    for part, reason in results.skipped.items():
        print(f"skipped {part}: {reason}", file=sys.stderr)
    if options.json is not None:
        figures = {"radloop": corpora.__version__, "load_before": load, "machine": machine(), **results.figures()}
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
