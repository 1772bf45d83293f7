"""The label set that labelers and vision models share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelSchema:
    """Names of the labels in column order; which of them means that nothing was found, if one does."""

    name: str
    labels: tuple[str, ...]
    no_finding: str | None = None
