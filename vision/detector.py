"""The detector: films to boxes with a score for each label (the second network of VinDr-CXR).

    greys [B, 1, S, S] in 0..1 (-> planes) -> backbone, maps of its last stages -> RT-DETRv2 of transformers
    -> boxes [B, Q, 4] (middle x, middle y, width, height as shares of the square), logits [B, Q, L]

The backbone is that of ``vision.encoder``, so weights of ``radloop vision pretrain`` or ``train`` start it; those of
another detector start the whole. RT-DETR is a DETR of several scales that proposes its queries from the maps and learns
to undo noise, which makes it learn soon.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    AutoBackbone,
    AutoConfig,
    PretrainedConfig,
    PreTrainedModel,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
)

from corpora.accelerating import quiet
from corpora.errors import ConfigError
from corpora.images.fit import Transform
from corpora.statistics.froc import iou_matrix
from vision.detector_recipe import DetectorRecipe
from vision.encoder import GREY_MEAN, GREY_STD, FilmEncoder, FilmEncoderConfig, backbone_config
from vision.kinds import kind_of
from vision.planes import count_of, planes
from vision.weights import begin

Array = NDArray[np.float64]
#: Weights with a row for each label; that of denoising has one more.
_OF_LABELS: Final = re.compile(r"(class_embed(\.\d+)?|enc_score_head)\.(weight|bias)$")


class FilmDetectorConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """The detector's shape and labels. ``backbone`` and ``transformer`` are configurations of transformers."""

    model_type = "radloop_film_detector"

    def __init__(
        self,
        backbone: Mapping[str, Any] | None = None,
        transformer: Mapping[str, Any] | None = None,
        label_names: Sequence[str] = (),
        image_size: int = 640,
        channels: int = 1,
        extras: Sequence[str] = (),
        views: str = "all",
        **kwargs: Any,
    ) -> None:
        self.backbone = dict(backbone or {"model_type": "resnet"})
        self.transformer = dict(transformer or {})
        self.label_names = list(label_names)
        self.image_size, self.channels, self.views = image_size, channels, views
        self.extras = list(extras)
        super().__init__(**kwargs)


class FilmDetector(PreTrainedModel):  # type: ignore[no-untyped-call]
    """RT-DETRv2 over films; see the module."""

    config_class = FilmDetectorConfig
    main_input_name = "greys"
    config: FilmDetectorConfig

    def __init__(self, config: FilmDetectorConfig) -> None:
        super().__init__(config)
        known = dict(config.backbone)
        body = AutoConfig.for_model(known.pop("model_type"), **known)
        names = list(range(len(config.label_names)))
        shape = RTDetrV2Config(
            backbone_config=body, freeze_backbone_batch_norms=False, **config.transformer,
            id2label={at: config.label_names[at] for at in names},
            label2id={config.label_names[at]: at for at in names},
        )  # fmt: skip
        self.detector = RTDetrV2ForObjectDetection(shape)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: torch.nn.Module) -> None:
        # the parts have begun their own weights
        return

    @property
    def body(self) -> torch.nn.Module:
        """The backbone."""
        backbone: torch.nn.Module = self.detector.model.backbone.model
        return backbone

    def forward(self, greys: Tensor, labels: list[dict[str, Tensor]] | None = None) -> Any:
        """The output of RT-DETRv2 for films [B, 1, S, S]; its loss with ``labels`` (``class_labels``, ``boxes``)."""
        return self.detector(pixel_values=self._films(greys), labels=labels)

    def _films(self, greys: Tensor) -> Tensor:
        films = (greys - GREY_MEAN) / GREY_STD
        if self.config.channels > films.shape[1]:
            films = films.expand(-1, self.config.channels, -1, -1)
        return torch.cat([films, *planes(greys, self.config.extras)], dim=1) if self.config.extras else films


def build_detector(recipe: DetectorRecipe, labels: Sequence[str]) -> FilmDetector:
    """The detector of a recipe, its backbone with the weights it begins with.

    Raises ``ConfigError``: ``config.value``, and as ``vision.weights.begin``.
    """
    torch.manual_seed(recipe.seed)
    how = recipe.transformer
    body, channels, strides = _stages(recipe)
    if how.width % how.heads:
        raise ConfigError("config.value", f"width {how.width} is no multiple of {how.heads} heads", where="transformer")
    transformer = {
        "encoder_in_channels": channels, "feat_strides": strides, "num_feature_levels": how.levels,
        "decoder_n_levels": how.levels, "encode_proj_layers": [how.levels - 1],
        "encoder_hidden_dim": how.width, "d_model": how.width, "decoder_in_channels": [how.width] * how.levels,
        "encoder_ffn_dim": how.feed_forward, "decoder_ffn_dim": how.feed_forward,
        "encoder_attention_heads": how.heads, "decoder_attention_heads": how.heads,
        "encoder_layers": how.encoder_layers, "decoder_layers": how.decoder_layers, "num_queries": how.queries,
        "num_denoising": how.denoising, "hidden_expansion": how.expansion,
    }  # fmt: skip
    config = FilmDetectorConfig(
        body, transformer, labels, recipe.size, recipe.backbone.channels, recipe.backbone.extras, recipe.views
    )
    try:
        model = FilmDetector(config)
    except (ValueError, TypeError, RuntimeError) as error:
        message = f"no such detector: {str(error).partition(chr(10))[0][:200]}"
        raise ConfigError("config.value", message, where="transformer") from error
    if recipe.backbone.source:
        if _is_detector(recipe.backbone.source):
            _begin_detector(model, recipe.backbone.source)
        else:
            _begin_body(model, recipe)
    return model


def _stages(recipe: DetectorRecipe) -> tuple[dict[str, Any], list[int], list[int]]:
    """The backbone's configuration with the stages that are looked at, their channels, and their strides."""
    backbone = recipe.backbone
    seen = backbone.channels + count_of(backbone.extras)
    body = backbone_config(backbone.kind, backbone.settings, seen, recipe.size)
    names = list(getattr(body, "stage_names", None) or [])[1:]
    if len(names) < recipe.transformer.levels:
        raise ConfigError(
            "config.value", f"the backbone {backbone.kind!r} has {len(names)} stages, and the detector looks at "
            f"{recipe.transformer.levels}", where="transformer.levels", hint="such as resnet, convnext or swin",
        )  # fmt: skip
    body.out_features = names[-recipe.transformer.levels :]
    try:
        trial = AutoBackbone.from_config(body)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            maps = trial.eval()(torch.zeros(1, seen, recipe.size, recipe.size)).feature_maps
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        message = f"no such backbone: {str(error).partition(chr(10))[0][:200]}"
        raise ConfigError("config.value", message, where="backbone") from error
    sides = [each.shape[-1] for each in maps]
    if any(fine != 2 * coarse for fine, coarse in pairwise(sides)):
        coarsest = 2 ** round(math.log2(recipe.size / sides[-1]))
        raise ConfigError(
            "config.value", f"maps of {', '.join(map(str, sides))} places a side: each must be half of the one before",
            where="size", hint=f"a multiple of {coarsest}",
        )  # fmt: skip
    torch.manual_seed(recipe.seed)
    return body.to_dict(), [each.shape[1] for each in maps], [recipe.size // side for side in sides]


def _is_detector(source: str) -> bool:
    if not (Path(source) / "config.json").is_file():
        return False
    return kind_of(source, "network", "a run of radloop vision") == FilmDetectorConfig.model_type


def _begin_detector(model: FilmDetector, source: str) -> None:
    """Begin with all weights of the detector in ``source``; of those that a label has, with those of the same label."""
    made = load_detector(source, "cpu")
    ours, theirs = model.state_dict(), made.state_dict()
    places = [
        (at, made.config.label_names.index(label))
        for at, label in enumerate(model.config.label_names)
        if label in made.config.label_names
    ]
    for name in sorted(ours.keys() | theirs.keys()):
        of_labels = _OF_LABELS.search(name) is not None
        value = theirs.get(name)
        if value is None or name not in ours or ours[name].shape[of_labels:] != value.shape[of_labels:]:
            raise ConfigError(
                "model.kind", f"the detector to begin with has another shape: {name}", where=source,
                hint="the backbone and transformer of the recipe it was trained by",
            )  # fmt: skip
        if not of_labels:
            ours[name] = value
            continue
        # behind the labels, denoising has a row for no label at all
        rest = [(-1, -1)] * (len(value) > len(made.config.label_names))
        for at, place in [*places, *rest]:
            ours[name][at] = value[place]
    model.load_state_dict(ours)


def load_detector(run: Path | str, device: str | None = None) -> FilmDetector:
    """The detector of a run, on the GPU if there is one. Raises ``ConfigError``: ``model.missing``, ``model.kind``,
    ``model.damaged``."""
    folder = Path(run)
    hint = "radloop vision train-detector makes one"
    kind = kind_of(run, "trained detector", hint)
    if kind != FilmDetectorConfig.model_type:
        raise ConfigError("model.kind", f"this is a {kind}, not a detector", where=str(run), hint=hint)
    quiet()
    try:
        model: FilmDetector = FilmDetector.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # safetensors, torch and transformers raise their own kinds for damaged files
        raise ConfigError(
            "model.damaged", "its files cannot be read, or do not fit each other", where=str(run), hint="train it again"
        ) from error
    torch.nn.Module.to(model, torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    model.train(False)
    return model


def _begin_body(model: FilmDetector, recipe: DetectorRecipe) -> None:
    backbone = recipe.backbone
    seen = backbone.channels + count_of(backbone.extras)
    shape = backbone_config(backbone.kind, backbone.settings, seen, recipe.size).to_dict()
    bearer = FilmEncoder(FilmEncoderConfig(shape, ["none"], channels=backbone.channels, extras=backbone.extras))
    begin(bearer, backbone.source or "")
    state = bearer.backbone.state_dict()
    wanted = model.body.state_dict()
    lacking = [name for name in wanted if name not in state]
    if lacking and len(lacking) == len(wanted):
        raise ConfigError("model.kind", "the weights have no name that the detector knows", where=backbone.source or "")
    model.body.load_state_dict({name: state[name] for name in wanted if name in state}, strict=False)


def to_shares(boxes: Array, size: int) -> Array:
    """Corners [n, 4] in a square of ``size`` pixels as middle and sides, shares of the square."""
    low, high = boxes[:, :2] / size, boxes[:, 2:] / size
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def to_corners(shares: Array, size: int) -> Array:
    """The way back from ``to_shares``."""
    return np.concatenate([shares[:, :2] - shares[:, 2:] / 2, shares[:, :2] + shares[:, 2:] / 2], axis=1) * size


def boxes_found(
    logits: NDArray[np.float32], shares: NDArray[np.float32], transform: Transform, *, most: int, least: float,
    nms: float,
) -> list[tuple[int, tuple[float, float, float, float], float]]:  # fmt: skip
    """Label, corners in pixels of the film, and score of what was found on a film, by falling score.

    ``logits`` (Q, L), ``shares`` (Q, 4). At most ``most``, of scores of at least ``least``; of boxes of a label that
    overlap by more than ``nms`` the highest alone.
    """
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    corners = transform.to_image(to_corners(shares.astype(np.float64), transform.size))
    area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    scores[area <= 0] = -1
    order = np.argsort(-scores, axis=None, kind="stable")
    found: list[tuple[int, int]] = []
    kept: dict[int, list[int]] = {}
    overlaps = iou_matrix(corners, corners) if nms < 1 else None
    for at in order.tolist():
        query, label = divmod(at, scores.shape[1])
        if scores[query, label] < least or len(found) >= most:
            break
        if overlaps is not None and any(overlaps[query, other] > nms for other in kept.get(label, ())):
            continue
        kept.setdefault(label, []).append(query)
        found.append((query, label))
    return [
        (label, (float(x), float(y), float(right), float(bottom)), float(scores[query, label]))
        for query, label in found
        for x, y, right, bottom in [corners[query].tolist()]
    ]
