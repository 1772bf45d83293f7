"""Findings in lung, pleura and bone, drawn into the layers of a film.

Each painter changes the layers and gives back one map for each lesion, positive where the lesion shows, from which its
box is taken; none if it does not show in this view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from corpora.phantom.anatomy import Body, Pose
from corpora.phantom.frontal import AERATED, Layers, apex_line, step_down
from corpora.phantom.plane import Map, Plane, Points, bend, clouds, ellipse, smooth, splat, tube
from corpora.phantom.signs import Sign, broken_at, rib_numbers
from corpora.phantom.skeleton import clavicle_path, rib_path, rotated

Painter = Callable[[Sign, Plane, Body, Pose, Layers], list[Map]]

_SOLID: Final = np.float32(1 - AERATED)


def _rng(sign: Sign) -> np.random.Generator:
    return np.random.default_rng([sign.seed, 7])


def _nodule(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    rng = _rng(sign)
    radius = {"nodule": 0.6 + 0.9 * sign.size, "mass": 1.7 + 1.8 * sign.size, "cavity": 1.3 + 1.6 * sign.size}[
        sign.kind
    ]
    middle = (sign.at[0], sign.at[1] * (1 - pose.lift() / 24))
    lump = plane.zeros()
    for _ in range(4):
        off = rng.normal(0, 0.16 * radius, 2)
        half = radius * rng.uniform(0.8, 1.0, 2)
        lump = np.maximum(
            lump, ellipse(plane, (middle[0] + off[0], middle[1] + off[1]), (half[0], half[1]), rng.uniform(0, 3))
        )
    added = smooth(lump, 0.05 / plane.pixel) * np.float32(2 * radius * 1.15)
    if sign.kind == "cavity":
        inner = ellipse(plane, (middle[0], middle[1] - 0.1 * radius), (0.66 * radius, 0.62 * radius))
        added = np.asarray(added - inner * np.float32(2 * 0.66 * radius * 1.25), np.float32)
    shown = np.clip(layers.lung, 0, None) > 0.4
    # a small one that a film shows is a dense one, often with calcium in it
    dense = 1.85 - 0.6 * sign.size if sign.kind == "nodule" else 1.25
    layers.soft += _SOLID * np.float32(dense) * added * shown
    return [lump * shown]


def _cloud(sign: Sign, plane: Plane, middle: tuple[float, float], half: tuple[float, float], ragged: float) -> Map:
    """A share, 0 to 1, of a region with ragged edges and uneven density."""
    rng = _rng(sign)
    tilt = float(rng.uniform(-0.5, 0.5))
    core = ellipse(plane, middle, (half[0] * 1.25, half[1] * 1.25), tilt)
    noise = clouds(plane, rng, (0.8, 1.7, 3.0))
    return np.asarray(np.clip(core * (1.0 + ragged * noise) * 1.4 - 0.3, 0, 1), np.float32) * (core > 0)


def _patch(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    size = 1.9 + 2.6 * sign.size
    dense = {
        "patch": 0.28 + 0.14 * sign.size,
        "pneumonia": 0.38 + 0.2 * sign.size,
        "consolidation": 0.6 + 0.25 * sign.size,
    }[sign.kind]
    middle = (sign.at[0], sign.at[1] * (1 - pose.lift() / 24))
    share = _cloud(sign, plane, middle, (size * 1.1, size * 0.85), 0.25 if sign.kind == "consolidation" else 0.4)
    lung = layers.lungs[sign.side or 1]
    depth = np.minimum(lung, np.float32(2.2 * size))
    added = np.float32(dense) * share * depth
    if sign.kind != "patch":
        added = added * (1 - np.float32(0.4) * _bronchi(sign, plane, middle, size))
    layers.soft += added
    return [added]


def _bronchi(sign: Sign, plane: Plane, middle: tuple[float, float], size: float) -> Map:
    """Air in the bronchi that run through a consolidation, 0 to 1."""
    rng = _rng(sign)
    total = plane.zeros()
    side = np.sign(middle[0]) or 1.0
    for _ in range(5):
        angle = rng.uniform(-0.9, 1.1)
        start = (middle[0] - side * size * 0.7, middle[1] - size * 0.4 + rng.normal(0, 0.5))
        end = (start[0] + side * size * 1.5 * np.cos(angle), start[1] + size * 1.5 * np.sin(angle))
        bow = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + rng.normal(0, 0.3))
        total = np.maximum(total, tube(plane, bend(start, bow, end, count=8), 0.1 + 0.03 * size / 3) * np.float32(4))
    return np.clip(smooth(total, 0.05 / plane.pixel), 0, 1)


def _edema(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    marks = []
    squeeze = 1 - pose.lift() / 24
    noise = clouds(plane, _rng(sign), (0.4, 1.0, 2.5))
    for side in (-1, 1):
        wing = ellipse(plane, (side * 6.2, 12.2 * squeeze), (6.8, 8.6), 0.0)
        haze = np.clip(wing * (1 + 0.1 * noise) * 1.3 - 0.25, 0, 1)
        added = (
            np.float32(0.1 + 0.2 * sign.size) * haze * layers.lungs[side]
            + np.float32(0.15 * sign.size) * layers.vessels[side]
        )
        added += _septal_lines(sign, plane, body, side) * np.clip(layers.lungs[side] / 3, 0, 1)
        layers.soft += added
        marks.append(haze * np.clip(layers.lungs[side], 0, 6))
    return marks


def _septal_lines(sign: Sign, plane: Plane, body: Body, side: int) -> Map:
    rng = np.random.default_rng([sign.seed, 8, side + 1])
    points, weights = [], []
    for level in np.arange(15.5, 21, 0.75):
        edge = float(body.cage_width()(level)) - 0.5
        t = np.linspace(0, 1, 40)
        length = rng.uniform(0.9, 1.7)
        points.append(np.stack([side * (edge - length * t), level + rng.normal(0, 0.2) + 0.15 * t], axis=1))
        weights.append(np.full(40, 0.0035 * length / 1.3 * 2.5))
    return splat(plane, np.concatenate(points), np.concatenate(weights), 0.045)


def _interstitial(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    noise = clouds(plane, _rng(sign), (0.32, 0.55))
    net = np.exp(-((noise / np.float32(0.42)) ** 2))
    low = step_down(np.float32(11.5) - plane.v, 2.2)
    marks = []
    for side in (-1, 1):
        rim = np.clip(np.abs(plane.u) / body.cage_width()(plane.v), 0, 1) ** 2
        share = low * (0.35 + 0.65 * rim)
        added = np.float32(1.4 + 1.6 * sign.size) * net * share * np.clip(layers.lungs[side] / 5, 0, 1)
        layers.soft += added
        marks.append(smooth(added, 0.4 / plane.pixel))
    return marks


def _plates(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    marks = []
    rng = _rng(sign)
    for side in sign.sides:
        lines = plane.zeros()
        top = body.dome_right + (body.dome_left if side > 0 else 0) - pose.lift() - 0.6
        for number in range(1 + int(2.5 * sign.size + rng.random())):
            level = top - 1.3 - 1.35 * number + rng.normal(0, 0.2)
            left = side * rng.uniform(3.6, 5.5)
            right = left + side * rng.uniform(3.5, 6.5)
            path = bend(
                (left, level),
                ((left + right) / 2, level + rng.normal(0, 0.25)),
                (right, level + rng.uniform(-1.2, 0.7)),
                count=10,
            )
            lines = np.maximum(lines, tube(plane, path, 0.18 + 0.17 * sign.size) * np.float32(4.2))
        added = smooth(lines, 0.12 / plane.pixel) * np.clip(layers.lungs[side] / 2, 0, 1)
        layers.soft += added
        marks.append(added)
    return marks


def _basal_collapse(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    marks = []
    for side in sign.sides:
        top = body.dome_right + (body.dome_left if side > 0 else 0) - pose.lift()
        noise = clouds(plane, _rng(sign), (0.6, 1.6))
        reach = 2.2 + 3.2 * sign.size
        inner = np.exp(-(((np.abs(plane.u) - 4.5) / np.float32(4.6)) ** 2))
        share = step_down(np.float32(top - reach) + 0.35 * noise - plane.v - 1.0 * inner, 0.55) * inner
        added = np.float32(0.35 + 0.3 * sign.size) * share * layers.lungs[side]
        layers.soft += added
        marks.append(added)
    return marks


def wall_distance(plane: Plane, body: Body) -> Map:
    """How far inside the rib cage a pixel is, from the side wall or the apex, cm; negative outside."""
    across = np.abs(plane.u)
    side = body.cage_width()(plane.v) - across
    above = plane.v - apex_line(across)
    return np.asarray(np.minimum(side, above * np.float32(0.8)), np.float32)


def _pneumothorax(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    side = sign.side
    distance = wall_distance(plane, body)
    gap = (0.9 + 5.2 * sign.size) * np.clip(1.08 - (plane.v + 1) / (17 + 12 * sign.size), 0.0, 1.0)
    gap = gap + np.float32(0.25) * np.sin(plane.v * np.float32(0.55) + sign.seed % 7) * np.clip(gap, 0, 1)
    outside = step_down(distance - gap, 0.05) * (layers.lungs[side] > 0.05)
    lost = np.float32(AERATED) * layers.lungs[side] + layers.vessels[side]
    line = (
        np.exp(-(((distance - gap) / np.float32(max(0.075, plane.pixel * 0.7))) ** 2))
        * (gap > 0.25)
        * (layers.lungs[side] > 0.3)
    )
    denser = np.float32(0.07 * sign.size) * layers.lungs[side] * (1 - outside)
    layers.soft += denser + np.float32(1.15) * line - outside * lost
    layers.vessels[side] = layers.vessels[side] * (1 - outside)
    return [(outside * (gap > 0.1) + line).astype(np.float32)]


def _effusion(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    return [_fluid(sign, plane, body, pose, layers, side) for side in sign.sides]


def _fluid(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers, side: int) -> Map:
    """Fluid up to a level that rises along the wall; lying down, a veil over the lower lung."""
    lung = layers.lungs[side]
    low = body.dome_right + (body.dome_left if side > 0 else 0) - pose.lift()
    size = sign.size * (1.0 if side == sign.side or (sign.side == 0 and (sign.seed + side) % 4) else 0.6)
    wall = np.maximum(body.cage_width()(plane.v) - np.abs(plane.u), 0)
    level = low + 1.9 - 10.0 * size**1.5
    rise = (2.6 + 2.2 * size) * np.exp(-wall / np.float32(1.5 + 1.6 * size)) + 0.7 * size * np.exp(
        -(((np.abs(plane.u) - 3) / np.float32(2.0)) ** 2)
    )
    share = 1 - step_down(plane.v - level + rise, 0.3 + (1.5 if pose.supine else 0.0))
    share = share * (1 - np.exp(-((plane.u / np.float32(2.6)) ** 2)))
    added = _SOLID * share * lung * np.float32(0.65 if pose.supine else 0.95)
    angle = (
        np.exp(-((wall / 1.6) ** 2))
        * (1 - step_down(plane.v - low - 1.5 + 3 * size, 0.3))
        * (np.sign(plane.u) == side)
        * (layers.cage > 0.3)
    )
    added = added + np.float32(1.6) * angle
    layers.soft += added
    return np.asarray(added, np.float32)


def _thickening(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    """A rim of scar between lung and wall, which the rays graze: over the apex, or along a stretch of the side wall."""
    marks = []
    apical = sign.kind == "apical_thickening"
    wobble = np.clip(1 + 0.3 * clouds(plane, _rng(sign), (1.5, 3.0)), 0.3, 1.8)
    if apical:
        distance, reach = wall_distance(plane, body), step_down(plane.v - np.float32(2.6 + 0.8 * sign.size), 0.5)
    else:
        # below the apex, where the wall runs up and down
        middle, half = max(sign.at[1], 9.0), 4.0 + 1.6 * sign.size
        distance = np.asarray(body.cage_width()(plane.v) - np.abs(plane.u), np.float32)
        reach = step_down(np.abs(plane.v - np.float32(middle)) - np.float32(half), 0.6)
    thick = (np.float32(0.75) + np.float32(1.0 * sign.size)) * wobble
    for side in sign.sides:
        band = step_down(distance - thick, 0.1) * reach * (layers.lungs[side] > 0.05)
        # what a ray goes through on a chord along the curved wall
        added = np.float32(2.6 + 2.2 * sign.size) * band
        layers.soft += added
        marks.append(added)
    return marks


def _plaque(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    """Calcified plaques, two or three on a side, each like a leaf of holly: a white, ragged rim and a paler middle."""
    rng = _rng(sign)
    grain = np.clip(0.9 + 0.4 * clouds(plane, rng, (0.4, 0.9)), 0.2, 1.6)
    marks = []
    for number in range(2 + (sign.size > 0.5)):
        middle = (sign.at[0] + rng.normal(0, 0.8), sign.at[1] + 3.2 * (number - (sign.at[1] > 11) * 1.5))
        shape = ellipse(plane, middle, (1.7 + 0.9 * sign.size, 0.9 + 0.6 * sign.size), float(rng.uniform(-0.6, 0.6)))
        leaf = np.clip(2.6 * shape * grain - 0.6, 0, 1)
        rim = leaf * (1 - np.float32(0.6) * shape * shape)
        added = np.float32(0.75 + 0.35 * sign.size) * rim * (layers.lungs[sign.side or 1] > 0.3)
        layers.bone += added
        marks.append(np.asarray(added, np.float32))
    return marks


def _rib(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    callus = 0.6 + 0.35 * sign.size if sign.kind == "healed_rib" else 0.5 + 0.2 * sign.size
    paths = [rib_path(body, pose, number, sign.side) for number in rib_numbers(sign)]
    return [_bone_mark(sign, plane, pose, layers, path, callus) for path in paths]


def _clavicle(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    return [_bone_mark(sign, plane, pose, layers, clavicle_path(pose, sign.side), 0.0)]


def _bone_mark(sign: Sign, plane: Plane, pose: Pose, layers: Layers, path: Points, callus: float) -> Map:
    """Where a bone is broken: ``callus`` cm of new bone around it, through which a line still runs if it is fresh."""
    at = round(broken_at(sign) * (len(path) - 1))
    before, place, after = rotated(path[[at - 1, at, at + 1]], pose.yaw)[:, :2]
    if not callus:
        return ellipse(plane, (place[0], place[1]), (1.5, 1.5))
    along = np.asarray((after - before) / max(float(np.linalg.norm(after - before)), 1e-6), np.float32)
    lump = ellipse(plane, (place[0], place[1]), (1.4, 1.0), float(np.arctan2(along[1], along[0])))
    added = np.float32(callus) * lump
    if sign.kind == "rib_fracture":
        ahead = (plane.u - np.float32(place[0])) * along[0] + (plane.v - np.float32(place[1])) * along[1]
        line = np.exp(-((ahead / np.float32(max(0.16, plane.pixel))) ** 2))
        added = added * (1 - line) - np.float32(0.45) * line * np.minimum(layers.bone, 0.5) * np.sqrt(lump)
    layers.bone += added
    return lump


def _heart(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    return [np.asarray(layers.heart * (layers.heart > 3.0), np.float32)]


def _wide(sign: Sign, plane: Plane, body: Body, pose: Pose, layers: Layers) -> list[Map]:
    return [np.asarray((layers.mediastinum > 3.5) & (plane.v > 0.5) & (plane.v < 11), np.float32)]


PAINTERS: Final[dict[str, Painter]] = {
    "large_heart": _heart, "wide_mediastinum": _wide, "nodule": _nodule, "mass": _nodule, "cavity": _nodule,
    "patch": _patch, "pneumonia": _patch, "consolidation": _patch, "interstitial": _interstitial, "edema": _edema,
    "plates": _plates, "basal_collapse": _basal_collapse, "pneumothorax": _pneumothorax, "effusion": _effusion,
    "apical_thickening": _thickening, "lateral_thickening": _thickening, "plaque": _plaque, "rib_fracture": _rib,
    "healed_rib": _rib, "clavicle_fracture": _clavicle,
}  # fmt: skip
