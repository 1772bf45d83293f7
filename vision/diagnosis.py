"""The diagnosis network of DeepMRDTR (npj Digital Medicine 2023): what was learned of abnormalities helps to name the
disease.

    films -> abnormality path, trained before and frozen -> map A [B, Ca, h, w]   keys and values, pooled to few places
    films -> diagnosis path, learns                      -> map D [B, Cd, h, w]   queries
    fused = D + W softmax(Q(D) K(A)') V(A)   -> gathered -> head over diseases

The fusion is the asymmetric non-local block of Zhu et al. (ICCV 2019): queries from one map, keys and values from the
other, sampled by spatial pyramid pooling, so that its cost grows with the places of D alone. W begins at 0, so that the
network begins as its diagnosis path.

The network is a ``FilmEncoder`` in all it does, so ``radloop vision predict``, ``evaluate`` and ``explain`` take it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from corpora.errors import ConfigError
from vision.build import build
from vision.encoder import FilmEncoder, FilmEncoderConfig, feature_size
from vision.recipe import VisionRecipe

#: Places a side of each level of the pyramid: 110 in all, as in the paper.
PYRAMID: Final = (1, 3, 6, 8)


class DiagnosisRecipe(VisionRecipe):
    """A training run of the diagnosis network: that of an encoder, and the run of its abnormality path."""

    abnormality: str = Field(description="Run of radloop vision train on the abnormalities; it stays as it is.")
    fusion: int = Field(default=0, ge=0, description="Width of queries, keys and values; 0 is half the channels.")


class DiagnosisConfig(FilmEncoderConfig):  # type: ignore[no-untyped-call]
    """The config of the diagnosis path, with that of the abnormality path and the width of the fusion."""

    model_type = "radloop_diagnosis"

    def __init__(self, abnormality: Mapping[str, Any] | None = None, fusion: int = 0, **kwargs: Any) -> None:
        self.abnormality = dict(abnormality or {})
        self.fusion = fusion
        super().__init__(**kwargs)


class AsymmetricFusion(nn.Module):
    """``own`` [B, C, h, w] and what it finds in ``other`` [B, Co, h', w'], added to it."""

    def __init__(self, channels: int, other: int, width: int, pyramid: Sequence[int] = PYRAMID) -> None:
        super().__init__()
        self.query = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.key = nn.Sequential(nn.Conv2d(other, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.value = nn.Conv2d(other, width, 1)
        self.out = nn.Conv2d(width, channels, 1)
        self.pyramid = tuple(pyramid)
        nn.init.zeros_(self.out.weight)
        if self.out.bias is not None:
            nn.init.zeros_(self.out.bias)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        batch, _, height, width = own.shape
        query = self.query(own).flatten(2).transpose(1, 2)
        key, value = self._sampled(self.key(other)), self._sampled(self.value(other))
        weights = torch.softmax(query @ key * key.shape[1] ** -0.5, dim=-1)
        found = (weights @ value.transpose(1, 2)).transpose(1, 2).reshape(batch, -1, height, width)
        fused: Tensor = own + self.out(found)
        return fused

    def _sampled(self, values: Tensor) -> Tensor:
        """A map [B, C, h, w] at the places of the pyramid [B, C, n]; a level finer than the map is left out."""
        side = min(values.shape[2:])
        levels = [size for size in self.pyramid if size <= side]
        return torch.cat([adaptive_avg_pool2d(values, size).flatten(2) for size in levels], dim=2)


class DiagnosisEncoder(FilmEncoder):  # type: ignore[no-untyped-call]
    """Two paths and their fusion; see the module."""

    config_class = DiagnosisConfig  # type: ignore[assignment]
    config: DiagnosisConfig

    def __init__(self, config: DiagnosisConfig) -> None:
        super().__init__(config)
        self.abnormality = FilmEncoder(FilmEncoderConfig(**config.abnormality))
        ours, other = feature_size(self.backbone.config), feature_size(self.abnormality.backbone.config)
        self.fusion = AsymmetricFusion(ours, other, config.fusion or max(ours // 2, 1))
        self.abnormality.requires_grad_(False)

    def features(self, greys: Tensor) -> Tensor:
        """The fused map [B, C, h, w] of films [B, 1, S, S]."""
        with torch.no_grad():
            seen = self.abnormality.features(greys)
        fused: Tensor = self.fusion(super().features(greys), seen)
        return fused

    def train(self, mode: bool = True) -> Self:
        """The abnormality path stays as it was trained, its batch norm too."""
        super().train(mode)
        if hasattr(self, "abnormality"):
            self.abnormality.train(False)
        return self


def build_diagnosis(recipe: DiagnosisRecipe, labels: tuple[str, ...], parents: list[int]) -> DiagnosisEncoder:
    """The network of a recipe, its abnormality path with the weights of the run it names.

    Raises ``ConfigError`` as ``vision.build.build`` and ``vision.predict.load_model``; ``config.value`` if the run sees
    films of another size.
    """
    from vision.predict import load_model

    kept = load_model(Path(recipe.abnormality), "cpu")
    if isinstance(kept, DiagnosisEncoder):
        raise ConfigError("model.kind", "the abnormality path is a diagnosis network itself", where=recipe.abnormality)
    if kept.config.image_size != recipe.size:
        raise ConfigError(
            "config.value", f"the abnormality path sees films of {kept.config.image_size} pixels", where="size",
            hint=f"--set size={kept.config.image_size}",
        )  # fmt: skip
    single = build(VisionRecipe.model_validate(_single(recipe)), labels, parents)
    torch.manual_seed(recipe.seed)
    model = DiagnosisEncoder(
        DiagnosisConfig(abnormality=_settings(kept.config), fusion=recipe.fusion, **_settings(single.config))
    )
    model.abnormality.load_state_dict(kept.state_dict())
    for name in ("backbone", "head"):
        getattr(model, name).load_state_dict(getattr(single, name).state_dict())
    return model


def _single(recipe: DiagnosisRecipe) -> dict[str, Any]:
    return {name: value for name, value in recipe.model_dump().items() if name in VisionRecipe.model_fields}


def _settings(config: FilmEncoderConfig) -> dict[str, Any]:
    """What makes a ``FilmEncoderConfig`` anew."""
    names = (
        "backbone", "label_names", "heads", "parents", "image_size", "channels", "dropout", "gather", "pooling",
        "views", "temperatures", "thresholds", "extras",
    )  # fmt: skip
    return {name: getattr(config, name) for name in names}
