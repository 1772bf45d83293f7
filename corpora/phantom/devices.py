"""Devices, drawn into the layers of a frontal film; what an opacity's painter does, they do."""

from __future__ import annotations

from typing import Final

import numpy as np

from corpora.phantom.anatomy import Body, Pose
from corpora.phantom.frontal import Layers
from corpora.phantom.opacities import Painter
from corpora.phantom.plane import Map, Plane, Points, bend, ellipse, smooth, tube
from corpora.phantom.signs import Sign

#: A line thinner than this many pixels does not show.
_THINNEST: Final = 0.75


def _wire(plane: Plane, path: Points, radius: float, metal: float, layers: Layers) -> Map:
    """A line as opaque as ``metal`` cm of metal at its middle."""
    radius = max(radius, _THINNEST * plane.pixel)
    drawn = tube(plane, path, radius) / np.float32(2 * radius)
    drawn = smooth(drawn, 0.35)
    layers.metal += np.float32(metal) * drawn
    return drawn


def _ett(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    tip = 2.4 + 3.4 * sign.size
    path = bend((0.4, -9), (0.1, -3), (0.25, tip))
    wall = _wire(plane, path, 0.45, 0.022, layers)
    line = _wire(plane, path + np.array([0.34, 0]), 0.07, 0.09, layers)
    return [np.maximum(wall, line)]


def _feeding_tube(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    end = body.dome_right + body.dome_left - pose.lift() + 3.5
    path = bend((-0.6, -9), (0.7, 4), (0.9, 14), (2.0, end - 2), (5.0, end), (7.0, end + 1.5), count=40)
    return [_wire(plane, path, 0.14, 0.075, layers)]


def _central_line(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    side = sign.side
    neck = bend(
        (side * 4.6, -9), (side * 3.4, -3), (side * 2.2 - 0.3, 2.5), (-1.9, 6.0), (-2.1, 8.5 + 3 * sign.size), count=36
    )
    under = bend(
        (side * 11.0, 2.6), (side * 6.5, 1.4), (side * 3.0, 2.4), (-1.7, 5.4), (-2.1, 8.5 + 3 * sign.size), count=36
    )
    return [_wire(plane, neck if sign.seed % 2 else under, 0.11, 0.085, layers)]


def _picc(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    side = sign.side
    path = bend((side * 20.5, 12), (side * 17.5, 5), (side * 12, 1.6), (side * 6, 1.6), (side * 2.6, 2.8), (-1.8, 6.0),
                (-2.2, 9 + 3 * sign.size), count=48)  # fmt: skip
    return [_wire(plane, path, 0.08, 0.08, layers)]


def _port(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    side = sign.side
    middle = (side * 8.6, 5.0)
    ring = ellipse(plane, middle, (1.35, 1.35))
    disc = np.sqrt(ring) * np.float32(0.02) + (ring > 0) * np.exp(-(((ring - 0.45) / 0.2) ** 2)) * np.float32(0.05)
    layers.metal += disc
    path = bend(
        middle, (side * 7.6, 2.2), (side * 4.6, 1.6), (side * 2.2, 3.2), (-2.0, 7), (-2.1, 10 + 2 * sign.size), count=40
    )
    return [np.maximum(_wire(plane, path, 0.1, 0.08, layers), np.asarray(ring > 0, np.float32))]


def _pacemaker(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    side = sign.side
    x, y = (plane.u - np.float32(side * 9.0)) / np.float32(2.35), (plane.v - np.float32(4.2)) / np.float32(2.15)
    inside = np.clip((1 - (x**4 + y**4)) * 6, 0, 1).astype(np.float32)
    inner = np.clip((0.45 - (x**4 + (y + 0.15) ** 4)) * 6, 0, 1).astype(np.float32)
    layers.metal += np.float32(0.12) * inside + np.float32(0.12) * inner
    base = body.dome_right - 0.62 * pose.lift()
    leads = [
        bend(
            (side * 8.2, 2.4), (side * 5, 1.8), (-1.6, 4.6), (-2.2, 9), (-1.2, base - 3.4), (4.6, base - 0.9), count=44
        )
    ]
    if sign.seed % 3:
        leads.append(
            bend(
                (side * 8.6, 2.3), (side * 5, 2.1), (-1.3, 4.8), (-2.0, 9), (-2.4, base - 6), (-0.9, base - 8), count=40
            )
        )
    mark = inside
    for lead in leads:
        mark = np.maximum(mark, _wire(plane, lead, 0.09, 0.09, layers))
    tip = ellipse(plane, (4.6, base - 0.9), (0.22, 0.16))
    layers.metal += np.float32(0.15) * tip
    return [mark]


def _chest_tube(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    side = sign.side
    edge = float(body.cage_width()(15.0))
    path = bend(
        (side * (edge + 5), 18),
        (side * edge, 14.5),
        (side * (edge - 3.6), 9),
        (side * (5.5 + sign.size), 3.0),
        count=36,
    )
    wall = _wire(plane, path, 0.36, 0.012, layers)
    line = _wire(plane, path + np.array([0.26 * side, 0]), 0.06, 0.06, layers)
    return [np.maximum(wall, line)]


def _valve(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    """A prosthetic valve, with the wires of the sternotomy it went in by."""
    base = body.dome_right - 0.62 * pose.lift()
    turn = np.linspace(0, 2 * np.pi, 30)
    ring = np.stack([1.2 + 1.25 * np.cos(turn), base - 6.2 + 0.75 * np.sin(turn) + 0.35 * np.cos(turn)], axis=1)
    mark = _wire(plane, ring, 0.13, 0.14, layers)
    for number in range(6):
        level = 3.4 + 2.35 * number
        lean = 0.1 * (sign.seed % 5 - 2)
        loop = np.stack(
            [lean + 0.75 * np.cos(turn), level + 0.32 * np.sin(turn) + 0.12 * np.sin(3 * turn + number)], axis=1
        )
        mark = np.maximum(mark, _wire(plane, loop, 0.055, 0.1, layers))
    return [mark]


def electrodes(plane: Plane, layers: Layers, seed: int) -> None:
    """Electrodes of a monitor with their cables, over the chest."""
    rng = np.random.default_rng([seed, 9])
    for x, y in ((-9.5, 3.5), (9.5, 3.0), (8.5, 17.5)):
        x, y = x + rng.normal(0, 1.0), y + rng.normal(0, 1.0)
        layers.metal += np.float32(0.05) * np.sqrt(ellipse(plane, (x, y), (0.55, 0.55)))
        path = bend(
            (x, y), (x + rng.normal(0, 3), y + 6), (x + rng.normal(0, 4), y + 14), (rng.uniform(-16, 16), 34), count=30
        )
        _wire(plane, path, 0.06, 0.016, layers)


DEVICES: Final[dict[str, Painter]] = {
    "ett": _ett, "feeding_tube": _feeding_tube, "central_line": _central_line, "picc": _picc, "port": _port,
    "pacemaker": _pacemaker, "chest_tube": _chest_tube, "valve": _valve,
}  # fmt: skip
