"""A BERT-like encoder with four classes for every label.

    input_ids [B, T] -> encoder [B, T, H] -> head "cnn": convolutions over 2, 3, 4 ... tokens, their maxima [B, F]
                                             head "cls": the first token [B, H]
                     -> one linear layer of four outputs per label [B, L, 4]

The head is that of Kim, "Convolutional neural networks for sentence classification", EMNLP 2014, over BERT features;
the classes are those of CheXbert (Smit et al., EMNLP 2020). ``save_pretrained`` and ``from_pretrained`` as for any
model of transformers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, BertConfig, PreTrainedConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from corpora.errors import ConfigError
from labeler.neural.reading import CLASSES, IGNORED

HEADS: Final = ("cnn", "cls")


class BertCnnConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """What the network is made of, and what its outputs mean.

    ``encoder`` is the configuration of any BERT-like encoder (a mapping with its ``model_type``); a small BERT if not
    given. ``temperatures`` are those of the labels, by which their logits are divided to give probabilities.
    ``max_length`` counts tokens, the two at the ends among them.
    """

    model_type = "radloop-bertcnn"
    sub_configs: ClassVar[dict[str, Any]] = {"encoder": AutoConfig}

    encoder: dict[str, Any] | PreTrainedConfig | None = None
    head: str = "cnn"
    widths: list[int] | tuple[int, ...] = (1, 2, 3, 4, 5)
    filters: int = 96
    dropout: float = 0.1
    label_names: list[str] | tuple[str, ...] = ("label",)
    schema_name: str = ""
    no_finding: str | None = None
    sections: str = "findings,impression"
    temperatures: list[float] | None = None
    max_length: int = 200

    def __post_init__(self, **kwargs: Any) -> None:
        if self.head not in HEADS:
            raise ConfigError("config.value", f"the head is one of {', '.join(HEADS)}", where="head")
        if self.encoder is None:
            self.encoder = BertConfig(
                vocab_size=8000, hidden_size=128, num_hidden_layers=2, num_attention_heads=4, intermediate_size=512
            )
        elif isinstance(self.encoder, dict):
            self.encoder = AutoConfig.for_model(**self.encoder)
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]


@dataclass
class LabelOutput(ModelOutput):
    """``loss`` (a number, where labels were given) and ``logits`` [B, L, 4]."""

    loss: Tensor | None = None
    logits: Tensor | None = None


class BertCnnForLabels(PreTrainedModel):
    """The network. A padded batch gives the same logits as its texts one by one, but for rounding."""

    config_class = BertCnnConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = False
    _supports_sdpa = True

    def __init__(self, config: BertCnnConfig) -> None:
        super().__init__(config)
        self.encoder = _encoder(config.encoder)
        hidden = config.encoder.hidden_size  # type: ignore[union-attr]
        widths = config.widths if config.head == "cnn" else ()
        self.convolutions = nn.ModuleList([nn.Conv1d(hidden, config.filters, width) for width in widths])
        self.dropout = nn.Dropout(config.dropout)
        self.heads = nn.Linear(len(widths) * config.filters or hidden, len(config.label_names) * len(CLASSES))
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, nn.Conv1d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None, weights: Tensor | None = None
    ) -> LabelOutput:
        """Logits [B, L, 4], and the loss if ``labels`` [B, L] are given: class numbers, -100 where there is none.

        ``weights`` [B, L] are those of the cells in the mean; all the same if not given.
        """
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        features = self._convolved(states, attention_mask) if len(self.convolutions) else states[:, 0]
        logits = self.heads(self.dropout(features)).unflatten(-1, (-1, len(CLASSES)))
        if labels is None:
            return LabelOutput(None, logits)
        return LabelOutput(mean_loss(logits.float().log_softmax(dim=-1), labels, weights), logits)

    def _convolved(self, states: Tensor, mask: Tensor) -> Tensor:
        inside = mask.unsqueeze(1).bool()
        # a filter at the end of a text sees zeros, whatever the batch was padded to
        columns = states.transpose(1, 2).masked_fill(~inside, 0.0)
        maxima = []
        for width, convolution in zip(self.config.widths, self.convolutions, strict=True):
            found = F.relu(convolution(F.pad(columns, ((width - 1) // 2, width // 2))))
            # nothing is below zero behind the rectifier
            maxima.append(found.masked_fill(~inside, 0.0).amax(dim=-1))
        return torch.cat(maxima, dim=-1)


def _encoder(config: Any) -> nn.Module:
    try:
        return AutoModel.from_config(config, add_pooling_layer=False)  # type: ignore[no-any-return, no-untyped-call]
    except TypeError:  # an encoder that has no pooling layer to leave out
        return AutoModel.from_config(config)  # type: ignore[no-any-return, no-untyped-call]


def mean_loss(logarithms: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean of minus the logarithms [B, L, 4] of probabilities at ``labels`` [B, L], by ``weights`` [B, L].

    Cells of -100 do not count.
    """
    each = F.nll_loss(logarithms.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none")
    counts = (labels.flatten() != IGNORED).float()
    if weights is not None:
        counts = counts * weights.flatten()
    return (each * counts).sum() / counts.sum().clamp_min(torch.finfo(torch.float32).tiny)


AutoConfig.register(BertCnnConfig.model_type, BertCnnConfig, exist_ok=True)
AutoModel.register(BertCnnConfig, BertCnnForLabels, exist_ok=True)
