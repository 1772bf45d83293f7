"""What decides a demo: ``configs/demo/full.yaml`` and files like it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(extra="forbid", frozen=True)


class ReaderRecipe(BaseModel):
    """How often the simulated reader of the audit is right, cell by cell."""

    model_config = _STRICT

    sensitivity: float = Field(
        default=0.97, ge=0, le=1, description="Share of positive and uncertain cells that are not overlooked."
    )
    specificity: float = Field(
        default=0.995, ge=0, le=1, description="Share of negative and blank cells that are not read as positive."
    )
    certainty: float = Field(
        default=0.85, ge=0, le=1, description="Share of uncertain cells seen that are not read as positive."
    )


class PartRecipe(BaseModel):
    """A recipe of another command, with changes."""

    model_config = _STRICT

    config: str = Field(description="Shipped recipe, or a file.")
    changes: list[str] = Field(default_factory=list, description="Changes to it, KEY=VALUE, as --set takes them.")


class DemoRecipe(BaseModel):
    """A demo: how many studies, and with which recipes each part works."""

    model_config = _STRICT

    description: str = Field(default="", description="One line for people.")
    studies: int = Field(default=1200, ge=60, description="Phantom studies that are drawn.")
    size: int = Field(default=128, ge=64, le=4300, description="Height of their films in pixels.")
    spec: str = Field(default="thoracic-40k", description="Specification that they are checked against.")
    preset: str = Field(default="research-40k", description="Preset of the de-identification.")
    scan_pixels: bool = Field(
        default=True, description="Whether its scan reads the pixels of every film, with tesseract: .2 s a film."
    )
    ratios: str = Field(default="train=.7,validate=.1,test=.2", description="Parts of the split, and their ratios.")
    hybrid: bool = Field(
        default=True, description="Whether a network learns, too, and is asked where rules see nothing."
    )
    network: list[str] = Field(
        default_factory=list, description="Changes to label/bertcnn, KEY=VALUE, for a network that learns quickly."
    )
    most_reports: int = Field(
        default=5000, ge=0, description="With reports of your own: more of them than this train no network."
    )
    reader: ReaderRecipe = Field(default_factory=ReaderRecipe, description="The simulated reader of the audit.")
    eye: PartRecipe = Field(description="The encoder.")
    decoder: PartRecipe = Field(description="The decoder that is pretrained on the reports.")
    drafter: PartRecipe = Field(description="The drafter that joins the two.")
    candidates: int = Field(default=8, ge=1, description="Drafts a study at most, until one fits the encoder.")
    maps: int = Field(default=4, ge=1, description="Films on the sheet of maps of each label.")
    pages: int = Field(default=12, ge=1, description="Drafts that get a page of their own.")
    replicates: int = Field(default=1000, ge=100, description="Bootstrap replicates of every interval.")
