"""The network: films to features to a logit for each label.

    greys [B, 1, S, S] in 0..1 (-> planes) -> backbone -> feature map [B, C, h, w] -> gathered -> linear head [B, K]
    -> logits [B, L]

Gathered is by the mean of each feature, by its peak, or both. With ``mean_peak`` a second head looks at every place of
the map, and a label's output is that of the means and a soft maximum over the places (log-sum-exp: Pinheiro and
Collobert, CVPR 2015): small findings are one place of many, and are learned, and seen, where they are. With ``peak`` it
is the soft maximum alone.

A label has one output, or three (negative, positive, uncertain) whose score is p1 / (p0 + p1), the sigmoid of their
difference (Irvin et al. 2019). With a hierarchy the score is the product of the chain of parents (Pham et al. 2021).
``sigmoid(logits / temperatures)`` is the probability. ``FilmEncoder.from_pretrained`` and ``save_pretrained`` are those
of transformers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, logsigmoid
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from corpora.errors import ConfigError
from vision.planes import planes

THREE: Final = 3
#: Outputs of a label with three: negative, positive, uncertain.
NEGATIVE_AT, POSITIVE_AT, UNCERTAIN_AT = 0, 1, 2
#: Mean and standard deviation of the greys of frontal chest films.
GREY_MEAN, GREY_STD = 0.5, 0.25
#: How near a label's soft maximum over places is to its highest.
_SHARP: Final = 5.0


class FilmEncoderConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """The network's shape, its labels, and what was found on the validation part: temperatures and thresholds.

    ``heads`` is 1 or 3 outputs by label; ``parents`` is the place of each label's parent, -1 for none; ``gather``
    is how a map becomes features, ``pooling`` how films become a study. ``extras`` are planes of ``vision.planes``.
    """

    model_type = "radloop_film_encoder"

    def __init__(
        self,
        backbone: Mapping[str, Any] | None = None,
        label_names: Sequence[str] = (),
        heads: Sequence[int] = (),
        parents: Sequence[int] = (),
        image_size: int = 224,
        channels: int = 1,
        dropout: float = 0.0,
        gather: str = "mean",
        pooling: str = "mean",
        views: str = "all",
        temperatures: Sequence[float] | None = None,
        thresholds: Mapping[str, float] | None = None,
        extras: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        self.backbone = dict(backbone or {"model_type": "resnet"})
        self.label_names = list(label_names)
        self.heads = list(heads) or [1] * len(self.label_names)
        self.parents = list(parents) or [-1] * len(self.label_names)
        self.image_size, self.channels, self.dropout = image_size, channels, dropout
        self.gather, self.pooling, self.views = gather, pooling, views
        self.temperatures = list(temperatures) if temperatures else [1.0] * len(self.label_names)
        self.thresholds = dict(thresholds) if thresholds is not None else None
        self.extras = list(extras)
        super().__init__(**kwargs)


@dataclass
class FilmEncoderOutput(ModelOutput):
    """What the network makes of films.

    ``logits`` [B, L] score the labels; ``outputs`` [B, K] are the head's own; ``pooled`` [B, C] and
    ``last_hidden_state`` [B, C, h, w] are features. ``own`` [B, L] are logits before the chain of parents.
    """

    logits: Tensor | None = None
    outputs: Tensor | None = None
    own: Tensor | None = None
    pooled: Tensor | None = None
    last_hidden_state: Tensor | None = None


def backbone_config(kind: str, settings: Mapping[str, Any], channels: int, size: int) -> PretrainedConfig:
    """The configuration of a backbone of transformers. Raises ``ConfigError`` (``config.value``)."""
    known = {"image_size": size} if kind not in ("resnet",) else {}
    try:
        return AutoConfig.for_model(kind, **{**known, **settings, "num_channels": channels})
    except (ValueError, TypeError, KeyError) as error:
        message = f"no backbone {kind!r} with these settings: {str(error).partition(chr(10))[0][:200]}"
        raise ConfigError("config.value", message, where="backbone") from error


class FilmEncoder(PreTrainedModel):  # type: ignore[no-untyped-call]
    """A backbone of transformers with a head over the labels; see the module."""

    config_class = FilmEncoderConfig
    base_model_prefix = "backbone"
    main_input_name = "greys"
    config: FilmEncoderConfig

    def __init__(self, config: FilmEncoderConfig) -> None:
        super().__init__(config)
        known = dict(config.backbone)
        body = AutoConfig.for_model(known.pop("model_type"), **known)
        self.backbone = AutoModel.from_config(body)  # type: ignore[no-untyped-call]
        self.drop = nn.Dropout(config.dropout)
        self.head = nn.Linear(feature_size(body) * (1 + config.gather.startswith("mean_")), sum(config.heads))
        self.places, self.threes = _places(config.heads)
        self.chains = chains(config.parents)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        # the backbone has begun its own weights
        if module is getattr(self, "head", None):
            nn.init.normal_(self.head.weight, std=0.01)
            nn.init.zeros_(self.head.bias)

    def features(self, greys: Tensor) -> Tensor:
        """The feature map [B, C, h, w] of films [B, 1, S, S] in 0..1."""
        films = (greys - GREY_MEAN) / GREY_STD
        if self.config.channels > films.shape[1]:
            films = films.expand(-1, self.config.channels, -1, -1)
        if self.config.extras:
            films = torch.cat([films, *planes(greys, self.config.extras)], dim=1)
        return _as_map(self.backbone(films).last_hidden_state)

    def forward(self, greys: Tensor, **ignored: Any) -> FilmEncoderOutput:
        feature_map = self.features(greys)
        outputs, pooled = self.judged(feature_map)
        outputs = outputs.float()
        own = self.own_logits(outputs)
        return FilmEncoderOutput(self.chained(own), outputs, own, pooled, feature_map)

    def judged(self, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """The head's outputs [B, K] of a map [B, C, h, w], and the features that it was gathered to."""
        pooled = gathered(feature_map, self.config.gather)
        if not self.config.gather.endswith("peak"):
            return self.head(self.drop(pooled)), pooled
        weight, width = self.head.weight, feature_map.shape[1]
        placed = torch.einsum("bchw,kc->bkhw", self.drop(feature_map), weight[:, -width:]).float().flatten(2)
        highest = (torch.logsumexp(_SHARP * placed, dim=2) - math.log(placed.shape[2])) / _SHARP
        if weight.shape[1] == width:
            return highest + self.head.bias, pooled
        return highest + linear(self.drop(pooled), weight[:, :-width], self.head.bias), pooled

    def own_logits(self, outputs: Tensor) -> Tensor:
        """A logit [B, L] for each label from the head's outputs [B, K], parents aside."""
        if not self.threes:
            return outputs
        columns = [
            outputs[:, place + POSITIVE_AT] - outputs[:, place + NEGATIVE_AT] if three else outputs[:, place]
            for place, three in zip(self.places, self.threes_of(), strict=True)
        ]
        return torch.stack(columns, dim=1)

    def threes_of(self) -> list[bool]:
        """Whether each label has three outputs."""
        return [heads == THREE for heads in self.config.heads]

    def chained(self, own: Tensor) -> Tensor:
        """Logits [B, L] of the products along the chains of parents."""
        if all(len(chain) == 1 for chain in self.chains):
            return own
        return torch.stack([chain_logit(own[:, chain]) for chain in self.chains], dim=1)

    def probabilities(self, greys: Tensor) -> Tensor:
        """Calibrated probabilities [B, L]."""
        logits = self.forward(greys).logits
        assert logits is not None
        return torch.sigmoid(logits / logits.new_tensor(self.config.temperatures))


def gathered(feature_map: Tensor, how: str) -> Tensor:
    """Features [B, C] of a map [B, C, h, w]: the mean (of ``peak`` as well), the maximum, or both [B, 2 C]."""
    if how in ("mean", "mean_peak", "peak"):
        return feature_map.mean(dim=(2, 3))
    peaks = feature_map.amax(dim=(2, 3))
    return peaks if how == "max" else torch.cat([feature_map.mean(dim=(2, 3)), peaks], dim=1)


def chain_logit(own: Tensor) -> Tensor:
    """The logit [B] of the product of the probabilities of logits [B, n].

    log p = sum log sigmoid; log (1 - p) = log (1 - exp log p), which float32 keeps apart from 0 down to p of 1 - 1e-6.
    """
    log = logsigmoid(own).sum(dim=1)
    return log - torch.log(-torch.expm1(log.clamp(max=-1e-6)))


def chains(parents: Sequence[int]) -> list[list[int]]:
    """For each label its own place and those of its parents, upwards.

    >>> chains([-1, 0, 1])
    [[0], [1, 0], [2, 1, 0]]
    """
    found = []
    for place in range(len(parents)):
        chain, at = [place], parents[place]
        while at >= 0:
            if at in chain:
                raise ConfigError("config.value", "the parents of a label lead back to it", where="hierarchy.parents")
            chain.append(at)
            at = parents[at]
        found.append(chain)
    return found


def _places(heads: Sequence[int]) -> tuple[list[int], list[int]]:
    """Where each label's outputs begin, and where those of the labels with three do."""
    places = [sum(heads[:at]) for at in range(len(heads))]
    return places, [place for place, count in zip(places, heads, strict=True) if count == THREE]


def feature_size(config: PretrainedConfig) -> int:
    """Features that a backbone gives. Raises ``ConfigError`` (``config.value``) where its configuration says none."""
    sizes = getattr(config, "hidden_sizes", None) or [getattr(config, "hidden_size", None)]
    if sizes[-1] is None:
        raise ConfigError(
            "config.value", f"the backbone {config.model_type!r} gives no features of a known size", where="backbone",
            hint="such as resnet, convnext, swin or vit",
        )  # fmt: skip
    return int(sizes[-1])


def _as_map(features: Tensor) -> Tensor:
    """Tokens [B, T, C] of a transformer as a map [B, C, h, w]; a token before the square ones is left out."""
    if features.ndim == 4:
        return features
    side = int(features.shape[1] ** 0.5)
    tokens = features[:, features.shape[1] - side * side :]
    return tokens.transpose(1, 2).reshape(len(features), features.shape[2], side, side)


def register() -> None:
    """Let ``AutoConfig`` and ``AutoModel`` of transformers read a run's folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        AutoConfig.register(FilmEncoderConfig.model_type, FilmEncoderConfig, exist_ok=True)
        AutoModel.register(FilmEncoderConfig, FilmEncoder, exist_ok=True)
