"""Maps of where a network sees a label: Grad-CAM, and principal components of the weighted features.

    feature map [B, C, h, w] -> mean -> head [B, K] -> the output of each label

Both weigh the channels by the gradient of the label's own output; of a label with three outputs it is the positive one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

METHODS: Final = ("grad-cam", "pca")


def label_maps(feature_map: Tensor, head: Callable[[Tensor], Tensor], columns: Sequence[int], method: str) -> Tensor:
    """Maps [B, L, h, w], 0 to 1, of the head's outputs at ``columns`` over a ``feature_map`` [B, C, h, w].

    ``grad-cam`` is Selvaraju et al. 2017: channels summed by their weights, what speaks against the label cut off.
    ``pca`` is the first principal component, over positions, of the weighted channels (after Muhammad and Yeasin 2020),
    turned so that it rises with the weighted sum. A map of zeros says that nothing speaks for the label. Raises
    ``ValueError`` for another method.
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}")
    features = feature_map.detach().float().requires_grad_()
    with torch.enable_grad():
        outputs = head(features.mean(dim=(2, 3)))
        maps = []
        for column in columns:
            (gradient,) = torch.autograd.grad(outputs[:, column].sum(), features, retain_graph=True)
            weighted = gradient.mean(dim=(2, 3), keepdim=True) * features.detach()
            maps.append(weighted.sum(dim=1) if method == "grad-cam" else _component(weighted))
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
