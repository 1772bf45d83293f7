"""What is to be removed and what kept: a preset, options of PS3.15 Annex E, and what holds beyond its table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpora.config import load_yaml
from corpora.deid.table import DEFAULT, OPTION_COLUMNS, OTHER_OPTIONS, Table, load_table
from corpora.errors import ConfigError
from corpora.registry import unknown
from corpora.resources import config_root

#: Every option, with the code that tells of it (PS3.16 CID 7050).
OPTIONS: Final = {
    "clean-pixel-data": ("113101", "Clean Pixel Data Option"),
    "clean-graphics": ("113103", "Clean Graphics Option"),
    "clean-structured-content": ("113104", "Clean Structured Content Option"),
    "clean-descriptors": ("113105", "Clean Descriptors Option"),
    "retain-full-dates": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "modify-dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "retain-patient-characteristics": ("113108", "Retain Patient Characteristics Option"),
    "retain-device-identity": ("113109", "Retain Device Identity Option"),
    "retain-uids": ("113110", "Retain UIDs Option"),
    "retain-safe-private": ("113111", "Retain Safe Private Option"),
    "retain-institution-identity": ("113112", "Retain Institution Identity Option"),
}
BASIC: Final = ("113100", "Basic Application Confidentiality Profile")


class Preset(BaseModel):
    """A named choice of options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deid: str = Field(description="Name of the preset.")
    title: str = Field(description="What it is for.")
    table: str = Field(DEFAULT, description="Edition of the table of Annex E, or a CSV file.")
    options: list[str] = Field(default_factory=list, description="Options of Annex E, as on the command line.")

    @field_validator("options")
    @classmethod
    def _known(cls, options: list[str]) -> list[str]:
        for option in options:
            if option not in OPTIONS:
                raise ValueError(f"no option {option!r}; known: {', '.join(OPTIONS)}")
        return options


class SafeBlock(BaseModel):
    """Private elements of one creator that are known to hold nothing about a person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    creator: str = Field(description="Value of the private creator element.")
    group: str = Field(description="Group, four hexadecimal digits.", pattern="[0-9A-Fa-f]{3}[13579BDFbdf]")
    elements: list[str] = Field(description="Last two hexadecimal digits of each element.")


class Beyond(BaseModel):
    """What becomes of attributes that the table of Annex E does not list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text_kept: list[str] = Field(
        description="Attributes with text that are kept, once cleaned: technical terms, codes."
    )
    bytes_kept: list[str] = Field(description="Attributes with binary values that are kept.")
    classes_kept: list[str] = Field(description="Attributes whose UIDs name a class or a scheme and stay as they are.")
    removed: list[str] = Field(description="Attributes that are removed though their kind of value is kept.")
    schemes: list[str] = Field(description="Coding schemes whose codes and meanings are published.")
    safe_private: list[SafeBlock] = Field(description="Private elements for the option retain-safe-private.")


@dataclass(frozen=True, slots=True)
class Profile:
    """A resolved choice: the table, the options, what holds beyond the table."""

    name: str
    table: Table
    options: frozenset[str]
    beyond: Beyond

    def has(self, option: str) -> bool:
        """Whether an option is on."""
        return option in self.options

    @property
    def dates(self) -> str:
        """What happens to dates: ``kept``, ``moved`` or ``removed``."""
        return "kept" if self.has("retain-full-dates") else "moved" if self.has("modify-dates") else "removed"


def load_profile(preset: str = "basic", options: Iterable[str] = (), table: str | None = None) -> Profile:
    """The profile of a preset (a shipped name or a YAML file) with further options.

    Raises ``ConfigError`` (``deid.option``, ``config.*``, ``deid.table``), ``RegistryError`` for an unknown preset.
    """
    shipped = config_root() / "deid" / "presets"
    path = shipped / f"{preset}.yaml"
    if not path.is_file():
        path = Path(preset)
        if not path.is_file():
            raise unknown("deid.preset", "preset", preset, [file.stem for file in shipped.glob("*.yaml")])
    chosen = load_yaml(path, Preset)
    wanted = frozenset(chosen.options) | _checked(options)
    if {"retain-full-dates", "modify-dates"} <= wanted:
        raise ConfigError("deid.option", "dates are either kept or moved, not both", where="--option")
    beyond = load_yaml(config_root() / "deid" / "beyond.yaml", Beyond)
    return Profile(chosen.deid, load_table(table or chosen.table), wanted, beyond)


def _checked(options: Iterable[str]) -> frozenset[str]:
    wanted = frozenset(options)
    for option in sorted(wanted):
        if option not in OPTIONS:
            raise unknown("deid.option", "option", option, OPTIONS)
    assert wanted <= {*OPTION_COLUMNS, *OTHER_OPTIONS}
    return wanted
