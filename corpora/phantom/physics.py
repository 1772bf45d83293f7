"""From what rays go through to the values of a detector: attenuation, scatter, quanta, response, processing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from corpora.phantom.plane import Map, smooth

#: Attenuation per cm at about 110 kVp.
SOFT: Final = 0.185
BONE: Final = 0.62
METAL: Final = 9.0
#: Less attenuation than this is air beside the patient.
_AIR: Final = 0.9


@dataclass(frozen=True, slots=True)
class Exposure:
    """``quanta`` for each pixel in the open beam, ``scatter`` relative to the primary beam around, ``latitude`` and
    ``tone`` of the display curve, ``detail`` the strength of edge enhancement, ``shade`` how light the film is printed,
    ``blur`` of the detector in pixels."""

    quanta: float
    scatter: float
    latitude: float
    tone: float
    detail: float
    shade: float
    blur: float


def attenuation(soft: Map, bone: Map, metal: Map) -> Map:
    """The logarithm of how much the beam is weakened."""
    return np.asarray(SOFT * soft + BONE * bone + METAL * metal, np.float32)


def exposed(weakened: Map, exposure: Exposure, pixel: float, rng: np.random.Generator) -> Map:
    """The film, 0 black to 1 white, from the attenuation of each pixel of ``pixel`` cm."""
    primary = np.exp(-weakened)
    # air beside the patient scatters nothing
    spread = smooth(np.minimum(primary, np.float32(0.25)), 3.2 / pixel)
    beam = primary + np.float32(exposure.scatter) * spread + np.float32(0.002)
    grains = rng.standard_normal(beam.shape, np.float32) * np.sqrt(beam / np.float32(exposure.quanta))
    beam = np.maximum(smooth(beam + grains, exposure.blur), np.float32(1e-4))
    film = -np.log(beam)
    film += np.float32(exposure.detail) * (film - smooth(film, 0.9 / pixel))
    return np.asarray(film)


def printed(film: Map, exposure: Exposure, weakened: Map) -> Map:
    """The film's logarithm brought to 0 (black) to 1 (white): lungs dark, abdomen light, air black."""
    rows, columns = film.shape
    step = max(1, rows // 128)
    core = (slice(rows // 8, -rows // 8, step), slice(columns // 8, -columns // 8, step))
    body = weakened[core] > _AIR
    low, high = np.percentile(film[core][body], (3, 94)) if body.any() else (film.min(), film.max())
    place = (film - low) / max(high - low, 1e-3)
    place = np.float32(exposure.shade) + (place - np.float32(0.5)) * np.float32(exposure.latitude)
    return np.asarray(1 / (1 + np.exp(-np.float32(exposure.tone) * place)), np.float32)
