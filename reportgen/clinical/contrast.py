"""Which metric sees which error: a set of pairs in ten classes, each a report with one thing changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpora.config import load_yaml
from corpora.resources import config_path
from reportgen.metrics import Metric
from reportgen.tokens import words
from reportgen.types import Array, Pair

Kind = Literal[
    "negation", "side", "severity", "location", "size", "change", "uncertainty", "rewording", "false finding",
    "omission",
]  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Contrast(_Strict):
    """A report, the same report changed, and the same report in other words."""

    kind: Kind = Field(description="What was changed.")
    reference: str = Field(description="The report.")
    changed: str = Field(description="The report with one thing changed.")
    reworded: str | None = Field(default=None, description="The report in other words, where there is one.")


class ContrastSet(_Strict):
    """A set of contrasts."""

    name: str = Field(description="Name with its version.")
    pairs: list[Contrast] = Field(description="The pairs.")


def load_contrasts() -> list[Contrast]:
    """The shipped set."""
    return load_yaml(config_path("clinical/contrast.v1.yaml"), ContrastSet).pairs


def sensitivity(metric: Metric, contrasts: Sequence[Contrast]) -> dict[str, dict[str, dict[str, float | int]]]:
    """Per score of a metric and class: the mean ``drop`` from a perfect draft, and ``seen`` of ``of``.

    An error is seen where the report in other words scores higher than the changed one: a metric that charges a
    rewording as much as an error does not see the error. For ``rewording`` it is the drop that should be small.
    """
    asked = [one for one in contrasts if one.reworded is not None]
    names = [scored.name for scored in metric.score([])]
    scores = {kind: _values(metric, asked, kind) for kind in ("reference", "changed", "reworded")}
    table: dict[str, dict[str, dict[str, float | int]]] = {}
    for at, name in enumerate(names):
        own, changed, reworded = (np.nan_to_num(scores[kind][at]) for kind in ("reference", "changed", "reworded"))
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place, one in enumerate(asked):
            places[one.kind].append(place)
        table[name] = {
            kind: {
                "drop": round(float((own - changed)[some].mean()), 4),
                "seen": int((reworded > changed + 1e-9)[some].sum()),
                "of": len(some),
            }
            for kind, some in places.items()
        }
    return table


def _values(metric: Metric, asked: Sequence[Contrast], kind: str) -> list[Array]:
    said = [words(text) if metric.text == "tokens" else text for text in (getattr(one, kind) for one in asked)]
    meant = [words(one.reference) if metric.text == "tokens" else one.reference for one in asked]
    pairs = [Pair(str(at), a, (b,)) for at, (a, b) in enumerate(zip(said, meant, strict=True))]
    return [scored.values for scored in metric.score(pairs)]
