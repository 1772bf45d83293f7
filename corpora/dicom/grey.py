"""From stored values to grey levels: DICOM's chain of transformations, once for every value a pixel can have.

    stored bits -> Modality LUT, or slope and intercept -> padding masked -> VOI LUT, or window -> inverted, once

A window that makes nothing of the film is no window: if it leaves more than nine tenths of the film at its ends, or
squeezes the middle nine tenths of it into less than half of the greys, the next one is tried, and at last the film's
own percentiles.
Formulas: DICOM PS3.3, C.11.1 (Modality LUT), C.11.2 (VOI LUT), C.7.6.3.1.1 (photometric interpretation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_modality_lut

from corpora.dicom.header import number, quiet, text, whole

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

_AT_ENDS: Final = 0.9
_SPREAD: Final = 0.5
_MIDDLE: Final = (0.05, 0.95)
_ROBUST: Final = (0.005, 0.995)
_WHITE: Final = 65_535


def grey_levels(dataset: pydicom.Dataset, stored: NDArray[np.integer[Any]], counts: Counts) -> NDArray[np.uint16]:
    """The grey of each of the ``stored`` values, as they are after decoding; there are ``counts`` of them in the film.

    0 is black and 65,535 white, bones white whatever the photometric interpretation; padding is black.
    """
    with quiet():
        values = _modality(dataset, _meant(dataset, stored))
        there = counts * ~_padding(dataset, _meant(dataset, stored))
        shares = _windowed(dataset, values, there)
    if _inverted(dataset):
        shares = 1 - shares
    shares[_padding(dataset, _meant(dataset, stored))] = 0
    return np.rint(shares * _WHITE).astype(np.uint16)


def _meant(dataset: pydicom.Dataset, stored: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """The stored bits alone: overlays and junk may be in the others; two's complement if the values are signed."""
    allocated = whole(dataset, "BitsAllocated") or 16
    bits = min(whole(dataset, "BitsStored") or allocated, allocated)
    high = whole(dataset, "HighBit")
    shift = high + 1 - bits if high is not None and bits <= high + 1 <= allocated else 0
    values = (stored.astype(np.int64) >> shift) & ((1 << bits) - 1)
    if whole(dataset, "PixelRepresentation") == 1:
        values -= (values >> (bits - 1)) << bits
    return values


def _modality(dataset: pydicom.Dataset, values: NDArray[np.int64]) -> Values:
    """In the units of the modality: by the table, else by slope and intercept, never by both."""
    try:
        if dataset.get("ModalityLUTSequence"):
            return np.asarray(apply_modality_lut(values, dataset), dtype=np.float64)
    except Exception:  # a damaged table can raise anything
        pass
    slope, intercept = number(dataset, "RescaleSlope") or 1.0, number(dataset, "RescaleIntercept") or 0.0
    return np.asarray(values * slope + intercept, dtype=np.float64)


def _padding(dataset: pydicom.Dataset, values: NDArray[np.int64]) -> NDArray[np.bool_]:
    first = _pad_value(dataset, "PixelPaddingValue")
    last = _pad_value(dataset, "PixelPaddingRangeLimit")
    if first is None:
        return np.zeros(values.shape, dtype=bool)
    low, high = sorted((first, first if last is None else last))
    return (values >= low) & (values <= high)


def _pad_value(dataset: pydicom.Dataset, keyword: str) -> int | None:
    value = number(dataset, keyword)
    if value is None:
        return None
    bits = whole(dataset, "BitsStored") or 16
    # written as an unsigned number in the header of signed pixels, now and then
    signed = whole(dataset, "PixelRepresentation") == 1 and value >= 1 << (bits - 1)
    return int(value) - (1 << bits if signed else 0)


def _inverted(dataset: pydicom.Dataset) -> bool:
    """Whether low values are white, as the photometric interpretation, the LUT shape or both of them say."""
    shape = (text(dataset, "PresentationLUTShape") or "").upper()
    return text(dataset, "PhotometricInterpretation") == "MONOCHROME1" or shape == "INVERSE"


def _windowed(dataset: pydicom.Dataset, values: Values, counts: Counts) -> Values:
    """From 0 to 1, by the first of the transformations that makes a film of the values."""
    for transform in _transforms(dataset):
        shares = transform(values)
        if shares is not None and _makes_a_film(shares, counts):
            return shares
    return _by_percentiles(values, counts)


Transform = Callable[[Values], "Values | None"]


def _transforms(dataset: pydicom.Dataset) -> Iterator[Transform]:
    for item in _items(dataset, "VOILUTSequence"):
        yield partial(voi_lut, item)
    function = (text(dataset, "VOILUTFunction") or "LINEAR").upper()
    for center, width in zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False):
        yield partial(window, center=center, width=width, function=function)


def _items(dataset: pydicom.Dataset, keyword: str) -> list[pydicom.Dataset]:
    try:
        return list(dataset.get(keyword) or ())
    except Exception:  # as in ``_modality``
        return []


def _numbers(dataset: pydicom.Dataset, keyword: str) -> list[float]:
    try:
        value = dataset.get(keyword)
        several = isinstance(value, (pydicom.multival.MultiValue, list, tuple))
        found = [float(each) for each in (value if several else [value] if value is not None else [])]
    except Exception:  # as in ``_modality``
        return []
    return [each for each in found if np.isfinite(each)]


def voi_lut(item: pydicom.Dataset, values: Values) -> Values | None:
    """The table of an item of a VOI LUT Sequence, from 0 to 1; None if it is none."""
    try:
        count, first, bits = (int(each) for each in item.LUTDescriptor)
        data = item.LUTData
        if isinstance(data, bytes):
            data = np.frombuffer(data, dtype="<u2" if len(data) >= 2 * (count or 65_536) else "u1")
        table = np.atleast_1d(np.asarray(data, dtype=np.float64))[: count or 65_536]
    except Exception:  # as in ``_modality``
        return None
    # the first value may be meant as a negative number
    first -= 65_536 if values.min() < 0 and first > 32_767 else 0
    if not len(table) or not 0 < bits <= 16:
        return None
    places = np.clip(np.rint(values) - first, 0, len(table) - 1).astype(np.int64)
    return np.asarray(np.clip(table[places] / ((1 << bits) - 1), 0, 1), dtype=np.float64)


def window(values: Values, center: float, width: float, function: str = "LINEAR") -> Values | None:
    """A window's greys, from 0 to 1: PS3.3 C.11.2.1.2 (LINEAR) and C.11.2.1.3 (SIGMOID, LINEAR_EXACT).

    None for a width that the function does not allow.

    >>> window(np.array([0.0, 127.5, 255.0]), 128, 256).tolist()
    [0.0, 0.5, 1.0]
    """
    if function == "SIGMOID":
        return None if width <= 0 else 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return None if width <= 0 else np.clip((values - center) / width + 0.5, 0, 1)
    if width < 1:
        return None
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _makes_a_film(shares: Values, counts: Counts) -> bool:
    total = counts.sum()
    if not total:
        return True
    at_ends = counts[(shares <= 0) | (shares >= 1)].sum()
    low, high = _quantiles(shares, counts, _MIDDLE)
    return bool(at_ends <= _AT_ENDS * total and high - low >= _SPREAD)


def _by_percentiles(values: Values, counts: Counts) -> Values:
    low, high = _quantiles(values, counts, _ROBUST)
    if not high > low:
        low, high = _quantiles(values, counts, (0.0, 1.0))
    if not high > low:
        return np.full(values.shape, 0.5)
    return np.clip((values - low) / (high - low), 0, 1)


def _quantiles(values: Values, counts: Counts, shares: tuple[float, float]) -> tuple[float, float]:
    """The values below which so many of the pixels lie."""
    held = np.flatnonzero(counts)
    if not len(held):
        return 0.0, 0.0
    order = held[np.argsort(values[held], kind="stable")]
    reached = np.cumsum(counts[order])
    places = np.searchsorted(reached, np.asarray(shares) * reached[-1])
    low, high = values[order[np.minimum(places, len(order) - 1)]]
    return float(low), float(high)
