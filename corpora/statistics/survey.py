"""Estimates from a stratified sample without replacement: totals, ratios, agreement, known totals put to use.

Values are rows of an array [R, C], ``stratum`` [R] numbers their strata from 0, ``sizes`` [H] count the units that each
stratum was drawn from. Variances are those of ``survey::svydesign(fpc=)`` in R: by Taylor's series for what is not
linear, with the correction for finite populations; a stratum read whole adds none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Totals:
    """Estimated totals [C] with their covariance [C, C], from ``n`` units, with ``df`` degrees of freedom."""

    value: Array
    covariance: Array
    n: int
    df: int

    def ratio(self, y: ArrayLike, x: ArrayLike) -> tuple[float, float]:
        """The ratio of the combinations ``y`` and ``x`` [C] of the totals, and its variance; NaN for 0 below."""
        top, bottom = (np.asarray(each, dtype=np.float64) for each in (y, x))
        whole = float(bottom @ self.value)
        if not whole:
            return float("nan"), float("nan")
        value = float(top @ self.value) / whole
        return value, self.variance((top - value * bottom) / whole)

    def variance(self, gradient: ArrayLike) -> float:
        """The variance of a statistic with this ``gradient`` [C] in the totals."""
        slope = np.asarray(gradient, dtype=np.float64)
        return float(slope @ self.covariance @ slope)


def totals(values: ArrayLike, stratum: NDArray[Any], sizes: ArrayLike, *, correction: bool = True) -> Totals:
    """Totals of ``values`` by Horvitz and Thompson; without ``correction`` as if drawn with replacement.

    >>> t = totals([[1.0], [0.0], [1.0], [1.0]], np.array([0, 0, 1, 1]), [10, 2])
    >>> t.value.tolist(), t.covariance.tolist()
    ([7.0], [[20.0]])
    """
    y, whole = np.atleast_2d(np.asarray(values, dtype=np.float64)), np.asarray(sizes, dtype=np.float64)
    n = np.bincount(stratum, minlength=len(whole)).astype(np.float64)
    weight = np.divide(whole, n, out=np.zeros(len(whole)), where=n > 0)
    centred = y - stratum_sums(y, stratum, len(whole))[stratum] / n[stratum][:, None]
    scale = stratum_scale(n, whole, correction=correction)
    # the mean of a single unit tells nothing of its spread: it stands for itself
    centred[n[stratum] == 1] = y[n[stratum] == 1]
    covariance = (centred * scale[stratum][:, None]).T @ centred
    return Totals((weight[stratum][:, None] * y).sum(axis=0), covariance, len(y), len(y) - int((n > 0).sum()))


def stratum_sums(values: Array, stratum: NDArray[Any], strata: int) -> Array:
    """Sums [H, C] of ``values`` [R, C] by stratum."""
    columns = (np.bincount(stratum, weights=column, minlength=strata) for column in values.T)
    return np.stack([*columns], axis=1)


def stratum_scale(drawn: Array, sizes: Array, *, correction: bool = True) -> Array:
    """What squared deviations of a stratum are multiplied with to give the variance of its total.

    N^2 (1 - n/N) / (n (n - 1)); with a single unit as if there were two, and 0 where nothing was drawn.
    """
    n, whole = np.broadcast_arrays(np.asarray(drawn, dtype=np.float64), np.asarray(sizes, dtype=np.float64))
    left = 1 - n / np.maximum(whole, 1) if correction else np.ones(n.shape)
    pairs = n * np.maximum(n - 1, 1)
    scale = np.zeros(n.shape)
    np.divide(whole**2 * np.maximum(left, 0), pairs, out=scale, where=pairs > 0)
    return scale


def residual_variance(residuals: Array, stratum: NDArray[Any], sizes: ArrayLike) -> Array:
    """Variances [C] of the totals of ``residuals`` [R, C]: what ``totals`` has on the diagonal, of many at once."""
    whole = np.asarray(sizes, dtype=np.float64)
    n = np.bincount(stratum, minlength=len(whole)).astype(np.float64)
    first = stratum_sums(residuals, stratum, len(whole))
    second = stratum_sums(residuals**2, stratum, len(whole))
    return (stratum_scale(n, whole)[:, None] * spread(first, second, n[:, None])).sum(axis=0)


def spread(first: Array, second: Array, n: Array) -> Array:
    """The sum of squared deviations from the sums ``first`` and sums of squares ``second`` of ``n`` values."""
    centre = np.divide(first**2, n, out=np.zeros(np.broadcast(first, n).shape), where=n > 1)
    return np.maximum(second - centre, 0.0)


def clustered_totals(
    values: ArrayLike, weights: ArrayLike, clusters: Sequence[Any], stratum: NDArray[Any] | None = None
) -> Totals:
    """Totals of units that were drawn with ``weights``, in whole ``clusters`` with replacement, in each ``stratum``.

    The variance is that of the clusters' totals, as for ``survey::svydesign(ids=~cluster, nest=TRUE)``.
    """
    y = np.asarray(values, dtype=np.float64) * np.asarray(weights, dtype=np.float64)[:, None]
    layer = np.zeros(len(y), dtype=np.int64) if stratum is None else np.asarray(stratum)
    _, name = np.unique(np.asarray(clusters), return_inverse=True)
    pairs, place = np.unique(layer * (int(name.max()) + 1) + name, return_inverse=True)
    sums = stratum_sums(y, place, len(pairs))
    of = np.unique(pairs // (int(name.max()) + 1), return_inverse=True)[1]
    m = np.bincount(of).astype(np.float64)
    centred = sums - stratum_sums(sums, of, len(m))[of] / m[of][:, None]
    scale = m / np.maximum(m - 1, 1)
    return Totals(y.sum(axis=0), (centred * scale[of][:, None]).T @ centred, len(y), len(pairs) - len(m))


# statistics of a table of totals


def kappa_gradient(table: ArrayLike) -> tuple[Array, Array]:
    """Cohen's kappa of square tables of totals (..., k, k) and its gradient in the cells; NaN where it is 0/0.

    >>> round(float(kappa_gradient([[20, 5], [10, 15]])[0]), 3)
    0.4
    """
    cells = np.asarray(table, dtype=np.float64)
    whole = cells.sum(axis=(-2, -1), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = cells / whole
        rows, columns = p.sum(axis=-1), p.sum(axis=-2)
        observed, chance = np.trace(p, axis1=-2, axis2=-1), (rows * columns).sum(axis=-1)
        beyond = np.where(1 - chance > 1e-12, 1 - chance, np.nan)
        kappa = (observed - chance) / beyond
        # by the share of each cell, then by its total: shares sum to 1
        by_chance = columns[..., :, None] + rows[..., None, :]
        slope = (np.eye(cells.shape[-1]) - (1 - kappa[..., None, None]) * by_chance) / beyond[..., None, None]
        return kappa, (slope - (slope * p).sum(axis=(-2, -1), keepdims=True)) / whole


def mcc_gradient(table: ArrayLike) -> tuple[Array, Array]:
    """Matthews' correlation of tables (..., 4) of tp, fp, fn, tn, and its gradient; NaN where a margin is 0.

    >>> round(float(mcc_gradient([20, 5, 10, 15])[0]), 3)
    0.408
    """
    cells = np.asarray(table, dtype=np.float64)
    tp, fp, fn, tn = np.moveaxis(cells, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        said, not_said, is_, is_not = 1 / (tp + fp), 1 / (fn + tn), 1 / (tp + fn), 1 / (fp + tn)
        root = np.sqrt(said * not_said * is_ * is_not)
        value = (tp * tn - fp * fn) * root
        value = np.where(np.isfinite(value), value, np.nan)
        parts = (
            tn * root - value * (said + is_) / 2, -fn * root - value * (said + is_not) / 2,
            -fp * root - value * (not_said + is_) / 2, tp * root - value * (not_said + is_not) / 2,
        )  # fmt: skip
    return value, np.stack(parts, axis=-1)


# known totals


def difference_total(
    y: ArrayLike, guess: ArrayLike, known: float, stratum: NDArray[Any], sizes: ArrayLike
) -> tuple[float, float]:
    """The total of ``y`` [R] as the ``known`` total of ``guess`` and the estimated total of their difference.

    With the variance; this is prediction-powered inference in the form for a finite population.
    """
    gap = np.asarray(y, dtype=np.float64) - np.asarray(guess, dtype=np.float64)
    found = totals(gap[:, None], stratum, sizes)
    return float(known + found.value[0]), float(found.covariance[0, 0])


def greg_total(
    y: ArrayLike, x: ArrayLike, known: ArrayLike, stratum: NDArray[Any], sizes: ArrayLike
) -> tuple[float, float]:
    """The generalised regression estimate of the total of ``y`` [R] from ``x`` [R, P] with ``known`` totals [P].

    ``x`` holds a column of ones for the intercept. With the variance by calibrated residuals, as ``survey::calibrate``.
    With indicators of groups it is poststratification. Raises ``numpy.linalg.LinAlgError`` for dependent columns.
    """
    target, aux = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
    whole = np.asarray(sizes, dtype=np.float64)
    weight = (whole / np.maximum(np.bincount(stratum, minlength=len(whole)), 1))[stratum]
    gram = (aux * weight[:, None]).T @ aux
    g = 1 + aux @ np.linalg.solve(gram, np.asarray(known, dtype=np.float64) - weight @ aux)
    slope = np.linalg.solve(gram, aux.T @ (weight * target))
    residual = g * (target - aux @ slope)
    return float((weight * g) @ target), float(totals(residual[:, None], stratum, sizes).covariance[0, 0])


def ppi_mean(
    y: ArrayLike, guess: ArrayLike, unlabelled_sum: float, unlabelled_n: int, *, tune: float | None = None
) -> tuple[float, float, float]:
    """The mean of 0/1 labels ``y`` helped by 0/1 guesses, also of ``unlabelled_n`` units that nobody read.

    Returns mean, variance and tuning: 0 leaves the guesses out, 1 trusts them, None takes what makes the variance
    least (Angelopoulos et al. 2023, "PPI++"). For units drawn with replacement: `greg_total` is the survey's form.
    """
    target, said = np.asarray(y, dtype=np.float64), np.asarray(guess, dtype=np.float64)
    n, share = len(target), unlabelled_sum / unlabelled_n
    pooled = (said.sum() + unlabelled_sum) / (n + unlabelled_n)
    if tune is None:
        together = float(np.mean((target - target.mean()) * (said - said.mean())))
        tune = together / ((1 + n / unlabelled_n) * pooled * (1 - pooled))
    value = float(target.mean() + tune * (share - said.mean()))
    variance = tune**2 * share * (1 - share) / unlabelled_n + float(np.var(target - tune * said)) / n
    return value, variance, tune


# other ways to draw


def poisson_total(y: ArrayLike, probability: ArrayLike) -> tuple[float, float]:
    """The total of ``y`` [R] of units that each were in by their own chance ``probability``, and its variance."""
    value, chance = np.asarray(y, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    return float((value / chance).sum()), float(((1 - chance) * (value / chance) ** 2).sum())


def poisson_mean(y: ArrayLike, probability: ArrayLike) -> tuple[float, float]:
    """The mean of such units by Hajek, and its variance by linearisation."""
    value, chance = np.asarray(y, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    whole = float((1 / chance).sum())
    mean = float((value / chance).sum()) / whole
    return mean, poisson_total((value - mean) / whole, chance)[1]


def lure(losses: ArrayLike, chances: ArrayLike, population: int) -> float:
    """The mean loss of ``population`` units from those picked one after the other by changing ``chances``.

    Levelled unbiased risk (Farquhar, Gal and Rainforth 2021): ``losses`` [M] in the order of picking, ``chances`` [M]
    of each among those that were left.
    """
    loss, q = np.asarray(losses, dtype=np.float64), np.asarray(chances, dtype=np.float64)
    m, step = len(loss), np.arange(1, len(loss) + 1)
    odds = 1 / ((population - step + 1) * q) - 1
    # picked last of all, a unit has no other beside it
    spare = np.divide(population - m, population - step, out=np.zeros(m), where=population > step)
    return float((loss * (1 + spare * odds)).mean())
