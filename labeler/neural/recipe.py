"""What decides a training run: `configs/label/bertcnn.yaml` and files like it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_STRICT = ConfigDict(extra="forbid", frozen=True)


class EncoderRecipe(BaseModel):
    """The encoder: one of your own, or a BERT of this size that begins with random weights."""

    model_config = _STRICT

    source: str | None = Field(
        default=None,
        description="Folder of an encoder with its tokenizer, or of a trained labeler; or a cached hub name.",
    )
    hidden_size: int = Field(default=128, ge=4, description="Numbers per token.")
    layers: int = Field(default=2, ge=1, description="Transformer layers.")
    attention_heads: int = Field(default=4, ge=1, description="Attention heads; they divide hidden_size.")
    intermediate_size: int = Field(default=512, ge=4, description="Numbers inside the feed-forward part of a layer.")
    vocab_size: int = Field(default=8000, ge=100, description="Most word pieces of the tokenizer.")
    min_frequency: int = Field(default=2, ge=1, description="Times a word piece occurs at least.")

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % self.attention_heads:
            raise ValueError(f"{self.attention_heads} attention_heads do not divide hidden_size {self.hidden_size}")
        return self


class HeadRecipe(BaseModel):
    """What stands on the encoder."""

    model_config = _STRICT

    kind: Literal["cnn", "cls"] = Field(default="cnn", description="Convolutions over the tokens, or the first token.")
    widths: tuple[int, ...] = Field(default=(1, 2, 3, 4, 5), min_length=1, description="Tokens under a convolution.")
    filters: int = Field(default=96, ge=1, description="Filters of each width.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Share of features dropped in training.")

    @model_validator(mode="after")
    def _widths_count(self) -> Self:
        if min(self.widths) < 1:
            raise ValueError("a width is at least one token")
        return self


class StageRecipe(BaseModel):
    """One pass of training: over the weak labels, or over the gold ones behind it."""

    model_config = _STRICT

    epochs: int = Field(ge=0, description="Most epochs; 0 leaves the pass out.")
    patience: int = Field(ge=1, description="Epochs without a better weighted F1 on the held-out part that end it.")
    keep: Literal["best", "last"] = Field(
        default="best",
        description="Weights to end with: of the best epoch, or, where rare labels make that chance, of the "
        "last one, in which the rate falls to nothing; then nothing ends it early.",
    )
    batch_size: int = Field(default=64, ge=1, description="Sentences, or of gold reports, at once on a device.")
    accumulate: int = Field(default=1, ge=1, description="Batches whose gradients make one step.")
    learning_rate: float = Field(gt=0, description="Highest learning rate of AdamW; 3e-5 suits a pretrained encoder.")
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of AdamW.")
    warmup: float = Field(default=0.1, ge=0, le=1, description="Share of the steps in which the rate rises to it.")


class TrustRecipe(BaseModel):
    """How much the teacher's less certain labels count in the loss, where its others count 1."""

    model_config = _STRICT

    uncertain: float = Field(default=0.8, gt=0, le=1, description="Weight of a cell that it leaves open.")
    contradicted: float = Field(
        default=0.5, gt=0, le=1,
        description="Weight of a cell whose mentions have different states; below 1 the teacher gives its evidence.",
    )  # fmt: skip


class SynonymRecipe(BaseModel):
    """When a word that the teacher passes over is taken for the name of a finding it does not know."""

    model_config = _STRICT

    least: int = Field(default=5, ge=1, description="Times it stands in the reports, each sentence thrice at most.")
    nearness: float = Field(default=0.4, ge=0, le=1, description="Least nearness to a known name, as a cosine.")
    among: float = Field(default=0.45, ge=0, le=1, description="Least share of known names among what is nearest.")
    lift: float = Field(
        default=2.0, ge=0, description="How many times as often its reports assert the label elsewhere, at least."
    )
    news: float = Field(
        default=0.5, ge=0, le=1, description="Least share of its sentences in which the label is blank without it."
    )


class TrainRecipe(BaseModel):
    """A training run as a whole."""

    model_config = _STRICT

    description: str = Field(default="", description="One line for people.")
    teacher: str = Field(default="rules.v1", description="Registered labeler whose labels are learned.")
    label_schema: str = Field(default="chexpert14.v1", description="Shipped label schema, or a YAML file.")
    sections: str = Field(default="findings,impression", description="Sections to read; a|b is the first one present.")
    encoder: EncoderRecipe = Field(default=EncoderRecipe(), description="The encoder.")
    head: HeadRecipe = Field(default=HeadRecipe(), description="What stands on it.")
    max_length: int = Field(default=200, ge=8, description="Most tokens of a sentence in training; the rest is cut.")
    heldout: float = Field(default=0.1, gt=0, lt=1, description="Share of the reports, by hash of text, to stop by.")
    made: int = Field(
        default=150_000, ge=0, description="Sentences made of those of the reports and labeled by the teacher, in all."
    )
    fresh: bool = Field(
        default=False, description="Whether each epoch reads a share of its own of the made sentences, or all of them."
    )
    varied: float = Field(
        default=0.85, ge=0, le=1, description="Share of them in which findings and cues are exchanged."
    )
    strange: float = Field(
        default=0.5, ge=0, le=1, description="Share of those in which words without meaning are exchanged, too."
    )
    cut: float = Field(default=0.0, ge=0, le=1, description="Share of the cues put in of which only some words are.")
    trust: TrustRecipe = Field(default=TrustRecipe(), description="Weights of what the teacher is less certain of.")
    synonyms: SynonymRecipe | None = Field(
        default=SynonymRecipe(), description="When a word is taken for an unknown name of a finding; null is never."
    )
    word_dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of tokens masked in training.")
    balance: float = Field(
        default=0.5, ge=0, le=1, description="Power of inverse class frequency in the loss; 0 is none, 1 is full."
    )
    weak: StageRecipe = Field(
        default=StageRecipe(epochs=3, patience=3, learning_rate=1e-3), description="Training on the teacher's labels."
    )
    gold: StageRecipe = Field(
        default=StageRecipe(epochs=4, patience=4, batch_size=16, learning_rate=1e-4),
        description="Training on gold labels, if there are any; how many of its epochs serve is told by folds.",
    )
    folds: int = Field(
        default=5, ge=2, description="Parts of the gold, each read by networks that learned from the others."
    )
    rewritten: int = Field(
        default=0, ge=0, description="Copies of each gold report said otherwise, beside it; rules.v1 has to read it."
    )
    precision: Literal["no", "fp16", "bf16"] = Field(default="no", description="Mixed precision of accelerate.")
    tracker: str | None = Field(
        default=None, description="Tracker of accelerate, such as tensorboard, if it is installed."
    )
    seed: int = Field(default=0, ge=0, description="Seed of weights, order, made reports and dropout.")
