"""What decides a decoder's pretraining and a drafter's training: ``configs/report/*.yaml``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_STRICT = ConfigDict(extra="forbid", frozen=True)
Precision = Literal["no", "fp16", "bf16"]


class DecoderRecipe(BaseModel):
    """A new decoder: any causal language model of transformers."""

    model_config = _STRICT

    kind: str = Field(default="gpt2", description="Model type of transformers, such as gpt2 or llama.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Fields of its configuration.")
    vocab_size: int = Field(default=8000, ge=300, description="Most tokens that are learned from the reports.")
    min_frequency: int = Field(default=2, ge=1, description="Least occurrences of a token.")


class CourseRecipe(BaseModel):
    """Optimisation of one stage: AdamW, a warm-up, then a cosine to 0."""

    model_config = _STRICT

    epochs: int = Field(default=3, ge=0, description="Passes over the studies; 0 leaves the stage out.")
    batch_size: int = Field(default=32, ge=1, description="Studies at once on a device.")
    accumulate: int = Field(default=1, ge=1, description="Batches whose gradients make one step.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Highest learning rate.")
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay; none on biases and norms.")
    warmup: float = Field(default=0.03, ge=0, le=1, description="Share of the steps in which the rate rises.")
    clip: float = Field(default=1.0, gt=0, description="Largest norm of the gradient.")


class LoraRecipe(BaseModel):
    """Low-rank adapters of the decoder (Hu et al. 2022)."""

    model_config = _STRICT

    rank: int = Field(default=16, ge=1, description="Rank of the adapters.")
    alpha: int = Field(default=32, ge=1, description="Their scale, over the rank.")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="Dropout in front of them.")
    targets: list[str] | Literal["all-linear"] = Field(
        default="all-linear",
        description="Modules of the decoder by the end of their name; GPT-2: c_attn, c_proj, c_fc.",
    )


class ChoiceRecipe(BaseModel):
    """How the best epoch is chosen: clinical F1 of drafts of validation studies, and how many are distinct."""

    model_config = _STRICT

    studies: int = Field(default=200, ge=1, description="Validation studies to draft of after an epoch.")
    labeler: str = Field(default="rules.v1", description="Labeler that reads the drafts and the references.")
    distinct: float = Field(default=0.1, ge=0, description="Weight of the share of distinct drafts beside the F1.")
    temperature: float = Field(default=1.0, gt=0, description="Temperature of the sampled drafts.")


class JudgeRecipe(BaseModel):
    """The drafter's own judgement of labels, from film, Indication and prior report."""

    model_config = _STRICT

    weight: float = Field(default=1.0, gt=0, description="Weight of its loss beside that of the text.")
    blind: float = Field(
        default=0.15, ge=0, lt=1, description="Share of the studies without their films, so that text is read alone."
    )


class RewardRecipe(BaseModel):
    """Stage 3: sampled drafts are made likelier by the clinical F1 of their labels (see ``reportgen.reward``)."""

    model_config = _STRICT

    course: CourseRecipe = Field(
        default=CourseRecipe(epochs=1, batch_size=16, learning_rate=1e-4), description="Optimisation."
    )
    studies: int = Field(default=1000, ge=1, description="Training studies that are drafted, drawn by the seed.")
    draws: int = Field(default=4, ge=2, description="Drafts of a study in a step.")
    temperature: float = Field(default=1.0, gt=0, description="Temperature of these drafts.")
    words: float = Field(default=0.3, ge=0, description="Weight of the loss of the report's own words.")


class ReportPretrainRecipe(BaseModel):
    """Tokenizer and language-model pretraining of a decoder on reports alone."""

    model_config = _STRICT

    description: str = Field(default="", description="One line for people.")
    decoder: DecoderRecipe = Field(default=DecoderRecipe(), description="The decoder.")
    decoder_source: str | None = Field(
        default=None, description="A decoder to go on from, with its tokenizer: a folder or a cached hub name."
    )
    hints: str = Field(
        default="rules.v1", description="Labeler whose labels stand before a report, as hints do later; empty for none."
    )
    composed: float = Field(
        default=1.0,
        ge=0,
        description="Made reports for each real one, of sentences put together by labels; none without hints.",
    )
    prior: bool = Field(
        default=False, description="Whether the patient's last report stands before a report, as it may in drafting."
    )
    max_tokens: int = Field(default=256, ge=16, description="Longest report in tokens; the rest is cut.")
    heldout: float = Field(default=0.05, gt=0, lt=1, description="Share of the reports to measure by.")
    lm_course: CourseRecipe = Field(default=CourseRecipe(epochs=10), description="Optimisation.")
    precision: Precision = Field(default="no", description="Mixed precision of accelerate.")
    seed: int = Field(default=0, ge=0, description="Seed of weights and order.")


class ReportTrainRecipe(BaseModel):
    """Training of a drafter: stage 1 aligns the projector, stage 2 trains adapters and projector."""

    model_config = _STRICT

    description: str = Field(default="", description="One line for people.")
    decoder_source: str = Field(description="The decoder: a folder of radloop report pretrain, or a cached hub name.")
    side: int = Field(default=4, ge=1, description="Cells a side that a film's map is pooled to; squared is tokens.")
    films: int = Field(default=2, ge=1, description="Most films of a study, frontal first.")
    hints: bool = Field(
        default=True,
        description="Whether labels stand in the prompt: the report's in training, in drafting those the encoder sees.",
    )
    indication: bool = Field(default=True, description="Whether the Indication is in the prompt.")
    prior: bool = Field(default=False, description="Whether the patient's last report is in the prompt.")
    cells: Literal["mean", "mean_peak"] = Field(
        default="mean", description="What is taken of a cell of the map: its means, or its means and peaks."
    )
    judge: JudgeRecipe | None = Field(
        default=None, description="The drafter's own judgement of labels, mixed with the encoder's; none if not given."
    )
    max_tokens: int = Field(default=192, ge=16, description="Longest target in tokens; the rest is cut.")
    prompt_tokens: int = Field(default=96, ge=8, description="Longest prompt in tokens; its beginning is cut.")
    align: CourseRecipe = Field(default=CourseRecipe(epochs=1), description="Stage 1: the projector alone.")
    adapt: CourseRecipe = Field(
        default=CourseRecipe(epochs=3, learning_rate=1e-4), description="Stage 2: adapters and projector."
    )
    reward: RewardRecipe | None = Field(
        default=None, description="Stage 3: adapters and projector by the labels of drafts; left out if not given."
    )
    lora: LoraRecipe = Field(default=LoraRecipe(), description="The adapters.")
    choice: ChoiceRecipe = Field(default=ChoiceRecipe(), description="How the best epoch is chosen.")
    precision: Precision = Field(default="no", description="Mixed precision of accelerate.")
    gradient_checkpointing: bool = Field(default=False, description="Less memory for a third more time.")
    seed: int = Field(default=0, ge=0, description="Seed of weights, order and sampling.")

    @model_validator(mode="after")
    def _judges_where_hints_stand(self) -> ReportTrainRecipe:
        if self.judge is not None and not self.hints:
            raise ValueError("judge needs hints: what is judged is told to the decoder as hints")
        return self
