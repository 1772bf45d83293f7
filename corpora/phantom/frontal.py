"""The frontal film of a body: how much soft tissue, bone and metal each ray goes through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from corpora.phantom.anatomy import BODY_DEPTH, BODY_WIDTH, FIRST_LEVEL, VERTEBRA, Body, Pose
from corpora.phantom.plane import Map, Plane, bend, chord, clouds, ellipse, fourth, profile, smooth, splat, tube, union
from corpora.phantom.skeleton import clavicle, joined, ribs, rotated, shoulder
from corpora.phantom.vessels import HILUM, vessel_map, vessel_tree

#: Density of lung relative to soft tissue.
AERATED: Final = 0.24
_RIGHT_EDGE: Final = profile((-9, 2.6), (-2, 3.0), (1, 2.9), (5, 2.5), (9, 2.8), (12, 2.7), (22, 2.6), (34, 3.0))
_LEFT_EDGE: Final = profile((-9, 2.6), (-2, 3.1), (1, 2.8), (4, 2.4), (9, 2.6), (13, 2.7), (22, 2.6), (34, 3.0))
_MEDIASTINAL_DEPTH: Final = profile((-9, 4.0), (0, 4.2), (6, 5.2), (12, 5.6), (34, 6.0))


@dataclass(slots=True)
class Layers:
    """What the rays of a film go through, in cm; findings add to it, so it is the one thing here that changes.

    ``lungs`` and ``vessels`` are those of each side (-1 right, 1 left), ``cage`` is the inside of the rib cage,
    ``heart``, ``mediastinum`` and ``dome`` (what is below the diaphragm) the thickness of those.
    """

    soft: Map
    bone: Map
    metal: Map
    cage: Map
    heart: Map
    mediastinum: Map
    dome: Map
    lungs: dict[int, Map]
    vessels: dict[int, Map]

    @property
    def lung(self) -> Map:
        return self.lungs[-1] + self.lungs[1]


@dataclass(frozen=True, slots=True)
class Build:
    """What findings change in the organs: factors of the size of the heart and of the width of the mediastinum, cm by
    which a dome stands higher, cm by which the mediastinum is pushed to the left,
    and the broken bones (rib or clavicle, number, side, how far along)."""

    heart: float = 1.0
    mediastinum: float = 1.0
    raised: tuple[float, float] = (0.0, 0.0)
    shift: float = 0.0
    thicker_vessels: float = 1.0
    broken: tuple[tuple[str, int, int, float], ...] = ()


def frontal(plane: Plane, body: Body, pose: Pose, build: Build) -> Layers:
    """The layers of a frontal film."""
    x = plane.u
    cage = _cage(plane, body)
    heart = _heart(plane, body, pose, build)
    mediastinum = _mediastinum(plane, body, pose, build)
    dome = _domes(plane, body, pose, build)
    room = np.maximum(cage - union(heart, mediastinum, dome), 0) * _beside_middle(plane, pose)
    middle = np.float32(0.6 * build.shift)
    lungs = {-1: np.where(x < middle, room, 0), 1: np.where(x >= middle, room, 0)}
    vessels = {side: _vessels(plane, body, pose, side, lungs[side], build.thicker_vessels) for side in (-1, 1)}
    soft = _body(plane, body) - (1 - np.float32(AERATED)) * room + vessels[-1] + vessels[1]
    soft = soft - _airways(plane, body, pose, build) - _bowel(plane, body, pose, cage, dome) + _breasts(plane, body)
    soft += _texture(plane, body) * room
    bone = _bones(plane, body, pose, build)
    return Layers(np.maximum(soft, 0), bone, plane.zeros(), cage, heart, mediastinum, dome, lungs, vessels)


def _beside_middle(plane: Plane, pose: Pose) -> Map:
    """0 below the heart, between the domes, where there is no lung."""
    below = step_down(np.float32(20.5 - pose.lift()) - plane.v, 1.0)
    return 1 - below * np.exp(-fourth(plane.u / np.float32(4.6)))


def step_down(value: Map, width: float) -> Map:
    """1 where ``value`` is well below 0 and 0 well above: a soft edge ``width`` wide."""
    return np.asarray(1 / (1 + np.exp(np.clip(value / np.float32(width), -30, 30))), np.float32)


def _body(plane: Plane, body: Body) -> Map:
    fat = np.float32(1 + 0.22 * (body.fat - 1))
    width = BODY_WIDTH(plane.v) * np.float32(body.width) * fat
    part = np.abs(plane.u) / width
    torso = (
        2
        * BODY_DEPTH(plane.v)
        * np.float32(body.depth * (1 + 0.5 * (body.fat - 1)))
        * chord(part * part * np.sqrt(part))
    )
    arms = [
        tube(
            plane, bend((side * 17.4, 3.0), (side * 19.2 * body.width, 9), (side * 22.5, 26), count=8), 4.2 * float(fat)
        )
        for side in (-1, 1)
    ]
    # fat is lighter than muscle: the rim of the trunk shows it
    rim = np.float32(0.12) * torso * np.exp(-(((1 - part) / np.float32(0.05)) ** 2))
    return np.asarray(union(torso, *arms) - rim)


def apex_line(across: Map) -> Map:
    """The level of the top of the lung at a distance from the midline, cm."""
    return np.float32(0.07) * (across - 5) ** 2 - np.float32(1.6)


def _cage(plane: Plane, body: Body) -> Map:
    across = np.abs(plane.u)
    part = across / body.cage_width()(plane.v)
    below = np.clip((plane.v - apex_line(across)) / 8, 0, 1)
    return np.asarray(2 * body.cage_depth()(plane.v) * chord(part * np.sqrt(part)) * chord(1 - below))


def _heart(plane: Plane, body: Body, pose: Pose, build: Build) -> Map:
    size = body.heart * build.heart * pose.magnify * (1 + 0.25 * (1 - pose.breath))
    lift = 0.62 * pose.lift()
    at = body.heart_shift + build.shift + 3.0 * np.sin(pose.yaw) * 1.6
    base = 21.0 + 0.4 * (body.dome_right - 20.6) - lift
    tilt = body.heart_tilt - 0.35 * (1 - pose.breath)
    left = ellipse(plane, (2.1 + at + 0.9 * (size - 1), base - 3.4), (8.0 * size, 5.0 * size), tilt)
    right = ellipse(plane, (-0.9 + at, base - 4.2), (3.7 * size, 5.2 * size), 0.1)
    trunk = ellipse(plane, (1.5 + at, base - 8.4), (2.9 * size, 4.6), 0.0)
    return union(left * 11.6, right * 10.2, trunk * 8.4).astype(np.float32)


def _mediastinum(plane: Plane, body: Body, pose: Pose, build: Build) -> Map:
    x = (
        plane.u
        - np.float32(0.8 * build.shift + 2.0 * np.sin(pose.yaw))
        - body.spine(plane.v).astype(np.float32) * np.float32(0.7)
    )
    wide = np.float32(body.mediastinum * build.mediastinum * (1.14 if pose.supine else 1.0))
    edge = np.where(x < 0, _RIGHT_EDGE(plane.v), _LEFT_EDGE(plane.v)) * wide
    part = np.abs(x) / edge
    middle = 2 * _MEDIASTINAL_DEPTH(plane.v) * chord(part * np.sqrt(part))
    knob, lift = body.knob * (1 + 0.4 * (build.mediastinum - 1)), 0.35 * pose.lift()
    at = 0.8 * build.shift + 2.0 * np.sin(pose.yaw)
    arch = ellipse(plane, (1.75 + 0.7 * knob + at, 6.6 - lift), (1.75 * knob, 1.8 * knob)) * np.float32(5.5)
    bow = 1.3 + 2.4 * body.tortuous
    down = tube(
        plane, bend((2.4 + at, 6.5), (1.6 + bow * 0.6 + at, 12), (1.2 + bow * 0.4, 17), (0.6, 24)), 1.2 + 0.2 * knob
    )
    return union(middle, arch, down * np.float32(1.6)).astype(np.float32)


def _cube(map_: Map) -> Map:
    return map_ * map_ * map_


def _domes(plane: Plane, body: Body, pose: Pose, build: Build) -> Map:
    x, y = plane.u, plane.v
    lift, flat = pose.lift(), body.flat_domes
    right, left = body.dome_right - lift - build.raised[0], body.dome_right + body.dome_left - lift - build.raised[1]
    top_right = right + 0.078 * flat * (x + 5.8) ** 2 + 0.02 * _cube(np.maximum(-x - 10, 0))
    top_left = left + 0.082 * flat * (x - 6.4) ** 2 + 0.02 * _cube(np.maximum(x - 10, 0))
    share = step_down(x - np.float32(0.5), 0.8)
    top = share * top_right + (1 - share) * top_left
    return np.asarray((2 * np.sqrt(np.maximum(y - top, 0) / np.float32(0.055))).astype(np.float32))


def _vessels(plane: Plane, body: Body, pose: Pose, side: int, lung: Map, thicker: float) -> Map:
    points, radii, lengths = vessel_tree(body, side, max(plane.pixel * 0.9, 0.03))
    squeeze = 1 - pose.lift() / 24
    points = points * np.array([1, squeeze, 1])
    made = vessel_map(plane, rotated(points, pose.yaw)[:, :2], radii, lengths, body.vessels * thicker)
    hilum = HILUM[side]
    blur = ellipse(plane, (hilum[0] + side * 0.2, hilum[1] * squeeze + 0.3), (1.7, 2.7)) ** 2
    made = np.float32(1.4) * made + np.float32(0.9 * thicker) * blur
    return np.asarray(made * np.clip(lung / 2.5, 0, 1), np.float32)


def _airways(plane: Plane, body: Body, pose: Pose, build: Build) -> Map:
    lean, lift = 0.9 * build.shift + 1.2 * np.sin(pose.yaw), 0.3 * pose.lift()
    end = (0.35 + lean, 7.6 - lift)
    trachea = tube(plane, bend((float(body.spine(np.array(-9.0))), -9), (0.1 + 0.3 * lean, 1), end), 0.88)
    right = tube(plane, bend(end, (-1.6 + lean, 9.4 - lift), (-3.4 + lean, 10.9 - lift), count=8), 0.62)
    left = tube(plane, bend(end, (2.2 + lean, 9.0 - lift), (4.4 + lean, 9.9 - lift), count=8), 0.55)
    return smooth(np.float32(1.0) * np.maximum(trachea, np.maximum(right, left) * np.float32(0.8)), 0.1 / plane.pixel)


def _bowel(plane: Plane, body: Body, pose: Pose, cage: Map, dome: Map) -> Map:
    rng = np.random.default_rng([body.seed, 3])
    top = body.dome_right + body.dome_left - pose.lift()
    out = plane.zeros()
    if body.bubble > 0.25:
        middle = (6.0 + rng.normal(0, 0.6), top + 2.6 + rng.normal(0, 0.3))
        air = ellipse(plane, middle, (2.2 + 1.6 * body.bubble, 1.9)) * np.float32(3.8)
        level = middle[1] + (0.4 if not pose.supine else 9)
        out += air * step_down(plane.v - np.float32(level), 0.05)
    for _ in range(int(rng.integers(0, 6))):
        middle = (rng.uniform(2, 11), top + rng.uniform(5.0, 9.5))
        out = union(
            out,
            ellipse(plane, middle, (rng.uniform(0.8, 1.7), rng.uniform(0.7, 1.2)), rng.uniform(0, 3)) * np.float32(2.6),
        )
    return np.where(dome > 1, out, 0).astype(np.float32)


def _breasts(plane: Plane, body: Body) -> Map:
    if not body.breast:
        # the edge of the chest muscle, faint
        out = plane.zeros()
        for side in (-1, 1):
            out += ellipse(plane, (side * 10.5, 7), (6.5, 5.0), side * -0.6) * np.float32(0.9)
        return out
    out = plane.zeros()
    size = 0.75 + 0.25 * body.breast
    for side in (-1, 1):
        hanging = ellipse(plane, (side * 8.4 * body.width, 15.6 + 2.0 * size), (6.2 * size, 5.6 * size), side * 0.2)
        out += hanging * np.float32(3.4 * body.breast**0.8)
    return out


def _texture(plane: Plane, body: Body) -> Map:
    rng = np.random.default_rng([body.seed, 4])
    return np.float32(0.006 * body.texture) * clouds(plane, rng, (0.3, 0.7, 1.8))


def _bones(plane: Plane, body: Body, pose: Pose, build: Build) -> Map:
    step = plane.pixel * 0.95
    made = ribs(body, pose, step, build.broken)
    for side in (-1, 1):
        made += shoulder(body, pose, side, step)
        made += clavicle(body, pose, side, step, build.broken)
    cloud = joined(made)
    turned = rotated(cloud.points, pose.yaw)
    total = splat(plane, turned[:, :2], cloud.volume, max(0.03, 0.5 * plane.pixel))
    # where many rays graze bone, less than the sum of what a thin bone would take is left to take
    total = np.float32(1.45) * total / (1 + total / np.float32(1.2))
    return total + _flat_bones(plane, body, pose) + _spine(plane, body, pose)


def _flat_bones(plane: Plane, body: Body, pose: Pose) -> Map:
    out = plane.zeros()
    for side in (-1, 1):
        move = side * pose.scapula
        head = ellipse(plane, (side * 17.9 + 1.2 * move / max(abs(move), 1e-6) * 0.4, 2.4), (2.5, 2.6))
        out += head * np.float32(0.42 * body.bone)
        # the blade of the scapula
        blade = ellipse(plane, (side * 11.6 + move, 6.0), (5.8, 2.3), 1.45 * 1.0 if side > 0 else np.pi - 1.45)
        out += np.sqrt(blade) * np.float32(0.1)
    manubrium = ellipse(plane, (3.0 * np.sin(pose.yaw) * 2.5, 4.6), (2.6, 3.0)) * np.float32(0.14)
    return out + manubrium


def _spine(plane: Plane, body: Body, pose: Pose) -> Map:
    x = plane.u - body.spine(plane.v).astype(np.float32) + np.float32(6 * np.sin(pose.yaw) * 0.35)
    number = (plane.v - np.float32(FIRST_LEVEL)) / np.float32(VERTEBRA)
    part = number - np.round(number)
    half = 1.35 + 0.035 * np.clip(number, 0, 14)
    inside = step_down(np.abs(x) - half - 0.9 * part * part, 0.09)
    body_ = step_down(np.abs(part) - np.float32(0.42), 0.03)
    plates = np.exp(-(((np.abs(part) - np.float32(0.39)) / np.float32(0.03)) ** 2))
    bone = inside * (np.float32(0.24) * body_ + np.float32(0.16) * plates)
    for side in (-1, 1):
        ring = np.hypot(
            (x - side * 0.72 * half) / np.float32(0.36), (part + np.float32(0.12)) * np.float32(VERTEBRA / 0.55)
        )
        bone += np.float32(0.2) * np.exp(-(((ring - 1) / np.float32(0.35)) ** 2))
        wing = np.exp(-(((part + 0.1) * np.float32(VERTEBRA / 0.5)) ** 2)) * step_down(np.abs(x) - half - 1.2, 0.15)
        bone += np.float32(0.09) * wing * (side * x > 0)
    spike = np.hypot(x / np.float32(0.28), (part - np.float32(0.3)) * np.float32(VERTEBRA / 0.7))
    bone += np.float32(0.28) * np.exp(-fourth(spike))
    return np.asarray((bone * np.float32(body.bone)).astype(np.float32))
