"""Our metrics as metrics of the package evaluate: ``as_evaluate("bleu.v1").compute(predictions=..., references=...)``.

Made from a registered name, so they load without a network, where ``evaluate.load`` of a name asks a hub.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from corpora.errors import RegistryError
from reportgen.metrics import load_metric
from reportgen.types import Pair


def as_evaluate(name: str) -> Any:
    """An ``evaluate.Metric`` that gives each score of a set under its name; None where there is no score.

    A reference is a text or a list of texts. Raises ``RegistryError``: for an unknown name, and ``metrics.no_evaluate``
    where the package evaluate is not installed.
    """
    try:
        datasets: Any = import_module("datasets")
        evaluate: Any = import_module("evaluate")
    except ImportError as error:
        raise RegistryError(
            "metrics.no_evaluate", "the package evaluate is not installed", hint="pip install 'radloop[bench]'"
        ) from error
    metric = load_metric(name)
    text = datasets.Value("string")
    several = [datasets.Features({"predictions": text, "references": form}) for form in (text, datasets.Sequence(text))]

    class RadloopMetric(evaluate.Metric):  # type: ignore[misc]
        """One of radloop's metrics."""

        def _info(self) -> Any:
            return evaluate.MetricInfo(
                description=type(metric).__doc__ or name, citation="", inputs_description="", features=several
            )

        def _compute(self, predictions: Sequence[str], references: Sequence[Any]) -> dict[str, float | None]:
            pairs = [
                Pair(str(at), draft, (meant,) if isinstance(meant, str) else tuple(meant))
                for at, (draft, meant) in enumerate(zip(predictions, references, strict=True))
            ]
            totals = {one.name: one.total() for one in metric.score(pairs)}
            return {key: None if math.isnan(value) else value for key, value in totals.items()}

    return RadloopMetric()
