"""Planes that are computed from a film and given to the network beside it.

contrast   a pixel against its surroundings, in their standard deviations: what exposure and window do not change
           (local normalisation, as LeCun et al. use it, "What is the best multi-stage architecture for object
           recognition?", ICCV 2009)
place      two planes, across and down, from -1 to 1: where a pixel lies (CoordConv, Liu et al., NeurIPS 2018)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

#: Planes by name.
COUNTS: Final = {"contrast": 1, "place": 2}
#: Cells a side in which surroundings are summed up; they reach over three, an eighth of the film.
_CELLS: Final = 24
#: Grey differences below this are noise: a plain region stays plain.
_LEAST: Final = 0.01


def count_of(names: Sequence[str]) -> int:
    """How many planes these names give."""
    return sum(COUNTS[name] for name in names)


def planes(greys: Tensor, names: Sequence[str]) -> list[Tensor]:
    """The planes, each [B, 1, S, S] and near -1 to 1, of films [B, 1, S, S] in 0..1."""
    found: list[Tensor] = []
    if "contrast" in names:
        found.append(local_contrast(greys))
    if "place" in names:
        found += places(greys)
    return found


def local_contrast(greys: Tensor) -> Tensor:
    """Greys less the mean of their surroundings, over the standard deviation there; half of it, cut at -2 and 2."""
    mean = _around(greys)
    deviation = (_around(greys * greys) - mean * mean).clamp_min(0).sqrt()
    return (0.5 * (greys - mean) / (deviation + _LEAST)).clamp(-2, 2)


def _around(values: Tensor) -> Tensor:
    """The mean about each pixel, by cells and between them: far fewer sums than about each pixel for itself."""
    side = values.shape[-1]
    cell = max(1, round(side / _CELLS))
    cells = avg_pool2d(values, cell, ceil_mode=True, count_include_pad=False)
    wide = avg_pool2d(cells, 3, stride=1, padding=1, count_include_pad=False)
    grown = interpolate(wide, scale_factor=float(cell), mode="bilinear", align_corners=False)
    return grown[..., :side, :side]


def places(greys: Tensor) -> list[Tensor]:
    """Two planes [B, 1, S, S]: across and down."""
    along = torch.linspace(-1, 1, greys.shape[-1], device=greys.device, dtype=greys.dtype)
    return [along.view(1, 1, 1, -1).expand_as(greys), along.view(1, 1, -1, 1).expand_as(greys)]
