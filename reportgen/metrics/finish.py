"""From summed rows to the value of a metric, by the name that a run folder keeps.

Each function takes sums (..., k) and gives values (...), NaN where the value is undefined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from corpora.errors import DataError
from reportgen.types import Array, Finish

# the constants of pycocoevalcap, so that a precision of nothing is tiny and not undefined
SMALL: Final = 1e-9
TINY: Final = 1e-15
# METEOR 1.5 tuned for English: alpha, beta, gamma, delta, and the weights of exact, stem, synonym, paraphrase
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_STAGES: Final = (1.0, 0.6, 0.8, 0.6)


def finish(name: str) -> Finish:
    """The function kept as ``name``: ``mean``, ``ratio``, ``bleu.N``, ``sacrebleu``, ``f1``, ``kappa`` ...

    Raises ``DataError`` (``bench.finisher``) for a name of another version.
    """
    try:
        return _FINISHERS[name]
    except KeyError:
        raise DataError(
            "bench.finisher", f"scores are summed up as {name!r}, which this version does not know",
            hint="score the drafts again",
        ) from None  # fmt: skip


def ratio(part: Array, whole: Array) -> Array:
    """``part / whole``, NaN where ``whole`` is zero."""
    result = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=result, where=np.asarray(whole) > 0)
    return result


def mean(sums: Array) -> Array:
    """Sums of (value, 1) over the scored reports."""
    return ratio(sums[..., 0], sums[..., 1])


def bleu(order: int) -> Finish:
    """BLEU as pycocoevalcap has it, of sums (hits 1..4, guesses 1..4, length of the draft, of the reference)."""

    def value(sums: Array) -> Array:
        precision = np.ones(sums.shape[:-1])
        for n in range(order):
            precision = precision * (sums[..., n] + TINY) / (sums[..., 4 + n] + SMALL)
        lengths = (sums[..., 8] + TINY) / (sums[..., 9] + SMALL)
        with np.errstate(over="ignore", divide="ignore"):
            brevity = np.where(lengths < 1, np.exp(1 - 1 / lengths), 1.0)
        result: Array = precision ** (1 / order) * brevity
        return result

    return value


def sacrebleu(sums: Array) -> Array:
    """sacrebleu's BLEU over 1, with its smoothing of precisions of nothing; sums as for ``bleu``."""
    hits, guesses = sums[..., :4], sums[..., 4:8]
    nothing = (hits == 0) & (guesses > 0)
    halved = 2.0 ** np.cumsum(nothing, axis=-1)
    whole = np.where(guesses > 0, guesses, 1.0)
    precision = np.where(nothing, 1 / (halved * whole), hits / whole)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        value = np.exp(np.log(precision).mean(axis=-1)) * np.exp(np.minimum(0, 1 - sums[..., 9] / sums[..., 8]))
    # as there: no four words anywhere, or not one word right, is a score of 0
    known: Array = np.where((guesses > 0).all(axis=-1) & (hits.sum(axis=-1) > 0), value, 0.0)
    return known


def meteor(sums: Array) -> Array:
    """METEOR 1.5 for English of its 23 summed statistics (``MeteorStats`` of the jar, in its order),
    with no chunk for a draft that is its reference word for word."""
    length, reference, function, reference_function = (sums[..., at] for at in range(4))
    stages = sums[..., 4:20].reshape(*sums.shape[:-1], 4, 4)
    chunks, matched, reference_matched = (sums[..., at] for at in (20, 21, 22))
    # of each stage: content words of draft and reference, function words of draft and reference
    weighted = np.einsum("...sw,s->...w", stages, np.array(_STAGES))
    hits = _DELTA * weighted[..., :2] + (1 - _DELTA) * weighted[..., 2:]
    precision = _ratio0(hits[..., 0], _DELTA * (length - function) + (1 - _DELTA) * function)
    recall = _ratio0(hits[..., 1], _DELTA * (reference - reference_function) + (1 - _DELTA) * reference_function)
    mean_ = _ratio0(precision * recall, _ALPHA * precision + (1 - _ALPHA) * recall)
    fragments = _ratio0(chunks, (matched + reference_matched) / 2)
    result: Array = mean_ * (1 - _GAMMA * fragments**_BETA)
    return result


def _ratio0(part: Array, whole: Array) -> Array:
    return np.nan_to_num(ratio(part, whole))


def f1(sums: Array) -> Array:
    """F1 of sums (hits, said, meant)."""
    return ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def macro_f1(sums: Array) -> Array:
    """Mean F1 over labels of sums (hits, said, meant) a label; a label that is neither said nor meant has none."""
    each = _each(sums)
    return ratio(np.nansum(each, axis=-1), (~np.isnan(each)).sum(axis=-1).astype(np.float64))


def macro_f1_all(sums: Array) -> Array:
    """As ``macro_f1``, with zero for a label that is neither said nor meant, as scikit-learn has it."""
    return np.asarray(np.nan_to_num(_each(sums)).mean(axis=-1), dtype=np.float64)


def _each(sums: Array) -> Array:
    return f1(sums.reshape(*sums.shape[:-1], sums.shape[-1] // 3, 3))


def agreement(sums: Array) -> Array:
    """Cohen's kappa over the four states, of sums of a flattened 4 x 4 table."""
    from corpora.statistics.kappa import kappa_values

    values: Array = kappa_values(sums.reshape(*sums.shape[:-1], 4, 4))
    return values


_FINISHERS: Final[dict[str, Callable[[Array], Array]]] = {
    "mean": mean,
    "ratio": mean,
    "f1": f1,
    "f1.macro": macro_f1,
    "f1.macro.all": macro_f1_all,
    "kappa": agreement,
    "sacrebleu": sacrebleu,
    "meteor": meteor,
    **{f"bleu.{order}": bleu(order) for order in (1, 2, 3, 4)},
}
