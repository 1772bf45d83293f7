"""All metrics of a protocol over one system's drafts: a ``Row`` of the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from corpora.labels import State
from corpora.statistics.types import Estimate
from reportgen.metrics import Metric, load_metric
from reportgen.metrics.labels import LabelF1
from reportgen.protocols import Protocol, ReferenceSet, prepare
from reportgen.types import Pair, Scored

LABELS = "label-f1.v1"


@dataclass(frozen=True, slots=True)
class Row:
    """One system, or one baseline: its scores, in the order of the protocol's metrics, and what its drafts are like.

    ``against`` are the p values of the differences from the constant report, beside ``scored``.
    """

    name: str
    pairs: tuple[Pair, ...]
    scored: tuple[Scored, ...]
    done: Mapping[str, str]
    seconds: Mapping[str, float]
    estimates: tuple[Estimate, ...] = ()
    against: tuple[float | None, ...] = ()

    @property
    def distinct(self) -> int:
        """How many different drafts there are."""
        return len({" ".join(pair.hypothesis.split()) for pair in self.pairs})

    @property
    def empty(self) -> int:
        """How many drafts are empty: without a word."""
        return sum(pair.is_empty for pair in self.pairs)


@dataclass(slots=True)
class Scorer:
    """Scores rows under one protocol. Metrics are made once, so that what they remember serves all rows."""

    protocol: Protocol
    train: Mapping[str, str] = field(default_factory=dict)
    known: ReferenceSet | None = None
    labels: Mapping[str, Sequence[State]] = field(default_factory=dict)
    watch: Callable[[str], None] = lambda what: None
    _metrics: list[Metric] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._metrics = [self._metric(name) for name in self.protocol.metrics]

    def row(self, name: str, pairs: Sequence[Pair], *, baseline: bool = False) -> Row:
        """The scores of one set of drafts; those of a baseline are cleaned as references are."""
        protocol = self.protocol.model_copy(update={"drafts": "clean"}) if baseline else self.protocol
        prepared = prepare(protocol, pairs, self.train, self.known)
        scored: list[Scored] = []
        seconds: dict[str, float] = {}
        for metric in self._metrics:
            self.watch(f"{name}: {metric.name}")
            begun = time.perf_counter()
            scored += metric.score(prepared.tokens if metric.text == "tokens" else list(pairs))
            seconds[metric.name] = round(time.perf_counter() - begun, 4)
        return Row(name, tuple(pairs), tuple(scored), prepared.done, seconds)

    def _metric(self, name: str) -> Metric:
        if name != LABELS:
            return load_metric(name)
        convention = self.protocol.labels
        return LabelF1(convention.labeler, convention.label_schema, convention.uncertain, self.labels)


def with_drafts(pairs: Sequence[Pair], drafts: Sequence[str]) -> list[Pair]:
    """The same references with other drafts."""
    return [replace(pair, hypothesis=draft) for pair, draft in zip(pairs, drafts, strict=True)]
