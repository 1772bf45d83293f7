"""What an audit asks for and takes for granted: ``configs/audit/plan.yaml`` and files like it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from corpora.config import load_yaml
from corpora.resources import config_path

SHIPPED: Final = "audit/plan.yaml"


class AssumedErrors(BaseModel):
    """Error rates assumed before anyone reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    positive: float = Field(default=0.10, gt=0, lt=1, description="Share of positive labels that are wrong.")
    uncertain: float = Field(default=0.40, gt=0, lt=1, description="Share of uncertain labels that are positive.")
    missed: float = Field(
        default=0.10, gt=0, lt=1, description="Positives found among negative and blank, per positive of the table."
    )
    disagree: float = Field(default=0.50, gt=0, lt=1, description="Share wrong where two labelers differ in a label.")


class AuditRecipe(BaseModel):
    """The gates of an audit, how much is read twice, and the error rates that are assumed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fraction: float = Field(default=0.10, gt=0, le=1, description="Share to read: of all, of each stratum, each cell.")
    least: int = Field(default=30, ge=0, description="Least number read of each label in each state, or all of them.")
    double: float = Field(default=0.20, ge=0, le=1, description="Share of the drawn texts read by two readers.")
    repeats: float = Field(default=0.03, ge=0, le=1, description="Share shown to the same reader a second time.")
    errors: AssumedErrors = Field(default=AssumedErrors(), description="Error rates assumed before anyone reads.")


def load_recipe(path: Path | str | None = None) -> AuditRecipe:
    """The recipe in a file, the shipped one if none is named. Raises ``ConfigError``."""
    return load_yaml(config_path(SHIPPED) if path is None else path, AuditRecipe)
