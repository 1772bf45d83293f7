"""Long runs at full size, disturbed on purpose: what is killed, broken or crowded must lose nothing.

    python -m tests.benchmarks.soak labels -o soak         227,835 reports, killed again and again, byte-equal
    python -m tests.benchmarks.soak draw -o soak           the phantom films of the next part; goes on where it was
    python -m tests.benchmarks.soak films -o soak          5,000 films, some broken, imported and de-identified; killed
    python -m tests.benchmarks.soak folder -o soak         ... and de-identified without an import
    python -m tests.benchmarks.soak again -o soak          ... and once more undisturbed: the same bytes
    python -m tests.benchmarks.soak scan -o soak           ... and scanned and checked after that
    python -m tests.benchmarks.soak review -o soak         50 readers at one review server, killed once meanwhile

Each part writes ``soak/PART.json`` with its figures and what was wrong, prints them as Markdown, and exits with 1 if
anything was. ``--scale .01`` makes all of it smaller. What it found: docs/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import soak_films, soak_labels, soak_review
from tests.benchmarks.corpus import MIMIC_REPORTS
from tests.benchmarks.measure import ROOT

FILMS: Final = 5_000
READERS: Final = 50

Part = Callable[[argparse.Namespace, Path], dict[str, Any]]
PARTS: Final[dict[str, Part]] = {
    "labels": soak_labels.soak,
    "draw": soak_films.draw,
    "films": soak_films.soak,
    "folder": soak_films.apart,
    "again": soak_films.again,
    "scan": soak_films.look,
    "review": soak_review.soak,
}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    shared = Path(os.environ.get("RADLOOP_SHARED", ROOT.parent / "shared"))
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER", help="what the parts make")
    parser.add_argument("--scale", type=float, default=1.0, help="of reports, films and readers (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of faults and moments (%(default)s)")
    parser.add_argument("--kills", type=int, default=25, help="least number of kills of labeling (%(default)s)")
    parser.add_argument("--film-kills", type=int, default=3, help="of import and of de-identification (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes of each command (%(default)s)")
    parser.add_argument("--size", type=int, default=256, help="height of the films in pixels (%(default)s)")
    parser.add_argument("--faults", type=float, default=0.03, help="share of films that are broken (%(default)s)")
    parser.add_argument("--no-pixels", action="store_true", help="scan headers and reports alone")
    parser.add_argument("--readings", type=int, default=12, help="of each reader (%(default)s)")
    parser.add_argument(
        "--source", type=Path, default=shared / "data" / "openi" / "NLMCXR_reports.tgz",
        help="reports that the made ones are put together from (default: the Open-i archive in ../shared)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    options.reports = max(int(MIMIC_REPORTS * options.scale), 200)
    options.films = max(int(FILMS * options.scale), 20)
    options.readers = max(int(READERS * min(options.scale * 10, 1)), 3)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one part; 1 if anything was lost or differs."""
    options = _options(arguments)
    folder = options.out.resolve() / options.part
    folder.mkdir(parents=True, exist_ok=True)
    figures = PARTS[options.part](options, folder)
    wrong = [str(each) for each in figures.get("wrong", ())]
    path = options.out / f"{options.part}.json"
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print("| what | figure |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {_shown(value)} |")
    for each in wrong:
        print(f"wrong: {each}", file=sys.stderr)
    return 1 if wrong else 0


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_shown(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(main())
