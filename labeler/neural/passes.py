"""The passes of a training run: over a teacher's labels, over folds of the gold, over all of the gold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np
from accelerate import Accelerator  # type: ignore[import-untyped]
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from corpora.config import config_sha256
from corpora.errors import ConfigError
from labeler.neural.batches import logits_of
from labeler.neural.data import Examples, class_weights
from labeler.neural.encode import encode, encode_reports
from labeler.neural.gold import Crossed, Gold, cross_fit, no_finding_of
from labeler.neural.loop import Course, Encoded, Epoch, Stage, StepWatch, Tokens, Watch, fit
from labeler.neural.model import BertCnnForLabels
from labeler.neural.recipe import StageRecipe, TrainRecipe

_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Passes:
    """What learns, by which recipe; ``work`` is the folder of its checkpoints, from which it goes on if ``resume``."""

    model: BertCnnForLabels
    tokenizer: PreTrainedTokenizerFast
    recipe: TrainRecipe
    accelerator: Accelerator
    work: Path
    resume: bool
    watch: Watch
    steps: StepWatch

    def all(
        self, weak: Examples, made: int, gold: Gold | None, heldout: Examples
    ) -> tuple[list[Course], Crossed | None]:
        """The weak pass over sentences, the last of them ``made``; then gold, if there is any.

        ``heldout`` are whole reports with a teacher's labels. Raises ``ConfigError`` (``config.value``) if there is
        nothing to learn.
        """
        courses: list[Course] = []
        crossed: Crossed | None = None
        if self.recipe.weak.epochs:
            learned = encode(self.tokenizer, weak, self.recipe.max_length)
            in_turn = made if self.recipe.fresh else 0
            courses.append(self._learn("weak", self.recipe.weak, learned, heldout, in_turn=in_turn))
        if gold is not None:
            course, crossed = self._gold(gold, heldout)
            courses.append(course)
        if not courses:
            message = "weak.epochs is 0 and there is no gold: nothing to learn from"
            raise ConfigError("config.value", message, where="weak")
        return courses, crossed

    def reads(self, examples: Examples) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        """The logits [S, L, 4] of the sentences of whole reports, and how many sentences each report has."""
        encoded = encode_reports(self.tokenizer, examples, self.recipe.max_length)
        return logits_of(self.model, encoded.tokens, self._pad, _AT_ONCE), encoded.sizes or ()

    def _gold(self, gold: Gold, heldout: Examples) -> tuple[Course, Crossed]:
        """As many epochs over all of the gold as served its folds; what they came to there is each epoch's score."""
        recipe = self.recipe.gold.model_copy(update={"keep": "last"})

        def apart(learned: Examples, heldout: Examples, name: str, watch: Watch) -> Course:
            return self._learn(name, recipe, self._encoded(learned), heldout, watch=watch, resume=False)

        crossed = cross_fit(self.model, gold, recipe.epochs, apart, self.reads)

        def scored(epoch: Epoch) -> Epoch:
            return replace(epoch, weighted_f1=crossed.scores[epoch.epoch])

        course = self._learn(
            "gold", recipe, self._encoded(gold.learned()), heldout, until=crossed.epochs,
            watch=lambda epoch: self.watch(scored(epoch)),
        )  # fmt: skip
        course.epochs[:] = map(scored, course.epochs)
        course.best_f1 = crossed.scores[crossed.epochs]
        return course, crossed

    def _learn(
        self, name: str, recipe: StageRecipe, learned: Encoded, heldout: Examples, *, in_turn: int = 0,
        until: int | None = None, watch: Watch | None = None, resume: bool | None = None,
    ) -> Course:  # fmt: skip
        key = _key(self.recipe, learned, heldout.texts, until)
        stage = Stage(
            name, recipe, learned, self._encoded(heldout), class_weights(learned.classes, self.recipe.balance),
            self._tokens(), self.recipe.word_dropout, self.recipe.seed, key,
            no_finding_of(self.model), from_start=name != "weak", in_turn=in_turn, until=until,
        )  # fmt: skip
        return fit(
            self.model, stage, self.accelerator, self.work / f"{name.split()[0]}.pt",
            resume=self.resume if resume is None else resume, watch=watch or self.watch, steps=self.steps,
        )  # fmt: skip

    def _encoded(self, examples: Examples) -> Encoded:
        return encode_reports(self.tokenizer, examples, self.recipe.max_length)

    @property
    def _pad(self) -> int:
        pad: int = self.tokenizer.pad_token_id
        return pad

    def _tokens(self) -> Tokens:
        special = frozenset(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        return Tokens(self._pad, self.tokenizer.mask_token_id, special)


def _key(recipe: TrainRecipe, learned: Encoded, heldout: Sequence[str], until: int | None) -> str:
    digest = blake2b(config_sha256(recipe).encode(), digest_size=16)
    digest.update(repr((learned.tokens, learned.sizes, until)).encode())
    digest.update("\0".join(heldout).encode("utf-8", "surrogatepass"))
    digest.update(learned.classes.tobytes())
    return digest.hexdigest()
