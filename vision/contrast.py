"""Contrastive pretraining: the networks and the losses.

moco         A film's two views are a pair; keys of earlier films in a queue are what it is told from (He et al. 2020).
             DeepMRDTR (npj Digital Medicine 2023) adds two pairs by mix-up (Zhang et al. 2018):

                 f_o1 = q(view 1)                    f_o2 = k(view 2)                     (f_o1, f_o2)
                 f_m1 = q(mixed views 1)             f_m2 = k(mixed views 2)              (f_m1, f_m2)
                 f_m  = mix of f_o1 of both films                                         (f_m,  f_m2)

             q learns by gradient; k is moved: k = m k + (1 - m) q.
image_text   A film and the report of its study are a pair among those of the batch, both ways (ConVIRT, Zhang et al.
             2020). Reports that say the same, word for word, are the same target: many films are of normal chests.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, normalize
from transformers import BertConfig, BertModel

from vision.contrast_recipe import MocoRecipe, PretrainVisionRecipe, TextRecipe
from vision.encoder import FilmEncoder, gathered

#: Pairs of neighbours are told apart by a number below the first, made with the second.
_PAIRS, _MIX = 16_384, 7919


class FilmTower(nn.Module):
    """A film encoder with two layers behind it: films [B, 1, S, S] to unit vectors [B, D]."""

    def __init__(self, encoder: FilmEncoder, dimension: int) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.head.in_features
        # the head over labels has nothing to learn here
        encoder.head.requires_grad_(False)
        self.project = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, dimension), spread(dimension)
        )

    def forward(self, greys: Tensor) -> Tensor:
        pooled = gathered(self.encoder.features(greys), self.encoder.config.gather)
        return normalize(self.project(pooled).float(), dim=1)


def spread(dimension: int) -> nn.Module:
    """What keeps vectors [B, D] apart: each of their numbers less its mean over the batch, over its deviation.

    Networks that begin with nothing give all films, and all reports, nearly the same vector; films and reports are then
    told from others by nothing, and the loss stays at the logarithm of the batch.
    """
    return nn.BatchNorm1d(dimension, affine=False)


class TextTower(nn.Module):
    """Word pieces [B, T] and their mask to unit vectors [B, D]: a small BERT or, without layers, a bag of pieces and of
    pairs of neighbours (Joulin et al. 2017), which costs little and tells "no effusion" from "effusion" as well.
    """

    def __init__(self, recipe: TextRecipe, pieces: int, dimension: int) -> None:
        super().__init__()
        self.bag = not recipe.layers
        if self.bag:
            self.single = nn.Embedding(pieces, recipe.width)
            self.pair = nn.Embedding(_PAIRS, recipe.width)
            last: list[nn.Module] = [nn.LayerNorm(recipe.width), nn.Linear(recipe.width, dimension)]
        else:
            config = BertConfig(
                vocab_size=pieces, hidden_size=recipe.width, num_hidden_layers=recipe.layers,
                num_attention_heads=recipe.heads, intermediate_size=4 * recipe.width,
                max_position_embeddings=recipe.length,
            )  # fmt: skip
            self.body = BertModel(config, add_pooling_layer=False)
            last = [nn.Linear(recipe.width, dimension)]
        self.project = nn.Sequential(*last, spread(dimension))

    def forward(self, pieces: Tensor, mask: Tensor) -> Tensor:
        kept = mask.unsqueeze(-1)
        if self.bag:
            both = mask[:, 1:] * mask[:, :-1]
            pairs = (pieces[:, :-1] * _MIX + pieces[:, 1:]) % _PAIRS
            states = (self.single(pieces) * kept).sum(dim=1) + (self.pair(pairs) * both.unsqueeze(-1)).sum(dim=1)
        else:
            states = (self.body(input_ids=pieces, attention_mask=mask).last_hidden_state * kept).sum(dim=1)
        return normalize(self.project(states / kept.sum(dim=1)).float(), dim=1)


class Contrast(nn.Module):
    """What pretraining learns: the query tower, its slow copy with the queue, a tower of films and one of reports for
    the second objective. Parts that the objective does not need are not there."""

    queue: Tensor
    at: Tensor

    def __init__(self, encoder: FilmEncoder, recipe: PretrainVisionRecipe, pieces: int = 0) -> None:
        super().__init__()
        self.recipe = recipe
        self.query = FilmTower(encoder, recipe.dimension)
        self.by_momentum = recipe.objective in ("moco", "both")
        self.by_text = recipe.objective in ("image_text", "both")
        if self.by_momentum:
            self.key = copy.deepcopy(self.query).requires_grad_(False)
            draw = torch.Generator().manual_seed(recipe.seed)
            self.register_buffer(
                "queue", normalize(torch.randn(recipe.moco.queue, recipe.dimension, generator=draw), dim=1)
            )
            self.register_buffer("at", torch.zeros((), dtype=torch.long))
        if self.by_text:
            width = encoder.head.in_features
            self.to_text = nn.Sequential(
                nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, recipe.dimension),
                spread(recipe.dimension),
            )  # fmt: skip
            self.text = TextTower(recipe.text, pieces, recipe.dimension)

    def learned(self) -> Iterator[nn.Parameter]:
        """The weights that learn by gradient."""
        return (weight for weight in self.parameters() if weight.requires_grad)

    @torch.no_grad()
    def move_key(self) -> None:
        """Move the key tower towards the query tower; counts and statistics of batch norm are its own."""
        for kept, value in zip(self.key.parameters(), self.query.parameters(), strict=True):
            kept.lerp_(value, 1 - self.recipe.moco.momentum)

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Put keys [B, D] into the queue in place of its oldest."""
        size, begin = len(self.queue), int(self.at)
        keys = keys[-size:]
        places = (begin + torch.arange(len(keys), device=keys.device)) % size
        self.queue[places] = keys
        self.at.fill_((begin + len(keys)) % size)

    def film_loss(self, first: Tensor, second: Tensor, share: Tensor, partner: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of two views [B, 1, S, S] of the same films, and the share of films told from the whole queue.

        ``share`` [B] and ``partner`` [B] are how each film is mixed, and with which.
        """
        how = self.recipe.moco
        queries = self.query(first)
        with torch.no_grad():
            keys = self.key(second)
        queue = self.queue.clone()
        loss, right = info_nce(queries, keys, queue, how.temperature)
        weight = 1.0
        if how.mix and (how.image_mix or how.feature_mix):
            with torch.no_grad():
                mixed_keys = self.key(mixed(second, share, partner))
            if how.image_mix:
                of_mixed = self.query(mixed(first, share, partner))
                loss = loss + how.image_mix * info_nce(of_mixed, mixed_keys, queue, how.temperature)[0]
            if how.feature_mix:
                of_features = normalize(mixed(queries, share, partner), dim=1)
                loss = loss + how.feature_mix * info_nce(of_features, mixed_keys, queue, how.temperature)[0]
            weight += how.image_mix + how.feature_mix
        self.push(keys)
        return loss / weight, right

    def text_loss(self, films: Tensor, pieces: Tensor, mask: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of films [B, 1, S, S] and reports [B, T], and the share of films whose report is the nearest.

        ``same`` [B] numbers reports, equal for equal ones.
        """
        how = self.recipe.text
        pooled = gathered(self.query.encoder.features(films), self.query.encoder.config.gather)
        seen = normalize(self.to_text(pooled).float(), dim=1)
        return pair_loss(seen, self.text(pieces, mask), same, how.temperature, how.weight)


def mixed(values: Tensor, share: Tensor, partner: Tensor) -> Tensor:
    """Each row of ``values`` [B, ...] mixed with that of its partner: share x + (1 - share) x[partner]."""
    by = share.to(values).view(-1, *([1] * (values.ndim - 1)))
    return by * values + (1 - by) * values[partner]


def mix_of(count: int, recipe: MocoRecipe, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each of ``count`` films its share, at least a half, and its partner. From a Beta distribution."""
    seed = int(torch.randint(2**31, (1,), generator=draw))
    partner = torch.randperm(count, generator=draw)
    if not recipe.mix:
        return torch.ones(count), partner
    import numpy as np

    drawn = np.random.default_rng(seed).beta(recipe.mix, recipe.mix, count)
    return torch.from_numpy(np.maximum(drawn, 1 - drawn).astype(np.float32)), partner


def info_nce(queries: Tensor, keys: Tensor, queue: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The InfoNCE loss of queries [B, D] whose keys are [B, D], against the queue [K, D]; and the share told right.

    -log exp(q.k / t) / (exp(q.k / t) + sum over the queue), the mean over the batch.
    """
    positive = (queries * keys).sum(dim=1, keepdim=True)
    logits = torch.cat([positive, queries @ queue.T], dim=1) / temperature
    target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    return cross_entropy(logits, target), (logits.detach().argmax(dim=1) == 0).float().mean()


def pair_loss(films: Tensor, reports: Tensor, same: Tensor, temperature: float, weight: float) -> tuple[Tensor, Tensor]:
    """The loss of films [B, D] and reports [B, D] as pairs, ``weight`` of it from film to report; and the share right.

    Equal reports, by ``same`` [B], share the target of each of them.
    """
    logits = films @ reports.T / temperature
    equal = (same[:, None] == same[None, :]).to(logits)
    target = equal / equal.sum(dim=1, keepdim=True)
    # equality goes both ways, so the same targets serve both
    forth = -(target * log_softmax(logits, dim=1)).sum(dim=1).mean()
    back = -(target * log_softmax(logits.T, dim=1)).sum(dim=1).mean()
    nearest = logits.detach().argmax(dim=1)
    right = equal[torch.arange(len(nearest), device=equal.device), nearest].mean()
    return weight * forth + (1 - weight) * back, right


def weights_of(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The backbone's weights in the state of a ``Contrast``."""
    begin = "query.encoder.backbone."
    return {name.removeprefix(begin): value for name, value in state.items() if name.startswith(begin)}
