"""What every metric has to hold to: for our own, and for that of another package.

from reportgen.testing import check_metric

def test_my_metric():
    check_metric(MyMetric)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from reportgen.metrics import Metric
from reportgen.metrics.finish import finish
from reportgen.types import Pair, Scored

_REPORTS: Final = (
    "the heart is normal in size . the lungs are clear . no effusion .",
    "small left pleural effusion . no pneumothorax .",
    "mild cardiomegaly . mild pulmonary edema . small bilateral pleural effusions .",
    "right lower lobe consolidation , likely pneumonia .",
    "stable right apical pneumothorax . chest tube in place .",
)
_DRAFTS: Final = (
    "the lungs are clear . heart size is normal .",
    "small right pleural effusion . no pneumothorax .",
    "cardiomegaly with pulmonary edema .",
    "left lower lobe opacity .",
    "",
)


def check_metric(factory: Callable[[], Metric]) -> None:
    """Raise ``AssertionError``, saying what is wrong, if the metric does not keep the contract.

    It has a versioned name and says which text it reads; scores the same pairs to the same numbers, whatever was
    scored before; gives a value or a reason for each report, and never a number for an empty draft without counting
    it; keeps sums of which its value follows; takes an empty list, several references, other alphabets, line ends.
    """
    metric = factory()
    assert metric.name.rpartition(".v")[2].isdigit(), f"the name {metric.name!r} has no version"
    assert metric.text in ("tokens", "written"), f"{metric.name} reads {metric.text!r}, not tokens or written"
    pairs = [Pair(str(at), draft, (text,)) for at, (draft, text) in enumerate(zip(_DRAFTS, _REPORTS, strict=True))]
    first = metric.score(pairs)
    _check_shape(metric, first, len(pairs))
    _check_same(metric, first, metric.score(pairs))
    _check_same(metric, first, factory().score(pairs))
    _check_empty(metric, first, at=len(pairs) - 1)
    _check_order(metric, first, metric.score(pairs[::-1]))
    for some in (*_hostile(), pairs[:1]):
        _check_shape(metric, metric.score(some), len(some))
    names = [one.name for one in first]
    assert [one.name for one in metric.score([])] == names, f"{metric.name} gives other scores for no pairs"


def _hostile() -> list[list[Pair]]:
    texts = (
        "Сердце не увеличено .",
        "心臓は正常 。",
        "a\nb\r\nc\td",
        "no " * 2000,
        "<unk> ||| \\ \" ' \u202e",
        "é" * 50,
    )
    several = [Pair("m", "no effusion .", ("no effusion .", "no pleural effusion is seen .")), Pair("n", "x", ("y",))]
    return [[Pair(str(at), text, (_REPORTS[at % 5],)) for at, text in enumerate(texts)], several]


def _check_shape(metric: Metric, scored: Sequence[Scored], n: int) -> None:
    names = [one.name for one in scored]
    assert names and len(set(names)) == len(names), f"{metric.name} gives {names}: none, or one name twice"
    for one in scored:
        assert one.values.shape == (n,), f"{one.name} has {one.values.shape} values for {n} pairs"
        assert one.sums.shape[0] == n and np.isfinite(one.sums).all(), f"{one.name}: sums are not finite, or not {n}"
        assert not np.isinf(one.values).any(), f"{one.name} has an infinite value"
        finish(one.finisher)
        for at in np.flatnonzero(np.isnan(one.values)).tolist():
            assert one.reason or one.reasons.get(at), f"{one.name} has neither value nor reason for a report"


def _check_same(metric: Metric, some: Sequence[Scored], others: Sequence[Scored]) -> None:
    for one, other in zip(some, others, strict=True):
        same = np.array_equal(one.values, other.values, equal_nan=True) and np.array_equal(one.sums, other.sums)
        assert same, f"{metric.name}: {one.name} of the same pairs is another number the second time"


def _check_empty(metric: Metric, scored: Sequence[Scored], at: int) -> None:
    for one in scored:
        counted = not one.higher_is_better or np.isnan(one.values[at])
        assert counted, (
            f"{metric.name}: {one.name} gives an empty draft {one.values[at]} without counting it as unscored"
        )


def _check_order(metric: Metric, some: Sequence[Scored], others: Sequence[Scored]) -> None:
    for one, other in zip(some, others, strict=True):
        same = np.allclose(one.values, other.values[::-1], equal_nan=True, atol=1e-12)
        assert same, f"{metric.name}: {one.name} of a report depends on the order of the reports"
