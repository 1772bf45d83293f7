"""What decides a training run of an image encoder: ``configs/vision/resnet50.yaml`` and files like it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_STRICT = ConfigDict(extra="forbid", frozen=True)

Uncertain = Literal["ignore", "zeros", "ones", "zeros_lsr", "ones_lsr", "three_way", "self_trained", "noise_aware"]
Blank = Literal["negative", "ignored"]


class BackboneRecipe(BaseModel):
    """The body of the network: any of transformers that maps an image to features; a ResNet by default."""

    model_config = _STRICT

    kind: str = Field(default="resnet", description="Model type of transformers, such as resnet, convnext or vit.")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Fields of its configuration, such as depths and hidden_sizes."
    )
    source: str | None = Field(
        default=None,
        description="Weights to begin with: a folder of transformers, a run, a cached hub name, a state dict file.",
    )
    with_head: bool = Field(default=False, description="Take the head of the run at source as well.")
    channels: Literal[1, 3] = Field(default=1, description="Channels the first layer sees; films are grey.")
    extras: list[Literal["contrast", "place"]] = Field(
        default_factory=list,
        description="Planes computed from the film and seen beside it: local contrast; where a pixel lies.",
    )
    gather: Literal["mean", "max", "mean_max", "mean_peak", "peak"] = Field(
        default="mean",
        description="How a feature map becomes outputs; mean_max adds each feature's peak, mean_peak each label's; "
        "peak is each label's alone.",
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of features dropped before the head.")


class PolicyRecipe(BaseModel):
    """What the cells of a label teach that are neither positive nor negative."""

    model_config = _STRICT

    uncertain: Uncertain = Field(
        default="ignore", description="Policy of uncertain cells (Irvin 2019, Pham 2021), or noise_aware for all cells."
    )
    blank: Blank = Field(default="negative", description="Whether a blank cell counts as negative or not at all.")
    low: float | None = Field(default=None, ge=0, le=1, description="Lower end of the smoothed target.")
    high: float | None = Field(default=None, ge=0, le=1, description="Upper end of the smoothed target.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class HierarchyRecipe(BaseModel):
    """Conditional training: a label is learned where its parent is positive, and scored by the product of the chain."""

    model_config = _STRICT

    parents: dict[str, str] = Field(default_factory=dict, description="Parent of each label that has one.")
    conditional: bool = Field(default=False, description="Whether to train and score by the hierarchy.")
    head_epochs: int = Field(default=1, ge=0, description="Epochs in which the head alone learns from all cells.")


class LossRecipe(BaseModel):
    """The loss of a cell, and how it makes up for labels that are rare."""

    model_config = _STRICT

    kind: Literal["bce", "focal", "asymmetric", "auc_margin"] = Field(default="bce", description="Loss of a cell.")
    gamma: float = Field(default=2.0, ge=0, description="Focusing power of focal; of negatives in asymmetric.")
    gamma_positive: float = Field(default=0.0, ge=0, description="Focusing power of positives in asymmetric.")
    clip: float = Field(default=0.05, ge=0, lt=1, description="Probability by which asymmetric forgives negatives.")
    margin: float = Field(default=1.0, gt=0, description="Margin between scores in auc_margin.")
    balance: float = Field(
        default=0.0, ge=0, le=1, description="Power of negatives / positives that weighs positives; 0 is none."
    )
    heaviest: float = Field(default=20.0, ge=1, description="Largest weight of positives.")


class AugmentRecipe(BaseModel):
    """Changes to the training films, drawn anew each time, on the tensor."""

    model_config = _STRICT

    degrees: float = Field(default=7.0, ge=0, le=180, description="Most degrees of rotation to either side.")
    shift: float = Field(default=0.05, ge=0, le=0.5, description="Most shift along an axis, as a share of the side.")
    zoom: float = Field(default=0.1, ge=0, lt=1, description="Most enlargement or shrinking, as a share.")
    shear: float = Field(default=0.0, ge=0, le=45, description="Most degrees of shear.")
    crop: float = Field(default=1.0, gt=0, le=1, description="Least share of the side that a crop keeps.")
    brightness: float = Field(default=0.1, ge=0, le=1, description="Most change of brightness; white is 1.")
    contrast: float = Field(default=0.15, ge=0, lt=1, description="Most change of contrast, as a share.")
    noise: float = Field(default=0.01, ge=0, le=1, description="Standard deviation of noise; white is 1.")
    flip: float = Field(
        default=0.0, ge=0, le=1, description="Share of films flipped left to right; a flip hides which side is which."
    )


class CourseRecipe(BaseModel):
    """Optimisation."""

    model_config = _STRICT

    epochs: int = Field(default=20, ge=1, description="Most epochs.")
    patience: int = Field(default=5, ge=1, description="Epochs without a better macro AUROC that end it.")
    batch_size: int = Field(default=64, ge=1, description="Films at once on a device.")
    accumulate: int = Field(default=1, ge=1, description="Batches whose gradients make one step.")
    optimizer: Literal["adamw", "sgd"] = Field(default="adamw", description="Optimiser.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Highest learning rate; then a cosine to 0.")
    weight_decay: float = Field(default=1e-4, ge=0, description="Weight decay; none on biases and norms.")
    warmup: float = Field(default=0.05, ge=0, le=1, description="Share of the steps in which the rate rises.")
    head_first: int = Field(
        default=0, ge=0, description="Epochs in which the head alone learns, before the whole network does."
    )
    head_rate: float | None = Field(
        default=None, gt=0, description="Highest learning rate of these epochs; learning_rate if not given."
    )
    clip: float = Field(default=1.0, gt=0, description="Largest norm of the gradient.")
    ema: float = Field(default=0.0, ge=0, lt=1, description="Decay of the moving average of weights; 0 is none.")
    precision: Literal["no", "fp16", "bf16"] = Field(default="no", description="Mixed precision of accelerate.")
    channels_last: bool = Field(default=True, description="Keep tensors as convolutions of GPUs like them.")
    compile: bool = Field(default=False, description="Compile the network by torch.compile.")
    checkpoint_minutes: float = Field(default=10.0, gt=0, description="Minutes between checkpoints inside an epoch.")


class VisionRecipe(BaseModel):
    """A training run as a whole."""

    model_config = _STRICT

    description: str = Field(default="", description="One line for people.")
    labels: list[str] | None = Field(default=None, description="Labels to learn; all of the table if not given.")
    size: int = Field(default=224, ge=16, le=4096, description="Rows and columns of the films the network sees.")
    views: Literal["all", "frontal", "lateral"] = Field(default="all", description="Films to learn from, by view.")
    pooling: Literal["mean", "max"] = Field(default="mean", description="How a study's films make one prediction.")
    min_positive: int = Field(
        default=5, ge=1, description="Positive and negative studies that a label needs in each of train and validate."
    )
    backbone: BackboneRecipe = Field(default=BackboneRecipe(), description="The body of the network.")
    default_policy: PolicyRecipe = Field(default=PolicyRecipe(), description="Policy of labels without their own.")
    policies: dict[str, PolicyRecipe] = Field(default_factory=dict, description="Policy by label.")
    hierarchy: HierarchyRecipe = Field(default=HierarchyRecipe(), description="Conditional training.")
    loss: LossRecipe = Field(default=LossRecipe(), description="The loss.")
    augment: AugmentRecipe = Field(default=AugmentRecipe(), description="Augmentation.")
    training: CourseRecipe = Field(default=CourseRecipe(), description="Optimisation.")
    tracker: str | None = Field(default=None, description="Tracker of accelerate, such as tensorboard.")
    seed: int = Field(default=0, ge=0, description="Seed of weights, order and augmentation.")

    def policy(self, label: str) -> PolicyRecipe:
        """The policy of a label."""
        return self.policies.get(label, self.default_policy)
