"""What rewrites a report, how often, and the words for it: `configs/label/augment.en.yaml`, checked."""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpora.config import load_yaml
from corpora.resources import config_path

CONFIG: Final = "label/augment.en.yaml"

#: The rewrites.
Name = Literal[
    "shuffle", "restate_denied", "restate_doubted", "restate_asserted", "assert_to_deny", "assert_to_doubt",
    "deny_to_assert", "deny_to_doubt", "doubt_to_assert", "doubt_to_deny", "synonym", "typing", "misspell", "case",
    "mask",
]  # fmt: skip
FormKind = Literal["denied", "doubted", "asserted"]


class Forms(BaseModel):
    """Ways to say a finding ``{x}``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    denied: list[str] = Field(min_length=1, description="That it is not there.")
    doubted: list[str] = Field(min_length=1, description="That it may be there.")
    asserted: list[str] = Field(min_length=1, description="That it is there.")

    @field_validator("denied", "doubted", "asserted")
    @classmethod
    def _one_slot(cls, forms: list[str]) -> list[str]:
        for form in forms:
            if form.count("{x}") != 1 or set(re.findall(r"\{.*?\}", form)) - {"{x}", "{is}"}:
                raise ValueError(f"{form!r} must hold {{x}} once, and no other slot but {{is}}")
        return forms


class AugmentRecipe(BaseModel):
    """What is rewritten how often, and the words for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(default="", description="One line for people.")
    language: str = Field(description="Language of the forms, as an ISO 639-1 code.")
    shares: dict[Name, float] = Field(description="Share of reports that each rewrite is tried on; 0 if not named.")
    forms: Forms = Field(description="Ways to deny, doubt and assert a finding.")
    lists: list[str] = Field(default_factory=list, description="Forms of `denied` that also hold of several findings.")
    articles: list[str] = Field(default_factory=list, description="Words before a finding that are dropped.")
    not_in_finding: list[str] = Field(default_factory=list, description="Words with which a finding is left as it is.")
    joins: list[str] = Field(default_factory=list, description="Words that join the findings of a list.")
    masks: list[str] = Field(default=["XXXX"], min_length=1, description="What a de-identified word is replaced by.")

    @field_validator("shares")
    @classmethod
    def _are_shares(cls, shares: dict[Name, float]) -> dict[Name, float]:
        if not all(0 <= share <= 1 for share in shares.values()):
            raise ValueError("each is between 0 and 1")
        return shares


def load_recipe() -> AugmentRecipe:
    """The shipped words. Raises ``ConfigError``."""
    return load_yaml(config_path(CONFIG), AugmentRecipe)
