"""Bones as clouds of points in three dimensions, each point so much bone, that any film can be laid under.

A long bone is a shell: where rays graze it, its edge shows white, as cortical bone does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from corpora.phantom.anatomy import FIRST_LEVEL, VERTEBRA, Body, Pose
from corpora.phantom.plane import Points, bend

#: Finest distance of points that is worth its time, cm.
_FINEST: Final = 0.028
_RIBS: Final = 10


@dataclass(frozen=True, slots=True)
class Cloud:
    """Points (n, 3) in cm and the volume of bone of each in cubic cm."""

    points: Points
    volume: Points


def joined(clouds: list[Cloud]) -> Cloud:
    """One cloud of several."""
    return Cloud(np.concatenate([c.points for c in clouds]), np.concatenate([c.volume for c in clouds]))


def shell(path: Points, half: tuple[float, float], up: Points, step: float, cortex: float, core: float) -> Cloud:
    """A bone along ``path`` (n, 3): an elliptic tube with half axes ``half`` along ``up`` and across, with a cortex
    ``cortex`` cm thick around spongy bone that is a share ``core`` as dense."""
    step = max(step, _FINEST)
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    at = np.concatenate([[0], np.cumsum(lengths)])
    count = max(4, int(at[-1] / step))
    along = (np.arange(count) + 0.5) * at[-1] / count
    middle = np.stack([np.interp(along, at, path[:, axis]) for axis in range(3)], axis=1)
    tangent = _unit(np.gradient(middle, axis=0))
    ups = np.broadcast_to(up, path.shape)
    upward = np.stack([np.interp(along, at, ups[:, axis]) for axis in range(3)], axis=1)
    across = _unit(np.cross(tangent, upward))
    upward = np.cross(across, tangent)
    around = max(12, int(2 * np.pi * max(half) / step))
    angles = np.arange(around) * 2 * np.pi / around
    # a bone ends round, and fades into its cartilage
    end = np.clip(np.minimum(along, at[-1] - along) / (1.2 * half[0]), 0, 1)
    swell, fade = np.sqrt(0.15 + 0.85 * end * (2 - end)), 0.25 + 0.75 * end
    upward, across = upward * (swell * half[0])[:, None], across * (swell * half[1])[:, None]
    turned = np.cos(angles)[:, None, None] * upward + np.sin(angles)[:, None, None] * across
    points, volumes = [], []
    for size, thick in ((1.0, cortex), (0.55, core * max(half) * 0.5)):
        points.append((middle + size * turned).reshape(-1, 3))
        arc = np.hypot(half[0] * np.sin(angles), half[1] * np.cos(angles)) * size * 2 * np.pi / around
        volumes.append(np.outer(arc * thick, fade * swell).ravel() * at[-1] / count)
    return Cloud(np.concatenate(points), np.concatenate(volumes))


def _unit(vectors: Points) -> Points:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


def rib_path(body: Body, pose: Pose, number: int, side: int) -> Points:
    """The middle line of a rib, 1 to 10, from the spine to its cartilage; side -1 is the right."""
    turn = np.linspace(0.012, 2.05 + 0.035 * number - (0.35 if number == 1 else 0) - 0.07 * max(0, number - 7), 60)
    drop = np.interp(number, [1, 2, 4, 7, 10], [5.0, 7.0, 10.5, 12.5, 12.0]) * (0.86 if pose.supine else 1.0)
    drop *= 1 - 0.25 * (1 - pose.breath)
    start = FIRST_LEVEL - 0.1 + VERTEBRA * 0.93 * (number - 1) + 0.25 * pose.lift() * 0.3
    y = start + drop * (1 - np.cos(turn)) / 2 - 0.7 * np.sin(turn) ** 2 * np.exp(-((turn - 0.5) ** 2) / 0.3)
    width, depth = body.cage_width()(y) + 0.35, body.cage_depth()(y) + 0.3
    # the gutters beside the spine: a rib runs sideways and back before it turns forward
    x = 1.25 * np.exp(-turn * 3) + width * np.sin(turn) ** 0.82
    z = -depth * np.cos(turn)
    return np.stack([side * x + body.spine(y) * np.exp(-turn * 1.5), y, z], axis=1)


Broken = tuple[tuple[str, int, int, float], ...]


def ribs(body: Body, pose: Pose, step: float, broken: Broken = ()) -> list[Cloud]:
    """The clouds of the ribs."""
    up = np.array([0.0, 1.0, 0.0])
    made = []
    for number in range(1, _RIBS + 1):
        for side in (-1, 1):
            high = (0.52 if number > 1 else 0.62) + 0.02 * min(number, 5)
            path = rib_path(body, pose, number, side)
            for part in _parts(path, _break_of("rib", number, side, broken), 1.7):
                made.append(shell(part, (high, 0.3), up, step, 0.1 * body.bone, 0.3 * body.bone))
    return made


def _break_of(bone: str, number: int, side: int, broken: Broken) -> float | None:
    """How far along a bone is broken; None if it is whole."""
    return next((along for what, which, where, along in broken if (what, which, where) == (bone, number, side)), None)


def _parts(path: Points, along: float | None, overlap: float) -> list[Points]:
    """The path, or of a broken bone its two parts, which lie beside each other for ``overlap`` cm: the second is
    out of line by a shaft's width, as a fracture that is called displaced, and ends where it always did."""
    if along is None:
        return [path]
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    middle = along * lengths[-1]
    fine = np.linspace(0, lengths[-1], 8 * len(path))
    whole = np.stack([np.interp(fine, lengths, path[:, axis]) for axis in range(3)], axis=1)
    first, second = whole[fine < middle + overlap / 2], whole[fine > middle - overlap / 2]
    beyond = fine[fine > middle - overlap / 2] - middle
    second[:, 1] += 1.0 * np.exp(-np.maximum(beyond, 0) / 5.0)
    return [first, second]


def clavicle(body: Body, pose: Pose, side: int, step: float, broken: Broken = ()) -> list[Cloud]:
    """The cloud of a clavicle; two of a broken one."""
    parts = _parts(clavicle_path(pose, side), _break_of("clavicle", 0, side, broken), 2.2)
    up = np.array([0.0, 1.0, 0.0])
    return [shell(part, (0.62, 0.5), up, step, 0.2 * body.bone, 0.25) for part in parts]


def clavicle_path(pose: Pose, side: int) -> Points:
    """The middle line of a clavicle from the sternum outwards."""
    rise = -1.6 if pose.supine else 0.0
    return bend((side * 1.7, 3.9 + rise * 0.4, 7.0), (side * 4.6, 3.5 + rise * 0.7, 7.6), (side * 9.0, 1.7 + rise, 5.5),
                (side * 12.5, 0.4 + rise, 2.5), (side * 15.6, 0.1 + rise, 0.0), count=50)  # fmt: skip


def shoulder(body: Body, pose: Pose, side: int, step: float) -> list[Cloud]:
    """Scapula and upper arm of a side. ``pose.scapula`` is how far the scapula is turned off the lung, cm."""
    out = pose.scapula
    inner, outer = side * (9.2 + out), side * (15.8 + 0.4 * out)
    up = np.array([0.0, 0.0, 1.0])
    # path, radius, thickness of the cortex: outer and inner border, spine, upper border, socket
    edges = [
        (((outer, 2.6, -5), (side * (12.6 + out), 7.5, -7.5), (side * (10.2 + out), 12.0, -8.5)), 0.5, 0.07),
        (((inner + side, 12.2, -8.6), (inner - side * 0.4, 7.0, -9), (inner + side * 0.9, 1.2, -7.5)), 0.25, 0.04),
        (
            ((inner + side * 0.4, 3.2, -9), (side * (12.5 + out), 0.9, -9.2), (outer + side * 1.2, -1.0, -7.0)),
            0.5,
            0.05,
        ),
        (((inner + side * 0.9, 1.2, -7.5), (side * (11.8 + out), -0.2, -6), (outer - side * 1.6, 0.9, -4)), 0.4, 0.03),
        (((outer + side * 0.2, 1.0, -4.5), (outer, 2.4, -4.6), (outer - side * 0.2, 3.9, -4.8)), 0.5, 0.07),
    ]
    bones = [
        shell(bend(*knots), (r, r * 0.8), up, step, cortex * body.bone, 0.06 * body.bone) for knots, r, cortex in edges
    ]
    arm = bend(
        (side * (17.6 + 0.4 * out), 2.6, -3),
        (side * (19.0 + 0.4 * out), 9, -3),
        (side * (20.5 + 0.4 * out), 22, -3),
        count=20,
    )
    bones.append(shell(arm, (1.15, 1.15), up, step, 0.24 * body.bone, 0.03))
    return bones


def rotated(points: Points, yaw: float) -> Points:
    """Points (n, 3) after the patient turned about the long axis by ``yaw`` radians."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack(
        [cos * points[:, 0] + sin * points[:, 2], points[:, 1], cos * points[:, 2] - sin * points[:, 0]], axis=1
    )
