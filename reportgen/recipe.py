"""The recipe of ``radloop bench run``: which systems draft, with which seeds, over which splits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class System(_Strict):
    """A command line that writes drafts."""

    command: str = Field(
        default="",
        description="Command with its arguments, run without a shell; {out}, {seed} and {split} are filled in.",
    )
    generator: str = Field(
        default="", description="In place of a command: `drafter`, or a registered generator of `radloop report`."
    )
    run: str = Field(default="", description="With a generator: the run of its drafter or encoder.")
    source: str = Field(default="", description="With a generator: the corpus; {split} is the part that is drafted.")
    options: str = Field(default="", description="With a generator: more options of `radloop report draft`.")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        default_factory=lambda: [0], min_length=1, description="One run a seed."
    )
    format: Literal["csv", "tsv", "jsonl", "json", "parquet"] = Field(
        default="csv", description="What the command writes to {out}."
    )
    timeout: float = Field(default=86_400, gt=0, description="Seconds after which a command is given up.")
    folder: str = Field(default="", description="Folder the command runs in; the recipe's if not given.")
    inputs: list[str] = Field(
        default_factory=list, description="Files and folders whose change makes cached drafts stale: weights, films."
    )

    @model_validator(mode="after")
    def _drafts_one_way(self) -> System:
        if bool(self.command) == bool(self.generator):
            raise ValueError("needs a command or a generator, and not both")
        if self.command and "{out}" not in self.command:
            raise ValueError("has no {out}: the command must be told where to write its drafts")
        if self.generator and not (self.run and self.source):
            raise ValueError("a generator needs run and source")
        return self


class BenchRecipe(_Strict):
    """A benchmark run."""

    name: str = Field(description="Name of the run.")
    protocol: str = Field(description="Protocol: a shipped name, or a file.")
    references: str = Field(description="References, beside the recipe if not absolute; {split} is filled in.")
    train: str = Field(default="", description="Training reports, for baselines and protocols that cut.")
    splits: list[str] = Field(default_factory=lambda: ["test"], min_length=1, description="Splits to draft and score.")
    any_references: bool = Field(default=False, description="Take references that are not those of the protocol.")
    systems: dict[str, System] = Field(min_length=1, description="Systems by name.")

    @field_validator("systems")
    @classmethod
    def _named_as_folders(cls, systems: dict[str, System]) -> dict[str, System]:
        for name in systems:
            if not name.strip() or Path(name).name != name or name.startswith("."):
                raise ValueError(f"{name!r} is no name for a folder")
        return systems
