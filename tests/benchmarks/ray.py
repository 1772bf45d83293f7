"""What labeling over Ray costs beside labeling without it: the same corpus, the same machine, one run.

    python -m tests.benchmarks.ray                      227,835 made reports, one and two workers: four minutes
    python -m tests.benchmarks.ray --reports 20000      fewer
    python -m tests.benchmarks.ray --json ray.json      and the figures as JSON

Each way is a command of its own, in turns: the local engine and Ray's own local cluster, one worker and two. Prints a
Markdown table to stdout; ends with exit code 1 if the tables are not the same to the byte. `labeling` is what the
command says that its work took; the rest of the clock is start-up: imports, the lexicon, and Ray's cluster.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.corpus import MIMIC_REPORTS, Row, openi_rows, write_made
from tests.benchmarks.measure import ROOT, run

INVENTED = ROOT / "tests" / "labeler" / "data" / "invented.jsonl"
_COMMAND = "from corpora.cli import main; main()"
_ENGINES = ("local", "ray")


@dataclass(frozen=True, slots=True)
class Way:
    """One run: seconds by the clock, of labeling, of all processors; the peak in MiB; SHA-256 of the table."""

    engine: str
    workers: int
    reports: int
    seconds: float
    labeling: float
    cpu: float
    peak_mib: float | None
    sha256: str

    @property
    def rate(self) -> float:
        """Reports per second of labeling."""
        return self.reports / self.labeling

    @property
    def start_up(self) -> float:
        """Seconds before and after the labeling."""
        return self.seconds - self.labeling


def invented_rows(path: Path) -> list[Row]:
    """The invented reports of the tests, as findings and impression."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        findings, _, impression = record["text"].partition("IMPRESSION:")
        rows.append(Row(str(record["id"]), findings.strip(), impression.strip()))
    return rows


def measured(source: Path, folder: Path, engine: str, workers: int) -> Way:
    """Label ``source`` by a command of its own."""
    out = folder / f"{engine}-{workers}.csv"
    arguments = ["label", "run", source, "-o", out, "--engine", engine, "--workers", workers]
    done = run([sys.executable, "-c", _COMMAND, *map(str, arguments)])
    manifest = json.loads(out.with_name(f"{out.name}.manifest.json").read_text(encoding="utf-8"))
    return Way(
        engine, workers, manifest["counts"]["reports"], done.spent.wall, manifest["wall_seconds"], done.spent.cpu,
        done.peak_mib, hashlib.sha256(out.read_bytes()).hexdigest(),
    )  # fmt: skip


def table(ways: Iterable[Way]) -> str:
    """The ways as Markdown, each beside the local engine with as many workers."""
    ways = list(ways)
    local = {way.workers: way for way in ways if way.engine == "local"}
    lines = [
        "| engine | workers | reports/s | x local | labeling s | start-up s | all s | CPU s | peak MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way in ways:
        share = way.rate / local[way.workers].rate
        peak = f"{way.peak_mib:,.0f}" if way.peak_mib is not None else ""
        lines.append(
            f"| {way.engine} | {way.workers} | {way.rate:,.0f} | {share:.2f} | {way.labeling:.1f} | "
            f"{way.start_up:.1f} | {way.seconds:.1f} | {way.cpu:.1f} | {peak} |"
        )
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    shared = Path(os.environ.get("RADLOOP_SHARED", ROOT.parent / "shared"))
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ray")
    parser.add_argument(
        "--source", type=Path, default=shared / "data" / "openi" / "NLMCXR_reports.tgz",
        help="Open-i, of whose sentences the corpus is made; without it, of those of the invented reports",
    )  # fmt: skip
    parser.add_argument("--reports", type=int, default=MIMIC_REPORTS, help="size of the corpus (%(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers (1 2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the corpus (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table; 1 if the ways did not write the same."""
    options = _options(arguments)
    base = openi_rows(options.source) if options.source.exists() else invented_rows(INVENTED)
    with tempfile.TemporaryDirectory(prefix="radloop-benchmark-") as folder:
        source = Path(folder) / "reports.csv"
        write_made(source, base, options.reports, options.seed)
        ways = [measured(source, Path(folder), engine, n) for n in options.workers for engine in _ENGINES]
    print(table(ways))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(way) for way in ways], indent=2) + "\n", encoding="utf-8")
    same = len({way.sha256 for way in ways}) == 1
    print("the same bytes" if same else "NOT the same bytes", file=sys.stderr)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
