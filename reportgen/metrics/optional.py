"""Metrics of others that need a package or weights: under their own names, or not scored and the reason said.

Nothing is ever fetched: weights are a folder of yours, named in the environment (RADLOOP_BERTSCORE and so on).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from reportgen.metrics.meteor import not_scored
from reportgen.types import Array, Pair, Scored, empty_drafts

_RADCLIQ: Final = (2.450143, -1.24521631, -1.65084536, -0.994771702)


class Sacrebleu:
    """``sacrebleu.v1``: sacrebleu's corpus BLEU with its tokenizer 13a, of reports as written, with case and without.

    Over 1, as the other metrics are, where sacrebleu prints it over 100.
    """

    name = "sacrebleu.v1"
    text = "written"

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """Of each report its sentence BLEU, of the set that of the corpus."""
        names = {"sacrebleu-13a": False, "sacrebleu-13a-lower": True}
        if find_spec("sacrebleu") is None:
            return [not_scored(name, len(pairs), "not scored: needs the package sacrebleu") for name in names]
        bleu: Any = importlib.import_module("sacrebleu.metrics").BLEU

        empty = empty_drafts(pairs)
        scored = []
        for name, lower in names.items():
            metric: Any = bleu(effective_order=True, lowercase=lower)
            found = [metric.sentence_score(pair.hypothesis, list(pair.references)) for pair in pairs]
            sums = np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in found], dtype=np.float64)
            values = np.array([s.score / 100 for s in found])
            values[list(empty)] = np.nan
            scored.append(Scored(name, values, sums.reshape(len(pairs), 10), "sacrebleu", empty))
        return scored


class RougeScore:
    """``rouge-score.v1``: F1 of rougeL of the package rouge-score, without stemming and with it."""

    name = "rouge-score.v1"
    text = "written"

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """F1 of each report, averaged."""
        names = {"rouge-score-L": False, "rouge-score-L-stem": True}
        if find_spec("rouge_score") is None:
            return [not_scored(name, len(pairs), "not scored: needs the package rouge-score") for name in names]
        rouge: Any = importlib.import_module("rouge_score.rouge_scorer").RougeScorer

        scored = []
        for name, stem in names.items():
            scorer: Any = rouge(["rougeL"], use_stemmer=stem)
            values = [scorer.score(pair.reference, pair.hypothesis)["rougeL"].fmeasure for pair in pairs]
            scored.append(_mean(name, np.array(values, dtype=np.float64), pairs))
        return scored


def radcliq(radgraph: Array, bertscore: Array, semb: Array) -> Array:
    """RadCliQ-v1 of its three parts (Yu et al. 2023), raw: lower is better, a perfect pair has -1.4407.

    >>> round(float(radcliq(np.array([1.0]), np.array([1.0]), np.array([1.0]))[0]), 4)
    -1.4407
    """
    start, a, b, c = _RADCLIQ
    return start + a * radgraph + b * bertscore + c * semb


def _mean(name: str, values: Array, pairs: Sequence[Pair]) -> Scored:
    empty = empty_drafts(pairs)
    sums = np.column_stack([values, np.ones(len(pairs))])
    values[list(empty)] = np.nan
    return Scored(name, values, sums, "mean", empty)


class _Weighted:
    """A metric of a network: needs a package, and a folder with the weights that the environment names."""

    text = "written"

    def __init__(self, name: str, gives: str, package: str, variable: str, run: Callable[[str, Sequence[Pair]], Array]):
        self.name, self._gives, self._package, self._variable, self._run = name, gives, package, variable, run

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """One score of each report, averaged."""
        weights = os.environ.get(self._variable, "")
        if not weights or not Path(weights).exists():
            why = f"not scored: needs weights, a folder named in {self._variable}"
        elif find_spec(self._package) is None:
            why = f"not scored: needs the package {self._package}"
        else:
            return [_mean(self._gives, self._run(weights, pairs), pairs)]
        return [not_scored(self._gives, len(pairs), why)]


def bertscore() -> _Weighted:
    """``bertscore.v1``: F1 of BERTScore with a local model."""
    return _Weighted("bertscore.v1", "BERTScore", "bert_score", "RADLOOP_BERTSCORE", _bertscore)


def radgraph() -> _Weighted:
    """``radgraph.v1``: RadGraph F1 (partial) with local weights."""
    return _Weighted("radgraph.v1", "RadGraph-F1", "radgraph", "RADLOOP_RADGRAPH", _radgraph)


def ratescore() -> _Weighted:
    """``ratescore.v1``: RaTEScore with local weights."""
    return _Weighted("ratescore.v1", "RaTEScore", "RaTEScore", "RADLOOP_RATESCORE", _ratescore)


def green() -> _Weighted:
    """``green.v1``: GREEN with local weights."""
    return _Weighted("green.v1", "GREEN", "green_score", "RADLOOP_GREEN", _green)


def chexbert() -> _Weighted:
    """``chexbert.v1``: F1 of CheXbert's labels with local weights."""
    return _Weighted("chexbert.v1", "CheXbert-F1", "f1chexbert", "RADLOOP_CHEXBERT", _chexbert)


def _bertscore(weights: str, pairs: Sequence[Pair]) -> Array:
    module: Any = importlib.import_module("bert_score")
    layers = int(os.environ.get("RADLOOP_BERTSCORE_LAYERS", "5"))
    scores = module.score(
        [p.hypothesis for p in pairs], [p.reference for p in pairs], model_type=weights, num_layers=layers, idf=False
    )
    return np.asarray(scores[2].numpy(), dtype=np.float64)


def _radgraph(weights: str, pairs: Sequence[Pair]) -> Array:
    scorer: Any = importlib.import_module("radgraph").F1RadGraph(reward_level="partial", model_path=weights)
    _, values, _, _ = scorer(hyps=[p.hypothesis for p in pairs], refs=[p.reference for p in pairs])
    return np.asarray(values, dtype=np.float64)


def _ratescore(weights: str, pairs: Sequence[Pair]) -> Array:
    scorer: Any = importlib.import_module("RaTEScore").RaTEScore(bert_model=weights)
    values = scorer.compute_score([p.hypothesis for p in pairs], [p.reference for p in pairs])
    return np.asarray(values, dtype=np.float64)


def _green(weights: str, pairs: Sequence[Pair]) -> Array:
    scorer: Any = importlib.import_module("green_score").GREEN(weights, output_dir=".")
    values = scorer([p.reference for p in pairs], [p.hypothesis for p in pairs])[2]
    return np.asarray(values, dtype=np.float64)


def _chexbert(weights: str, pairs: Sequence[Pair]) -> Array:
    scorer: Any = importlib.import_module("f1chexbert").F1CheXbert(model_path=weights)
    _, values, _, _ = scorer(hyps=[p.hypothesis for p in pairs], refs=[p.reference for p in pairs])
    return np.asarray(values, dtype=np.float64)
