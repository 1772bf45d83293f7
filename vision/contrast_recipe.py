"""What decides contrastive pretraining: ``configs/vision/moco.yaml`` and files like it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vision.recipe import AugmentRecipe, BackboneRecipe

_STRICT = ConfigDict(extra="forbid", frozen=True)


class MocoRecipe(BaseModel):
    """The momentum network, its queue, and mix-up at image and feature level."""

    model_config = _STRICT

    queue: int = Field(default=65_536, ge=2, description="Keys of earlier films that a film is told from.")
    momentum: float = Field(default=0.999, ge=0, lt=1, description="Share of itself that the key network keeps.")
    temperature: float = Field(default=0.2, gt=0, description="Divides the similarities in the InfoNCE loss.")
    mix: float = Field(
        default=1.0, ge=0, description="Parameter of the Beta distribution of mix-up shares; 0 leaves mix-up out."
    )
    image_mix: float = Field(default=1.0, ge=0, description="Weight of the pair of mixed films in the loss.")
    feature_mix: float = Field(default=1.0, ge=0, description="Weight of the mix of features with the mixed film.")


class TextRecipe(BaseModel):
    """The network of the reports: a small BERT, learned from nothing with a word-piece vocabulary of the reports."""

    model_config = _STRICT

    vocabulary: int = Field(default=4000, ge=32, description="Most word pieces.")
    width: int = Field(default=128, ge=8, description="Width of the text network; a multiple of its heads.")
    layers: int = Field(default=2, ge=0, description="Its layers; 0: a bag of word pieces and of pairs of neighbours.")
    heads: int = Field(default=4, ge=1, description="Its attention heads.")
    length: int = Field(default=96, ge=8, le=512, description="Most word pieces of a report that are read.")
    sentences: float = Field(
        default=0.0, ge=0, le=1, description="Share of times that one sentence stands for the report (ConVIRT: 1)."
    )
    temperature: float = Field(default=0.1, gt=0, description="Divides the similarities of films and reports.")
    weight: float = Field(default=0.75, ge=0, le=1, description="Share of the loss from film to report (ConVIRT).")
    sections: list[str] = Field(
        default_factory=lambda: ["findings", "impression"], description="Sections read; the whole text without them."
    )


class PretrainCourse(BaseModel):
    """Optimisation."""

    model_config = _STRICT

    epochs: int = Field(default=45, ge=1, description="Epochs.")
    batch_size: int = Field(default=128, ge=2, description="Films at once.")
    optimizer: Literal["adam", "adamw", "sgd"] = Field(default="adam", description="Optimiser.")
    learning_rate: float = Field(default=5e-4, gt=0, description="Highest learning rate.")
    schedule: Literal["steps", "cosine"] = Field(
        default="steps", description="steps: a tenth after each of drops; cosine: down to 0."
    )
    drops: list[float] = Field(
        default_factory=lambda: [25 / 45, 35 / 45], description="Shares of the run after which the rate is a tenth."
    )
    warmup: float = Field(default=0.0, ge=0, le=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(default=1e-4, ge=0, description="Weight decay.")
    clip: float = Field(default=1.0, gt=0, description="Largest norm of the gradient.")
    precision: Literal["no", "bf16"] = Field(default="no", description="bf16 where the device has it.")
    channels_last: bool = Field(default=True, description="Keep tensors as convolutions of GPUs like them.")
    checkpoint_minutes: float = Field(default=10.0, gt=0, description="Minutes between checkpoints inside an epoch.")


class PretrainVisionRecipe(BaseModel):
    """A pretraining run as a whole."""

    model_config = _STRICT

    description: str = Field(default="", description="One line for people.")
    objective: Literal["moco", "image_text", "both"] = Field(
        default="moco", description="Films among themselves, films with their reports, or the sum of the two."
    )
    size: int = Field(default=224, ge=16, le=4096, description="Rows and columns of the films the network sees.")
    views: Literal["all", "frontal", "lateral"] = Field(default="all", description="Films to learn from, by view.")
    backbone: BackboneRecipe = Field(default=BackboneRecipe(), description="The body, as in the recipe of train.")
    dimension: int = Field(default=128, ge=2, description="Width of the space in which films are compared.")
    moco: MocoRecipe = Field(default=MocoRecipe(), description="Momentum contrast.")
    text: TextRecipe = Field(default=TextRecipe(), description="The reports.")
    augment: AugmentRecipe = Field(
        default=AugmentRecipe(degrees=10, shift=0.05, zoom=0.1, crop=0.6, brightness=0.2, contrast=0.3, noise=0.02),
        description="Augmentation, drawn anew for each of the two views.",
    )
    training: PretrainCourse = Field(default=PretrainCourse(), description="Optimisation.")
    tracker: str | None = Field(default=None, description="Tracker of accelerate, such as tensorboard.")
    seed: int = Field(default=0, ge=0, description="Seed of weights, order, augmentation and mixing.")
