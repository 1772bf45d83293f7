"""What a study's films show, by several views of them: the encoder's, and the drafter's own.

    encoder          the probability of the encoder's classifier
    drafter          the drafter's judgement of film, Indication and prior report (``Drafter.judged``)
    text             the same without the film: what Indication and prior report alone let expect
    before           1 for a label that the patient's last report has, surely or perhaps, by the labeler; else 0

The log odds of a label are a weighted sum of those of the views, with weights that labels share and a bias of its own,
fitted to the labels of the validation reports (stacking: Wolpert 1992). A label is told to the decoder where its
probability reaches the threshold whose expected F1 over the validation studies is best (Lipton, Elkan and
Naryanaswamy 2014): with few positives it moves less than that of the best F1 that was counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from reportgen.data import Desk, Sight
from reportgen.model import Drafter, Films
from reportgen.scorer import labels_of

#: The views, in the order of their columns.
SOURCES: Final = ("encoder", "drafter", "text", "before")
_NORMAL: Final = "No Finding"
_ROWS_AT_ONCE: Final = 64
_FARTHEST: Final = 8.0
#: What a weight or a bias costs, in nats over all studies, per squared distance from where it begins.
_HELD: Final = 0.5
_FEWEST: Final = 3


@dataclass(frozen=True, slots=True)
class Judgement:
    """How views are mixed: a weight for each of ``SOURCES``; a bias and a threshold for each label that was learned.
    ``labeler`` reads the reports before."""

    weights: Mapping[str, float]
    biases: Mapping[str, float]
    thresholds: Mapping[str, float]
    labeler: str

    @classmethod
    def of(cls, model: Drafter) -> Judgement | None:
        """That of a drafter; None if it does not judge."""
        kept = model.config.judgement
        return cls(**kept) if kept else None

    def probabilities(self, opinions: NDArray[np.float64], labels: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities [N, L] of opinions [N, S, L]; of a label without a bias, the encoder's."""
        weights = np.array([self.weights[source] for source in SOURCES])
        biases = np.array([self.biases.get(label, 0.0) for label in labels])
        mixed = np.einsum("nsl,s->nl", opinions, weights) + biases
        known = np.array([label in self.biases for label in labels])
        return _sigmoid(np.where(known, mixed, opinions[:, 0]))

    def limits(self, otherwise: Mapping[str, float]) -> dict[str, float]:
        """The threshold of each label of ``otherwise``, which are the encoder's."""
        return {label: float(self.thresholds.get(label, limit)) for label, limit in otherwise.items()}

    def as_config(self) -> dict[str, Any]:
        """As it stands in ``config.json``."""
        return asdict(self)


def opinions(model: Drafter, desk: Desk, labeler: str) -> NDArray[np.float64]:
    """What each of ``SOURCES`` says of the labels of a desk's studies [N, S, L]; its prompts need no hints yet."""
    sight: Sight = desk.sight
    model.train(False)
    found = [sight.study_logits(desk.studies, model.encoder.config.views).astype(np.float64)]
    for blind in (False, True):
        rows = np.arange(len(desk.studies))
        groups = [rows[at : at + _ROWS_AT_ONCE] for at in range(0, len(rows), _ROWS_AT_ONCE)]
        found.append(np.concatenate([_judged(model, desk, group, blind=blind) for group in groups]))
    texts = [study.before for study in desk.studies]
    found.append(labels_of(labeler, texts, model.encoder.config.label_names).astype(np.float64))
    return np.stack(found, axis=1).clip(-_FARTHEST, _FARTHEST)


@torch.inference_mode()
def _judged(model: Drafter, desk: Desk, rows: NDArray[np.int64], *, blind: bool) -> NDArray[np.float64]:
    batch = desk.batch(rows, targets=False)
    films = hidden_from(batch.films) if blind else batch.films
    ids = batch.ids.to(model.device)
    output = model(
        films.to(model.device), ids, batch.mask.to(model.device), output_hidden_states=True, logits_to_keep=1
    )
    found: NDArray[np.float64] = model.judged(output.hidden_states[-1], ids).cpu().numpy().astype(np.float64)
    return found


def hidden_from(films: Films, rows: Tensor | None = None) -> Films:
    """Films of which those of ``rows`` [B] (all without) are not shown."""
    present = films.present.clone()
    present[slice(None) if rows is None else rows] = 0
    return Films(films.cells, present, films.views)


def judging_loss(judged: Tensor, meant: Tensor) -> Tensor:
    """The mean log loss of logits [B, L] against labels [B, L]."""
    return F.binary_cross_entropy_with_logits(judged, meant)


def fit_judgement(
    views: NDArray[np.float64], meant: NDArray[np.bool_], labels: Sequence[str], labeler: str
) -> Judgement:
    """The mixture of opinions [N, S, L] that fits labels [N, L] best; labels with fewer than three positives or
    negatives keep the encoder's view. Weights are not below 0."""
    positive = meant.sum(axis=0)
    kept = [at for at, n in enumerate(positive) if _FEWEST <= n <= len(meant) - _FEWEST]
    if not kept:
        return Judgement(dict.fromkeys(SOURCES, 0.0) | {"encoder": 1.0}, {}, {}, labeler)
    x, y = torch.from_numpy(views[:, :, kept]), torch.from_numpy(meant[:, kept].astype(np.float64))
    begun = torch.full((len(SOURCES),), 1 / len(SOURCES), dtype=torch.float64)
    root = begun.sqrt().clone().requires_grad_(True)
    bias = torch.zeros(len(kept), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([root, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        weights = root.square()
        logits = torch.einsum("nsl,s->nl", x, weights) + bias
        value = F.binary_cross_entropy_with_logits(logits, y, reduction="sum")
        value = value + _HELD * ((weights - begun).square().sum() + bias.square().sum())
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    weights = dict(zip(SOURCES, root.detach().square().tolist(), strict=True))
    biases = dict(zip([labels[at] for at in kept], bias.detach().tolist(), strict=True))
    made = Judgement(_rounded(weights), _rounded(biases), {}, labeler)
    p = made.probabilities(views, labels)
    limits = {labels[at]: expected_threshold(p[:, at]) for at in kept}
    return Judgement(made.weights, made.biases, _rounded(limits), labeler)


def expected_threshold(p: NDArray[np.float64]) -> float:
    """The threshold of probabilities [N] whose expected F1 is best, if they are calibrated.

    >>> expected_threshold(np.array([0.9, 0.8, 0.1, 0.0]))
    0.45
    """
    order = np.sort(p)[::-1]
    f1 = 2 * np.cumsum(order) / (np.arange(1, len(order) + 1) + order.sum())
    f1[:-1][order[:-1] == order[1:]] = -1
    best = int(f1.argmax())
    below = order[best + 1] if best + 1 < len(order) else 0.0
    return round(float((order[best] + below) / 2), 6)


def told(p: NDArray[np.float64], limits: Mapping[str, float]) -> list[list[str]]:
    """The labels whose probability [N, L] reaches its limit, by study; No Finding where there is no other.

    >>> told(np.array([[0.9, 0.2], [0.1, 0.2]]), {"Edema": 0.5, "No Finding": 0.1})
    [['Edema'], ['No Finding']]
    """
    found = []
    for row in p >= np.array(list(limits.values())):
        here = [label for label, seen in zip(limits, row, strict=True) if seen and label != _NORMAL]
        found.append(here or [label for label in limits if label == _NORMAL])
    return found


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in values.items()}


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return found
