"""Findings as they lie in a patient: what, where, how large. The same sign is drawn into every film of a study."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from corpora.phantom.frontal import Build

#: Kinds of signs by label, with how often each is drawn.
KINDS: Final[dict[str, dict[str, float]]] = {
    "Enlarged Cardiomediastinum": {"wide_mediastinum": 1},
    "Cardiomegaly": {"large_heart": 1},
    "Lung Lesion": {"nodule": 0.6, "mass": 0.25, "cavity": 0.15},
    "Lung Opacity": {"patch": 0.6, "interstitial": 0.4},
    "Edema": {"edema": 1},
    "Consolidation": {"consolidation": 1},
    "Pneumonia": {"pneumonia": 1},
    "Atelectasis": {"plates": 0.6, "basal_collapse": 0.4},
    "Pneumothorax": {"pneumothorax": 1},
    "Pleural Effusion": {"effusion": 1},
    "Pleural Other": {"apical_thickening": 0.5, "lateral_thickening": 0.3, "plaque": 0.2},
    "Fracture": {"rib_fracture": 0.55, "healed_rib": 0.3, "clavicle_fracture": 0.15},
    "Support Devices": {"ett": 0.16, "central_line": 0.2, "picc": 0.18, "pacemaker": 0.16, "feeding_tube": 0.1,
                        "chest_tube": 0.05, "port": 0.1, "valve": 0.05},
}  # fmt: skip
#: Where a focal sign may lie: distance from the midline, level, and level's spread, cm.
_ZONES: Final = {"upper": (6.6, 5.6, 1.0), "mid": (8.2, 11.5, 1.2), "lower": (8.2, 16.6, 1.0)}
_BOTH: Final = frozenset({"edema", "interstitial"})
_NO_SIDE: Final = frozenset({"wide_mediastinum", "large_heart", "ett", "feeding_tube", "valve"})
_ONE_SIDE_ONLY: Final = {"pacemaker": 1}
_MAY_BE_BOTH: Final = {"effusion": 0.35, "plates": 0.35, "basal_collapse": 0.3, "apical_thickening": 0.5}


@dataclass(frozen=True, slots=True)
class Sign:
    """One finding. ``side`` is -1 right, 1 left, 0 both or neither; ``size`` goes from 0, just visible, to 1; ``at`` is
    x, y, z in cm of the adult body; ``number`` stays the same in the later studies of the patient."""

    number: int
    label: str
    kind: str
    side: int
    zone: str
    size: float
    at: tuple[float, float, float]
    seed: int

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides that show it."""
        return (self.side,) if self.side else (-1, 1)

    def sized(self, size: float) -> Sign:
        """The same sign at another size."""
        return replace(self, size=float(np.clip(size, 0.0, 1.0)))


def draw_sign(label: str, number: int, rng: np.random.Generator) -> Sign:
    """A sign of a label."""
    kinds = KINDS[label]
    chances = np.array(list(kinds.values()))
    kind = str(rng.choice(list(kinds), p=chances / chances.sum()))
    side = int(rng.choice([-1, 1]))
    if kind in _BOTH or kind in _NO_SIDE or rng.random() < _MAY_BE_BOTH.get(kind, 0):
        side = 0
    side = _ONE_SIDE_ONLY.get(kind, side)
    zone = str(rng.choice(list(_ZONES), p=[0.3, 0.25, 0.45]))
    out, level, spread = _ZONES[zone]
    x = (side or 1) * (out + float(rng.normal(0, 1.0)))
    at = (x, level + float(rng.normal(0, spread)), float(rng.uniform(-5, 4)))
    return Sign(number, label, kind, side, zone, float(rng.beta(1.6, 1.8)), at, int(rng.integers(1 << 31)))


def build_of(signs: tuple[Sign, ...]) -> Build:
    """What the signs of a study change in the organs."""
    heart = mediastinum = thicker = 1.0
    raised, shift = [0.0, 0.0], 0.0
    broken: list[tuple[str, int, int, float]] = []
    for sign in signs:
        if sign.kind == "large_heart":
            heart = 1.22 + 0.33 * sign.size
        elif sign.kind == "wide_mediastinum":
            mediastinum = 1.55 + 0.6 * sign.size
        elif sign.kind == "edema":
            thicker = 1.06 + 0.18 * sign.size
        elif sign.kind in ("basal_collapse", "plates"):
            for side in sign.sides:
                raised[max(side, 0)] += 0.6 + 1.6 * sign.size * (sign.kind == "basal_collapse")
        elif sign.kind == "pneumothorax" and sign.size > 0.75:
            shift = -1.2 * sign.side
        elif sign.kind in ("rib_fracture", "clavicle_fracture"):
            if sign.kind == "clavicle_fracture":
                broken.append(("clavicle", 0, sign.side, broken_at(sign)))
            else:
                broken += [("rib", rib, sign.side, broken_at(sign)) for rib in rib_numbers(sign)]
    return Build(heart, mediastinum, (raised[0], raised[1]), shift, thicker, tuple(broken))


def rib_numbers(sign: Sign) -> range:
    """The ribs that a sign of ribs is on: one where it is small, up to four neighbours where it is large."""
    # most chests with a fracture that a film shows have more than one
    first = 3 + sign.seed % 6
    return range(first, min(first + 1 + int(3.99 * sign.size), 11))


def broken_at(sign: Sign) -> float:
    """How far along its bone a fracture lies, 0 to 1."""
    if sign.kind == "clavicle_fracture":
        return 0.5 + 0.15 * (sign.seed % 97) / 97
    return 0.18 + 0.3 * (sign.seed % 97) / 97
