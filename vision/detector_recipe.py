"""What decides a training run of the detector: ``configs/vision/detector.yaml`` and files like it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vision.recipe import AugmentRecipe, BackboneRecipe

_STRICT = ConfigDict(extra="forbid", frozen=True)


class TransformerRecipe(BaseModel):
    """The transformer behind the backbone: RT-DETRv2 of transformers (Zhao et al. 2024, Lv et al. 2024)."""

    model_config = _STRICT

    levels: int = Field(default=3, ge=1, le=4, description="Last stages of the backbone whose maps are looked at.")
    width: int = Field(default=256, ge=16, description="Width; a multiple of the heads.")
    feed_forward: int = Field(default=1024, ge=16, description="Width of the feed-forward layers.")
    heads: int = Field(default=8, ge=1, description="Attention heads.")
    encoder_layers: int = Field(default=1, ge=1, description="Attention layers over the coarsest map.")
    decoder_layers: int = Field(default=6, ge=2, description="Layers that refine the boxes.")
    queries: int = Field(default=300, ge=1, description="Boxes that are proposed on a film.")
    denoising: int = Field(default=100, ge=0, description="Boxes with noise that training also puts right.")
    expansion: float = Field(default=1.0, gt=0, description="Width of the fusing convolutions, relative to the map's.")


class DetectorCourse(BaseModel):
    """Optimisation."""

    model_config = _STRICT

    epochs: int = Field(default=50, ge=1, description="Most epochs.")
    patience: int = Field(default=10, ge=1, description="Epochs without a better FROC that end it.")
    batch_size: int = Field(default=16, ge=1, description="Films at once.")
    learning_rate: float = Field(default=2e-4, gt=0, description="Highest learning rate of AdamW; cosine to 0.")
    backbone_rate: float = Field(default=0.5, gt=0, le=1, description="Rate of the backbone, relative to it.")
    warmup: float = Field(default=0.05, ge=0, le=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(default=1e-4, ge=0, description="Weight decay; none on biases and norms.")
    clip: float = Field(default=0.1, gt=0, description="Largest norm of the gradient.")
    ema: float = Field(default=0.0, ge=0, lt=1, description="Decay of the moving average of weights; 0 is none.")
    validate_every: int = Field(
        default=1, ge=1, description="Epochs from one look at the validation part to the next; the last has one too."
    )
    precision: Literal["no", "bf16"] = Field(default="no", description="bf16 where the device has it.")
    channels_last: bool = Field(default=True, description="Keep tensors as convolutions like them.")
    checkpoint_minutes: float = Field(default=10.0, gt=0, description="Minutes between checkpoints inside an epoch.")


class DetectorRecipe(BaseModel):
    """A training run of the detector as a whole."""

    model_config = _STRICT

    description: str = Field(default="", description="One line for people.")
    labels: list[str] | None = Field(default=None, description="Labels of boxes to learn; all if not given.")
    size: int = Field(default=640, ge=32, le=4096, description="Rows and columns of the films the network sees.")
    views: Literal["all", "frontal", "lateral"] = Field(default="frontal", description="Films to learn from, by view.")
    bare: Literal["keep", "leave_out"] = Field(
        default="keep", description="Films without a box: kept as films on which there is nothing, or left out."
    )
    repeat: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Films with a label that fewer than this share of films have come more often (LVIS); 0: all once.",
    )
    min_boxes: int = Field(default=5, ge=1, description="Boxes that a label needs in each of train and validate.")
    backbone: BackboneRecipe = Field(default=BackboneRecipe(), description="The body, as in the recipe of train.")
    transformer: TransformerRecipe = Field(default=TransformerRecipe(), description="The transformer behind it.")
    augment: AugmentRecipe = Field(
        default=AugmentRecipe(degrees=0, shift=0.05, zoom=0.15, brightness=0.1, contrast=0.2, noise=0.01),
        description="Augmentation; boxes go along, and become the box around what they turn into.",
    )
    training: DetectorCourse = Field(default=DetectorCourse(), description="Optimisation.")
    seed: int = Field(default=0, ge=0, description="Seed of weights, order and augmentation.")
