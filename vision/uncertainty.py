"""Uncertainty policies: what a label's positive, negative, uncertain and blank cells teach.

    ignore       uncertain cells do not count                                     (U-Ignore)
    zeros, ones  they count as negative, as positive                              (U-Zeros, U-Ones)
    zeros_lsr    they count as a little:  a target drawn from uniform(0, .3)      (U-Zeros+LSR)
    ones_lsr     they count as rather yes: a target drawn from uniform(.55, .85)  (U-Ones+LSR)
    self_trained they count as what a first network, trained by ignore, makes of them
    three_way    uncertain is a class of its own; the score is p1 / (p0 + p1)     (U-MultiClass)
    noise_aware  every cell counts as what a machine wrote, which is wrong as often as an audit found

Irvin et al., "CheXpert", AAAI 2019 (arXiv:1901.07031); Pham et al., "Interpreting chest X-rays via CNNs that exploit
hierarchical disease dependencies and uncertainty labels", Neurocomputing 2021 (arXiv:1911.06475) for LSR; Patrini et
al., "Making deep neural networks robust to label noise: a loss correction approach", CVPR 2017, for the forward
correction. A blank cell has a policy of its own: negative, or ignored.

A policy of the first kind is a row of four cells, one a state, each with the ends of its target and a weight, so the
targets of a batch are one look-up, whatever its labels' policies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.errors import ConfigError
from corpora.label_table import BLANK_CELL
from vision.encoder import NEGATIVE_AT, POSITIVE_AT, THREE, UNCERTAIN_AT
from vision.recipe import PolicyRecipe

#: The order of states in rows and matrices: positive, negative, uncertain, blank.
STATES: Final = (1, 0, -1, BLANK_CELL)
POSITIVE, NEGATIVE, UNCERTAIN, BLANK = range(4)
ONES_LSR: Final = (0.55, 0.85)
ZEROS_LSR: Final = (0.0, 0.3)


class Cell(NamedTuple):
    """What a cell teaches: a target between ``low`` and ``high``, and how much it counts."""

    low: float
    high: float
    weight: float


_YES, _NO, _NOTHING = Cell(1.0, 1.0, 1.0), Cell(0.0, 0.0, 1.0), Cell(0.0, 0.0, 0.0)
Row = tuple[Cell, Cell, Cell, Cell]


def ignore(blank: Cell) -> Row:
    """Uncertain cells do not count."""
    return (_YES, _NO, _NOTHING, blank)


def zeros(blank: Cell) -> Row:
    """Uncertain cells count as negative."""
    return (_YES, _NO, _NO, blank)


def ones(blank: Cell) -> Row:
    """Uncertain cells count as positive."""
    return (_YES, _NO, _YES, blank)


def zeros_lsr(blank: Cell, low: float = ZEROS_LSR[0], high: float = ZEROS_LSR[1]) -> Row:
    """Uncertain cells count as nearly negative: a target drawn from uniform(low, high) each time."""
    return (_YES, _NO, Cell(low, high, 1.0), blank)


def ones_lsr(blank: Cell, low: float = ONES_LSR[0], high: float = ONES_LSR[1]) -> Row:
    """Uncertain cells count as rather positive: a target drawn from uniform(low, high) each time."""
    return (_YES, _NO, Cell(low, high, 1.0), blank)


_PLAIN: Final[dict[str, Callable[[Cell], Row]]] = {
    # a self-trained label ignores them until a first network has said what they are
    "ignore": ignore, "zeros": zeros, "ones": ones, "self_trained": ignore,
    # these two look only at which cells count
    "three_way": ones, "noise_aware": ones,
}  # fmt: skip
_SMOOTHED: Final[dict[str, Callable[..., Row]]] = {"zeros_lsr": zeros_lsr, "ones_lsr": ones_lsr}


def row_of(policy: PolicyRecipe) -> Row:
    """The row of a policy. Raises ``ConfigError`` (``config.value``) for a range given to one that has none."""
    blank = _NO if policy.blank == "negative" else _NOTHING
    ends = {name: value for name, value in (("low", policy.low), ("high", policy.high)) if value is not None}
    if policy.uncertain in _SMOOTHED:
        row = _SMOOTHED[policy.uncertain](blank, **ends)
        if row[UNCERTAIN].low > row[UNCERTAIN].high:
            raise ConfigError("config.value", "low is above high", where=f"policy {policy.uncertain}")
        return row
    if ends:
        message = f"{policy.uncertain} takes no {' and '.join(ends)}"
        raise ConfigError("config.value", message, where="policies", hint="zeros_lsr and ones_lsr do")
    return _PLAIN[policy.uncertain](blank)


def head_of(policy: PolicyRecipe) -> int:
    """Outputs that a label with this policy has."""
    return THREE if policy.uncertain == "three_way" else 1


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of all labels: ``low``, ``high`` and ``weight`` [L, 4] by state; which labels are of which kind.

    ``plain``, ``threes`` and ``noisy`` are places of labels. ``channels`` [len(noisy), 2, 4] is what the machine
    writes of a positive and of a negative label.
    """

    low: Tensor
    high: Tensor
    weight: Tensor
    plain: list[int]
    threes: list[int]
    noisy: list[int]
    self_trained: list[int]
    channels: Tensor

    def to(self, device: torch.device) -> Policies:
        """The same on a device."""
        low, high, weight, channels = (part.to(device) for part in (self.low, self.high, self.weight, self.channels))
        return Policies(low, high, weight, self.plain, self.threes, self.noisy, self.self_trained, channels)

    def targets(self, codes: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
        """Targets and weights [B, L] of cells by code [B, L]; ``draw`` [B, L] in 0..1 places them in their range."""
        labels = torch.arange(codes.shape[1], device=codes.device)
        low, high = self.low[labels, codes], self.high[labels, codes]
        return low + (high - low) * draw, self.weight[labels, codes]


def policies_of(recipes: Sequence[PolicyRecipe], channels: Sequence[NDArray[np.float64] | None]) -> Policies:
    """The policies of labels in their order; ``channels`` are those of the noise-aware ones [2, 4]."""
    rows = torch.tensor([[list(cell) for cell in row_of(recipe)] for recipe in recipes], dtype=torch.float32)
    of = {name: [at for at, recipe in enumerate(recipes) if recipe.uncertain == name] for name in
          ("three_way", "noise_aware", "self_trained")}  # fmt: skip
    other = {*of["three_way"], *of["noise_aware"]}
    noisy = [torch.from_numpy(np.asarray(channels[at], dtype=np.float32)) for at in of["noise_aware"]]
    return Policies(
        rows[..., 0], rows[..., 1], rows[..., 2], [at for at in range(len(recipes)) if at not in other],
        of["three_way"], of["noise_aware"], of["self_trained"], torch.stack(noisy) if noisy else torch.zeros(0, 2, 4),
    )  # fmt: skip


def codes_of(states: NDArray[np.int8]) -> NDArray[np.int64]:
    """Places in ``STATES`` of states 1, 0, -1 and ``BLANK_CELL``."""
    lookup = np.zeros(4, dtype=np.int64)
    for code, state in enumerate(STATES):
        lookup[state] = code
    return lookup[states]


# Losses of the kinds that are no binary target


def three_way(outputs: Tensor, codes: Tensor, *, blank_counts: bool) -> Tensor:
    """The loss [B] of a label with three outputs [B, 3]: cross entropy of the state; a blank is negative, or nothing.

    >>> float(three_way(torch.zeros(1, 3), torch.tensor([UNCERTAIN]), blank_counts=True)).__round__(4)
    1.0986
    """
    place = torch.tensor([POSITIVE_AT, NEGATIVE_AT, UNCERTAIN_AT, NEGATIVE_AT], device=codes.device)[codes]
    losses = torch.nn.functional.cross_entropy(outputs, place, reduction="none")
    return losses if blank_counts else losses * (codes != BLANK)


#: Share of the training from which on the correction is whole.
_WHOLE: Final = 0.5


def eased(channel: Tensor, done: float) -> Tensor:
    """The channel [2, 4] by which a network learns that has done a share ``done`` of its training.

    Corrected in full from the start, a network that knows nothing yet settles on calling everything negative: what is
    written is nearly as likely then, and the gradient p (1 - p) is gone. So it begins as if what is written were true,
    a positive where the truth is, another state where it is not, and is corrected more and more up to half of the way.
    """
    share = min(1.0, done / _WHOLE)
    positive = torch.zeros_like(channel)
    positive[0, POSITIVE] = 1.0
    other = channel[1].clone()
    other[POSITIVE] = 0.0
    positive[1] = other / other.sum().clamp_min(1e-7)
    return share * channel + (1 - share) * positive


def noise_aware(logits: Tensor, codes: Tensor, channel: Tensor) -> Tensor:
    """The loss [B] of what the machine wrote, of a label with logits [B] (Patrini's forward correction).

    ``channel`` [2, 4] is the probability of each written state where the truth is positive and where it is not, so
    the machine writes j with probability p A[0, j] + (1 - p) A[1, j]. A state that the channel never writes, such as a
    blank that is ignored, teaches nothing.
    """
    yes, no = channel[0, codes], channel[1, codes]
    probability = torch.sigmoid(logits)
    written = probability * yes + (1 - probability) * no
    known = (yes + no) > 0
    return torch.where(known, -torch.log(written.clamp_min(1e-7)), torch.zeros_like(written))
