"""What decides a pretraining run: `configs/label/pretrain.yaml` and files like it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from labeler.neural.recipe import EncoderRecipe


class PretrainRecipe(BaseModel):
    """A pretraining run as a whole: word pieces learned from reports, then an encoder that fills in masked ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(default="", description="One line for people.")
    sections: str = Field(default="findings,impression", description="Sections to read; a|b is the first one present.")
    encoder: EncoderRecipe = Field(
        default=EncoderRecipe(), description="The encoder; one with a source goes on from its weights and tokenizer."
    )
    max_length: int = Field(default=200, ge=8, description="Tokens of a window; a longer report is several windows.")
    heldout: float = Field(
        default=0.05, gt=0, lt=1, description="Share of the reports, by hash of text, to measure by."
    )
    masked: float = Field(default=0.15, gt=0, lt=1, description="Share of tokens to fill in.")
    epochs: int = Field(default=40, ge=1, description="Passes over the reports.")
    batch_size: int = Field(default=32, ge=1, description="Windows per step and device.")
    accumulate: int = Field(default=1, ge=1, description="Batches whose gradients make one step.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Highest learning rate of AdamW.")
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of AdamW.")
    warmup: float = Field(default=0.1, ge=0, le=1, description="Share of the steps in which the rate rises to it.")
    precision: Literal["no", "fp16", "bf16"] = Field(default="no", description="Mixed precision of accelerate.")
    checkpoint_seconds: float = Field(default=300, ge=0, description="Seconds of work between two checkpoints.")
    tracker: str | None = Field(
        default=None, description="Tracker of accelerate, such as tensorboard, if it is installed."
    )
    seed: int = Field(default=0, ge=0, description="Seed of weights, order and masks.")
