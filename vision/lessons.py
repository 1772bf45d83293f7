"""What a run learns: the labels that can be learned, the films of both parts, and how a batch is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from corpora.config import config_sha256
from corpora.errors import ConfigError, DataError
from corpora.images.cache import ImageCache
from corpora.label_table import LabelMatrix
from vision.batches import Store
from vision.confusion import channel_of, read_confusion
from vision.data import TRAIN, VALIDATE, Films, Gathered, learnable, part_films, truth_of
from vision.encoder import chains
from vision.losses import Criterion
from vision.recipe import VisionRecipe
from vision.uncertainty import codes_of, head_of, policies_of


@dataclass(frozen=True, slots=True)
class Lessons:
    """Both parts with their films, over the ``labels`` that are learned; ``left_out`` says why others are not."""

    labels: tuple[str, ...]
    left_out: Mapping[str, str]
    train: Films
    store: Store
    heldout: Films
    heldout_store: Store
    heldout_truth: NDArray[np.int8]
    criterion: Criterion
    key: str

    def written(self) -> dict[int, NDArray[np.float64]]:
        """How likely what is written of the validation studies is of a positive and of a negative one, [S, 2] by the
        place of each noise-aware label."""
        policies, codes = self.criterion.policies, codes_of(self.heldout.states)
        channels = policies.channels.numpy().astype(np.float64)
        return {at: channel[:, codes[:, at]].T for at, channel in zip(policies.noisy, channels, strict=True)}


def lessons_of(
    gathered: Gathered, cache: ImageCache, table: LabelMatrix, recipe: VisionRecipe, confusion: Path | None
) -> Lessons:
    """The lessons of a run.

    Raises ``DataError``: ``vision.no_part`` for a part without films, ``vision.no_positive``, ``vision.confusion``;
    ``ConfigError`` (``config.value``) for a label of the recipe that the table does not have.
    """
    table = table if recipe.labels is None else table.only(recipe.labels)
    _check_names(recipe, table)
    train, heldout = (_part(gathered, part, cache, table) for part in (TRAIN, VALIDATE))
    negative = np.array([recipe.policy(label).blank == "negative" for label in table.labels])
    truths = {TRAIN: truth_of(train.states, negative), VALIDATE: truth_of(heldout.states, negative)}
    kept, left_out = learnable(table.labels, truths, recipe.min_positive)
    labels = tuple(table.labels[at] for at in kept)
    train, heldout = train.labels_at(kept), heldout.labels_at(kept)
    criterion = _criterion(labels, train, truths[TRAIN][:, kept], recipe, confusion)
    return Lessons(
        labels, left_out, train, Store(cache, train.image_ids), heldout, Store(cache, heldout.image_ids),
        truths[VALIDATE][:, kept], criterion, _key(recipe, criterion, train, heldout),
    )  # fmt: skip


def _check_names(recipe: VisionRecipe, table: LabelMatrix) -> None:
    # a policy for a label that this table lacks is no mistake: a recipe serves several tables; a parent's name is one
    if recipe.labels is None:
        return
    named = {*recipe.policies, *recipe.hierarchy.parents, *recipe.hierarchy.parents.values()}
    close = {name.lower(): name for name in table.labels}
    for name in sorted(named - set(table.labels)):
        if name.lower() in close:
            message = f"no label {name!r}; it is written {close[name.lower()]!r}"
            raise ConfigError("config.value", message, where="policies or hierarchy")


def _part(gathered: Gathered, part: str, cache: ImageCache, table: LabelMatrix) -> Films:
    films = part_films(gathered.of_part.get(part, ()), cache, table)
    if not len(films):
        raise DataError(
            "vision.no_part", f"the part {part} of the split has no film with labels", where=str(table.path),
            hint="radloop corpus split makes train, validate and test",
        )  # fmt: skip
    return films


def parents_of(labels: tuple[str, ...], recipe: VisionRecipe) -> list[int]:
    """The place of each label's parent, or of the nearest one further up that is learned; -1 for none."""
    if not recipe.hierarchy.conditional:
        return [-1] * len(labels)
    found = []
    for label in labels:
        seen, at = {label}, recipe.hierarchy.parents.get(label)
        while at is not None and at not in labels and at not in seen:
            seen.add(at)
            at = recipe.hierarchy.parents.get(at)
        found.append(labels.index(at) if at in labels and at != label else -1)
    # says so if they lead round
    chains(found)
    return found


def _criterion(
    labels: tuple[str, ...], train: Films, truth: NDArray[np.int8], recipe: VisionRecipe, confusion: Path | None
) -> Criterion:
    policies = [recipe.policy(label) for label in labels]
    noisy = [label for label, policy in zip(labels, policies, strict=True) if policy.uncertain == "noise_aware"]
    if noisy and confusion is None:
        raise ConfigError(
            "config.value", f"{', '.join(noisy)}: noise_aware needs the matrices of an audit", where="policies",
            hint="--confusion FILE, which radloop audit apply writes",
        )  # fmt: skip
    matrices = read_confusion(confusion, noisy) if confusion is not None and noisy else {}
    codes = codes_of(train.states)
    channels = [
        channel_of(
            matrices[label], np.bincount(codes[:, at], minlength=4).astype(np.float64),
            blank_counts=policy.blank == "negative",
        )
        if label in matrices
        else None
        for at, (label, policy) in enumerate(zip(labels, policies, strict=True))
    ]  # fmt: skip
    heads = [head_of(policy) for policy in policies]
    return Criterion(
        policies_of(policies, channels), recipe.loss, _positive_weights(truth, recipe),
        [sum(heads[:at]) for at in range(len(heads))], parents_of(labels, recipe), recipe.hierarchy.conditional,
    )  # fmt: skip


def _positive_weights(truth: NDArray[np.int8], recipe: VisionRecipe) -> torch.Tensor:
    ratio = (truth == 0).sum(axis=0) / np.maximum((truth == 1).sum(axis=0), 1)
    weights = np.clip(ratio**recipe.loss.balance, 1 / recipe.loss.heaviest, recipe.loss.heaviest)
    return torch.from_numpy(weights.astype(np.float32))


def _key(recipe: VisionRecipe, criterion: Criterion, *parts: Films) -> str:
    digest = blake2b(config_sha256(recipe).encode(), digest_size=16)
    digest.update(criterion.policies.channels.numpy().tobytes())
    for part in parts:
        digest.update(part.states.tobytes())
        digest.update("\0".join(part.image_ids).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
