"""Maps of where a network sees a label: Grad-CAM, LayerCAM, and principal components of the weighted features.

    films [B, 1, S, S] -> features of a stage [B, C, h, w] -> ... -> gathered -> head [B, K] -> the output of each label

All weigh the features by the gradient of the label's own output; of a label with three outputs it is the positive one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.errors import ConfigError

if TYPE_CHECKING:
    from vision.encoder import FilmEncoder

METHODS: Final = ("grad-cam", "layer-cam", "pca")
_CELLS: Final = 7


def seen(model: FilmEncoder, greys: Tensor, stage: int = 1) -> tuple[Tensor, Tensor]:
    """Features [B, C, h, w] of a stage of the network, a leaf of the graph, and the head's outputs [B, K].

    ``stage`` counts from the last, which is 1. Raises ``ConfigError`` (``config.value``) if there is no such stage.
    """
    found: list[Tensor] = []

    def cut(module: Any, inputs: Any, output: Tensor) -> Tensor:
        found.append(output.detach().requires_grad_())
        return found[0]

    with torch.enable_grad():
        if stage == 1:
            with torch.no_grad():
                last = model.features(greys).float()
            cut(None, None, last)
            return found[0], model.judged(found[0])[0]
        handle = _stages(model, stage).register_forward_hook(cut)
        try:
            last = model.features(greys)
        finally:
            handle.remove()
        return found[0], model.judged(last.float())[0]


def stage_for(model: FilmEncoder, side: int) -> int:
    """The last stage whose map of a film of ``side`` pixels has at least 7 cells a side, as that of a ResNet for 224
    pixels has: a map of fewer cells points at quarters of the film. The first stage, if none has."""
    stage, greys = 1, torch.zeros(1, 1, side, side, device=model.device)
    while True:
        if seen(model, greys, stage)[0].shape[-1] >= _CELLS or stage >= len(_all_stages(model)):
            return stage
        stage += 1


def _all_stages(model: FilmEncoder) -> Any:
    return getattr(getattr(model.backbone, "encoder", None), "stages", [])


def _stages(model: FilmEncoder, stage: int) -> Any:
    stages = _all_stages(model)
    if not 1 <= stage <= len(stages):
        raise ConfigError(
            "config.value", f"no stage {stage} of this network", where="--stage",
            hint=f"it has {max(1, len(stages))}, counted from the last, which is 1",
        )  # fmt: skip
    return stages[-stage]


def label_maps(features: Tensor, outputs: Tensor, columns: Sequence[int], method: str) -> Tensor:
    """Maps [B, L, h, w], 0 to 1, of the ``outputs`` [B, K] at ``columns`` over the ``features`` [B, C, h, w] they came
    from.

    ``grad-cam`` is Selvaraju et al. 2017: channels summed by the mean of their gradient, what speaks against the label
    cut off. ``layer-cam`` is Jiang et al. 2021: each feature by its own gradient where that is positive, which stays
    sharp in early stages. ``pca`` is the first principal component, over positions, of the channels weighted as in
    Grad-CAM (after Muhammad and Yeasin 2020), turned so that it rises with their sum. A map of zeros says that nothing
    speaks for the label. Raises ``ValueError`` for another method.
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}")
    maps = []
    for column in columns:
        (gradient,) = torch.autograd.grad(outputs[:, column].sum(), features, retain_graph=True)
        weights = gradient.clamp(min=0) if method == "layer-cam" else gradient.mean(dim=(2, 3), keepdim=True)
        weighted = weights * features.detach()
        maps.append(_component(weighted) if method == "pca" else weighted.sum(dim=1))
    return _scaled(torch.stack(maps, dim=1).clamp(min=0))


def _component(weighted: Tensor) -> Tensor:
    """The scores [B, h, w] on the first principal component of channels [B, C, h, w], positions being the samples."""
    batch, _, height, width = weighted.shape
    samples = weighted.flatten(2).transpose(1, 2)
    centred = samples - samples.mean(dim=1, keepdim=True)
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    scores = left[..., 0] * values[..., :1]
    total = samples.sum(dim=2)
    # the sign of a component is free
    along = (scores * (total - total.mean(dim=1, keepdim=True))).sum(dim=1, keepdim=True)
    turned: Tensor = scores * torch.where(along < 0, -1.0, 1.0)
    return turned.reshape(batch, height, width)


def _scaled(maps: Tensor) -> Tensor:
    highest = maps.amax(dim=(2, 3), keepdim=True)
    return torch.where(highest > 0, maps / highest.clamp(min=torch.finfo(maps.dtype).tiny), torch.zeros_like(maps))


def enlarged(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Maps (..., h, w) over a square of ``size`` pixels, bilinear: shape (..., size, size)."""
    flat = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).reshape(-1, 1, *values.shape[-2:])
    grown = torch.nn.functional.interpolate(flat, size=(size, size), mode="bilinear", align_corners=False)
    return np.asarray(grown.reshape(*values.shape[:-2], size, size).numpy())
