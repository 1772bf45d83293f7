"""How long the estimates of a large audit take: 40,000 readings of 14 labels in 20 strata, two labelers compared.

    python -m tests.benchmarks.audit

Prints seconds; the bar is 10.
"""

from __future__ import annotations

import time

import numpy as np

from labeler.audit.estimate import estimate
from labeler.audit.types import Sample, Stratum

READINGS, LABELS, STRATA = 40_000, 14, 20


def large_sample(seed: int = 0) -> Sample:
    """A sample of that size with planted errors, texts standing for one to three reports."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([1, 0, -1, 2], (READINGS, LABELS), p=[0.1, 0.2, 0.05, 0.65]).astype(np.int8)
    wrong = rng.random((2, READINGS, LABELS)) < 0.05
    said = np.where(wrong, rng.choice([1, 0, -1, 2], wrong.shape), truth).astype(np.int8)
    each = READINGS // STRATA
    strata = tuple(Stratum(f"stratum {h}", 10 * each, 20 * each, each) for h in range(STRATA))
    return Sample(
        tuple(f"label {at}" for at in range(LABELS)), tuple(map(str, range(READINGS))), strata,
        np.arange(READINGS) % STRATA, rng.integers(1, 4, READINGS), said[0], truth, said[1],
    )  # fmt: skip


def seconds() -> float:
    """Seconds of one estimate of everything."""
    sample = large_sample()
    start = time.perf_counter()
    estimate(sample)
    return time.perf_counter() - start


if __name__ == "__main__":
    print(f"{READINGS:,} readings x {LABELS} labels: {seconds():.1f} s (bar: 10 s)")
