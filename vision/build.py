"""What a run trains with: the device or several, and the network from its recipe."""

from __future__ import annotations

import torch
from accelerate import Accelerator  # type: ignore[import-untyped]
from transformers.utils import logging

from corpora.errors import ConfigError
from corpora.runs import OutputTarget, begin
from vision.encoder import FilmEncoder, FilmEncoderConfig, backbone_config
from vision.planes import count_of
from vision.recipe import VisionRecipe
from vision.uncertainty import head_of
from vision.weights import begin as begin_weights


def quiet() -> None:
    """Keep transformers from drawing bars and tables on stderr: what is wrong is said as an error."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]


def accelerator_of(precision: str, tracker: str | None, name: str, folder: object) -> Accelerator:
    """The device, or several; with a tracker, if one is named. Raises ``ConfigError`` (``config.value``)."""
    try:
        accelerator = Accelerator(
            mixed_precision=precision, log_with=tracker, project_dir=str(folder) if tracker else None
        )
    except (ValueError, ImportError) as error:
        raise ConfigError("config.value", str(error).partition("\n")[0], where="tracker or precision") from error
    if tracker:
        accelerator.init_trackers(name)
    return accelerator


def begin_together(accelerator: Accelerator, target: OutputTarget, *, resume: bool) -> None:
    """Make the folders of a run: one process does, and the others wait for it."""
    if accelerator.is_main_process:
        begin(target, resume=resume)
    accelerator.wait_for_everyone()


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
    if backbone.source:
        begin_weights(model, backbone.source, with_head=backbone.with_head)
    return model
