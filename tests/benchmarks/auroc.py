"""How long 10,000 bootstrap replicates of AUROC take, against a loop over scikit-learn.

    python -m tests.benchmarks.auroc                       # N = 3000, 14 labels, 10,000 replicates
    python -m tests.benchmarks.auroc --units 20000 --loop 5

Both draw the same resamples of units. The loop is timed over ``--loop`` replicates and its time for all of them is
extrapolated; that the values are equal is checked on those. Each is timed in a process of its own, whose peak memory
is read.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

from corpora.statistics.auroc_bootstrap import ranked, resampled_ranking
from corpora.statistics.resample import replicate_weights

LABELS = 14


def data(units: int, labels: int = LABELS) -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores (units, labels) of labels of 2 to 40 %, scores of six digits."""
    rng = np.random.default_rng(0)
    truth = (rng.random((units, labels)) < np.linspace(0.02, 0.4, labels)).astype(int)
    logits = rng.normal(size=truth.shape) + 1.5 * truth - 1
    return truth, np.round(1 / (1 + np.exp(-logits)), 6)


def ours(units: int, replicates: int, *, precision: bool, threads: int) -> dict[str, float]:
    """Seconds of the fast way, by the clock and of the processors, and its first values."""
    truth, scores = data(units)
    clusters = np.arange(units)
    wall, processor = time.perf_counter(), time.process_time()
    columns = [ranked(truth[:, at], scores[:, at], clusters) for at in range(LABELS)]
    found = resampled_ranking(columns, units, replicates, 0, average_precision=precision, threads=threads)
    macro = found.auroc.mean(axis=1)
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor,
            "lo": float(np.quantile(macro, 0.025)), "hi": float(np.quantile(macro, 0.975)),
            "peak_mib": peak_mib()}  # fmt: skip


def loop(units: int, replicates: int) -> dict[str, float]:
    """Seconds of a loop over ``roc_auc_score`` on copies of the rows drawn, and how far its values are from ours."""
    from sklearn.metrics import roc_auc_score

    truth, scores = data(units)
    weights = next(iter(replicate_weights(units, replicates, 0)))
    rows = [np.repeat(np.arange(units), weight) for weight in weights]
    wall, processor = time.perf_counter(), time.process_time()
    values = [[roc_auc_score(truth[row, at], scores[row, at]) for at in range(LABELS)] for row in rows]
    spent = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}
    columns = [ranked(truth[:, at], scores[:, at], np.arange(units)) for at in range(LABELS)]
    # a block of the fast way may hold more replicates than were asked for here, which are drawn alike
    same = resampled_ranking(columns, units, len(rows), 0).auroc
    return {**spent, "replicates": len(rows), "largest_difference": float(np.abs(same - np.array(values)).max())}


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fresh(*arguments: object) -> dict[str, Any]:
    """One part in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.auroc", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(units: int, replicates: int, looped: int, threads: int) -> dict[str, Any]:
    """Both ways and their ratio."""
    sizes = ("--units", units, "--replicates", replicates, "--threads", threads)
    fast, both = fresh("--part", "ours", *sizes), fresh("--part", "both", *sizes)
    slow = fresh("--part", "loop", "--units", units, "--loop", looped)
    scale = replicates / slow["replicates"]
    return {
        "units": units, "labels": LABELS, "replicates": replicates, "cores": os.cpu_count(),
        "load": os.getloadavg()[0], "auroc": fast, "auroc_and_precision": both,
        "loop_replicates": slow["replicates"], "loop_seconds_extrapolated": slow["seconds"] * scale,
        "loop_cpu_seconds_extrapolated": slow["cpu_seconds"] * scale,
        "largest_difference": slow["largest_difference"],
        "times_faster": slow["seconds"] * scale / fast["seconds"],
        "times_less_cpu": slow["cpu_seconds"] * scale / fast["cpu_seconds"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=3000)
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--loop", type=int, default=20, help="replicates of the scikit-learn loop")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", choices=["ours", "both", "loop"], default=None)
    given = parser.parse_args()
    if given.part == "loop":
        print(json.dumps(loop(given.units, given.loop)))
    elif given.part:
        precision = given.part == "both"
        print(json.dumps(ours(given.units, given.replicates, precision=precision, threads=given.threads)))
    else:
        print(json.dumps(compare(given.units, given.replicates, given.loop, given.threads), indent=2))


if __name__ == "__main__":
    main()
