"""Findings on a lateral film: those that show there. Boxes are for frontal films; the maps say that they show."""

from __future__ import annotations

from typing import Final

import numpy as np

from corpora.phantom.anatomy import Body, Pose
from corpora.phantom.frontal import AERATED, Layers, step_down
from corpora.phantom.opacities import Painter
from corpora.phantom.plane import Map, Plane, bend, clouds, ellipse, smooth, tube
from corpora.phantom.signs import Sign

_SOLID: Final = np.float32(1 - AERATED)


def _focal(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    size = {"nodule": 0.55 + 0.85 * sign.size, "mass": 1.7 + 1.8 * sign.size, "cavity": 1.3 + 1.6 * sign.size}
    radius = size.get(sign.kind, 1.9 + 2.4 * sign.size)
    dense = 1.2 if sign.kind in size else {"patch": 0.3, "pneumonia": 0.5}.get(sign.kind, 0.75)
    middle = (-sign.at[2] + 0.8, sign.at[1] * (1 - pose.lift() / 24))
    lump = ellipse(plane, middle, (radius, radius * 0.9))
    if sign.kind not in size:
        noise = clouds(plane, np.random.default_rng([sign.seed, 7]), (0.8, 1.7, 3.0))
        lump = np.clip(lump * (1 + 0.3 * noise), 0, 1).astype(np.float32)
    added = np.float32(dense) * _SOLID * 2 * np.float32(radius) * lump * np.clip(layers.lung / 3, 0, 1)
    layers.soft += added
    return [added]


def _effusion(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    """Fluid lies deepest behind, and rises along both walls of the chest."""
    share = 1.0 if sign.side == 0 else 0.55
    low = body.dome_right - pose.lift() + 3.4
    back = np.exp(-np.maximum(7.5 - plane.u, 0) / np.float32(2.0 + 1.5 * sign.size))
    front = np.exp(-np.maximum(plane.u + 8.5, 0) / np.float32(1.6))
    level = low + 1.0 - 10.5 * sign.size**1.5 - (2.2 + 2.0 * sign.size) * back - 1.2 * front
    added = np.float32(share) * _SOLID * (1 - step_down(plane.v - level, 0.35)) * layers.lung
    layers.soft += added
    return [added]


def _haze(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    wing = ellipse(plane, (1.0, 12.0), (6.5, 8.5))
    added = np.float32(0.1 + 0.16 * sign.size) * wing * layers.lung
    layers.soft += added
    return [added]


def _net(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    noise = clouds(plane, np.random.default_rng([sign.seed, 7]), (0.32, 0.55))
    share = step_down(np.float32(11.5) - plane.v, 2.2) * np.clip(layers.lung / 8, 0, 1)
    added = np.float32(1.0 + 1.0 * sign.size) * np.exp(-((noise / np.float32(0.42)) ** 2)) * share
    layers.soft += added
    return [added]


def _pacemaker(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    box = tube(plane, bend((-8.6, 2.6), (-9.4, 6.0), count=4), 0.5) * np.float32(0.12)
    lead = tube(
        plane, bend((-8.4, 2.6), (-3.5, 3.5), (-0.5, 9), (-2.0, 14), (-6.5, 18.6)), max(0.09, 0.75 * plane.pixel)
    )
    added = box + smooth((lead > 0).astype(np.float32) * np.float32(0.08), 0.35)
    layers.metal += added
    return [added]


def _valve(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    turn = np.linspace(0, 2 * np.pi, 30)
    path = np.stack([-1.6 + 0.6 * np.cos(turn), 14.6 + 1.2 * np.sin(turn)], axis=1)
    ring = tube(plane, path, max(0.13, 0.75 * plane.pixel)) > 0
    added = smooth(ring.astype(np.float32) * np.float32(0.12), 0.35)
    layers.metal += added
    return [added]


SIDE_PAINTERS: Final[dict[str, Painter]] = {
    "nodule": _focal, "mass": _focal, "cavity": _focal, "patch": _focal, "pneumonia": _focal, "consolidation": _focal,
    "effusion": _effusion, "edema": _haze, "interstitial": _net, "pacemaker": _pacemaker, "valve": _valve,
}  # fmt: skip
