"""A specification of a data set, as written in YAML: criteria by id, each with what it checks and its threshold.

    base: specs/thoracic-40k
    name: ours.v1
    criteria:
      studies: {at_least: 5000}      # the rest of the criterion stays as the base has it
      lateral: null                  # dropped

``check`` says what is measured; the fields that go with it are those of the model of that name below.
"""

from __future__ import annotations

import re
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from corpora.config import load_yaml
from corpora.resources import config_path
from corpora.types import ImageRef

Scalar = bool | int | float | str

IMAGE_FIELDS: Final = tuple(field.name for field in fields(ImageRef))
STUDY_FIELDS: Final = ("year", "age", "sex", "split", "source", "patient_id", "paediatric")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Criterion(_Strict):
    """What every criterion has."""

    asks: str = Field(description="What is asked for, as a person reads it.")
    group: str = Field(default="Other", description="Heading that the criterion stands under.")
    required: bool = Field(default=True, description="Whether a fail is a fail of the corpus; if not, it is only said.")
    without: Literal["fail", "not judged"] = Field(
        default="fail", description="The verdict where the evidence is not there at all (no ages, no certificate ...)."
    )


class Bounded(Criterion):
    """A criterion on one number; at least one of the bounds must be set."""

    at_least: float | None = Field(default=None, description="Lowest number that passes; a share is between 0 and 1.")
    at_most: float | None = Field(default=None, description="Highest number that passes; a share is between 0 and 1.")

    @model_validator(mode="after")
    def _some_bound(self) -> Bounded:
        if self.at_least is None and self.at_most is None:
            raise ValueError("needs at_least or at_most: without a bound nothing can fail")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("at_least is above at_most")
        return self


class Rule(_Strict):
    """What the value of one field must be; every part that is set must hold."""

    at_least: float | None = Field(default=None, description="Lowest value.")
    at_most: float | None = Field(default=None, description="Highest value.")
    below: float | None = Field(default=None, description="Values must be below this one.")
    one_of: list[Scalar] | None = Field(default=None, description="Allowed values; the case of texts does not count.")
    matches: list[str] | None = Field(
        default=None, description="Regular expressions; one must be found in it, whatever the case."
    )
    recorded: bool = Field(
        default=False, description="Enough that there is a value; one that is not there breaks the rule."
    )

    @field_validator("matches")
    @classmethod
    def _compiles(cls, value: list[str] | None) -> list[str] | None:
        return value if value is None else [_pattern(text) for text in value]


class Count(Bounded):
    """How many studies, patients or images there are."""

    check: Literal["count"] = Field(description="count")
    of: Literal["studies", "patients", "images"] = Field(description="What is counted.")


class CountPer(Bounded):
    """How many images each study, or how many studies each patient has; every one must be within the bounds."""

    check: Literal["count_per"] = Field(description="count_per")
    of: Literal["images", "studies"] = Field(description="What is counted: images of a study, or studies of a patient.")


class ViewShare(Bounded):
    """The share of studies that have at least one image of one of the views."""

    check: Literal["view_share"] = Field(description="view_share")
    views: list[str] = Field(min_length=1, description="Views, such as PA, AP, LATERAL.")


class ImageValues(Bounded):
    """The share of images whose header fields keep the rules."""

    check: Literal["image_values"] = Field(description="image_values")
    where: dict[str, Rule] = Field(min_length=1, description="Rules by field of the image (rows, bits_stored ...).")
    views: list[str] | None = Field(default=None, description="Only images of these views.")
    unknown: Literal["breaks", "left out"] = Field(
        default="breaks", description="Whether an image without a value breaks the rule or is left out of the share."
    )

    @field_validator("where")
    @classmethod
    def _known(cls, value: dict[str, Rule]) -> dict[str, Rule]:
        return _only_fields(value, IMAGE_FIELDS, "an image")


class StudyValues(Bounded):
    """The share of studies whose values keep the rules; from the manifest's aggregates if no study has a value."""

    check: Literal["study_values"] = Field(description="study_values")
    where: dict[str, Rule] = Field(min_length=1, description="Rules by field of the study (year, age, sex, split ...).")
    unknown: Literal["breaks", "left out"] = Field(
        default="left out", description="Whether a study without a value breaks the rule or is left out of the share."
    )

    @field_validator("where")
    @classmethod
    def _known(cls, value: dict[str, Rule]) -> dict[str, Rule]:
        return _only_fields(value, STUDY_FIELDS, "a study")


class Distinct(Bounded):
    """How many different values there are: calendar years, vendors."""

    check: Literal["distinct"] = Field(description="distinct")
    field: Literal["year", "manufacturer", "model", "source", "sex"] = Field(description="Field of the study or image.")
    names: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Spellings that are one value, as regular expressions; other values stand for themselves.",
    )
    least_studies: int = Field(default=1, ge=1, description="Studies that a value must have to count.")

    @field_validator("names")
    @classmethod
    def _compile(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        return {name: [_pattern(text) for text in texts] for name, texts in value.items()}


class SplitSizes(Criterion):
    """How many studies the source's own splits have."""

    check: Literal["split_sizes"] = Field(description="split_sizes")
    sizes: dict[str, int] = Field(min_length=1, description="Number of studies by split: train, validate, test.")


class Sections(Bounded):
    """The share of studies whose report has all of the sections, each demarcated and not empty."""

    check: Literal["sections"] = Field(description="sections")
    sections: list[str] = Field(min_length=1, description="Sections, such as findings and impression.")


class SoundText(Bounded):
    """The share of reports that are UTF-8 without damage: no replacement or control characters, not decoded twice."""

    check: Literal["sound_text"] = Field(description="sound_text")


class Indication(Bounded):
    """The share of studies whose indication falls into one of the specification's classes."""

    check: Literal["indication"] = Field(description="indication")
    every_class: bool = Field(default=True, description="Whether each class must occur.")


class Labelled(Bounded):
    """The share of studies that carry labels."""

    check: Literal["labelled"] = Field(description="labelled")


class LabelNames(Criterion):
    """The labels that must be there: as columns of the label table, or with a state in some study of the corpus."""

    check: Literal["label_names"] = Field(description="label_names")
    names: list[str] = Field(min_length=1, description="The labels.")


class LabelStates(Criterion):
    """The states that must occur, and the only ones that may."""

    check: Literal["label_states"] = Field(description="label_states")
    states: list[Literal["positive", "negative", "uncertain"]] = Field(min_length=1, description="States.")


class Audit(Criterion):
    """The share of the labelled studies that radiologists read, from the audit's certificate."""

    check: Literal["audit"] = Field(description="audit")
    at_least: float = Field(gt=0, le=1, description="Share of the labelled studies; in every stratum, if it has any.")


class Boxes(Criterion):
    """Boxes in COCO JSON: valid, on images of the corpus, and some for each of the labels."""

    check: Literal["boxes"] = Field(description="boxes")
    labels: list[str] = Field(min_length=1, description="Labels that must have boxes.")


class FilmQuality(Bounded):
    """The share of the films looked at whose measure keeps the rule: a sample, unless all are asked for."""

    check: Literal["film_quality"] = Field(description="film_quality")
    measure: Literal["clipped", "polarity", "chest", "border"] = Field(description="Measure of corpora.quality.")
    rule: Rule = Field(description="What the measure must be.")
    views: list[str] | None = Field(
        default=None, description="Only films of these views; a film without a view is looked at as well."
    )


class Scan(Criterion):
    """What a scan for leaked identities found, from its result."""

    check: Literal["scan"] = Field(description="scan")
    at_most: int = Field(default=0, ge=0, description="Findings that pass.")


class PatientDuplicates(Criterion):
    """Images with one perceptual hash that are filed under different patients."""

    check: Literal["patient_duplicates"] = Field(description="patient_duplicates")
    at_most: int = Field(default=0, ge=0, description="Groups of such images that pass.")


class NearDuplicates(Criterion):
    """Images of different studies whose perceptual hashes nearly agree."""

    check: Literal["near_duplicates"] = Field(description="near_duplicates")
    distance: int = Field(default=2, ge=0, le=32, description="Bits that may differ.")
    at_most: float = Field(default=0.0, ge=0, le=1, description="Share of the images that passes.")


class Beyond(Criterion):
    """What is asked for and cannot be judged from the data; it is listed so that nobody takes it for judged."""

    check: Literal["beyond"] = Field(description="beyond")
    because: str = Field(description="Why it is not judged, and who can.")


AnyCriterion = Annotated[
    Count | CountPer | ViewShare | ImageValues | StudyValues | Distinct | SplitSizes | Sections | SoundText | Indication
    | Labelled | LabelNames | LabelStates | Audit | Boxes | FilmQuality | Scan | PatientDuplicates | NearDuplicates
    | Beyond,
    Field(discriminator="check"),
]  # fmt: skip


class SpecFile(_Strict):
    """A specification as written in YAML."""

    name: str = Field(description="Name of the specification.")
    title: str = Field(description="One line for people.")
    source: str = Field(default="", description="Where the requirements come from.")
    indications: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Classes of indication in order of precedence, each with regular expressions that begin at a word.",
    )
    criteria: dict[str, AnyCriterion | None] = Field(
        min_length=1, description="Criteria by id; null drops one that the base has."
    )

    @field_validator("indications")
    @classmethod
    def _compile(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        return {name: [_pattern(text) for text in texts] for name, texts in value.items()}

    @model_validator(mode="after")
    def _classes_for_indications(self) -> SpecFile:
        asked = any(isinstance(criterion, Indication) for criterion in self.criteria.values())
        if asked and not self.indications:
            raise ValueError("a criterion checks the indication, and there are no indications to sort it into")
        if not any(self.criteria.values()):
            raise ValueError("no criterion is left")
        return self

    def kept(self) -> dict[str, Criterion]:
        """The criteria that were not dropped, in order."""
        return {name: criterion for name, criterion in self.criteria.items() if criterion is not None}


def load_spec(name: str) -> SpecFile:
    """The specification in the file ``name``, or the shipped one of that name.

    Raises ``ConfigError`` (``config.*``) naming file, line and field, ``config.unknown`` for an unknown name.
    """
    path = Path(name)
    is_file = path.suffix in (".yaml", ".yml")
    return load_yaml(path if is_file else config_path(f"specs/{name}"), SpecFile)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


def _only_fields(where: dict[str, Rule], known: tuple[str, ...], what: str) -> dict[str, Rule]:
    for name in where:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise ValueError(f"{what} has no field {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    return where
