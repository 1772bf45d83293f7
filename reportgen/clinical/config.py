"""Weights, words and costs of the clinical score, as written in ``configs/clinical``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from corpora.config import load_yaml
from corpora.resources import config_path

Share = Annotated[float, Field(ge=0, le=1)]
Words = dict[str, list[str]]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Costs(_Strict):
    """What differences cost, as shares of the finding's weight, and what makes a weight more or less."""

    side_wrong: Share = Field(description="The other side.")
    side_partly: Share = Field(description="One side instead of both, or the reverse.")
    side_unsaid: Share = Field(description="Only one of the two reports says the side.")
    place_wrong: Share = Field(description="Another zone, bone or vessel.")
    place_partly: Share = Field(description="Some of the places are the same.")
    place_unsaid: Share = Field(description="Only one of the two says the place.")
    severity_step: Share = Field(description="Each step between trace, small, moderate and large.")
    severity_unsaid: Share = Field(description="Only one of the two says a severity.")
    size_wrong: Share = Field(description="A size that is off by half or more; less in proportion.")
    size_unsaid: Share = Field(description="The reference has a size and the draft none.")
    change_wrong: Share = Field(description="Better instead of worse, or the reverse.")
    change_partly: Share = Field(description="Stable instead of better, worse or new, or the reverse.")
    change_unsaid: Share = Field(description="Only one of the two says how it changed.")
    uncertainty: Share = Field(description="Sure instead of unsure, or the reverse.")
    age_wrong: Share = Field(description="Old instead of acute, or the reverse.")
    told: Share = Field(description="Not named, but told by a finding that implies it.")
    omission_silent: Share = Field(description="Missing in a draft that does not speak of it.")
    omission_denied: Share = Field(description="Denied by the draft.")
    false_silent: Share = Field(description="Invented where the reference does not speak of it.")
    false_denied: Share = Field(description="Asserted where the reference denies it.")
    normal: Share = Field(description="A denial of the reference that the draft lacks, or shares.")
    base: float = Field(gt=0, description="What a report is worth that has nothing in it.")
    credit: float = Field(gt=0, description="What a finding that is right is worth beside one that is wrong.")
    uncertain_weight: Share = Field(description="What doubt makes of a weight.")
    old_weight: Share = Field(description="What being old makes of a weight.")
    alarming_weight: float = Field(ge=1, description="What an alarming word makes of a weight.")


class ClinicalConfig(_Strict):
    """The clinical score."""

    name: str = Field(description="Name with its version.")
    findings: str = Field(description="Schema of findings: a shipped file, or one of your own.")
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(description="Weight of each finding.")
    instead_of: dict[str, list[str]] = Field(description="Findings that hide others named by the same words.")
    near: list[tuple[str, str, Share]] = Field(description="Findings that may stand for each other, and the cost.")
    told_by: dict[str, list[str]] = Field(description="Findings that another finding implies.")
    costs: Costs = Field(description="Costs of differences.")
    severity_weight: dict[int, float] = Field(description="What a severity of 1 (trace) to 4 makes of a weight.")
    safe_distance: dict[str, tuple[float, float]] = Field(description="Tip distances, mm, outside which it lies wrong.")
    size_weight: dict[str, dict[float, float]] = Field(description="What a size from so many mm on makes of a weight.")
    sides: Words = Field(description="Words for right, left, both.")
    severities: dict[int, list[str]] = Field(description="Words for severities 1 to 4.")
    places: Words = Field(description="Words for places.")
    changes: Words = Field(description="Words for stable, better, worse, new.")
    ages: Words = Field(description="Words for acute and old.")
    alarming: list[str] = Field(description="Words that make a finding weigh more.")

    def schema_file(self) -> Path:
        """The file of the findings."""
        own = Path(self.findings)
        return own if own.is_file() else config_path(f"{self.findings}.yaml")


@cache
def load_clinical(name: str = "radloop-clinical.v1") -> ClinicalConfig:
    """The shipped configuration called ``name``, or the one in that file. Raises ``ConfigError``."""
    path = Path(name)
    return load_yaml(path if path.suffix in (".yaml", ".yml") else config_path(f"clinical/{name}.yaml"), ClinicalConfig)
