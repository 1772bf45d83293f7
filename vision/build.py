"""What a run trains with: the network from its recipe."""

from __future__ import annotations

import torch

from corpora.errors import ConfigError
from vision.encoder import FilmEncoder, FilmEncoderConfig, backbone_config
from vision.planes import count_of
from vision.recipe import VisionRecipe
from vision.uncertainty import head_of
from vision.weights import begin as begin_weights


def build(recipe: VisionRecipe, labels: tuple[str, ...], parents: list[int]) -> FilmEncoder:
    """The network of a recipe for these labels, with the weights that it begins with.

    Raises ``ConfigError`` as ``backbone_config`` and ``vision.weights.begin``.
    """
    torch.manual_seed(recipe.seed)
    backbone = recipe.backbone
    seen = backbone.channels + count_of(backbone.extras)
    body = backbone_config(backbone.kind, backbone.settings, seen, recipe.size)
    try:
        model = FilmEncoder(
            FilmEncoderConfig(
                body.to_dict(), labels, [head_of(recipe.policy(label)) for label in labels], parents, recipe.size,
                backbone.channels, backbone.dropout, backbone.gather, recipe.pooling, recipe.views,
                extras=backbone.extras,
            )
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"no such backbone: {str(error).partition(chr(10))[0][:200]}"
        raise ConfigError("config.value", message, where="backbone.settings") from error
    if model.backbone.main_input_name != "pixel_values":
        raise ConfigError(
            "config.value", f"the backbone {backbone.kind!r} does not look at pictures", where="backbone.kind",
            hint="such as resnet, convnext, swin or vit",
        )  # fmt: skip
    if backbone.source:
        begin_weights(model, backbone.source, with_head=backbone.with_head)
    return model


def refuse_start(recipe: VisionRecipe) -> None:
    """Raise what ``build``, or ``vision.diagnosis.build_diagnosis``, would raise of the backbone and the weights it
    begins with. Whether a head fits is known with the labels alone."""
    from vision.diagnosis import DiagnosisRecipe, build_diagnosis

    body = recipe.model_copy(update={"backbone": recipe.backbone.model_copy(update={"with_head": False})})
    if isinstance(body, DiagnosisRecipe):
        build_diagnosis(body, ("none",), [-1])
    else:
        build(body, ("none",), [-1])
