"""The loss of a batch: a loss for each cell by its label's policy, weighed, and the mean of those that count.

Focal: Lin et al., ICCV 2017. Asymmetric: Ridnik et al., ICCV 2021. AUC margin: Yuan et al., "Large-scale robust deep
AUC maximization", ICCV 2021, here as its pairwise form over a batch: mean squared shortfall of the margin between the
score of a positive and that of a negative film, (margin - (s+ - s-))+ ^2, with s the probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import logsigmoid

from vision.encoder import FilmEncoderOutput
from vision.recipe import LossRecipe
from vision.uncertainty import Policies, eased, noise_aware, three_way


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a batch of films teaches: ``codes`` [B, L] of the states, ``draw`` [B, L] for smoothed targets, ``soft``
    [B, L] what a first network made of uncertain cells (NaN elsewhere; None without one), ``done`` the share of the
    training that is behind it."""

    codes: Tensor
    draw: Tensor
    soft: Tensor | None = None
    done: float = 1.0


@dataclass(frozen=True, slots=True)
class Criterion:
    """How a batch is judged.

    ``positive`` [L] weighs positive cells. ``places`` are where each label's outputs begin. ``parents`` [L] are places,
    -1 for none; if ``conditional``, a cell counts where its parent is positive, by the label's own logit; else by the
    logit of the chain.
    """

    policies: Policies
    recipe: LossRecipe
    positive: Tensor
    places: list[int]
    parents: list[int]
    conditional: bool

    def __call__(self, output: FilmEncoderOutput, lesson: Lesson) -> Tensor:
        logits = output.own if self.conditional else output.logits
        assert logits is not None and output.outputs is not None
        target, weight = self.policies.targets(lesson.codes, lesson.draw)
        if lesson.soft is not None:
            known = ~torch.isnan(lesson.soft)
            target, weight = torch.where(known, lesson.soft, target), torch.where(known, 1.0, weight)
        if self.conditional:
            weight = weight * self._under_positive(lesson.codes)
        if self.recipe.kind == "auc_margin":
            losses = self._margins(logits, target, weight)
            if not self.policies.threes and not self.policies.noisy:
                return losses
            return losses + self._others(logits, output.outputs, lesson, weight)
        losses = cell_losses(logits, target, self.recipe)
        losses = losses * (1 + (self.positive - 1) * target)
        return self._mean(self._filled(losses, logits, output.outputs, lesson), weight)

    def _filled(self, losses: Tensor, logits: Tensor, outputs: Tensor, lesson: Lesson) -> Tensor:
        """The losses [B, L] with those of the labels of other kinds in their places."""
        columns, codes = dict(enumerate(losses.unbind(dim=1))), lesson.codes
        for label in self.policies.threes:
            own = outputs[:, self.places[label] : self.places[label] + 3]
            columns[label] = three_way(own, codes[:, label], blank_counts=True)
        for label, channel in zip(self.policies.noisy, self.policies.channels, strict=True):
            columns[label] = noise_aware(logits[:, label], codes[:, label], eased(channel, lesson.done))
        return torch.stack([columns[label] for label in range(losses.shape[1])], dim=1)

    def _others(self, logits: Tensor, outputs: Tensor, lesson: Lesson, weight: Tensor) -> Tensor:
        places = [*self.policies.threes, *self.policies.noisy]
        losses = self._filled(torch.zeros_like(logits), logits, outputs, lesson)
        return self._mean(losses[:, places], weight[:, places])

    @staticmethod
    def _mean(losses: Tensor, weight: Tensor) -> Tensor:
        return (losses * weight).sum() / weight.sum().clamp_min(1.0)

    def _under_positive(self, codes: Tensor) -> Tensor:
        """1 where a cell's parent is positive or it has none, else 0: [B, L]."""
        positive = (codes == 0).float()
        return torch.stack(
            [
                torch.ones_like(positive[:, 0]) if parent < 0 else positive[:, parent].maximum(positive[:, at])
                for at, parent in enumerate(self.parents)
            ],
            dim=1,
        )

    def _margins(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        losses = [
            auc_margin(logits[:, at], target[:, at], weight[:, at], self.recipe.margin) for at in self.policies.plain
        ]
        return torch.stack(losses).mean() if losses else logits.sum() * 0


def cell_losses(logits: Tensor, target: Tensor, recipe: LossRecipe) -> Tensor:
    """The loss [B, L] of each binary cell; ``target`` in 0..1."""
    if recipe.kind == "focal":
        return focal(logits, target, recipe.gamma)
    if recipe.kind == "asymmetric":
        return asymmetric(logits, target, recipe.gamma, recipe.gamma_positive, recipe.clip)
    return bce(logits, target, reduction="none")


def focal(logits: Tensor, target: Tensor, gamma: float) -> Tensor:
    """Cross entropy, times the power ``gamma`` of how far off the probability is."""
    return (target - torch.sigmoid(logits)).abs() ** gamma * bce(logits, target, reduction="none")


def asymmetric(logits: Tensor, target: Tensor, gamma: float, gamma_positive: float, clip: float) -> Tensor:
    """Cross entropy whose negatives are forgiven below the probability ``clip`` and focused by ``gamma``."""
    probability = torch.sigmoid(logits)
    shifted = (probability - clip).clamp_min(0)
    yes = (1 - probability) ** gamma_positive * logsigmoid(logits)
    no = shifted**gamma * torch.log((1 - shifted).clamp_min(1e-8))
    return -(target * yes + (1 - target) * no)


def auc_margin(logits: Tensor, target: Tensor, weight: Tensor, margin: float) -> Tensor:
    """The mean squared shortfall of the margin over pairs of a positive and a negative film; 0 where there are none.

    Soft targets take part on both sides, by their share.
    """
    scores = torch.sigmoid(logits)
    short = (margin - (scores[:, None] - scores[None, :])).clamp_min(0) ** 2
    pairs = (target * weight)[:, None] * ((1 - target) * weight)[None, :]
    return (short * pairs).sum() / pairs.sum().clamp_min(1e-6)
