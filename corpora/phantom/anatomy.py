"""The body of a phantom patient: shapes in centimetres of an adult, drawn once and the same in every film.

x is the patient's left, y goes down from the apex of the lungs, z forward from the middle of the chest. A child has the
shapes of an adult at another ``scale``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from corpora.phantom.plane import Points, Profile, profile

#: Half width and half depth of the inside of the rib cage.
CAGE_WIDTH: Final = profile((-1, 5.6), (1, 7.6), (4, 10.0), (8, 11.8), (13, 13.1), (18, 13.8), (24, 13.9), (34, 13.2))
CAGE_DEPTH: Final = profile((-1, 4.2), (3, 6.0), (8, 8.2), (14, 9.6), (20, 10.0), (34, 9.6))
#: Half width and half depth of the body without its arms.
BODY_WIDTH: Final = profile((-9, 5.8), (-5, 6.3), (-3.4, 7.8), (-1.8, 12.5), (0.2, 17.0), (2.5, 18.6), (6, 17.6),
                            (10, 16.4), (16, 16.4), (24, 16.3), (34, 16.0))  # fmt: skip
BODY_DEPTH: Final = profile((-9, 6.0), (-4, 6.4), (0, 8.2), (5, 10.6), (12, 12.0), (20, 12.4), (34, 12.0))
VERTEBRA: Final = 2.35
#: Level of the first thoracic vertebra's middle.
FIRST_LEVEL: Final = -1.2


@dataclass(frozen=True, slots=True)
class Body:
    """What differs from one patient to the next. Factors are relative to the average adult."""

    seed: int
    scale: float
    female: bool
    child: bool
    width: float
    depth: float
    fat: float
    heart: float
    heart_tilt: float
    heart_shift: float
    mediastinum: float
    knob: float
    tortuous: float
    dome_right: float
    dome_left: float
    flat_domes: float
    curve: float
    breast: float
    bubble: float
    vessels: float
    bone: float
    texture: float

    def cage_width(self) -> Profile:
        return CAGE_WIDTH * self.width

    def cage_depth(self) -> Profile:
        return CAGE_DEPTH * self.depth

    def spine(self, y: Points) -> Points:
        """Sideways place of the spine at a level, cm."""
        return np.asarray(self.curve * np.sin((y - 2.0) / 22.0 * 2.2 * np.pi), float)


def draw_body(seed: int, age: float, female: bool) -> Body:
    """The body of a patient of that age and sex when first seen."""
    rng = np.random.default_rng([seed, 1])
    grown = float(np.clip(0.42 + 0.58 * (age / 17.0) ** 0.75, 0.42, 1.0))
    old = float(np.clip((age - 45) / 40, 0, 1))
    normal = rng.normal
    fat = float(np.clip(normal(1.0, 0.16), 0.75, 1.5))
    hyper = float(rng.random() < 0.08 + 0.1 * old)
    return Body(
        seed=seed,
        scale=grown * float(np.clip(normal(0.955 if female else 1.02, 0.04), 0.85, 1.12)),
        female=female,
        child=age < 15,
        width=float(np.clip(normal(1.0, 0.045), 0.9, 1.12)),
        depth=float(np.clip(normal(1.0, 0.06) + 0.12 * hyper, 0.85, 1.25)),
        fat=fat * (0.85 if age < 15 else 1.0),
        heart=float(np.clip(normal(0.95 + 0.02 * old + (0.06 if age < 6 else 0), 0.045), 0.85, 1.04)),
        heart_tilt=float(normal(0.55, 0.08) - 0.2 * (fat - 1)),
        heart_shift=float(normal(0.0, 0.35)),
        mediastinum=float(np.clip(normal(1.0, 0.07) + (0.18 if age < 5 else 0), 0.85, 1.3)),
        knob=float(np.clip(normal(0.9 + 0.25 * old, 0.12), 0.5, 1.4)) * (0.6 if age < 15 else 1.0),
        tortuous=float(old * rng.random() ** 2),
        dome_right=float(normal(20.6, 0.8) + 1.4 * hyper),
        dome_left=float(normal(1.5, 0.6)),
        flat_domes=1.0 - 0.55 * hyper,
        curve=float(normal(0, 0.18) + (rng.choice([-1.0, 1.0]) * 0.9 if rng.random() < 0.05 + 0.05 * old else 0.0)),
        breast=float(np.clip(normal(1.0, 0.35), 0.3, 1.9)) if female and age > 13 else 0.0,
        bubble=float(rng.random()),
        vessels=float(np.clip(normal(1.0, 0.12), 0.7, 1.35)),
        bone=float(np.clip(normal(1.05 - 0.25 * old, 0.1), 0.6, 1.25)) * (0.8 if age < 15 else 1.0),
        texture=float(np.clip(normal(0.8 + 0.5 * old, 0.2), 0.4, 1.6)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pose:
    """How the patient stood or lay for one film: what the radiographer had no full control of.

    ``breath`` is the depth of inspiration (1 full), ``yaw`` the rotation about the long axis in radians, positive with
    the left side forward; ``supine`` for a portable AP film.
    """

    breath: float
    yaw: float
    supine: bool
    magnify: float
    scapula: float

    def lift(self) -> float:
        """How much higher the domes are than at full inspiration, cm."""
        return (1 - self.breath) * 9.0
