"""The lateral film of a body: the same shapes seen from the side, the back to the right."""

from __future__ import annotations

from typing import Final

import numpy as np

from corpora.phantom.anatomy import BODY_DEPTH, BODY_WIDTH, FIRST_LEVEL, VERTEBRA, Body, Pose
from corpora.phantom.frontal import AERATED, Build, Layers, step_down
from corpora.phantom.plane import (
    Map,
    Plane,
    Points,
    bend,
    chord,
    clouds,
    ellipse,
    fourth,
    profile,
    smooth,
    splat,
    tube,
    union,
)
from corpora.phantom.skeleton import joined, ribs, shell, shoulder
from corpora.phantom.vessels import vessel_map, vessel_tree

#: How far the middle of the chest lies behind the film's middle at each level, cm: the kyphosis.
_LEAN: Final = profile((-9, -1.2), (-2, 0.6), (5, 1.2), (12, 0.6), (20, -0.3), (34, -0.8))
_SPINE: Final = profile((-9, 3.4), (-3, 5.0), (2, 6.6), (8, 7.6), (14, 7.4), (22, 6.2), (30, 4.8), (34, 4.2))
_MIDDLE: Final = profile((-9, 5.5), (-1, 6.0), (3, 5.6), (8, 6.0), (13, 5.0), (34, 5.0))


def flat(points: Points) -> Points:
    """Points (n, 3) as a lateral film sees them: the back to the right."""
    return np.stack([-points[:, 2], points[:, 1]], axis=1)


def lateral(plane: Plane, body: Body, pose: Pose, build: Build) -> Layers:
    """The layers of a lateral film. ``lungs`` and ``vessels`` of the sides are halves of the whole."""
    cage = _cage(plane, body)
    heart = _heart(plane, body, pose, build)
    mediastinum = _mediastinum(plane, body, cage)
    domes = {side: _dome(plane, body, pose, build, side) for side in (-1, 1)}
    half = np.maximum((cage - union(heart, mediastinum)) / 2, 0)
    lungs = {side: half * np.clip(1 - domes[side], 0, 1) for side in (-1, 1)}
    vessels = {side: _vessels(plane, body, pose, side, lungs[side]) for side in (-1, 1)}
    room = lungs[-1] + lungs[1]
    soft = _body(plane, body) - (1 - np.float32(AERATED)) * room + vessels[-1] + vessels[1]
    soft += _texture(plane, body) * room - _airway(plane, pose) - _bubble(plane, body, pose, domes[1])
    return Layers(np.maximum(soft, 0), _bones(plane, body, pose), plane.zeros(), cage, heart, mediastinum,
                  np.maximum(domes[-1], domes[1]) * cage, lungs, vessels)  # fmt: skip


def _body(plane: Plane, body: Body) -> Map:
    y = plane.v
    fat = np.float32(1 + 0.35 * (body.fat - 1))
    depth = BODY_DEPTH(y) * np.float32(body.depth) * fat
    part = np.abs(plane.u - _LEAN(y) * np.float32(0.8)) / depth
    width = np.minimum(BODY_WIDTH(y), np.float32(16.6)) * np.float32(body.width)
    out = 2 * width * chord(part * np.sqrt(part))
    # raised arms and shoulders over the apices
    arms = tube(plane, bend((3.2, 0.5), (-1.5, -4.5), (-8, -12), count=8), 4.4) * np.float32(1.5)
    out = out + np.float32(0.3) * arms * step_down(y - 6, 1.5)
    if body.breast:
        size = 0.75 + 0.25 * body.breast
        hung = ellipse(plane, (-9.4 * body.depth * float(fat), 16 + 2 * size), (3.6 * size, 5.4 * size), 0.15)
        out = union(out, out + hung * np.float32(4.5 * body.breast**0.7))
    return np.asarray(out, np.float32)


def _cage(plane: Plane, body: Body) -> Map:
    y = plane.v
    part = np.abs(plane.u - _LEAN(y)) / (body.cage_depth()(y))
    apex = np.clip((y + np.float32(1.2)) / 8, 0, 1)
    return np.asarray(2 * body.cage_width()(y) * chord(part * np.sqrt(part)) * chord(1 - apex), np.float32)


def _heart(plane: Plane, body: Body, pose: Pose, build: Build) -> Map:
    size = body.heart * build.heart
    base = 21.0 + 0.4 * (body.dome_right - 20.6) - 0.62 * pose.lift()
    main = ellipse(plane, (-2.6 * body.depth, base - 4.3), (6.6 * size, 4.7 * size), -0.85) * np.float32(12.5 * size)
    root = ellipse(plane, (-1.4, base - 9.6), (2.6 * size, 4.2)) * np.float32(6.5)
    return union(main, root)


def _mediastinum(plane: Plane, body: Body, cage: Map) -> Map:
    y = plane.v
    across = plane.u - _LEAN(y) - np.float32(0.6)
    band = np.exp(-fourth(across / np.float32(4.6)))
    arch = tube(
        plane,
        bend((-2.6, 11), (-2.4, 7.4), (0.6, 5.6), (3.6, 7.2), (4.6, 11), (5.0, 22), count=24),
        1.25 * body.knob + 0.1,
    )
    hilum = ellipse(plane, (0.6, 10.6), (2.1, 2.6)) ** 2
    return np.asarray(
        np.minimum(_MIDDLE(y) * band + np.float32(1.0) * arch + np.float32(3.0) * hilum + 1.0, cage), np.float32
    )


def _dome(plane: Plane, body: Body, pose: Pose, build: Build, side: int) -> Map:
    top = body.dome_right - pose.lift() + (body.dome_left if side > 0 else 0) - build.raised[0 if side < 0 else 1]
    back = plane.u + np.float32(2.6)
    line = top + np.float32(0.05 * body.flat_domes) * back**2 + np.float32(0.004) * np.maximum(back - 4, 0) ** 3
    return 1 - step_down(plane.v - line, 0.12)


def _vessels(plane: Plane, body: Body, pose: Pose, side: int, lung: Map) -> Map:
    points, radii, lengths = vessel_tree(body, side, max(plane.pixel * 0.9, 0.03))
    points = points * np.array([1, 1 - pose.lift() / 24, 1])
    made = vessel_map(plane, flat(points) + np.array([0.8, 0.0]), radii, lengths, body.vessels)
    return np.asarray(np.float32(1.5) * made * np.clip(lung / 2.5, 0, 1), np.float32)


def _texture(plane: Plane, body: Body) -> Map:
    rng = np.random.default_rng([body.seed, 5])
    return np.float32(0.006 * body.texture) * clouds(plane, rng, (0.3, 0.7, 1.8))


def _airway(plane: Plane, pose: Pose) -> Map:
    trachea = tube(plane, bend((-1.8, -9), (0.2, 0), (1.4, 9.2 - 0.3 * pose.lift())), 0.85)
    return smooth(np.float32(1.1) * trachea, 0.1 / plane.pixel)


def _bubble(plane: Plane, body: Body, pose: Pose, dome: Map) -> Map:
    if body.bubble <= 0.25:
        return plane.zeros()
    top = body.dome_right + body.dome_left - pose.lift()
    air = ellipse(plane, (-0.5, top + 2.6), (2.6 + body.bubble, 1.9)) * np.float32(4.2)
    return np.asarray(air * step_down(plane.v - np.float32(top + 3.0), 0.05) * dome, np.float32)


def _bones(plane: Plane, body: Body, pose: Pose) -> Map:
    step = plane.pixel * 0.95
    clouds_ = ribs(body, pose, step)
    for side in (-1, 1):
        clouds_ += shoulder(body, pose, side, step)[:4]
    cloud = joined(clouds_)
    seen = flat(cloud.points)
    seen[:, 0] += _LEAN(seen[:, 1])
    total = splat(plane, seen, cloud.volume, max(0.03, 0.5 * plane.pixel))
    total = np.float32(0.75) * total / (1 + total / np.float32(0.7))
    return np.asarray(total + _spine(plane, body) + _sternum(plane, body), np.float32)


def _spine(plane: Plane, body: Body) -> Map:
    y = plane.v
    slope = _SPINE(y + np.float32(0.5)) - _SPINE(y - np.float32(0.5))
    x = plane.u - _SPINE(y) - np.float32(0.4)
    number = (y - slope * x - np.float32(FIRST_LEVEL)) / np.float32(VERTEBRA)
    part = number - np.round(number)
    half = np.float32(1.25) + np.float32(0.03) * np.clip(number, 0, 14)
    inside = step_down(np.abs(x) - half + np.float32(0.25) * (np.float32(0.25) - part * part), 0.08)
    body_ = step_down(np.abs(part) - np.float32(0.42), 0.03)
    edge = np.exp(-(((np.abs(x) - half + 0.15) / np.float32(0.12)) ** 2)) * body_
    plates = np.exp(-(((np.abs(part) - np.float32(0.40)) / np.float32(0.035)) ** 2))
    bone = inside * (np.float32(0.55) * body_ + np.float32(0.5) * plates + np.float32(0.2) * edge)
    behind = x - half - np.float32(1.6)
    arches = np.exp(-((behind / np.float32(0.9)) ** 2)) * np.exp(-(((part - 0.25) / np.float32(0.3)) ** 2))
    return np.asarray(bone + np.float32(0.4) * arches, np.float32) * np.float32(body.bone)


def _sternum(plane: Plane, body: Body) -> Map:
    y = np.linspace(2.5, 18, 40)
    front = -body.cage_depth()(y) + _LEAN(y) - 0.75
    path = np.stack([front, y, np.zeros_like(y)], axis=1)
    bone = shell(path, (0.55, 1.8), np.array([1.0, 0.0, 0.0]), plane.pixel * 0.75, 0.16 * body.bone, 0.1)
    return splat(plane, bone.points[:, :2], bone.volume, max(0.03, 0.5 * plane.pixel))
