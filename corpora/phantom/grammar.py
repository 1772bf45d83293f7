"""The grammar of reports: `configs/phantom/reports.en.yaml`, checked.

A text may hold choices, ``[There is|There remains]``, of which one is taken, and slots, ``{side}``, that are filled
from what is seen. Each sentence says what it means for the labels.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from corpora.phantom.model import DRAWN
from corpora.phantom.patients import INDICATIONS

SLOTS: Final = frozenset(
    "side size zone lobe trend a s is rib device prior dated list List name age sex reader referrer patient mrn "
    "born telephone institution today clock".split()
)
_SLOT: Final = re.compile(r"\{(\w+)\}")
_CHOICE: Final = re.compile(r"\[([^\[\]]*)\]")
State = Literal[1, 0, -1]


def _from_text(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sentence(_Strict):
    """A sentence, when it can be said, and what it means."""

    text: str = Field(min_length=1, description="The words, with choices and slots.")
    sets: dict[str, State] = Field(default_factory=dict, description="Labels it states, beside the finding's own.")
    unless_said: dict[str, State] = Field(
        default_factory=dict, description="As sets, unless the report says more of it."
    )
    absent: list[str] = Field(
        default_factory=list, description="Labels of which nothing else may be asserted or left open."
    )
    kinds: list[str] = Field(default_factory=list, description="Kinds of signs that it can be said of; all if empty.")
    sides: list[Literal["right", "left", "both", "none"]] = Field(
        default_factory=list, description="Sides, all if empty."
    )
    prior: bool | None = Field(default=None, description="Whether it needs an earlier study, or needs none.")
    abnormal: bool = Field(default=False, description="Whether it asserts an abnormality that is no label.")

    @model_validator(mode="after")
    def _slots(self) -> Self:
        unknown = sorted(set(_SLOT.findall(self.text)) - SLOTS)
        if unknown:
            raise ValueError(f"{self.text!r} has no such slot: {', '.join(unknown)}")
        if re.search(r"[\[\]{}]", _SLOT.sub("", _CHOICE.sub("", self.text))):
            raise ValueError(f"{self.text!r}: a bracket is left open")
        named = {*self.sets, *self.unless_said, *self.absent} - set(DRAWN)
        if named:
            raise ValueError(f"{self.text!r} speaks of {', '.join(sorted(named))}, which is no finding")
        return self


Said = Annotated[Sentence, BeforeValidator(_from_text)]
Saids = Annotated[list[Said], Field(min_length=1)]


class FindingWords(_Strict):
    """How a finding is spoken of."""

    present: Saids = Field(description="Of one that is there; states it as 1.")
    possible: Saids = Field(description="Left open; states it as -1.")
    brief: Saids = Field(description="One that is there, in the impression.")
    brief_possible: Saids = Field(description="One left open, in the impression.")
    absent: list[Said] = Field(default_factory=list, description="Its absence, in a sentence of its own.")
    gone: list[Said] = Field(default_factory=list, description="It was there before and is no more.")
    names: list[str] = Field(
        default_factory=list, description="What it is called behind No, in a list; not listed if empty."
    )
    form: dict[Literal["present", "possible", "absent"], Saids] = Field(
        default_factory=dict, description="Its line in a structured report by state; a sentence where there is none."
    )
    sizes: dict[Literal["small", "moderate", "large"], list[str]] = Field(
        default_factory=dict, description="Words for its size."
    )


class StyleModel(_Strict):
    """How a report is laid out."""

    weight: float = Field(default=1.0, gt=0, description="How many reports have it, relative to the others.")
    headings: dict[Literal["indication", "technique", "comparison", "findings", "impression"], str] = Field(
        description="Headings in their order, with what follows them; empty for none; sections not named are left out."
    )
    between: str = Field(default="\n\n", description="What stands between sections.")
    findings: Literal["prose", "lines", "form"] = Field(description="Sentences in a row, one a line, or by name.")
    numbered: bool = Field(default=False, description="Whether the impression is numbered.")
    terse: bool = Field(default=False, description="Whether sentences are cut short and lower case.")
    header: bool = Field(default=False, description="Whether a line with the patient's identity comes first.")


class ReportGrammar(_Strict):
    """The whole grammar."""

    findings: dict[str, FindingWords] = Field(description="Words for each of the 13 findings.")
    normal: dict[Literal["lungs", "pleura", "heart", "bones", "devices"], Saids] = Field(
        description="What is said of an organ that has nothing."
    )
    negated_lists: Saids = Field(description="Sentences that negate a list of names.")
    impression_normal: Saids = Field(description="Impressions without a finding.")
    distractors: Saids = Field(description="Sentences on what is no label.")
    trends: dict[Literal["new", "stable", "larger", "smaller"], list[str]] = Field(
        description="What is added to a finding by its course, beginning with its comma."
    )
    indications: dict[str, Saids] = Field(description="Indications by class.")
    technique: dict[Literal["one", "two", "portable"], list[str]] = Field(description="Techniques by films taken.")
    comparison: Saids = Field(description="Comparison sections.")
    identity: Saids = Field(description="First lines with an identity.")
    closing: Saids = Field(description="Last lines with a name or a date.")
    styles: dict[str, StyleModel] = Field(min_length=1, description="Layouts.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for what, have, need in (
            ("findings", set(self.findings), set(DRAWN)), ("indications", set(self.indications), set(INDICATIONS)),
        ):  # fmt: skip
            if have != need:
                raise ValueError(f"{what}: must be exactly {', '.join(sorted(need))}")
        return self
