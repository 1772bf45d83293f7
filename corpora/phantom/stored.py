"""From a film to the values that a vendor stores, and the attributes that say how to read them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from corpora.phantom.model import Scanner
from corpora.phantom.plane import Map

if TYPE_CHECKING:
    from pydicom import Dataset

#: Shares of the range of stored values that black and white of the film lie at.
_BLACK, _WHITE = 0.03, 0.88
#: Largest value behind a Modality LUT.
FULL = 65535


@dataclass(frozen=True, slots=True)
class Coding:
    """How a film is stored: bits, polarity, and slope and intercept of the rescaling where there is one."""

    bits: int
    photometric: str
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def top(self) -> int:
        return (1 << self.bits) - 1


def stored_values(values: Map, coding: Coding, scanner: Scanner) -> NDArray[np.uint16]:
    """The values (0 black to 1 white) as stored, of shape (rows, columns)."""
    linear = (_BLACK + (_WHITE - _BLACK) * np.clip(values, 0, 1)) * coding.top
    if coding.photometric == "MONOCHROME1":
        linear = coding.top - linear
    if scanner.modality_lut == "sequence":
        linear = coding.top * (linear / coding.top) ** 2
    return np.asarray(np.round(linear), np.uint16)


def describe(dataset: Dataset, coding: Coding, scanner: Scanner) -> None:
    """Add the attributes of the pixel chain: modality LUT, window or VOI LUT, presentation."""
    if scanner.modality == "DX" or scanner.modality_lut == "rescale":
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = coding.slope, coding.intercept, "US"
    if scanner.modality == "DX":
        dataset.PresentationLUTShape = "INVERSE" if coding.photometric == "MONOCHROME1" else "IDENTITY"
    if scanner.modality_lut == "sequence":
        dataset.ModalityLUTSequence = [_modality_lut(coding)]
    _window(dataset, coding, scanner)


def _modality_lut(coding: Coding) -> Dataset:
    """The table that undoes the square law of ``stored_values``, to 16 bits."""
    entries = np.arange(coding.top + 1)
    table = np.round(np.sqrt(entries / coding.top) * FULL).astype("<u2")
    return _table("ModalityLUTType", "US", "square root", 16, table)


def _table(kind: str, value: str, explanation: str, bits: int, table: NDArray[np.uint16]) -> Dataset:
    from pydicom import Dataset
    from pydicom.dataelem import DataElement
    from pydicom.tag import Tag

    item = Dataset()
    item.add(DataElement(Tag("LUTDescriptor"), "US", [len(table) % 65536, 0, bits]))
    item.LUTExplanation = explanation
    if kind:
        setattr(item, kind, value)
    item.add(DataElement(Tag("LUTData"), "OW", table.tobytes()))
    return item


def _window(dataset: Dataset, coding: Coding, scanner: Scanner) -> None:
    low, high = _BLACK * coding.top, _WHITE * coding.top
    if coding.photometric == "MONOCHROME1":
        low, high = coding.top - high, coding.top - low
    low, high = (value * coding.slope + coding.intercept for value in (low, high))
    if scanner.window in ("values", "sigmoid"):
        dataset.WindowCenter, dataset.WindowWidth = round((low + high) / 2), round(high - low)
    if scanner.window == "sigmoid":
        dataset.VOILUTFunction = "SIGMOID"
    if scanner.window == "sequence":
        dataset.VOILUTSequence = [_voi_lut(coding, low, high)]


def _voi_lut(coding: Coding, low: float, high: float) -> Dataset:
    """A gentle S over the values of the film."""
    part = np.clip((np.arange(coding.top + 1) - low) / (high - low), 0, 1)
    curve = 0.7 * part + 0.3 * (3 * part**2 - 2 * part**3)
    return _table("", "", "NORMAL", coding.bits, np.round(curve * coding.top).astype("<u2"))
