"""Fleiss' kappa: against statsmodels' numbers, and by hand."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpora.statistics.fleiss import (
    fleiss_kappa_printed,
    fleiss_sums,
    fleiss_values,
    null_standard_error,
    rating_counts,
)

SHARED = Path(os.environ.get("RADLOOP_SHARED") or Path(__file__).parents[3] / "shared")
VECTORS = SHARED / "vectors" / "stat_vectors.json"
CASES: dict[str, Any] = json.loads(VECTORS.read_text())["kappa"] if VECTORS.is_file() else {}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_kappa_is_that_of_statsmodels(case: dict[str, Any]) -> None:
    counts = rating_counts(case["ratings"], np.unique(case["ratings"]))
    found = fleiss_kappa_printed(counts)
    assert found.value == pytest.approx(case["fleiss_kappa"], abs=1e-12)
    if counts.shape[1] == 2:
        # the vectors give the form for two categories, whose shares cancel
        n, m = len(counts), len(case["ratings"])
        assert null_standard_error(counts) == pytest.approx(math.sqrt(2 / (n * m * (m - 1))), abs=1e-12)
    assert null_standard_error(counts) == pytest.approx(case["fleiss_se_under_null"], abs=1e-12)


def test_the_printed_interval_of_vindr_is_eight_hundredths_for_200_items_and_three_readers() -> None:
    rng = np.random.default_rng(0)
    counts = rating_counts(rng.integers(0, 2, (3, 200)), [0, 1])
    found = fleiss_kappa_printed(counts)
    assert found.value is not None and found.lo is not None and found.hi is not None
    assert round(found.hi - found.value, 3) == round(found.value - found.lo, 3) == 0.080


def test_one_category_is_undefined_and_unequal_items_are_refused() -> None:
    assert fleiss_kappa_printed([[3, 0], [3, 0]]).reason == "all ratings are one and the same: kappa is 0/0"
    with pytest.raises(ValueError, match="same number"):
        fleiss_kappa_printed([[3, 0], [2, 0]])
    sums = fleiss_sums([[3, 0], [3, 0]]).sum(axis=0)
    assert math.isnan(float(fleiss_values(sums, np.asarray(2), 3)))
