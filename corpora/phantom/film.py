"""One film: how it is taken, drawn and marked, and where on it each finding lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from corpora.phantom.anatomy import Body, Pose
from corpora.phantom.devices import DEVICES, electrodes
from corpora.phantom.frontal import Layers, frontal
from corpora.phantom.lateral import lateral
from corpora.phantom.opacities import PAINTERS
from corpora.phantom.physics import Exposure, attenuation, exposed, printed
from corpora.phantom.plane import Map, Plane, plane
from corpora.phantom.side import SIDE_PAINTERS
from corpora.phantom.signs import Sign, build_of
from corpora.phantom.writing import Burned, burn

#: Height of a frontal and a lateral film, cm of an adult.
_HEIGHT: Final = 41.0
#: What is fainter than this share of a lesion's strongest place is left out of its box.
_FAINT: Final = 0.25
FRONTAL: Final = ("PA", "AP")


@dataclass(frozen=True, slots=True)
class Plan:
    """How one film is taken. ``border`` are the shares that the collimator covers: top, bottom, left, right.

    ``view`` is PA, AP or LATERAL, ``marker`` the letter of the side or empty, ``cables`` the seed of a monitor's
    electrodes.
    """

    view: str
    rows: int
    columns: int
    height: float
    turn: float
    middle: tuple[float, float]
    pose: Pose
    exposure: Exposure
    border: tuple[float, float, float, float]
    marker: str
    cables: int | None
    seed: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sign shows on a film: x_min, y_min, x_max, y_max in native pixels."""

    sign: Sign
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Film:
    """A film with values from 0 (black) to 1 (white), its lesions, and the place of each text burned in."""

    values: Map
    places: tuple[Place, ...]
    texts: tuple[tuple[str, tuple[int, int, int, int]], ...]


def draw_plan(view: str, size: int, portable: bool, rng: np.random.Generator) -> Plan:
    """How a film of that view happens to be taken."""
    ratio = float(rng.choice([0.82, 0.86, 1.0, 1.2 if view == "AP" else 0.86])) if view in FRONTAL else 0.82
    pose = Pose(
        breath=float(np.clip(rng.normal(0.8 if portable else 0.95, 0.06), 0.62, 1.0)),
        yaw=float(np.clip(rng.normal(0, 0.06 if portable else 0.025), -0.16, 0.16)),
        supine=portable,
        magnify=1.1 if portable else 1.0,
        scapula=float(rng.uniform(-0.5, 1.0) if portable else rng.uniform(1.8, 3.6)),
    )
    exposure = Exposure(
        quanta=float(np.exp(rng.normal(np.log(45000 if portable else 80000), 0.45))),
        scatter=float(rng.uniform(0.45, 0.75) if portable else rng.uniform(0.25, 0.45)),
        latitude=float(rng.uniform(0.85, 1.08)) * (1.0 if view in FRONTAL else 1.25),
        tone=float(rng.uniform(3.1, 4.1)),
        detail=float(rng.choice([0.15, 0.45, 0.7])),
        shade=float(rng.normal(0.06 if view in FRONTAL else -0.08, 0.08)),
        blur=float(rng.uniform(0.4, 0.6)) * max(1.0, size / 1400),
    )
    covered = rng.random(4) * 0.05 * (rng.random() < 0.35)
    return Plan(
        view=view, rows=size, columns=round(size * ratio), height=_HEIGHT * float(rng.uniform(0.95, 1.06)),
        turn=float(np.clip(rng.normal(0, 0.045 if portable else 0.015), -0.12, 0.12)),
        middle=(float(rng.normal(0, 0.6)), 12.2 + float(rng.normal(0, 0.7))), pose=pose, exposure=exposure,
        border=(float(covered[0]), float(covered[1]), float(covered[2]), float(covered[3])),
        marker=str(rng.choice(["", "L", "R"], p=[0.3, 0.45, 0.25])) if view in FRONTAL else str(rng.choice(["", "L"])),
        cables=int(rng.integers(1 << 31)) if portable and rng.random() < 0.5 else None, seed=int(rng.integers(1 << 31)),
    )  # fmt: skip


def layers_of(plan: Plan, body: Body, signs: tuple[Sign, ...]) -> tuple[Plane, Layers, list[tuple[Sign, Map]]]:
    """What the rays of a film go through, and a map of each lesion."""
    ground = plane(plan.rows, plan.columns, plan.height, plan.turn, plan.middle)
    build = build_of(signs)
    is_frontal = plan.view in FRONTAL
    layers = (frontal if is_frontal else lateral)(ground, body, plan.pose, build)
    painters = {**PAINTERS, **DEVICES} if is_frontal else SIDE_PAINTERS
    marks = [
        (sign, mark)
        for sign in signs
        if sign.kind in painters
        for mark in painters[sign.kind](sign, ground, body, plan.pose, layers)
    ]
    if plan.cables is not None and is_frontal:
        electrodes(ground, layers, plan.cables)
    return ground, layers, marks


def render(plan: Plan, body: Body, signs: tuple[Sign, ...], burned: tuple[str, ...] = ()) -> Film:
    """The film of a body with its signs; ``burned`` are lines of text that the device wrote into it."""
    ground, layers, marks = layers_of(plan, body, signs)
    rng = np.random.default_rng(plan.seed)
    weakened = attenuation(layers.soft, layers.bone, layers.metal)
    film = exposed(weakened, plan.exposure, ground.pixel, rng)
    values = printed(film, plan.exposure, weakened)
    top, bottom, left, right = _covered(plan)
    values[:top] = values[bottom:] = 0
    values[:, :left] = values[:, right:] = 0
    texts = burn(values, Burned(plan.marker, plan.view, burned, (left, top, right, bottom)), rng)
    places = [Place(sign, box) for sign, mark in marks if (box := _box(mark, (left, top, right, bottom)))]
    return Film(values, tuple(places), texts)


def _covered(plan: Plan) -> tuple[int, int, int, int]:
    top, bottom, left, right = plan.border
    rows, columns = plan.rows, plan.columns
    return round(top * rows), rows - round(bottom * rows), round(left * columns), columns - round(right * columns)


def _box(mark: Map, inside: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    """The box around where ``mark`` is strong, cut to the film inside its border; None if nothing of it is there."""
    left, top, right, bottom = inside
    seen = mark[top:bottom, left:right]
    strongest = float(seen.max(initial=0))
    if strongest <= 1e-3:
        return None
    strong = seen > _FAINT * strongest
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    return left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1
