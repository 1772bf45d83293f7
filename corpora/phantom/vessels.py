"""The vessels of the lungs: two trees that branch from the hila, the same for every film of a patient."""

from __future__ import annotations

from typing import Final

import numpy as np

from corpora.phantom.anatomy import Body
from corpora.phantom.plane import Map, Plane, Points, splat

HILUM: Final = {-1: (-3.5, 10.6, -0.5), 1: (3.9, 9.7, -0.5)}
_LEVELS: Final = 6
_FIRST: Final = 11
#: Vessels of like width are blurred together.
_BINS: Final = ((0.0, 0.075), (0.075, 0.14), (0.14, 0.26), (0.26, 0.9))


def vessel_tree(body: Body, side: int, step: float) -> tuple[Points, Points, Points]:
    """Points (n, 3) along the vessels of a lung, the radius at each, and the length it stands for, in cm.

    ``step`` is about the distance of the points.
    """
    rng = np.random.default_rng([body.seed, 2, side + 1])
    start = np.tile(np.array(HILUM[side]), (_FIRST, 1)) + rng.normal(0, 0.35, (_FIRST, 3))
    angle = np.linspace(-1.35, 1.5, _FIRST) + rng.normal(0, 0.1, _FIRST)
    depth = rng.uniform(-0.7, 0.7, _FIRST)
    going = np.stack([side * np.cos(angle) * 0.9 + side * 0.1, np.sin(angle), depth], axis=1)
    radius = rng.uniform(0.3, 0.46, _FIRST) * np.where(angle > 0, 1.15, 0.85)
    length = rng.uniform(2.2, 3.2, _FIRST) * (1 + 0.45 * np.clip(angle, 0, 1))
    points, radii, lengths = [], [], []
    for _ in range(_LEVELS):
        going /= np.linalg.norm(going, axis=1, keepdims=True)
        count = max(4, int(length.max() / step))
        t = np.linspace(0, 1, count, endpoint=False)[:, None, None]
        sway = rng.normal(0, 0.12, going.shape) * length[:, None]
        path = start + t * going * length[:, None] + 4 * t * (1 - t) * sway
        points.append(path.reshape(-1, 3))
        radii.append((radius * (1 - 0.2 * t[..., 0])).ravel())
        lengths.append(np.tile(length / count, count))
        start, going, radius, length = _forked(path[-1], going, radius, length, rng)
    return np.concatenate(points), np.concatenate(radii), np.concatenate(lengths)


def _forked(end: Points, going: Points, radius: Points, length: Points, rng: np.random.Generator) -> tuple[Points, ...]:
    spread = rng.normal(0, 1, going.shape)
    spread -= (spread * going).sum(axis=1, keepdims=True) * going
    spread /= np.linalg.norm(spread, axis=1, keepdims=True)
    wide = rng.uniform(0.25, 0.5, len(going))[:, None]
    narrow = rng.uniform(0.45, 0.8, len(going))[:, None]
    return (
        np.concatenate([end, end]),
        np.concatenate([going + wide * spread, going - narrow * spread]),
        np.concatenate([radius * 0.77, radius * 0.64]),
        np.concatenate([length * 0.88, length * 0.78]) * rng.uniform(0.8, 1.15, 2 * len(length)),
    )


def vessel_map(plane: Plane, points: Points, radii: Points, lengths: Points, thicker: float = 1.0) -> Map:
    """The thickness in cm of vessels whose points (n, 2) lie on the film."""
    total = plane.zeros()
    for low, high in _BINS:
        chosen = (radii >= low) & (radii < high)
        if chosen.any():
            r = radii[chosen] * thicker
            total += splat(plane, points[chosen], np.pi * r * r * lengths[chosen], 0.5 * float(np.sqrt((r * r).mean())))
    return total
