"""Augmentation of a batch on its device: affine, crop, brightness and contrast, noise; a flip only if asked for.

A horizontal flip turns a left effusion into a right one and dextrocardia into its absence, so the default is none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from vision.recipe import AugmentRecipe


def augmented(greys: Tensor, recipe: AugmentRecipe, draw: torch.Generator) -> Tensor:
    """Films [B, 1, S, S] in 0..1, each changed in its own way by numbers drawn on the CPU from ``draw``."""
    count = len(greys)
    matrices = affine_matrices(count, recipe, draw)
    moved = greys
    if not torch.equal(matrices, torch.eye(2, 3).expand(count, 2, 3)):
        grid = affine_grid(matrices.to(greys.device, greys.dtype), list(greys.shape), align_corners=False)
        # black beyond the film, as its padding is
        moved = grid_sample(greys, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return noisy(shaded(moved, recipe, draw), recipe, draw)


def affine_matrices(count: int, recipe: AugmentRecipe, draw: torch.Generator) -> Tensor:
    """For each film the matrix [2, 3] from its new coordinates to its old ones, both from -1 to 1."""
    angle, shear, zoom, across, down, flip, side, left, top = torch.rand(9, count, generator=draw)
    radians = (2 * angle - 1) * math.radians(recipe.degrees)
    slant = torch.tan((2 * shear - 1) * math.radians(recipe.shear))
    # a crop enlarges what it keeps, and lies anywhere in the film
    kept = recipe.crop + (1 - recipe.crop) * side
    scale = kept / (1 + (2 * zoom - 1) * recipe.zoom)
    mirror = torch.where(flip < recipe.flip, -1.0, 1.0)
    shift_x = (2 * across - 1) * 2 * recipe.shift + (2 * left - 1) * (1 - kept)
    shift_y = (2 * down - 1) * 2 * recipe.shift + (2 * top - 1) * (1 - kept)
    cosine, sine = torch.cos(radians) * scale, torch.sin(radians) * scale
    first = torch.stack([cosine * mirror, -sine + slant * cosine, shift_x], dim=1)
    second = torch.stack([sine * mirror, cosine + slant * sine, shift_y], dim=1)
    return torch.stack([first, second], dim=1)


def shaded(greys: Tensor, recipe: AugmentRecipe, draw: torch.Generator) -> Tensor:
    """Films with other contrast, about their mean, and other brightness; greys stay in 0..1."""
    if not recipe.contrast and not recipe.brightness:
        return greys
    contrast, brightness = (2 * torch.rand(2, len(greys), 1, 1, 1, generator=draw) - 1).to(greys.device, greys.dtype)
    mean = greys.mean(dim=(1, 2, 3), keepdim=True)
    changed: Tensor = ((greys - mean) * (1 + contrast * recipe.contrast) + mean + brightness * recipe.brightness).clamp(
        0, 1
    )
    return changed


def noisy(greys: Tensor, recipe: AugmentRecipe, draw: torch.Generator) -> Tensor:
    """Films with noise added, drawn where they are from a seed of ``draw``."""
    if not recipe.noise:
        return greys
    seed = int(torch.randint(2**31, (1,), generator=draw))
    local = torch.Generator(device=greys.device).manual_seed(seed)
    noise = torch.randn(greys.shape, generator=local, device=greys.device, dtype=greys.dtype)
    return (greys + recipe.noise * noise).clamp(0, 1)
